//! A connection to a target, logged in as one identity.
//!
//! The write half is private to this module. What leaves through it is a [`Control`] of ours or the bytes of a
//! permit that is given up for them here, so nothing else can be sent and nothing twice.

mod cancel;
mod dial;
mod statements;

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use countersign_gate::{InFlight, Permit, Recorded, Released, Step};
use countersign_model::Identity;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

pub(crate) use cancel::Canceller;
pub(crate) use dial::{DialError, Greeting, Login, dial};
pub(crate) use statements::Executing;

use crate::{
    codec::{backend::Status, encode},
    control::Control,
    inlet::Inlet,
    outlook::Seen,
    pins::Pins,
    question::{Bind, read_outlook, read_value},
    reply::{Broken, Reply, Taken},
};
use statements::Statements;

/// How long an end that nobody waits for may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Largest reply to something of the edge's own, in bytes; a description of the widest rows is a tenth of it.
const MAX_OWN_REPLY: usize = 4 * 1024 * 1024;

/// A write buffer up to this is kept between operations, in bytes.
const KEPT: usize = 1024;

/// A permit for another identity than the connection's. It is our own mistake, and nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("the permit is for another identity than the connection's")]
pub(crate) struct Mismatch(pub(crate) Box<Recorded<Permit>>);

/// An operation that was queued.
pub(crate) struct Sending {
    /// What the reply is owed to.
    pub(crate) in_flight: InFlight,
    /// The operation as a step of its transaction, if it is one.
    pub(crate) step: Option<Step>,
}

/// A connection that is logged in.
pub(crate) struct Line {
    stream: TlsStream<TcpStream>,
    inlet: Inlet,
    /// Messages that are to be written, in order; [`Line::flush`] empties it.
    outgoing: BytesMut,
    identity: Identity,
    pins: Pins,
    /// The catalog questions that the target has prepared.
    prepared: Vec<Bytes>,
    /// The statements of the client that it has prepared.
    statements: Statements,
    /// What a request to cancel has to name: process and secret, as the target gave them.
    cancel_key: Bytes,
    /// Tells it from all other connections of this process.
    serial: u64,
}

impl Line {
    /// The identity that it is logged in as.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Sends what goes before a permitted operation, and waits for the end of each step; the replies go nowhere.
    /// `false` if the target refused one: then nothing else may be sent.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn lead(&mut self, steps: &[Step], max_message: usize) -> Result<bool, LineError> {
        for step in steps {
            encode::query(&mut self.outgoing, step.as_bytes());
            let (reply, _) = self.converse(max_message).await?;
            if reply.completion.error_code.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives up the permit for its bytes and queues them as a `Query`. What goes before them has been sent.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn send(&mut self, permit: Recorded<Permit>) -> Result<Sending, Mismatch> {
        let Released { payload, step, in_flight, .. } = permit.release(self.identity).map_err(Mismatch)?;
        encode::query(&mut self.outgoing, &payload);
        Ok(Sending { in_flight, step })
    }

    /// Gives up the permit of a catalog question and queues it with its parameters. The text itself is sent once;
    /// after that its name stands for exactly these bytes. A connection that answered with an error must not be
    /// asked again: what it prepared is not known.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn ask(&mut self, permit: Recorded<Permit>, bind: &Bind) -> Result<InFlight, Mismatch> {
        let released = permit.release(self.identity).map_err(Mismatch)?;
        if !self.prepared.contains(&released.payload) {
            bind.prepare(&released.payload, &mut self.outgoing);
            self.prepared.push(released.payload);
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

    /// Sends what fails the open transaction, after what begins it if it has not begun, and waits for its end.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn fail_transaction(
        &mut self,
        steps: &[Step],
        max_message: usize,
    ) -> Result<Status, LineError> {
        if !self.lead(steps, max_message).await? {
            return Err(LineError::Broken(Broken::Unsupported));
        }
        self.control(Control::FailTransaction);
        self.converse(max_message).await.map(|(_, taken)| taken.status().unwrap_or_default())
    }

    /// Ends a pipeline that has come to nothing, so that the target listens again; what it says goes nowhere.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn resynchronise(&mut self, max_message: usize) -> Result<Status, LineError> {
        self.control(Control::Sync);
        self.flush().await?;
        let reply = self.until_end(Reply::to_sync(max_message)).await?;
        Ok(reply.1.status().unwrap_or_default())
    }

    /// Rolls the open transaction back.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn roll_back(&mut self, max_message: usize) -> Result<(), LineError> {
        self.control(Control::Rollback);
        match self.converse(max_message).await?.1.status() {
            Some(Status::Idle) => Ok(()),
            _ => Err(LineError::Broken(Broken::Unsupported)),
        }
    }

    /// Whether the open transaction sees what others commit while it lasts, as READ COMMITTED does.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn is_read_committed(&mut self, max_message: usize) -> Result<bool, LineError> {
        self.control(Control::ShowIsolation);
        let (_, taken) = self.converse(max_message).await?;
        let level = read_value(taken.bytes).map_err(Broken::from)?;
        // PostgreSQL treats the weaker one as the other.
        Ok(level == "read committed" || level == "read uncommitted")
    }

    /// As whom and by which path names are looked up here. No transaction may be open that has failed.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn ask_outlook(&mut self, max_message: usize) -> Result<Seen, LineError> {
        self.control(Control::AskOutlook);
        let (_, taken) = self.converse(max_message).await?;
        Ok(read_outlook(taken.bytes).map_err(Broken::from)?)
    }

    /// Sends what is queued and waits for the end of its reply.
    async fn converse(&mut self, max_message: usize) -> Result<(Reply, Taken), LineError> {
        self.flush().await?;
        self.until_end(Reply::to_query(max_message)).await
    }

    /// Waits for the end of a reply, and returns all of it as one batch.
    async fn until_end(&mut self, mut reply: Reply) -> Result<(Reply, Taken), LineError> {
        let mut earlier = BytesMut::new();
        loop {
            match self.take(&mut reply)? {
                Some(taken) if earlier.len() + taken.bytes.len() > MAX_OWN_REPLY => {
                    return Err(Broken::TooLarge.into());
                }
                Some(taken) if taken.end.is_none() => earlier.extend_from_slice(&taken.bytes),
                Some(taken) if earlier.is_empty() => return Ok((reply, taken)),
                Some(taken) => {
                    earlier.extend_from_slice(&taken.bytes);
                    return Ok((reply, Taken { bytes: earlier.freeze(), ..taken }));
                }
                None if self.fill().await? => {}
                None => return Err(LineError::Broken(Broken::Fatal)),
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
