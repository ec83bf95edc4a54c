#![allow(
    clippy::arc_with_non_send_sync,
    reason = "sessions share their ports by Arc; this world lives on one thread"
)]

mod held;
mod world;

use super::*;
use crate::{Released, ports::JournalError};
use world::{Open, World, held_for, open, permitted, query, session};

#[tokio::test]
async fn an_operation_is_recorded_before_it_can_be_sent_and_answered_after_it_was_recorded() {
    let (world, opened) = open(World::allowing()).await;
    let (mut session, connect) = opened.expect("opened");
    assert_eq!(session.redeem(&connect).await.expect("credential").identity(), Identity::Standing);
    let released = connect.release(Identity::Standing).expect("standing");
    let nothing = released.in_flight.keep(Batch::default()).expect("ours");
    session.finish(released.in_flight, nothing, &Completion::default()).await.expect("recorded");

    let permit = permitted(&mut session, query(Action::PostgresSelect)).await.expect("permitted");
    let Released { payload, mut in_flight, .. } = permit.release(Identity::Standing).expect("standing");
    assert_eq!(payload, "select 1");
    let first = in_flight.mask(Batch::new("one".into(), 2), &mut Open).expect("no masks");
    let first = session.reply(&mut in_flight, first).await.expect("recorded");
    assert_eq!(first.into_bytes(), "one");
    let last = in_flight.mask(Batch::new("two".into(), 1), &mut Open).expect("no masks");
    let last = session.finish(in_flight, last, &Completion::default()).await.expect("recorded");
    assert_eq!(last.into_bytes(), "two");
    session.close(CloseReason::Client).await;

    let expected = [
        "intent connect PageCache",
        "mint standing",
        "outcome Done 0 PageCache",
        "intent query PageCache",
        "reply 2 PageCache",
        "outcome Done 3 PageCache",
        "close client 2 0 Fsync",
        "closed",
    ];
    assert_eq!(world.log(), expected);
}

#[tokio::test]
async fn intents_that_may_write_are_on_disk_first() {
    let (world, mut session) = session().await;
    for action in Action::ALL {
        let permit = permitted(&mut session, query(action)).await.expect("permitted");
        session.not_sent(permit).await.expect("recorded");
        let level = if action.may_write() { "Fsync" } else { "PageCache" };
        assert_eq!(world.log(), [format!("intent query {level}"), "outcome NotSent 0 PageCache".into()]);
    }
}

#[tokio::test]
async fn holds_and_denials_and_masks_that_cannot_be_applied_yield_no_permit() {
    let (world, mut session) = session().await;
    for reason in [Reason::Forbidden, Reason::PolicyError] {
        *world.verdict.borrow_mut() = Verdict::Deny(reason);
        let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
        assert_eq!(refusal.reason, reason);
        assert_eq!(world.log(), [format!("refusal {reason} PageCache")]);
    }
    *world.verdict.borrow_mut() = held_for("dba", 1);
    let admission = session.admit(query(Action::PostgresSelect)).await.expect("held");
    let Admission::Held(holdable) = admission else { panic!("{admission:?}") };
    assert!(world.log().is_empty(), "recorded once it is known what becomes of it");
    let refusal = Refusal::denied(Reason::SessionState, "no");
    let refusal = session.refuse_held(holdable, refusal).await;
    assert_eq!((refusal.reason, refusal.session), (Reason::SessionState, Some(session.facts().session)));
    assert_eq!(world.log(), ["refusal session_state PageCache"]);

    *world.verdict.borrow_mut() = Verdict::Allow;
    *world.mask.borrow_mut() = vec!["email".into()];
    let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::Unmaskable);
}

#[tokio::test]
async fn what_cannot_be_recorded_yields_no_permit() {
    let (world, mut session) = session().await;
    *world.journal.borrow_mut() = Err(JournalError::Full);
    let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
    let refusal = session.catalog("select 1").await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
}

