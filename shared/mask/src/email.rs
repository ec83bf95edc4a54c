//! Addresses for electronic mail, also where their at sign is written for a URL, for JSON or for HTML.
//!
//! The local part is of the characters of RFC 5322 (atext and dots) and of any outside of ASCII (RFC 6531);
//! the domain of letters, digits, hyphens, underscores and dots, or outside of ASCII, with a part behind a
//! dot that begins like a word. So `name@2.0` is none.
//!
//! Neither part goes past another at sign, however that is written, so what is between two of them is read
//! twice at most.

use std::ops::Range;

use crate::{
    characters,
    scan::{count, count_back, first},
};

/// Bytes of the shortest.
pub(crate) const LEAST: usize = "a@b.cd".len();

/// Bytes of a local part (RFC 5321, section 4.5.3.1.1). What is before belongs to it only if it is the same
/// word.
const LOCAL_PART: usize = 64;

/// How an at sign is written.
const AT_SIGNS: [&[u8]; 6] = [b"@", PERCENT, b"\\u0040", b"&#64;", b"&#x40;", b"&commat;"];
const PERCENT: &[u8] = b"%40";

pub(crate) fn find(text: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    loop {
        let at = from + first(text.get(from..)?, from_sign)?;
        let (before, rest) = text.split_at_checked(at)?;
        from = at + 1;
        let Some(sign) = AT_SIGNS.iter().find(|sign| rest.starts_with(sign)) else { continue };
        let local = local_part(before);
        if local == 0 {
            continue;
        }
        let domain = domain(rest.get(sign.len()..)?);
        if domain > 0 {
            return Some(at - local..at + sign.len() + domain);
        }
    }
}

/// 0 for the first bytes of at signs.
fn from_sign(byte: u8) -> u8 {
    (byte ^ b'@').min(byte ^ b'%').min(byte ^ b'\\').min(byte ^ b'&')
}

/// How much of the end of a text is a local part. It is preceded by no letter or digit of the same word.
fn local_part(before: &[u8]) -> usize {
    let mut start = before.len();
    while let Some(character) = before.get(..start).and_then(characters::last) {
        let rest = before.get(start..).unwrap_or_default();
        if character == b"%" && rest.starts_with(b"40") {
            start += 2;
            break;
        }
        if !(is_word(character) || (rest.len() < LOCAL_PART && is_atext(character))) {
            break;
        }
        start -= character.len();
    }
    let (outside, local) = before.split_at_checked(start).unwrap_or_default();
    local.len() - escape(outside, local).max(marks(local))
}

/// How much of the beginning belongs to a JSON escape: of `\nsomebody`, one.
fn escape(outside: &[u8], local: &[u8]) -> usize {
    match (outside.last(), local) {
        (Some(b'\\'), [b'u', rest @ ..]) if count(rest, |b| b.is_ascii_hexdigit()) >= 4 => {
            5 + marks(local.get(5..).unwrap_or_default())
        }
        (Some(b'\\'), [b'b' | b'f' | b'n' | b'r' | b't', rest @ ..]) => 1 + marks(rest),
        _ => 0,
    }
}

/// How many punctuation marks and percent-encoded bytes it begins with.
fn marks(local: &[u8]) -> usize {
    let mut rest = local;
    loop {
        rest = match rest {
            [b'%', a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
            [mark, after @ ..] if mark.is_ascii_punctuation() && *mark != b'_' => after,
            _ => return local.len() - rest.len(),
        };
    }
}

/// How much of the beginning of a text is a domain; 0 if none.
fn domain(after: &[u8]) -> usize {
    let mut end = 0;
    while let Some(character) = after.get(end..).and_then(characters::first).filter(|c| is_word(c)) {
        end += character.len();
    }
    let run = after.get(..end).unwrap_or_default();
    let trailing = count_back(run, |b| matches!(b, b'.' | b'-' | b'_'));
    let domain = run.get(..run.len() - trailing).unwrap_or_default();
    let mut labels = domain.split(|b| *b == b'.');
    let host = labels.next().is_some_and(|label| !label.is_empty());
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let word = labels.any(|label| matches!(label, [a, b, ..] if is_letter(a) && is_letter(b)));
    if host && word { domain.len() } else { 0 }
}

/// What words are of in both parts.
fn is_word(character: &[u8]) -> bool {
    match character {
        [byte] if byte.is_ascii() => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'),
        _ => !characters::separates(character),
    }
}

fn is_atext(character: &[u8]) -> bool {
    matches!(character, [byte] if b"!#$%&'*+/=?^`{|}~".contains(byte))
}
