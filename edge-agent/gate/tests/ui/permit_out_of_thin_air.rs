//! Only the gate makes a permit.

use bytes::Bytes;
use countersign_gate::{OperationKind, Permit};
use countersign_model::{Identity, Obligations, OperationId};

fn forge() -> Permit {
    Permit {
        operation: OperationId::generate(),
        kind: OperationKind::Query,
        identity: Identity::Standing,
        payload: Bytes::from_static(b"drop table customers"),
        obligations: Obligations::default(),
    }
}

fn main() {}
