//! The client's side of a session, once TLS is up.

use std::{io, time::Duration};

use bytes::BytesMut;
use countersign_model::Secret;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

use crate::{
    codec::{
        Malformed,
        frontend::{Message, Reader, is_sync_next},
        startup::{self, Opening},
    },
    inlet::Inlet,
};

/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is queued for a client before it is sent, in bytes; as much as PostgreSQL collects.
const QUEUED: usize = 8 * 1024;
/// What is read of a client while its operation runs, in bytes; beyond it, it waits.
const READ_AHEAD: usize = 64 * 1024;

/// Why nothing more is read from a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// It left.
    #[error("the client closed the connection")]
    Left,
    /// The connection broke.
    #[error("the connection to the client failed: {0}")]
    Io(#[from] io::Error),
    /// It sent what is no message.
    #[error("the client broke the protocol: {0}")]
    Malformed(#[from] Malformed),
}

/// A client behind TLS.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    inlet: Inlet,
    reader: Reader,
    /// Whole messages that go out before the next ones, or when there are many: a client that sends several at a time
    /// gets its answers at a time.
    queued: BytesMut,
}

impl Client {
    /// A client whose TLS handshake is done. Messages over `max_query` bytes are dropped as they come.
    pub(crate) fn new(stream: TlsStream<TcpStream>, max_query: usize) -> Self {
        Self { stream, inlet: Inlet::new(), reader: Reader::new(max_query), queued: BytesMut::new() }
    }

    /// Waits for the startup packet.
    pub(crate) async fn opening(&mut self) -> Result<Opening, ClientError> {
        loop {
            if let Some(opening) = startup::take_opening(&mut self.inlet.bytes)? {
                return Ok(opening);
            }
            self.fill().await?;
        }
    }

    /// Waits for the password message.
    pub(crate) async fn password(&mut self) -> Result<Secret, ClientError> {
        loop {
            if let Some(secret) = startup::take_password(&mut self.inlet.bytes)? {
                return Ok(secret);
            }
            self.fill().await?;
        }
    }

    /// A message that has been read already.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, ClientError> {
        Ok(self.reader.take(&mut self.inlet.bytes)?)
    }

    /// Waits for a message. Cancel safe.
    pub(crate) async fn message(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(message);
            }
            self.inlet.rest();
            self.fill().await?;
        }
    }

    /// Takes a `Sync` that has been read already, if it comes next.
    pub(crate) fn take_sync(&mut self) -> bool {
        let comes = is_sync_next(&self.inlet.bytes);
        comes && matches!(self.next(), Ok(Some(Message::Sync)))
    }

    /// Whether [`Client::read_ahead`] has room.
    pub(crate) fn may_read_ahead(&self) -> bool {
        self.inlet.bytes.len() < READ_AHEAD
    }

    /// Reads while an operation runs, to notice a client that leaves. Cancel safe.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), ClientError> {
        self.fill().await
    }

    /// Where whole messages are put that may wait for others.
    pub(crate) fn queue(&mut self) -> &mut BytesMut {
        &mut self.queued
    }

    /// Whether more is queued than should wait.
    pub(crate) fn has_much_queued(&self) -> bool {
        self.queued.len() > QUEUED
    }

    /// Writes what is queued, and then whole messages. Not cancel safe: after a cancelled write nothing more may be
    /// written.
    pub(crate) async fn write(&mut self, messages: &[u8]) -> io::Result<()> {
        if !self.queued.is_empty() {
            let mut queued = std::mem::take(&mut self.queued);
            if messages.len() <= QUEUED {
                queued.extend_from_slice(messages);
                self.stream.write_all(&queued).await?;
                return self.stream.flush().await;
            }
            self.stream.write_all(&queued).await?;
        }
        self.stream.write_all(messages).await?;
        self.stream.flush().await
    }

    /// Closes, after last words if there are any; never waits long.
    pub(crate) async fn close(mut self, last: BytesMut) {
        let farewell = async {
            let _ = self.write(&last).await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn fill(&mut self) -> Result<(), ClientError> {
        if self.inlet.fill(&mut self.stream).await? { Ok(()) } else { Err(ClientError::Left) }
    }
}
