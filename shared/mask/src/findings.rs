//! The detectors' findings, brought into one order.

use std::{cmp::Reverse, ops::Range};

use countersign_model::Detector;

use crate::{Detectors, card, email, jwt, ssn};

/// Where something stands, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the text, at least one.
    pub range: Range<usize>,
    /// What it is.
    pub detector: Detector,
}

/// The findings of a text, from left to right.
#[derive(Debug, Clone)]
pub struct Findings<'t> {
    text: &'t [u8],
    /// The end of the last finding. Nothing before it is looked at again.
    from: usize,
    /// What each detector found last, all of it at or behind `from` once [`Self::look`] was called.
    next: [Next; Detector::ALL.len()],
}

#[derive(Debug, Clone)]
enum Next {
    /// To be looked for.
    Unknown,
    /// The leftmost one that is left.
    At(Range<usize>),
    /// There are no more.
    None,
}

impl<'t> Findings<'t> {
    pub(crate) fn new(detectors: Detectors, text: &'t [u8]) -> Self {
        let next = detectors.0.map(|looks| if looks { Next::Unknown } else { Next::None });
        Self { text, from: 0, next }
    }

    /// Looks again where another detector's finding took a part of what was found. The rest of that is read a
    /// second time, and no more than that: what begins in it begins where the finding that took the part
    /// ended.
    fn look(&mut self) {
        let rest = self.text.get(self.from..).unwrap_or_default();
        for (detector, next) in Detector::ALL.into_iter().zip(&mut self.next) {
            match next {
                Next::Unknown => {}
                Next::At(range) if range.start < self.from => {}
                Next::At(_) | Next::None => continue,
            }
            *next = match find(detector, rest) {
                Some(range) => Next::At(range.start + self.from..range.end + self.from),
                None => Next::None,
            };
        }
    }
}

impl Iterator for Findings<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        self.look();
        let found = Detector::ALL.into_iter().zip(&self.next).filter_map(|(detector, next)| match next {
            Next::At(range) => Some(Found { range: range.clone(), detector }),
            Next::Unknown | Next::None => None,
        });
        let first = found.min_by_key(|found| (found.range.start, Reverse(found.range.end)))?;
        self.from = first.range.end;
        Some(first)
    }
}

/// The leftmost finding of one detector in a text that begins at a boundary. Most values of most columns are
/// too short to be looked at.
fn find(detector: Detector, text: &[u8]) -> Option<Range<usize>> {
    let least = match detector {
        Detector::Email => email::LEAST,
        Detector::Card => card::LEAST,
        Detector::Ssn => ssn::LEAST,
        Detector::Jwt => jwt::LEAST,
    };
    match detector {
        _ if text.len() < least => None,
        Detector::Email => email::find(text),
        Detector::Card => card::find(text),
        Detector::Ssn => ssn::find(text),
        Detector::Jwt => jwt::find(text),
    }
}
