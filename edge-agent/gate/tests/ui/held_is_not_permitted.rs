//! What policy holds comes without a permit.

use countersign_gate::{Admission, Permit, Recorded};

fn permit(admission: Admission) -> Recorded<Permit> {
    match admission {
        Admission::Permitted(permit) | Admission::Held(permit) => permit,
    }
}

fn main() {}
