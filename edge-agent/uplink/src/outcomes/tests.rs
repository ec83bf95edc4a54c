use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use countersign_model::{ApprovalState, OperationDigest, OperationId};

use super::*;

pub(crate) fn outcome(approval: ApprovalId, state: ApprovalState) -> ApprovalOutcome {
    ApprovalOutcome {
        approval,
        session: SessionId::generate(),
        operation: OperationId::generate(),
        digest: OperationDigest::from_bytes([7; 32]),
        state,
        pairs: Vec::new(),
        use_until: None,
    }
}

fn denied(approval: ApprovalId) -> ApprovalOutcome {
    outcome(approval, ApprovalState::Denied)
}

fn polled<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn an_outcome_finds_who_waits_and_nobody_else() {
    let outcomes = Outcomes::default();
    let [mine, other] = [ApprovalId::generate(), ApprovalId::generate()];
    let mut waiting = pin!(outcomes.wait(mine));
    assert!(polled(&mut waiting).is_pending());
    outcomes.arrived(denied(other));
    assert!(polled(&mut waiting).is_pending());
    outcomes.arrived(denied(mine));
    assert_eq!(waiting.await.approval, mine);
    assert_eq!(outcomes.sizes(), (0, 1));
    assert_eq!(outcomes.wait(other).await.approval, other);
    assert_eq!(outcomes.sizes(), (0, 0));
}

#[tokio::test]
async fn an_outcome_that_comes_first_waits() {
    let outcomes = Outcomes::default();
    let approval = ApprovalId::generate();
    for _ in 0..2 {
        outcomes.arrived(denied(approval));
    }
    assert_eq!(outcomes.wait(approval).await.state, ApprovalState::Denied);
    assert_eq!(outcomes.sizes(), (0, 0));
}

#[tokio::test]
async fn who_stops_waiting_leaves_nothing_behind_but_what_was_not_returned() {
    let outcomes = Outcomes::default();
    let approval = ApprovalId::generate();
    {
        let mut waiting = Box::pin(outcomes.wait(approval));
        assert!(polled(&mut waiting).is_pending());
        assert_eq!(outcomes.sizes(), (1, 0));
    }
    assert_eq!(outcomes.sizes(), (0, 0));
    {
        let mut waiting = Box::pin(outcomes.wait(approval));
        assert!(polled(&mut waiting).is_pending());
        outcomes.arrived(denied(approval));
        assert_eq!(outcomes.sizes(), (1, 0));
    }
    assert_eq!(outcomes.sizes(), (0, 1), "it arrived while nobody looked");
    assert_eq!(outcomes.wait(approval).await.approval, approval);
    assert_eq!(outcomes.sizes(), (0, 0));
}

#[tokio::test]
async fn two_who_wait_for_one_outcome_both_hear_it() {
    let outcomes = Outcomes::default();
    let approval = ApprovalId::generate();
    let (first, second) = tokio::join!(outcomes.wait(approval), async {
        let mut other = Box::pin(outcomes.wait(approval));
        assert!(polled(&mut other).is_pending());
        outcomes.arrived(denied(approval));
        other.await
    });
    assert_eq!((first.approval, second.approval), (approval, approval));
    assert_eq!(outcomes.sizes(), (0, 0));
}

#[tokio::test]
async fn what_is_final_is_not_taken_back() {
    let outcomes = Outcomes::default();
    let approval = ApprovalId::generate();
    for state in [ApprovalState::Approved, ApprovalState::Cancelled, ApprovalState::Approved] {
        outcomes.arrived(outcome(approval, state));
    }
    assert_eq!(outcomes.wait(approval).await.state, ApprovalState::Cancelled);
}

#[tokio::test]
async fn what_nobody_claims_is_bounded_and_forgotten() {
    let outcomes = Outcomes::default();
    let all: Vec<ApprovalOutcome> =
        (0..=UNCLAIMED).map(|_| outcome(ApprovalId::generate(), ApprovalState::Expired)).collect();
    all.iter().cloned().for_each(|outcome| outcomes.arrived(outcome));
    assert_eq!(outcomes.sizes(), (0, UNCLAIMED));
    assert_eq!(outcomes.wait(all[1].approval).await, all[1]);
    let mut oldest = Box::pin(outcomes.wait(all[0].approval));
    assert!(polled(&mut oldest).is_pending(), "dropped to make room");
    drop(oldest);
    outcomes.forget(all[2].approval);
    outcomes.forget_session(all[3].session);
    assert_eq!(outcomes.sizes(), (0, UNCLAIMED - 3));
}
