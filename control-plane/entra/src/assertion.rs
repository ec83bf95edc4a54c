//! The issuer's key: it signs the assertions that Entra trades for tokens.
//!
//! RSA and RS256 alone, because that is what Entra's federated credentials accept. Who holds this key can mint for
//! every target of the deployment, so it never leaves this type but to its own file.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::base64url;

/// Life of an assertion: one is made for each exchange, so minutes are plenty.
const LIFETIME: Duration = Duration::from_secs(300);

/// Why there is no key or no assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not an RSA key of 2048 bits or more in PKCS#8 PEM.
    #[error("not an RSA key of at least 2048 bits in PKCS#8")]
    Rejected,
    /// The cryptographic library failed.
    #[error("the key operation failed")]
    Crypto,
}

/// The issuer's private key, under the id by which its public half is published.
pub struct AssertionKey {
    pair: RsaKeyPair,
    kid: String,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl AssertionKey {
    /// The key in a PKCS#8 PEM; `kid` is what the published JWK calls it.
    ///
    /// # Errors
    /// [`KeyError::Rejected`] if it is none, or shorter than 2048 bits.
    pub fn from_pkcs8_pem(pem: &str, kid: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Rejected)?;
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| KeyError::Rejected)?;
        Ok(Self { pair, kid: kid.to_owned() })
    }

    /// A federated assertion: this issuer says that the bearer is `subject`, for five minutes, once.
    pub(crate) fn assert(
        &self,
        issuer: &str,
        subject: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<Zeroizing<String>, KeyError> {
        let start = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.sign(&json!({
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "jti": Uuid::new_v4().to_string(),
            "nbf": start.as_secs(),
            "iat": start.as_secs(),
            "exp": start.saturating_add(LIFETIME).as_secs(),
        }))
    }

    fn sign(&self, claims: &Value) -> Result<Zeroizing<String>, KeyError> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let mut token = Zeroizing::new(base64url::encode(header.to_string().as_bytes()));
        token.push('.');
        token.push_str(&base64url::encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Crypto)?;
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        Ok(token)
    }
}

#[cfg(test)]
pub(crate) mod tests;
