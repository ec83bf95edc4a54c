//! `Debug` for messages that carry a bearer secret: the name of the message and nothing that it holds.

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
}
