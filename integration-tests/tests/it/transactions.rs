//! Transactions in which something waits for people: one to the client, wherever it runs.

use std::sync::LazyLock;

use crate::{
    stack::shared,
    target::{Target, Wanted},
    wire::{Wire, says},
};

/// The target of the tests here that need none of their own; each has rows of its own.
static LEDGER: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "ledger", &Wanted::default()));

/// Has dana approve a statement, which then has to succeed in a transaction.
fn approved(session: &mut Wire, sql: &str) -> crate::wire::Answer {
    let notice = session.held(sql);
    shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
    let answer = session.finish();
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    answer
}

fn denied(session: &mut Wire, sql: &str) -> crate::wire::Answer {
    let notice = session.held(sql);
    shared().deny("dana", notice["approval_id"].as_str().expect("an id"));
    session.finish()
}

fn ok(session: &mut Wire, sql: &str, status: &str) {
    let answer = session.query(sql);
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    assert_eq!(answer.status, status, "{sql}: {answer:?}");
}

/// Which role the session's statements run as now.
fn role(session: &mut Wire) -> String {
    session.value("SELECT session_user").expect("a role")
}

#[test]
fn a_transaction_with_an_approved_statement_commits_whole() {
    let target = &*LEDGER;
    let mut session = target.session();
    ok(&mut session, "BEGIN", "T");
    let answer = approved(&mut session, &target.update(1, "committed"));
    assert_eq!((answer.tags, answer.status.as_str()), (vec!["UPDATE 1".to_owned()], "T"));
    assert_eq!(target.status(1), "new", "not before it commits");
    let seen = session.value("SELECT status FROM ledger WHERE id = 1");
    assert_eq!(seen.as_deref(), Some("committed"), "the transaction sees its own write");
    ok(&mut session, "COMMIT", "I");
    assert_eq!(target.status(1), "committed");
}

#[test]
fn a_transaction_that_has_only_read_moves_over_and_back() {
    let target = &*LEDGER;
    let mut session = target.session();
    assert_eq!(role(&mut session), "ledger_standing");
    ok(&mut session, "BEGIN", "T");
    assert_eq!(session.value("SELECT status FROM ledger WHERE id = 2").as_deref(), Some("new"));
    approved(&mut session, &target.update(2, "moved"));
    assert_eq!(role(&mut session), "ledger_approved", "the rest of the transaction is where it was approved");
    ok(&mut session, "COMMIT", "I");
    assert_eq!(target.status(2), "moved");
    assert_eq!(role(&mut session), "ledger_standing", "and the session is back after it");
    let answer = denied(&mut session, &target.update(2, "again"));
    assert_eq!(
        answer.refused(),
        says("42501", "denied", "approval_denied"),
        "what is next is asked about anew"
    );
}

#[test]
fn what_is_rolled_back_after_it_was_approved_leaves_nothing() {
    let target = &*LEDGER;
    let mut session = target.session();
    ok(&mut session, "BEGIN", "T");
    approved(&mut session, &target.update(3, "rolled back"));
    ok(&mut session, "ROLLBACK", "I");
    assert_eq!(target.status(3), "new");
    assert_eq!(role(&mut session), "ledger_standing");
}

#[test]
fn savepoints_keep_their_names_where_the_transaction_moves() {
    let target = &*LEDGER;
    let mut session = target.session();
    ok(&mut session, "BEGIN", "T");
    ok(&mut session, "SAVEPOINT \"first One\"", "T");
    assert_eq!(session.value("SELECT count(*) FROM ledger WHERE id = 4").as_deref(), Some("1"));
    ok(&mut session, "SAVEPOINT second", "T");
    approved(&mut session, &target.update(4, "undone"));
    ok(&mut session, "ROLLBACK TO second", "T");
    assert_eq!(session.value("SELECT status FROM ledger WHERE id = 4").as_deref(), Some("new"));
    ok(&mut session, "RELEASE second", "T");
    ok(&mut session, "ROLLBACK TO SAVEPOINT \"first One\"", "T");
    ok(&mut session, "COMMIT", "I");
    assert_eq!(target.status(4), "new");
}

