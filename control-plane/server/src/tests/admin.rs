use std::sync::Arc;

use countersign_wire::v1::session_service_client::SessionServiceClient;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{
    v1::{self as reflection, server_reflection_client::ServerReflectionClient},
    v1alpha::{self as alpha, server_reflection_client::ServerReflectionClient as AlphaClient},
};

use super::*;

/// One exchange over HTTP/1.1, offered as nothing else.
async fn http1(bench: &Bench, request: &str) -> String {
    let pem = std::fs::read(&bench.running.ca_file).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(bench.running.admin_addr).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that closes without a TLS goodbye is no concern here.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nothing_is_read_or_changed_without_a_role() {
    let bench = Bench::start().await;
    let mut sessions = SessionServiceClient::new(bench.admin().await);
    let list = v1::ListSessionsRequest { page_size: 0, page_token: String::new() };
    let code =
        async |client: &mut SessionServiceClient<Channel>, request| match client.list_sessions(request).await
        {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        };
    assert_eq!(code(&mut sessions, Request::new(list.clone())).await, Code::Unauthenticated);
    assert_eq!(code(&mut sessions, with_token("x.y.z", list.clone())).await, Code::Unauthenticated);
    let for_gateway = bench.entra.token(GATEWAY, "user", READER, &["countersign.admin"]);
    assert_eq!(code(&mut sessions, with_token(&for_gateway, list.clone())).await, Code::Unauthenticated);
    assert_eq!(code(&mut sessions, bench.by(&["dba"], list.clone())).await, Code::PermissionDenied);
    assert_eq!(code(&mut sessions, bench.by(&["countersign.auditor"], list.clone())).await, Code::Ok);
    assert_eq!(code(&mut sessions, bench.by(&["countersign.admin"], list)).await, Code::Ok);

    let mut resources = ResourceServiceClient::new(bench.admin().await);
    let delete = v1::DeleteResourceRequest { kind: "Zone".into(), name: "dev".into() };
    let refused =
        resources.delete_resource(bench.by(&["countersign.auditor"], delete.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let missing = resources.delete_resource(bench.by(&["countersign.admin"], delete)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    // What refers to something that may come yet, in the same file for example, is told from what is wrong.
    let mut class =
        v1::DataClassSpec { detectors: vec![1], targets: vec!["shop".into()], ..Default::default() };
    let mut applied = async |class: &v1::DataClassSpec| {
        let spec = Some(v1::resource::Spec::DataClass(class.clone()));
        let resource = v1::Resource { kind: "DataClass".into(), name: "email".into(), spec, version: 0 };
        let apply = v1::ApplyRequest { resource: Some(resource), dry_run: true };
        let said = resources.apply(bench.by(&["countersign.admin"], apply)).await;
        said.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    assert_eq!(applied(&class).await, Code::FailedPrecondition);
    class.targets.clear();
    assert_eq!(applied(&class).await, Code::Ok);
    class.detectors.clear();
    assert_eq!(applied(&class).await, Code::InvalidArgument);
    bench.running.shutdown().await;
}

#[tokio::test]
async fn what_is_on_disk_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt as _;
    let entra = FakeEntra::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let running = ControlPlane::start(config(&entra, folder.path())).await.unwrap();
    for (path, mode) in
        [("", 0o700), ("archive", 0o700), ("store.redb", 0o600), ("keys/approvals.key", 0o600)]
    {
        let found = std::fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn health_and_both_reflections_are_open_and_edges_are_not_served_here() {
    let bench = Bench::start().await;
    let mut health = HealthClient::new(bench.admin().await);
    for service in ["", "countersign.v1.ResourceService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let ask = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(reflection::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut answers = ServerReflectionClient::new(bench.admin().await)
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap()
        .into_inner();
    let services = format!("{:?}", answers.message().await.unwrap().unwrap());
    assert!(
        services.contains("countersign.v1.ResourceService") && services.contains("grpc.health.v1.Health")
    );
    assert!(!services.contains("EdgeService\"") && !services.contains("DevelopmentService"));
    let ask = alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
            "countersign.v1.ResourceService".into(),
        )),
    };
    let mut answers = AlphaClient::new(bench.admin().await)
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap()
        .into_inner();
    let file = format!("{:?}", answers.message().await.unwrap().unwrap());
    assert!(file.contains("FileDescriptorResponse"), "{file}");
    let enrol = EdgeServiceClient::new(bench.admin().await).enrol(v1::EnrolRequest::default()).await;
    assert_eq!(enrol.unwrap_err().code(), Code::Unimplemented);
    bench.running.shutdown().await;
}

#[tokio::test]
async fn the_issuer_is_public_over_http1() {
    let bench = Bench::start().await;
    let get = async |path: &str| {
        http1(&bench, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    };
    let discovery = get("/.well-known/openid-configuration").await;
    assert!(discovery.starts_with("HTTP/1.1 200"), "{discovery}");
    assert_eq!(bench.running.issuer_url, format!("https://localhost:{}", bench.running.admin_addr.port()));
    assert!(discovery.contains(&format!("\"issuer\":\"{}\"", bench.running.issuer_url)), "{discovery}");
    assert!(discovery.contains(&format!("{}/issuer/jwks.json", bench.running.issuer_url)), "{discovery}");
    let keys = get("/issuer/jwks.json").await;
    assert!(keys.contains("\"alg\":\"RS256\"") && !keys.contains("\"d\""), "{keys}");
    assert!(!get("/elsewhere").await.starts_with("HTTP/1.1 200"));
    bench.running.shutdown().await;
}

#[tokio::test]
async fn grpc_web_goes_through_the_same_gate() {
    let bench = Bench::start().await;
    let call = async |authorization: &str| {
        let head = "POST /countersign.v1.SessionService/ListSessions HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/grpc-web+proto\r\nConnection: close\r\nContent-Length: 5\r\n";
        http1(&bench, &format!("{head}{authorization}\r\n\0\0\0\0\0")).await
    };
    let refused = call("").await;
    assert!(refused.contains("grpc-status: 16") || refused.contains("grpc-status:16"), "{refused}");
    let token = bench.entra.token(ADMIN, "app", READER, &["countersign.auditor"]);
    let served = call(&format!("Authorization: Bearer {token}\r\n")).await;
    assert!(served.contains("grpc-status:0"), "{served}");
    bench.running.shutdown().await;
}
