//! The identifiers of a directory: tenants, applications, users. Entra writes them in lower case with hyphens
//! and so does this type, whatever case was read.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A directory identifier. Text form: 36 characters, hyphenated; other spellings of a UUID are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid(Uuid);

/// The text is not a GUID in its hyphenated form of 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID in the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
pub struct NotAGuid;

impl Guid {
    /// A fresh random identifier.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The identifier that always belongs to `name`: the first 16 bytes of its SHA-256, as a UUID of version 8.
    pub fn named(name: &str) -> Self {
        let mut bytes = [0_u8; 16];
        for (byte, hashed) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, name.as_bytes()).as_ref())
        {
            *byte = *hashed;
        }
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// A well-known identifier, written as its 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }
}

impl From<Uuid> for Guid {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<Guid> for Uuid {
    fn from(id: Guid) -> Self {
        id.0
    }
}

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        if text.len() != 36 {
            return Err(NotAGuid);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| NotAGuid)
    }
}

impl TryFrom<String> for Guid {
    type Error = NotAGuid;

    fn try_from(text: String) -> Result<Self, NotAGuid> {
        text.parse()
    }
}

impl From<Guid> for String {
    fn from(id: Guid) -> Self {
        id.to_string()
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_read_and_lower_case_is_written() {
        let id: Guid = "123CD850-D9DF-40BD-94D5-C9F07B7FA203".parse().unwrap();
        assert_eq!(id.to_string(), "123cd850-d9df-40bd-94d5-c9f07b7fa203");
        assert_eq!("123cd850d9df40bd94d5c9f07b7fa203".parse::<Guid>(), Err(NotAGuid));
        assert_eq!("{123cd850-d9df-40bd-94d5-c9f07b7fa203}".parse::<Guid>(), Err(NotAGuid));
    }

    #[test]
    fn a_name_always_has_the_same_identifier() {
        assert_eq!(Guid::named("reader"), Guid::named("reader"));
        assert_ne!(Guid::named("reader"), Guid::named("writer"));
    }
}
