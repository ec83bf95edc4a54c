//! What the gate needs of the world. The uplink implements these over gRPC, policy and the spool.
//!
//! Futures need not be `Send`: a session lives on one current-thread runtime from its first byte to its last.

mod approvals;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Instant, SystemTime},
};

use countersign_model::{
    ApprovalId, Decision, Durability, Fact, Identity, OperationContext, OperationId, Reason, Refusal, Secret,
    SessionFacts, SessionId,
};

use crate::{CloseReason, Entry, OpenRequest};

pub use approvals::{Approvals, Question, Requested, Withdrawal};

/// The ports together; one implementation for each process.
pub trait Ports: 'static {
    /// Opens sessions and mints.
    type Authority: Authority;
    /// Asks people.
    type Approvals: Approvals;
    /// Decides.
    type Decider: Decider;
    /// Records.
    type Recorder: Recorder;

    /// The control plane.
    fn authority(&self) -> &Self::Authority;
    /// The way to people.
    fn approvals(&self) -> &Self::Approvals;
    /// The policies at hand.
    fn decider(&self) -> &Self::Decider;
    /// The spool.
    fn recorder(&self) -> &Self::Recorder;
}

/// The end of a session by somebody else's will, to be waited for.
pub type Ended = Pin<Box<dyn Future<Output = CloseReason>>>;

/// What only the control plane may do.
pub trait Authority {
    /// Has the caller's token verified and a session opened. Anything but a session is a refusal.
    fn open_session(&self, request: OpenRequest) -> impl Future<Output = Result<SessionFacts, Refusal>>;

    /// Waits until somebody else than client, target and clock wants the session to end: an admin, or the edge that
    /// serves it. Never returns for a session that nobody ends.
    fn ended(&self, session: SessionId) -> Ended;

    /// Mints what an upstream is logged in with, for one operation of an open session. For `approved` that operation
    /// has used up the approval.
    fn mint(
        &self,
        session: SessionId,
        identity: Identity,
        operation: OperationId,
        approval: Option<ApprovalId>,
    ) -> impl Future<Output = Result<Credential, Refusal>>;

    /// Tells that a session has ended. Queued, never waited for: the recording says the same.
    fn close_session(&self, session: SessionId);
}

/// Policy, asked at once and without I/O.
pub trait Decider {
    /// Decides an operation. With no policy, or one past its lease, this is Deny.
    fn decide(&self, session: &SessionFacts, facts: &[Fact], context: &OperationContext) -> Decision {
        self.decide_approved(session, facts, context, &[])
    }

    /// Decides an operation of which people approved these pairs.
    fn decide_approved(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        approved: &[Fact],
    ) -> Decision;
}

/// Begins recordings.
pub trait Recorder {
    /// A recording that has begun.
    type Journal: Journal;

    /// Begins the recording of a session; its open record is on disk (fsync) when this returns.
    fn begin(
        &self,
        session: &SessionFacts,
        client_user: &str,
    ) -> impl Future<Output = Result<Self::Journal, JournalError>>;
}

/// The recording of one session.
pub trait Journal {
    /// Keyed hash (HMAC-SHA256) of these parts, each after its length as a big-endian u64. The key is the recording's
    /// own, and whoever may read the recording does not get it: values cannot be tried against the hash.
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Appends an entry, and returns when it is recorded at the level of `durability`.
    fn append(
        &mut self,
        entry: Entry<'_>,
        durability: Durability,
    ) -> impl Future<Output = Result<Position, JournalError>>;
}

/// Where in a recording an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence of the frame, counting from 0.
    pub sequence: u64,
}

/// Why an entry was not recorded. Nothing may be sent then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The spool has no room.
    #[error("the spool is full")]
    Full,
    /// The entry is larger than a record may be.
    #[error("the entry is larger than a record may be")]
    TooLarge,
    /// The spool could not be written, now or earlier in this recording.
    #[error("the spool cannot be written")]
    Unavailable,
}

impl JournalError {
    /// The refusal that a client gets.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Full => {
                Refusal::denied(Reason::SpoolFull, "the recording has no room, so nothing was sent")
            }
            Self::TooLarge => {
                Refusal::denied(Reason::OverLimit, "it is too large to be recorded, so nothing was sent")
            }
            Self::Unavailable => {
                Refusal::denied(Reason::JournalUnavailable, "it could not be recorded, so nothing was sent")
            }
        }
    }
}

/// What an upstream is logged in with: minted, short-lived, in memory only.
pub struct Credential {
    identity: Identity,
    secret: Secret,
    expires_at: SystemTime,
    minted_at: Instant,
}

impl Credential {
    /// What the control plane minted just now.
    pub fn new(identity: Identity, secret: Secret, expires_at: SystemTime) -> Self {
        Self { identity, secret, expires_at, minted_at: Instant::now() }
    }

    /// The identity that it logs in.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The token, for the login message of the upstream and nothing else.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Absolute end of its validity.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// When it arrived here, on this machine's monotonic clock.
    pub fn minted_at(&self) -> Instant {
        self.minted_at
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("identity", &self.identity)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
