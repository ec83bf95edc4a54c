//! Identifiers: a two-letter prefix and a UUIDv7, so that ids sort by time and say what they name.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// An identifier that is not of the form `<prefix>_<lower-case hyphenated UUID>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {prefix}_<uuid>")]
pub struct IdError {
    prefix: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id; ids made later on one machine sort later.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The sixteen bytes below the prefix.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Accepts the printed form only: other spellings of a UUID would give one object two names.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { prefix: $prefix };
                let id = text
                    .strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or(error.clone())?;
                if id.to_string() == text { Ok(id) } else { Err(error) }
            }
        }
    };
}

prefixed_id!(
    /// One session: a PostgreSQL connection, or (connection, principal, target) of an HTTP-shaped protocol.
    SessionId,
    "se"
);
prefixed_id!(
    /// One operation of a session.
    OperationId,
    "op"
);
prefixed_id!(
    /// One request for people's votes on one operation.
    ApprovalId,
    "ap"
);
prefixed_id!(
    /// The recording of one session.
    RecordingId,
    "re"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_other_spellings() {
        let id = SessionId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<SessionId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<SessionId>().is_err());
        assert!(OperationId::generate().to_string().parse::<SessionId>().is_err());
    }
}
