use countersign_gate::CloseReason;
use countersign_model::{ApprovalId, ApprovalState};
use countersign_pki::DeploymentKey;
use countersign_recording::RecordingKey;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tonic::Streaming;

use super::*;
use crate::{
    fake::{self, Call, expect_call},
    membership::tests::membership,
    outcomes::tests::outcome,
    upload::tests::spool,
};

struct Bench {
    key: DeploymentKey,
    edge: Edge,
    /// Of the spool.
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let key = DeploymentKey::load_or_create(&folder.path().join("key.pem")).expect("key");
        let edge = Edge {
            membership: Arc::new(Membership { deployment_key: key.public(), ..membership() }),
            boot_id: [1; 16],
            recording_key: [2; 32],
            in_force: Arc::default(),
            sessions: Arc::default(),
            outcomes: Arc::default(),
            spool: spool(folder.path()).spool,
        };
        Self { key, edge, _folder: folder }
    }

    /// An edge that a stream before this one has configured.
    fn configured() -> Self {
        let bench = Self::new();
        let mut stream = bench.stream();
        stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
        stream.hear(lease()).expect("taken");
        assert!(bench.edge.in_force.lease_holds());
        bench
    }

    fn configuration(&self, generation: u64, policies: &str) -> v1::Configuration {
        let bundles = vec![v1::policy_set::Bundle { name: "shop".into(), policies: policies.into() }];
        let revision = countersign_policy::revision(&[("shop", policies)]);
        let set = v1::PolicySet { revision, generation, bundles, ..Default::default() }.encode_to_vec();
        let signature = self.key.sign(Domain::PolicySet, &set).to_vec();
        v1::Configuration {
            targets: vec![target("shop", 5432)],
            policies: Some(v1::SignedPolicySet { policy_set: set, signature }),
            zone: "dev".into(),
            recording_key: vec![5; 32],
        }
    }

    fn stream(&self) -> Stream<'_> {
        Stream::begin(&self.edge)
    }

    fn generation(&self) -> Option<u64> {
        self.edge.in_force.configuration().map(|configuration| configuration.generation)
    }

    fn open_session(&self) -> SessionId {
        let session = SessionId::generate();
        self.edge.sessions.register(session, self.edge.sessions.asked()).expect("open");
        session
    }

    /// Attaches, and gives the control plane's end of the first stream.
    async fn attach(self) -> Attached {
        let (link, mut calls) = fake::start(Default::default()).await;
        let (in_force, sessions) = (self.edge.in_force.clone(), self.edge.sessions.clone());
        tokio::spawn(stay_attached(link, self.edge));
        let (mut from_edge, answer) = expect_call!(calls, Attach);
        let (to_edge, stream) = mpsc::channel(8);
        let _ = answer.send(Ok(ReceiverStream::new(stream)));
        let hello = match from_edge.message().await.expect("a message").and_then(|message| message.message) {
            Some(Ours::Hello(hello)) => hello,
            other => panic!("{other:?}"),
        };
        Attached { calls, from_edge, to_edge, hello, in_force, sessions, _folder: self._folder }
    }
}

struct Attached {
    calls: UnboundedReceiver<Call>,
    from_edge: Streaming<v1::EdgeMessage>,
    to_edge: Sender<Result<v1::ControlMessage, Status>>,
    hello: v1::Hello,
    in_force: Arc<InForce>,
    sessions: Arc<Sessions>,
    _folder: tempfile::TempDir,
}

impl Attached {
    async fn say(&self, message: v1::ControlMessage) {
        self.to_edge.send(Ok(message)).await.expect("attached");
    }

    /// The next revocation that the edge confirms.
    async fn revoked(&mut self) -> u64 {
        match self.from_edge.message().await.expect("a message").and_then(|message| message.message) {
            Some(Ours::Revoked(revoked)) => revoked.revocation_id,
            other => panic!("{other:?}"),
        }
    }
}

