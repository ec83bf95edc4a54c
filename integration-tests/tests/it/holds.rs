//! What happens to a statement that waits for people: nothing, until they decide; and then once, or never.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    people::Waiting,
    stack::{shared, text},
    tap::Tap,
    target::{Target, Wanted, database_port},
    wire::{Wire, says},
};

/// The target of the tests here that need none of their own; each has rows of its own.
static HELD: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "held", &Wanted::default()));

fn approval_of(notice: &Value) -> &str {
    notice["approval_id"].as_str().unwrap_or_else(|| panic!("{notice}"))
}

#[test]
fn not_a_byte_goes_to_the_target_from_the_notice_to_the_vote() {
    let stack = shared();
    let tap = Tap::before(database_port(stack));
    let wanted = Wanted { port: Some(tap.port), ..Wanted::default() };
    let target = Target::declare(stack, "tapped", &wanted);
    let mut session = target.session();
    let before = tap.passed().len();
    assert_eq!(session.value("SELECT status FROM tapped WHERE id = 1").as_deref(), Some("new"));
    assert!(tap.passed().len() > before, "the control: a read moves bytes");

    let notice = session.held(&target.update(1, "approved"));
    let (passed, connections) = (tap.passed(), tap.connections());
    // Nothing is to happen, which has no event: the window in which it does not.
    let window = Instant::now() + Duration::from_secs(2);
    while Instant::now() < window {
        assert_eq!(stack.approval(approval_of(&notice))["state"], "APPROVAL_STATE_PENDING");
    }
    assert_eq!(tap.passed(), passed, "bytes moved while nobody had decided");
    assert_eq!(tap.connections(), connections);
    assert_eq!(target.status(1), "new");

    stack.approve("dana", approval_of(&notice));
    let answer = session.finish();
    assert_eq!(answer.tags, ["UPDATE 1"], "{answer:?}");
    assert_eq!(tap.connections(), connections + 1, "it runs on a connection of its own, made after the vote");
    let written =
        tap.passed()[passed.len()..].iter().any(|bytes| bytes.to_server && bytes.connection == connections);
    assert!(written, "the control: what was approved moves bytes on it");
    assert_eq!(target.status(1), "approved");
}

#[test]
fn an_approved_write_runs_once_as_the_approved_identity_with_a_token_issued_after_the_vote() {
    let stack = shared();
    let target = Target::declare(stack, "minted", &Wanted::default());
    let mut session = target.session();
    let standing = session.value("SELECT session_user");
    assert_eq!(standing.as_deref(), Some("minted_standing"));
    let notice = session.held("INSERT INTO minted (id, status) VALUES (10, 'once')");
    assert_eq!(
        target.issued("approved"),
        Vec::<u64>::new(),
        "nothing is minted before somebody has approved"
    );
    stack.approve("dana", approval_of(&notice));
    let answer = session.finish();
    assert_eq!(answer.tags, ["INSERT 0 1"], "{answer:?}");
    let wrote = stack.owner("SELECT count(*), min(who) FROM minted WHERE status = 'once'");
    assert_eq!(wrote, "1|minted_approved");
    let voted = stack.owner(&format!(
        "SELECT floor(extract(epoch FROM timestamptz '{}') * 1000)::bigint",
        stack.approval(approval_of(&notice))["votes"][0]["at"].as_str().expect("a time")
    ));
    let issued = target.issued("approved");
    assert_eq!(issued.len(), 1, "{issued:?}");
    assert!(issued[0] >= voted.parse().expect("a time"), "minted at {issued:?}, voted at {voted}");
    assert_eq!(session.value("SELECT session_user"), standing, "the session goes on where it was");
}

