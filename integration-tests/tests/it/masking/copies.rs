//! Values that would be copied to where they are not tagged: nothing of it runs.

use super::{VEIL, reader, via::extended};
use crate::{stack::shared, wire::says};

/// Each would put something of a tagged column into a relation that anybody may read. `n` is a key that nobody has.
const COPIES: [&str; 57] = [
    "INSERT INTO veil_free SELECT n, ((ARRAY[p])[1]).mail FROM veil_people p",
    "INSERT INTO veil_free SELECT n, nick FROM (veil_people CROSS JOIN veil_teams) AS j(a, nick)",
    "INSERT INTO veil_free SELECT n, nick FROM veil_people AS p(id, nick)",
    "UPDATE veil_free SET note = (p).mail FROM veil_people p WHERE p.id = 1",
    "UPDATE veil_free SET note = s.note FROM (SELECT mail AS note FROM veil_people) AS s",
    "MERGE INTO veil_free f USING (SELECT id, mail AS nick FROM veil_people) AS s ON f.id = s.id WHEN MATCHED THEN UPDATE SET note = s.nick",
    "CREATE TEMPORARY TABLE veil_loot AS VALUES ((SELECT max(mail) FROM veil_people))",
    "INSERT INTO veil_free SELECT n + id, mail FROM veil_people",
    "INSERT INTO veil_free (note, id) SELECT mail, n + id FROM veil_people",
    "INSERT INTO veil_free SELECT n + id, upper(mail) FROM veil_people",
    "INSERT INTO veil_free SELECT n + id, wage::text FROM veil_people",
    "INSERT INTO veil_free SELECT n + id, place FROM veil_people",
    "INSERT INTO veil_free SELECT n + length(mail), '' FROM veil_people",
    "INSERT INTO veil_free SELECT n, CASE WHEN mail LIKE 'Quokkaa%' THEN 'yes' END FROM veil_people WHERE id = 1",
    "INSERT INTO veil_free SELECT n, string_agg(mail, ',') FROM veil_people",
    "INSERT INTO veil_free VALUES (n, (SELECT max(mail) FROM veil_people))",
    "INSERT INTO veil_free VALUES (n, ''), (n + 1, (SELECT mail FROM veil_people WHERE id = 1))",
    "INSERT INTO veil_free TABLE veil_base",
    "INSERT INTO veil_free SELECT * FROM veil_base",
    "INSERT INTO veil_free SELECT b.* FROM veil_base b",
    "INSERT INTO veil_free SELECT n, p::text FROM veil_people p",
    "INSERT INTO veil_free SELECT n, veil_people::text FROM veil_people",
    "INSERT INTO veil_free SELECT n, row_to_json(p)::text FROM veil_people p",
    "INSERT INTO veil_free SELECT n, (p).mail FROM veil_people p",
    "INSERT INTO veil_free SELECT n, (p.*)::text FROM veil_people p",
    "INSERT INTO veil_free SELECT n, ROW(p.*)::text FROM veil_people p",
    "INSERT INTO veil_free SELECT n, a FROM veil_people AS p(i, a)",
    "INSERT INTO veil_free SELECT n, note FROM (SELECT mail FROM veil_people) AS s(note)",
    "INSERT INTO veil_free SELECT n, s.note FROM (SELECT mail AS note FROM veil_people) s",
    "INSERT INTO veil_free SELECT n, s::text FROM (SELECT mail FROM veil_people) s",
    "INSERT INTO veil_free SELECT n, j::text FROM veil_people p JOIN veil_guesses g USING (mail) AS j",
    "INSERT INTO veil_free SELECT n, j::text FROM (veil_people CROSS JOIN veil_teams) AS j",
    "INSERT INTO veil_free SELECT n, x FROM veil_people, LATERAL (SELECT mail) AS l(x)",
    "INSERT INTO veil_free SELECT n, x FROM veil_people, LATERAL (VALUES (mail)) AS v(x)",
    "INSERT INTO veil_free SELECT n, x FROM veil_people, unnest(ARRAY[mail]) AS x",
    "INSERT INTO veil_free SELECT n, x FROM unnest(ARRAY(SELECT mail FROM veil_people)) AS x",
    "INSERT INTO veil_free SELECT n, nick FROM veil_people UNION ALL SELECT n + 1, mail FROM veil_people",
    "INSERT INTO veil_free WITH c AS (SELECT mail AS nick FROM veil_people) SELECT n, nick FROM c",
    "WITH c (nick) AS (SELECT mail FROM veil_people) INSERT INTO veil_free SELECT n, nick FROM c",
    "WITH d AS (DELETE FROM veil_people WHERE id = 1 RETURNING mail AS note) INSERT INTO veil_free SELECT n, note FROM d",
    "INSERT INTO veil_free SELECT n + id, address FROM veil_view",
    "INSERT INTO veil_free SELECT n + number, nick FROM veil_above",
    "INSERT INTO veil_free SELECT n + id, loud FROM veil_stored",
    "INSERT INTO veil_free SELECT n, mail FROM veil_parted_south",
    "INSERT INTO veil_free SELECT n, mail FROM veil_heir",
    "INSERT INTO veil_free VALUES (1, '') ON CONFLICT (id) DO UPDATE SET note = (SELECT max(mail) FROM veil_people)",
    "UPDATE veil_free SET note = p.mail FROM veil_people p WHERE p.id = 1",
    "UPDATE veil_free SET note = p FROM veil_people p WHERE p.id = 1",
    "UPDATE veil_free SET (id, note) = (SELECT 1, max(mail) FROM veil_people) WHERE id = 1",
    "UPDATE veil_people SET nick = mail WHERE id = 1",
    "UPDATE veil_people SET (nick, team) = (mail, 1) WHERE id = 1",
    "WITH u AS (UPDATE veil_free SET note = mail FROM veil_people p WHERE p.id = 1 RETURNING 1) SELECT 1",
    "MERGE INTO veil_free f USING veil_people p ON f.id = n + p.id WHEN NOT MATCHED THEN INSERT VALUES (n + p.id, p.mail)",
    "MERGE INTO veil_free f USING veil_people p ON f.id = p.id WHEN MATCHED THEN UPDATE SET note = p.mail",
    "CREATE TABLE public.veil_loot AS SELECT mail FROM veil_people",
    "CREATE TEMPORARY TABLE veil_loot AS TABLE veil_view",
    "SELECT id, mail INTO public.veil_loot FROM veil_people",
];

