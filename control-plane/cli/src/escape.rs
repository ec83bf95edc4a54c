//! Foreign text on a terminal: what callers, targets and servers wrote may neither drive the terminal nor look
//! like something that it is not. Control, bidirectional, zero-width and other invisible characters, and spaces
//! that are not the space, are shown as `\n`, `\t` or `\u{…}`; bytes that are no UTF-8 as `\x…`. Everything else
//! is shown as it is.

use std::{borrow::Cow, fmt::Write as _};

/// One line of text, fit for a terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

/// Foreign bytes as lines, each fit for a terminal; only a line feed ends a line, and tabs stay as they are.
pub(crate) fn escaped_lines(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == b'\n').map(escaped_line).collect()
}

/// What a reader of foreign bytes should know before reading them as [`escaped_lines`]: empty, or words that go on
/// after others.
pub(crate) fn cautions(bytes: &[u8]) -> String {
    let mut cautions = String::new();
    let text = String::from_utf8_lossy(bytes);
    match count_escaped(&text) {
        0 => {}
        count => {
            cautions += &format!("; {count} characters of it DO NOT SHOW and are written as \\u{{…}} or \\r");
        }
    }
    if matches!(text, Cow::Owned(_)) {
        cautions += "; it is NO UTF-8: bytes that are none are written as \\x…";
    }
    if has_right_to_left(&text) {
        cautions +=
            "; it has RIGHT-TO-LEFT letters: a terminal may show what is between them in another order";
    }
    cautions
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// How many characters of a text [`escaped_lines`] shows in another form.
fn count_escaped(text: &str) -> usize {
    text.chars().filter(|c| *c != '\n' && *c != '\t' && is_deceptive(*c)).count()
}

/// Whether a text has letters that are written from right to left. They stay as they are, and numbers and
/// punctuation between them may show in the order of their script.
fn has_right_to_left(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

/// A JSON text that says the same and is fit for a terminal. What a serializer writes outside of strings stays.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || !is_deceptive(c);
    if json.chars().all(stays) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if stays(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(shown)
}

/// Foreign bytes as one line, with its tabs.
fn escaped_line(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\t' { shown.push(c) } else { push(&mut shown, c) }
        }
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
        c if is_deceptive(c) => shown.extend(c.escape_unicode()),
        c => shown.push(c),
    }
}

/// Whether a character drives a terminal, shows as nothing, or shows as a space that is none. To PostgreSQL a
/// no-break space is a letter.
fn is_deceptive(c: char) -> bool {
    c.is_control() || (c.is_whitespace() && c != ' ') || is_invisible(c)
}

/// Format, separator, filler and blank characters that show as nothing or reorder what is around them (Unicode's
/// general categories Cf, Zl and Zp, its property `Default_Ignorable_Code_Point`, and blanks of other categories).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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
    fn no_character_that_deceives_is_left() {
        let ranges = [
            '\u{0}'..='\u{1f}',
            '\u{7f}'..='\u{a0}',
            '\u{2000}'..='\u{200f}',
            '\u{2028}'..='\u{202f}',
            '\u{205f}'..='\u{206f}',
            '\u{e0000}'..='\u{e007f}',
            '\u{feff}'..='\u{feff}',
            '\u{3000}'..='\u{3000}',
        ];
        for c in ranges.into_iter().flatten() {
            let text = c.to_string();
            assert!(escaped(&text).starts_with('\\'), "{}", c.escape_unicode());
            assert!(matches!(c, '\n' | '\t') || count_escaped(&text) == 1, "{}", c.escape_unicode());
            let json = serde_json::to_string(&text).expect("JSON");
            let shown = escaped_json(&json);
            assert!(shown.chars().all(|c| matches!(c, ' '..='~')), "{shown:?}");
            assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
        }
    }

    #[test]
    fn json_of_what_people_write_stays_as_it_is() {
        let json = "{\n  \"a\": \"Größe\\n数据 🙂\"\n}";
        assert!(matches!(escaped_json(json), Cow::Borrowed(same) if same == json));
    }

    #[test]
    fn scripts_from_right_to_left_are_known() {
        assert!(has_right_to_left("x = 'שלום'") && has_right_to_left("عدد"));
        assert!(!has_right_to_left("Größe 数据 🙂"));
    }

    #[test]
    fn bytes_are_lines_and_no_utf8_is_shown() {
        assert_eq!(escaped_lines(b"SELECT\n\t\xff1\r\n"), ["SELECT", "\t\\xff1\\r", ""]);
        assert_eq!(escaped_lines("SELECT 1\u{2028}-- x".as_bytes()), ["SELECT 1\\u{2028}-- x"]);
    }
}