#[test]
fn what_is_denied_does_not_run_and_one_vote_against_is_final() {
    let (stack, target) = (shared(), &*HELD);
    let mut session = target.session();
    let notice = session.held(&target.update(1, "denied"));
    let id = approval_of(&notice);
    stack.deny("omar", id);
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "denied", "approval_denied"));
    assert_eq!(answer.refusal().1["approval_id"], id);
    assert_eq!(answer.status, "I", "and the session goes on");
    let after = stack.cli_as("dana", &["approvals", "approve", id, "--reason", "but I like it"]);
    assert!(!after.status.success(), "what was denied can be approved: {}", text(&after.stdout));
    let denied = stack.settled(id, "DENIED");
    assert_eq!(denied["votes"].as_array().map(Vec::len), Some(1), "{denied}");
    assert_eq!(denied["votes"][0]["reason"], "not today");
    assert_eq!(target.status(1), "new");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn what_nobody_decides_in_time_is_refused() {
    let stack = shared();
    let wanted = Wanted { spec: json!({ "pendingTtl": "2s" }), ..Wanted::default() };
    let target = Target::declare(stack, "brief", &wanted);
    let mut session = target.session();
    let notice = session.held(&target.update(1, "expired"));
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "expired", "approval_expired"));
    stack.settled(approval_of(&notice), "EXPIRED");
    let late = stack.cli_as("dana", &["approvals", "approve", approval_of(&notice), "--reason", "late"]);
    assert!(!late.status.success(), "{}", text(&late.stdout));
    assert_eq!((target.status(1).as_str(), target.open_approvals().len()), ("new", 0));
}

#[test]
fn what_a_client_does_not_wait_for_is_withdrawn() {
    let (stack, target) = (shared(), &*HELD);
    let mut session = target.session_with(&["options=-c countersign.wait=1s"]);
    let notice = session.held(&target.update(2, "impatient"));
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "pending", "approval_pending"));
    stack.settled(approval_of(&notice), "CANCELLED");
    assert_eq!(target.status(2), "new");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"), "the session goes on");
}

#[test]
fn a_client_that_cancels_ends_the_wait_and_no_more() {
    let (stack, target) = (shared(), &*HELD);
    let mut psql =
        Waiting::start(&target.dsn(), &stack.token("writer"), Some(&target.update(3, "interrupted")));
    let id = psql.held();
    psql.signal("-INT");
    let ended = psql.finish();
    assert_eq!(ended.sqlstate(), Some("57014"), "{ended:?}");
    stack.settled(&id, "CANCELLED");

    let mut session = target.session();
    let notice = session.held(&target.update(3, "cancelled"));
    session.cancel();
    let answer = session.finish();
    assert_eq!(answer.refused(), says("57014", "cancelled", "cancelled"));
    stack.settled(approval_of(&notice), "CANCELLED");
    assert_eq!(target.status(3), "new");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"), "the session goes on");
}

#[test]
fn a_client_that_goes_away_takes_its_request_with_it() {
    let (stack, target) = (shared(), &*HELD);
    let mut psql = Waiting::start(&target.dsn(), &stack.token("writer"), Some(&target.update(4, "killed")));
    let killed = psql.held();
    psql.signal("-KILL");
    let mut session = target.session();
    let broken = approval_of(&session.held(&target.update(4, "broken"))).to_owned();
    session.reset();
    for id in [&killed, &broken] {
        stack.settled(id, "CANCELLED");
        let late = stack.cli_as("dana", &["approvals", "approve", id, "--reason", "late"]);
        assert!(!late.status.success(), "{}", text(&late.stdout));
    }
    assert_eq!(target.status(4), "new");
    let left = target.open_approvals();
    let of_ours = |approval: &&Value| [&killed, &broken].iter().any(|id| approval["id"] == id.as_str());
    assert_eq!(left.iter().filter(of_ours).count(), 0, "{left:?}");
}

