//! The tenant's signing keys, kept at hand.
//!
//! Refreshed in the background; an unknown key id makes one fetch on the spot, rarely, and one at a time, so that
//! forged ids cannot turn us against Entra. If a fetch fails, the last good set serves on until it is too old; after
//! that nobody is let in. Source: Microsoft identity platform, "signing key rollover".

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use tracing::{debug, warn};

use crate::{Authority, HttpError, TokenError, base64url, http::bounded_body};

/// Largest discovery document or key set taken, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;
/// Most keys taken of one set; Entra publishes fewer than ten.
const MAX_KEYS: usize = 100;
/// Wait after a failed background refresh, at most.
const RETRY: Duration = Duration::from_secs(60);

/// How long keys are believed and how often they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTiming {
    /// How long a set serves without a successful refresh.
    pub time_to_live: Duration,
    /// Time between background refreshes.
    pub refresh: Duration,
    /// Least time between two fetches that unknown key ids cause.
    pub unknown_key: Duration,
}

impl Default for KeyTiming {
    /// 24 h, 1 h, 5 min: what Microsoft recommends.
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(24 * 3600),
            refresh: Duration::from_secs(3600),
            unknown_key: Duration::from_secs(300),
        }
    }
}

/// The keys of one tenant.
pub struct SigningKeys {
    authority: Authority,
    http: Client,
    timing: KeyTiming,
    current: RwLock<Option<Arc<KeySet>>>,
    /// Held during a fetch: there is one at a time. Holds when the last one was that nobody had scheduled.
    unscheduled: Mutex<Option<Instant>>,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Nothing is fetched yet.
    pub fn new(authority: Authority, http: Client, timing: KeyTiming) -> Self {
        Self { authority, http, timing, current: RwLock::default(), unscheduled: Mutex::default() }
    }

    /// Whose keys these are.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Fetches the keys now and replaces what is at hand; on failure what is at hand stays.
    ///
    /// # Errors
    /// [`HttpError`] if Entra does not answer, or not with what it should.
    pub async fn refresh(&self) -> Result<(), HttpError> {
        let _flight = self.unscheduled.lock().await;
        self.fetch_and_store().await
    }

    /// Refreshes for ever, at [`KeyTiming::refresh`]; after a failure within a minute. To be spawned, and aborted at will.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            let pause = match self.refresh().await {
                Ok(()) => self.timing.refresh,
                Err(_) => self.timing.refresh.min(RETRY),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The key of that id.
    pub(crate) async fn get(&self, kid: &str) -> Result<Arc<SigningKey>, TokenError> {
        if let Found::Key(key) = self.look(kid) {
            return Ok(key);
        }
        let mut unscheduled = self.unscheduled.lock().await;
        // Whoever held the lock before us may have brought it.
        if let Found::Key(key) = self.look(kid) {
            return Ok(key);
        }
        if unscheduled.is_none_or(|last| last.elapsed() >= self.timing.unknown_key) {
            *unscheduled = Some(Instant::now());
            // A failure has been logged, and what follows tells the two cases apart.
            let _ = self.fetch_and_store().await;
        }
        match self.look(kid) {
            Found::Key(key) => Ok(key),
            Found::Unknown => Err(TokenError::KeyUnknown),
            Found::NoSet => Err(TokenError::KeysUnavailable),
        }
    }

    fn look(&self, kid: &str) -> Found {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(set) if set.fetched.elapsed() < self.timing.time_to_live => {
                set.keys.get(kid).map_or(Found::Unknown, |key| Found::Key(key.clone()))
            }
            // Too old counts as none: fail closed.
            _ => Found::NoSet,
        }
    }

    async fn fetch_and_store(&self) -> Result<(), HttpError> {
        match self.fetch().await {
            Ok(set) => {
                debug!(keys = set.keys.len(), "signing keys fetched");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(set));
                Ok(())
            }
            Err(error) => {
                warn!(%error, "signing keys could not be fetched");
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, HttpError> {
        let discovery: Discovery = self.document(&self.authority.discovery_url()).await?;
        if discovery.issuer != self.authority.issuer() {
            return Err(HttpError::Answer);
        }
        let keys = Url::parse(&discovery.jwks_uri).map_err(|_| HttpError::Answer)?;
        if !self.authority.same_origin(&keys) {
            return Err(HttpError::Answer);
        }
        KeySet::read(self.document(keys.as_str()).await?)
    }

    async fn document<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, HttpError> {
        let response = self.http.get(url).send().await.map_err(|_| HttpError::Transport)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(HttpError::Answer);
        }
        let body = bounded_body(response, MAX_DOCUMENT).await?;
        serde_json::from_slice(&body).map_err(|_| HttpError::Answer)
    }
}

enum Found {
    Key(Arc<SigningKey>),
    Unknown,
    NoSet,
}

struct KeySet {
    fetched: Instant,
    keys: HashMap<String, Arc<SigningKey>>,
}

impl KeySet {
    fn read(document: Jwks) -> Result<Self, HttpError> {
        if document.keys.len() > MAX_KEYS {
            return Err(HttpError::Answer);
        }
        let mut keys = HashMap::new();
        for key in document.keys.into_iter().filter_map(SigningKey::read) {
            // The first of an id wins; whichever it is, it verifies for its own issuer only.
            keys.entry(key.kid.clone()).or_insert_with(|| Arc::new(key));
        }
        // A set without a single usable key would lock everybody out: rather the one at hand.
        if keys.is_empty() { Err(HttpError::Answer) } else { Ok(Self { fetched: Instant::now(), keys }) }
    }
}

/// One RSA key.
pub(crate) struct SigningKey {
    kid: String,
    /// For whom it signs; `{tenantid}` stands for any tenant.
    pub(crate) issuer: Option<String>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl SigningKey {
    /// `None` for keys that are not for RS256 signatures: such a set is no fault.
    fn read(jwk: Jwk) -> Option<Self> {
        let usable = jwk.kty == "RSA"
            && jwk.key_use.as_deref().is_none_or(|key_use| key_use == "sig")
            && jwk.alg.as_deref().is_none_or(|alg| alg == "RS256");
        if !usable {
            return None;
        }
        Some(Self {
            kid: jwk.kid.filter(|kid| !kid.is_empty())?,
            issuer: jwk.issuer,
            modulus: base64url::decode(&jwk.n?)?,
            exponent: base64url::decode(&jwk.e?)?,
        })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// RFC 7517, with Entra's own `issuer`.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    key_use: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    issuer: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[cfg(test)]
mod tests;
