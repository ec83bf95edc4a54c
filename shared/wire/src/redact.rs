//! `Debug` for messages that carry a bearer secret or a caller's statement: the name of the message and nothing that it
//! holds.

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
}
