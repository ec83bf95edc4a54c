//! A connection to a target, logged in as one identity.
//!
//! The write half is private to this module. What leaves through it is a [`Control`] of ours or the bytes of a
//! permit that is given up for them here, so nothing else can be sent and nothing twice.

mod dial;

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use countersign_gate::{InFlight, Permit, Recorded};
use countersign_model::Identity;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

pub(crate) use dial::{DialError, Greeting, Login, dial};

use crate::{
    codec::{backend::Status, encode},
    control::Control,
    inlet::Inlet,
    pins::Pins,
    reply::{Broken, Reply, Taken},
    resolve::Bind,
};

/// How long an end that nobody waits for may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// A write buffer up to this is kept between operations, in bytes.
const KEPT: usize = 1024;

/// A permit for another identity than the connection's. It is our own mistake, and nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("the permit is for another identity than the connection's")]
pub(crate) struct Mismatch(pub(crate) Box<Recorded<Permit>>);

/// A connection that is logged in.
pub(crate) struct Line {
    stream: TlsStream<TcpStream>,
    inlet: Inlet,
    /// Messages that are to be written, in order; [`Line::flush`] empties it.
    outgoing: BytesMut,
    identity: Identity,
    pins: Pins,
    /// The catalog question that the target has prepared.
    prepared: Option<Bytes>,
}

impl Line {
    /// Gives up the permit for its bytes and queues them as a `Query`.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn send(&mut self, permit: Recorded<Permit>) -> Result<InFlight, Mismatch> {
        let released = permit.release(self.identity).map_err(Mismatch)?;
        encode::query(&mut self.outgoing, &released.payload);
        Ok(released.in_flight)
    }

    /// Gives up the permit of a catalog question and queues it with its parameters. The text itself is sent once;
    /// after that its name stands for exactly these bytes. A connection that answered with an error must not be
    /// asked again: what it prepared is not known.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn ask(&mut self, permit: Recorded<Permit>, bind: &Bind) -> Result<InFlight, Mismatch> {
        let released = permit.release(self.identity).map_err(Mismatch)?;
        if self.prepared.as_ref() != Some(&released.payload) {
            Bind::prepare(&released.payload, &mut self.outgoing);
            self.prepared = Some(released.payload);
        }
        bind.encode(&mut self.outgoing);
        Control::Sync.encode(&mut self.outgoing);
        Ok(released.in_flight)
    }

    /// Queues a message of ours.
    pub(crate) fn control(&mut self, control: Control<'_>) {
        control.encode(&mut self.outgoing);
    }

    /// Writes what is queued. Cancel safe: what is left stays queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.outgoing.has_remaining() {
            if self.stream.write_buf(&mut self.outgoing).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if self.outgoing.capacity() > KEPT {
            self.outgoing = BytesMut::new();
        }
        self.stream.flush().await
    }

    /// Waits for bytes of the target; `false` is the end of the connection. Cancel safe.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        self.inlet.fill(&mut self.stream).await
    }

    /// Takes what has arrived of a reply.
    pub(crate) fn take(&mut self, reply: &mut Reply) -> Result<Option<Taken>, Broken> {
        reply.take(&mut self.inlet.bytes, &self.pins)
    }

    /// Sends what fails the open transaction and waits for its end; the reply goes nowhere.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn fail_transaction(&mut self, max_message: usize) -> Result<Status, LineError> {
        self.control(Control::FailTransaction);
        self.flush().await?;
        let mut reply = Reply::to_query(max_message);
        loop {
            if let Some(Taken { end: Some(status), .. }) = self.take(&mut reply)? {
                return Ok(status);
            }
            if !self.fill().await? {
                return Err(LineError::Broken(Broken::Fatal));
            }
        }
    }

    /// Drops what the target sent although nothing was asked: notices, and reports of settings.
    ///
    /// # Errors
    /// The target ends the connection, a pin changed, or it sends what only an answer may have.
    pub(crate) fn drop_unasked(&mut self) -> Result<(), Broken> {
        let mut nothing = Reply::to_nothing();
        while self.take(&mut nothing)?.is_some() {}
        Ok(())
    }

    /// Gives buffers back: the connection waits for the client.
    pub(crate) fn rest(&mut self) {
        self.inlet.rest();
    }

    /// Says goodbye and closes; never waits long.
    pub(crate) async fn hang_up(mut self) {
        self.control(Control::Terminate);
        let farewell = async {
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Why a connection cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// It cannot be read or written.
    #[error("the connection to the target failed: {0}")]
    Io(#[from] io::Error),
    /// What came through it cannot be used.
    #[error(transparent)]
    Broken(#[from] Broken),
}
