//! Approvals over the wire: who sees them, and what an edge hears.

use countersign_model::OperationId;
use countersign_wire::v1::{
    approval_service_client::ApprovalServiceClient, control_message::Message as Control,
    edge_message::Message as FromEdge, open_session_response::Result as Opened,
    request_approval_response::Result as Requested, session_service_client::SessionServiceClient,
};
use tonic::{Code, Streaming};

use super::{
    edge::{Stream, open},
    *,
};

const DANA: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const HOLD: &str = "permit (principal == Agent::\"reader\", action, resource);
    @approvers(\"dba\")
    forbid (principal, action == Action::\"postgres:delete\", resource) unless { context.approved };";

/// An edge with a session, and a person who decides.
struct Scene {
    bench: Bench,
    edge: EdgeServiceClient<Channel>,
    stream: Stream,
    session: v1::Session,
    dana: ApprovalServiceClient<Channel>,
}

impl Scene {
    async fn set() -> Self {
        let bench = Bench::start().await;
        bench.furnish().await;
        let hold = v1::PolicyBundleSpec { policies: HOLD.into() };
        bench.apply("PolicyBundle", "hold", Spec::PolicyBundle(hold)).await;
        let mut edge = bench.joined("edge-1").await;
        let stream = attached(&mut edge, &[]).await;
        let token = bench.entra.token(GATEWAY, "app", READER, &[]);
        let Opened::Session(session) = open(&mut edge, token, "shop").await else { panic!("refused") };
        let dana = ApprovalServiceClient::new(bench.admin().await);
        Self { bench, edge, stream, session, dana }
    }

    fn by_dana<T>(&self, message: T) -> Request<T> {
        self.by_person(DANA, &["dba"], message)
    }

    fn by_person<T>(&self, person: &str, roles: &[&str], message: T) -> Request<T> {
        with_token(&self.bench.entra.token(ADMIN, "user", person, roles), message)
    }

    async fn ask(&mut self) -> v1::ApprovalRequested {
        let request = v1::RequestApprovalRequest {
            session_id: self.session.id.clone(),
            operation_id: OperationId::generate().to_string(),
            statement: b"DELETE FROM orders".to_vec(),
            resolution: Some(v1::Resolution {
                database: "shop".into(),
                role: "r".into(),
                search_path: ["pg_catalog", "r", "public"].map(str::to_owned).to_vec(),
                names: vec![v1::ResolvedName {
                    kind: v1::NameKind::Relation.into(),
                    schema: "public".into(),
                    name: "orders".into(),
                    first: "r".into(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            identity: v1::Identity::Approved.into(),
            nonce: vec![1; 16],
            binding: None,
        };
        match self.edge.request_approval(request).await.unwrap().into_inner().result.unwrap() {
            Requested::Requested(requested) => requested,
            Requested::Refused(refused) => panic!("{refused:?}"),
        }
    }

    async fn get(&mut self, id: &str) -> v1::Approval {
        let request = self.by_dana(v1::GetApprovalRequest { id: id.into() });
        self.dana.get_approval(request).await.unwrap().into_inner()
    }

    async fn vote(&mut self, approval: &v1::Approval) -> Result<v1::Approval, tonic::Status> {
        let request = self.by_dana(vote(approval));
        self.dana.vote(request).await.map(tonic::Response::into_inner)
    }

    async fn watch(&mut self) -> Streaming<v1::Approval> {
        let request = self.by_dana(v1::WatchApprovalsRequest {});
        self.dana.watch_approvals(request).await.unwrap().into_inner()
    }
}

/// A stream whose beginning was read.
async fn attached(edge: &mut EdgeServiceClient<Channel>, open: &[&str]) -> Stream {
    let mut stream = Stream::attach_with(edge, open).await;
    stream.configuration().await;
    stream.lease().await;
    stream
}

fn vote(approval: &v1::Approval) -> v1::VoteRequest {
    let (id, fingerprint) = (approval.id.clone(), approval.fingerprint.clone());
    v1::VoteRequest { id, fingerprint, approve: true, reason: String::new() }
}

async fn outcome(stream: &mut Stream) -> v1::ApprovalOutcome {
    let Control::Outcome(signed) = stream.next().await else { panic!() };
    prost::Message::decode(signed.outcome.as_slice()).unwrap()
}

async fn next(watch: &mut Streaming<v1::Approval>) -> v1::Approval {
    watch.message().await.unwrap().unwrap()
}

#[tokio::test]
async fn an_edge_hears_at_once_what_people_decide_and_again_after_each_hello() {
    let mut scene = Scene::set().await;
    let mut watch = scene.watch().await;
    let requested = scene.ask().await;
    assert_eq!(requested.expires_in.unwrap().seconds, 15 * 60);
    let shown = next(&mut watch).await;
    assert_eq!(
        (shown.id.as_str(), shown.state()),
        (requested.approval_id.as_str(), v1::ApprovalState::Pending)
    );
    assert_eq!(shown.card.clone().unwrap().statement, "DELETE FROM orders");
    scene.vote(&shown).await.unwrap();
    assert_eq!(next(&mut watch).await.state(), v1::ApprovalState::Approved);
    let decided = outcome(&mut scene.stream).await;
    assert_eq!((decided.state(), decided.approval_id), (v1::ApprovalState::Approved, shown.id.clone()));

    // The stream breaks; the edge says hello again.
    scene.stream = attached(&mut scene.edge, &[&scene.session.id]).await;
    assert_eq!(outcome(&mut scene.stream).await.approval_id, shown.id);
    let consume = v1::ConsumeApprovalRequest {
        session_id: scene.session.id.clone(),
        approval_id: shown.id.clone(),
        operation_id: shown.operation_id.clone(),
    };
    assert_eq!(scene.edge.consume_approval(consume.clone()).await.unwrap().into_inner().refused, None);
    let again = scene.edge.consume_approval(consume).await.unwrap().into_inner().refused;
    assert_eq!(again.unwrap().reason, "approval_used");
    let mint = v1::MintCredentialRequest {
        session_id: scene.session.id.clone(),
        identity: v1::Identity::Approved.into(),
        operation_id: shown.operation_id,
        approval_id: shown.id,
    };
    let minted = scene.edge.mint_credential(mint).await.unwrap().into_inner().result.unwrap();
    assert!(matches!(minted, v1::mint_credential_response::Result::Credential(_)), "{minted:?}");

    // What nobody waits for any more.
    let second = scene.ask().await.approval_id;
    let cancel = v1::CancelApprovalRequest {
        session_id: scene.session.id.clone(),
        approval_id: second.clone(),
        reason: "client_gone".into(),
        state: v1::ApprovalState::Cancelled.into(),
    };
    scene.edge.cancel_approval(cancel.clone()).await.unwrap();
    let unknown = v1::CancelApprovalRequest { approval_id: "ap_x".into(), ..cancel };
    assert_eq!(scene.edge.cancel_approval(unknown).await.unwrap_err().code(), Code::NotFound);
    let late = scene.get(&second).await;
    assert_eq!(scene.vote(&late).await.unwrap_err().code(), Code::FailedPrecondition);
    scene.bench.running.shutdown().await;
}

#[tokio::test]
async fn approvals_are_there_for_those_who_are_asked() {
    let mut scene = Scene::set().await;
    let id = scene.ask().await.approval_id;
    let approval = scene.get(&id).await;
    let mut client = scene.dana.clone();
    let get = v1::GetApprovalRequest { id: id.clone() };
    assert_eq!(
        client.get_approval(Request::new(get.clone())).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    for (roles, code, listed) in [
        (&["dba"][..], Code::Ok, 1),
        (&["countersign.auditor"], Code::Ok, 1),
        (&["countersign.admin"], Code::Ok, 1),
        (&["sec"], Code::NotFound, 0),
        (&[], Code::NotFound, 0),
    ] {
        let got = client.get_approval(scene.by_person(READER, roles, get.clone())).await;
        assert_eq!(got.map_or_else(|status| status.code(), |_| Code::Ok), code, "{roles:?}");
        let list = scene.by_person(READER, roles, v1::ListApprovalsRequest::default());
        assert_eq!(client.list_approvals(list).await.unwrap().into_inner().approvals.len(), listed);
    }
    let voted = client.vote(scene.by_person(READER, &["dba"], vote(&approval))).await;
    assert_eq!(voted.unwrap_err().code(), Code::PermissionDenied, "the agent's own object id");
    let voted = client.vote(scene.by_person(DANA, &["countersign.admin"], vote(&approval))).await;
    assert_eq!(voted.unwrap_err().code(), Code::PermissionDenied, "whom nobody asks");
    let long = v1::VoteRequest { reason: "x".repeat(1_001), ..vote(&approval) };
    assert_eq!(client.vote(scene.by_dana(long)).await.unwrap_err().code(), Code::InvalidArgument);

    let revoke = v1::RevokeApprovalRequest { id: id.clone(), reason: "no".into() };
    let refused = client.revoke_approval(scene.by_dana(revoke.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let revoke = scene.bench.by(&["countersign.admin"], revoke);
    let revoked = client.revoke_approval(revoke).await.unwrap().into_inner();
    assert_eq!(revoked.approval.unwrap().state(), v1::ApprovalState::Cancelled);
    assert_eq!(outcome(&mut scene.stream).await.state(), v1::ApprovalState::Cancelled);
    scene.bench.running.shutdown().await;
}

#[tokio::test]
async fn a_killed_session_is_cut_at_its_edge_and_one_that_was_away_hears_of_it() {
    let mut scene = Scene::set().await;
    let mut sessions = SessionServiceClient::new(scene.bench.admin().await);
    let kill = v1::KillSessionRequest { id: scene.session.id.clone(), reason: "now".into() };
    let refused = sessions.kill_session(scene.bench.by(&["countersign.auditor"], kill.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let request = scene.bench.by(&["countersign.admin"], kill);
    let killing = tokio::spawn(async move { sessions.kill_session(request).await });
    let Control::Revoke(revoke) = scene.stream.next().await else { panic!() };
    assert_eq!(revoke.session_ids, std::slice::from_ref(&scene.session.id));
    let revoked = v1::Revoked { revocation_id: revoke.revocation_id };
    scene.stream.to.send(v1::EdgeMessage { message: Some(FromEdge::Revoked(revoked)) }).await.unwrap();
    let killed = killing.await.unwrap().unwrap().into_inner();
    assert!(killed.revocation.unwrap().confirmed);
    assert_eq!(killed.session.unwrap().closed_because, "killed");

    scene.stream = attached(&mut scene.edge, &[&scene.session.id]).await;
    let Control::Revoke(revoke) = scene.stream.next().await else { panic!() };
    assert_eq!(revoke.session_ids, std::slice::from_ref(&scene.session.id));
    scene.bench.running.shutdown().await;
}

#[tokio::test]
async fn a_watch_ends_when_it_is_time_to_stop() {
    let mut scene = Scene::set().await;
    let mut watch = scene.watch().await;
    // One that nobody reads, and one whose watcher has gone.
    let _unread = scene.watch().await;
    drop(scene.watch().await);
    let id = scene.ask().await.approval_id;
    assert_eq!(next(&mut watch).await.id, id);
    let stopping = tokio::spawn(scene.bench.running.shutdown());
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
    tokio::time::timeout(std::time::Duration::from_secs(9), stopping).await.unwrap().unwrap();
}
