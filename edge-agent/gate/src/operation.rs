//! One thing asked of a target, as the protocol understood it and before anything was decided.

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

/// An operation with everything that policy decides on.
#[derive(Debug)]
pub struct Operation {
    pub(crate) id: OperationId,
    pub(crate) kind: OperationKind,
    pub(crate) identity: Identity,
    pub(crate) payload: Bytes,
    pub(crate) facts: Vec<Fact>,
    pub(crate) context: OperationContext,
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
        }
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
