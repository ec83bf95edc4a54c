//! asyncpg. It describes before it binds, speaks binary, flushes instead of syncing, and resets what goes into its pool.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{DENIED, Judge, failures, held_write, refusal, refused_feature, written};
use crate::{stack::shared, target::Target};

static TARGET: LazyLock<Target<'static>> = LazyLock::new(|| Judge::Asyncpg.target());

fn saw(scenario: &str) -> Value {
    Judge::Asyncpg.saw(&TARGET, scenario)
}

#[test]
fn it_connects_with_verify_full() {
    assert_eq!(saw("connects"), json!({ "tls": true, "settings": ["UTF8", "on", "on"], "goes_on": 42 }));
}

#[test]
fn values_of_every_type_come_back_as_they_went() {
    let mut expected = written();
    // To learn what an array is of, asyncpg calls set_config and reads the catalog, which no policy here permits.
    expected["int4[]"] = refusal(("42501", "denied", "not_permitted"));
    assert_eq!(saw("values"), expected);
}

#[test]
fn statements_are_prepared_cached_and_closed_again() {
    let expected = json!({
        "squares": 40425, "parameters": ["int4"], "columns": [["?column?", "int4"]], "sums": 160,
    });
    assert_eq!(saw("prepared"), expected);
}

#[test]
fn statements_without_a_name_are_parsed_twice() {
    let mut saw = saw("unnamed");
    // Who says that a prepared statement is one statement, the edge or the target, is open.
    assert_eq!(saw["several_extended"]["sqlstate"].take(), "42601");
    saw["several_extended"].take();
    let expected = json!({
        "parameters": [["ab"]], "none": [[1]], "several": "SELECT 1", "several_extended": null, "empty": [],
        "no_rows": [], "goes_on": 42,
    });
    assert_eq!(saw, expected);
}

#[test]
fn writes_return_what_they_wrote() {
    let expected = json!({
        "insert": [[10, "ü"]], "update": [["u"]], "no_rows": "UPDATE 0", "delete": [[10]], "many": 2500,
    });
    assert_eq!(saw("returning"), expected);
}

#[test]
fn a_cursor_reads_its_portal_in_portions() {
    let expected = json!({ "rows": 500_500, "taken": [3, 4, 5], "both": [1, 6], "rest": 3, "goes_on": 42 });
    assert_eq!(saw("portions"), expected);
}

#[test]
fn transactions_and_savepoints_are_kept_and_undone() {
    assert_eq!(saw("transactions"), json!({ "kept": 1, "level": "repeatable read" }));
}

#[test]
fn an_error_or_a_refusal_in_a_pipeline_undoes_it_and_the_session_goes_on() {
    for (kind, said) in failures() {
        let expected = json!({ "error": said, "kept": 0, "goes_on": 42 });
        assert_eq!(saw(&format!("fails_in_a_pipeline={kind}")), expected, "{kind}");
    }
}

#[test]
fn an_error_or_a_refusal_in_a_transaction_fails_it_to_its_savepoint_or_its_end() {
    for (kind, said) in failures() {
        let after = json!({ "sqlstate": "25P02" });
        let expected = json!({ "error": said, "after": after, "kept": 0, "saved": 1, "goes_on": 42 });
        assert_eq!(saw(&format!("fails_in_a_transaction={kind}")), expected, "{kind}");
    }
}

#[test]
fn a_held_write_runs_once_with_the_parameters_that_were_shown_or_not_at_all() {
    // asyncpg declares no type, and binds everything in binary as the types that are described.
    held_write(Judge::Asyncpg, &TARGET, [(25, "aXQncyDDvA=="), (1184, "AAK1g0FyhhQ="), (23, "AAAAAQ==")]);
}

#[test]
fn a_prepared_write_waits_each_time_that_it_is_executed() {
    let running = Judge::Asyncpg.start(&TARGET, &["hold_twice=3"]);
    shared().approve("dana", &running.held());
    shared().deny("omar", &running.held());
    let expected = json!({ "results": [[["one", null]], refusal(DENIED)], "goes_on": 42 });
    assert_eq!(running.finish("hold_twice=3"), expected);
    assert_eq!(TARGET.status(3), "one");
}

#[test]
fn a_held_write_may_come_after_a_read_in_its_transaction() {
    let scenario = "hold_in_a_transaction=4";
    let saw = Judge::Asyncpg.start(&TARGET, &[scenario]).approved(scenario);
    let expected =
        json!({ "read": [["new"]], "result": [["within", null]], "inside": [["within"]], "goes_on": 42 });
    assert_eq!(saw, expected);
    assert_eq!(TARGET.status(4), "within");
}

#[test]
fn a_timeout_ends_what_runs_and_a_cancelled_task_what_waits() {
    assert_eq!(saw("cancel"), json!({ "result": "timed out", "goes_on": 42, "at_once": true }));

    let running = Judge::Asyncpg.start(&TARGET, &["cancel_hold=5"]);
    let id = running.held();
    assert_eq!(running.finish("cancel_hold=5"), json!({ "result": "cancelled", "goes_on": 42 }));
    shared().settled(&id, "CANCELLED");
    assert_eq!(TARGET.status(5), "new");
}

#[test]
fn what_is_not_spoken_is_refused_and_the_session_goes_on() {
    let saw = saw("refused_features");
    for feature in ["move", "copy_out", "copy_query", "copy_in", "listen"] {
        assert!(refused_feature(&saw[feature]), "{feature}: {saw}");
    }
    assert_eq!(saw["goes_on"], 42);
}

#[test]
fn its_pool_gives_a_connection_out_again_and_again() {
    assert_eq!(saw("pool"), json!({ "answers": [0, 2, 4], "zone": "UTC" }));
}
