//! Accepting connections: TLS handshakes side by side, bounded in number and time, so that a silent peer stops nobody.
//! What was let in counts against the listener's [`Bounds`] until it ends.

mod connection;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use countersign_runtime::Watch;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, warn};

pub(crate) use connection::{Bounds, Connection};

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at a time; further connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// Pause after an accept that failed: out of descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound port with its TLS.
pub(crate) struct Listener {
    tcp: TcpListener,
    local: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let local = tcp.local_addr()?;
        Ok(Self { tcp, local })
    }

    /// Where it listens: the port that was taken, if 0 was asked for.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Connections whose handshake is done, until it is time to stop.
    pub(crate) fn connections(
        self,
        tls: Arc<ServerConfig>,
        bounds: Bounds,
        stop: Watch,
    ) -> ReceiverStream<io::Result<Connection>> {
        let (ready, connections) = mpsc::channel(16);
        tokio::spawn(self.accept(TlsAcceptor::from(tls), bounds, ready, stop));
        ReceiverStream::new(connections)
    }

    async fn accept(
        self,
        tls: TlsAcceptor,
        bounds: Bounds,
        ready: mpsc::Sender<io::Result<Connection>>,
        mut stop: Watch,
    ) {
        let permits = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = stop.stopped() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (tls, bounds, ready) = (tls.clone(), bounds.clone(), ready.clone());
            tokio::spawn(async move {
                let handshake = tokio::time::timeout(HANDSHAKE, shake(tls, stream)).await;
                drop(permit);
                match handshake {
                    Ok(Ok(stream)) => match bounds.admit(stream) {
                        // The receiver is gone only while the server stops.
                        Some(connection) => drop(ready.send(Ok(connection)).await),
                        None => debug!("a connection was closed: there are too many"),
                    },
                    Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
                    Err(_) => debug!("TLS handshake took too long"),
                }
            });
        }
    }
}

async fn shake(tls: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    tls.accept(stream).await
}
