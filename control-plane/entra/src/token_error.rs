//! Why a token was refused: for logs and metrics, never for the caller.

/// The closed kinds of refusal, in the order of the checks. None carries a byte of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Longer than the cap.
    #[error("too large")]
    TooLarge,
    /// Not three segments of canonical base64url holding a JSON header and JSON claims.
    #[error("malformed")]
    Malformed,
    /// A JSON key is there twice.
    #[error("duplicate key")]
    DuplicateKey,
    /// `alg` is not RS256.
    #[error("algorithm")]
    Algorithm,
    /// The header's `typ` is not JWT, or it has a member that would name keys or extensions (`crit`, `jku`, `jwk`,
    /// `x5u`, `x5c`).
    #[error("header")]
    Header,
    /// No key of the tenant has this `kid`.
    #[error("unknown key")]
    KeyUnknown,
    /// The tenant's keys could not be fetched: nobody can be let in. Our trouble, not the caller's.
    #[error("keys unavailable")]
    KeysUnavailable,
    /// The signature does not verify.
    #[error("signature")]
    Signature,
    /// The key is not for this issuer.
    #[error("issuer of the key")]
    KeyIssuer,
    /// `iss` is not exactly the tenant's.
    #[error("issuer")]
    Issuer,
    /// `tid` is not the tenant.
    #[error("tenant")]
    Tenant,
    /// `aud` is not exactly the one audience asked for.
    #[error("audience")]
    Audience,
    /// `nbf` is missing or in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// `exp` is missing or in the past.
    #[error("expired")]
    Expired,
    /// `ver` is not 2.0.
    #[error("version")]
    Version,
    /// `idtyp`, `oid`, `azp`, `uti`, `roles` or the facets are missing or malformed.
    #[error("subject")]
    Subject,
}

impl TokenError {
    /// Stable snake_case word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::DuplicateKey => "duplicate_key",
            Self::Algorithm => "algorithm",
            Self::Header => "header",
            Self::KeyUnknown => "key_unknown",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Signature => "signature",
            Self::KeyIssuer => "key_issuer",
            Self::Issuer => "issuer",
            Self::Tenant => "tenant",
            Self::Audience => "audience",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Version => "version",
            Self::Subject => "subject",
        }
    }
}
