//! What reads a tagged column where nobody looks: functions, blocks of code, plans, statistics, stored rows.

use serde_json::json;

use super::{MARK, Road, VEIL, has_nothing_of_it, held::ASKED, row, travel, travel_by_wire, via};
use crate::{
    stack::shared,
    wire::{Wire, says},
};

#[test]
fn what_calls_functions_that_nobody_read_counts_as_reaching_every_class() {
    let roads: &[Road] = &[
        ("SELECT veil_peek(1)", 1, "[masked]"),
        ("SELECT veil_peek(1), 1, count(*) FROM veil_free", 1, "[masked] | ∅ | ∅"),
        ("SELECT veil_wage(1)", 1, "∅"),
        ("SELECT * FROM veil_peek(1)", 1, "[masked]"),
        ("SELECT (veil_all()).mail", 3, "[masked]"),
        ("SELECT mail, nick FROM veil_all()", 3, "[masked] | [masked]"),
        ("SELECT nick FROM veil_table()", 3, "[masked]"),
        ("SELECT 1 <~~> 2", 1, "[masked]"),
        ("SELECT word FROM veil_peeking", 2, "[masked]"),
        ("SELECT query_to_xml('SELECT mail FROM veil_people', true, false, '')::text", 1, "[masked]"),
    ];
    travel("writer", roads);
    travel_by_wire("writer", &[("SELECT veil_all()", 3, "∅"), ("CALL veil_tell(NULL)", 1, "[masked]")]);
}

#[test]
fn what_a_cast_calls_counts_as_called() {
    travel_by_wire("writer", &[("SELECT ROW('x', 1)::veil_pair::text", 1, "[masked]")]);
}

#[test]
fn what_cannot_be_understood_and_is_permitted_counts_as_reaching_every_class() {
    let mut session = Wire::open(&ASKED.dsn(), &shared().token("reader"), &[]);
    let mut rows = |sql: &str| {
        let answer = session.query(sql);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        let rows: Vec<String> = answer.rows.iter().map(|cells| row(cells)).collect();
        has_nothing_of_it(sql, &format!("{rows:?}"));
        rows
    };
    rows("BEGIN");
    rows("DECLARE c CURSOR FOR SELECT mail, pin, nick FROM asked_people");
    assert_eq!(rows("FETCH 1 FROM c"), ["[masked] | [masked] | [masked]"]);
    assert_eq!(rows("FETCH ALL FROM c").len(), 1);
    rows("COMMIT");
    rows("EXPLAIN (ANALYZE, VERBOSE) SELECT mail FROM asked_people WHERE mail = 'Quokkaasked'");
    rows("PREPARE p AS SELECT mail FROM asked_people");
    assert_eq!(rows("EXECUTE p").len(), 2);
    let failed = session.query("DECLARE c CURSOR WITH HOLD FOR SELECT mail::integer FROM asked_people");
    assert_eq!(failed.errors.len(), 1, "{failed:?}");
    has_nothing_of_it("an error", &format!("{failed:?}"));
}

#[test]
fn a_plan_shows_no_value() {
    let mut session = VEIL.session();
    for sql in [
        "EXPLAIN SELECT * FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth'",
        "EXPLAIN (COSTS OFF) SELECT mail FROM veil_people WHERE wage = 7310.5",
        "EXPLAIN (FORMAT JSON) SELECT 'Quokka' FROM veil_people",
        "EXPLAIN (FORMAT YAML) TABLE veil_view",
        "EXPLAIN SELECT (SELECT max(mail) FROM veil_people)",
    ] {
        let answer = session.query(sql);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        let covered = ["[masked]", "\"[masked]\""];
        assert!(answer.rows.iter().all(|cells| covered.contains(&row(cells).as_str())), "{sql}: {answer:?}");
    }
    assert!(session.value("EXPLAIN SELECT * FROM veil_teams").is_some_and(|plan| plan.contains("Scan")));
}

