//! What becomes of a request for people's votes.

use std::time::SystemTime;

use crate::{ApprovalId, Fact, OperationDigest, OperationId, SessionId};

/// States of an approval. Every transition is atomic and has one winner; all but the first two are final.
///
/// ```text
/// pending → approved | denied | expired | cancelled | superseded
/// approved → consumed | expired | cancelled | superseded
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApprovalState {
    /// Votes are missing.
    Pending,
    /// Every requirement is met; it can be used once, until its use ends.
    Approved,
    /// Somebody voted against: one such vote is final.
    Denied,
    /// Its time passed, for voting or for use.
    Expired,
    /// Nobody waits for it any more, or it was revoked.
    Cancelled,
    /// What was approved is no longer what would run: policy or an object changed.
    Superseded,
    /// It was used.
    Consumed,
}

impl ApprovalState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
        Self::Consumed,
    ];

    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Consumed => "consumed",
        }
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved)
    }

    /// Whether `next` may follow.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => !matches!(next, Self::Pending | Self::Consumed),
            Self::Approved => {
                matches!(next, Self::Consumed | Self::Expired | Self::Cancelled | Self::Superseded)
            }
            Self::Denied | Self::Expired | Self::Cancelled | Self::Superseded | Self::Consumed => false,
        }
    }
}

/// What the control plane signed of an approval that is no longer pending, with its signature verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalOutcome {
    /// The approval.
    pub approval: ApprovalId,
    /// The session that waits for it.
    pub session: SessionId,
    /// The operation that was asked about.
    pub operation: OperationId,
    /// What was voted on.
    pub digest: OperationDigest,
    /// What became of it; never `Pending`.
    pub state: ApprovalState,
    /// The pairs that policy may see as approved, sorted; empty unless approved.
    pub pairs: Vec<Fact>,
    /// Until when it may be used, by the control plane's clock; `None` unless approved.
    pub use_until: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_stays() {
        for state in ApprovalState::ALL {
            let moves = ApprovalState::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(moves, !state.is_final(), "{}", state.as_str());
            assert!(!state.may_become(state) && !state.may_become(ApprovalState::Pending));
        }
        assert!(!ApprovalState::Pending.may_become(ApprovalState::Consumed));
        assert!(!ApprovalState::Approved.may_become(ApprovalState::Denied));
    }
}
