//! What goes before an operation was decided like any other: only the gate makes a step.

use bytes::Bytes;
use countersign_gate::Step;

fn forge() -> Step {
    Step(Bytes::from_static(b"drop table customers"))
}

fn main() {}
