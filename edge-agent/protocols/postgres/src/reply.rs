//! The reply to a query, cut into batches of whole messages without copying them.
//!
//! Only messages that a query's reply may have are let through; anything else means that the two ends disagree on
//! what was asked, and then the connection must end rather than guess.

use bytes::{Buf, Bytes, BytesMut};
use countersign_gate::Completion;

use crate::{
    codec::{
        Malformed,
        backend::{self, Status},
    },
    pins::Pins,
};

/// A batch ends before it passes this, in bytes, unless one message alone is larger.
const BATCH: usize = 64 * 1024;
/// Command tags that are kept for the record.
const MAX_TAGS: usize = 1024;

/// Why a reply cannot go on. The connection to the target has to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The target ends the connection (FATAL), with this outcome unknown.
    #[error("the target ended the connection")]
    Fatal,
    /// One message is larger than `max_message`.
    #[error("the target sent a message over the limit")]
    TooLarge,
    /// A flow that is not relayed, such as COPY.
    #[error("the target began a flow that is not supported")]
    Unsupported,
    /// A setting on which the reading of statements rests has changed.
    #[error("a pinned setting changed on the target")]
    Unpinned,
    /// Bytes that are no message.
    #[error("the target broke the protocol: {0}")]
    Malformed(#[from] Malformed),
}

/// Whole messages off the front of the buffer.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The messages.
    pub(crate) bytes: Bytes,
    /// How many of them are rows.
    pub(crate) rows: u64,
    /// They are the last of the reply.
    pub(crate) end: Option<End>,
}

/// The end of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `ReadyForQuery`, in the batch or taken out of it.
    Ready(Status),
    /// What was executed has ended, and its pipeline has not: nothing was said of the transaction.
    Open,
}

impl Taken {
    /// What the target said of the transaction at the end of the reply.
    pub(crate) fn status(&self) -> Option<Status> {
        match self.end {
            Some(End::Ready(status)) => Some(status),
            Some(End::Open) | None => None,
        }
    }
}

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Query,
    Catalog,
    /// Close, Parse and Describe.
    Prepare,
    /// Bind and Execute.
    Execute,
    /// Sync.
    Sync,
    Nothing,
}

/// What ends the reply to messages of the extended protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// They were sent with a `Sync`: a `ReadyForQuery`.
    Sync,
    /// They were sent with a `Flush`: what they were to do, or an error.
    Flush,
}

/// A reply on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    max_message: usize,
    to: To,
    tail: Tail,
    /// `ReadyForQuery` is not for the client: it has not sent the Sync that asks for it.
    hides_ready: bool,
    described: bool,
    /// What was prepared or executed has been answered: only the end of its `Sync` may follow, or an error there.
    over: bool,
    /// The portal has more rows.
    pub(crate) suspended: bool,
    /// What was learned so far.
    pub(crate) completion: Completion,
}

impl Reply {
    /// The reply to a `Query`.
    pub(crate) fn to_query(max_message: usize) -> Self {
        Self {
            max_message,
            to: To::Query,
            tail: Tail::Sync,
            hides_ready: false,
            described: false,
            over: false,
            suspended: false,
            completion: Completion::default(),
        }
    }

    /// The reply to what prepares and describes a statement; the client gets none of it but errors.
    pub(crate) fn to_prepare(max_message: usize, tail: Tail) -> Self {
        Self { to: To::Prepare, tail, ..Self::to_query(max_message) }
    }

    /// The reply to what executes a portal with these columns.
    pub(crate) fn to_execute(max_message: usize, tail: Tail, columns: Vec<String>) -> Self {
        let completion = Completion { columns, ..Completion::default() };
        Self { to: To::Execute, tail, completion, ..Self::to_query(max_message) }
    }

    /// The reply to a `Sync` that ends a pipeline.
    pub(crate) fn to_sync(max_message: usize) -> Self {
        Self { to: To::Sync, ..Self::to_query(max_message) }
    }

    /// Without its `ReadyForQuery`, for a client that has not asked for one.
    pub(crate) fn hiding_ready(mut self, hides: bool) -> Self {
        self.hides_ready = hides;
        self
    }

    /// The reply to a catalog question, which travels by the extended protocol.
    pub(crate) fn to_catalog(max_message: usize) -> Self {
        Self { to: To::Catalog, ..Self::to_query(max_message) }
    }

    /// What a target may send without being asked, such as notices.
    pub(crate) fn to_nothing() -> Self {
        Self { to: To::Nothing, ..Self::to_query(BATCH) }
    }

