//! What holds for any text: pieces of findings, put together at random, and any bytes.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use countersign_model::Detector;
use proptest::prelude::*;

use crate::{Detectors, Found, replace};

const PIECES: &[&str] = &[
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "378282246310005",
    "4111",
    "1111",
    "5555",
    "3782",
    "822463",
    "10005",
    "078-05-1120",
    "219 09 9999",
    "078",
    "05",
    "1120",
    "1",
    "7",
    "a",
    "B",
    "z9",
    "_",
    "-",
    ".",
    " ",
    "+",
    "@",
    "%40",
    "%",
    "%20",
    "&#64;",
    "&",
    ";",
    "\\u0040",
    "\\u00e9",
    "\\",
    "n",
    "u",
    "=",
    "/",
    "'",
    "\n",
    "b.com",
    "com",
    ".org",
    "dana@example.com",
    "eyJ",
    "eyJhbGciOiJIUzI1NiJ9",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "e30",
    "é",
    "“",
    "用",
    "\u{a0}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "////////////////////////////////////////////",
];

/// Parts of characters, and what addresses are of.
const BROKEN: &[u8] = b"\xc2\xa0\xe2\x80\x9c\xf0\xff@.ab1-4";

fn all() -> Detectors {
    Detector::ALL.into_iter().collect()
}

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

fn label(detector: Detector) -> &'static str {
    match detector {
        Detector::Email => "[email]",
        Detector::Card => "[card]",
        Detector::Ssn => "[ssn]",
        Detector::Jwt => "[jwt]",
    }
}

fn assert_holds(detectors: Detectors, text: &[u8]) {
    let found: Vec<Found> = detectors.findings(text).collect();
    assert_eq!(detectors.find(text).as_ref(), found.first());
    let mut end = 0;
    for Found { range, detector } in &found {
        assert!(end <= range.start && range.start < range.end && range.end <= text.len(), "{found:?}");
        assert!(detectors.contains(*detector));
        end = range.end;
    }
    let covered = replace(text, found.iter().cloned(), label);
    let again: Vec<_> = detectors.findings(&covered).collect();
    assert!(
        again.is_empty(),
        "{again:?} in {:?} of {:?}",
        String::from_utf8_lossy(&covered),
        String::from_utf8_lossy(text)
    );
    assert_eq!(matches!(covered, Cow::Borrowed(_)), found.is_empty());
    if std::str::from_utf8(text).is_ok() {
        assert!(std::str::from_utf8(&covered).is_ok(), "{found:?} cut a character");
    }
    // What is not found is as it was, in the order in which it was.
    let mut rest = &covered[..];
    let mut shown = 0;
    for Found { range, detector } in &found {
        let between = &text[shown..range.start];
        rest = rest.strip_prefix(between).unwrap().strip_prefix(label(*detector).as_bytes()).unwrap();
        shown = range.end;
    }
    assert_eq!(rest, &text[shown..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_covered_has_nothing_to_find(
        text in pieces(),
        detectors in prop::collection::vec(prop::sample::select(&Detector::ALL[..]), 1..5),
    ) {
        assert_holds(all(), text.as_bytes());
        assert_holds(detectors.into_iter().collect(), text.as_bytes());
    }

    #[test]
    fn any_bytes_will_do(text in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_holds(all(), &text);
    }

    #[test]
    fn broken_characters_will_do(
        text in prop::collection::vec(prop::sample::select(BROKEN), 0..60),
    ) {
        assert_holds(all(), &text);
    }

    /// Each detector finds what it would find alone, unless another found something that it overlaps.
    #[test]
    fn nothing_hides_behind_another_finding(text in pieces()) {
        let together: Vec<_> = all().findings(text.as_bytes()).collect();
        for detector in Detector::ALL {
            let alone: Detectors = [detector].into_iter().collect();
            for found in alone.findings(text.as_bytes()) {
                let meets = |other: &Found| {
                    other.range.start < found.range.end && found.range.start < other.range.end
                };
                let met = together.iter().any(meets);
                prop_assert!(met, "{found:?} of {text:?}");
            }
        }
    }
}

#[test]
fn ranges_that_do_not_fit_are_cut() {
    let found = |range| Found { range, detector: Detector::Card };
    let covered = replace(b"abcdef", [found(1..3), found(2..4), found(9..12)], |_| "#");
    assert_eq!(&covered[..], b"a###");
}

/// At quadratic cost each of these would take hours.
#[test]
fn hostile_texts_take_linear_time() {
    let length = 4 << 20;
    for pattern in [
        "a",
        "1",
        "4",
        ".",
        "-",
        "@",
        "%40",
        "%",
        "\\",
        "\\u0040",
        "&",
        "&#64;",
        "a@",
        "a@a",
        "a@a.",
        "a@a.1",
        "a%40a.1",
        "1 ",
        "1-",
        "4111 ",
        "4111-",
        "4111 1111-",
        "4111111111111112 ",
        "378-",
        "078-05-",
        "078-05-1120",
        "078-05-1120 ",
        "eyJ",
        "eyJ.",
        "eyJ@",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.",
        "eyJhbGciOiJIUzI1NiJ9.e30.x ",
        "eyJ..",
        "dana@example.com ",
        "dana@example.com4111 1111 1111 1111",
        "4111 1111 1111 1111eyJ",
        "4111 1111 1111 1111a@",
        "/a",
        "é",
        "用@",
        "\u{80}",
    ] {
        let text = pattern.repeat(length / pattern.len());
        let started = Instant::now();
        let found = all().findings(text.as_bytes()).count();
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "{pattern}: {took:?} for {found} findings");
    }
}
