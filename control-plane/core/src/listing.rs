//! Lists in pieces, as admins ask for them. A page token is the key of the last item, so it survives restarts.

use std::str::FromStr;

/// Items on a page if the caller does not say.
const DEFAULT_PAGE: u32 = 100;

/// A page token that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page token is malformed")]
pub struct PageError;

/// How many items, and after which.
pub(crate) fn page<K: FromStr>(size: u32, token: &str) -> Result<(Option<K>, usize), PageError> {
    let after = match token {
        "" => None,
        token => Some(token.parse().map_err(|_| PageError)?),
    };
    let size = if size == 0 { DEFAULT_PAGE } else { size };
    Ok((after, usize::try_from(size).unwrap_or(usize::MAX)))
}

/// What to ask for next.
pub(crate) fn token<K: ToString>(next: Option<K>) -> String {
    next.map(|key| key.to_string()).unwrap_or_default()
}
