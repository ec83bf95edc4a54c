//! What is sensitive in a text by its form alone, and how it is covered.
//!
//! Detectors are pure functions of bytes, which need not be UTF-8: addresses, card numbers, social security
//! numbers and tokens are told by how they are written and by their check digits. Where a form is in doubt
//! they rather find too much: each finding takes the whole word that it is part of, so what stands beside one
//! is never half of another, and a text whose findings were replaced has none, provided that labels begin and
//! end with brackets or the like. In a text that is UTF-8, findings begin and end between characters.
//!
//! Everything is linear in the length of the text, and nothing is allocated before something is found: each
//! detector looks for one kind of byte, and what it reads around that is bounded or ends at the next of its
//! kind.

mod card;
mod characters;
mod email;
mod findings;
mod jwt;
mod number;
mod scan;
mod ssn;

pub use findings::{Findings, Found};

use std::borrow::Cow;

use countersign_model::Detector;

/// Which detectors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detectors([bool; Detector::ALL.len()]);

impl Detectors {
    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    /// Whether it is looked for.
    pub fn contains(&self, detector: Detector) -> bool {
        Detector::ALL.iter().zip(self.0).any(|(each, looks)| looks && *each == detector)
    }

    /// The first finding: the leftmost, and the longest of those that begin there.
    pub fn find(&self, text: &[u8]) -> Option<Found> {
        self.findings(text).next()
    }

    /// All findings from left to right, none of which overlap.
    pub fn findings<'t>(&self, text: &'t [u8]) -> Findings<'t> {
        Findings::new(*self, text)
    }
}

impl FromIterator<Detector> for Detectors {
    fn from_iter<I: IntoIterator<Item = Detector>>(detectors: I) -> Self {
        let mut looks = [false; Detector::ALL.len()];
        for detector in detectors {
            let slots = Detector::ALL.iter().zip(&mut looks);
            slots.filter(|(each, _)| **each == detector).for_each(|(_, slot)| *slot = true);
        }
        Self(looks)
    }
}

/// The text with each finding replaced by its label. `found` goes from left to right, as
/// [`Detectors::findings`] does; what overlaps or lies outside of the text is cut to what is left.
pub fn replace<'t, 'l>(
    text: &'t [u8],
    found: impl IntoIterator<Item = Found>,
    label: impl Fn(Detector) -> &'l str,
) -> Cow<'t, [u8]> {
    let mut found = found.into_iter().peekable();
    if found.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let mut covered = Vec::with_capacity(text.len());
    let mut shown = 0;
    for Found { range, detector } in found {
        covered.extend_from_slice(text.get(shown..range.start).unwrap_or_default());
        covered.extend_from_slice(label(detector).as_bytes());
        shown = shown.max(range.end);
    }
    covered.extend_from_slice(text.get(shown..).unwrap_or_default());
    Cow::Owned(covered)
}

#[cfg(test)]
mod tests;