#[test]
fn a_transaction_that_cannot_move_is_refused_before_anybody_is_asked() {
    let stack = shared();
    let target = Target::declare(stack, "fixed", &Wanted::default());
    let mut session = target.session();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        ok(&mut session, &format!("BEGIN ISOLATION LEVEL {level}"), "T");
        session.value("SELECT count(*) FROM fixed");
        let answer = session.query(&target.update(1, "stale"));
        assert_eq!(answer.refused(), says("25001", "denied", "session_state"), "{level}");
        assert_eq!((answer.notices.len(), answer.status.as_str()), (0, "E"), "{level}");
        ok(&mut session, "ROLLBACK", "I");
    }
    assert_eq!(target.approvals().len(), 0, "somebody was asked");
    // The control: what has not read can.
    ok(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ", "T");
    approved(&mut session, &target.update(1, "fresh"));
    assert_eq!(session.value("SHOW transaction_isolation").as_deref(), Some("repeatable read"));
    ok(&mut session, "COMMIT", "I");
    assert_eq!(target.status(1), "fresh");
}

#[test]
fn a_second_write_in_the_same_transaction_needs_a_vote_and_no_login() {
    let stack = shared();
    let target = Target::declare(stack, "twice", &Wanted::default());
    let mut session = target.session();
    ok(&mut session, "BEGIN", "T");
    approved(&mut session, "INSERT INTO twice (id, status) VALUES (10, 'first')");
    approved(&mut session, "INSERT INTO twice (id, status) VALUES (11, 'second')");
    ok(&mut session, "COMMIT", "I");
    assert_eq!(target.approvals().len(), 2);
    assert_eq!(target.issued("approved").len(), 1, "one login for the transaction");
    let wrote = stack.owner("SELECT count(DISTINCT connection), min(who), max(who) FROM twice WHERE id > 9");
    assert_eq!(wrote, "1|twice_approved|twice_approved");
    approved(&mut session, "INSERT INTO twice (id, status) VALUES (12, 'third')");
    assert_eq!(target.issued("approved").len(), 2, "nothing is kept for the next one");
}

#[test]
fn a_denial_fails_the_transaction_as_an_error_would() {
    let target = &*LEDGER;
    for before in [None, Some(target.update(5, "approved before"))] {
        let mut session = target.session();
        ok(&mut session, "BEGIN", "T");
        if let Some(before) = &before {
            approved(&mut session, before);
        }
        let answer = denied(&mut session, &target.update(6, "denied"));
        assert_eq!(answer.refused(), says("42501", "denied", "approval_denied"));
        assert_eq!(answer.status, "E");
        let answer = session.query("SELECT 1");
        assert_eq!(answer.errors[0]["C"], "25P02", "{answer:?}");
        let answer = session.query("COMMIT");
        assert_eq!((answer.tags, answer.status.as_str()), (vec!["ROLLBACK".to_owned()], "I"));
        assert_eq!((target.status(5), target.status(6)), ("new".to_owned(), "new".to_owned()));
        assert_eq!(role(&mut session), "ledger_standing");
    }
}

#[test]
fn the_settings_of_a_session_go_with_what_was_approved() {
    let target = &*LEDGER;
    let mut session = target.session();
    ok(&mut session, "SET TimeZone TO 'Asia/Tokyo'", "I");
    let sql = "UPDATE ledger SET at = '2026-01-01 00:00:00' WHERE id = 7 RETURNING at";
    let answer = approved(&mut session, sql);
    assert_eq!(answer.rows, [[Some("2026-01-01 00:00:00+09".to_owned())]], "{answer:?}");
    let kept = shared().owner("SET TimeZone TO 'UTC'; SELECT at FROM ledger WHERE id = 7");
    assert!(kept.ends_with("2025-12-31 15:00:00+00"), "{kept}");
    assert_eq!(session.value("SHOW TimeZone").as_deref(), Some("Asia/Tokyo"));
}