#[tokio::test]
async fn a_permit_of_one_identity_is_not_released_to_a_line_of_another() {
    let (_world, mut session) = session().await;
    let permit = session.catalog("select 1").await.expect("permitted");
    let permit = permit.release(Identity::Standing).expect_err("metadata only");
    assert!(permit.release(Identity::Metadata).is_ok());
}

#[tokio::test]
async fn what_is_held_may_be_prepared_and_not_executed_by_that() {
    let (world, mut session) = session().await;
    *world.verdict.borrow_mut() = held_for("dba", 1);
    let prepare = || query(Action::PostgresDelete).to_prepare(&[23, 0]);
    let permit = permitted(&mut session, prepare()).await.expect("permitted");
    assert_eq!(world.log(), ["intent prepare PageCache"]);
    assert_eq!(
        permit.statement().map(|(text, types)| (text.as_ref(), types)),
        Some((&b"select 1"[..], vec![23]))
    );
    let permit = permit.release(Identity::Standing).expect_err("to prepare only");
    let permit = permit.release_to_prepare(Identity::Metadata).expect_err("another identity");
    let released = permit.release_to_prepare(Identity::Standing).expect("to prepare");
    assert_eq!(released.in_flight.kind(), OperationKind::Prepare);
    *world.verdict.borrow_mut() = Verdict::Allow;
    let permit = permitted(&mut session, query(Action::PostgresDelete)).await.expect("permitted");
    assert!(
        permit.release_to_prepare(Identity::Standing).is_err(),
        "what is decided to run is not what is prepared"
    );

    for (verdict, reason) in
        [(held_for("dba", 1), Reason::Unmaskable), (Verdict::Deny(Reason::Forbidden), Reason::Forbidden)]
    {
        *world.verdict.borrow_mut() = verdict;
        *world.mask.borrow_mut() = vec!["email".into()];
        assert_eq!(session.admit(prepare()).await.expect_err("refused").reason, reason);
    }
}

#[tokio::test]
async fn without_an_approved_transaction_nothing_is_prepared_or_ended_in_one() {
    let (world, mut session) = session().await;
    for verdict in [Verdict::Allow, held_for("dba", 1)] {
        *world.verdict.borrow_mut() = verdict;
        let prepare = query(Action::PostgresUpdate).to_prepare(&[]).on_approved();
        assert_eq!(session.admit(prepare).await.expect_err("refused").reason, Reason::ApprovalUsed);
    }
    assert_eq!(session.sync(Identity::Approved).await.expect_err("refused").reason, Reason::ApprovalUsed);
    assert_eq!(world.log(), vec!["refusal approval_used PageCache"; 3]);
    let permit = session.sync(Identity::Standing).await.expect("permitted");
    let permit = permit.release(Identity::Approved).expect_err("standing only");
    assert!(permit.release(Identity::Standing).is_ok());
}

#[tokio::test]
async fn a_credential_of_another_identity_than_the_permits_is_refused() {
    let (_world, mut session) = session().await;
    let permit = session.catalog("select 1").await.expect("permitted");
    assert_eq!(session.redeem(&permit).await.expect_err("standing").reason, Reason::MintFailed);
}

#[tokio::test]
async fn a_refused_token_opens_nothing_and_a_refused_connect_closes_what_was_opened() {
    let refused = Refusal::denied(Reason::TokenRefused, "no");
    let world = World::allowing();
    *world.token.borrow_mut() = Err(refused.clone());
    let (world, opened) = open(world).await;
    assert_eq!(opened.err(), Some(refused));
    assert!(world.log().is_empty());

    // A Connect that is held is refused too: nobody is asked about it.
    for (verdict, reason) in [
        (Verdict::Deny(Reason::NotPermitted), Reason::NotPermitted),
        (held_for("dba", 1), Reason::ApprovalUnavailable),
    ] {
        let world = World::allowing();
        *world.verdict.borrow_mut() = verdict;
        let (world, opened) = open(world).await;
        assert_eq!(opened.err().map(|refusal| refusal.reason), Some(reason));
        let refused = format!("refusal {reason} PageCache");
        assert_eq!(world.log(), [&refused, "close refused 0 1 Fsync", "closed"]);
    }
}
