//! What opens the segments of a recording: as the control plane hands it out, and as `export` keeps it beside them.
//!
//! The file has a line for each segment: its number in 8 digits, a space, its content key in hex.

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

use crate::escape::hex;

/// Bytes of a content key.
const KEY: usize = 32;

/// Content keys by the number of their segment.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct ContentKeys(BTreeMap<u32, Zeroizing<Vec<u8>>>);

impl ContentKeys {
    /// Takes the key of a segment; none if it is empty.
    pub(crate) fn insert(&mut self, number: u32, key: Vec<u8>) {
        if !key.is_empty() {
            self.0.insert(number, Zeroizing::new(key));
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&[u8]> {
        self.0.get(&number).map(|key| key.as_slice())
    }

    /// The keys in a file. Lines that are none are passed over: their segments stay sealed, which a reader is told.
    pub(crate) fn from_text(text: &[u8]) -> Self {
        let mut keys = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Some((number, key)) = line_of(line) {
                keys.insert(number, key);
            }
        }
        keys
    }

    /// As [`Self::from_text`] reads it.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let line = |(number, key): (&u32, &Zeroizing<Vec<u8>>)| format!("{number:08} {}\n", hex(key));
        Zeroizing::new(self.0.iter().map(line).collect())
    }
}

impl fmt::Debug for ContentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKeys({} keys)", self.0.len())
    }
}

fn line_of(line: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (number, key) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if key.len() != 2 * KEY || !key.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let (pairs, _) = key.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    Some((number.parse().ok()?, pairs.iter().map(byte).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_come_back_and_other_lines_are_passed_over() {
        let mut keys = ContentKeys::default();
        keys.insert(0, vec![0xab; KEY]);
        keys.insert(12, (0..32).collect());
        keys.insert(13, Vec::new());
        let text = keys.to_text();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("00000000 abab"), "{}", *text);
        assert_eq!(ContentKeys::from_text(text.as_bytes()), keys);
        let odd = format!("x\n1\n2 abab\n3 {}\n\u{e9} {}\n{}", "z".repeat(64), "a".repeat(64), *text);
        assert_eq!(ContentKeys::from_text(odd.as_bytes()), keys);
        assert_eq!(format!("{keys:?}"), "ContentKeys(2 keys)");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ContentKeys::from_text(&text);
        }
    }
}
