//! Social security numbers of the United States: `AAA-GG-SSSS`, with hyphens or with blanks.
//!
//! The area is none of 000, 666 and 900 to 999, the group is not 00 and the serial number not 0000 (Social
//! Security Administration, "Social Security Number Randomization Frequently Asked Questions"). Nine digits
//! alone are not taken for one: too much else looks like that.

use std::ops::Range;

use crate::{
    number,
    scan::{count, first_digit},
};

/// Bytes of one.
pub(crate) const LEAST: usize = 11;

pub(crate) fn find(text: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    loop {
        let at = from + first_digit(text.get(from..)?)?;
        let (before, rest) = text.split_at_checked(at)?;
        if begins_with_number(rest) && stands_alone(before, rest.get(LEAST..).unwrap_or_default()) {
            return Some(at..at + LEAST);
        }
        from = at + count(rest, |b| b.is_ascii_digit());
    }
}

fn begins_with_number(text: &[u8]) -> bool {
    let [a, b, c, one, d, e, other, f, g, h, i, ..] = text else { return false };
    let digits = [a, b, c, d, e, f, g, h, i].into_iter().all(u8::is_ascii_digit);
    let separated = one == other && matches!(one, b'-' | b' ');
    let issued = !matches!([a, b, c], [b'0', b'0', b'0'] | [b'6', b'6', b'6'] | [b'9', _, _])
        && [d, e] != [&b'0'; 2]
        && [f, g, h, i] != [&b'0'; 4];
    digits && separated && issued
}

/// Whether it is no part of a longer word or number.
fn stands_alone(before: &[u8], after: &[u8]) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    !is_word(before.last()) && !is_word(after.first()) && number::may_begin(before) && number::may_end(after)
}
