//! The HTTP client towards Entra: TLS only, no redirects, bounded time and bounded bodies.

use std::time::Duration;

use reqwest::{Certificate, Client, Response, redirect};
use zeroize::Zeroizing;

use crate::Authority;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a whole exchange.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Which certificates Entra's must chain to.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// What the system trusts.
    #[default]
    System,
    /// These alone: PEM, one or more certificates.
    Pem(Vec<u8>),
}

/// Why there is no client or no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The roots are not PEM certificates, or none.
    #[error("the root certificates cannot be read")]
    Roots,
    /// The client could not be built.
    #[error("the HTTP client cannot be built")]
    Client,
    /// The connection failed, broke or took too long.
    #[error("no answer")]
    Transport,
    /// The answer is not of the status, size or form expected.
    #[error("an answer of unexpected status, size or form")]
    Answer,
}

/// A client for `authority`. Redirects are off: what is sent to Entra is sent to nobody else.
///
/// # Errors
/// [`HttpError::Roots`] or [`HttpError::Client`].
pub fn client(authority: &Authority, roots: &Roots) -> Result<Client, HttpError> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .https_only(!cfg!(test));
    if authority.is_loopback() {
        builder = builder.no_proxy();
    }
    if let Roots::Pem(pem) = roots {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| HttpError::Roots)?;
        if certificates.is_empty() {
            return Err(HttpError::Roots);
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|_| HttpError::Client)
}

/// The body, if it is at most `limit` bytes; zeroed on drop, for it may hold a token.
pub(crate) async fn bounded_body(
    mut response: Response,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    // Allocated whole before the first byte, so that no grown-out-of copy of a token stays behind.
    let mut body = Zeroizing::new(Vec::with_capacity(limit));
    while let Some(chunk) = response.chunk().await.map_err(|_| HttpError::Transport)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(HttpError::Answer);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
