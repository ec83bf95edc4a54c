//! What was recorded once is used once.

use countersign_gate::{Permit, Recorded};

fn keep(permit: &Recorded<Permit>) -> Recorded<Permit> {
    permit.clone()
}

fn main() {}
