//! What a recording says, as plain values: seven kinds of entries, and the frame that holds one.
//!
//! Of one operation they come in this order: `Hold? (Intent Reply* Outcome | Refusal)`. A Hold that nothing follows
//! was never sent: the session ended while people were asked.

use std::{fmt, time::SystemTime};

use countersign_model::{ApprovalId, Durability, Identity, OperationId};
use countersign_wire::v1;

use crate::{RecordedBinding, RecordedFact};

/// Bytes of a caller. `Debug` shows their number alone: what an agent sends is never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(pub Vec<u8>);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// The session opens: always the first entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// Who, to what, from where, until when.
    pub session: v1::Session,
    /// Revision of the policies at hand.
    pub policy_revision: String,
    /// The key of every HMAC of the recording, sealed ([`crate::seal_hash_key`]); empty if nothing is hashed.
    pub hash_key: Vec<u8>,
}

/// An operation, what it was taken to touch and what was decided; on record before a byte of it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The operation.
    pub operation: OperationId,
    /// The approval that it uses up.
    pub approval: Option<ApprovalId>,
    /// `postgres`.
    pub protocol: String,
    /// `query`, `connect`, `prepare`, `fetch`, `sync`, `catalog`.
    pub kind: String,
    /// What is sent before it on the same connection, in order.
    pub preamble: Vec<Payload>,
    /// What is about to be sent; with other text in the place of values if it is masked.
    pub payload: Payload,
    /// HMAC-SHA-256 of what is sent; `None` if it is not known.
    pub payload_hmac: Option<[u8; 32]>,
    /// Whether values in the payload are masked.
    pub payload_masked: bool,
    /// What it is executed with; `None` in the simple query protocol.
    pub binding: Option<RecordedBinding>,
    /// What it touches.
    pub facts: Vec<RecordedFact>,
    /// Ids of the policies that determined the decision.
    pub policies: Vec<String>,
    /// Revision of the policies that were asked.
    pub policy_revision: String,
    /// The upstream identity that it is sent with; `None` where nothing is sent to the target.
    pub identity: Option<Identity>,
}

/// An operation that waits for people's votes; nothing of it is sent before its [`Intent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The operation.
    pub operation: OperationId,
    /// The request for votes.
    pub approval: ApprovalId,
    /// `postgres`.
    pub protocol: String,
    /// `query`.
    pub kind: String,
    /// What would be sent; with other text in the place of values if it is masked.
    pub payload: Payload,
    /// HMAC-SHA-256 of what would be sent; `None` if it is not known.
    pub payload_hmac: Option<[u8; 32]>,
    /// Whether values in the payload are masked.
    pub payload_masked: bool,
    /// What it would be executed with; `None` in the simple query protocol.
    pub binding: Option<RecordedBinding>,
    /// What it touches.
    pub facts: Vec<RecordedFact>,
    /// Ids of the policies that hold it.
    pub policies: Vec<String>,
    /// Revision of the policies that were asked.
    pub policy_revision: String,
    /// Whose votes it waits for, a group and its quorum each: `dba 2`.
    pub requirements: Vec<String>,
    /// End of the time for voting.
    pub expires_at: SystemTime,
}

/// An operation that was refused before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The operation.
    pub operation: OperationId,
    /// The approval that was denied, expired or withdrawn.
    pub approval: Option<ApprovalId>,
    /// `postgres`.
    pub protocol: String,
    /// `query`, `connect`, `prepare`, `fetch`, `catalog`.
    pub kind: String,
    /// What was not sent; with other text in the place of values if it is masked.
    pub payload: Payload,
    /// HMAC-SHA-256 of what was not sent; `None` if it is not known.
    pub payload_hmac: Option<[u8; 32]>,
    /// Whether values in the payload are masked.
    pub payload_masked: bool,
    /// What it would have been executed with; `None` in the simple query protocol.
    pub binding: Option<RecordedBinding>,
    /// What it touches, as far as that was told.
    pub facts: Vec<RecordedFact>,
    /// Ids of the policies that determined the decision.
    pub policies: Vec<String>,
    /// Revision of the policies that were asked.
    pub policy_revision: String,
    /// Stable snake_case word.
    pub reason: String,
}

/// A column of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedColumn {
    /// Its name.
    pub name: String,
    /// Type (`pg_type` oid); 0 if it is not known.
    pub type_oid: u32,
    /// 0 text, 1 binary.
    pub format: u16,
    /// What stands for its values where they are masked: `[email]`; empty if they are not.
    pub masked: String,
}

/// Rows of a batch as they are recorded: masked, and as many of them as the level of detail keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedRows {
    /// Columns of the result, in the first frame of an operation that has rows.
    pub columns: Vec<RecordedColumn>,
    /// Whole DataRow messages of PostgreSQL's protocol, one after the other; [`crate::rows`] reads them.
    pub data: Payload,
    /// How many there are.
    pub count: u64,
}

/// One batch of a reply: size, hash and rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The operation that it answers.
    pub operation: OperationId,
    /// Bytes sent to the client.
    pub bytes: u64,
    /// Rows in them.
    pub rows: u64,
    /// HMAC-SHA-256 of what was sent to the client.
    pub hmac: [u8; 32],
    /// Its rows; at most as many as `rows`.
    pub recorded: RecordedRows,
}