#[test]
fn the_one_who_waits_is_told_at_once_and_every_fifteen_seconds() {
    let (stack, target) = (shared(), &*HELD);
    let mut session = target.session();
    session.send(&target.update(5, "told"));
    let first = session.next();
    let told = crate::wire::detail(&first);
    assert_eq!((&first["S"], &first["C"]), (&json!("NOTICE"), &json!("01000")), "{first}");
    assert_eq!(told["decision"], "pending", "{told}");
    for (field, start) in [("approval_id", "ap_"), ("session_id", "se_"), ("expires_at", "20")] {
        assert!(told[field].as_str().is_some_and(|value| value.starts_with(start)), "{field}: {told}");
    }
    let again = session.next();
    assert_eq!(crate::wire::detail(&again)["approval_id"], told["approval_id"], "{again}");
    let apart = again["at"].as_f64().expect("seconds") - first["at"].as_f64().expect("seconds");
    assert!((14.0..20.0).contains(&apart), "{apart} seconds");
    stack.approve("omar", approval_of(&told));
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
}

#[test]
fn the_card_shows_exactly_what_would_run() {
    let (stack, target) = (shared(), &*HELD);
    let mut session = target.session();
    let text_of_it = "it's „Größe\u{202e}“ \u{1b}[2J 数据";
    let sql = format!(
        "UPDATE \"held\" -- one row\n\tSET status = '{}'\r\n WHERE id = 6 /* \"quoted\" */",
        text_of_it.replace('\'', "''")
    );
    let notice = session.held(&sql);
    let id = approval_of(&notice);
    let shown = stack.approval(id);
    assert_eq!(shown["card"]["statement"], sql, "byte for byte");
    assert_eq!(shown["card"]["role"], "held_approved");
    assert_eq!(shown["card"]["database"], "shop");
    assert_eq!(shown["session"]["id"], notice["session_id"]);
    let pairs = |field: &str| -> Vec<String> {
        let pairs = shown[field].as_array().unwrap_or_else(|| panic!("{shown}")).iter();
        let mut pairs: Vec<String> = pairs
            .map(|pair| {
                format!("{} {}", pair["action"].as_str().unwrap(), pair["resource"].as_str().unwrap())
            })
            .collect();
        pairs.sort();
        pairs
    };
    let held = ["postgres:update Column shop.public.held.status", "postgres:update Table shop.public.held"];
    assert_eq!(pairs("held"), held);
    let touched = [held[0], held[1], "postgres:select Table shop.public.held"];
    let mut touched: Vec<String> = touched.map(str::to_owned).into();
    touched.sort();
    assert_eq!(pairs("facts"), touched);

    let table = stack.cli(&["approvals", "show", id]);
    let table = text(&table.stdout);
    assert!(table.contains("Größe") && table.contains("数据"), "{table}");
    assert!(
        !table.contains('\u{202e}') && !table.contains('\u{1b}'),
        "what drives a terminal is escaped: {table}"
    );

    stack.approve("dana", id);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    assert_eq!(target.status(6), text_of_it);
    let used = stack.settled(id, "CONSUMED");
    assert!(used.get("card").is_none(), "what was asked is gone with the decision: {used}");
}

#[test]
fn approving_one_of_two_that_are_alike_lets_that_one_run() {
    let (stack, target) = (shared(), &*HELD);
    let sql = "UPDATE held SET status = status || '+' WHERE id = 7";
    let (mut one, mut other) = (target.session(), target.session());
    let (first, second) = (one.held(sql), other.held(sql));
    let (first, second) = (approval_of(&first), approval_of(&second));
    let fingerprint =
        |id: &str| stack.approval(id)["fingerprint"].as_str().expect("a fingerprint").to_owned();
    assert_ne!(fingerprint(first), fingerprint(second), "the same text of two sessions is two operations");

    let dana = stack.user_token("dana");
    let crossed =
        json!({ "id": first, "fingerprint": fingerprint(second), "approve": true, "reason": "crossed" });
    let (taken, said) = stack.grpc(&dana, "ApprovalService/Vote", &crossed);
    assert!(!taken, "a vote that is bound to another operation counts: {said}");
    assert_eq!(stack.approval(first)["state"], "APPROVAL_STATE_PENDING");

    stack.approve("dana", first);
    assert_eq!(one.finish().tags, ["UPDATE 1"]);
    assert_eq!(stack.approval(second)["state"], "APPROVAL_STATE_PENDING");
    assert_eq!(other.next_within(Duration::from_secs(1)), None, "the other one waits on");
    assert_eq!(target.status(7), "new+");
    stack.deny("dana", second);
    assert_eq!(other.finish().refused(), says("42501", "denied", "approval_denied"));
    assert_eq!(target.status(7), "new+");
}

