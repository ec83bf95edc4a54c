//! A batch becomes a masked one by what was sent, and by nothing else.

use countersign_gate::{Batch, Excerpt, Masked};

fn lenient(batch: Batch) -> Masked<Batch> {
    Masked { inner: batch, excerpt: Excerpt::default() }
}

fn main() {}
