//! Why something was not done, in words that a protocol can put on its wire.

use std::{fmt, time::SystemTime};

use crate::{ApprovalId, OperationId, SessionId};

/// Whose doing a refusal is; metrics and logs are split by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The caller sent something that is refused whatever policy says.
    Client,
    /// Policy or a person said no.
    Policy,
    /// The target is away or misbehaved.
    Upstream,
    /// Countersign itself could not do its part.
    Ourselves,
}

/// The closed list of reasons. The printed form is stable: clients match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The caller's token did not verify. No detail is given to the caller.
    TokenRefused,
    /// No policy permits it.
    NotPermitted,
    /// A policy forbids it.
    Forbidden,
    /// A policy could not be evaluated, which counts as Deny.
    PolicyError,
    /// There is no policy at all, or the one at hand is stale.
    NoPolicy,
    /// It needs an approval, and this edge cannot ask for one.
    ApprovalUnavailable,
    /// The statement is not of PostgreSQL's grammar.
    Unparsable,
    /// The statement parses, but what it touches cannot be told.
    Unparsed,
    /// A name in the statement is not that of a known object.
    Unresolved,
    /// A bound on length, depth or number was passed.
    OverLimit,
    /// The protocol feature is not supported.
    Unsupported,
    /// A reply must be masked in a way that this road cannot.
    Unmaskable,
    /// The record could not be written, so nothing is sent.
    JournalUnavailable,
    /// The spool has no room, so nothing is sent.
    SpoolFull,
    /// The control plane does not answer.
    ControlPlaneUnavailable,
    /// The target does not answer, or its certificate or login failed.
    TargetUnavailable,
    /// No credential could be minted.
    MintFailed,
    /// There is no such target in this zone.
    UnknownTarget,
    /// The session's deadline has passed.
    DeadlinePassed,
    /// The operation was sent and the target went away before it answered.
    Unanswered,
    /// The edge is shutting down.
    ShuttingDown,
    /// Somebody who could approve it voted against it.
    ApprovalDenied,
    /// Nobody decided in time, or the approval was not used in time.
    ApprovalExpired,
    /// The request for approval was withdrawn or revoked.
    ApprovalCancelled,
    /// The client did not want to wait any longer, and nobody had decided.
    ApprovalPending,
    /// The approval was used before, or is for something else.
    ApprovalUsed,
    /// Policy changed since the approval was given, and asks for more now.
    PolicyChanged,
    /// An object that it touches changed since the approval was asked for.
    ObjectChanged,
    /// It needs an approval, and the session is in a state that cannot be carried to the connection for it.
    SessionState,
    /// The client cancelled it.
    Cancelled,
    /// The session was ended by an admin.
    SessionKilled,
}

impl Reason {
    /// Stable snake_case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenRefused => "token_refused",
            Self::NotPermitted => "not_permitted",
            Self::Forbidden => "forbidden",
            Self::PolicyError => "policy_error",
            Self::NoPolicy => "no_policy",
            Self::ApprovalUnavailable => "approval_unavailable",
            Self::Unparsable => "unparsable",
            Self::Unparsed => "unparsed",
            Self::Unresolved => "unresolved",
            Self::OverLimit => "over_limit",
            Self::Unsupported => "unsupported",
            Self::Unmaskable => "unmaskable",
            Self::JournalUnavailable => "journal_unavailable",
            Self::SpoolFull => "spool_full",
            Self::ControlPlaneUnavailable => "control_plane_unavailable",
            Self::TargetUnavailable => "target_unavailable",
            Self::MintFailed => "mint_failed",
            Self::UnknownTarget => "unknown_target",
            Self::DeadlinePassed => "deadline_passed",
            Self::Unanswered => "unanswered",
            Self::ShuttingDown => "shutting_down",
            Self::ApprovalDenied => "approval_denied",
            Self::ApprovalExpired => "approval_expired",
            Self::ApprovalCancelled => "approval_cancelled",
            Self::ApprovalPending => "approval_pending",
            Self::ApprovalUsed => "approval_used",
            Self::PolicyChanged => "policy_changed",
            Self::ObjectChanged => "object_changed",
            Self::SessionState => "session_state",
            Self::Cancelled => "cancelled",
            Self::SessionKilled => "session_killed",
        }
    }

    /// Whose doing it is.
    pub fn culprit(self) -> Culprit {
        match self {
            Self::TokenRefused
            | Self::Unparsable
            | Self::OverLimit
            | Self::Unsupported
            | Self::UnknownTarget
            | Self::SessionState
            | Self::Cancelled => Culprit::Client,
            Self::NotPermitted
            | Self::Forbidden
            | Self::PolicyError
            | Self::NoPolicy
            | Self::ApprovalUnavailable
            | Self::Unparsed
            | Self::Unresolved
            | Self::Unmaskable
            | Self::ApprovalDenied
            | Self::ApprovalExpired
            | Self::ApprovalCancelled
            | Self::ApprovalPending
            | Self::ApprovalUsed
            | Self::PolicyChanged
            | Self::ObjectChanged
            | Self::SessionKilled
            | Self::DeadlinePassed => Culprit::Policy,
            Self::TargetUnavailable | Self::Unanswered => Culprit::Upstream,
            Self::JournalUnavailable
            | Self::SpoolFull
            | Self::ControlPlaneUnavailable
            | Self::MintFailed
            | Self::ShuttingDown => Culprit::Ourselves,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The outcome that a refusal reports, as clients see it in `decision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// It did not run and will not.
    Denied,
    /// Nobody had decided when the wait for it ended; it did not run and will not.
    Pending,
    /// Nobody decided, or nobody used the decision, in time.
    Expired,
    /// It was withdrawn before it ran.
    Cancelled,
    /// It was approved, and is no longer what was approved.
    Superseded,
    /// It was sent, and whether it ran is not known.
    Unknown,
}

impl RefusalKind {
    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything a protocol needs to tell its client that an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What became of the operation.
    pub kind: RefusalKind,
    /// Why.
    pub reason: Reason,
    /// A sentence for the person who reads the client's error. Ours: never text from the caller, a policy or a row.
    pub message: &'static str,
    /// The session, once there is one.
    pub session: Option<SessionId>,
    /// The operation, once there is one.
    pub operation: Option<OperationId>,
    /// The approval, if one was asked for.
    pub approval: Option<ApprovalId>,
    /// Until when the approval could be given or used.
    pub expires_at: Option<SystemTime>,
    /// What the caller can do to be allowed.
    pub how_to_request: Option<&'static str>,
}

impl Refusal {
    /// A plain denial.
    pub fn denied(reason: Reason, message: &'static str) -> Self {
        Self {
            kind: RefusalKind::Denied,
            reason,
            message,
            session: None,
            operation: None,
            approval: None,
            expires_at: None,
            how_to_request: None,
        }
    }

    /// The operation was sent and may have run.
    pub fn unknown(reason: Reason, message: &'static str) -> Self {
        Self { kind: RefusalKind::Unknown, ..Self::denied(reason, message) }
    }

    /// Names the session and operation it belongs to.
    #[must_use]
    pub fn of(mut self, session: SessionId, operation: OperationId) -> Self {
        self.session = Some(session);
        self.operation = Some(operation);
        self
    }
}
