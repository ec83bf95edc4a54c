//! A permit that is not recorded has no bytes to give.

use countersign_gate::Permit;
use countersign_model::Identity;

fn send(permit: Permit) {
    let _ = permit.release(Identity::Standing);
}

fn main() {}
