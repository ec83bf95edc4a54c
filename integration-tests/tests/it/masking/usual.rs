//! What is not sensitive is what it was: the same rows, to the byte, as from the database itself.

use serde_json::{Value, json};

use super::{Answer, VEIL, via};
use crate::{
    stack::shared,
    wire::{Wire, short},
};

/// Nothing of these is masked, in a session in which something was. `veil_plain` has a column of every kind.
const PLAIN: [&str; 22] = [
    "SELECT id, nick, team FROM veil_people ORDER BY id",
    "SELECT nick AS mail FROM veil_people WHERE mail LIKE 'Quokka%' ORDER BY id",
    "SELECT count(*), count(mail), count(DISTINCT team) FROM veil_people",
    "SELECT id, nick FROM veil_nicks ORDER BY id",
    "SELECT number FROM veil_above ORDER BY 1",
    "SELECT p.nick, t.name FROM veil_people p JOIN veil_teams t ON t.id = p.team ORDER BY p.id",
    "SELECT * FROM veil_teams ORDER BY id",
    "SELECT id, a, b, c, d, f, g, h FROM veil_plain",
    "SELECT m, n, o, p, q, r, s, t, u, v, w FROM veil_plain",
    "SELECT x, y, ag, ah, ai, aj FROM veil_plain",
    "SELECT length(a), upper(b), n + 1, p * 2, g->'Quokka', s AND true FROM veil_plain",
    "SELECT max(name), min(id), sum(id), string_agg(name, ',' ORDER BY id) FROM veil_teams",
    "SELECT name, rank() OVER (ORDER BY id), CASE id WHEN 1 THEN 'one' END FROM veil_teams ORDER BY id",
    "SELECT name FROM veil_teams UNION ALL SELECT 'x' ORDER BY 1",
    "SELECT 1, 'text', NULL, true, 1.50, '2024-02-29'::date",
    "SELECT * FROM generate_series(1, 5) AS n",
    "SELECT tag, mail FROM (VALUES ('a', 1), ('b', 2)) AS v(tag, mail)",
    "SELECT to_jsonb(t) FROM veil_teams t ORDER BY id",
    "SELECT note FROM veil_free WHERE id = 1",
    "SELECT id FROM veil_teams WHERE false",
    "SHOW server_version",
    "EXPLAIN (COSTS OFF) SELECT * FROM veil_teams WHERE name = 'red'",
];

/// The same for types that asyncpg has to ask the catalog about.
const LISTS: [&str; 4] = [
    "SELECT e, z, aa, ab, ac, ad, ae, af FROM veil_plain",
    "SELECT t FROM veil_teams t ORDER BY id",
    "SELECT ARRAY[1, 2], ARRAY[true], ARRAY['2024-02-29'::date], ARRAY(SELECT name FROM veil_teams ORDER BY id)",
    "SELECT array_agg(id ORDER BY id) FROM veil_teams",
];

/// What masks something in the session, first.
const MASKS: &str = "SELECT mail FROM veil_people WHERE id = 1";

fn statements() -> Vec<&'static str> {
    [&[MASKS][..], &PLAIN, &LISTS].concat()
}

/// The owner's connection string.
fn direct() -> &'static str {
    &shared().ready.target_dsns["shop"]
}

#[test]
fn psycopg_and_asyncpg_get_what_the_database_gives() {
    let statements = statements();
    let through = via::python(&VEIL.dsn(), Some(&shared().token("writer")), &statements);
    let past = via::python(direct(), None, &statements);
    for (client, through) in &through {
        assert_eq!(
            through["answers"][0]["rows"],
            json!([["[contact]"]]),
            "{client}: the control: it is masked"
        );
        assert_eq!(through["notices"], json!([]), "{client}");
        for (at, sql) in statements.iter().enumerate().skip(1) {
            let (through, past) = (&through["answers"][at], &past[client]["answers"][at]);
            assert!(past["rows"].is_array(), "{client}: {sql}: {past}");
            if client == "asyncpg" && LISTS.contains(sql) {
                continue;
            }
            assert_eq!(through, past, "{client}: {sql}");
        }
    }
}

/// To learn what an array or a row is of, asyncpg reads settings and the catalog, which policy permits here.
#[test]
fn asyncpg_learns_what_types_are_in_a_session_that_masks() {
    let statements =
        ["SELECT ARRAY[1, 2]::integer[], ARRAY[true]", "SELECT aa, ac, ad FROM veil_plain", MASKS];
    let through =
        &via::python(&VEIL.dsn(), Some(&shared().token("writer")), &statements)["asyncpg"]["answers"];
    let past = &via::python(direct(), None, &statements)["asyncpg"]["answers"];
    assert_eq!((&through[0], &through[1]), (&past[0], &past[1]));
    assert_eq!(through[2]["rows"], json!([["[contact]"]]), "the control: it is masked");
}

#[test]
fn psql_gets_what_the_database_gives() {
    let statements = statements();
    let utc = |statements: &[&'static str]| [&["SET TimeZone TO UTC"][..], statements].concat();
    let through = via::psql(&VEIL.dsn(), Some(&shared().token("writer")), &utc(&statements));
    let past = via::psql(direct(), None, &utc(&statements));
    assert_eq!(through.len(), statements.len() + 1);
    assert_eq!(through[1], Answer::Rows(vec!["[contact]".to_owned()]));
    for ((through, past), sql) in through.iter().zip(&past).skip(2).zip(&statements[1..]) {
        assert_eq!(through, past, "{sql}");
    }
}

#[test]
fn tokio_postgres_gets_what_the_database_gives() {
    let statements = statements();
    let through = &via::tokio(&VEIL, "writer", &statements);
    let past = via::tokio_directly(direct(), &statements);
    assert_eq!(through[0], Answer::Rows(vec!["[contact]".to_owned()]));
    for ((through, past), sql) in through.iter().zip(&past).zip(&statements).skip(1) {
        assert!(matches!(past, Answer::Rows(_)), "{sql}: {past:?}");
        assert_eq!(through, past, "{sql}");
    }
}

#[test]
fn message_by_message_it_is_what_the_database_says() {
    let statements = statements();
    let mut through = VEIL.session();
    let mut past = Wire::direct(shared());
    for session in [&mut through, &mut past] {
        assert!(session.query("SET TimeZone TO UTC").errors.is_empty());
    }
    let heard = |session: &mut Wire, message: &[Value]| -> Vec<String> {
        session.put(message);
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last: &String| !last.starts_with("ready") && last != "closed") {
            heard.push(short(&session.next()));
        }
        heard
    };
    for sql in &statements {
        let simple = vec![json!(["query", sql])];
        let extended = |formats: &[u16]| -> Vec<Value> {
            vec![
                json!(["parse", "", sql]),
                json!(["describe", "S", ""]),
                json!(["bind", "", "", [], formats]),
                json!(["describe", "P", ""]),
                json!(["execute", "", 0]),
                json!(["sync"]),
            ]
        };
        for messages in [simple, extended(&[]), extended(&[1])] {
            let (ours, theirs) = (heard(&mut through, &messages), heard(&mut past, &messages));
            if *sql == MASKS {
                assert!(ours.contains(&"row [contact]".to_owned()), "the control: it is masked: {ours:?}");
            } else {
                assert_eq!(ours, theirs, "{sql}");
            }
        }
    }
}
