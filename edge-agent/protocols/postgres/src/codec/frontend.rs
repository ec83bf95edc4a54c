//! What a client sends once it is logged in: typed messages, of which only the bounded ones are ever held in memory.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Malformed,
    extended::{Bind, Execute, Named, Parse},
    split_string, word,
};

/// Largest length word that any message may carry; PostgreSQL's own bound for large messages.
const MAX_LENGTH: u32 = 0x3fff_ffff;

/// A message of the client, reduced to what the session needs of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// `Query`: its text, without the terminator; not yet known to be UTF-8.
    Query(Bytes),
    /// `Parse`.
    Parse(Parse),
    /// `Bind`.
    Bind(Bind),
    /// `Describe`.
    Describe(Named),
    /// `Execute`.
    Execute(Execute),
    /// `Close`.
    Close(Named),
    /// `FunctionCall`.
    FunctionCall,
    /// `Flush`.
    Flush,
    /// `Sync`.
    Sync,
    /// What remains of a COPY that the server has ended: nothing to do.
    Nothing,
    /// `Terminate`.
    Terminate,
    /// A `Query` or `FunctionCall` longer than the bound. Its bytes were dropped as they came.
    LongQuery,
    /// Another message longer than the bound, dropped as it came.
    LongExtended,
}

/// Takes messages off a buffer. Holds at most one message of `max_message` bytes there.
#[derive(Debug)]
pub(crate) struct Reader {
    max_message: usize,
    /// Bytes of a message over the bound that are still to be dropped, and what it will have been.
    skipping: Option<(u64, Message)>,
}

impl Reader {
    /// A reader that holds messages of at most `max_message` bytes, type and length included.
    pub(crate) fn new(max_message: usize) -> Self {
        Self { max_message, skipping: None }
    }

    /// Takes the next message.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Message>, Malformed> {
        if let Some((left, message)) = self.skipping.take() {
            return Ok(self.skip(left, message, buffer));
        }
        let Some(&kind) = buffer.first() else { return Ok(None) };
        if !b"QPBDECHSFXdcf".contains(&kind) {
            return Err(Malformed::Type);
        }
        let Some(length) = word(buffer, 1) else { return Ok(None) };
        if !(4..=MAX_LENGTH).contains(&length) {
            return Err(Malformed::Length);
        }
        let total = length as usize + 1;
        if total > self.max_message {
            return Ok(self.skip(total as u64, over_limit(kind), buffer));
        }
        if buffer.len() < total {
            return Ok(None);
        }
        let mut message = buffer.split_to(total).freeze();
        message.advance(5);
        decode(kind, message).map(Some)
    }

    fn skip(&mut self, left: u64, message: Message, buffer: &mut BytesMut) -> Option<Message> {
        let here = left.min(buffer.len() as u64);
        buffer.advance(here as usize);
        if here == left {
            return Some(message);
        }
        self.skipping = Some((left - here, message));
        None
    }
}

fn decode(kind: u8, body: Bytes) -> Result<Message, Malformed> {
    Ok(match kind {
        b'Q' => Message::Query(only_string(body)?),
        // Statements and portals outlive the read buffer, which a slice would keep whole.
        b'P' => Message::Parse(Parse::read(Bytes::copy_from_slice(&body))?),
        b'B' => Message::Bind(Bind::read(Bytes::copy_from_slice(&body))?),
        b'D' => Message::Describe(Named::read(body)?),
        b'E' => Message::Execute(Execute::read(body)?),
        b'C' => Message::Close(Named::read(body)?),
        b'F' => Message::FunctionCall,
        b'S' if body.is_empty() => Message::Sync,
        b'X' if body.is_empty() => Message::Terminate,
        b'H' if body.is_empty() => Message::Flush,
        b'd' | b'c' | b'f' => Message::Nothing,
        _ => return Err(Malformed::Body),
    })
}

fn over_limit(kind: u8) -> Message {
    match kind {
        // A function call is answered like a query: with a `ReadyForQuery` of its own.
        b'Q' | b'F' => Message::LongQuery,
        b'd' | b'c' | b'f' => Message::Nothing,
        _ => Message::LongExtended,
    }
}

/// A body that is one string and nothing else.
fn only_string(mut body: Bytes) -> Result<Bytes, Malformed> {
    let (text, rest) = split_string(&body)?;
    let length = text.len();
    if !rest.is_empty() {
        return Err(Malformed::Body);
    }
    body.truncate(length);
    Ok(body)
}

/// Whether the buffer begins with a whole `Sync`.
pub(crate) fn is_sync_next(buffer: &[u8]) -> bool {
    buffer.starts_with(b"S\0\0\0\x04")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&(4 + body.len() as u32).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn all(reader: &mut Reader, pieces: &[&[u8]]) -> Result<Vec<Message>, Malformed> {
        let (mut buffer, mut messages) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(message) = reader.take(&mut buffer)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn a_stream_reads_the_same_at_every_split() {
        let mut stream = message(b'Q', b"select 1\0");
        stream.extend(message(b'P', b"s1\0select $1\0\0\x01\0\0\0\x17"));
        stream.extend(message(b'B', b"p\0s1\0\0\0\0\x01\0\0\0\x01a\0\0"));
        stream.extend(message(b'S', b""));
        stream.extend(message(b'Q', &[b'x'; 400]));
        stream.extend(message(b'X', b""));
        let whole = all(&mut Reader::new(100), &[&stream]).unwrap();
        assert_eq!(whole[0], Message::Query(Bytes::from_static(b"select 1")));
        assert!(matches!(&whole[1], Message::Parse(parse) if *parse.text == *b"select $1"));
        assert_eq!(whole[4..], [Message::LongQuery, Message::Terminate]);
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(all(&mut Reader::new(100), &[left, right]).unwrap(), whole, "at {cut}");
        }
    }

    #[test]
    fn a_long_query_is_never_held() {
        let mut reader = Reader::new(1024);
        let mut buffer = BytesMut::from(&b"Q\x20\0\0\0"[..]);
        for _ in 0..64 {
            buffer.extend_from_slice(&[b'x'; 4096]);
            assert_eq!(reader.take(&mut buffer), Ok(None));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let mut reader = Reader::new(1024);
        assert_eq!(all(&mut reader, &[b"Z"]), Err(Malformed::Type));
        assert_eq!(all(&mut reader, &[b"Q\0\0\0\x03"]), Err(Malformed::Length));
        assert_eq!(all(&mut reader, &[b"Q\xff\xff\xff\xff"]), Err(Malformed::Length));
        assert_eq!(all(&mut reader, &[&message(b'Q', b"a")]), Err(Malformed::Body));
        assert_eq!(all(&mut reader, &[&message(b'Q', b"a\0b\0")]), Err(Malformed::Body));
        assert_eq!(all(&mut reader, &[&message(b'P', b"a\0b")]), Err(Malformed::Body));
        assert_eq!(all(&mut reader, &[&message(b'H', b"a")]), Err(Malformed::Body));
        assert_eq!(all(&mut reader, &[&message(b'S', b"a")]), Err(Malformed::Body));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(kind in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = all(&mut Reader::new(64), &[&bytes]);
            let _ = all(&mut Reader::new(256), &[&message(kind, &bytes)]);
        }
    }
}