/// What anybody may read, past the edge.
fn kept() -> String {
    shared().owner(
        "SELECT count(*) FROM veil_free WHERE id < 2500 AND (note ~* 'quokka' OR note = 'yes' OR note ~ '7310')
         UNION ALL SELECT count(*) FROM veil_people WHERE nick LIKE '%Quokka%'
         UNION ALL SELECT count(*) FROM pg_class WHERE relname = 'veil_loot'",
    )
}

#[test]
fn no_statement_copies_values_to_where_they_are_not_tagged() {
    let mut session = VEIL.session();
    let mut ran = Vec::new();
    for sql in COPIES {
        let sql = sql.replace("n +", "1000 +").replace("(n,", "(1000,").replace("SELECT n,", "SELECT 1000,");
        for answer in [session.query(&sql), extended(&mut session, &sql, &[], &[])] {
            if !format!("{answer:?}").contains("unmaskable") {
                ran.push(format!("{sql}: {answer:?}"));
            }
        }
    }
    assert!(ran.is_empty(), "{ran:#?}");
    assert_eq!(kept(), "0\n0\n0");
}

/// `row.function` reads as a column does, and gives the function the whole row.
#[test]
fn nothing_is_copied_by_functions_that_look_like_columns() {
    let mut session = VEIL.session();
    for sql in [
        "INSERT INTO veil_free SELECT 2500, p.veil_named FROM veil_people p WHERE id = 1",
        "UPDATE veil_free SET note = p.veil_named FROM veil_people p WHERE p.id = 1 AND veil_free.id = 2500",
    ] {
        let answer = session.query(sql);
        let copied = shared().owner("DELETE FROM veil_free WHERE id = 2500 RETURNING note");
        assert!(copied.is_empty(), "{sql}: {copied}");
        assert_eq!(answer.refused(), says("42501", "denied", "unmaskable"), "{sql}");
    }
}

#[test]
fn nothing_is_copied_by_what_was_prepared_or_stands_in_a_string() {
    let mut session = VEIL.session();
    let refused = says("42501", "denied", "unmaskable");
    let copy = "INSERT INTO veil_free SELECT 2000 + id, mail FROM veil_people";
    assert_eq!(session.query(&format!("PREPARE c AS {copy}")).refused(), refused);
    assert_eq!(session.query(&format!("SELECT 1; {copy}")).refused(), refused);
    assert!(session.query("PREPARE m AS SELECT id, mail FROM veil_people").errors.is_empty());
    for sql in ["CREATE TABLE public.veil_loot AS EXECUTE m", "CREATE TEMPORARY TABLE veil_loot AS EXECUTE m"]
    {
        let answer = session.query(sql);
        assert!(["unmaskable", "unparsed"].contains(&answer.refused().2.as_str()), "{sql}: {answer:?}");
    }
    let parameter = "UPDATE veil_free SET note = (SELECT max(mail) || $1 FROM veil_people) WHERE id = 1";
    assert_eq!(extended(&mut session, parameter, &["!"], &[]).refused(), refused);
    assert_eq!(kept(), "0\n0\n0");
}

#[test]
fn what_is_not_tagged_may_be_copied_from_beside_what_is() {
    let mut session = VEIL.session();
    for (sql, tag) in [
        (
            "INSERT INTO veil_free SELECT 3000 + id, nick FROM veil_people WHERE mail LIKE 'Quokka%'",
            "INSERT 0 2",
        ),
        ("INSERT INTO veil_free SELECT 3010 + p.id, upper(p.nick) || team FROM veil_people p", "INSERT 0 3"),
        ("UPDATE veil_free f SET note = p.nick FROM veil_people p WHERE f.id = 3000 + p.id", "UPDATE 2"),
        ("UPDATE veil_people SET mail = 'Quokkaada~Quokkanorth', nick = nick WHERE id = 1", "UPDATE 1"),
        (
            "UPDATE veil_free f SET note = 'x' FROM veil_people p WHERE f.id = 3010 + p.id AND p.mail IS NULL",
            "UPDATE 1",
        ),
        ("DELETE FROM veil_free WHERE id BETWEEN 3000 AND 3999", "DELETE 5"),
    ] {
        let answer = session.query(sql);
        assert_eq!(answer.tags, [tag], "{sql}: {answer:?}");
    }
}

#[test]
fn who_may_see_every_class_that_is_reached_may_copy_it() {
    let mut session = reader();
    let refused = says("42501", "denied", "unmaskable");
    let sql = "INSERT INTO veil_free SELECT 4000 + id, mail FROM veil_base";
    let answer = session.query(sql);
    assert_eq!(answer.tags, ["INSERT 0 2"], "{answer:?}");
    shared().owner("DELETE FROM veil_free WHERE id > 4000");
    let more = session.query("INSERT INTO veil_free SELECT 4000 + id, mail FROM veil_people");
    assert_eq!(more.refused(), refused, "the table has a class that the reader may not see");
}
