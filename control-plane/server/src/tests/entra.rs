//! Just enough of Entra: keys over TLS, and a token endpoint that hands out an opaque word.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use countersign_pki::{Ca, IssuerKey};
use countersign_runtime::Drain;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{service::Routes, transport::Server};

use crate::{
    listener::{Bounds, Listener},
    tls,
};

pub(super) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The application that people sign in with.
const CLIENT: &str = "77777777-7777-4777-8777-777777777777";
pub(super) const MINTED: &str = "an-opaque-minted-token";

pub(super) struct FakeEntra {
    pub(super) base: String,
    pub(super) ca_file: PathBuf,
    /// Forms that the token endpoint was sent.
    pub(super) forms: Arc<Mutex<Vec<String>>>,
    key: IssuerKey,
    _folder: TempDir,
    _drain: Drain,
}

impl FakeEntra {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::load_or_create(folder.path(), &"entra".parse().unwrap(), SystemTime::now()).unwrap();
        let key = IssuerKey::load_or_create(&folder.path().join("signing.pem")).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let base = format!("https://localhost:{}", listener.local().port());
        let issuer = format!("{base}/{TENANT}/v2.0");
        let discovery = json!({"issuer": issuer, "jwks_uri": format!("{base}/keys")});
        let jwk = key.jwk();
        let jwks = json!({"keys": [{
            "kty": "RSA", "use": "sig", "kid": jwk.kid, "n": jwk.n, "e": jwk.e,
            "issuer": format!("{base}/{{tenantid}}/v2.0"),
        }]});
        let forms = Arc::<Mutex<Vec<String>>>::default();
        let sent = forms.clone();
        let token = post(async move |form: String| {
            sent.lock().unwrap().push(form);
            Json(json!({"token_type": "Bearer", "expires_in": 3599, "access_token": MINTED}))
        });
        let routes = Router::new()
            .route(
                &format!("/{TENANT}/v2.0/.well-known/openid-configuration"),
                get(async move || Json(discovery)),
            )
            .route("/keys", get(async move || Json(jwks)))
            .route(&format!("/{TENANT}/oauth2/v2.0/token"), token);
        let certificate = tls::ListenerCertificate::issue(Arc::new(ca), vec!["localhost".into()]).unwrap();
        let (drain, stop) = Drain::new();
        let connections =
            listener.connections(tls::admin(certificate).unwrap(), Bounds::new(0, 64, None), stop);
        let server = Server::builder().accept_http1(true).add_routes(Routes::from(routes));
        tokio::spawn(server.serve_with_incoming(connections));
        Self { base, ca_file: folder.path().join("ca.pem"), forms, key, _folder: folder, _drain: drain }
    }

    /// A token that is good for an hour. An app calls by itself, and people by the same application.
    pub(super) fn token(&self, audience: &str, idtyp: &str, object_id: &str, roles: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let application = if idtyp == "app" { object_id } else { CLIENT };
        self.sign(&json!({
            "aud": audience, "iss": format!("{}/{TENANT}/v2.0", self.base), "tid": TENANT, "oid": object_id,
            "azp": application, "idtyp": idtyp, "roles": roles, "ver": "2.0", "uti": format!("u-{now}"),
            "iat": now, "nbf": now, "exp": now + 3600,
        }))
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.key.jwk().kid});
        let signed = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let der = PrivatePkcs8KeyDer::from_pem_slice(self.key.pkcs8_pem().as_bytes()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", B64.encode(signature))
    }
}
