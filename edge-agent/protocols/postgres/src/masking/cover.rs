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
/// of machines, UUIDs.
const PLAIN: [u32; 33] = [
    16, 18, 20, 21, 23, 24, 26, 27, 28, 29, 600, 601, 603, 628, 650, 700, 701, 718, 774, 790, 829, 869, 1082,
    1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3220,
];

/// How a type holds text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is text, in both formats.
    Text,
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
            NAME | TEXT | XML | UNKNOWN | BPCHAR | VARCHAR => Self::Text,
            JSON => Self::Json { version: false },
            JSONB => Self::Json { version: format == 1 },
            // In hexadecimal nothing can be found, and by chance anything.
            BYTEA if format == 0 => Self::Nothing,
            other if PLAIN.contains(&other) => Self::Nothing,
            _ => Self::Parts,
        }
    }

    /// What stands for a value of the type; `None` is NULL, which every type has.
    pub(super) fn label(self, label: &str) -> Option<Vec<u8>> {
        match self {
            Self::Text => Some(label.as_bytes().to_vec()),
            // Labels have nothing that JSON would want escaped.
            Self::Json { version } => {
                let mark = if version { "\x01" } else { "" };
                Some(format!("{mark}\"{label}\"").into_bytes())
            }
            Self::Parts | Self::Nothing => None,
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
            Self::Nothing => Some(Cow::Borrowed(value)),
            Self::Text | Self::Json { .. } => Some(replace(value)),
            Self::Parts => match replace(value) {
                // Lengths of parts stand before them in the binary format.
                Cow::Owned(_) if format == 1 => None,
                replaced => Some(replaced),
            },
        }
    }
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
        for type_id in [16, 17, 20, 1009, 1184, 1700, 2950, 16_400] {
            assert_eq!(Holds::of(type_id, 0).label("[email]"), None, "{type_id}");
        }
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
