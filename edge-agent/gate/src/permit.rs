//! The proof that an operation may be sent, and what is left of it once it was.

use bytes::Bytes;
use countersign_model::{ApprovalId, Binding, Identity, OperationId, Reason, Refusal};
use sha2::{Digest as _, Sha256};

use crate::{Batch, Duty, Excerpt, Masked, Masker, OperationKind, Step, Views, ports::Position};

/// Proof that an operation was decided. It owns the bytes that it permits.
///
/// Only [`crate::Session`] makes one, and only inside a [`Recorded`].
pub struct Permit {
    pub(crate) operation: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) identity: Identity,
    pub(crate) preamble: Vec<Step>,
    pub(crate) payload: Bytes,
    pub(crate) binding: Option<Binding>,
    /// As recordings show it, if it does nothing but begin or set up a transaction.
    pub(crate) control: Option<Bytes>,
    pub(crate) approval: Option<ApprovalId>,
    pub(crate) duty: Duty,
}

/// Proof that something stands in the recording. Neither `Clone` nor `Copy`: what is recorded once is used once.
#[derive(Debug)]
pub struct Recorded<T> {
    pub(crate) inner: T,
    pub(crate) position: Position,
}

impl<T> Recorded<T> {
    /// Where it stands in the recording.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Recorded<Permit> {
    /// The operation that is permitted.
    pub fn operation(&self) -> OperationId {
        self.inner.operation
    }

    /// The identity that it must be sent as.
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    /// Gives up the permit for its bytes, to be sent at once on a connection that is logged in as `line`.
    ///
    /// # Errors
    /// The permit itself, if it is for another identity, or to prepare only: nothing may be sent then.
    pub fn release(self, line: Identity) -> Result<Released, Box<Self>> {
        // Preparing is permitted where executing would have to be approved.
        if self.inner.identity != line || self.inner.kind == OperationKind::Prepare {
            return Err(Box::new(self));
        }
        Ok(self.give_up())
    }

    /// Gives up a permit to prepare for its bytes, to be prepared at once on a connection that is logged in as `line`,
    /// and not to be executed.
    ///
    /// # Errors
    /// The permit itself, if it is for another identity, or to do something else.
    pub fn release_to_prepare(self, line: Identity) -> Result<Released, Box<Self>> {
        if self.inner.identity != line || self.inner.kind != OperationKind::Prepare {
            return Err(Box::new(self));
        }
        Ok(self.give_up())
    }

    fn give_up(self) -> Released {
        let step = self.inner.step();
        let (in_flight, payload, binding) = self.inner.take_apart();
        Released { payload, binding, step, in_flight }
    }

    /// What to send first on the same connection, one after another, each answered without an error before the next.
    pub fn preamble(&self) -> &[Step] {
        &self.inner.preamble
    }

    /// The statement that it executes, and the types that were declared for its parameters: what has to be prepared
    /// on the connection first. `None` in the simple query protocol.
    pub fn statement(&self) -> Option<(&Bytes, Vec<u32>)> {
        self.inner.binding.as_ref().map(|binding| (&self.inner.payload, binding.declared_types()))
    }

    /// The approval that it uses up, if it needed one.
    pub fn approval(&self) -> Option<ApprovalId> {
        self.inner.approval
    }
}

impl Permit {
    /// The same, to be sent again before a later operation.
    pub(crate) fn step(&self) -> Option<Step> {
        let sent = self.payload.clone();
        self.control.clone().map(|shown| Step { sent, shown })
    }

    /// What is owed for it, and what it owns.
    pub(crate) fn take_apart(self) -> (InFlight, Bytes, Option<Binding>) {
        let Self { operation, kind, payload, binding, approval, duty, .. } = self;
        let in_flight = InFlight { operation, kind, approval, duty, replied: Replied::default() };
        (in_flight, payload, binding)
    }
}

/// The bytes of a permit that was given up, and the operation that they began.
pub struct Released {
    /// What to send.
    pub payload: Bytes,
    /// What to execute it with; `None` in the simple query protocol.
    pub binding: Option<Binding>,
    /// The same, to be sent again before a later operation, if it does nothing but begin or set up a transaction.
    pub step: Option<Step>,
    /// What the reply is owed to.
    pub in_flight: InFlight,
}

/// An operation that was sent and not yet answered to its end. Ends in [`crate::Session::finish`] or
/// [`crate::Session::abandon`]; one that is dropped reads `unknown` in the recording.
#[derive(Debug)]
#[must_use = "an operation that was sent needs its outcome recorded"]
pub struct InFlight {
    pub(crate) operation: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) approval: Option<ApprovalId>,
    pub(crate) duty: Duty,
    pub(crate) replied: Replied,
}

/// What of the reply went by so far.
#[derive(Debug, Default)]
pub(crate) struct Replied {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    hashes: Sha256,
}

impl Replied {
    /// Counts a batch and its keyed hash in.
    pub(crate) fn add(&mut self, batch: &Batch, tag: &[u8; 32]) {
        self.bytes = self.bytes.saturating_add(batch.bytes.len() as u64);
        self.rows = self.rows.saturating_add(batch.rows);
        self.hashes.update(tag);
    }

    /// The hash over the hashes of all batches.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        self.hashes.clone().finalize().into()
    }
}

impl InFlight {
    /// The operation.
    pub fn operation(&self) -> OperationId {
        self.operation
    }

    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// What has to be covered in the reply.
    pub fn duty(&self) -> &Duty {
        &self.duty
    }

    /// Has a batch of the reply covered as was decided.
    ///
    /// # Errors
    /// The refusal for the client, where that cannot be done: the default is to refuse, never to let it pass.
    pub fn mask(&self, batch: Batch, masker: &mut impl Masker) -> Result<Masked<Batch>, Refusal> {
        let rows = batch.rows;
        let Views { client, excerpt } = masker.mask(batch, &self.duty)?;
        Ok(Masked { inner: Batch { bytes: client, rows }, excerpt })
    }

    /// A batch of the reply to what the edge asked for itself, and does not show to anybody.
    ///
    /// # Errors
    /// [`Reason::Unmaskable`] if it was asked for by the caller.
    pub fn keep(&self, batch: Batch) -> Result<Masked<Batch>, Refusal> {
        match self.kind {
            OperationKind::Connect | OperationKind::Catalog => {
                Ok(Masked { inner: batch, excerpt: Excerpt::default() })
            }
            OperationKind::Query | OperationKind::Prepare | OperationKind::Fetch | OperationKind::Sync => {
                Err(unmaskable())
            }
        }
    }
}

/// A decision asks for masks that cannot be applied.
pub(crate) fn unmaskable() -> Refusal {
    let message = "this would show or copy data that has to be masked, in a way in which it cannot be";
    Refusal::denied(Reason::Unmaskable, message)
}
