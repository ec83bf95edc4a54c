//! Releasing a permit consumes it.

use countersign_gate::{Permit, Recorded};
use countersign_model::Identity;

fn send(permit: Recorded<Permit>) {
    let _once = permit.release(Identity::Standing);
    let _twice = permit.release(Identity::Standing);
}

fn main() {}
