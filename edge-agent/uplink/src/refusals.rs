//! The words that the control plane refuses with, in ours: closed lists. A word that is not understood permits nothing.

use countersign_model::{Reason, Refusal, RefusalKind};
use tonic::{Code, Status};
use tracing::warn;

/// What is said of approvals, and what the client is told.
const OF_APPROVALS: [(Reason, &str); 23] = [
    (Reason::NotPermitted, "no policy at the control plane permits this"),
    (Reason::Forbidden, "a policy at the control plane forbids this"),
    (Reason::PolicyError, "a policy could not be evaluated, which counts as a denial"),
    (Reason::NoPolicy, "the control plane has no policy in force, and without one nothing is permitted"),
    (Reason::ApprovalUnavailable, UNAVAILABLE),
    (Reason::Unparsable, "the control plane cannot read this, so that nobody can be asked about it"),
    (Reason::Unparsed, "the control plane cannot tell what this would touch"),
    (Reason::Unresolved, "the control plane cannot tell what a name in this means"),
    (Reason::OverLimit, "this passes a limit on what may be asked for"),
    (Reason::Unsupported, "people cannot be asked about operations of this sort"),
    (Reason::Unmaskable, "the reply would have to be masked, which this target does not offer"),
    (Reason::UnknownTarget, "there is no such target in this zone"),
    (Reason::DeadlinePassed, "the session's time is over"),
    (Reason::SessionState, "this session is in a state in which people cannot be asked"),
    (Reason::SessionKilled, SESSION_KILLED),
    (Reason::ApprovalDenied, "somebody who may approve this voted against it"),
    (Reason::ApprovalExpired, "nobody approved this, or nobody used the approval, in time"),
    (Reason::ApprovalCancelled, "the request for approval was taken back"),
    (Reason::ApprovalPending, "nobody has approved this yet"),
    (Reason::ApprovalUsed, "the approval has been used"),
    (Reason::PolicyChanged, "policy changed while this waited, and now asks for more than was given"),
    (Reason::ObjectChanged, "something that this touches changed while it waited"),
    (Reason::ControlPlaneUnavailable, AWAY),
];

const UNAVAILABLE: &str = "this needs an approval, and people cannot be asked for one";
const SESSION_KILLED: &str = "the session was ended by an admin";
const AWAY: &str = "the control plane does not answer";

/// The refusal of a request for votes, or of the use of an approval.
pub(crate) fn of_approval(word: &str) -> Refusal {
    let known = OF_APPROVALS.into_iter().find(|(reason, _)| reason.as_str() == word);
    let (reason, message) = known.unwrap_or_else(|| {
        warn!(?word, "the control plane refuses an approval with a word that is not understood");
        (Reason::ApprovalUnavailable, UNAVAILABLE)
    });
    let kind = match reason {
        Reason::ApprovalPending => RefusalKind::Pending,
        Reason::ApprovalExpired => RefusalKind::Expired,
        Reason::ApprovalCancelled => RefusalKind::Cancelled,
        Reason::PolicyChanged | Reason::ObjectChanged => RefusalKind::Superseded,
        _ => RefusalKind::Denied,
    };
    Refusal { kind, ..Refusal::denied(reason, message) }
}

/// The refusal of a session. An unknown word is no reason to open it.
pub(crate) fn of_session(word: &str) -> Refusal {
    match word {
        "unknown_target" => Refusal::denied(Reason::UnknownTarget, "there is no such target in this zone"),
        "unavailable" => away(),
        _ => Refusal::denied(Reason::TokenRefused, "the token was refused"),
    }
}

/// An admin ended the session.
pub(crate) fn killed() -> Refusal {
    Refusal::denied(Reason::SessionKilled, SESSION_KILLED)
}

/// A call that got no answer.
pub(crate) fn unanswered(what: &'static str, status: &Status) -> Refusal {
    warn!(what, code = ?status.code(), message = status.message(), "the control plane did not answer");
    match status.code() {
        // What gRPC says of a message that is longer than the other side takes.
        Code::OutOfRange => Refusal::denied(Reason::OverLimit, "this is longer than the control plane takes"),
        _ => away(),
    }
}

/// The control plane is away, or does not answer as it should.
pub(crate) fn away() -> Refusal {
    Refusal::denied(Reason::ControlPlaneUnavailable, AWAY)
}

/// There is no credential to be had. The client is not told why: that is between us and Entra.
pub(crate) fn mint_failed() -> Refusal {
    Refusal::denied(Reason::MintFailed, "no credential could be had for the target")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_word_is_its_reason_and_an_unknown_one_permits_nothing() {
        let known: HashSet<Reason> = OF_APPROVALS.iter().map(|(reason, _)| *reason).collect();
        assert_eq!(known.len(), OF_APPROVALS.len());
        for (reason, message) in OF_APPROVALS {
            let refusal = of_approval(reason.as_str());
            assert_eq!((refusal.reason, refusal.message), (reason, message));
            let expected = match reason.as_str() {
                "approval_pending" => RefusalKind::Pending,
                "approval_expired" => RefusalKind::Expired,
                "approval_cancelled" => RefusalKind::Cancelled,
                "policy_changed" | "object_changed" => RefusalKind::Superseded,
                _ => RefusalKind::Denied,
            };
            assert_eq!(refusal.kind, expected, "{reason}");
        }
        for word in ["", "approved", "Forbidden", "token_refused"] {
            let refusal = of_approval(word);
            assert_eq!((refusal.kind, refusal.reason), (RefusalKind::Denied, Reason::ApprovalUnavailable));
        }
    }

    #[test]
    fn silence_is_the_control_planes_and_length_the_callers() {
        let reason = |code| unanswered("test", &Status::new(code, "")).reason;
        assert_eq!(reason(Code::DeadlineExceeded), Reason::ControlPlaneUnavailable);
        assert_eq!(reason(Code::NotFound), Reason::ControlPlaneUnavailable);
        assert_eq!(reason(Code::OutOfRange), Reason::OverLimit);
    }
}
