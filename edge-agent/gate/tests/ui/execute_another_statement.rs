//! A permit owns the bytes that it permits: nobody puts another statement into it.

use bytes::Bytes;
use countersign_gate::{Permit, Recorded};

fn exchange(permit: &mut Recorded<Permit>, other: Bytes) {
    permit.inner.payload = other;
}

fn main() {}
