//! Rows of a reply as they are recorded: whole DataRow messages of PostgreSQL's protocol.

/// The values of one row, in order; `None` is NULL.
pub type Row<'a> = Vec<Option<&'a [u8]>>;

/// The rows in `row_data`; `None` if it is anything but whole DataRow messages.
pub fn rows(row_data: &[u8]) -> Option<Vec<Row<'_>>> {
    let (mut rest, mut rows) = (row_data, Vec::new());
    while !rest.is_empty() {
        let (row, behind) = next_row(rest)?;
        rows.push(row);
        rest = behind;
    }
    Some(rows)
}

/// How many rows there are in it, without keeping them.
pub(crate) fn count(row_data: &[u8]) -> Option<u64> {
    let (mut rest, mut count) = (row_data, 0_u64);
    while !rest.is_empty() {
        rest = next_row(rest)?.1;
        count = count.saturating_add(1);
    }
    Some(count)
}

/// `D`, the length of what follows (itself included), the number of values, each with its length or -1 for NULL.
fn next_row(bytes: &[u8]) -> Option<(Row<'_>, &[u8])> {
    let rest = bytes.strip_prefix(b"D")?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let (message, behind) = rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
    let (values, mut message) = message.get(4..)?.split_first_chunk::<2>()?;
    let values = usize::try_from(i16::from_be_bytes(*values)).ok()?;
    // Each has four bytes at least: a count alone reserves nothing.
    let mut row = Vec::with_capacity(values.min(message.len() / 4));
    for _ in 0..values {
        let (length, rest) = message.split_first_chunk::<4>()?;
        message = rest;
        row.push(match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let (value, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
                message = rest;
                Some(value)
            }
        });
    }
    message.is_empty().then_some((row, behind))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::fixture::data_row;

    proptest! {
        #[test]
        fn rows_come_back(written in vec(vec(option::of(vec(any::<u8>(), 0..9)), 0..5), 0..5)) {
            let bytes: Vec<u8> = written.iter().flat_map(|row| data_row(row)).collect();
            let read: Vec<Vec<Option<Vec<u8>>>> = rows(&bytes).unwrap().into_iter()
                .map(|row| row.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect()).collect();
            prop_assert_eq!(count(&bytes), Some(written.len() as u64));
            prop_assert_eq!(read, written);
            if let Some((_, cut)) = bytes.split_last() {
                prop_assert_eq!((rows(cut), count(cut)), (None, None));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(rows(&bytes).is_none(), count(&bytes).is_none());
            let _ = rows(&[b"D", bytes.as_slice()].concat());
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        assert_eq!(rows(b""), Some(Vec::new()));
        for bytes in [
            &b"C\0\0\0\x06\0\0"[..],
            b"D\0\0\0\x03\0\0",
            b"D\xff\xff\xff\xff\0\0",
            b"D\0\0\0\x06\xff\xff",
            b"D\0\0\0\x06\0\x01",
            b"D\0\0\0\x07\0\0x",
            b"D\0\0\0\x0a\0\x01\xff\xff\xff\xfe",
        ] {
            assert_eq!(rows(bytes), None, "{bytes:?}");
        }
    }
}
