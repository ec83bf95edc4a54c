use countersign_pki::Ca;
use countersign_wire::v1::{
    control_message::Message as Control, edge_message::Message as FromEdge, mint_credential_response,
    open_session_response, upload_packs_request::Part, upload_packs_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::*;

const BOOT: [u8; 16] = [7; 16];

pub(super) struct Stream {
    pub(super) to: mpsc::Sender<v1::EdgeMessage>,
    pub(super) from: Streaming<v1::ControlMessage>,
}

impl Stream {
    pub(super) async fn attach(client: &mut EdgeServiceClient<Channel>) -> Self {
        Self::attach_with(client, &[]).await
    }

    /// As a process that has these sessions open.
    pub(super) async fn attach_with(client: &mut EdgeServiceClient<Channel>, open: &[&str]) -> Self {
        let (to, outgoing) = mpsc::channel(4);
        let hello = v1::Hello {
            boot_id: BOOT.to_vec(),
            version: "1".into(),
            recording_key: vec![3; 32],
            open_sessions: open.iter().map(|id| (*id).to_owned()).collect(),
        };
        to.send(v1::EdgeMessage { message: Some(FromEdge::Hello(hello)) }).await.unwrap();
        let from = client.attach(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Self { to, from }
    }

    pub(super) async fn next(&mut self) -> Control {
        self.from.message().await.unwrap().unwrap().message.unwrap()
    }

    pub(super) async fn configuration(&mut self) -> v1::Configuration {
        match self.next().await {
            Control::Configuration(configuration) => configuration,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn lease(&mut self) -> v1::Lease {
        match self.next().await {
            Control::Lease(lease) => lease,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn open(
    client: &mut EdgeServiceClient<Channel>,
    token: String,
    target: &str,
) -> open_session_response::Result {
    let request = v1::OpenSessionRequest {
        token,
        target: target.into(),
        client_address: "127.0.0.1".into(),
        client_user: "x".into(),
        boot_id: BOOT.to_vec(),
    };
    client.open_session(request).await.unwrap().into_inner().result.unwrap()
}

#[tokio::test]
async fn an_edge_joins_attaches_and_hears_of_changes() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let mut client = bench.joined("edge-1").await;
    let mut stream = Stream::attach(&mut client).await;
    assert_eq!(stream.configuration().await.targets[0].name, "shop");
    assert_eq!(stream.lease().await.valid_for.unwrap().seconds, 300);
    stream.to.send(v1::EdgeMessage { message: Some(FromEdge::RenewLease(v1::RenewLease {})) }).await.unwrap();
    stream.lease().await;

    let request = bench.by(&["countersign.admin"], v1::ListEdgesRequest {});
    let edges = EdgeAdminServiceClient::new(bench.admin().await)
        .list_edges(request)
        .await
        .unwrap()
        .into_inner()
        .edges;
    assert_eq!(edges.len(), 1);
    assert!(
        edges[0].attached && edges[0].name == "edge-1" && edges[0].zone == "dev" && edges[0].version == "1"
    );

    bench.apply("Zone", "other", Spec::Zone(v1::ZoneSpec { audience: GATEWAY.into() })).await;
    assert_eq!(stream.configuration().await.zone, "dev");

    // Stopping ends the stream with a status, soon, and what was declared is there at the next start.
    let stopping = tokio::spawn(bench.running.shutdown());
    let end = stream.from.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    stopping.await.unwrap();
    let again = ControlPlane::start(config(&bench.entra, bench.folder.path())).await.unwrap();
    assert_eq!(again.core().get("Zone", "other").await.unwrap().version, 1);
    assert_eq!(again.core().list_edges().await.unwrap().len(), 1);
    again.shutdown().await;
}

#[tokio::test]
async fn a_session_is_opened_with_a_token_and_given_a_credential() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let mut client = bench.joined("edge-1").await;
    let mut stream = Stream::attach(&mut client).await;
    stream.configuration().await;

    let good = bench.entra.token(GATEWAY, "app", READER, &[]);
    let open_session_response::Result::Session(session) = open(&mut client, good.clone(), "shop").await
    else {
        panic!("refused");
    };
    assert_eq!(session.principal.unwrap().agent, "reader");
    for (token, target, reason) in [
        (good.clone(), "nothing", "unknown_target"),
        (bench.entra.token(ADMIN, "app", READER, &[]), "shop", "token_refused"),
        (format!("{good}x"), "shop", "token_refused"),
    ] {
        let open_session_response::Result::Refused(refused) = open(&mut client, token, target).await else {
            panic!("opened");
        };
        assert_eq!(refused.reason, reason);
    }

    let request = v1::MintCredentialRequest {
        session_id: session.id.clone(),
        identity: v1::Identity::Standing.into(),
        operation_id: countersign_model::OperationId::generate().to_string(),
        approval_id: String::new(),
    };
    let minted = client.mint_credential(request).await.unwrap().into_inner().result.unwrap();
    let mint_credential_response::Result::Credential(credential) = minted else { panic!("{minted:?}") };
    assert_eq!(credential.token, entra::MINTED);
    let forms = bench.entra.forms.lock().unwrap().clone();
    assert!(
        forms.len() == 1 && forms[0].contains("client_assertion=") && !forms[0].contains("client_secret")
    );

    client.close_session(v1::CloseSessionRequest { session_id: session.id }).await.unwrap();
    let start = v1::PackStart { boot_id: BOOT.to_vec(), number: 0, bytes: 100, sha256: vec![0; 32] };
    let start = || v1::UploadPacksRequest { part: Some(Part::Start(start.clone())) };
    let chunk = |len| v1::UploadPacksRequest { part: Some(Part::Chunk(vec![1; len])) };
    let junk = [start(), chunk(60), chunk(40), start(), chunk(100), start(), chunk(101)];
    let mut answers = client.upload_packs(tokio_stream::iter(junk)).await.unwrap().into_inner();
    for _ in 0..2 {
        let answer = answers.message().await.unwrap().unwrap();
        let upload_packs_response::Result::Refused(refused) = answer.result.unwrap() else { panic!("taken") };
        assert_eq!((refused.reason.as_str(), answer.boot_id.as_slice()), ("malformed", BOOT.as_slice()));
    }
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument, "more than was said");
    let large = v1::PackStart { bytes: (8 << 20) + 1, ..Default::default() };
    let large = v1::UploadPacksRequest { part: Some(Part::Start(large)) };
    let disorders = [
        vec![chunk(1)],
        vec![start(), start()],
        vec![start(), chunk(1)],
        vec![large],
        vec![start(), chunk(0)],
    ];
    for disorder in disorders {
        let mut answers = client.upload_packs(tokio_stream::iter(disorder)).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    }
    drop(stream);
    bench.running.shutdown().await;
}

#[tokio::test]
async fn everything_but_enrolment_asks_for_a_certificate_of_ours() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let mut bare = EdgeServiceClient::new(bench.edge(None).await.unwrap());
    let codes = [
        bare.enrol(v1::EnrolRequest { edge: "edge-1".into(), ..Default::default() })
            .await
            .err()
            .unwrap()
            .code(),
        bare.renew(v1::RenewRequest::default()).await.err().unwrap().code(),
        bare.attach(tokio_stream::empty()).await.err().unwrap().code(),
        bare.open_session(v1::OpenSessionRequest::default()).await.err().unwrap().code(),
        bare.close_session(v1::CloseSessionRequest::default()).await.err().unwrap().code(),
        bare.mint_credential(v1::MintCredentialRequest::default()).await.err().unwrap().code(),
        bare.upload_packs(tokio_stream::empty()).await.err().unwrap().code(),
        bare.request_approval(v1::RequestApprovalRequest::default()).await.err().unwrap().code(),
        bare.consume_approval(v1::ConsumeApprovalRequest::default()).await.err().unwrap().code(),
        bare.cancel_approval(v1::CancelApprovalRequest::default()).await.err().unwrap().code(),
    ];
    assert_eq!(codes[0], Code::PermissionDenied);
    assert!(codes[1..].iter().all(|code| *code == Code::Unauthenticated), "{codes:?}");

    // The same names from an authority of the same name, but not ours.
    let folder = tempfile::tempdir().unwrap();
    let name = |text: &str| text.parse().unwrap();
    let now = std::time::SystemTime::now();
    let forger = Ca::load_or_create(folder.path(), &name("acme"), now).unwrap();
    let key = EdgeKey::generate().unwrap();
    let validity = std::time::Duration::from_secs(3600);
    let forged =
        forger.issue_edge(&key.csr_der().unwrap(), &name("dev"), &name("edge-1"), now, validity).unwrap();
    let attempt = bench.edge(Some(identity(&forged.chain[0], &key))).await;
    let refused = match attempt {
        Err(_) => true,
        // TLS 1.3 clients hear of it with the first call.
        Ok(channel) => EdgeServiceClient::new(channel).renew(v1::RenewRequest::default()).await.is_err(),
    };
    assert!(refused);
    let mut admin_on_edge = EdgeAdminServiceClient::new(bench.member("edge-2").await);
    let request = bench.by(&["countersign.admin"], v1::ListEdgesRequest {});
    assert_eq!(admin_on_edge.list_edges(request).await.unwrap_err().code(), Code::Unimplemented);
    bench.running.shutdown().await;
}

#[tokio::test]
async fn strangers_are_few_and_send_little() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let mut member = bench.joined("edge-1").await;
    let mut bare = EdgeServiceClient::new(bench.edge(None).await.unwrap());
    let long = v1::EnrolRequest { csr: vec![0; 20 << 10], edge: "edge-2".into(), ..Default::default() };
    assert_eq!(bare.enrol(long).await.err().unwrap().code(), Code::OutOfRange);
    // Longer than what is read of anybody: that nobody began to read it shows.
    let long = v1::OpenSessionRequest { token: "x".repeat(2 << 20), ..Default::default() };
    assert_eq!(bare.open_session(long).await.err().unwrap().code(), Code::Unauthenticated);

    let mut strangers = vec![bare];
    let turned_away = loop {
        let Ok(channel) = bench.edge(None).await else { break true };
        let mut next = EdgeServiceClient::new(channel);
        match next.enrol(v1::EnrolRequest::default()).await.err().unwrap().code() {
            Code::PermissionDenied if strangers.len() < 100 => strangers.push(next),
            code => break code != Code::PermissionDenied,
        }
    };
    assert!(turned_away && strangers.len() <= 64, "{} strangers", strangers.len());
    Stream::attach(&mut member).await.configuration().await;
    bench.running.shutdown().await;
}

#[tokio::test]
async fn a_deleted_edge_is_cut_off_at_once() {
    let bench = Bench::start().await;
    bench.furnish().await;
    let mut client = bench.joined("edge-1").await;
    let mut stream = Stream::attach(&mut client).await;
    stream.configuration().await;
    stream.lease().await;
    let mut admin = EdgeAdminServiceClient::new(bench.admin().await);
    let delete = v1::DeleteEdgeRequest { name: "edge-1".into() };
    let by_auditor = bench.by(&["countersign.auditor"], delete.clone());
    assert_eq!(admin.delete_edge(by_auditor).await.unwrap_err().code(), Code::PermissionDenied);
    let request = bench.by(&["countersign.admin"], delete.clone());
    let mut deleting = admin.clone();
    let deleting = tokio::spawn(async move { deleting.delete_edge(request).await });
    let Control::Revoke(revoke) = stream.next().await else { panic!() };
    assert!(revoke.all);
    let revoked = v1::Revoked { revocation_id: revoke.revocation_id };
    stream.to.send(v1::EdgeMessage { message: Some(FromEdge::Revoked(revoked)) }).await.unwrap();
    let deleted = deleting.await.unwrap().unwrap().into_inner();
    assert!(deleted.revocation.unwrap().confirmed);
    let end = tokio::time::timeout(std::time::Duration::from_secs(1), stream.from.message()).await.unwrap();
    assert_eq!(end.unwrap_err().code(), Code::Unauthenticated);
    let again = client.attach(tokio_stream::once(v1::EdgeMessage {
        message: Some(FromEdge::Hello(v1::Hello {
            boot_id: BOOT.to_vec(),
            version: "1".into(),
            recording_key: vec![3; 32],
            ..Default::default()
        })),
    }));
    assert_eq!(again.await.err().unwrap().code(), Code::Unauthenticated);
    let gone = admin.delete_edge(bench.by(&["countersign.admin"], delete)).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    bench.running.shutdown().await;
}