const PERMIT: &str = "permit(principal, action, resource);";

fn target(name: &str, port: u32) -> v1::TargetConfiguration {
    v1::TargetConfiguration { name: name.into(), protocol: "postgres".into(), port, ..Default::default() }
}

fn configured(configuration: v1::Configuration) -> v1::ControlMessage {
    v1::ControlMessage { message: Some(Control::Configuration(configuration)) }
}

fn lease() -> v1::ControlMessage {
    let valid_for = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    v1::ControlMessage { message: Some(Control::Lease(v1::Lease { valid_for, ..Default::default() })) }
}

fn revoke(revocation_id: u64, sessions: &[SessionId], all: bool) -> v1::ControlMessage {
    let session_ids = sessions.iter().map(ToString::to_string).collect();
    v1::ControlMessage { message: Some(Control::Revoke(v1::Revoke { revocation_id, session_ids, all })) }
}

fn signed(outcome: Vec<u8>, signature: [u8; 64]) -> v1::ControlMessage {
    let signed = v1::SignedApprovalOutcome { outcome, signature: signature.to_vec() };
    v1::ControlMessage { message: Some(Control::Outcome(signed)) }
}

#[test]
fn a_lease_counts_after_the_streams_own_configuration() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    let heard = stream.hear(configured(bench.configuration(3, PERMIT)));
    assert!(matches!(heard, Ok(Heard::Other)), "{heard:?}");
    assert_eq!(bench.generation(), None, "no lease yet");
    assert!(matches!(stream.hear(lease()), Ok(Heard::Lease)));
    assert_eq!(bench.generation(), Some(3));
    assert_eq!(stream.hear(lease()).expect_err("not asked for").code(), Code::Internal);

    // The same process on its next stream: the lease that it has is not prolonged by one that brings no policies.
    let ends = bench.edge.in_force.lease_ends();
    let mut stream = bench.stream();
    assert_eq!(stream.hear(lease()).expect_err("too early").code(), Code::FailedPrecondition);
    assert_eq!(bench.edge.in_force.lease_ends(), ends);
}

#[test]
fn an_edge_that_refuses_its_configuration_gets_no_lease() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
    stream.hear(lease()).expect("taken");
    let ends = bench.edge.in_force.lease_ends();

    let mut unsigned = bench.configuration(4, PERMIT);
    unsigned.policies.as_mut().expect("there").signature[0] ^= 1;
    let mut foreign = bench.configuration(4, PERMIT);
    foreign.zone = "prod".into();
    for (what, refused) in [
        ("signature", unsigned),
        ("zone", foreign),
        ("policies", bench.configuration(4, "permit(principal")),
        ("generation", bench.configuration(2, PERMIT)),
    ] {
        let mut stream = bench.stream();
        stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
        let status = stream.hear(configured(refused)).expect_err(what);
        assert_eq!(status.code(), Code::FailedPrecondition, "{what}");
        assert_eq!(stream.hear(lease()).expect_err(what).code(), Code::FailedPrecondition, "{what}");
        assert_eq!((bench.generation(), bench.edge.in_force.lease_ends()), (Some(3), ends), "{what}");
    }
}

#[test]
fn a_configuration_brings_the_key_that_recordings_are_sealed_to_or_is_refused() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    let before = bench.edge.spool.recording_key();
    for malformed in [Vec::new(), vec![5; 31], vec![5; 33]] {
        let wire = v1::Configuration { recording_key: malformed, ..bench.configuration(3, PERMIT) };
        stream.hear(configured(wire)).expect_err("refused");
        assert_eq!((bench.generation(), bench.edge.spool.recording_key()), (None, before));
    }
    stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
    let sealed_to = |byte| Some(RecordingKey::from_bytes([byte; 32]));
    assert_eq!(bench.edge.spool.recording_key(), sealed_to(5));
    // One of an older generation brings no key either.
    let older = v1::Configuration { recording_key: vec![6; 32], ..bench.configuration(2, PERMIT) };
    stream.hear(configured(older)).expect_err("refused");
    assert_eq!(bench.edge.spool.recording_key(), sealed_to(5));
    let newer = v1::Configuration { recording_key: vec![6; 32], ..bench.configuration(3, PERMIT) };
    stream.hear(configured(newer)).expect("taken");
    assert_eq!(bench.edge.spool.recording_key(), sealed_to(6));
}

