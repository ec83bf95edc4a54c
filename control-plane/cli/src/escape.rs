//! Foreign text on a terminal: what callers, targets and servers wrote may neither drive the terminal nor look like
//! something that it is not. Control, bidirectional, zero-width and other invisible characters are shown as
//! `\n`, `\t` or `\u{…}`; bytes that are no UTF-8 as `\x…`. Everything else is shown as it is.

use std::fmt::Write as _;

/// One line of text, fit for a terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

/// Foreign bytes as lines, each fit for a terminal; only a line feed ends a line.
pub(crate) fn escaped_lines(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == b'\n').map(escaped_bytes).collect()
}

/// Foreign bytes as one line.
fn escaped_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut shown, c));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        c if c.is_control() || is_invisible(c) => shown.extend(c.escape_unicode()),
        c => shown.push(c),
    }
}

/// Format, separator and filler characters that show as nothing or reorder what is around them (Unicode's general
/// categories Cf, Zl and Zp, and its property `Default_Ignorable_Code_Point`).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_or_deceives_is_shown_as_its_number() {
        assert_eq!(escaped("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(escaped("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(escaped("ad\u{200b}min\u{feff}"), "ad\\u{200b}min\\u{feff}");
        assert_eq!(escaped("one\ntwo\r\tthree\u{9b}"), "one\\ntwo\\r\\tthree\\u{9b}");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["SELECT * FROM \"t\" WHERE a = 'x'", "Größe", "数据", "שלום", "a\\b", "🙂"] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn bytes_are_lines_and_no_utf8_is_shown() {
        assert_eq!(escaped_lines(b"SELECT\n\xff1"), ["SELECT", "\\xff1"]);
        assert_eq!(escaped_lines("SELECT 1\u{2028}-- x".as_bytes()), ["SELECT 1\\u{2028}-- x"]);
    }
}
