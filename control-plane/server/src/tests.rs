//! The whole control plane over real sockets, with an Entra of a few lines behind TLS of its own.

mod admin;
mod approvals;
mod edge;
mod entra;

use std::path::Path;

use countersign_pki::EdgeKey;
use countersign_wire::v1::{
    self, edge_admin_service_client::EdgeAdminServiceClient, edge_service_client::EdgeServiceClient,
    resource::Spec, resource_service_client::ResourceServiceClient,
};
use tempfile::TempDir;
use tonic::{
    Request,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::*;
use entra::FakeEntra;

const GATEWAY: &str = "66666666-6666-4666-8666-666666666666";
const ADMIN: &str = "77777777-7777-4777-8777-777777777777";
const READER: &str = "22222222-2222-4222-8222-222222222222";

struct Bench {
    entra: FakeEntra,
    running: Running,
    folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let entra = FakeEntra::start().await;
        let folder = tempfile::tempdir().unwrap();
        let running = ControlPlane::start(config(&entra, folder.path())).await.unwrap();
        Self { entra, running, folder }
    }

    fn roots(&self) -> Certificate {
        Certificate::from_pem(std::fs::read(&self.running.ca_file).unwrap())
    }

    async fn admin(&self) -> Channel {
        let url = format!("https://localhost:{}", self.running.admin_addr.port());
        let tls = ClientTlsConfig::new().ca_certificate(self.roots());
        Channel::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await.unwrap()
    }

    async fn edge(&self, identity: Option<Identity>) -> Result<Channel, tonic::transport::Error> {
        let url = format!("https://localhost:{}", self.running.edge_addr.port());
        let mut tls = ClientTlsConfig::new().ca_certificate(self.roots());
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        Channel::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await
    }

    /// A request with an admin's token of these roles.
    fn by<T>(&self, roles: &[&str], message: T) -> Request<T> {
        with_token(&self.entra.token(ADMIN, "user", READER, roles), message)
    }

    async fn apply(&self, kind: &str, name: &str, spec: Spec) {
        let resource = v1::Resource { kind: kind.into(), name: name.into(), spec: Some(spec), version: 0 };
        let request = v1::ApplyRequest { resource: Some(resource), dry_run: false };
        let request = self.by(&["countersign.admin"], request);
        ResourceServiceClient::new(self.admin().await).apply(request).await.unwrap();
    }

    /// Zone `dev`, target `shop`, agent `reader`, who may connect.
    async fn furnish(&self) {
        self.apply("Zone", "dev", Spec::Zone(v1::ZoneSpec { audience: GATEWAY.into() })).await;
        let identity = |client_id: &str| {
            Some(v1::IdentitySpec {
                client_id: client_id.into(),
                login_role: "r".into(),
                ..Default::default()
            })
        };
        let target = v1::TargetSpec {
            zone: "dev".into(),
            postgres: Some(v1::PostgresSpec {
                host: "localhost".into(),
                database: "shop".into(),
                ..Default::default()
            }),
            standing: identity("44444444-4444-4444-8444-444444444444"),
            metadata: identity("55555555-5555-4555-8555-555555555555"),
            approved: identity("88888888-8888-4888-8888-888888888888"),
            ..Default::default()
        };
        self.apply("Target", "shop", Spec::Target(target)).await;
        let agent = v1::AgentSpec {
            tenant_id: entra::TENANT.into(),
            object_id: READER.into(),
            app_id: READER.into(),
            ..Default::default()
        };
        self.apply("Agent", "reader", Spec::Agent(agent)).await;
        let policies =
            "permit (principal == Agent::\"reader\", action == Action::\"connect\", resource);".into();
        self.apply("PolicyBundle", "base", Spec::PolicyBundle(v1::PolicyBundleSpec { policies })).await;
    }

    /// Enrols and connects with the certificate.
    async fn joined(&self, name: &str) -> EdgeServiceClient<Channel> {
        EdgeServiceClient::new(self.member(name).await)
    }

    async fn member(&self, name: &str) -> Channel {
        let request =
            self.by(&["countersign.admin"], v1::CreateJoinTokenRequest { zone: "dev".into(), ttl: None });
        let token = EdgeAdminServiceClient::new(self.admin().await).create_join_token(request).await.unwrap();
        let key = EdgeKey::generate().unwrap();
        let request = v1::EnrolRequest {
            join_token: token.into_inner().join_token,
            csr: key.csr_der().unwrap(),
            edge: name.into(),
        };
        let mut bare = EdgeServiceClient::new(self.edge(None).await.unwrap());
        let enrolled = bare.enrol(request).await.unwrap().into_inner();
        assert_eq!(enrolled.zone, "dev");
        let identity = identity(&enrolled.certificate_chain[0], &key);
        self.edge(Some(identity)).await.unwrap()
    }
}

fn config(entra: &FakeEntra, folder: &Path) -> Config {
    Config {
        deployment: "acme".into(),
        data_dir: folder.join("data"),
        issuer_url: None,
        lease_seconds: 300,
        one_zone_per_token: false,
        allow_token_votes: true,
        admin: AdminConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            audience: ADMIN.into(),
            names: vec!["localhost".into(), "127.0.0.1".into()],
        },
        edge: EdgeConfig { listen: ([127, 0, 0, 1], 0).into(), names: vec!["localhost".into()] },
        entra: EntraConfig {
            authority: entra.base.clone(),
            tenant_id: entra::TENANT.into(),
            ca_file: Some(entra.ca_file.clone()),
            keys: KeysConfig::default(),
        },
    }
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn identity(certificate: &[u8], key: &EdgeKey) -> Identity {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    Identity::from_pem(pem, key.to_pem().as_bytes())
}