#[test]
fn a_malformed_target_does_not_hold_up_the_policies() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    let mut configuration = bench.configuration(1, PERMIT);
    configuration.targets.extend([target("no port", 5432), target("portless", 0), target("other", 5433)]);
    stream.hear(configured(configuration)).expect("taken");
    stream.hear(lease()).expect("taken");
    let in_force = bench.edge.in_force.configuration().expect("in force");
    let mut names: Vec<&str> = in_force.targets.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((in_force.generation, names), (1, vec!["other", "shop"]));
}

#[tokio::test]
async fn an_outcome_that_the_deployment_signed_reaches_who_waits() {
    let bench = Bench::new();
    let told = outcome(ApprovalId::generate(), ApprovalState::Approved);
    let bytes = v1::ApprovalOutcome::from(&told).encode_to_vec();
    let signature = bench.key.sign(Domain::ApprovalOutcome, &bytes);
    let heard = bench.stream().hear(signed(bytes, signature));
    assert!(matches!(heard, Ok(Heard::Other)), "{heard:?}");
    assert_eq!(bench.edge.outcomes.wait(told.approval).await, told);
}

#[tokio::test]
async fn a_forged_outcome_ends_the_stream_and_wakes_nobody() {
    let bench = Bench::new();
    let told = outcome(ApprovalId::generate(), ApprovalState::Approved);
    let bytes = v1::ApprovalOutcome::from(&told).encode_to_vec();
    let denied = v1::ApprovalOutcome::from(&outcome(told.approval, ApprovalState::Denied)).encode_to_vec();
    let signature = bench.key.sign(Domain::ApprovalOutcome, &bytes);
    let mut flipped = signature;
    flipped[0] ^= 1;
    let others_key = Bench::new().key;
    let mut waiting = Box::pin(bench.edge.outcomes.wait(told.approval));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    for (what, bytes, signature) in [
        ("a flipped bit", bytes.clone(), flipped),
        ("another message", denied, signature),
        ("another domain", bytes.clone(), bench.key.sign(Domain::Manifest, &bytes)),
        ("another deployment", bytes.clone(), others_key.sign(Domain::ApprovalOutcome, &bytes)),
    ] {
        let status = bench.stream().hear(signed(bytes, signature)).expect_err(what);
        assert_eq!(status.code(), Code::PermissionDenied, "{what}");
    }
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
}

#[tokio::test]
async fn a_signed_outcome_that_is_not_understood_is_worth_nothing_and_ends_nothing() {
    let bench = Bench::new();
    let approval = ApprovalId::generate();
    let unknown = v1::TouchedPair { action: "postgres:fly".into(), ..Default::default() };
    let told = outcome(approval, ApprovalState::Approved);
    let newer = v1::ApprovalOutcome { pairs: vec![unknown], ..v1::ApprovalOutcome::from(&told) };
    for bytes in [newer.encode_to_vec(), vec![0xff]] {
        let signature = bench.key.sign(Domain::ApprovalOutcome, &bytes);
        assert!(matches!(bench.stream().hear(signed(bytes, signature)), Ok(Heard::Other)));
    }
    let waiting = bench.edge.outcomes.wait(approval);
    assert!(timeout(Duration::ZERO, waiting).await.is_err());
}

