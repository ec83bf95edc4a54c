//! Who may decide, and who may not.

use std::sync::LazyLock;

use serde_json::json;

use crate::{
    emulator,
    stack::{Stack, shared, text},
    target::{Target, Wanted},
    wire::Wire,
};

static VOTED: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "voted", &Wanted::default()));

/// A statement that waits, and its approval.
fn waiting(target: &Target<'_>, id: u32) -> (Wire, String) {
    let mut session = target.session();
    let notice = session.held(&target.update(id, "voted"));
    (session, notice["approval_id"].as_str().expect("an id").to_owned())
}

/// A vote, of somebody who may not, is refused: by the command line, and by the API to whom the card was told.
fn may_not_vote(stack: &Stack, whom: &str, token: &str, id: &str) {
    let fingerprint = stack.approval(id)["fingerprint"].clone();
    for (verb, approve) in [("approve", true), ("deny", false)] {
        let voted = stack.cli_with(token, &["approvals", verb, id, "--reason", "me"]);
        assert!(!voted.status.success(), "{whom} may {verb}: {}", text(&voted.stdout));
        let vote = json!({ "id": id, "fingerprint": fingerprint, "approve": approve, "reason": "me" });
        let (taken, said) = stack.grpc(token, "ApprovalService/Vote", &vote);
        let refused =
            ["PermissionDenied", "NotFound", "Unauthenticated"].iter().any(|code| said.contains(code));
        assert!(!taken && refused, "{whom} may {verb}: {said}");
    }
    assert_eq!(stack.approval(id)["state"], "APPROVAL_STATE_PENDING", "{whom}");
}

#[test]
fn nobody_votes_without_the_role_or_on_their_own() {
    let (stack, target) = (shared(), &*VOTED);
    let (mut session, id) = waiting(target, 1);
    // The writer's owner has the role, and the others have everything but the role.
    for user in ["sponsor", "eve", "auditor", "admin"] {
        may_not_vote(stack, user, &stack.user_token(user), &id);
    }
    for agent in ["writer", "reader", "stranger"] {
        may_not_vote(stack, agent, &stack.token(agent), &id);
    }
    let told = stack.cli_as("sponsor", &["approvals", "approve", &id, "--reason", "it is my agent"]);
    assert_eq!(told.status.code(), Some(3), "{}", text(&told.stderr));
    let shown = stack.approval(&id);
    assert_eq!(shown.get("votes").and_then(|votes| votes.as_array()).map_or(0, Vec::len), 0, "{shown}");
    assert_eq!(target.status(1), "new");
    stack.approve("dana", &id);
    assert_eq!(session.finish().tags, ["UPDATE 1"], "the control: dana may");
}

#[test]
fn an_application_does_not_vote_whatever_its_roles() {
    let (stack, target) = (shared(), &*VOTED);
    let (mut session, id) = waiting(target, 2);
    let audience = &emulator::app_named(&emulator::tenant(stack), "admin-api")["client_id"];
    for request in [
        json!({ "kind": "agent", "subject": "writer", "audience": audience, "set": { "roles": ["dba"] } }),
        json!({ "kind": "agent", "subject": "reader", "audience": audience, "set": { "roles": ["dba"] } }),
        json!({ "kind": "agent_for_user", "subject": "dana", "actor": "writer", "audience": audience }),
        json!({ "kind": "agent_for_user", "subject": "dana", "actor": "reader", "audience": audience }),
        json!({ "kind": "agent_user", "subject": "dana", "actor": "reader", "audience": audience }),
        json!({ "kind": "agent_identity", "subject": "reader", "audience": audience, "set": { "roles": ["dba"] } }),
    ] {
        may_not_vote(stack, &request.to_string(), &emulator::token(stack, &request), &id);
    }
    stack.deny("omar", &id);
    session.finish();
    assert_eq!(target.status(2), "new");
}

