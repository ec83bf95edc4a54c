//! What a statement is executed with was decided with it: nobody puts other values into its permit.

use countersign_gate::{Permit, Recorded};
use countersign_model::Binding;

fn exchange(permit: &mut Recorded<Permit>, other: Binding) {
    permit.inner.binding = Some(other);
}

fn main() {}