#[test]
fn an_approval_is_used_once() {
    let (stack, target) = (shared(), &*HELD);
    let sql = "UPDATE held SET status = status || '!' WHERE id = 8";
    let mut session = target.session();
    let notice = session.held(sql);
    let id = approval_of(&notice).to_owned();
    stack.approve("dana", &id);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    stack.settled(&id, "CONSUMED");
    let again = stack.cli_as("omar", &["approvals", "approve", &id, "--reason", "again"]);
    assert!(!again.status.success(), "a used approval takes another vote: {}", text(&again.stdout));

    let notice = session.held(sql);
    assert_ne!(approval_of(&notice), id, "the same statement needs an approval of its own");
    stack.deny("omar", approval_of(&notice));
    assert_eq!(session.finish().status, "I");
    assert_eq!(target.status(8), "new!");
    stack.settled(&id, "CONSUMED");
}

#[test]
fn what_changes_while_it_waits_voids_the_approval() {
    let stack = shared();
    let target = Target::declare(stack, "shifting", &Wanted::default());
    stack.owner("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
    for change in [
        "ALTER TABLE shifting ADD COLUMN more text",
        "CREATE TRIGGER meddles BEFORE UPDATE ON shifting FOR EACH ROW EXECUTE FUNCTION meddle()",
        "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    ] {
        let mut session = target.session();
        let notice = session.held(&target.update(1, "shifted"));
        stack.owner(change);
        stack.approve("dana", approval_of(&notice));
        let answer = session.finish();
        assert_eq!(answer.refused(), says("42501", "superseded", "object_changed"), "{change}");
        stack.settled(approval_of(&notice), "SUPERSEDED");
        assert_eq!(target.status(1), "new", "{change}");
    }
    assert_eq!(target.issued("approved").len(), 0, "nothing was minted for what did not run");
}

#[test]
fn a_policy_that_got_stricter_while_it_waits_voids_the_approval() {
    let stack = shared();
    for (name, more, reason) in [
        (
            "stricter",
            "@approvers(\"security\") forbid (principal, action, resource == Table::\"TARGET/shop/public/TARGET\") unless { context.approved };",
            "policy_changed",
        ),
        (
            "forbidding",
            "forbid (principal, action, resource == Table::\"TARGET/shop/public/TARGET\");",
            "forbidden",
        ),
    ] {
        let target = Target::declare(stack, name, &Wanted::default());
        let mut session = target.session();
        let notice = session.held(&target.update(1, "too late"));
        target.add_policies(&format!("{name}-more"), more);
        let voted = stack.cli_as("dana", &["approvals", "approve", approval_of(&notice), "--reason", "fine"]);
        let answer = session.finish();
        assert_eq!(answer.refused(), says("42501", "superseded", reason), "{name} {}", text(&voted.stderr));
        stack.settled(approval_of(&notice), "SUPERSEDED");
        assert_eq!(target.status(1), "new");
        assert_eq!(target.issued("approved").len(), 0);
    }
}

#[test]
fn nothing_is_held_for_who_may_not_have_it_anyway() {
    let (stack, target) = (shared(), &*HELD);
    let mut reader = Wire::open(&target.dsn(), &stack.token("reader"), &[]);
    let answer = reader.query(&target.update(9, "never"));
    assert_eq!(answer.refused(), says("42501", "denied", "not_permitted"));
    let mut writer = target.session();
    let answer = writer.query("DELETE FROM held");
    assert_eq!(answer.refused(), says("42501", "denied", "forbidden"));
    assert!(answer.notices.is_empty(), "nobody is asked about what no vote could permit: {answer:?}");
}
