//! A connection that was let in: it counts against its listener's bound for as long as it lives.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// How many connections a listener has at a time. Peers with a client certificate and strangers are counted apart, so
/// that strangers never keep edges out.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Longest life of a stranger's connection, if it is bounded.
    stranger_life: Option<Duration>,
}

impl Bounds {
    pub(crate) fn new(known: usize, strangers: usize, stranger_life: Option<Duration>) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { known: semaphore(known), strangers: semaphore(strangers), stranger_life }
    }

    /// Lets a connection in whose handshake is done; `None` if there are too many, and then it is closed.
    pub(super) fn admit(&self, stream: TlsStream<TcpStream>) -> Option<Connection> {
        let known = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
        let (permits, life) = if known { (&self.known, None) } else { (&self.strangers, self.stranger_life) };
        let permit = permits.clone().try_acquire_owned().ok()?;
        let end = life.map(|life| Box::pin(tokio::time::sleep(life)));
        Some(Connection { stream, end, _permit: permit })
    }
}

/// A connection with its place among the listener's.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    end: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A server always waits for its peer's next frame, so that the end is seen here whatever else goes on.
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
