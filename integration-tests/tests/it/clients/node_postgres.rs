//! node-postgres. It binds text, describes portals, syncs after each statement, and reads portals by its cursors.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Judge, failures, held_write, refusal, refused_feature, written};
use crate::{stack::shared, target::Target};

static TARGET: LazyLock<Target<'static>> = LazyLock::new(|| Judge::NodePostgres.target());

fn saw(scenario: &str) -> Value {
    Judge::NodePostgres.saw(&TARGET, scenario)
}

#[test]
fn it_connects_with_verify_full_and_by_its_pool() {
    assert_eq!(saw("connects"), json!({ "tls": true, "goes_on": 42 }));
    assert_eq!(saw("pool"), json!([0, 2, 4, 6, 8, 10]));
}

#[test]
fn values_of_every_type_come_back_as_they_went() {
    assert_eq!(saw("values"), written());
    assert_eq!(saw("values_in_binary"), json!({ "a": 7, "b": "9", "c": "ü", "d": true }));
}

#[test]
fn statements_are_prepared_by_name_and_without() {
    assert_eq!(saw("prepared"), json!({ "squares": 40425, "sums": [[2]] }));
    let mut saw = saw("unnamed");
    // Who says that a prepared statement is one statement, the edge or the target, is open.
    assert_eq!(saw["several_extended"]["sqlstate"].take(), "42601");
    saw["several_extended"].take();
    let expected = json!({
        "parameters": [["ab"]], "none": [[1]], "simple": [[1]], "several_extended": null, "empty": "null null",
        "empty_extended": "null null", "no_rows": [], "goes_on": 42,
    });
    assert_eq!(saw, expected);
}

#[test]
fn writes_return_what_they_wrote() {
    let expected =
        json!({ "insert": [[10, "ü"]], "update": [["u"]], "no_rows": "UPDATE 0", "delete": [[10]] });
    assert_eq!(saw("returning"), expected);
}

#[test]
fn cursors_read_portals_in_portions_and_leave_them() {
    let expected = json!({
        "sizes": [300, 300, 300, 100], "first": [1, 2], "limited": 1000,
        "failed": [1, { "sqlstate": "22012" }], "goes_on": 42,
    });
    assert_eq!(saw("portions"), expected);
}

#[test]
fn its_pipeline_mode_is_answered_in_order_and_fails_by_the_statement() {
    let expected = json!({
        "doubled": 2450, "failed": { "sqlstate": "22012" },
        "refused": refusal(("42501", "denied", "not_permitted")), "named": [0, 1, 2, 3, 4], "goes_on": 42,
    });
    assert_eq!(saw("pipelines"), expected);
}

#[test]
fn an_error_or_a_refusal_in_a_transaction_fails_it() {
    for (kind, said) in failures() {
        let after = json!({ "sqlstate": "25P02" });
        let expected =
            json!({ "error": said, "after": after, "commit": "ROLLBACK", "kept": 0, "goes_on": 42 });
        assert_eq!(saw(&format!("fails_in_a_transaction={kind}")), expected, "{kind}");
    }
}

#[test]
fn a_held_write_runs_once_with_the_parameters_that_were_shown_or_not_at_all() {
    // node-postgres binds text, and leaves every type open.
    held_write(
        Judge::NodePostgres,
        &TARGET,
        [(25, "aXQncyDDvA=="), (1184, "MjAyNC0wMi0yOVQxMjozNDo1Ni43ODkwMTJa"), (23, "MQ==")],
    );
}

#[test]
fn a_held_write_may_come_after_a_read_in_its_transaction() {
    let scenario = "hold_in_a_transaction=3";
    let saw = Judge::NodePostgres.start(&TARGET, &[scenario]).approved(scenario);
    let expected =
        json!({ "read": [["new"]], "result": [["within", null]], "ended": "COMMIT", "goes_on": 42 });
    assert_eq!(saw, expected);
    assert_eq!(TARGET.status(3), "within");
}

#[test]
fn a_cancel_ends_what_runs_and_what_waits() {
    assert_eq!(saw("cancel"), json!({ "result": { "sqlstate": "57014" }, "goes_on": 42 }));

    let running = Judge::NodePostgres.start(&TARGET, &["cancel_hold=4"]);
    let id = running.held();
    let result = refusal(("57014", "cancelled", "cancelled"));
    assert_eq!(running.finish("cancel_hold=4"), json!({ "result": result, "goes_on": 42 }));
    shared().settled(&id, "CANCELLED");
    assert_eq!(TARGET.status(4), "new");
}

#[test]
fn what_is_not_spoken_is_refused_and_the_session_goes_on() {
    let saw = saw("refused_features");
    for feature in ["copy_in", "listen"] {
        assert!(refused_feature(&saw[feature]), "{feature}: {saw}");
    }
    assert_eq!(saw["goes_on"], 42);
}
