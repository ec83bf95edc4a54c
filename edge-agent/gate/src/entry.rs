//! What the gate writes to the recording of a session.

use std::time::SystemTime;

use countersign_model::{ApprovalId, Determining, Fact, Identity, OperationId, Reason, Requirement};

use crate::{Excerpt, OperationKind, Shown, Step};

/// How an operation that was permitted ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Sent, and the target answered to the end.
    Done,
    /// Sent, and the target answered with an error.
    Failed,
    /// Permitted, and then not sent.
    NotSent,
    /// Sent, and whether it ran is not known. Never guessed, never retried.
    Unknown,
}

/// What the protocol learned from the reply as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// Protocol's words for what was done, one for each statement: `SELECT 3`.
    pub tags: Vec<String>,
    /// SQLSTATE or status of the error that ended it.
    pub error_code: Option<String>,
    /// Names of the columns of the first result.
    pub columns: Vec<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client left or broke the protocol.
    Client,
    /// Connect was refused.
    Refused,
    /// The target left, or could not be reached.
    Target,
    /// Its deadline passed.
    Deadline,
    /// The edge lost its lease.
    Lease,
    /// The edge is shutting down.
    Drain,
    /// Its recording could not go on.
    Journal,
    /// An admin ended it, or took back what it rests on.
    Killed,
}

impl CloseReason {
    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Refused => "refused",
            Self::Target => "target",
            Self::Deadline => "deadline",
            Self::Lease => "lease",
            Self::Drain => "drain",
            Self::Journal => "journal",
            Self::Killed => "killed",
        }
    }
}

/// One record. Written in this order: `Open (Hold? (Intent Reply* Outcome | Refusal))* Close`.
pub enum Entry<'a> {
    /// A permitted operation, before a byte of it is sent.
    Intent {
        /// The operation.
        operation: OperationId,
        /// Its kind.
        kind: OperationKind,
        /// The identity that it will be sent as.
        identity: Identity,
        /// The approval that it uses up.
        approval: Option<ApprovalId>,
        /// What is sent before it.
        preamble: &'a [Step],
        /// What of it is shown.
        shown: &'a Shown,
        /// Keyed hash of what will be sent, by [`crate::ports::Journal::tag`].
        tag: [u8; 32],
        /// What it touches.
        facts: &'a [Fact],
        /// The policies that determined the decision.
        policies: &'a [Determining],
        /// Their revision; empty where policy is not asked (catalog).
        revision: &'a str,
    },
    /// An operation that waits for people's votes.
    Hold {
        /// The operation.
        operation: OperationId,
        /// The request for votes.
        approval: ApprovalId,
        /// Its kind.
        kind: OperationKind,
        /// What of it is shown.
        shown: &'a Shown,
        /// Keyed hash of what would be sent.
        tag: [u8; 32],
        /// What it touches.
        facts: &'a [Fact],
        /// The policies that hold it.
        policies: &'a [Determining],
        /// Their revision.
        revision: &'a str,
        /// Whose votes it waits for.
        requirements: &'a [Requirement],
        /// Until when.
        expires_at: SystemTime,
    },
    /// An operation of which nothing was sent.
    Refusal {
        /// The operation.
        operation: OperationId,
        /// The approval that was asked for.
        approval: Option<ApprovalId>,
        /// Its kind.
        kind: OperationKind,
        /// What of it is shown.
        shown: &'a Shown,
        /// Keyed hash of what would have been sent.
        tag: [u8; 32],
        /// What it would have touched.
        facts: &'a [Fact],
        /// The policies that determined the decision.
        policies: &'a [Determining],
        /// Their revision.
        revision: &'a str,
        /// Why.
        reason: Reason,
    },
    /// A batch of a reply other than its last.
    Reply {
        /// The operation.
        operation: OperationId,
        /// Size of the batch.
        bytes: u64,
        /// Rows in the batch.
        rows: u64,
        /// Keyed hash of the batch as the client gets it.
        tag: [u8; 32],
        /// Rows of it.
        excerpt: &'a Excerpt,
    },
    /// The end of a permitted operation, covering the last batch of its reply.
    Outcome {
        /// The operation.
        operation: OperationId,
        /// The approval that it used up.
        approval: Option<ApprovalId>,
        /// How it ended.
        outcome: Outcome,
        /// What the protocol learned.
        completion: &'a Completion,
        /// Size of the whole reply.
        bytes: u64,
        /// Rows of the whole reply.
        rows: u64,
        /// SHA-256 over the keyed hash of each batch in order.
        tag: [u8; 32],
        /// Rows of the last batch, which has no Reply.
        excerpt: &'a Excerpt,
    },
    /// The end of the session.
    Close {
        /// Why.
        reason: CloseReason,
        /// Operations permitted.
        operations: u64,
        /// Operations refused.
        refusals: u64,
    },
}
