//! What is decided about a pipeline: when, with what in front of people, and what becomes of the rest of it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{bind, close, describe, execute, flush, hear, parse, query, run, sync};
use crate::{
    stack::{shared, wait_until},
    target::{Target, Wanted},
    wire::{Wire, detail, says, short},
};

/// The target of the tests here; each has rows of its own.
static DECIDED: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "decided", &Wanted::default()).with_free_table());

const UPDATE: &str = "UPDATE decided SET status = $1, at = $3 WHERE id = $2 RETURNING status";

/// Statements and why they are refused: when they are parsed, so that nothing of them is described.
const REFUSED: [(&str, &str); 6] = [
    ("SELECT * FROM hr.payroll WHERE employee = $1", "not_permitted"),
    ("UPDATE orders SET total = $1", "not_permitted"),
    ("DELETE FROM decided_free", "forbidden"),
    // PostgreSQL would say 42P01; the edge does not tell what there is.
    ("SELECT * FROM no_such_table WHERE id = $1", "unresolved"),
    ("DECLARE c CURSOR FOR SELECT 1", "unparsed"),
    ("LISTEN anything", "unparsed"),
];

fn insert(id: &str, note: &str) -> [Value; 3] {
    run("INSERT INTO decided_free VALUES ($1, $2)", &[id, note])
}

fn kept(note: &str) -> String {
    shared().owner(&format!("SELECT count(*) FROM decided_free WHERE note = '{note}'"))
}

/// Waits for the notice that something is held, whatever comes before it: that in short, and the approval's id.
fn held(session: &mut Wire) -> (String, String) {
    let mut before = Vec::new();
    loop {
        let message = session.next();
        if message["kind"] == "notice" {
            let said = detail(&message);
            return (before.join(", "), said["approval_id"].as_str().expect("an id").to_owned());
        }
        before.push(short(&message));
        assert!(message["kind"] != "ready" && message["kind"] != "closed", "nothing is held: {before:?}");
    }
}

#[test]
fn a_refusal_fails_the_pipeline_that_it_stands_in() {
    let mut session = DECIDED.session();
    for (sql, reason) in REFUSED {
        let refused = [parse("r", sql), describe("S", "r"), bind("", "r", &["1"]), execute("", 0)];
        let pipeline = [&insert("10", "refused")[..], &refused, &insert("11", "refused"), &[sync()]].concat();
        session.put(&pipeline);
        let answer = session.finish();
        assert_eq!(answer.refused(), says("42501", "denied", reason), "{sql}");
        assert_eq!((answer.tags, &*answer.status), (vec!["INSERT 0 1".to_owned()], "I"), "{sql}");
        assert_eq!(kept("refused"), "0", "{sql}: what came before is kept");
        session.put(&[bind("", "r", &["1"]), sync()]);
        assert_eq!(session.finish().errors[0]["C"], "26000", "{sql} is a statement all the same");
    }
    // The control: alone it is kept, and so is what came before a Sync.
    session.put(&[&insert("12", "alone")[..], &[sync(), parse("", REFUSED[0].0), sync()]].concat());
    assert_eq!(session.finish().status, "I");
    assert_eq!(session.finish().refused(), says("42501", "denied", "not_permitted"));
    assert_eq!(kept("alone"), "1");
}

#[test]
fn a_refusal_fails_the_transaction_that_it_stands_in() {
    for (sql, reason) in REFUSED {
        let mut session = DECIDED.session();
        session.put(&[&run("BEGIN", &[])[..], &insert("20", "within"), &[parse("", sql), sync()]].concat());
        let answer = session.finish();
        assert_eq!(answer.refused(), says("42501", "denied", reason), "{sql}");
        assert_eq!(answer.status, "E", "{sql}");
        session.put(&[&run("SELECT 1", &[])[..], &[sync()]].concat());
        assert_eq!(hear(&mut session, 2), "error 25P02, ready E", "{sql}");
        session.put(&[&run("COMMIT", &[])[..], &[sync()]].concat());
        assert_eq!(hear(&mut session, 4), "parsed, bound, complete ROLLBACK, ready I", "{sql}");
        assert_eq!(kept("within"), "0", "{sql}");
    }
    let mut session = DECIDED.session();
    let savepoint = [&run("BEGIN", &[])[..], &insert("21", "saved"), &run("SAVEPOINT s", &[])].concat();
    session.put(&[&savepoint[..], &[parse("", REFUSED[0].0), sync()]].concat());
    assert_eq!(session.finish().status, "E");
    session.put(&[&run("ROLLBACK TO s", &[])[..], &run("COMMIT", &[]), &[sync()]].concat());
    let answer = session.finish();
    assert_eq!((answer.tags, &*answer.status), (vec!["ROLLBACK".to_owned(), "COMMIT".to_owned()], "I"));
    assert_eq!(kept("saved"), "1");
}