#[test]
fn a_string_of_statements_waits_and_runs_as_one() {
    let target = &*LEDGER;
    let mut session = target.session();
    let sql = format!("{}; {}; SELECT session_user", target.update(8, "one"), target.update(9, "two"));
    let notice = session.held(&sql);
    let id = notice["approval_id"].as_str().expect("an id");
    assert_eq!(shared().approval(id)["card"]["statement"], sql);
    shared().approve("dana", id);
    let answer = session.finish();
    assert_eq!(answer.tags, ["UPDATE 1", "UPDATE 1", "SELECT 1"], "{answer:?}");
    assert_eq!(answer.rows, [[Some("ledger_approved".to_owned())]]);
    assert_eq!((target.status(8).as_str(), target.status(9).as_str()), ("one", "two"));
}

#[test]
fn an_error_of_the_database_in_what_was_approved_is_the_clients() {
    let target = &*LEDGER;
    let mut session = target.session();
    let notice = session.held("INSERT INTO ledger (id, status) VALUES (1, 'there already')");
    shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
    let answer = session.finish();
    assert_eq!(answer.errors[0]["C"], "23505", "{answer:?}");
    assert_eq!(answer.status, "I");
    assert_eq!(role(&mut session), "ledger_standing");
}

#[test]
fn an_approval_does_not_outlive_its_transaction_by_any_ending_of_it() {
    let stack = shared();
    let target = Target::declare(stack, "ended", &Wanted::default());
    let mut stayed = Vec::new();
    for (ending, row) in [
        ("COMMIT AND CHAIN", 1),
        ("ROLLBACK AND CHAIN", 2),
        ("COMMIT; BEGIN", 3),
        ("ROLLBACK; BEGIN", 4),
        ("END; START TRANSACTION", 5),
    ] {
        let mut session = target.session();
        ok(&mut session, "BEGIN", "T");
        approved(&mut session, &target.update(row, "approved"));
        let ended = session.query(ending);
        if ended.status == "T" && role(&mut session) != "ended_standing" {
            stayed.push(ending);
        }
        let smuggled = format!("{ending}; {}", target.update(row, "smuggled"));
        for sql in [target.update(row, "smuggled"), smuggled] {
            session.send(&sql);
            let said = session.next();
            match said["kind"].as_str() {
                Some("notice") => {
                    let notice = crate::wire::detail(&said);
                    stack.deny("omar", notice["approval_id"].as_str().expect("an id"));
                    assert_eq!(session.finish().errors[0]["C"], "42501", "{sql}");
                }
                Some("error") => drop(session.finish()),
                _ => panic!("{sql} ran: {said}"),
            }
        }
        assert_ne!(target.status(row), "smuggled", "{ending}");
    }
    assert!(stayed.is_empty(), "the next transaction is on the approved connection after {stayed:?}");
}

#[test]
fn nothing_but_what_policy_allows_joins_what_was_approved() {
    let target = &*LEDGER;
    for (sql, code, reason) in [
        ("DELETE FROM ledger", "42501", "forbidden"),
        ("UPDATE orders SET total = 0 WHERE id = 1", "42501", "not_permitted"),
        ("SELECT * FROM hr.payroll", "42501", "not_permitted"),
        ("PREPARE TRANSACTION 'kept'", "42501", "unparsed"),
        ("SET SESSION AUTHORIZATION DEFAULT", "25001", "session_state"),
        ("SET LOCAL ROLE ledger_standing", "42501", "not_permitted"),
    ] {
        let mut session = target.session();
        ok(&mut session, "BEGIN", "T");
        approved(&mut session, "UPDATE ledger SET who = who WHERE id = 1");
        let answer = session.query(sql);
        assert_eq!(answer.refused(), says(code, "denied", reason), "{sql}");
        assert_eq!(answer.status, "E", "{sql}");
        ok(&mut session, "ROLLBACK", "I");
    }
}
