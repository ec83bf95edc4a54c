//! How a refusal looks in PostgreSQL: SQLSTATE, severity, and the JSON of DETAIL. Clients match on all three.

mod conditions;

pub(crate) use conditions::{condition, is_condition};

use bytes::BytesMut;
use countersign_model::{Reason, Refusal};
use serde::Serialize;
use time::OffsetDateTime;

use crate::codec::encode::{self, ErrorMessage, Severity};

/// Where in its life a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the first `ReadyForQuery`: every refusal ends it.
    Login,
    /// After it.
    Session,
}

/// SQLSTATE and severity of a reason.
pub(crate) fn of(reason: Reason, phase: Phase) -> (&'static str, Severity) {
    let (code, severity) = match reason {
        Reason::TokenRefused => ("28000", Severity::Fatal),
        Reason::NotPermitted
        | Reason::Forbidden
        | Reason::PolicyError
        | Reason::NoPolicy
        | Reason::ApprovalUnavailable
        | Reason::Unparsed
        | Reason::Unresolved
        | Reason::Unmaskable
        | Reason::ApprovalDenied
        | Reason::ApprovalExpired
        | Reason::ApprovalCancelled
        | Reason::ApprovalPending
        | Reason::ApprovalUsed
        | Reason::PolicyChanged
        | Reason::ObjectChanged => ("42501", Severity::Error),
        Reason::SessionState => ("25001", Severity::Error),
        Reason::Cancelled => ("57014", Severity::Error),
        Reason::Unparsable => ("42601", Severity::Error),
        Reason::OverLimit => ("54000", Severity::Error),
        Reason::Unsupported => ("0A000", Severity::Error),
        Reason::SpoolFull => ("53100", Severity::Error),
        // A recording that failed stays failed, so the session could do nothing more.
        Reason::JournalUnavailable => ("58030", Severity::Fatal),
        Reason::UnknownTarget => ("3D000", Severity::Fatal),
        Reason::ControlPlaneUnavailable | Reason::TargetUnavailable | Reason::MintFailed => match phase {
            Phase::Login => ("57P03", Severity::Fatal),
            Phase::Session => ("08006", Severity::Fatal),
        },
        Reason::DeadlinePassed | Reason::ShuttingDown | Reason::SessionKilled => ("57P01", Severity::Fatal),
        Reason::Unanswered => ("08007", Severity::Fatal),
    };
    match phase {
        Phase::Login => (code, Severity::Fatal),
        Phase::Session => (code, severity),
    }
}

/// Appends the `ErrorResponse` of a refusal after which the session goes on. `message` stands in for the refusal's
/// own where the text is the caller's, such as the parser's words about it.
pub(crate) fn encode_error(out: &mut BytesMut, refusal: &Refusal, message: Option<&str>) {
    let (code, severity) = of(refusal.reason, Phase::Session);
    let message = message.unwrap_or(refusal.message);
    let detail = detail(refusal);
    encode::error(out, &ErrorMessage { severity, code, message, detail: detail.as_deref() });
}

/// Appends it as one that ends the session.
pub(crate) fn encode_fatal(out: &mut BytesMut, refusal: &Refusal, phase: Phase) {
    let (code, _) = of(refusal.reason, phase);
    let (severity, message, detail) = (Severity::Fatal, refusal.message, detail(refusal));
    encode::error(out, &ErrorMessage { severity, code, message, detail: detail.as_deref() });
}

/// Appends the notice that an operation waits for people. It says the same as a refusal would, with nothing decided.
pub(crate) fn encode_notice(out: &mut BytesMut, waiting: &Refusal) {
    let detail = detail(waiting);
    let (severity, message) = (Severity::Notice, waiting.message);
    encode::error(out, &ErrorMessage { severity, code: "01000", message, detail: detail.as_deref() });
}

/// The keys of DETAIL, in this order; those without a value are left out.
#[derive(Serialize)]
struct Detail {
    decision: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    how_to_request: Option<&'static str>,
}

/// Nothing for a refused token: whoever guesses tokens learns nothing from the answer.
fn detail(refusal: &Refusal) -> Option<String> {
    if refusal.reason == Reason::TokenRefused {
        return None;
    }
    let detail = Detail {
        decision: refusal.kind.as_str(),
        reason: refusal.reason.as_str(),
        approval_id: refusal.approval.map(|id| id.to_string()),
        session_id: refusal.session.map(|id| id.to_string()),
        expires_at: refusal.expires_at.map(|at| timestamp(at.into())),
        how_to_request: refusal.how_to_request,
    };
    serde_json::to_string(&detail).ok()
}

/// RFC 3339, in UTC, to the second.
fn timestamp(at: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_model::{OperationId, SessionId};
    use std::time::{Duration, SystemTime};

    #[test]
    fn detail_has_the_contract_s_keys_and_no_empty_ones() {
        let (session, operation) = (SessionId::generate(), OperationId::generate());
        let mut refusal = Refusal::denied(Reason::NotPermitted, "no").of(session, operation);
        let expected =
            format!(r#"{{"decision":"denied","reason":"not_permitted","session_id":"{session}"}}"#);
        assert_eq!(detail(&refusal).unwrap(), expected);
        refusal.expires_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(951_827_696));
        assert!(detail(&refusal).unwrap().contains(r#""expires_at":"2000-02-29T12:34:56Z""#));
        assert_eq!(detail(&Refusal::denied(Reason::TokenRefused, "no")), None);
    }

    #[test]
    fn at_login_every_refusal_is_fatal() {
        assert_eq!(of(Reason::NotPermitted, Phase::Login), ("42501", Severity::Fatal));
        assert_eq!(of(Reason::NotPermitted, Phase::Session), ("42501", Severity::Error));
        assert_eq!(of(Reason::TargetUnavailable, Phase::Login), ("57P03", Severity::Fatal));
        assert_eq!(of(Reason::TargetUnavailable, Phase::Session), ("08006", Severity::Fatal));
    }
}
