//! An operation that people are asked about has no bytes to give: a line takes a recorded permit.

use countersign_gate::{Held, Permit, Recorded};

fn send(permit: Recorded<Permit>) {
    drop(permit);
}

fn send_unapproved(held: Held) {
    send(held);
}

fn main() {}
