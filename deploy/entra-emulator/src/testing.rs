//! What the tests of this crate share: a certificate of their own, and a tiny OIDC issuer with its own signing code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, TlsFiles};
use crate::development::{DevelopmentIds, DevelopmentParams, directory};
use crate::directory::PostgresServer;
use crate::{Emulator, Running, server};

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A self-signed certificate for `localhost` that is its own root.
pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.root(), key: self.folder.path().join("key.pem") }
    }
}

/// An issuer at `https://localhost:PORT` with discovery, one key and a counter.
pub(crate) struct Issuer {
    pub(crate) url: String,
    key: EncodingKey,
    fetches: Arc<AtomicUsize>,
    _server: AbortOnDropHandle<()>,
}

impl Issuer {
    /// `claimed` is put into the discovery document instead of the issuer's own URL.
    pub(crate) async fn start(certificate: &Certificate, claimed: Option<&str>) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = json!("issuer-key");

        let fetches = Arc::new(AtomicUsize::new(0));
        let configuration = json!({
            "issuer": claimed.unwrap_or(&url),
            "jwks_uri": format!("{url}/keys"),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(move || async { Json(configuration) }))
            .route("/keys", get(counted(Arc::clone(&fetches), json!({"keys": [jwk]}))));
        let acceptor = server::acceptor(&certificate.files()).unwrap();
        let server = tokio::spawn(server::accept(listener, Some(acceptor), routes));
        Self { url, key, fetches, _server: AbortOnDropHandle::new(server) }
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// An assertion that the development directory believes, before `change` has bent header and claims.
    pub(crate) fn assertion(&self, subject: &str, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let now = crate::state::now();
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("issuer-key".to_owned());
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": "api://AzureADTokenExchange",
            "nbf": now, "iat": now, "exp": now + 300, "jti": "1",
        });
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

fn counted(
    fetches: Arc<AtomicUsize>,
    document: Value,
) -> impl Fn() -> std::future::Ready<Json<Value>> + Clone + Send + Sync + 'static {
    move || {
        fetches.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Json(document.clone()))
    }
}

/// An emulator over plain HTTP with LDAP, the development directory, and the role `shop_standing`.
pub(crate) async fn emulator(issuer: &str, trust_roots: Vec<PathBuf>) -> (Running, DevelopmentIds) {
    let (mut directory, ids) = directory(&DevelopmentParams {
        issuer: issuer.to_owned(),
        deployment: "dev".to_owned(),
        targets: vec!["shop".to_owned()],
        gateway_audience: None,
        admin_audience: None,
    });
    let owner = ids.identities["shop-standing"].object_id;
    let roles = [("shop_standing".to_owned(), owner)].into();
    directory.postgres = Some(PostgresServer { tenant: ids.tenant, roles });
    let config = Config {
        listen: LOOPBACK,
        public_host: "localhost".to_owned(),
        tls: None,
        trust_roots,
        ldap_listen: Some(LOOPBACK),
        directory,
    };
    (Emulator::start(config).await.unwrap(), ids)
}
