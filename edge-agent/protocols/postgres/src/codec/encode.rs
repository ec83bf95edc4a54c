//! The messages that are ours: to the client as its server, to a target as its client.

use bytes::{BufMut, BytesMut};
use countersign_model::Binding;

use super::{PROTOCOL_3_0, backend::Status, startup::CancelKey};

/// Severity of an `ErrorResponse` or `NoticeResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The operation is refused and the session goes on.
    Error,
    /// The session ends.
    Fatal,
    /// Nothing is wrong.
    Notice,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Notice => "NOTICE",
        }
    }
}

/// An `ErrorResponse` or `NoticeResponse` of ours.
pub(crate) struct ErrorMessage<'a> {
    pub(crate) severity: Severity,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) detail: Option<&'a str>,
}

/// `ErrorResponse`, or `NoticeResponse` where that is the severity.
pub(crate) fn error(out: &mut BytesMut, error: &ErrorMessage<'_>) {
    let kind = if error.severity == Severity::Notice { b'N' } else { b'E' };
    framed(out, kind, |out| {
        for (field, value) in [
            (b'S', Some(error.severity.as_str())),
            (b'V', Some(error.severity.as_str())),
            (b'C', Some(error.code)),
            (b'M', Some(error.message)),
            (b'D', error.detail),
        ] {
            if let Some(value) = value {
                out.put_u8(field);
                string(out, value.as_bytes());
            }
        }
        out.put_u8(0);
    });
}

/// `BackendKeyData`.
pub(crate) fn key_data(out: &mut BytesMut, key: CancelKey) {
    framed(out, b'K', |out| {
        out.put_u32(key.process);
        out.put_u32(key.secret);
    });
}

/// `CommandComplete`.
pub(crate) fn complete(out: &mut BytesMut, tag: &str) {
    framed(out, b'C', |out| string(out, tag.as_bytes()));
}

/// `ReadyForQuery`.
pub(crate) fn ready(out: &mut BytesMut, status: Status) {
    framed(out, b'Z', |out| out.put_u8(status.byte()));
}

/// `AuthenticationCleartextPassword`.
pub(crate) fn ask_password(out: &mut BytesMut) {
    framed(out, b'R', |out| out.put_u32(3));
}

/// `AuthenticationOk`.
pub(crate) fn authenticated(out: &mut BytesMut) {
    framed(out, b'R', |out| out.put_u32(0));
}

/// `ParameterStatus`.
pub(crate) fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    framed(out, b'S', |out| {
        string(out, name.as_bytes());
        string(out, value.as_bytes());
    });
}

/// `NegotiateProtocolVersion`: 3.0 is spoken, and none of `unknown`.
pub(crate) fn negotiate(out: &mut BytesMut, unknown: &[&str]) {
    framed(out, b'v', |out| {
        out.put_u32(PROTOCOL_3_0);
        out.put_u32(unknown.len() as u32);
        for name in unknown {
            string(out, name.as_bytes());
        }
    });
}

/// `Query`.
pub(crate) fn query(out: &mut BytesMut, text: &[u8]) {
    framed(out, b'Q', |out| string(out, text));
}

/// `Parse`.
pub(crate) fn parse(out: &mut BytesMut, name: &str, text: &[u8], types: &[u32]) {
    framed(out, b'P', |out| {
        string(out, name.as_bytes());
        string(out, text);
        out.put_u16(types.len() as u16);
        types.iter().for_each(|oid| out.put_u32(*oid));
    });
}

/// `Describe` of a statement.
pub(crate) fn describe_statement(out: &mut BytesMut, name: &str) {
    framed(out, b'D', |out| {
        out.put_u8(b'S');
        string(out, name.as_bytes());
    });
}

