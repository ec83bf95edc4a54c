//! Minting: an assertion of ours for a token of Entra's.
//!
//! Client credentials grant with a federated assertion, one scope, one attempt after the other within a bound. The
//! minted token is opaque: it is never parsed, its end comes from the answer. Source: Microsoft identity platform,
//! "OAuth 2.0 client credentials flow" and "workload identity federation".

mod answer;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use countersign_model::Secret;
use reqwest::{Client, StatusCode, header};
use tokio::time::Instant;
use tracing::warn;

use crate::{AssertionKey, Authority, http::bounded_body};

/// What an assertion is for, in the global cloud. National clouds have names of their own.
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest time that one mint may take, attempts and pauses together.
const TOTAL: Duration = Duration::from_secs(15);
/// Attempts at one mint.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; doubled for the third, plus up to as much again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Largest answer taken, in bytes.
const MAX_ANSWER: usize = 128 * 1024;
/// Pause if Entra says 429 and not for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longest pause that Entra can impose.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MintRequest<'a> {
    /// Client id of the app registration that trusts our issuer.
    pub client_id: &'a str,
    /// `sub` of the assertion, compared by Entra exactly and in case.
    pub subject: &'a str,
    /// The resource that the token is for, without `/.default`.
    pub resource: &'a str,
}

/// A minted token.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub token: Secret,
    /// Its end, by the answer's `expires_in` counted from before we asked.
    pub expires_at: SystemTime,
}

/// Why nothing was minted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Entra did not answer, or said that it is having a bad moment; several times.
    #[error("Entra does not answer or is failing")]
    Transient,
    /// Entra wants to be left alone, for this client.
    #[error("Entra throttles this client for {} s", retry_after.as_secs())]
    Throttled {
        /// For how long.
        retry_after: Duration,
    },
    /// The federated credential is not known (yet): after its creation Entra takes minutes to know it everywhere.
    #[error(
        "Entra does not know the federated credential (yet): error codes {error_codes:?}, trace {trace_id}"
    )]
    Propagation {
        /// AADSTS numbers.
        error_codes: Vec<u32>,
        /// Entra's trace id.
        trace_id: String,
    },
    /// The registration is wrong, and trying again does not help.
    #[error("Entra refused: {error}, codes {error_codes:?}, trace {trace_id}, correlation {correlation_id}")]
    Config {
        /// OAuth error word.
        error: String,
        /// AADSTS numbers.
        error_codes: Vec<u32>,
        /// Entra's trace id.
        trace_id: String,
        /// Entra's correlation id.
        correlation_id: String,
    },
    /// Entra's answer is not what its documentation says.
    #[error("Entra's answer makes no sense")]
    Answer,
    /// We could not sign.
    #[error("the assertion could not be signed")]
    Ourselves,
}

/// Mints tokens in one tenant.
pub struct Minter {
    http: Client,
    token_url: String,
    issuer: String,
    key: Arc<AssertionKey>,
    /// Clients that Entra throttles, until when.
    throttled: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minter").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Minter {
    /// `issuer` is our issuer URL, exactly as federated credentials name it.
    pub fn new(authority: &Authority, http: Client, issuer: String, key: Arc<AssertionKey>) -> Self {
        Self { http, token_url: authority.token_url(), issuer, key, throttled: Mutex::default() }
    }

    /// Mints one token. Cancelling is harmless; at worst a token was made that nobody gets.
    ///
    /// # Errors
    /// [`MintError`], by what can be done about it. Nothing in it is secret.
    pub async fn mint(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError> {
        if let Some(retry_after) = self.throttled_for(request.client_id) {
            return Err(MintError::Throttled { retry_after });
        }
        let minted = tokio::time::timeout(TOTAL, self.attempts(request, now))
            .await
            .unwrap_or(Err(MintError::Transient));
        if let Err(error) = &minted {
            warn!(client_id = request.client_id, subject = request.subject, %error, "mint failed");
        }
        if let Err(MintError::Throttled { retry_after }) = minted {
            self.throttle(request.client_id, retry_after);
        }
        minted
    }

    async fn attempts(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            // An assertion of its own for each attempt: its jti is used once.
            match self.attempt(request, now + started.elapsed()).await {
                Err(MintError::Transient) => {
                    tokio::time::sleep(pause.mul_f64(1.0 + rand::random::<f64>())).await
                }
                settled => return settled,
            }
            pause *= 2;
        }
        self.attempt(request, now + started.elapsed()).await
    }

    async fn attempt(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError> {
        let assertion = self
            .key
            .assert(&self.issuer, request.subject, EXCHANGE_AUDIENCE, now)
            .map_err(|_| MintError::Ourselves)?;
        let scope = format!("{}/.default", request.resource);
        let form = [
            ("client_id", request.client_id),
            ("scope", &scope),
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        let response =
            self.http.post(&self.token_url).form(&form).send().await.map_err(|_| MintError::Transient)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The body is plain text here; the header is all there is to know.
            return Err(MintError::Throttled { retry_after: retry_after(response.headers()) });
        }
        let body = bounded_body(response, MAX_ANSWER).await.map_err(|_| MintError::Transient)?;
        if status == StatusCode::OK {
            answer::minted(&body, now)
        } else {
            Err(answer::refusal(status, &body))
        }
    }

    fn throttled_for(&self, client_id: &str) -> Option<Duration> {
        let mut throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        throttled.retain(|_, until| *until > now);
        throttled.get(client_id).map(|until| until.saturating_duration_since(now))
    }

    fn throttle(&self, client_id: &str, retry_after: Duration) {
        let mut throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        throttled.insert(client_id.to_owned(), Instant::now() + retry_after);
    }
}

fn retry_after(headers: &header::HeaderMap) -> Duration {
    headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(DEFAULT_RETRY_AFTER, Duration::from_secs)
        .min(MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests;
