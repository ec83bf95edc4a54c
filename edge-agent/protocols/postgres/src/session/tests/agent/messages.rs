//! Messages of a client in the extended query protocol.

use bytes::{BufMut, BytesMut};

use crate::codec::encode;

fn message(kind: u8, body: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode::framed(&mut out, kind, body);
    out.to_vec()
}

/// `Parse`, all types left open.
pub(in super::super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', |out| {
        encode::string(out, name.as_bytes());
        encode::string(out, text.as_bytes());
        out.put_u16(0);
    })
}

/// `Bind` of values in text.
pub(in super::super) fn bind(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    message(b'B', |out| {
        encode::string(out, portal.as_bytes());
        encode::string(out, statement.as_bytes());
        out.put_u16(0);
        out.put_u16(values.len() as u16);
        for value in values {
            encode::counted_without_itself(out, |out| out.put_slice(value.as_bytes()));
        }
        out.put_u16(0);
    })
}

/// `Describe` of a statement (`S`) or a portal (`P`).
pub(in super::super) fn describe(kind: u8, name: &str) -> Vec<u8> {
    named(b'D', kind, name)
}

/// `Close` of a statement (`S`) or a portal (`P`).
pub(in super::super) fn close(kind: u8, name: &str) -> Vec<u8> {
    named(b'C', kind, name)
}

fn named(message_kind: u8, kind: u8, name: &str) -> Vec<u8> {
    message(message_kind, |out| {
        out.put_u8(kind);
        encode::string(out, name.as_bytes());
    })
}

/// `Execute`.
pub(in super::super) fn execute(portal: &str, row_limit: u32) -> Vec<u8> {
    message(b'E', |out| {
        encode::string(out, portal.as_bytes());
        out.put_u32(row_limit);
    })
}

/// `Query`.
pub(in super::super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', |out| encode::string(out, text.as_bytes()))
}

pub(in super::super) fn flush() -> Vec<u8> {
    message(b'H', |_| {})
}

pub(in super::super) fn sync() -> Vec<u8> {
    message(b'S', |_| {})
}

/// The unnamed statement, bound to these values and executed to its end.
pub(in super::super) fn run(text: &str, values: &[&str]) -> Vec<u8> {
    [parse("", text), bind("", "", values), execute("", 0)].concat()
}
