//! The deployment as an OIDC issuer: the two documents by which Entra learns its key.
//!
//! Source: Microsoft Entra Workload ID, "considerations" (minimal discovery document, RS256 only).

use countersign_pki::Jwk;
use serde_json::{Value, json};

/// What is published. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    url: String,
    jwk: Jwk,
}

impl Issuer {
    /// Path of the key set below the issuer's URL.
    pub const JWKS_PATH: &'static str = "/issuer/jwks.json";
    /// Path of the discovery document below the issuer's URL.
    pub const DISCOVERY_PATH: &'static str = "/.well-known/openid-configuration";

    /// `url` exactly as federated credentials name it: Entra compares every character.
    pub fn new(url: String, jwk: Jwk) -> Self {
        Self { url, jwk }
    }

    /// `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The discovery document.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}{}", self.url.trim_end_matches('/'), Self::JWKS_PATH),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// The key set.
    pub fn jwks(&self) -> Value {
        let Jwk { kid, n, e } = &self.jwk;
        json!({"keys": [{"use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": e}]})
    }
}
