//! What goes before an operation was decided like any other: only the gate makes a step.

use bytes::Bytes;
use countersign_gate::Step;

fn forge() -> Step {
    let sent = Bytes::from_static(b"drop table customers");
    Step { shown: sent.clone(), sent }
}

fn main() {}