#[test]
fn a_prepared_statement_is_decided_each_time_that_it_is_executed() {
    let stack = shared();
    let target = Target::declare(stack, "again", &Wanted::default());
    let mut session = target.session();
    session.put(&[parse("s", "SELECT status FROM again WHERE id = $1"), sync()]);
    assert_eq!(hear(&mut session, 2), "parsed, ready I");
    let again = [bind("", "s", &["1"]), execute("", 0), sync()];
    session.put(&again);
    assert_eq!(hear(&mut session, 4), "bound, row new, complete SELECT 1, ready I");
    let forbid = "forbid (principal, action, resource == Table::\"TARGET/shop/public/TARGET\");";
    target.add_policies("again-more", forbid);
    let refused = wait_until("the policy to act", std::time::Duration::from_secs(20), || {
        session.put(&again);
        let answer = session.finish();
        (!answer.errors.is_empty()).then_some(answer)
    });
    assert_eq!(refused.refused(), says("42501", "denied", "forbidden"));
    assert!(refused.rows.is_empty(), "{refused:?}");
}

#[test]
fn what_is_not_spoken_is_refused_and_the_session_goes_on() {
    let mut session = DECIDED.session();
    // FunctionCall names a function by its oid and passes by the parser: random() here.
    session.put(&[json!(["call", 1598])]);
    assert_eq!(hear(&mut session, 2), "error 0A000, ready I");
    for copy in ["COPY decided_free TO STDOUT", "COPY decided_free FROM STDIN"] {
        session.put(&[&run(copy, &[])[..], &[sync()]].concat());
        let answer = session.finish();
        let code = answer.errors[0]["C"].as_str().expect("SQLSTATE");
        assert!(["0A000", "42501"].contains(&code), "{answer:?}");
        assert_eq!(answer.status, "I");
    }
    session.put(&[&run("SELECT 7", &[])[..], &[sync()]].concat());
    assert_eq!(hear(&mut session, 5), "parsed, bound, row 7, complete SELECT 1, ready I");
}

#[test]
fn what_is_held_waits_at_its_execution_with_everything_that_it_is_executed_with() {
    let (stack, target) = (shared(), &*DECIDED);
    let mut session = target.session();
    let declared = json!(["parse", "u", UPDATE, [0, 23]]);
    session.put(&[declared, describe("S", "u"), flush()]);
    assert_eq!(
        hear(&mut session, 3),
        "parsed, parameters 25 23 1184, columns status:25:0",
        "what may be approved can be prepared without asking anybody"
    );
    let bound = json!(["bind", "", "u", ["it's „ü“ \u{202e}", { "binary": "00000001" }, null], [1]]);
    session.put(&[bound, describe("P", ""), execute("", 5), sync()]);
    let (before, id) = held(&mut session);
    assert!(["bound", "bound, columns status:25:1"].contains(&before.as_str()), "{before}");
    let card = &stack.approval(&id)["card"];
    assert_eq!(card["statement"], UPDATE, "byte for byte");
    assert_eq!(
        card["parameters"],
        json!([
            { "type": 25, "value": "aXQncyDigJ7DvOKAnCDigK4=" },
            { "type": 23, "declaredType": 23, "format": 1, "value": "AAAAAQ==" },
            { "type": 1184, "isNull": true },
        ])
    );
    assert_eq!((&card["resultFormats"], &card["rowLimit"]), (&json!([1]), &json!(5)));
    assert_eq!(target.status(1), "new");
    stack.approve("dana", &id);
    let answer = session.finish();
    assert_eq!((answer.tags, &*answer.status), (vec!["UPDATE 1".to_owned()], "I"));
    assert_eq!(target.status(1), "it's „ü“ \u{202e}");
    stack.settled(&id, "CONSUMED");
}

