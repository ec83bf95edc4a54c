//! PostgreSQL's messages, protocol 3.0, as bytes and back. Pure: no socket is known here.
//!
//! Decoders answer `None` for "not all of it is here yet" and an error for what can never become a message. Every
//! length is compared with a bound before anything is reserved for it, and no input makes a decoder panic.
//!
//! Source: PostgreSQL documentation, "Frontend/Backend Protocol", sections "Message Flow" and "Message Formats".

pub(crate) mod backend;
pub(crate) mod encode;
pub(crate) mod extended;
pub(crate) mod frontend;
pub(crate) mod startup;

/// Protocol 3.0, the one that is spoken in both directions.
pub(crate) const PROTOCOL_3_0: u32 = 3 << 16;

/// Bytes that cannot be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The length word is impossible, or larger than this message may be.
    #[error("invalid message length")]
    Length,
    /// A type byte that does not exist or may not come now.
    #[error("invalid message type")]
    Type,
    /// The body is not of the type's format.
    #[error("invalid message format")]
    Body,
}

/// The big-endian word at `at`, if it is all there.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Splits a NUL-terminated string off the front; the terminator is dropped.
pub(crate) fn split_string(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = bytes.iter().position(|&byte| byte == 0).ok_or(Malformed::Body)?;
    let (text, rest) = bytes.split_at_checked(end).ok_or(Malformed::Body)?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}
