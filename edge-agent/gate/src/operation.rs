//! One thing asked of a target, as the protocol understood it and before anything was decided.

use std::fmt;

use bytes::Bytes;
use countersign_model::{Action, Durability, Fact, Identity, OperationContext, OperationId};

/// What sort of operation it is; the word that recordings show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Opening the session: the first of each.
    Connect,
    /// A query string of the caller.
    Query,
    /// The edge's own question to the catalog of a target.
    Catalog,
}

impl OperationKind {
    /// The word that recordings show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Query => "query",
            Self::Catalog => "catalog",
        }
    }
}

/// A statement that was decided by itself and does nothing but begin or set up a transaction: BEGIN, a savepoint, SET
/// LOCAL. It goes before an operation on the connection that this one runs on, and may do so again on another
/// connection: outside of its transaction it changes nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Step(pub(crate) Bytes);

impl Step {
    /// The statement.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The statement as text. What was decided was parsed, so it is UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({} bytes)", self.0.len())
    }
}

/// An operation with everything that policy decides on.
#[derive(Debug)]
pub struct Operation {
    pub(crate) id: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) identity: Identity,
    pub(crate) payload: Bytes,
    pub(crate) facts: Vec<Fact>,
    pub(crate) context: OperationContext,
    pub(crate) preamble: Vec<Step>,
}

impl Operation {
    /// An operation of the caller. `payload` is exactly what will be sent if it is permitted; `facts` is the whole
    /// of what it touches: what is missing there is not decided on, so a protocol that cannot tell says
    /// [`Action::Unparsed`].
    pub fn of_caller(payload: Bytes, facts: Vec<Fact>, context: OperationContext) -> Self {
        Self {
            id: OperationId::generate(),
            kind: OperationKind::Query,
            identity: Identity::Standing,
            payload,
            facts,
            context,
            preamble: Vec::new(),
        }
    }

    /// To be sent on the connection of the approved identity, in the transaction that an approved operation began.
    #[must_use]
    pub fn on_approved(mut self) -> Self {
        self.identity = Identity::Approved;
        self
    }

    /// To be sent after these on the same connection.
    #[must_use]
    pub fn after(mut self, preamble: Vec<Step>) -> Self {
        self.preamble = preamble;
        self
    }

    /// Whether it does nothing but begin, end and set up a transaction.
    pub(crate) fn is_control(&self) -> bool {
        let control = |fact: &Fact| matches!(fact.action, Action::PostgresTransaction | Action::PostgresSet);
        !self.facts.is_empty() && self.facts.iter().all(control)
    }

    /// The operation's id.
    pub fn id(&self) -> OperationId {
        self.id
    }

    /// What may change the target is on disk before it is sent.
    pub(crate) fn durability(&self) -> Durability {
        let may_write = |fact: &Fact| Action::may_write(fact.action);
        if self.facts.iter().any(may_write) { Durability::Fsync } else { Durability::PageCache }
    }
}
