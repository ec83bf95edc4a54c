//! Keys of federated issuers, fetched through their discovery documents over https and kept for a minute. One fetch
//! at a time per issuer; an unknown key id fetches again at most every five seconds; a failing issuer fails the
//! exchange, however good its last keys were.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Certificate, Client, redirect};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::strict_json;

/// How long fetched keys are used.
const KEEP: Duration = Duration::from_secs(60);
/// Least time between two fetches for the sake of an unknown key id.
const REFETCH: Duration = Duration::from_secs(5);
/// Connect and read, each document.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Entra stores only the first hundred keys of a set.
const MAX_KEYS: usize = 100;

/// A trust root cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IssuerKeysError {
    /// The file.
    #[error("trust root {path}: {reason}")]
    Root {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client.
    #[error("client for federated issuers: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why an issuer's keys are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unobtainable {
    /// No answer, or not 200.
    Unreachable,
    /// An answer that is not what it should be.
    Document,
}

/// An RSA key of an issuer, both parts big-endian.
#[derive(Clone)]
pub(crate) struct PublicKey {
    kid: String,
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

pub(crate) struct IssuerKeys {
    client: Client,
    /// Grows only by issuers that a federated credential names.
    known: std::sync::Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Fetched>>>>>,
}

struct Fetched {
    at: Instant,
    keys: Vec<PublicKey>,
}

impl IssuerKeys {
    /// A client that trusts the given roots alone, follows no redirect and uses no proxy.
    pub(crate) fn new(trust_roots: &[PathBuf]) -> Result<Self, IssuerKeysError> {
        let mut roots = Vec::new();
        for path in trust_roots {
            let fault = |reason: String| IssuerKeysError::Root { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| fault(error.to_string()))?;
            if certificates.is_empty() {
                return Err(fault("no certificate in it".to_owned()));
            }
            roots.extend(certificates);
        }
        let client = Client::builder()
            .tls_certs_only(roots)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { client, known: std::sync::Mutex::default() })
    }

    /// The issuer's key of that id, if it has one.
    pub(crate) async fn find(&self, issuer: &str, kid: &str) -> Result<Option<PublicKey>, Unobtainable> {
        let entry = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(issuer.to_owned()).or_default())
        };
        let mut entry = entry.lock().await;
        if let Some(fetched) = entry.as_ref() {
            let age = fetched.at.elapsed();
            let found = fetched.get(kid);
            if age < REFETCH || (age < KEEP && found.is_some()) {
                return Ok(found);
            }
        }
        let fetched = Fetched { keys: self.fetch(issuer).await?, at: Instant::now() };
        let found = fetched.get(kid);
        *entry = Some(fetched);
        Ok(found)
    }

    async fn fetch(&self, issuer: &str) -> Result<Vec<PublicKey>, Unobtainable> {
        let configuration = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let configuration = self.document(&configuration).await?;
        if configuration.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(Unobtainable::Document);
        }
        let jwks_uri = configuration.get("jwks_uri").and_then(Value::as_str).ok_or(Unobtainable::Document)?;
        let jwks = self.document(jwks_uri).await?;
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or(Unobtainable::Document)?;
        Ok(keys.iter().take(MAX_KEYS).filter_map(public_key).collect())
    }

    async fn document(&self, url: &str) -> Result<Map<String, Value>, Unobtainable> {
        let unreachable = |error: reqwest::Error| {
            tracing::warn!(%error, "federated issuer");
            Unobtainable::Unreachable
        };
        let mut response = self.client.get(url).send().await.map_err(unreachable)?;
        if response.status() != reqwest::StatusCode::OK {
            tracing::warn!(url, status = response.status().as_u16(), "federated issuer");
            return Err(Unobtainable::Unreachable);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_DOCUMENT {
                return Err(Unobtainable::Document);
            }
            body.extend_from_slice(&chunk);
        }
        strict_json::object(&body).ok_or(Unobtainable::Document)
    }
}

impl Fetched {
    fn get(&self, kid: &str) -> Option<PublicKey> {
        self.keys.iter().find(|key| key.kid == kid).cloned()
    }
}

/// An RSA signing key for RS256; anything else in the set is passed over.
fn public_key(jwk: &Value) -> Option<PublicKey> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    let fits = text("kty") == Some("RSA")
        && text("use").is_none_or(|usage| usage == "sig")
        && text("alg").is_none_or(|alg| alg == "RS256");
    if !fits {
        return None;
    }
    Some(PublicKey {
        kid: text("kid")?.to_owned(),
        modulus: URL_SAFE_NO_PAD.decode(text("n")?).ok()?,
        exponent: URL_SAFE_NO_PAD.decode(text("e")?).ok()?,
    })
}
