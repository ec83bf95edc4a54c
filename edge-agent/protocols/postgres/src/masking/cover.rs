//! What stands for a value that is covered: a label where the type has room for words, NULL everywhere else.

use std::borrow::Cow;

// Object identifiers of built-in types (PostgreSQL's `pg_type.dat`); they never change.
const BYTEA: u32 = 17;
const NAME: u32 = 19;
const TEXT: u32 = 25;
const JSON: u32 = 114;
const XML: u32 = 142;
const UNKNOWN: u32 = 705;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const JSONB: u32 = 3802;

/// Types whose values are too plain to hold anything that a detector looks for: truth values, numbers, times, addresses
/// of machines, UUIDs, and arrays and ranges of these.
const PLAIN: [u32; 77] = [
    22, 30, 143, 271, 629, 651, 719, 775, 791, 1000, 1005, 1006, 1007, 1010, 1011, 1012, 1013, 1016, 1017,
    1018, 1019, 1020, 1021, 1022, 1028, 1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270, 1561, 1563,
    2951, 3221, 3904, 3906, 3908, 3910, 3912, 3926, 16, 18, 20, 21, 23, 24, 26, 27, 28, 29, 600, 601, 603,
    628, 650, 700, 701, 718, 774, 790, 829, 869, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950,
    3220,
];

/// How a type holds text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is text, in both formats.
    Text,
    /// It is XML: text, in both formats.
    Xml,
    /// It is bytes in hexadecimal.
    Hex,
    /// It is JSON: text in both formats, after a version byte in the binary one of `jsonb`.
    Json { version: bool },
    /// It may have text in it, such as an array or a composite.
    Parts,
    /// It has none.
    Nothing,
}

impl Holds {
    pub(super) fn of(type_id: u32, format: u16) -> Self {
        match type_id {
            NAME | TEXT | UNKNOWN | BPCHAR | VARCHAR => Self::Text,
            XML => Self::Xml,
            JSON => Self::Json { version: false },
            JSONB => Self::Json { version: format == 1 },
            BYTEA if format == 0 => Self::Hex,
            other if PLAIN.contains(&other) => Self::Nothing,
            _ => Self::Parts,
        }
    }

    /// What stands for a value of the type; `None` is NULL, which every type has.
    pub(super) fn label(self, label: &str) -> Option<Vec<u8>> {
        match self {
            Self::Text | Self::Xml => Some(label.as_bytes().to_vec()),
            // Labels have nothing that JSON would want escaped.
            Self::Json { version } => {
                let mark = if version { "\x01" } else { "" };
                Some(format!("{mark}\"{label}\"").into_bytes())
            }
            Self::Parts | Self::Hex | Self::Nothing => None,
        }
    }

    /// What a value says once it is read, where it is written otherwise: by escapes or in hexadecimal. Whatever is found
    /// in that covers the whole value.
    pub(super) fn hidden(self, value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Json { .. } => unescaped(value, b"\\u", |rest| {
                let digits = rest.get(..4)?;
                Some((code_point(digits, 16)?, 4))
            }),
            Self::Xml => unescaped(value, b"&#", |rest| {
                let end = rest.iter().take(9).position(|byte| *byte == b';')?;
                let digits = rest.get(..end)?;
                let number = match digits.split_first() {
                    Some((b'x' | b'X', hex)) => code_point(hex, 16)?,
                    _ => code_point(digits, 10)?,
                };
                Some((number, end + 1))
            }),
            Self::Hex => {
                let digits = value.strip_prefix(b"\\x")?;
                let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                digits.chunks(2).map(byte).collect()
            }
            Self::Text | Self::Parts | Self::Nothing => None,
        }
    }

    /// A value in which `replace` covers what is found, or what stands for the whole where parts of it cannot be
    /// replaced. The value as it was, borrowed, where nothing is found.
    pub(super) fn patch<'v>(
        self,
        value: &'v [u8],
        format: u16,
        replace: impl Fn(&'v [u8]) -> Cow<'v, [u8]>,
    ) -> Option<Cow<'v, [u8]>> {
        match self {
            // In hexadecimal nothing is found, but by chance.
            Self::Nothing | Self::Hex => Some(Cow::Borrowed(value)),
            Self::Text | Self::Xml | Self::Json { .. } => Some(replace(value)),
            Self::Parts => match replace(value) {
                // Lengths of parts stand before them in the binary format.
                Cow::Owned(_) if format == 1 => None,
                replaced => Some(replaced),
            },
        }
    }
}

