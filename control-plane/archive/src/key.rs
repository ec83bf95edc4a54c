//! Names of objects.

use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is not a [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key has 1 to 512 characters: segments of 1 to 128 of a-z, 0-9, '_', '.' and '-', not beginning with '.', \
     separated by '/'"
)]
pub struct KeyError;

/// The key of an object: 1 to 512 characters; segments of 1 to 128 characters of `a-z 0-9 _ . -` that do not begin
/// with a dot, separated by single slashes.
///
/// The alphabet needs no escaping in S3, URLs or file systems, folds no case, and cannot climb out of a folder. A key
/// is never a folder of other keys: `a` and `a/b` do not go together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
        let segment = |s: &str| (1..=128).contains(&s.len()) && !s.starts_with('.') && s.bytes().all(allowed);
        if text.len() <= 512 && text.split('/').all(segment) { Ok(Self(text.into())) } else { Err(KeyError) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_plain_paths_and_refuses_what_climbs_or_needs_escaping() {
        for good in ["a", "recordings/re_0190-ab/00000001.csr", "a/b.c/d-e_f"] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "a/.b", "A", "a b", "a\\b", "é", "a\0"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
        assert!("x".repeat(129).parse::<Key>().is_err());
        assert!(["x"; 257].join("/").parse::<Key>().is_err());
    }
}