#[test]
fn what_was_prepared_by_sql_is_masked_when_it_is_executed() {
    let roads: &[Road] = &[
        ("PREPARE p AS SELECT mail, nick FROM veil_people WHERE id = 1", 0, ""),
        ("EXECUTE p", 1, "[contact] | ada"),
        ("PREPARE q (text) AS SELECT id, upper(mail) FROM veil_people WHERE mail = $1", 0, ""),
        ("EXECUTE q ('Quokkaada~Quokkanorth')", 1, "1 | [masked]"),
        ("PREPARE r AS SELECT count(*) FROM veil_people", 0, ""),
        ("EXECUTE q ('Quokkabob~Quokkasouth')", 1, "2 | [masked]"),
        ("PREPARE s AS UPDATE veil_people SET nick = nick WHERE id = 1 RETURNING mail", 0, ""),
        ("EXECUTE s", 1, "[contact]"),
        ("DEALLOCATE ALL", 0, ""),
    ];
    travel("writer", roads);
    let mut session = VEIL.session();
    assert!(session.query("PREPARE p AS SELECT * FROM veil_people WHERE mail > 'Quokka'").errors.is_empty());
    has_nothing_of_it("a plan", &format!("{:?}", session.query("EXPLAIN EXECUTE p").rows));
}

#[test]
fn a_string_of_statements_is_masked_in_each_of_its_results() {
    let mut session = VEIL.session();
    let sql = "SELECT name FROM veil_teams WHERE id = 1; SELECT mail FROM veil_people WHERE id = 1;
               SELECT upper(mail) FROM veil_people WHERE id = 1; SELECT id, mail FROM veil_view WHERE id = 1";
    let answer = session.query(&sql.replace("id, mail FROM veil_view", "id, address FROM veil_view"));
    let rows: Vec<String> = answer.rows.iter().map(|cells| row(cells)).collect();
    assert_eq!(rows, ["red", "[contact]", "[masked]", "1 | [contact]"], "{answer:?}");
    let answer = session.query(
        "BEGIN; SELECT mail FROM veil_people WHERE id = 2; ROLLBACK; SELECT max(mail) FROM veil_people",
    );
    let rows: Vec<String> = answer.rows.iter().map(|cells| row(cells)).collect();
    assert_eq!(rows, ["[contact]", "[masked]"], "{answer:?}");
}

#[test]
fn statistics_and_what_others_ask_show_no_value() {
    let mut session = VEIL.session();
    // A statement with a value in it, for as long as this lasts.
    let mut other = VEIL.session();
    other.query("SELECT count(*) FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth'");
    for sql in [
        "SELECT * FROM pg_stats WHERE tablename LIKE 'veil%'",
        "SELECT most_common_vals, histogram_bounds::text FROM pg_stats WHERE tablename = 'veil_people'",
        "SELECT * FROM pg_statistic",
        "SELECT stavalues1, stavalues2 FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid",
        "SELECT s.v FROM (SELECT stavalues1 AS v FROM pg_statistic) s",
        "SELECT query FROM pg_stat_activity",
        "SELECT * FROM pg_stat_activity",
        "SELECT statement FROM pg_prepared_statements",
    ] {
        let answer = session.query(sql);
        // A join by what may be a value is refused.
        let refused = !answer.errors.is_empty() && answer.refused() == says("42501", "denied", "unmaskable");
        assert!(
            refused == sql.contains("JOIN") && (refused || answer.errors.is_empty()),
            "{sql}: {answer:?}"
        );
        has_nothing_of_it(sql, &format!("{:?}", answer.rows));
    }
    let read = shared().owner("SELECT count(*) FROM pg_stats WHERE histogram_bounds::text LIKE '%Quokka%'");
    assert_ne!(read, "0", "the control: the catalog has some");
}

#[test]
fn what_is_stored_apart_from_its_row_is_masked_there_too() {
    let apart = shared().owner("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'veil_large'");
    let mut session = VEIL.session();
    let answer = session.query(&format!("SELECT chunk_data FROM {apart} LIMIT 3"));
    let values: Vec<_> = answer.rows.into_iter().flatten().flatten().collect();
    assert!(values.is_empty(), "stored values of a table with tagged columns: {:.60}", values[0]);
}

/// Whatever a client is told of, be it rows or not: the server reports some settings by itself.
#[test]
fn a_setting_that_is_reported_by_itself_shows_no_value() {
    let sql = "SELECT set_config('application_name', veil_peek(1), false)";
    for (client, said) in via::python(&VEIL.dsn(), Some(&shared().token("writer")), &[sql]) {
        assert!(!said.to_string().contains(MARK), "{client}: {said}");
        assert_eq!(said["answers"][0]["rows"], json!([["[masked]"]]), "{client}");
    }
}
