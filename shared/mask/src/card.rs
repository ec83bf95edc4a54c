//! Numbers of payment cards: 12 to 19 digits with the check digit of ISO/IEC 7812-1 (Luhn), alone or in
//! groups.
//!
//! Groups are separated by single blanks or single hyphens, the same throughout. The first has at least four
//! digits and the others three, as they are printed; so lists of small numbers, dates and telephone numbers
//! are not. What the first digits say has to be an issuer's: 3 to 6, or 22 to 27, which is not how the year
//! of a date begins.

use std::ops::{Range, RangeInclusive};

use crate::{
    number,
    scan::{count, first_digit},
};

/// Bytes of the shortest.
pub(crate) const LEAST: usize = *DIGITS.start();

const DIGITS: RangeInclusive<usize> = 12..=19;
const FIRST_GROUP: usize = 4;
const OTHER_GROUPS: usize = 3;

pub(crate) fn find(text: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    loop {
        let at = from + first_digit(text.get(from..)?)?;
        let (before, rest) = text.split_at_checked(at)?;
        let may_begin = number::may_begin(before) && before.last() != Some(&b'+');
        if let Some(length) = may_begin.then(|| longest(rest)).flatten() {
            return Some(at..at + with_overlapping(rest, length));
        }
        from = at + count(rest, |b| b.is_ascii_digit());
    }
}

/// The length of the longest card number that the text begins with. Reads no more than the digits of one.
fn longest(text: &[u8]) -> Option<usize> {
    let mut number = Number::default();
    let mut separator = None;
    let mut best = None;
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let group = rest.iter().take(DIGITS.end() + 1).take_while(|b| b.is_ascii_digit()).count();
        let least = if at == 0 { FIRST_GROUP } else { OTHER_GROUPS };
        if group < least || number.length + group > *DIGITS.end() {
            return best;
        }
        let (digits, after) = rest.split_at_checked(group)?;
        digits.iter().for_each(|digit| number.push(digit - b'0'));
        at += group;
        if number.is_card() && number::may_end(after) {
            best = Some(at);
        }
        match after.first() {
            Some(byte @ (b' ' | b'-')) if separator.is_none_or(|before| before == *byte) => {
                separator = Some(*byte);
                at += 1;
            }
            _ => return best,
        }
    }
}

/// The length of what card numbers cover that begin in one that was found and overlap: a group before a
/// number may make another of it, whose end would leave the rest of the right one in sight.
fn with_overlapping(text: &[u8], length: usize) -> usize {
    let mut end = length;
    let mut at = 0;
    while let Some(group) =
        text.get(at..end).and_then(|part| part.iter().position(|b| matches!(b, b' ' | b'-')))
    {
        at += group + 1;
        end = end.max(at + text.get(at..).and_then(longest).unwrap_or(0));
    }
    end
}

/// Digits from left to right.
#[derive(Default)]
struct Number {
    length: usize,
    first: u8,
    second: u8,
    /// Whether two digits differ.
    differ: bool,
    /// The sum if the last digit is the check digit.
    sum: u32,
    /// The sum if another digit follows.
    other_sum: u32,
}

impl Number {
    fn push(&mut self, digit: u8) {
        match self.length {
            0 => self.first = digit,
            1 => self.second = digit,
            _ => {}
        }
        self.differ |= digit != self.first;
        self.length += 1;
        let doubled = if digit < 5 { digit * 2 } else { digit * 2 - 9 };
        let sum = self.other_sum + u32::from(digit);
        self.other_sum = self.sum + u32::from(doubled);
        self.sum = sum;
    }

    fn is_card(&self) -> bool {
        let issued = matches!((self.first, self.second), (3..=6, _) | (2, 2..=7));
        issued && DIGITS.contains(&self.length) && self.differ && self.sum.is_multiple_of(10)
    }
}
