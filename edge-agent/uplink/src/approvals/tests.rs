//! Requests, uses and withdrawals, against a control plane that answers when the test says so.

use std::time::SystemTime;

use countersign_gate::ports::Authority as _;
use countersign_model::{Attachment, Binding, Identity, Parameter, Reason, RefusalKind, Resolution};
use countersign_wire::to_timestamp;

use super::*;
use crate::{authority::tests::Bench, fake::expect_call, outcomes::tests::outcome};

fn resolution() -> Resolution {
    Resolution {
        database: "shop".into(),
        role: "shop_approved".into(),
        search_path: vec!["public".into()],
        settings: Vec::new(),
        names: Vec::new(),
        objects: Vec::new(),
        in_transaction: false,
        preamble: vec!["BEGIN".into()],
        classes: vec!["email".into()],
    }
}

fn asked(approval: ApprovalId, expires_in: i64) -> v1::RequestApprovalResponse {
    let requested = v1::ApprovalRequested {
        approval_id: approval.to_string(),
        expires_at: Some(to_timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000))),
        expires_in: Some(prost_types::Duration { seconds: expires_in, nanos: 0 }),
    };
    let result = v1::request_approval_response::Result::Requested(requested);
    v1::RequestApprovalResponse { result: Some(result) }
}

fn binding() -> Binding {
    let parameter = |value: Option<&'static [u8]>| Parameter {
        declared_type: 0,
        resolved_type: 23,
        format: 1,
        value: value.map(Into::into),
    };
    Binding {
        parameters: vec![parameter(Some(&[0, 0, 0, 7])), parameter(None)],
        result_formats: vec![1],
        row_limit: 9,
    }
}

/// Asks, has the control plane answer, and gives what was asked too.
async fn request(
    bench: &mut Bench,
    session: &SessionFacts,
    answered: impl FnOnce(&ControlPlane) -> Result<v1::RequestApprovalResponse, Status>,
) -> (Result<Requested, Refusal>, v1::RequestApprovalRequest) {
    let (resolution, binding) = (resolution(), binding());
    let question = Question {
        operation: OperationId::generate(),
        payload: &"DELETE FROM orders".into(),
        binding: Some(&binding),
        resolution: &resolution,
        identity: Identity::Approved,
        attached: Attachment { session: session.session, nonce: [9; 16] },
    };
    tokio::join!(bench.control_plane.request(session, question), async {
        let (asked, answer) = expect_call!(bench.calls, RequestApproval);
        let _ = answer.send(answered(&bench.control_plane));
        asked
    })
}

#[tokio::test]
async fn people_are_asked_about_the_bytes_and_what_they_mean() {
    let mut bench = Bench::new().await;
    let (session, approval) = (bench.open().await, ApprovalId::generate());
    let (requested, asked) = request(&mut bench, &session, |_| Ok(asked(approval, 900))).await;
    let requested = requested.expect("asked");
    assert_eq!((requested.approval, requested.expires_in), (approval, Duration::from_secs(900)));
    assert_eq!((asked.statement, asked.nonce), (b"DELETE FROM orders".to_vec(), vec![9; 16]));
    assert_eq!(asked.session_id, session.session.to_string());
    assert_eq!(asked.identity, i32::from(v1::Identity::Approved));
    assert_eq!(Resolution::try_from(asked.resolution.expect("there")), Ok(resolution()));
    assert_eq!(Binding::try_from(asked.binding.expect("there")), Ok(binding()));
}

#[tokio::test]
async fn an_outcome_that_overtakes_the_answer_is_not_lost() {
    let mut bench = Bench::new().await;
    let (session, approval) = (bench.open().await, ApprovalId::generate());
    let overtaken = |control_plane: &ControlPlane| {
        control_plane.outcomes.arrived(outcome(approval, ApprovalState::Approved));
        Ok(asked(approval, 900))
    };
    let (requested, _) = request(&mut bench, &session, overtaken).await;
    let outcome = bench.control_plane.outcome(requested.expect("asked").approval).await;
    assert_eq!((outcome.approval, outcome.state), (approval, ApprovalState::Approved));
}

