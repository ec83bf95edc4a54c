//! JSON web tokens in their compact form: `header.payload.signature` (RFC 7515, section 7.1), and with five
//! parts where they are encrypted (RFC 7516, section 7.1).
//!
//! A header is a JSON object in base64url, so it begins with `eyJ`. The whole run of base64url characters and
//! dots that has a token in it is found: each run is read once.

use std::ops::Range;

use memchr::memmem;

use crate::scan::{count, count_back};

/// Bytes of the shortest: two dots are between the parts.
pub(crate) const LEAST: usize = HEADER + PAYLOAD + 2;

/// How `{"` begins.
const BEGINNING: &[u8] = b"eyJ";
/// Characters of a header: `{"alg":""}` has 14.
const HEADER: usize = 14;
/// Characters of a payload: `{}` has 3.
const PAYLOAD: usize = 3;
/// Characters of a signature or initialisation vector, where the part before is empty: detached content and
/// keys that are agreed on directly.
const SIGNATURE: usize = 16;

pub(crate) fn find(text: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let (before, after) = rest.split_at_checked(memmem::find(rest, BEGINNING)?)?;
        let start = before.len() - count_back(before, is_part);
        let end = before.len() + count(after, is_part);
        let run = rest.get(start..end)?;
        if has_token(run) {
            let leading = count(run, |b| matches!(b, b'.' | b'-'));
            let trailing = count_back(run, |b| b == b'.');
            return Some(from + start + leading..from + end - trailing);
        }
        from += end;
    }
}

fn has_token(run: &[u8]) -> bool {
    let parts = || run.split(|b| *b == b'.');
    parts().zip(parts().skip(1)).zip(parts().skip(2)).any(|((header, payload), signature)| {
        let is_header = memmem::find(header, BEGINNING).is_some_and(|begins| header.len() - begins >= HEADER);
        let is_payload = payload.len() >= PAYLOAD || (payload.is_empty() && signature.len() >= SIGNATURE);
        is_header && is_payload
    })
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
