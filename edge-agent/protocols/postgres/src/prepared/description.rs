//! What a target says of a statement: the types of its parameters, and the columns of its rows.

use bytes::{BufMut, Bytes, BytesMut};

use super::format_of;
use crate::codec::{
    Malformed,
    backend::{self, Field},
    encode,
};

/// The answer to a `Describe` of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// Types of the parameters.
    pub(crate) parameters: Vec<u32>,
    /// Body of the `RowDescription`, all formats text; `None` where it returns no rows.
    row: Option<Bytes>,
}

impl Description {
    /// Reads the messages that answer a `Describe` out of others.
    ///
    /// # Errors
    /// [`Malformed`] if they are not there, or cannot be read.
    pub(crate) fn read(mut messages: &[u8]) -> Result<Self, Malformed> {
        let (mut parameters, mut row) = (None, None);
        while let Some(header) = backend::header(messages)? {
            let body = messages.get(5..header.total).ok_or(Malformed::Length)?;
            match header.kind {
                b't' => parameters = Some(backend::parameter_types(body)?),
                b'T' => {
                    backend::column_names(body)?;
                    row = Some(Some(Bytes::copy_from_slice(body)));
                }
                b'n' => row = Some(None),
                _ => {}
            }
            messages = messages.get(header.total..).unwrap_or_default();
        }
        match (parameters, row) {
            (Some(parameters), Some(row)) => Ok(Self { parameters, row }),
            _ => Err(Malformed::Type),
        }
    }

    /// What it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.parameters.as_slice()) + self.row.as_ref().map_or(0, Bytes::len)
    }

    /// Whether it returns rows, be they of no columns.
    pub(crate) fn returns_rows(&self) -> bool {
        self.row.is_some()
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        let count = self.row.as_ref().and_then(|row| row.first_chunk::<2>());
        count.map_or(0, |count| usize::from(u16::from_be_bytes(*count)))
    }

    /// The columns, in these formats.
    pub(crate) fn fields(&self, formats: &[u16]) -> Vec<Field> {
        let fields = self.row.as_deref().and_then(|row| backend::fields(row).ok()).unwrap_or_default();
        let in_format = |(place, field)| Field { format: format_of(formats, place), ..field };
        fields.into_iter().enumerate().map(in_format).collect()
    }

    /// Names of the columns.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.row.as_deref().and_then(|row| backend::column_names(row).ok()).unwrap_or_default()
    }

    /// `ParameterDescription`, and what [`Description::encode_row`] says with all formats text.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        encode::framed(out, b't', |out| {
            out.put_u16(self.parameters.len() as u16);
            self.parameters.iter().for_each(|oid| out.put_u32(*oid));
        });
        self.encode_row(&[], out);
    }

    /// `RowDescription` with these formats, or `NoData`.
    pub(crate) fn encode_row(&self, formats: &[u16], out: &mut BytesMut) {
        let Some(row) = &self.row else { return encode::framed(out, b'n', |_| {}) };
        encode::framed(out, b'T', |out| {
            let mut fields = row.get(2..).unwrap_or_default();
            out.put_slice(row.get(..2).unwrap_or_default());
            let mut place = 0;
            // Name, its terminator, and 18 bytes, of which the last two are the format.
            while let Some(end) = fields.iter().position(|byte| *byte == 0) {
                let Some((field, rest)) = fields.split_at_checked(end + 19) else { break };
                out.put_slice(field.get(..end + 17).unwrap_or_default());
                out.put_u16(format_of(formats, place));
                (fields, place) = (rest, place + 1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str, format: u16) -> Vec<u8> {
        [name.as_bytes(), b"\0", &[7; 16], &format.to_be_bytes()].concat()
    }

    fn answer(parameters: &[u32], fields: &[&str]) -> BytesMut {
        let mut out = BytesMut::from(&b"1\0\0\0\x04"[..]);
        encode::framed(&mut out, b't', |out| {
            out.put_u16(parameters.len() as u16);
            parameters.iter().for_each(|oid| out.put_u32(*oid));
        });
        match fields {
            [] => encode::framed(&mut out, b'n', |_| {}),
            fields => encode::framed(&mut out, b'T', |out| {
                out.put_u16(fields.len() as u16);
                fields.iter().for_each(|name| out.put_slice(&field(name, 0)));
            }),
        }
        out
    }

    #[test]
    fn a_description_says_again_what_was_said() {
        for (parameters, fields) in [(&[23, 25][..], &["id", ""][..]), (&[], &[])] {
            let answer = answer(parameters, fields);
            let description = Description::read(&answer).unwrap();
            assert_eq!(description.columns(), fields.len());
            assert_eq!(description.column_names(), fields);
            let mut out = BytesMut::new();
            description.encode(&mut out);
            assert_eq!(&out[..], &answer[5..]);
        }
    }

    #[test]
    fn a_row_is_described_in_the_formats_of_its_portal() {
        let description = Description::read(&answer(&[], &["a", "b"])).unwrap();
        for (formats, expected) in [(&[][..], [0, 0]), (&[1], [1, 1]), (&[0, 1], [0, 1])] {
            let mut out = BytesMut::new();
            description.encode_row(formats, &mut out);
            let fields = [field("a", expected[0]), field("b", expected[1])].concat();
            assert_eq!(&out[7..], fields, "{formats:?}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(Description::read(b"1\0\0\0\x04"), Err(Malformed::Type));
        assert_eq!(Description::read(b"n\0\0\0\x04"), Err(Malformed::Type));
        assert_eq!(Description::read(b"t\0\0\0\x06\0\x01n\0\0\0\x04"), Err(Malformed::Body));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = BytesMut::new();
            encode::framed(&mut framed, b't', |out| out.put_slice(&[0, 0]));
            encode::framed(&mut framed, b'T', |out| out.put_slice(&bytes));
            if let Ok(description) = Description::read(&framed) {
                let mut out = BytesMut::new();
                description.encode(&mut out);
                prop_assert_eq!(out.len(), framed.len());
                prop_assert_eq!(Description::read(&out).unwrap().columns(), description.columns());
            }
            let _ = Description::read(&bytes);
        }
    }
}