/// A text with the characters in it that are escaped behind `mark`; `None` if there are none.
fn unescaped(value: &[u8], mark: &[u8], read: impl Fn(&[u8]) -> Option<(char, usize)>) -> Option<Vec<u8>> {
    let (first, _) = mark.split_first()?;
    let mut text: Option<Vec<u8>> = None;
    let mut rest = value;
    let mut kept = 0;
    while let Some(at) = memchr::memchr(*first, rest.get(kept..).unwrap_or_default()) {
        let at = kept + at;
        let behind = rest.get(at..).and_then(|escape| escape.strip_prefix(mark));
        match behind.and_then(|behind| read(behind).map(|(letter, length)| (behind, letter, length))) {
            Some((behind, letter, length)) => {
                let text = text.get_or_insert_with(|| Vec::with_capacity(value.len()));
                text.extend_from_slice(rest.get(..at).unwrap_or_default());
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind.get(length..).unwrap_or_default();
                kept = 0;
            }
            None => kept = at + 1,
        }
    }
    text.map(|mut text| {
        text.extend_from_slice(rest);
        text
    })
}

/// The character of a number; half of a surrogate pair is none that anything looks for.
fn code_point(digits: &[u8], radix: u32) -> Option<char> {
    let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_value_of_its_type() {
        for type_id in [NAME, TEXT, XML, UNKNOWN, BPCHAR, VARCHAR] {
            assert_eq!(Holds::of(type_id, 1).label("[email]").as_deref(), Some(&b"[email]"[..]));
        }
        assert_eq!(Holds::of(JSON, 1).label("[email]").as_deref(), Some(&b"\"[email]\""[..]));
        assert_eq!(Holds::of(JSONB, 0).label("[email]").as_deref(), Some(&b"\"[email]\""[..]));
        assert_eq!(Holds::of(JSONB, 1).label("[email]").as_deref(), Some(&b"\x01\"[email]\""[..]));
        for type_id in [16, BYTEA, 20, 1009, 1184, 1700, 2950, 16_400] {
            assert_eq!(Holds::of(type_id, 0).label("[email]"), None, "{type_id}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_read() {
        let hidden = |type_id: u32, value: &str| {
            Holds::of(type_id, 0)
                .hidden(value.as_bytes())
                .map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        assert_eq!(
            hidden(JSON, r#"{"a":"ad\u0061@ex\u0061mple.c\u006fm"}"#).as_deref(),
            Some(r#"{"a":"ada@example.com"}"#)
        );
        assert_eq!(hidden(JSON, r#""\u12 \n \ud83d""#).as_deref(), Some("\"\\u12 \\n \u{fffd}\""));
        assert_eq!(hidden(JSON, r#"{"a": "\n"}"#), None);
        assert_eq!(
            hidden(XML, "<a>ada@example&#46;com&#x2E;</a>").as_deref(),
            Some("<a>ada@example.com.</a>")
        );
        assert_eq!(hidden(XML, "<a>&#;&amp;&#zz;</a>"), None);
        assert_eq!(hidden(BYTEA, "\\x616461").as_deref(), Some("ada"));
        assert_eq!(hidden(BYTEA, "\\x6"), Some("\u{6}".to_owned()));
        assert_eq!((hidden(BYTEA, "\\xzz"), hidden(BYTEA, ""), hidden(TEXT, "\\u0061")), (None, None, None));
    }

    #[test]
    fn a_part_of_something_binary_is_covered_with_the_whole() {
        let replace = |_: &'static [u8]| Cow::Owned(b"[email]".to_vec());
        let array = Holds::of(1009, 1);
        assert_eq!(array, Holds::Parts);
        assert_eq!(array.patch(b"{a@b.example}", 1, replace), None);
        assert_eq!(array.patch(b"{a@b.example}", 0, replace).as_deref(), Some(&b"[email]"[..]));
        assert_eq!(array.patch(b"{}", 1, Cow::Borrowed), Some(Cow::Borrowed(&b"{}"[..])));
        assert_eq!(Holds::of(23, 0).patch(b"1", 0, replace), Some(Cow::Borrowed(&b"1"[..])));
    }
}
