//! `Debug` for messages that carry a secret, a caller's statement, what goes with it or answers it, or its digest: the
//! name of the message and nothing that it holds.

use std::fmt;

use crate::v1;

macro_rules! redacted_debug {
    ($($message:ident),+ $(,)?) => {$(
        impl fmt::Debug for v1::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(redacted)"))
            }
        }
    )+};
}

redacted_debug!(
    EnrolRequest,
    OpenSessionRequest,
    MintedCredential,
    CreateJoinTokenResponse,
    IssueTokenResponse,
    RequestApprovalRequest,
    Card,
    BoundParameter,
    CardParameter,
    Resolution,
    Setting,
    ApprovalOutcome,
    SignedApprovalOutcome,
    IntentFrame,
    HoldFrame,
    RefusalFrame,
    ReplyFrame,
    OutcomeFrame,
    ArchivedSegment,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_however_deep_it_lies() {
        let minted = v1::MintedCredential { token: "hunter2".into(), expires_at: None };
        let response = v1::MintCredentialResponse {
            result: Some(v1::mint_credential_response::Result::Credential(minted)),
        };
        assert!(!format!("{response:?}").contains("hunter2"));
    }

    #[test]
    fn a_statement_is_not_shown_either() {
        let request = v1::RequestApprovalRequest {
            statement: b"hunter2".to_vec(),
            ..v1::RequestApprovalRequest::default()
        };
        assert_eq!(format!("{request:?}"), "RequestApprovalRequest(redacted)");
        let card = v1::Card { statement: "hunter2".into(), ..v1::Card::default() };
        let approval = v1::Approval { card: Some(card), ..v1::Approval::default() };
        assert!(!format!("{approval:?}").contains("hunter2"));
    }

    #[test]
    fn nor_is_what_it_is_executed_with() {
        let parameter = v1::BoundParameter { value: b"hunter2".to_vec(), ..v1::BoundParameter::default() };
        assert_eq!(format!("{parameter:?}"), "BoundParameter(redacted)");
        let parameter = v1::CardParameter { value: b"hunter2".to_vec(), ..v1::CardParameter::default() };
        assert_eq!(format!("{parameter:?}"), "CardParameter(redacted)");
    }

    #[test]
    fn nor_is_what_goes_before_it_or_was_set() {
        let setting = v1::Setting { name: "app.key".into(), value: "hunter2".into() };
        assert_eq!(format!("{setting:?}"), "Setting(redacted)");
        let preamble = vec!["SET LOCAL app.key = 'hunter2'".to_owned()];
        let resolution = v1::Resolution { settings: vec![setting], preamble, ..v1::Resolution::default() };
        assert_eq!(format!("{resolution:?}"), "Resolution(redacted)");
    }

    #[test]
    fn nor_is_its_digest() {
        let outcome = v1::ApprovalOutcome { digest: vec![171; 32], ..v1::ApprovalOutcome::default() };
        assert_eq!(format!("{outcome:?}"), "ApprovalOutcome(redacted)");
        let signed = v1::SignedApprovalOutcome { outcome: vec![171; 32], signature: Vec::new() };
        let message = v1::ControlMessage { message: Some(v1::control_message::Message::Outcome(signed)) };
        assert!(!format!("{message:?}").contains("171"));
    }

    #[test]
    fn nor_is_its_record() {
        let payload = b"hunter2".to_vec();
        let (intent, hold, refusal) = (
            v1::IntentFrame { payload: payload.clone(), ..v1::IntentFrame::default() },
            v1::HoldFrame { payload: payload.clone(), ..v1::HoldFrame::default() },
            v1::RefusalFrame { payload, ..v1::RefusalFrame::default() },
        );
        assert_eq!(
            format!("{intent:?} {hold:?} {refusal:?}"),
            "IntentFrame(redacted) HoldFrame(redacted) RefusalFrame(redacted)"
        );
    }

    #[test]
    fn nor_are_its_rows_and_what_opens_them() {
        let row_data = b"hunter2".to_vec();
        let reply = v1::ReplyFrame { row_data: row_data.clone(), ..v1::ReplyFrame::default() };
        let outcome = v1::OutcomeFrame { row_data, ..v1::OutcomeFrame::default() };
        assert_eq!(format!("{reply:?} {outcome:?}"), "ReplyFrame(redacted) OutcomeFrame(redacted)");
        let segment = v1::ArchivedSegment { content_key: vec![171; 32], ..v1::ArchivedSegment::default() };
        let part = v1::RecordingPart { part: Some(v1::recording_part::Part::Segment(segment)) };
        assert!(!format!("{part:?}").contains("171"));
    }
}
