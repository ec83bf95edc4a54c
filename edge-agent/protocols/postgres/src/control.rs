//! Everything that goes to a target without a permit. A closed list, and none of it is a caller's statement.

use bytes::BytesMut;
use countersign_gate::ports::Credential;
use zeroize::Zeroizing;

use crate::codec::encode;

/// Not SQL in any version, so the parser refuses it and nothing can run. Inside a transaction that fails the
/// transaction: the same that PostgreSQL does with a statement of the caller that it refuses.
const NOT_SQL: &[u8] = b"countersign refused an operation";

/// Every name in it is of `pg_catalog`, so that it means the same by any search path. The path is asked for as it was
/// set: which of its schemas there are, and may be used, can change after that.
const OUTLOOK: &[u8] = b"SELECT pg_catalog.pg_my_temp_schema(), current_user, \
                         pg_catalog.current_setting('search_path')";

/// A message of the edge's own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control<'a> {
    /// `StartupMessage`: the login role and database of the target's configuration, the pinned settings, and those
    /// settings of the client's startup that are on the closed list of [`crate::startup`].
    Startup(&'a [(&'a str, &'a str)]),
    /// `Query` with [`NOT_SQL`]: fails the open transaction.
    FailTransaction,
    /// `Query` with `ROLLBACK`: what only read is given up, to be begun anew elsewhere.
    Rollback,
    /// `Query` that asks how isolated the open transaction is.
    ShowIsolation,
    /// `Query` that asks as whom and by which path the session looks names up, and whether it has temporary objects.
    AskOutlook,
    /// `Sync`.
    Sync,
    /// `Flush`: asks for what the target has to say so far.
    Flush,
    /// `Close` of a statement that was prepared under this name of ours.
    CloseStatement(&'a str),
    /// `Close` of a portal of this name of ours.
    ClosePortal(&'a str),
    /// `Terminate`.
    Terminate,
}

impl Control<'_> {
    /// Appends the message.
    pub(crate) fn encode(self, out: &mut BytesMut) {
        match self {
            Self::Startup(parameters) => encode::startup(out, parameters.iter().copied()),
            Self::FailTransaction => encode::query(out, NOT_SQL),
            Self::Rollback => encode::query(out, b"ROLLBACK"),
            Self::ShowIsolation => encode::query(out, b"SHOW transaction_isolation"),
            Self::AskOutlook => encode::query(out, OUTLOOK),
            Self::Sync => encode::bare(out, b'S'),
            Self::Flush => encode::bare(out, b'H'),
            Self::CloseStatement(name) => encode::close(out, b'S', name),
            Self::ClosePortal(name) => encode::close(out, b'P', name),
            Self::Terminate => encode::bare(out, b'X'),
        }
    }
}

/// `PasswordMessage`: consumes the credential, so it is sent once. The bytes wipe themselves.
pub(crate) fn password(credential: Credential) -> Zeroizing<Vec<u8>> {
    let token = credential.secret().expose().as_bytes();
    let mut message = Zeroizing::new(Vec::with_capacity(token.len() + 6));
    message.push(b'p');
    message.extend_from_slice(&(token.len() as u32 + 5).to_be_bytes());
    message.extend_from_slice(token);
    message.push(0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_model::{Identity, Secret};
    use std::time::SystemTime;

    #[test]
    fn controls_have_fixed_bytes() {
        let mut out = BytesMut::new();
        Control::Sync.encode(&mut out);
        Control::Terminate.encode(&mut out);
        assert_eq!(&out[..], b"S\0\0\0\x04X\0\0\0\x04");
    }

    #[test]
    fn what_fails_a_transaction_is_not_sql() {
        let refused = countersign_sql::analyse(NOT_SQL, &countersign_sql::Limits::default()).unwrap_err();
        assert!(matches!(refused, countersign_sql::Refused::Syntax { .. }));
    }

    #[test]
    fn a_password_is_framed_with_its_terminator() {
        let credential = Credential::new(Identity::Standing, Secret::new("abc".into()), SystemTime::now());
        assert_eq!(&password(credential)[..], b"p\0\0\0\x08abc\0");
    }
}
