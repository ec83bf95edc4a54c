//! Characters of a text that is probably UTF-8.

/// The first character: its bytes if it is one, else a single byte with what goes on behind it.
pub(crate) fn first(text: &[u8]) -> Option<&[u8]> {
    let (lead, rest) = text.split_first()?;
    let more = if lead.is_ascii() { 0 } else { rest.iter().take(3).take_while(|b| continues(**b)).count() };
    text.get(..=more)
}

/// The last character, likewise.
pub(crate) fn last(text: &[u8]) -> Option<&[u8]> {
    let behind = text.iter().rev().take(3).take_while(|b| continues(**b)).count();
    let character = text.get(text.len().checked_sub(behind + 1)?..);
    let ascii = character.and_then(<[u8]>::first).is_none_or(u8::is_ascii);
    if behind > 0 && ascii { text.get(text.len() - 1..) } else { character }
}

fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Whether a character outside of ASCII separates words: blanks, quotes, dashes and the punctuation of full
/// width. Those of no width do not, since they hide in words.
pub(crate) fn separates(character: &[u8]) -> bool {
    match character {
        [0xc2, 0xa0 | 0xab | 0xbb] => true,
        [0xe2, 0x80, last] => !matches!(last, 0x8b..=0x8f),
        [0xe3, 0x80, _] => true,
        [0xef, 0xbc, 0x81..=0x8f | 0x9a..=0xa0] => true,
        _ => false,
    }
}