#[tokio::test]
async fn a_revocation_is_confirmed_when_its_sessions_are_closed_and_not_before() {
    let bench = Bench::configured();
    let [session, spared] = [bench.open_session(), bench.open_session()];
    let mut attached = bench.attach().await;
    let mut listed = [session.to_string(), spared.to_string()];
    listed.sort();
    attached.hello.open_sessions.sort();
    assert_eq!(attached.hello.open_sessions, listed);

    attached.say(revoke(7, &[session], false)).await;
    assert_eq!(attached.sessions.ended(session).await, CloseReason::Killed);
    // The stream goes on meanwhile: what names nothing that is open is confirmed at once.
    attached.say(revoke(8, &[SessionId::generate()], false)).await;
    assert_eq!(attached.revoked().await, 8);
    attached.sessions.deregister(session);
    assert_eq!(attached.revoked().await, 7);
    assert_eq!(attached.sessions.open_for_hello(), [spared]);
    assert!(attached.in_force.lease_holds());
}

#[tokio::test]
async fn sessions_that_do_not_close_in_time_are_not_said_to_be() {
    let bench = Bench::new();
    let closing = bench.edge.sessions.revoke(&[bench.open_session()]);
    let (messages, mut sent) = mpsc::channel(1);
    confirm(7, closing, Duration::ZERO, messages).await;
    assert_eq!(sent.recv().await, None);
}

#[tokio::test]
async fn a_revocation_that_is_malformed_in_part_is_done_in_part_and_not_confirmed() {
    let bench = Bench::new();
    let session = bench.open_session();
    let session_ids = vec![session.to_string(), "se_x".into()];
    let revoke = v1::Revoke { revocation_id: 7, session_ids, all: false };
    let message = v1::ControlMessage { message: Some(Control::Revoke(revoke)) };
    assert_eq!(bench.stream().hear(message).expect_err("malformed").code(), Code::Internal);
    assert_eq!(bench.edge.sessions.ended(session).await, CloseReason::Killed);
}

#[tokio::test]
async fn an_edge_that_is_shut_out_has_no_lease_and_no_session_until_there_is_another() {
    let bench = Bench::configured();
    let (session, under_way) = (bench.open_session(), bench.edge.sessions.asked());
    let mut stream = bench.stream();
    stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
    let Ok(Heard::Revocation(9, closing)) = stream.hear(revoke(9, &[], true)) else { panic!("not heard") };
    assert_eq!(bench.edge.sessions.ended(session).await, CloseReason::Killed);
    assert!(!bench.edge.in_force.lease_holds() && bench.edge.in_force.lease_ends().is_some());
    assert!(bench.edge.sessions.register(SessionId::generate(), under_way).is_err());
    bench.edge.sessions.deregister(session);
    closing.closed().await;

    // The answer to a question of before may still be on its way.
    assert!(matches!(stream.hear(lease()), Ok(Heard::Lease)));
    assert_eq!(bench.generation(), None);
    stream.asked.push_back(Instant::now());
    stream.hear(lease()).expect("taken");
    assert_eq!(bench.generation(), Some(3));
}

#[tokio::test]
async fn an_edge_that_was_deleted_while_it_was_away_cuts_its_sessions_when_it_comes_back() {
    let bench = Bench::configured();
    let session = bench.open_session();
    let mut attached = bench.attach().await;
    let not_enrolled = || Status::unauthenticated("the certificate is not one of an enrolled edge");
    // In the middle of a stream it can mean that the certificate has ended, and been renewed since.
    attached.to_edge.send(Err(not_enrolled())).await.expect("attached");
    let (_, answer) = expect_call!(attached.calls, Attach);
    let _ = answer.send(Err(Status::unavailable("away")));
    let (_, answer) = expect_call!(attached.calls, Attach);
    assert!(attached.in_force.lease_holds(), "neither of them says that it was deleted");
    let _ = answer.send(Err(not_enrolled()));
    assert_eq!(attached.sessions.ended(session).await, CloseReason::Killed);
    assert!(!attached.in_force.lease_holds());
}
