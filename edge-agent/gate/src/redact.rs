//! `Debug` for what owns or borrows a caller's statement or a target's rows: which operation it is, and how large.

use std::fmt;

use crate::{Batch, Entry, Operation, Permit, Released, ports::Question};

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("identity", &self.identity)
            .field("bytes", &self.payload.len())
            .field("binding", &self.binding)
            .field("facts", &self.facts)
            .field("preamble", &self.preamble)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("operation", &self.operation)
            .field("kind", &self.kind)
            .field("identity", &self.identity)
            .field("bytes", &self.payload.len())
            .field("binding", &self.binding)
            .field("preamble", &self.preamble)
            .field("approval", &self.approval)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released")
            .field("bytes", &self.payload.len())
            .field("binding", &self.binding)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("operation", &self.operation)
            .field("identity", &self.identity)
            .field("bytes", &self.payload.len())
            .field("binding", &self.binding)
            .field("resolution", &self.resolution)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("bytes", &self.bytes.len()).field("rows", &self.rows).finish()
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, operation, bytes) = match self {
            Self::Intent { operation, shown, .. } => ("Intent", operation, shown.payload.len() as u64),
            Self::Hold { operation, shown, .. } => ("Hold", operation, shown.payload.len() as u64),
            Self::Refusal { operation, shown, .. } => ("Refusal", operation, shown.payload.len() as u64),
            Self::Reply { operation, bytes, .. } => ("Reply", operation, *bytes),
            Self::Outcome { operation, bytes, .. } => ("Outcome", operation, *bytes),
            Self::Close { reason, .. } => return f.debug_struct("Close").field("reason", reason).finish(),
        };
        f.debug_struct(name).field("operation", operation).field("bytes", &bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use countersign_model::{
        Attachment, Identity, OperationContext, OperationId, Reason, Resolution, SessionId,
    };

    use super::*;
    use crate::{InFlight, OperationKind, Shown, permit::Replied};

    const SECRET: &str = "select 'hunter2'";

    fn hides(shown: &impl fmt::Debug) {
        let shown = format!("{shown:?}");
        assert!(shown.contains("bytes: 16") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn debug_shows_neither_statements_nor_rows() {
        let (operation, payload) = (OperationId::generate(), Bytes::from_static(SECRET.as_bytes()));
        let kind = OperationKind::Query;
        hides(&Operation::of_caller(payload.clone(), Vec::new(), OperationContext::default()));
        hides(&Batch::new(payload.clone(), 1));
        hides(&Permit {
            operation,
            kind,
            identity: Identity::Standing,
            preamble: Vec::new(),
            payload: payload.clone(),
            binding: None,
            control: None,
            approval: None,
            duty: Default::default(),
        });
        let (approval, duty, replied) = (None, Default::default(), Replied::default());
        let in_flight = InFlight { operation, kind, approval, duty, replied };
        hides(&Released { payload: payload.clone(), binding: None, step: None, in_flight });
        let (facts, policies, revision, reason) = (&[], &[], "", Reason::Forbidden);
        let (shown, payload) = (&Shown::whole(payload.clone(), None), &payload);
        hides(shown);
        hides(&Entry::Refusal {
            operation,
            approval,
            kind,
            shown,
            tag: [0; 32],
            facts,
            policies,
            revision,
            reason,
        });
        let resolution = &Resolution {
            database: "shop".into(),
            role: "r".into(),
            search_path: Vec::new(),
            settings: vec![("app.key".into(), "hunter2".into())],
            names: Vec::new(),
            objects: Vec::new(),
            in_transaction: false,
            preamble: Vec::new(),
            classes: Vec::new(),
        };
        let (identity, attached) = (Identity::Approved, Attachment::new(SessionId::generate()));
        hides(&Question { operation, payload, binding: None, resolution, identity, attached });
    }
}
