//! What the core asks of Entra.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_entra::{MintError, MintRequest, Minted, Minter, TokenError, ValidatedToken, Validator};

/// Verifies callers' tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Who bears `token`, which must be for exactly `audience`.
    async fn validate(
        &self,
        token: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<ValidatedToken, TokenError>;
}

/// Mints targets' tokens.
#[async_trait]
pub trait Minting: Send + Sync {
    /// A new token, or why there is none.
    async fn mint(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError>;
}

#[async_trait]
impl Tokens for Validator {
    async fn validate(
        &self,
        token: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<ValidatedToken, TokenError> {
        Validator::validate(self, token, audience, now).await
    }
}

#[async_trait]
impl Minting for Minter {
    async fn mint(&self, request: MintRequest<'_>, now: SystemTime) -> Result<Minted, MintError> {
        Minter::mint(self, request, now).await
    }
}
