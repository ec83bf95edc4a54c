//! In which zone each caller's token was first seen.
//!
//! Zones may share an audience; a token that shows up in a second zone is then worth an alarm, or a refusal.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_model::Name;

use crate::StoreError;

/// How a use of a token relates to earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUse {
    /// It was never seen before.
    First,
    /// It was seen before, first in this zone.
    SameZone,
    /// It was first seen in another zone.
    OtherZone {
        /// That zone.
        first: Name,
    },
}

/// Notes of verified tokens, kept until they expire.
#[async_trait]
pub trait TokenUses: Send + Sync {
    /// Notes that a token was seen in a zone and says how that relates to its first use. A token is named by tenant
    /// (`tid`) and `uti`; `expires_at` is its `exp`, until which the note is kept. The first zone stays the first.
    async fn note_token_use(
        &self,
        tenant_id: &str,
        token_id: &str,
        zone: &Name,
        expires_at: SystemTime,
    ) -> Result<TokenUse, StoreError>;
}
