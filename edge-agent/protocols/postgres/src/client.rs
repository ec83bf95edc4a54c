//! The client's side of a session, once TLS is up.

use std::{io, time::Duration};

use bytes::BytesMut;
use countersign_model::Secret;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

use crate::{
    codec::{
        Malformed,
        frontend::{Message, Reader},
        startup::{self, Opening},
    },
    inlet::Inlet,
};

/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);
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
}

impl Client {
    /// A client whose TLS handshake is done. Messages over `max_query` bytes are dropped as they come.
    pub(crate) fn new(stream: TlsStream<TcpStream>, max_query: usize) -> Self {
        Self { stream, inlet: Inlet::new(), reader: Reader::new(max_query) }
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

    /// Waits for a message. Cancel safe.
    pub(crate) async fn message(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = self.reader.take(&mut self.inlet.bytes)? {
                return Ok(message);
            }
            self.inlet.rest();
            self.fill().await?;
        }
    }

    /// Whether [`Client::read_ahead`] has room.
    pub(crate) fn may_read_ahead(&self) -> bool {
        self.inlet.bytes.len() < READ_AHEAD
    }

    /// Reads while an operation runs, to notice a client that leaves. Cancel safe.
    pub(crate) async fn read_ahead(&mut self) -> Result<(), ClientError> {
        self.fill().await
    }

    /// Writes whole messages. Not cancel safe: after a cancelled write nothing more may be written.
    pub(crate) async fn write(&mut self, messages: &[u8]) -> io::Result<()> {
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
