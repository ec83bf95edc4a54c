//! What a target sends: headers to walk by, and the few bodies that are looked into.

use super::{Malformed, split_string, word};

/// The first five bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Type byte.
    pub(crate) kind: u8,
    /// Size of the whole message with its header, in bytes; at least 5.
    pub(crate) total: usize,
}

/// Reads a header from the front of `bytes`.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let (Some(&kind), Some(length)) = (bytes.first(), word(bytes, 1)) else { return Ok(None) };
    if !(4..=i32::MAX as u32).contains(&length) {
        return Err(Malformed::Length);
    }
    Ok(Some(Header { kind, total: length as usize + 1 }))
}

/// Whether a transaction is open, as `ReadyForQuery` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    /// Not in a transaction.
    #[default]
    Idle,
    /// In one.
    Transaction,
    /// In one that has failed.
    Failed,
}

impl Status {
    /// The body of a `ReadyForQuery`.
    pub(crate) fn of(body: &[u8]) -> Result<Self, Malformed> {
        match body {
            b"I" => Ok(Self::Idle),
            b"T" => Ok(Self::Transaction),
            b"E" => Ok(Self::Failed),
            _ => Err(Malformed::Body),
        }
    }

    /// The byte on the wire.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Transaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What is read of an `ErrorResponse`. Its message is not: it may hold values of rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorFields<'a> {
    /// SQLSTATE: five letters or digits.
    pub(crate) code: &'a str,
    /// The server ends the connection after it (FATAL or PANIC).
    pub(crate) fatal: bool,
}

/// The body of an `ErrorResponse`.
pub(crate) fn error_fields(mut body: &[u8]) -> Result<ErrorFields<'_>, Malformed> {
    let (mut code, mut severity, mut localized) = (None, None, None);
    while let Some((&field, rest)) = body.split_first() {
        if field == 0 {
            break;
        }
        let (text, rest) = split_string(rest)?;
        match field {
            b'C' => code = Some(text),
            b'V' => severity = Some(text),
            b'S' => localized = Some(text),
            _ => {}
        }
        body = rest;
    }
    let code = code.filter(|code| code.len() == 5 && code.iter().all(u8::is_ascii_alphanumeric));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()).ok_or(Malformed::Body)?;
    // A severity that cannot be read counts as fatal: then nothing more is expected of the connection.
    let fatal = !matches!(severity.or(localized), Some(b"ERROR"));
    Ok(ErrorFields { code, fatal })
}

/// The body of a `ParameterStatus`: name and value.
pub(crate) fn parameter_status(body: &[u8]) -> Result<(&str, &str), Malformed> {
    let (name, rest) = split_string(body)?;
    let (value, rest) = split_string(rest)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Malformed::Body);
    if rest.is_empty() { Ok((text(name)?, text(value)?)) } else { Err(Malformed::Body) }
}

/// The body of a `ParameterDescription`: types of the parameters.
pub(crate) fn parameter_types(body: &[u8]) -> Result<Vec<u32>, Malformed> {
    let (count, rest) = body.split_first_chunk::<2>().ok_or(Malformed::Body)?;
    let (types, left) = rest.as_chunks::<4>();
    if types.len() != usize::from(u16::from_be_bytes(*count)) || !left.is_empty() {
        return Err(Malformed::Body);
    }
    Ok(types.iter().map(|oid| u32::from_be_bytes(*oid)).collect())
}

/// The names in the body of a `RowDescription`; at most what a row may have.
pub(crate) fn column_names(body: &[u8]) -> Result<Vec<String>, Malformed> {
    /// Table OID, attribute, type OID, size, modifier, format.
    const FIXED: usize = 4 + 2 + 4 + 2 + 4 + 2;
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(Malformed::Body)?;
    let mut names = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, after) = split_string(rest)?;
        rest = after.get(FIXED..).ok_or(Malformed::Body)?;
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    if rest.is_empty() { Ok(names) } else { Err(Malformed::Body) }
}

/// What a `RowDescription` says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The table that it is a plain reference to; 0 if it is none.
    pub(crate) table: u32,
    /// Number of the attribute there; 0 if it is no such reference, or to the row as a whole.
    pub(crate) attribute: i16,
    /// Its type.
    pub(crate) type_id: u32,
    /// 0 text, 1 binary.
    pub(crate) format: u16,
}

/// The columns in the body of a `RowDescription`; at most what a row may have.
pub(crate) fn fields(body: &[u8]) -> Result<Vec<Field>, Malformed> {
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(Malformed::Body)?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, after) = split_string(rest)?;
        let (fixed, after) = after.split_first_chunk::<18>().ok_or(Malformed::Body)?;
        let [t0, t1, t2, t3, a0, a1, y0, y1, y2, y3, _, _, _, _, _, _, f0, f1] = *fixed;
        fields.push(Field {
            name: String::from_utf8_lossy(name).into_owned(),
            table: u32::from_be_bytes([t0, t1, t2, t3]),
            attribute: i16::from_be_bytes([a0, a1]),
            type_id: u32::from_be_bytes([y0, y1, y2, y3]),
            format: u16::from_be_bytes([f0, f1]),
        });
        rest = after;
    }
    if rest.is_empty() { Ok(fields) } else { Err(Malformed::Body) }
}

/// The body of a `DataRow`: its values, `None` for NULL.
pub(crate) fn values(body: &[u8]) -> Result<Vec<Option<&[u8]>>, Malformed> {
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(Malformed::Body)?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(Malformed::Body)?;
        let value = match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed::Length)?;
                Some(after.split_at_checked(length).ok_or(Malformed::Length)?)
            }
        };
        rest = value.map_or(after, |(_, rest)| rest);
        values.push(value.map(|(value, _)| value));
    }
    if rest.is_empty() { Ok(values) } else { Err(Malformed::Body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn header_needs_five_bytes_and_a_possible_length() {
        assert_eq!(header(b"Z\0\0\0"), Ok(None));
        assert_eq!(header(b"Z\0\0\0\x05I"), Ok(Some(Header { kind: b'Z', total: 6 })));
        assert_eq!(header(b"Z\0\0\0\x03"), Err(Malformed::Length));
        assert_eq!(header(b"Z\xff\xff\xff\xff"), Err(Malformed::Length));
    }

    #[test]
    fn error_fields_are_code_and_severity() {
        let body = b"SFEHLER\0VERROR\0C42P01\0Mno\0\0";
        assert_eq!(error_fields(body), Ok(ErrorFields { code: "42P01", fatal: false }));
        assert!(error_fields(b"SFATAL\0C57P01\0\0").unwrap().fatal);
        assert!(error_fields(b"C57P01\0\0").unwrap().fatal);
        assert_eq!(error_fields(b"SERROR\0Cabc\0\0"), Err(Malformed::Body));
    }

    #[test]
    fn rows_and_descriptions_are_read_whole() {
        assert_eq!(values(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff"), Ok(vec![Some(&b"a"[..]), None]));
        assert_eq!(values(b"\0\x01\0\0\0\x02a"), Err(Malformed::Length));
        let mut body = b"\0\x01id\0".to_vec();
        body.extend([0; 18]);
        assert_eq!(column_names(&body), Ok(vec!["id".to_owned()]));
        body.push(0);
        assert_eq!(column_names(&body), Err(Malformed::Body));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (header(&bytes), error_fields(&bytes), parameter_status(&bytes));
            let _ = (column_names(&bytes), values(&bytes), Status::of(&bytes));
            prop_assert_eq!(
                fields(&bytes).map(|fields| fields.into_iter().map(|field| field.name).collect()),
                column_names(&bytes)
            );
        }
    }
}
