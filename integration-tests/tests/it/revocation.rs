//! What is taken back is gone: the connection, the approval, the edge.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    edge::{Edge, join_token},
    emulator,
    stack::{Stack, shared, text},
    target::{Target, Wanted, apply},
    wire::{Wire, says},
};

/// How long after its confirmation a revocation may take to be seen by a client.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Runs a command of the admin, which says what became of the sessions: in its answer, and as its exit code.
fn revoke(stack: &Stack, arguments: &[&str]) -> (Value, Instant) {
    let output = stack.cli(&[&["-o", "json"], arguments].concat());
    let confirmed = Instant::now();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", text(&output.stderr)));
    let revocation = said["revocation"].clone();
    let code = if revocation["confirmed"] == true { 0 } else { 4 };
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    (revocation, confirmed)
}

/// The session is cut within a second of the confirmation.
fn cut_at_once(session: &mut Wire, revocation: &Value, confirmed: Instant) {
    assert_eq!(revocation["confirmed"], true, "{revocation}");
    let cut = session.cut();
    let after = confirmed.elapsed();
    assert!(after < AT_ONCE, "{after:?}");
    assert_eq!(cut["C"], "57P01", "{cut}");
}

fn session_of(notice: &Value) -> &str {
    notice["session_id"].as_str().unwrap_or_else(|| panic!("{notice}"))
}

/// The newest open session at a target.
fn newest_session(target: &Target<'_>) -> String {
    let list = target.stack.cli_json(&["sessions", "list"]);
    let sessions = list["items"].as_array().expect("sessions").iter();
    let ours = sessions.filter(|session| session["target"] == target.name.as_str());
    let open =
        ours.filter(|session| session["state"] == "SESSION_STATE_OPEN").map(|session| session["id"].clone());
    open.max_by_key(ToString::to_string).expect("an open session").as_str().expect("an id").to_owned()
}

#[test]
fn a_killed_session_is_cut_whether_it_is_idle_or_waits_for_people() {
    let stack = shared();
    let target = Target::declare(stack, "killable", &Wanted::default());
    let mut idle = target.session();
    idle.value("SELECT 1");
    let id = newest_session(&target);
    let (revocation, confirmed) = revoke(stack, &["sessions", "kill", &id]);
    cut_at_once(&mut idle, &revocation, confirmed);
    assert_eq!(revocation["sessions"], 1, "{revocation}");
    let shown = stack.cli_json(&["sessions", "show", &id]);
    assert_eq!(shown["state"], "SESSION_STATE_CLOSED", "{shown}");
    assert_eq!(shown["closedBecause"], "killed", "{shown}");

    let mut waiting = target.session();
    let notice = waiting.held(&target.update(1, "killed"));
    let (revocation, confirmed) = revoke(stack, &["sessions", "kill", session_of(&notice)]);
    cut_at_once(&mut waiting, &revocation, confirmed);
    let approval = notice["approval_id"].as_str().expect("an id");
    stack.settled(approval, "CANCELLED");
    let late = stack.cli_as("dana", &["approvals", "approve", approval, "--reason", "late"]);
    assert!(!late.status.success(), "{}", text(&late.stdout));
    assert_eq!(target.status(1), "new");
}

#[test]
fn a_session_that_is_killed_in_a_transaction_leaves_nothing_of_it() {
    let stack = shared();
    let target = Target::declare(stack, "halfway", &Wanted::default());
    let mut session = target.session();
    session.value("BEGIN");
    let notice = session.held(&target.update(1, "half"));
    stack.approve("dana", notice["approval_id"].as_str().expect("an id"));
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    let (revocation, confirmed) = revoke(stack, &["sessions", "kill", session_of(&notice)]);
    cut_at_once(&mut session, &revocation, confirmed);
    assert_eq!(target.status(1), "new");
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'halfway%'";
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    crate::stack::wait_until("the target's connections to end", Duration::from_secs(5), || {
        (crate::stack::psql(&administrator, None, left).stdout == "0").then_some(())
    });
}