    /// Takes what is whole; `None` asks for more bytes. The batch may be empty at the end of the reply.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut, pins: &Pins) -> Result<Option<Taken>, Broken> {
        let (mut size, mut rows, mut end) = (0, 0, None);
        while end.is_none() {
            let rest = buffer.get(size..).unwrap_or_default();
            let Some(header) = backend::header(rest)? else { break };
            if header.total > self.max_message {
                return stop_before(Broken::TooLarge, size, rows, buffer);
            }
            let Some(body) = rest.get(5..header.total) else { break };
            if size > 0 && size + header.total > BATCH {
                break;
            }
            let seen = match self.look(header.kind, body, pins) {
                Ok(seen) => seen,
                Err(broken) => return stop_before(broken, size, rows, buffer),
            };
            match seen {
                Seen::Row => rows += 1,
                Seen::Other => {}
                Seen::End(last) => end = Some(last),
                // It stands first, or the batch ends before it.
                Seen::Hidden if size == 0 => {
                    buffer.advance(header.total);
                    continue;
                }
                Seen::Hidden => break,
                Seen::HiddenEnd(last) => {
                    let bytes = buffer.split_to(size).freeze();
                    buffer.advance(header.total);
                    return Ok(Some(Taken { bytes, rows, end: Some(last) }));
                }
            }
            size += header.total;
        }
        if size == 0 {
            return Ok(None);
        }
        Ok(Some(Taken { bytes: buffer.split_to(size).freeze(), rows, end }))
    }

    fn look(&mut self, kind: u8, body: &[u8], pins: &Pins) -> Result<Seen, Broken> {
        if self.to == To::Nothing && !b"ENAS".contains(&kind) {
            return Err(Broken::Unsupported);
        }
        match kind {
            b'D' if self.to != To::Prepare && self.to != To::Sync && !self.over => Ok(Seen::Row),
            b'Z' if self.hides_ready => Ok(Seen::HiddenEnd(End::Ready(Status::of(body)?))),
            b'Z' => Ok(Seen::End(End::Ready(Status::of(body)?))),
            b'E' => {
                let error = backend::error_fields(body)?;
                if error.fatal {
                    return Err(Broken::Fatal);
                }
                self.completion.error_code = Some(error.code.to_owned());
                self.over = matches!(self.to, To::Prepare | To::Execute);
                // What follows is skipped by the target until its Sync.
                Ok(if self.tail == Tail::Flush { Seen::End(End::Open) } else { Seen::Other })
            }
            b'S' => {
                let (name, value) = backend::parameter_status(body)?;
                if pins.hold(name, value) { Ok(Seen::Other) } else { Err(Broken::Unpinned) }
            }
            b'N' | b'A' => Ok(Seen::Other),
            // CloseComplete of what nobody needs any more: it goes ahead of whatever is sent next.
            b'3' => Ok(Seen::Hidden),
            _ => self.look_closer(kind, body),
        }
    }

    /// What only some replies may have.
    fn look_closer(&mut self, kind: u8, body: &[u8]) -> Result<Seen, Broken> {
        match (self.to, kind) {
            _ if self.over => Err(Broken::Unsupported),
            (To::Query | To::Catalog, b'T') => {
                if !self.described {
                    self.completion.columns = backend::column_names(body)?;
                    self.described = true;
                }
                Ok(Seen::Other)
            }
            (To::Query | To::Catalog, b'C') => {
                self.tag(body);
                Ok(Seen::Other)
            }
            (To::Query | To::Catalog, b'I') | (To::Catalog, b'1' | b'2' | b'n' | b's') => Ok(Seen::Other),
            (To::Prepare, b'1' | b't') => Ok(Seen::Other),
            (To::Prepare, b'T' | b'n') => Ok(self.done()),
            (To::Execute, b'2') => Ok(Seen::Hidden),
            (To::Execute, b'C') => {
                self.tag(body);
                Ok(self.done())
            }
            (To::Execute, b'I') => Ok(self.done()),
            (To::Execute, b's') => {
                self.suspended = true;
                Ok(self.done())
            }
            _ => Err(Broken::Unsupported),
        }
    }

    fn done(&mut self) -> Seen {
        self.over = true;
        if self.tail == Tail::Flush { Seen::End(End::Open) } else { Seen::Other }
    }

    fn tag(&mut self, body: &[u8]) {
        let text = body.strip_suffix(b"\0").unwrap_or(body);
        if self.completion.tags.len() < MAX_TAGS {
            self.completion.tags.push(text.iter().take(64).map(|&byte| char::from(byte)).collect());
        }
    }
}

/// The errors and notices among whole messages: what a client is told of something that the edge asked for it.
pub(crate) fn errors_and_notices(mut messages: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    while let Ok(Some(header)) = backend::header(messages) {
        let Some((message, rest)) = messages.split_at_checked(header.total) else { break };
        if header.kind == b'E' || header.kind == b'N' {
            out.extend_from_slice(message);
        }
        messages = rest;
    }
    out
}

/// What came before the fault is still a part of the reply; the fault shows again at the next call.
fn stop_before(
    broken: Broken,
    size: usize,
    rows: u64,
    buffer: &mut BytesMut,
) -> Result<Option<Taken>, Broken> {
    if size == 0 {
        return Err(broken);
    }
    Ok(Some(Taken { bytes: buffer.split_to(size).freeze(), rows, end: None }))
}

enum Seen {
    Row,
    Other,
    /// Not for the client.
    Hidden,
    End(End),
    /// The end, and not for the client.
    HiddenEnd(End),
}

#[cfg(test)]
mod tests;