#[test]
fn the_person_behind_an_agent_does_not_approve_what_it_asks() {
    let (stack, target) = (shared(), &*VOTED);
    let audience = &emulator::app_named(&emulator::tenant(stack), "gateway")["client_id"];
    let for_dana =
        json!({ "kind": "agent_for_user", "subject": "dana", "actor": "writer", "audience": audience });
    let mut session = Wire::open(&target.dsn(), &emulator::token(stack, &for_dana), &[]);
    let notice = session.held(&target.update(3, "for dana"));
    let id = notice["approval_id"].as_str().expect("an id");
    let own = stack.cli_as("dana", &["approvals", "approve", id, "--reason", "for me"]);
    assert_eq!(own.status.code(), Some(3), "{}", text(&own.stderr));
    stack.approve("omar", id);
    assert_eq!(session.finish().tags, ["UPDATE 1"], "somebody else may");
}

#[test]
fn approvals_are_seen_by_those_who_are_asked_and_by_those_who_look_after_them() {
    let (stack, target) = (shared(), &*VOTED);
    let (mut session, id) = waiting(target, 4);
    let sees = |user: &str| {
        let listed = stack.cli_as(user, &["-o", "json", "approvals", "list"]);
        let shown = stack.cli_as(user, &["-o", "json", "approvals", "show", &id]);
        (text(&listed.stdout).contains(&id), shown.status.success() && text(&shown.stdout).contains("voted"))
    };
    for user in ["dana", "omar", "admin", "auditor"] {
        assert_eq!(sees(user), (true, true), "{user}");
    }
    assert_eq!(sees("eve"), (false, false));
    stack.deny("dana", &id);
    session.finish();
}

#[test]
fn each_requirement_needs_as_many_people_as_it_says() {
    let stack = shared();
    let target = Target::declare(stack, "fourhanded", &Wanted { quorum: 2, ..Wanted::default() });
    let (mut session, id) = waiting(&target, 1);
    stack.approve("dana", &id);
    let once = stack.approval(&id);
    assert_eq!(
        (&once["state"], &once["requirements"][0]["quorum"], &once["requirements"][0]["given"]),
        (&json!("APPROVAL_STATE_PENDING"), &json!(2), &json!(1)),
        "{once}"
    );
    // A second vote of the same person, whatever becomes of the call, is not a second person.
    stack.cli_as("dana", &["approvals", "approve", &id, "--reason", "really"]);
    assert_eq!(stack.approval(&id)["state"], "APPROVAL_STATE_PENDING");
    assert_eq!(target.status(1), "new");
    assert_eq!(target.issued("approved").len(), 0, "half an approval mints nothing");
    stack.approve("omar", &id);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    let used = stack.settled(&id, "CONSUMED");
    let voters: std::collections::BTreeSet<_> =
        used["votes"].as_array().expect("votes").iter().map(|vote| vote["voter"].to_string()).collect();
    assert_eq!(voters.len(), 2, "{used}");

    let (mut session, id) = waiting(&target, 2);
    stack.approve("dana", &id);
    stack.deny("omar", &id);
    assert_eq!(session.finish().refusal().1["decision"], "denied", "one vote against outweighs any for it");
    assert_eq!(target.status(2), "new");
}

#[test]
fn approvals_are_watched_as_they_change() {
    use std::io::{BufRead as _, BufReader};
    let (stack, target) = (shared(), &*VOTED);
    let mut watch = std::process::Command::new(crate::stack::program("countersign"))
        .args(["-o", "json", "approvals", "watch"])
        .env("COUNTERSIGN_ADDR", &stack.ready.admin)
        .env("COUNTERSIGN_CA", &stack.ready.ca)
        .env("COUNTERSIGN_TOKEN", stack.user_token("dana"))
        .env_remove("COUNTERSIGN_TOKEN_FILE")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("countersign runs");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
    let (mut session, id) = waiting(target, 5);
    let mut states = Vec::new();
    let mut hear = |until: &str| {
        while states.last().map(String::as_str) != Some(until) {
            let line = said.recv_timeout(std::time::Duration::from_secs(20));
            let line = line.unwrap_or_else(|_| panic!("{until} is not seen, after {states:?}"));
            let approval: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
            if approval["id"] == id.as_str() {
                states.push(approval["state"].as_str().expect("a state").to_owned());
            }
        }
    };
    hear("APPROVAL_STATE_PENDING");
    stack.approve("dana", &id);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    hear("APPROVAL_STATE_CONSUMED");
    watch.kill().expect("killed");
    watch.wait().expect("waited");
}
