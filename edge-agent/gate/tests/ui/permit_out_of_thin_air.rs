//! Only the gate makes a permit.

use bytes::Bytes;
use countersign_gate::{Duty, OperationKind, Permit};
use countersign_model::{ApprovalId, Identity, OperationId};

fn forge() -> Permit {
    Permit {
        operation: OperationId::generate(),
        kind: OperationKind::Query,
        identity: Identity::Standing,
        preamble: Vec::new(),
        payload: Bytes::from_static(b"drop table customers"),
        binding: None,
        control: None,
        approval: Some(ApprovalId::generate()),
        duty: Duty::default(),
    }
}

fn main() {}
