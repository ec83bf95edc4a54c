//! One thing asked of a target, as the protocol understood it and before anything was decided.

use std::fmt;

use bytes::Bytes;
use countersign_model::{Action, Binding, Durability, Fact, Identity, OperationContext, OperationId};

use crate::Shown;

/// What sort of operation it is; the word that recordings show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Opening the session: the first of each.
    Connect,
    /// A query string of the caller, or a statement of his with what it is executed with.
    Query,
    /// A statement of the caller that is to be prepared, and described.
    Prepare,
    /// More rows of an earlier operation.
    Fetch,
    /// The end of a pipeline of several operations, which commits them.
    Sync,
    /// The edge's own question to the catalog of a target.
    Catalog,
}

impl OperationKind {
    /// The word that recordings show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Query => "query",
            Self::Prepare => "prepare",
            Self::Fetch => "fetch",
            Self::Sync => "sync",
            Self::Catalog => "catalog",
        }
    }
}

/// A statement that was decided by itself and does nothing but begin or set up a transaction: BEGIN, a savepoint, SET
/// LOCAL. It goes before an operation on the connection that this one runs on, and may do so again on another
/// connection: outside of its transaction it changes nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    pub(crate) sent: Bytes,
    pub(crate) shown: Bytes,
}

impl Step {
    /// The statement.
    pub fn as_bytes(&self) -> &Bytes {
        &self.sent
    }

    /// The statement as text. What was decided was parsed, so it is UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }

    /// The statement as recordings show it.
    pub fn shown(&self) -> &Bytes {
        &self.shown
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({} bytes)", self.sent.len())
    }
}

/// An operation with everything that policy decides on.
pub struct Operation {
    pub(crate) id: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) identity: Identity,
    pub(crate) payload: Bytes,
    pub(crate) binding: Option<Binding>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) context: OperationContext,
    pub(crate) preamble: Vec<Step>,
    /// What the recording shows; `None` for all of it.
    pub(crate) shown: Option<Shown>,
    /// Its reply can be masked.
    pub(crate) is_maskable: bool,
    /// Errors and notices of the target are reduced from it on.
    pub(crate) is_reticent: bool,
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
            binding: None,
            facts,
            context,
            preamble: Vec::new(),
            shown: None,
            is_maskable: false,
            is_reticent: false,
        }
    }

    /// One of the edge's own: policy is not asked about it.
    pub(crate) fn of_edge(kind: OperationKind, identity: Identity, payload: Bytes) -> Self {
        let operation = Self::of_caller(payload, Vec::new(), OperationContext::default());
        Self { kind, identity, ..operation }
    }

    /// To be recorded as this. Without it the recording shows all of the operation.
    #[must_use]
    pub fn shown_as(mut self, shown: Shown) -> Self {
        self.shown = Some(shown);
        self
    }

    /// What it gives away comes back in its reply alone, where the protocol can mask it. Without this an operation of
    /// which anything would have to be masked is refused: one that copies it to where it is not tagged, for example.
    #[must_use]
    pub fn maskable(mut self, is_maskable: bool) -> Self {
        self.is_maskable = is_maskable;
        self
    }

    /// To have errors and notices of the target reduced from now on: they could quote rows that it says nothing of.
    #[must_use]
    pub fn reticent(mut self, is_reticent: bool) -> Self {
        self.is_reticent = is_reticent;
        self
    }

    /// What the recording shows of it.
    pub(crate) fn shown(&self) -> Shown {
        let whole = || Shown::whole(self.payload.clone(), self.binding.clone());
        self.shown.clone().unwrap_or_else(whole)
    }

    /// To be executed with this.
    #[must_use]
    pub fn bound_to(mut self, binding: Binding) -> Self {
        self.binding = Some(binding);
        self
    }

    /// To be prepared and described, with these types declared for its parameters, and not to be executed. That is
    /// permitted where people would be asked about its execution, too.
    #[must_use]
    pub fn to_prepare(self, types: &[u32]) -> Self {
        Self { kind: OperationKind::Prepare, ..self.bound_to(Binding::declared(types)) }
    }

    /// To have more rows of what was executed before.
    #[must_use]
    pub fn to_fetch(self, binding: Binding) -> Self {
        Self { kind: OperationKind::Fetch, ..self.bound_to(binding) }
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
        // What is prepared is read by the target, and not run.
        if self.kind != OperationKind::Prepare && self.facts.iter().any(may_write) {
            Durability::Fsync
        } else {
            Durability::PageCache
        }
    }
}
