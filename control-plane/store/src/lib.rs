//! What the control plane remembers, as traits.
//!
//! Each method is one atomic step, and what it acknowledged survives the death of the process. Methods have names of
//! their own across all traits, so that an `Arc<dyn Store>` can be asked directly or be narrowed to what a caller
//! needs (`Arc<dyn Sessions>`). Every backend is held to [`conformance`].

mod approvals;
mod audit;
pub mod conformance;
mod edges;
mod error;
mod page;
mod recordings;
mod resources;
mod sessions;
mod token_uses;

use std::time::SystemTime;

use async_trait::async_trait;

pub use approvals::{ApprovalRecord, Approvals, VoteRecord};
pub use audit::{AUDIT_GENESIS, Audit, AuditEntry, AuditEvent, ChainFault, verify_chain};
pub use edges::{BootId, EdgeBoot, EdgeCertificate, EdgeRecord, Edges, EnrolError, JoinToken, NewEdge};
pub use error::StoreError;
pub use page::{MAX_PAGE, Page};
pub use recordings::{AppendError, Appended, Recording, Recordings, Segment};
pub use resources::{Change, Expected, Put, Resource, ResourceKind, Resources, Snapshot};
pub use sessions::{SessionRecord, Sessions};
pub use token_uses::{TokenUse, TokenUses};

/// All that one control plane remembers.
///
/// Times are kept in nanoseconds since the Unix epoch; an earlier one is kept as the epoch itself.
#[async_trait]
pub trait Store: Resources + Sessions + Approvals + Recordings + Edges + Audit + TokenUses {
    /// Forgets join tokens and token uses that expired before `now`; returns how many. Meant to be called now and
    /// then: an expired join token is refused whether it was purged or not.
    async fn purge_expired(&self, now: SystemTime) -> Result<u64, StoreError>;

    /// Whether a write would be taken now.
    async fn check(&self) -> Result<(), StoreError>;
}