/// `Bind`, with a format for each parameter.
pub(crate) fn bind(out: &mut BytesMut, portal: &str, statement: &str, binding: &Binding) {
    framed(out, b'B', |out| {
        string(out, portal.as_bytes());
        string(out, statement.as_bytes());
        let Binding { parameters, result_formats, .. } = binding;
        // All text, as most are, needs no list.
        let formats = if parameters.iter().all(|one| one.format == 0) { &[][..] } else { parameters };
        out.put_u16(formats.len() as u16);
        formats.iter().for_each(|one| out.put_u16(one.format));
        out.put_u16(parameters.len() as u16);
        for parameter in parameters {
            match &parameter.value {
                None => out.put_i32(-1),
                Some(value) => counted_without_itself(out, |out| out.put_slice(value)),
            }
        }
        out.put_u16(result_formats.len() as u16);
        result_formats.iter().for_each(|format| out.put_u16(*format));
    });
}

/// `Execute`.
pub(crate) fn execute(out: &mut BytesMut, portal: &str, row_limit: u32) {
    framed(out, b'E', |out| {
        string(out, portal.as_bytes());
        // The protocol's number is signed: no more than that can be meant.
        out.put_u32(row_limit.min(i32::MAX as u32));
    });
}

/// `Close` of a statement (`S`) or a portal (`P`).
pub(crate) fn close(out: &mut BytesMut, kind: u8, name: &str) {
    framed(out, b'C', |out| {
        out.put_u8(kind);
        string(out, name.as_bytes());
    });
}

/// A message without a body: `Sync`, `ParseComplete` and the like.
pub(crate) fn bare(out: &mut BytesMut, kind: u8) {
    framed(out, kind, |_| {});
}

/// `StartupMessage` for protocol 3.0.
pub(crate) fn startup<'a>(out: &mut BytesMut, parameters: impl Iterator<Item = (&'a str, &'a str)>) {
    counted(out, |out| {
        out.put_u32(PROTOCOL_3_0);
        for (name, value) in parameters {
            string(out, name.as_bytes());
            string(out, value.as_bytes());
        }
        out.put_u8(0);
    });
}

/// A message: type byte, length, body.
pub(crate) fn framed(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    counted(out, body);
}

/// Appends a text up to its first NUL, and the terminator: a NUL inside could begin another field.
pub(crate) fn string(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text.split(|&byte| byte == 0).next().unwrap_or_default());
    out.put_u8(0);
}

/// A length word that counts itself, before what `body` appends.
pub(crate) fn counted(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    length_before(out, 0, body);
}

/// A length word that counts only what `body` appends, as values have it.
pub(crate) fn counted_without_itself(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    length_before(out, 4, body);
}

fn length_before(out: &mut BytesMut, uncounted: usize, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - start - uncounted) as u32;
    if let Some(word) = out.get_mut(start..).and_then(|tail| tail.first_chunk_mut()) {
        *word = length.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::backend;
    use proptest::prelude::*;

    #[test]
    fn messages_have_the_documented_bytes() {
        let mut out = BytesMut::new();
        ready(&mut out, Status::Failed);
        assert_eq!(&out[..], b"Z\0\0\0\x05E");
        out.clear();
        query(&mut out, b"select 1");
        assert_eq!(&out[..], b"Q\0\0\0\x0dselect 1\0");
        out.clear();
        startup(&mut out, [("user", "ada")].into_iter());
        assert_eq!(&out[..], b"\0\0\0\x12\0\x03\0\0user\0ada\0\0");
        out.clear();
        negotiate(&mut out, &["_pq_.x"]);
        assert_eq!(&out[..], b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0");
    }

    proptest! {
        #[test]
        fn an_error_reads_back_whatever_its_text(message in ".{0,80}", detail in proptest::option::of(".{0,80}")) {
            let mut out = BytesMut::new();
            let detail = detail.as_deref();
            error(&mut out, &ErrorMessage { severity: Severity::Error, code: "42501", message: &message, detail });
            let header = backend::header(&out).unwrap().unwrap();
            prop_assert_eq!(header.total, out.len());
            let fields = backend::error_fields(&out[5..]).unwrap();
            prop_assert_eq!((fields.code, fields.fatal), ("42501", false));
        }
    }
}
