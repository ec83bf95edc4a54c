//! What a client sends before it is known: one of four packets without a type byte, then its password.

use std::fmt;

use bytes::BytesMut;
use countersign_model::Secret;
use zeroize::Zeroize;

use super::{Malformed, split_string, word};

/// Bound on the first packet, in bytes; PostgreSQL's own.
pub(crate) const MAX_STARTUP: usize = 10_000;
/// Bound on the password message, in bytes: an Entra token is a few KiB.
pub(crate) const MAX_PASSWORD: usize = 64 * 1024;

const CANCEL_REQUEST: u32 = 80_877_102;
const TLS_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// The first packet of a connection, or the next after a request for encryption.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `SSLRequest`.
    Tls,
    /// `GSSENCRequest`.
    GssEncryption,
    /// `CancelRequest`, with the key of the session that it is for.
    Cancel(CancelKey),
    /// `StartupMessage`.
    Startup(StartupPacket),
}

/// What `BackendKeyData` gave to a client, and what its request to cancel shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CancelKey {
    /// The number that a client takes for a process id.
    pub(crate) process: u32,
    /// What nobody else knows.
    pub(crate) secret: u32,
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelKey({})", self.process)
    }
}

/// The parameters of a `StartupMessage`, in the order given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StartupPacket {
    /// Major and minor version as one word.
    pub(crate) version: u32,
    /// Names and values; neither holds a NUL.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Takes the opening packet off the buffer.
pub(crate) fn take_opening(buffer: &mut BytesMut) -> Result<Option<Opening>, Malformed> {
    let Some(length) = word(buffer, 0) else { return Ok(None) };
    let length = length as usize;
    if !(8..=MAX_STARTUP).contains(&length) {
        return Err(Malformed::Length);
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let packet = buffer.split_to(length);
    let code = word(&packet, 4).ok_or(Malformed::Length)?;
    let body = packet.get(8..).unwrap_or_default();
    match code {
        TLS_REQUEST | GSS_REQUEST if length != 8 => Err(Malformed::Length),
        TLS_REQUEST => Ok(Some(Opening::Tls)),
        GSS_REQUEST => Ok(Some(Opening::GssEncryption)),
        CANCEL_REQUEST if length != 16 => Err(Malformed::Length),
        CANCEL_REQUEST => {
            let key = word(body, 0).zip(word(body, 4)).ok_or(Malformed::Length)?;
            Ok(Some(Opening::Cancel(CancelKey { process: key.0, secret: key.1 })))
        }
        version => {
            Ok(Some(Opening::Startup(StartupPacket { version, parameters: parameters(version, body)? })))
        }
    }
}

/// Takes the password message off the buffer and wipes what it leaves there.
pub(crate) fn take_password(buffer: &mut BytesMut) -> Result<Option<Secret>, Malformed> {
    match buffer.first() {
        None => return Ok(None),
        Some(b'p') => {}
        Some(_) => return Err(Malformed::Type),
    }
    let Some(length) = word(buffer, 1) else { return Ok(None) };
    let length = length as usize;
    if !(5..=MAX_PASSWORD).contains(&length) {
        return Err(Malformed::Length);
    }
    if buffer.len() <= length {
        return Ok(None);
    }
    let mut message = buffer.split_to(1 + length);
    let secret = secret(message.get(5..).unwrap_or_default());
    message.as_mut().zeroize();
    secret.map(Some)
}

/// Only major version 3 has a body that can be read; any other is refused by its number.
fn parameters(version: u32, mut body: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let mut parameters = Vec::new();
    if version >> 16 != 3 {
        return Ok(parameters);
    }
    loop {
        let (name, rest) = split_string(body)?;
        if name.is_empty() {
            return if rest.is_empty() { Ok(parameters) } else { Err(Malformed::Body) };
        }
        let (value, rest) = split_string(rest)?;
        parameters.push((text(name)?, text(value)?));
        body = rest;
    }
}

/// An empty one is well-formed: it is refused as any other token that does not verify.
fn secret(body: &[u8]) -> Result<Secret, Malformed> {
    let (password, rest) = split_string(body)?;
    if rest.is_empty() { text(password).map(Secret::new) } else { Err(Malformed::Body) }
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed::Body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(code: u32, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&(8 + body.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn password(body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&b"p"[..]);
        bytes.extend_from_slice(&(4 + body.len() as u32).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn requests_are_told_apart_and_have_no_body() {
        assert_eq!(take_opening(&mut packet(TLS_REQUEST, b"")), Ok(Some(Opening::Tls)));
        assert_eq!(take_opening(&mut packet(GSS_REQUEST, b"")), Ok(Some(Opening::GssEncryption)));
        let key = CancelKey { process: 1, secret: 2 };
        let mut cancel = packet(CANCEL_REQUEST, &[0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(take_opening(&mut cancel), Ok(Some(Opening::Cancel(key))));
        assert_eq!(take_opening(&mut packet(CANCEL_REQUEST, &[0; 12])), Err(Malformed::Length));
        assert_eq!(take_opening(&mut packet(TLS_REQUEST, b"x")), Err(Malformed::Length));
    }

    #[test]
    fn startup_is_read_at_every_split() {
        let whole = packet(196_608, b"user\0ada\0database\0shop\0\0");
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take_opening(&mut part), Ok(None), "at {cut}");
            part.extend_from_slice(&whole[cut..]);
            let Ok(Some(Opening::Startup(startup))) = take_opening(&mut part) else { panic!("at {cut}") };
            assert_eq!(startup.parameters[1], ("database".to_owned(), "shop".to_owned()));
            assert!(part.is_empty());
        }
    }

    #[test]
    fn startup_that_is_not_terminated_or_oversized_is_malformed() {
        assert_eq!(take_opening(&mut packet(196_608, b"user\0ada")), Err(Malformed::Body));
        assert_eq!(take_opening(&mut packet(196_608, b"user\0ada\0\0more")), Err(Malformed::Body));
        assert_eq!(take_opening(&mut packet(196_608, b"user\0\xff\0\0")), Err(Malformed::Body));
        assert_eq!(take_opening(&mut BytesMut::from(&10_001u32.to_be_bytes()[..])), Err(Malformed::Length));
        assert_eq!(take_opening(&mut BytesMut::from(&b"GET / HTTP/1.1"[..])), Err(Malformed::Length));
    }

    #[test]
    fn password_is_bounded_and_only_itself() {
        let mut good = password(b"token\0");
        assert_eq!(take_password(&mut good).unwrap().unwrap().expose(), "token");
        assert!(good.is_empty());
        assert_eq!(take_password(&mut password(b"\0")).unwrap().unwrap().expose(), "");
        assert_eq!(take_password(&mut password(b"a\0b\0")).unwrap_err(), Malformed::Body);
        assert_eq!(take_password(&mut BytesMut::from(&b"Q\0\0\0\x04"[..])).unwrap_err(), Malformed::Type);
        let mut large = BytesMut::from(&b"p"[..]);
        large.extend_from_slice(&(MAX_PASSWORD as u32 + 1).to_be_bytes());
        assert_eq!(take_password(&mut large).unwrap_err(), Malformed::Length);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = take_opening(&mut BytesMut::from(&bytes[..]));
            let _ = take_password(&mut BytesMut::from(&bytes[..]));
            let _ = take_opening(&mut packet(196_608, &bytes));
            let _ = take_password(&mut password(&bytes));
        }
    }
}
