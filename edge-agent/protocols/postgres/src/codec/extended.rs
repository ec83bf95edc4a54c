//! The client's messages of the extended query protocol, taken apart once. Values and texts stay slices of what was
//! read.

use bytes::{Buf, Bytes};

use super::{Malformed, split_string};

/// `Parse`: a statement to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parse {
    /// Its name; empty for the unnamed statement.
    pub(crate) name: Bytes,
    /// Its text, not yet known to be UTF-8.
    pub(crate) text: Bytes,
    /// Declared types of its parameters, 0 where they are left open; may be fewer than there are.
    pub(crate) types: Vec<u32>,
}

/// `Bind`: a portal is made of a prepared statement and values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Name of the portal; empty for the unnamed one.
    pub(crate) portal: Bytes,
    /// Name of the statement.
    pub(crate) statement: Bytes,
    /// Formats of the parameters: none, one for all, or one for each.
    pub(crate) formats: Vec<u16>,
    /// The parameters; `None` is NULL.
    pub(crate) values: Vec<Option<Bytes>>,
    /// Formats of the result columns: none, one for all, or one for each.
    pub(crate) result_formats: Vec<u16>,
}

/// `Execute`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Execute {
    /// Name of the portal.
    pub(crate) portal: Bytes,
    /// Rows that are wanted; 0 for all.
    pub(crate) row_limit: u32,
}

/// What `Describe` and `Close` are about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A prepared statement of this name.
    Statement(Bytes),
    /// A portal of this name.
    Portal(Bytes),
}

impl Parse {
    pub(crate) fn read(mut body: Bytes) -> Result<Self, Malformed> {
        let name = string(&mut body)?;
        let text = string(&mut body)?;
        let types = list(&mut body, 4, |body| Ok(body.get_u32()))?;
        nothing_left(&body)?;
        Ok(Self { name, text, types })
    }
}

impl Bind {
    pub(crate) fn read(mut body: Bytes) -> Result<Self, Malformed> {
        let portal = string(&mut body)?;
        let statement = string(&mut body)?;
        let formats = list(&mut body, 2, |body| Ok(body.get_u16()))?;
        let values = list(&mut body, 4, value)?;
        let result_formats = list(&mut body, 2, |body| Ok(body.get_u16()))?;
        nothing_left(&body)?;
        Ok(Self { portal, statement, formats, values, result_formats })
    }
}

impl Execute {
    pub(crate) fn read(mut body: Bytes) -> Result<Self, Malformed> {
        let portal = string(&mut body)?;
        if body.len() != 4 {
            return Err(Malformed::Body);
        }
        // PostgreSQL takes a negative number for "all", as it does 0.
        let row_limit = u32::try_from(body.get_i32()).unwrap_or(0);
        Ok(Self { portal, row_limit })
    }
}

impl Named {
    pub(crate) fn read(mut body: Bytes) -> Result<Self, Malformed> {
        let kind = if body.has_remaining() { body.get_u8() } else { return Err(Malformed::Body) };
        let name = string(&mut body)?;
        nothing_left(&body)?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            _ => Err(Malformed::Body),
        }
    }
}

fn string(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = split_string(body)?.0.len();
    let text = body.split_to(length);
    body.advance(1);
    Ok(text)
}

/// A list that is counted in 16 bits. Each item takes at least `size` bytes, so that more than could be there are
/// never reserved for.
fn list<T>(
    body: &mut Bytes,
    size: usize,
    read: impl Fn(&mut Bytes) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    if body.len() < 2 {
        return Err(Malformed::Body);
    }
    let count = usize::from(body.get_u16());
    if body.len() < count.saturating_mul(size) {
        return Err(Malformed::Body);
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        if body.len() < size {
            return Err(Malformed::Body);
        }
        items.push(read(body)?);
    }
    Ok(items)
}

/// A value of a parameter; the caller has made sure of its length word.
fn value(body: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
    match body.get_i32() {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| Malformed::Length)?;
            if length > body.len() {
                return Err(Malformed::Length);
            }
            Ok(Some(body.split_to(length)))
        }
    }
}

fn nothing_left(body: &Bytes) -> Result<(), Malformed> {
    if body.is_empty() { Ok(()) } else { Err(Malformed::Body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_taken_apart_as_documented() {
        let parse = Parse::read(Bytes::from_static(b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0"));
        let expected = Parse { name: "s".into(), text: "select $1".into(), types: vec![23, 0] };
        assert_eq!(parse, Ok(expected));
        let bind = Bind::read(Bytes::from_static(
            b"p\0s\0\0\x01\0\x01\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0\0\x01\0\x00",
        ));
        let expected = Bind {
            portal: "p".into(),
            statement: "s".into(),
            formats: vec![1],
            values: vec![Some("ab".into()), None, Some("".into())],
            result_formats: vec![0],
        };
        assert_eq!(bind, Ok(expected));
        let execute =
            |limit: [u8; 4]| Execute::read([b"p\0", &limit[..]].concat().into()).map(|e| e.row_limit);
        assert_eq!(execute([0, 0, 0, 9]), Ok(9));
        assert_eq!(execute([0xff; 4]), Ok(0));
        assert_eq!(Named::read(Bytes::from_static(b"Ss\0")), Ok(Named::Statement("s".into())));
        assert_eq!(Named::read(Bytes::from_static(b"P\0")), Ok(Named::Portal("".into())));
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_no_message() {
        type Reads = fn(Bytes) -> bool;
        let whole: [(&[u8], Reads); 4] = [
            (b"s\0select $1\0\0\x01\0\0\0\x17", |body| Parse::read(body).is_ok()),
            (b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x02ab\0\x01\0\x01", |body| Bind::read(body).is_ok()),
            (b"p\0\0\0\0\x05", |body| Execute::read(body).is_ok()),
            (b"Ss\0", |body| Named::read(body).is_ok()),
        ];
        for (body, reads) in whole {
            assert!(reads(Bytes::from_static(body)));
            for cut in 0..body.len() {
                assert!(!reads(Bytes::copy_from_slice(&body[..cut])), "{body:?} to {cut}");
            }
            assert!(!reads([body, b"x"].concat().into()), "{body:?} and more");
        }
        assert_eq!(
            Bind::read(Bytes::from_static(b"p\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0")),
            Err(Malformed::Length)
        );
        assert_eq!(Named::read(Bytes::from_static(b"Xs\0")), Err(Malformed::Body));
    }

    #[test]
    fn nothing_is_reserved_for_what_cannot_be_there() {
        assert_eq!(Parse::read(Bytes::from_static(b"\0\0\xff\xff\0\0\0\0")), Err(Malformed::Body));
        assert_eq!(Bind::read(Bytes::from_static(b"\0\0\0\0\xff\xff\0\0\0\0")), Err(Malformed::Body));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = Bytes::from(bytes);
            let _ = (Parse::read(body.clone()), Bind::read(body.clone()));
            let _ = (Execute::read(body.clone()), Named::read(body));
        }
    }
}