/// What became of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// Sent, and the target answered to the end.
    Done,
    /// Policy, a person or a limit said no; nothing was sent.
    Refused,
    /// Permitted, and then not sent.
    NotSent,
    /// Sent, and whether it ran is not known.
    Unknown,
    /// Sent, and the target answered with an error.
    Failed,
}

impl OutcomeKind {
    /// Stable snake_case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The operation.
    pub operation: OperationId,
    /// The approval that it used up.
    pub approval: Option<ApprovalId>,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// The protocol's words for what was done: `SELECT 3`.
    pub tags: Vec<String>,
    /// SQLSTATE or status of an error; empty if none.
    pub error_code: String,
    /// Bytes of the whole reply.
    pub reply_bytes: u64,
    /// Rows of the whole reply.
    pub reply_rows: u64,
    /// SHA-256 over the HMAC of each batch of the reply in order; `None` where there was none.
    pub reply_hmac: Option<[u8; 32]>,
    /// Rows of the last batch, which has no [`Reply`].
    pub recorded: RecordedRows,
}

impl Outcome {
    /// An outcome of which nothing is known but its kind.
    pub fn bare(operation: OperationId, approval: Option<ApprovalId>, outcome: OutcomeKind) -> Self {
        Self {
            operation,
            approval,
            outcome,
            tags: Vec::new(),
            error_code: String::new(),
            reply_bytes: 0,
            reply_rows: 0,
            reply_hmac: None,
            recorded: RecordedRows::default(),
        }
    }
}

/// The session ends: always the last entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// `client`, `deadline`, `target`, `drain`, `crash`, …
    pub reason: String,
    /// Intents of the whole recording.
    pub operations: u64,
    /// Refusals of the whole recording.
    pub refusals: u64,
}

/// One thing that is recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// First of a recording.
    Open(Box<Open>),
    /// Before sending.
    Intent(Box<Intent>),
    /// Before people are heard.
    Hold(Box<Hold>),
    /// Instead of sending.
    Refusal(Box<Refusal>),
    /// While answers come.
    Reply(Box<Reply>),
    /// Once per intent.
    Outcome(Box<Outcome>),
    /// Last of a recording.
    Close(Close),
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// [`Entry::Open`].
    Open,
    /// [`Entry::Intent`].
    Intent,
    /// [`Entry::Hold`].
    Hold,
    /// [`Entry::Refusal`].
    Refusal,
    /// [`Entry::Reply`].
    Reply,
    /// [`Entry::Outcome`].
    Outcome,
    /// [`Entry::Close`].
    Close,
}

impl FrameKind {
    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Intent => "intent",
            Self::Hold => "hold",
            Self::Refusal => "refusal",
            Self::Reply => "reply",
            Self::Outcome => "outcome",
            Self::Close => "close",
        }
    }
}

impl Entry {
    /// Its kind.
    pub fn kind(&self) -> FrameKind {
        match self {
            Self::Open(_) => FrameKind::Open,
            Self::Intent(_) => FrameKind::Intent,
            Self::Hold(_) => FrameKind::Hold,
            Self::Refusal(_) => FrameKind::Refusal,
            Self::Reply(_) => FrameKind::Reply,
            Self::Outcome(_) => FrameKind::Outcome,
            Self::Close(_) => FrameKind::Close,
        }
    }

    /// The operation that it belongs to; open and close have none.
    pub fn operation(&self) -> Option<OperationId> {
        match self {
            Self::Intent(intent) => Some(intent.operation),
            Self::Hold(hold) => Some(hold.operation),
            Self::Refusal(refusal) => Some(refusal.operation),
            Self::Reply(reply) => Some(reply.operation),
            Self::Outcome(outcome) => Some(outcome.operation),
            Self::Open(_) | Self::Close(_) => None,
        }
    }

    /// The approval that it names.
    pub fn approval(&self) -> Option<ApprovalId> {
        match self {
            Self::Intent(intent) => intent.approval,
            Self::Hold(hold) => Some(hold.approval),
            Self::Refusal(refusal) => refusal.approval,
            Self::Outcome(outcome) => outcome.approval,
            Self::Open(_) | Self::Reply(_) | Self::Close(_) => None,
        }
    }

    /// What became of the operation, where the entry says so.
    pub fn outcome(&self) -> Option<OutcomeKind> {
        match self {
            Self::Outcome(outcome) => Some(outcome.outcome),
            Self::Refusal(_) => Some(OutcomeKind::Refused),
            Self::Open(_) | Self::Intent(_) | Self::Hold(_) | Self::Reply(_) | Self::Close(_) => None,
        }
    }
}

/// An entry with its place, its time and its level.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Counts from 0 over the whole recording.
    pub sequence: u64,
    /// By the edge's clock.
    pub at: SystemTime,
    /// The level at which it was accepted as recorded.
    pub durability: Durability,
    /// What it says.
    pub entry: Entry,
}

/// What a frame says in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFrame {
    /// Counts from 0 over the whole recording.
    pub sequence: u64,
    /// By the edge's clock.
    pub at: SystemTime,
    /// The level at which it was accepted as recorded.
    pub durability: Durability,
    /// What it is about.
    pub kind: FrameKind,
    /// The operation that it belongs to; open and close have none.
    pub operation: Option<OperationId>,
    /// The approval that it names.
    pub approval: Option<ApprovalId>,
    /// What became of the operation, where it says so.
    pub outcome: Option<OutcomeKind>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_payload() {
        assert_eq!(format!("{:?}", Payload(b"SELECT 'secret'".to_vec())), "Payload(15 bytes)");
    }
}
