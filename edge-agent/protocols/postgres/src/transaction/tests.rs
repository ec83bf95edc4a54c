use super::*;
use countersign_sql::{Limits, analyse};

/// A transaction after these strings, each with whether only reading was done and how the target left it.
fn after(ran: &[(&str, bool, Status)]) -> Transaction<String> {
    let mut transaction = Transaction::default();
    for (text, only_reads, status) in ran {
        let analysis = analyse(text.as_bytes(), &Limits::default()).unwrap();
        if let Some(Local::Begin(_)) = local(&analysis, text.as_bytes(), transaction.place()) {
            transaction.begin_here((*text).to_owned());
            continue;
        }
        let control = analysis.statements.iter().all(|s| s.transaction.is_some() || !s.settings.is_empty());
        let step = control.then(|| (*text).to_owned());
        let ran = Ran { analysis: &analysis, only_reads: *only_reads, step, status: *status };
        transaction.after(&ran, Place::Standing);
    }
    transaction
}

fn steps(transaction: &mut Transaction<String>) -> Vec<String> {
    transaction.withdrawn();
    transaction.preamble()
}

use Status::{Failed, Idle, Transaction as Open};

#[test]
fn what_begins_it_anew_is_its_steps_in_order() {
    let mut transaction = after(&[
        ("begin isolation level read committed", true, Open),
        ("savepoint a", true, Open),
        ("select 1", true, Open),
        ("set local lock_timeout = 1", true, Open),
        ("rollback to a", true, Open),
    ]);
    assert_eq!(
        (transaction.place(), transaction.status(), transaction.bound()),
        (Place::Standing, Open, None)
    );
    assert!(transaction.preamble().is_empty(), "the target knows it");
    assert_eq!(
        steps(&mut transaction),
        [
            "begin isolation level read committed",
            "savepoint a",
            "set local lock_timeout = 1",
            "rollback to a"
        ]
    );
}

#[test]
fn what_did_more_than_read_stays_where_it_is() {
    for bound in [
        &[("begin", true, Open), ("insert into t values (1)", false, Open)][..],
        &[("begin; select 1", true, Open)],
        &[("begin", true, Open), ("set lock_timeout = 1", true, Open)],
        &[("begin", true, Open), ("select 1", true, Open), ("commit and chain", true, Open)],
        &[("begin", true, Open), ("select nosuch", true, Failed)],
    ] {
        assert!(after(bound).bound().is_some(), "{bound:?}");
    }
    let recovered = [
        ("begin", true, Open),
        ("savepoint a", true, Open),
        ("select nosuch", true, Failed),
        ("rollback to a", true, Open),
    ];
    assert_eq!(after(&recovered).bound(), None);
}

#[test]
fn the_end_forgets_everything() {
    let transaction =
        after(&[("begin", true, Open), ("insert into t values (1)", false, Open), ("commit", true, Idle)]);
    assert_eq!((transaction.place(), transaction.bound()), (Place::None, None));
}

#[test]
fn too_many_steps_bind_it() {
    let mut ran = vec![("begin", true, Open)];
    ran.extend([("savepoint a", true, Open); MAX_STEPS]);
    assert!(after(&ran).bound().is_some());
}

#[test]
fn only_single_statements_are_answered_here() {
    let local = |text: &str, place| {
        local(&analyse(text.as_bytes(), &Limits::default()).unwrap(), text.as_bytes(), place)
    };
    assert_eq!(local("begin", Place::None), Some(Local::Begin("BEGIN")));
    assert_eq!(local(" start transaction read only;", Place::None), Some(Local::Begin("START TRANSACTION")));
    assert_eq!(local("end", Place::Begun), Some(Local::End("COMMIT")));
    assert_eq!(local("abort", Place::Begun), Some(Local::End("ROLLBACK")));
    for (text, place) in [
        ("begin; select 1", Place::None),
        ("begin", Place::Begun),
        ("commit", Place::None),
        ("commit and chain", Place::Begun),
        ("commit", Place::Standing),
        ("savepoint a", Place::Begun),
        ("select 1", Place::Begun),
    ] {
        assert_eq!(local(text, place), None, "{text}");
    }
}

#[test]
fn a_string_that_goes_on_behind_the_end_is_known() {
    let outlives = |text: &str| outlives_end(&analyse(text.as_bytes(), &Limits::default()).unwrap());
    for text in ["commit and chain", "rollback and chain", "commit; begin", "abort; select 1", "end; commit"]
    {
        assert!(outlives(text), "{text}");
    }
    for text in ["commit", "rollback;", "begin; select 1; commit", "rollback to a; select 1", "select 1"] {
        assert!(!outlives(text), "{text}");
    }
}
