//! Sessions and credentials, against a control plane that answers when the test says so.

use std::time::{Duration, Instant, SystemTime};

use countersign_gate::CloseReason;
use countersign_model::{Reason, RecordingId};
use countersign_wire::to_timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::Status;

use super::*;
use crate::fake::{self, Call, expect_call};

/// The control plane as an edge with a lease sees it, and what it is asked.
pub(crate) struct Bench {
    pub(crate) control_plane: ControlPlane,
    pub(crate) calls: UnboundedReceiver<Call>,
    pub(crate) closed: UnboundedReceiver<SessionId>,
    pub(crate) withdrawn: UnboundedReceiver<Withdrawn>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let (link, calls) = fake::start(Default::default()).await;
        let (closed, to_report) = mpsc::unbounded_channel();
        let (withdrawn, to_cancel) = mpsc::unbounded_channel();
        let in_force = Arc::<InForce>::default();
        in_force.extend_lease(Instant::now(), Duration::from_secs(60));
        let control_plane = ControlPlane {
            link,
            boot_id: [1; 16],
            in_force,
            sessions: Arc::default(),
            outcomes: Arc::default(),
            closed,
            withdrawn,
        };
        Self { control_plane, calls, closed: to_report, withdrawn: to_cancel }
    }

    /// Opens a session.
    pub(crate) async fn open(&mut self) -> SessionFacts {
        let (opened, ()) = tokio::join!(self.control_plane.open_session(request()), async {
            let (_, answer) = expect_call!(self.calls, OpenSession);
            let _ = answer.send(Ok(opened(SessionId::generate())));
        });
        opened.expect("opened")
    }
}

fn request() -> OpenRequest {
    OpenRequest {
        token: Secret::new("jwt".into()),
        target: "shop".parse().expect("name"),
        client: None,
        client_user: "anyone".into(),
    }
}

/// The facts of a session that the control plane opened.
pub(crate) fn facts() -> SessionFacts {
    session(SessionId::generate()).try_into().expect("well formed")
}

fn opened(id: SessionId) -> v1::OpenSessionResponse {
    v1::OpenSessionResponse { result: Some(v1::open_session_response::Result::Session(session(id))) }
}

fn session(id: SessionId) -> v1::Session {
    let principal = v1::Principal {
        tenant_id: "t".into(),
        object_id: "o".into(),
        kind: v1::PrincipalKind::Agent.into(),
        ..Default::default()
    };
    v1::Session {
        id: id.to_string(),
        recording_id: RecordingId::generate().to_string(),
        principal: Some(principal),
        zone: "dev".into(),
        target: "shop".into(),
        deadline: Some(to_timestamp(SystemTime::now() + Duration::from_secs(60))),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_session_is_open_until_it_is_closed() {
    let mut bench = Bench::new().await;
    let session = bench.open().await.session;
    assert_eq!(bench.control_plane.sessions.open_for_hello(), [session]);
    bench.control_plane.sessions.revoke(&[session]);
    assert_eq!(bench.control_plane.ended(session).await, CloseReason::Killed);
    bench.control_plane.close_session(session);
    assert!(bench.control_plane.sessions.open_for_hello().is_empty());
    assert_eq!(bench.closed.recv().await, Some(session));
}

#[tokio::test]
async fn a_session_that_is_revoked_while_its_answer_is_under_way_does_not_open() {
    let mut bench = Bench::new().await;
    for (all, reason) in [(false, Reason::SessionKilled), (true, Reason::ControlPlaneUnavailable)] {
        let session = SessionId::generate();
        let (refused, ()) = tokio::join!(bench.control_plane.open_session(request()), async {
            let (_, answer) = expect_call!(bench.calls, OpenSession);
            let sessions = &bench.control_plane.sessions;
            drop(if all { sessions.revoke_all() } else { sessions.revoke(&[session]) });
            let _ = answer.send(Ok(opened(session)));
        });
        assert_eq!(refused.expect_err("revoked").reason, reason);
        assert!(bench.control_plane.sessions.open_for_hello().is_empty());
        assert_eq!(bench.closed.recv().await, Some(session), "the control plane is told");
    }
}

#[tokio::test]
async fn without_a_lease_nobody_is_asked() {
    let mut bench = Bench::new().await;
    bench.control_plane.in_force.end_lease();
    let refusal = bench.control_plane.open_session(request()).await.expect_err("shut out");
    assert_eq!(refusal.reason, Reason::ControlPlaneUnavailable);
    assert!(bench.calls.try_recv().is_err());
}

#[tokio::test]
async fn a_credential_for_an_approved_operation_names_its_approval() {
    let mut bench = Bench::new().await;
    let (session, operation) = (SessionId::generate(), OperationId::generate());
    for approval in [Some(ApprovalId::generate()), None] {
        let mint = bench.control_plane.mint(session, Identity::Approved, operation, approval);
        let (minted, ()) = tokio::join!(mint, async {
            let (asked, answer) = expect_call!(bench.calls, Mint);
            assert_eq!(asked.approval_id, approval.map(|id| id.to_string()).unwrap_or_default());
            assert_eq!(asked.operation_id, operation.to_string());
            let refused = v1::MintRefused { reason: "approval_used".into(), ..Default::default() };
            let result = v1::mint_credential_response::Result::Refused(refused);
            let _ = answer.send(Ok(v1::MintCredentialResponse { result: Some(result) }));
        });
        assert_eq!(minted.expect_err("refused").reason, Reason::MintFailed);
    }
}

#[tokio::test]
async fn a_control_plane_that_is_away_opens_nothing() {
    let mut bench = Bench::new().await;
    let (refused, ()) = tokio::join!(bench.control_plane.open_session(request()), async {
        let (_, answer) = expect_call!(bench.calls, OpenSession);
        let _ = answer.send(Err(Status::unavailable("away")));
    });
    assert_eq!(refused.expect_err("away").reason, Reason::ControlPlaneUnavailable);
}
