//! Requests for people's votes, from their beginning to their end.
//!
//! The store keeps and compares; what may follow what is the core's to say. What is asked about is sealed before it
//! comes here, and outcomes are signed: whoever can write to the store can approve nothing.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_model::{ApprovalId, ApprovalState, Name, OperationId, SessionId};

use crate::{BootId, Page, StoreError};

/// A vote, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteRecord {
    /// `<tid>/<oid>` of the voter.
    pub voter: String,
    /// Their name in the token, for show.
    pub name: String,
    /// For or against.
    pub approve: bool,
    /// Free text of the voter.
    pub reason: String,
    /// When.
    pub at: SystemTime,
    /// The groups of the requirements that it counts for, sorted.
    pub groups: Vec<String>,
    /// Keyed hash over approval, digest and all of the above.
    pub mac: [u8; 32],
}

/// An approval as the control plane keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Its id.
    pub id: ApprovalId,
    /// Its state.
    pub state: ApprovalState,
    /// Counts up with each change, from 1.
    pub version: u64,
    /// The session that waits.
    pub session: SessionId,
    /// The operation that is asked about.
    pub operation: OperationId,
    /// The edge of the session, and the process of it.
    pub edge: Name,
    /// That process.
    pub boot_id: BootId,
    /// `<tid>/<oid>` of who asks: pending approvals are counted by it.
    pub asker: String,
    /// What is asked and what a vote binds to, sealed; gone once the approval is final.
    pub sealed: Option<Vec<u8>>,
    /// What is left of it when it is final: facts, policies, requirements, encoded by the core.
    pub summary: Vec<u8>,
    /// Keyed hash of the digest, lower-case hex.
    pub fingerprint: String,
    /// When it was asked.
    pub created_at: SystemTime,
    /// End of the time for voting.
    pub expires_at: SystemTime,
    /// End of the time for use, once approved.
    pub use_until: Option<SystemTime>,
    /// When it became final.
    pub ended_at: Option<SystemTime>,
    /// In order.
    pub votes: Vec<VoteRecord>,
    /// The signed outcome, encoded by the core; set once it is no longer pending.
    pub outcome: Option<Vec<u8>>,
    /// The credential for its operation was minted.
    pub minted: bool,
}

/// Approvals, open and final.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Remembers a new approval, whose state is pending and whose version is 1. [`StoreError::Conflict`] if the id is
    /// known, or if `asker` has `most_pending` pending ones.
    async fn create_approval(&self, approval: ApprovalRecord, most_pending: usize) -> Result<(), StoreError>;

    /// One approval, or [`StoreError::NotFound`].
    async fn approval(&self, id: ApprovalId) -> Result<ApprovalRecord, StoreError>;

    /// Puts `approval` in the place of the one with its id, whose version must be one less: of several that try, one
    /// succeeds and the others get [`StoreError::Conflict`]. [`StoreError::NotFound`] if the id is not known.
    async fn replace_approval(&self, approval: ApprovalRecord) -> Result<(), StoreError>;

    /// Newest first (by the time in the id), from the first older than `before`; of these states only, or of all if
    /// there are none.
    async fn approvals(
        &self,
        states: &[ApprovalState],
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Page<ApprovalRecord, ApprovalId>, StoreError>;

    /// All that are not final, oldest first. What it costs depends on them alone, not on how many are final.
    async fn open_approvals(&self) -> Result<Vec<ApprovalRecord>, StoreError>;

    /// The approvals of a session, oldest first.
    async fn approvals_of(&self, session: SessionId) -> Result<Vec<ApprovalRecord>, StoreError>;
}
