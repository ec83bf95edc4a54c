//! Only the gate makes a permit.

use bytes::Bytes;
use countersign_gate::{OperationKind, Permit};
use countersign_model::{ApprovalId, Identity, Obligations, OperationId};

fn forge() -> Permit {
    Permit {
        operation: OperationId::generate(),
        kind: OperationKind::Query,
        identity: Identity::Standing,
        preamble: Vec::new(),
        payload: Bytes::from_static(b"drop table customers"),
        binding: None,
        is_control: false,
        approval: Some(ApprovalId::generate()),
        obligations: Obligations::default(),
    }
}

fn main() {}
