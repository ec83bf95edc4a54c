//! Who gets in: nobody but the bearer of a token that Entra issued for this zone, to be used now.

use serde_json::json;

use crate::{
    emulator,
    stack::{EMULATOR_KNOBS, Stack, shared},
};

#[test]
fn forged_tokens_are_refused_and_told_nothing() {
    let _knobs = EMULATOR_KNOBS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let stack = shared();
    let genuine = stack.token("reader");
    assert_eq!(stack.psql(&genuine, "SELECT 1").stdout, "1", "the control: the genuine token is let in");
    let forgeries = emulator::forgeries(stack, &genuine);
    assert!(forgeries.len() >= 30, "{} forgeries", forgeries.len());
    let answers = stack.login("shop", &serde_json::Value::Object(forgeries));
    for (case, answer) in answers.as_object().expect("answers") {
        assert_eq!((&answer["S"], &answer["C"]), (&json!("FATAL"), &json!("28000")), "{case}: {answer}");
        assert!(answer.get("D").is_none(), "{case} is told why: {answer}");
    }
    let messages: std::collections::BTreeSet<_> =
        answers.as_object().expect("answers").values().map(|answer| answer["M"].as_str()).collect();
    assert_eq!(messages.len(), 1, "the wording tells forgeries apart: {messages:?}");
}

#[test]
fn a_token_for_the_admin_api_does_not_open_a_session() {
    let stack = shared();
    let token = std::fs::read_to_string(&stack.ready.admin_token_file).expect("readable");
    assert_eq!(stack.login_once("shop", token.trim())["C"], "28000");
}

#[test]
fn an_agents_token_does_not_open_the_admin_api() {
    let stack = shared();
    let output = std::process::Command::new(crate::stack::program("countersign"))
        .args(["sessions", "list"])
        .env("COUNTERSIGN_ADDR", &stack.ready.admin)
        .env("COUNTERSIGN_CA", &stack.ready.ca)
        .env_remove("COUNTERSIGN_TOKEN_FILE")
        .env("COUNTERSIGN_TOKEN", stack.token("reader"))
        .output()
        .expect("countersign runs");
    assert_eq!(output.status.code(), Some(3), "{}", crate::stack::text(&output.stderr));
}

#[test]
fn an_approvers_token_does_not_change_resources() {
    let stack = shared();
    let output = std::process::Command::new(crate::stack::program("countersign"))
        .args(["edges", "join-token", "--zone", &stack.ready.edges[0].zone])
        .env("COUNTERSIGN_ADDR", &stack.ready.admin)
        .env("COUNTERSIGN_CA", &stack.ready.ca)
        .env("COUNTERSIGN_TOKEN_FILE", &stack.ready.approver_token_files["dana"])
        .env_remove("COUNTERSIGN_TOKEN")
        .output()
        .expect("countersign runs");
    assert_eq!(output.status.code(), Some(3), "{}", crate::stack::text(&output.stderr));
}

#[test]
fn each_token_of_the_command_line_is_a_new_one() {
    let stack = shared();
    assert_ne!(stack.token("reader"), stack.token("reader"));
}

#[test]
fn a_rotated_key_is_taken_up_at_once() {
    // Its own stack: keys are the whole tenant's.
    let stack = Stack::start();
    let before = stack.token("reader");
    assert_eq!(stack.psql(&before, "SELECT 1").code, 0);
    rotate_past_what_is_known(&stack);
    let after = stack.token("reader");
    assert_eq!(stack.psql(&after, "SELECT 1").code, 0, "the new key is taken up at once");
    assert_eq!(stack.psql(&before, "SELECT 1").code, 0, "the old key overlaps");
}

/// The key that signs next is published before it signs; after two rotations a key signs that nobody has seen.
fn rotate_past_what_is_known(stack: &Stack) {
    for _ in 0..2 {
        emulator::post(stack, "/emulator/keys/rotate", &json!({}));
    }
}

#[test]
fn an_outage_of_the_key_endpoint_keeps_known_keys_and_admits_no_unknown_one() {
    let stack = Stack::start();
    let known = stack.token("reader");
    assert_eq!(stack.psql(&known, "SELECT 1").code, 0);
    for endpoint in ["jwks", "discovery"] {
        let fault = json!({"endpoint": endpoint, "status": 503, "times": 1000});
        emulator::post(&stack, "/emulator/faults", &fault);
    }
    let known = stack.token("reader");
    assert_eq!(stack.psql(&known, "SELECT 1").code, 0, "last known good keys serve on");
    rotate_past_what_is_known(&stack);
    let unknown = stack.token("reader");
    let refused = stack.psql(&unknown, "SELECT 1");
    assert_ne!(refused.code, 0, "a key that cannot be fetched admits nobody");
}

#[test]
fn a_storm_of_unknown_keys_asks_entra_once() {
    let _knobs = EMULATOR_KNOBS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let stack = Stack::start();
    let genuine = stack.token("reader");
    assert_eq!(stack.psql(&genuine, "SELECT 1").code, 0);
    let forged = emulator::forgeries(&stack, &genuine);
    let unknown = forged["unknown_key"].as_str().expect("text");
    let asked = |stack: &Stack| {
        let counters = emulator::get(stack, "/emulator/requests");
        counters["jwks"].as_u64().unwrap_or_else(|| panic!("no counter: {counters}"))
    };
    let before = asked(&stack);
    for _ in 0..5 {
        assert_eq!(stack.login_once("shop", unknown)["C"], "28000");
    }
    let more = asked(&stack) - before;
    assert!(more <= 1, "{more} requests for keys");
}