#[test]
fn deleting_an_agent_ends_its_sessions_and_lets_it_in_no_more() {
    let stack = shared();
    let agent = emulator::app("helper");
    emulator::put_app(stack, &agent, "nothing");
    let spec = json!({
        "tenantId": emulator::tenant(stack)["id"],
        "objectId": agent.object_id,
        "appId": agent.client_id,
    });
    apply(stack, &[json!({ "kind": "Agent", "name": "helper", "spec": spec })]);
    let target = Target::declare(stack, "helped", &Wanted { writer: "helper", ..Wanted::default() });
    let token = stack.token("helper");
    let mut idle = Wire::open(&target.dsn(), &token, &[]);
    let mut waiting = Wire::open(&target.dsn(), &token, &[]);
    let notice = waiting.held(&target.update(1, "helped"));
    let (revocation, confirmed) = revoke(stack, &["agents", "delete", "helper"]);
    cut_at_once(&mut idle, &revocation, confirmed);
    cut_at_once(&mut waiting, &revocation, confirmed);
    assert_eq!(revocation["sessions"], 2, "{revocation}");
    stack.settled(notice["approval_id"].as_str().expect("an id"), "CANCELLED");
    let refused = Wire::dial(&target.dsn(), &token, &[]).cut();
    assert_eq!(refused["C"], "42501", "{refused}");
    assert_eq!(target.status(1), "new");
}

#[test]
fn an_approval_can_be_taken_back_before_and_after_it_was_used() {
    let stack = shared();
    let target = Target::declare(stack, "revoked", &Wanted::default());
    let mut session = target.session();
    let notice = session.held(&target.update(1, "taken back"));
    let pending = notice["approval_id"].as_str().expect("an id");
    for user in ["dana", "auditor", "eve"] {
        let revoked = stack.cli_as(user, &["approvals", "revoke", pending, "--reason", "mine"]);
        assert_eq!(revoked.status.code(), Some(3), "{user}: {}", text(&revoked.stderr));
    }
    stack.cli_json(&["approvals", "revoke", pending, "--reason", "not this one"]);
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "cancelled", "approval_cancelled"));
    stack.settled(pending, "CANCELLED");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"), "the session goes on");

    session.value("BEGIN");
    let notice = session.held(&target.update(1, "used"));
    let used = notice["approval_id"].as_str().expect("an id");
    stack.approve("dana", used);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    let (revocation, confirmed) = revoke(stack, &["approvals", "revoke", used, "--reason", "stop"]);
    cut_at_once(&mut session, &revocation, confirmed);
    stack.settled(used, "CONSUMED");
    assert_eq!(target.status(1), "new", "what had not been committed is undone");
}

#[test]
fn deleting_an_edge_ends_what_it_serves() {
    let stack = shared();
    let target = Target::declare(stack, "edged", &Wanted::default());
    let mut edge = Edge::new(stack, "it-deleted", &join_token(stack));
    edge.start(stack, "it-deleted");
    let dsn = edge.dsn().replace("/shop?", "/edged?");
    let mut idle = Wire::open(&dsn, &stack.token("writer"), &[]);
    let mut waiting = Wire::open(&dsn, &stack.token("writer"), &[]);
    let notice = waiting.held(&target.update(1, "deleted"));
    let (revocation, confirmed) = revoke(stack, &["edges", "delete", "it-deleted"]);
    cut_at_once(&mut idle, &revocation, confirmed);
    cut_at_once(&mut waiting, &revocation, confirmed);
    stack.settled(notice["approval_id"].as_str().expect("an id"), "CANCELLED");
    assert_eq!(target.status(1), "new");
}

#[test]
fn a_kill_that_an_edge_does_not_hear_says_until_when_it_is_cut() {
    let stack = shared();
    let target = Target::declare(stack, "unheard", &Wanted::default());
    let mut edge = Edge::new(stack, "it-unheard", &join_token(stack));
    edge.start(stack, "it-unheard");
    let dsn = edge.dsn().replace("/shop?", "/unheard?");
    let mut session = Wire::open(&dsn, &stack.token("writer"), &[]);
    let notice = session.held(&target.update(1, "unheard"));
    edge.signal("-STOP");
    let (revocation, _) = revoke(stack, &["sessions", "kill", session_of(&notice)]);
    assert_ne!(revocation["confirmed"], true, "{revocation}");
    assert!(revocation["cutBy"].as_str().is_some_and(|at| at.starts_with("20")), "{revocation}");
    let late = stack
        .cli_as("dana", &["approvals", "approve", notice["approval_id"].as_str().unwrap(), "--reason", "x"]);
    assert!(!late.status.success(), "what was killed can be approved: {}", text(&late.stdout));
    edge.signal("-CONT");
    let cut = session.cut();
    assert_eq!(cut["C"], "57P01", "{cut}");
    assert_eq!(target.status(1), "new");
}