#[test]
fn each_execution_of_what_is_held_needs_a_vote_of_its_own() {
    let (stack, target) = (shared(), &*DECIDED);
    let mut session = target.session();
    session.put(&[parse("u", UPDATE), sync()]);
    assert_eq!(session.finish().status, "I");
    let update = |text: &str| [json!(["bind", "", "u", [text, "2", null]]), execute("", 0), sync()];
    session.put(&update("first"));
    let (_, first) = held(&mut session);
    stack.approve("dana", &first);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    session.put(&update("second"));
    let (_, second) = held(&mut session);
    assert_ne!(first, second);
    stack.deny("omar", &second);
    assert_eq!(session.finish().refused(), says("42501", "denied", "approval_denied"));
    assert_eq!(target.status(2), "first");
    // Two in one pipeline are asked about one after the other.
    session.put(&[&update("third")[..2], &update("fourth")].concat());
    let (_, third) = held(&mut session);
    assert_eq!(target.open_approvals().iter().filter(|open| open["id"] == third.as_str()).count(), 1);
    stack.approve("dana", &third);
    let (before, fourth) = held(&mut session);
    assert!(before.starts_with("row third, complete UPDATE 1"), "{before}");
    stack.approve("dana", &fourth);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    assert_eq!(target.status(2), "fourth");
}

#[test]
fn a_denial_fails_the_pipeline_and_what_could_not_move_is_refused_unasked() {
    let (stack, target) = (shared(), &*DECIDED);
    let mut session = target.session();
    let update = [parse("u", UPDATE), json!(["bind", "", "u", ["denied", "3", null]]), execute("", 0)];
    session.put(&[&run("SELECT 1", &[])[..], &update, &insert("30", "behind"), &[sync()]].concat());
    let (before, id) = held(&mut session);
    assert!(before.starts_with("parsed, bound, row 1, complete SELECT 1, parsed"), "{before}");
    stack.deny("dana", &id);
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "denied", "approval_denied"));
    assert_eq!(answer.status, "I");
    assert_eq!((target.status(3).as_str(), kept("behind").as_str()), ("new", "0"));
    // What has written where policy alone let it cannot move to where approved operations run.
    session.put(&[&insert("31", "written")[..], &update[1..], &[sync()]].concat());
    let answer = session.finish();
    assert_eq!(answer.refused(), says("25001", "denied", "session_state"));
    assert_eq!((answer.notices.len(), &*answer.status), (0, "I"));
    assert_eq!(kept("written"), "0");
    // After the error the statement is there still, and can be asked about.
    session.put(&[&update[1..], &[sync()]].concat());
    let (_, id) = held(&mut session);
    stack.approve("dana", &id);
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
}

#[test]
fn a_cancel_ends_the_wait_of_a_pipeline_and_the_pipeline() {
    let (stack, target) = (shared(), &*DECIDED);
    let mut session = target.session();
    let update = [parse("", UPDATE), json!(["bind", "", "", ["cancelled", "4", null]]), execute("", 0)];
    session.put(&[&update[..], &insert("40", "behind it"), &[sync()]].concat());
    let (_, id) = held(&mut session);
    session.cancel();
    let answer = session.finish();
    assert_eq!(answer.refused(), says("57014", "cancelled", "cancelled"));
    assert_eq!(answer.status, "I");
    stack.settled(&id, "CANCELLED");
    assert_eq!((target.status(4).as_str(), kept("behind it").as_str()), ("new", "0"));
    session.put(&[query("SELECT 1"), close("S", ""), sync()]);
    assert_eq!(session.finish().status, "I");
    assert_eq!(hear(&mut session, 2), "shut, ready I");
}

#[test]
fn what_was_approved_may_be_left_before_its_end_and_is_not_fetched_later() {
    let (stack, target) = (shared(), &*DECIDED);
    let mut session = target.session();
    let sql = "UPDATE decided SET status = $1 WHERE id IN (5, 6, 7) RETURNING status";
    let update = |text: &str| [parse("", sql), bind("p", "", &[text]), execute("p", 2)];
    session.put(&[&update("left")[..], &[sync()]].concat());
    let (_, id) = held(&mut session);
    stack.approve("dana", &id);
    assert_eq!(hear(&mut session, 4), "row left, row left, suspended, ready I");
    assert_eq!(target.status(7), "left", "all of it ran, whatever was read of it");
    // PostgreSQL would go on in the portal; the vote was for one execution, so the edge does not.
    session.put(&[&update("more")[..], &[execute("p", 2), sync()]].concat());
    let (_, id) = held(&mut session);
    stack.approve("dana", &id);
    assert_eq!(hear(&mut session, 5), "row more, row more, suspended, error 0A000, ready I");
    assert_eq!(target.status(7), "left");
}

#[test]
fn a_client_that_asks_for_gssapi_first_is_served_over_tls() {
    let mut session = Wire::open_after_gss(&DECIDED.dsn(), &shared().token("writer"));
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
}