#[tokio::test]
async fn a_request_that_is_refused_or_unanswered_asks_nobody() {
    let mut bench = Bench::new().await;
    let session = bench.open().await;
    let refused = v1::ApprovalRefused { reason: "forbidden".into() };
    let result = v1::request_approval_response::Result::Refused(refused);
    let refused = v1::RequestApprovalResponse { result: Some(result) };
    for (answer, reason) in [
        (Ok(refused), Reason::Forbidden),
        (Ok(v1::RequestApprovalResponse { result: None }), Reason::ControlPlaneUnavailable),
        (Err(Status::unavailable("away")), Reason::ControlPlaneUnavailable),
        (Err(Status::out_of_range("too long")), Reason::OverLimit),
    ] {
        let (requested, _) = request(&mut bench, &session, |_| answer).await;
        assert_eq!(requested.expect_err("refused").reason, reason);
        assert!(bench.withdrawn.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_request_with_a_malformed_answer_is_taken_back() {
    let mut bench = Bench::new().await;
    let (session, approval) = (bench.open().await, ApprovalId::generate());
    let (requested, _) = request(&mut bench, &session, |_| Ok(asked(approval, -1))).await;
    assert_eq!(requested.expect_err("malformed").reason, Reason::ControlPlaneUnavailable);
    assert_eq!(bench.withdrawn.recv().await.map(|withdrawn| withdrawn.approval), Some(approval));
}

#[tokio::test]
async fn an_approval_is_used_by_one_call_and_never_asked_for_twice() {
    let mut bench = Bench::new().await;
    let (session, approval, operation) =
        (SessionId::generate(), ApprovalId::generate(), OperationId::generate());
    let refused = |word: &str| {
        let refused = Some(v1::ApprovalRefused { reason: word.to_owned() });
        Ok(v1::ConsumeApprovalResponse { refused })
    };
    for (answer, expected) in [
        (Ok(v1::ConsumeApprovalResponse { refused: None }), None),
        (refused("approval_used"), Some((RefusalKind::Denied, Reason::ApprovalUsed))),
        (refused("policy_changed"), Some((RefusalKind::Superseded, Reason::PolicyChanged))),
        (refused("no_such_word"), Some((RefusalKind::Denied, Reason::ApprovalUnavailable))),
        (Err(Status::unavailable("")), Some((RefusalKind::Denied, Reason::ControlPlaneUnavailable))),
    ] {
        let (used, ()) = tokio::join!(bench.control_plane.consume(session, approval, operation), async {
            let (asked, answers) = expect_call!(bench.calls, ConsumeApproval);
            let ids = (session.to_string(), approval.to_string(), operation.to_string());
            assert_eq!((asked.session_id, asked.approval_id, asked.operation_id), ids);
            let _ = answers.send(answer);
        });
        assert_eq!(used.err().map(|refusal| (refusal.kind, refusal.reason)), expected);
        assert!(bench.calls.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_withdrawal_is_told_until_it_is_taken() {
    let mut bench = Bench::new().await;
    let session = SessionId::generate();
    let [first, second, third] = std::array::from_fn(|_| ApprovalId::generate());
    bench.control_plane.outcomes.arrived(outcome(first, ApprovalState::Approved));
    bench.control_plane.withdraw(session, first, Withdrawal::Superseded, "object_changed");
    bench.control_plane.withdraw(session, second, Withdrawal::Cancelled, "cancelled");
    bench.control_plane.withdraw(session, third, Withdrawal::Cancelled, "cancelled");
    tokio::spawn(report_withdrawn(bench.control_plane.link.clone(), bench.withdrawn));
    for passing in [true, true, false] {
        let (asked, answer) = expect_call!(bench.calls, CancelApproval);
        assert_eq!((asked.approval_id, asked.session_id), (first.to_string(), session.to_string()));
        assert_eq!(asked.state, i32::from(v1::ApprovalState::Superseded));
        assert_eq!(asked.reason, "object_changed");
        let answered = if passing { Err(Status::unavailable("")) } else { Ok(v1::CancelApprovalResponse {}) };
        let _ = answer.send(answered);
    }
    let (asked, answer) = expect_call!(bench.calls, CancelApproval);
    assert_eq!((asked.approval_id, asked.state), (second.to_string(), v1::ApprovalState::Cancelled.into()));
    let _ = answer.send(Err(Status::not_found("there is no such approval")));
    for _ in 0..CANCEL_ATTEMPTS {
        let (asked, answer) = expect_call!(bench.calls, CancelApproval);
        assert_eq!(asked.approval_id, third.to_string());
        let _ = answer.send(Err(Status::deadline_exceeded("")));
    }
    // Whoever would ask now would wait: the outcome of what was withdrawn is gone.
    let waiting = bench.control_plane.outcome(first);
    assert!(tokio::time::timeout(Duration::ZERO, waiting).await.is_err());
}

#[tokio::test]
async fn a_session_that_closes_takes_its_unclaimed_outcomes_along() {
    let bench = Bench::new().await;
    let outcome = outcome(ApprovalId::generate(), ApprovalState::Expired);
    bench.control_plane.outcomes.arrived(outcome.clone());
    bench.control_plane.close_session(outcome.session);
    let waiting = bench.control_plane.outcome(outcome.approval);
    assert!(tokio::time::timeout(Duration::ZERO, waiting).await.is_err());
}
