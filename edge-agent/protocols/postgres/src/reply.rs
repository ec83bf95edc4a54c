//! The reply to a query, cut into batches of whole messages without copying them.
//!
//! Only messages that a query's reply may have are let through; anything else means that the two ends disagree on
//! what was asked, and then the connection must end rather than guess.

use bytes::{Bytes, BytesMut};
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
    /// `ReadyForQuery` is the last of them.
    pub(crate) end: Option<Status>,
}

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Query,
    Catalog,
    Nothing,
}

/// A reply on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    max_message: usize,
    to: To,
    described: bool,
    /// What was learned so far.
    pub(crate) completion: Completion,
}

impl Reply {
    /// The reply to a `Query`.
    pub(crate) fn to_query(max_message: usize) -> Self {
        Self { max_message, to: To::Query, described: false, completion: Completion::default() }
    }

    /// The reply to a catalog question, which travels by the extended protocol.
    pub(crate) fn to_catalog(max_message: usize) -> Self {
        Self { to: To::Catalog, ..Self::to_query(max_message) }
    }

    /// What a target may send without being asked, such as notices.
    pub(crate) fn to_nothing() -> Self {
        Self { to: To::Nothing, ..Self::to_query(BATCH) }
    }

    /// Takes what is whole; `None` asks for more bytes.
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
            match self.look(header.kind, body, pins) {
                Ok(Seen::Row) => rows += 1,
                Ok(Seen::Other) => {}
                Ok(Seen::End(status)) => end = Some(status),
                Err(broken) => return stop_before(broken, size, rows, buffer),
            }
            size += header.total;
        }
        if size == 0 {
            return Ok(None);
        }
        Ok(Some(Taken { bytes: buffer.split_to(size).freeze(), rows, end }))
    }

    fn look(&mut self, kind: u8, body: &[u8], pins: &Pins) -> Result<Seen, Broken> {
        match kind {
            b'D' | b'Z' | b'T' | b'C' | b'I' if self.to == To::Nothing => return Err(Broken::Unsupported),
            b'D' => return Ok(Seen::Row),
            b'Z' => return Ok(Seen::End(Status::of(body)?)),
            b'T' if !self.described => {
                self.completion.columns = backend::column_names(body)?;
                self.described = true;
            }
            b'C' => self.tag(body),
            b'E' => {
                let error = backend::error_fields(body)?;
                if error.fatal {
                    return Err(Broken::Fatal);
                }
                self.completion.error_code = Some(error.code.to_owned());
            }
            b'S' => {
                let (name, value) = backend::parameter_status(body)?;
                if !pins.hold(name, value) {
                    return Err(Broken::Unpinned);
                }
            }
            // RowDescription of a later statement, EmptyQueryResponse, NoticeResponse, NotificationResponse.
            b'T' | b'I' | b'N' | b'A' => {}
            // ParseComplete, BindComplete, NoData, PortalSuspended.
            b'1' | b'2' | b'n' | b's' if self.to == To::Catalog => {}
            _ => return Err(Broken::Unsupported),
        }
        Ok(Seen::Other)
    }

    fn tag(&mut self, body: &[u8]) {
        let text = body.strip_suffix(b"\0").unwrap_or(body);
        if self.completion.tags.len() < MAX_TAGS {
            self.completion.tags.push(text.iter().take(64).map(|&byte| char::from(byte)).collect());
        }
    }
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
    End(Status),
}

#[cfg(test)]
mod tests;
