//! psycopg 3 over libpq 18. It prepares by itself, begins transactions by itself, and pipelines.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{DENIED, Judge, failures, held_write, refusal, refused_feature, written};
use crate::{stack::shared, target::Target};

static TARGET: LazyLock<Target<'static>> = LazyLock::new(|| Judge::Psycopg.target());

fn saw(scenario: &str) -> Value {
    Judge::Psycopg.saw(&TARGET, scenario)
}

#[test]
fn it_connects_with_verify_full_and_negotiates_the_protocol_down() {
    let expected = json!({ "tls": true, "protocol": 30000, "settings": ["UTF8", "on", "on"], "goes_on": 42 });
    assert_eq!(saw("connects"), expected);
}

#[test]
fn values_of_every_type_come_back_as_they_went() {
    assert_eq!(saw("values_in_text"), written());
    assert_eq!(saw("values_in_binary"), written());
}

#[test]
fn statements_are_prepared_by_request_and_by_habit_and_closed_again() {
    assert_eq!(saw("prepared"), json!({ "squares": 40425, "sums": 160, "again": [0, 1, 4] }));
    let unnamed = json!({
        "parameters": [["ab"]], "none": [[1]], "several": [[1]], "empty": null, "empty_extended": null,
        "no_rows": [], "goes_on": 42,
    });
    assert_eq!(saw("unnamed"), unnamed);
}

#[test]
fn writes_return_what_they_wrote() {
    let expected = json!({
        "insert": [[10, "ü"]], "update": [["u"]], "no_rows": "UPDATE 0", "delete": [[10]],
        "many": [300, 2000, 2299],
    });
    assert_eq!(saw("returning"), expected);
}

#[test]
fn rows_come_in_portions_and_are_left_before_their_end() {
    let expected = json!({
        "rows": 500_500, "chunks": 500_500, "fetched": [300, 300, 300, 100], "left": 1,
        // DECLARE is a statement that policy has no words for; psycopg has portals for nothing else.
        "declared": refusal(("42501", "denied", "unparsed")), "goes_on": 42,
    });
    assert_eq!(saw("portions"), expected);
}

#[test]
fn pipelines_run_alone_in_transactions_and_across_a_sync() {
    assert_eq!(saw("pipelines"), json!({ "alone": 9900, "inside": 3, "kept": 2 }));
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
        let expected = json!({
            "before": "INSERT 0 1", "error": said, "after": { "sqlstate": "25P02" }, "commit": "ROLLBACK",
            "kept": 0, "undone": 0, "saved": 1, "goes_on": 42,
        });
        assert_eq!(saw(&format!("fails_in_a_transaction={kind}")), expected, "{kind}");
    }
}

#[test]
fn transactions_that_it_begins_by_itself_are_kept_and_undone() {
    let expected = json!({ "kept": 2, "level": [["repeatable read"]], "read_only": { "sqlstate": "25006" } });
    assert_eq!(saw("transactions"), expected);
}

#[test]
fn a_held_write_runs_once_with_the_parameters_that_were_shown_or_not_at_all() {
    // psycopg leaves the type of text open, sends a time in binary because it was told to, and the smallest integer.
    let shown =
        held_write(Judge::Psycopg, &TARGET, [(25, "aXQncyDDvA=="), (1184, "AAK1g0FyhhQ="), (21, "AAE=")]);
    let statement = "UPDATE psycopg SET status = $1, at = $2 WHERE id = $3 RETURNING status, at::text";
    assert_eq!(shown["card"]["statement"], statement);
}

#[test]
fn a_held_write_may_be_first_or_later_in_its_transaction() {
    let scenario = "hold_first_in_a_transaction=3";
    let saw = Judge::Psycopg.start(&TARGET, &[scenario]).approved(scenario);
    assert_eq!(saw, json!({ "result": [["first", null]], "ended": "COMMIT", "goes_on": 42 }));
    assert_eq!(TARGET.status(3), "first");

    let scenario = "hold_first_in_a_transaction=4";
    let saw = Judge::Psycopg.start(&TARGET, &[scenario]).denied(scenario);
    assert_eq!(saw, json!({ "result": refusal(DENIED), "ended": "ROLLBACK", "goes_on": 42 }));

    let scenario = "hold_after_a_read=5";
    let saw = Judge::Psycopg.start(&TARGET, &[scenario]).approved(scenario);
    let expected = json!({
        "read": [["new"]], "result": [["second", null]], "inside": [["second"]], "ended": "COMMIT",
    });
    assert_eq!(saw, expected);
    assert_eq!(TARGET.status(5), "second");
}

#[test]
fn a_held_write_may_stand_in_a_pipeline() {
    let scenario = "hold_in_a_pipeline=6";
    let saw = Judge::Psycopg.start(&TARGET, &[scenario]).approved(scenario);
    assert_eq!(saw, json!({ "result": [[[2]], [["piped", null]], [[4]]], "goes_on": 42 }));
    let scenario = "hold_in_a_pipeline=7";
    let saw = Judge::Psycopg.start(&TARGET, &[scenario]).denied(scenario);
    assert_eq!(saw, json!({ "result": refusal(DENIED), "goes_on": 42 }));
    assert_eq!((TARGET.status(6).as_str(), TARGET.status(7).as_str()), ("piped", "new"));
}

#[test]
fn a_cancel_over_tls_or_without_ends_what_runs_and_what_waits() {
    let cancelled = json!({ "sqlstate": "57014", "at_once": true });
    assert_eq!(saw("cancel"), json!({ "cancel_safe": cancelled, "cancel": cancelled, "goes_on": 42 }));

    let running = Judge::Psycopg.start(&TARGET, &["cancel_hold=8"]);
    let id = running.held();
    let result = refusal(("57014", "cancelled", "cancelled"));
    assert_eq!(running.finish("cancel_hold=8"), json!({ "result": result, "goes_on": 42 }));
    shared().settled(&id, "CANCELLED");
    assert_eq!(TARGET.status(8), "new");
}

#[test]
fn what_is_not_spoken_is_refused_and_the_session_goes_on() {
    let saw = saw("refused_features");
    for feature in ["copy_out", "copy_in", "listen"] {
        assert!(refused_feature(&saw[feature]), "{feature}: {saw}");
    }
    assert_eq!(saw["goes_on"], 42);
}
