//! What comes back, in batches of at most one read buffer.

use bytes::Bytes;

use crate::Recorded;

/// Whole protocol messages of a reply, as the target sent them.
#[derive(Default)]
pub struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
}

impl Batch {
    /// A batch of `rows` rows within `bytes`.
    pub fn new(bytes: Bytes, rows: u64) -> Self {
        Self { bytes, rows }
    }
}

/// Something that the decision's mask obligations were applied to. Only [`crate::InFlight::mask`] makes one.
#[derive(Debug)]
pub struct Masked<T> {
    pub(crate) inner: T,
}

impl Recorded<Masked<Batch>> {
    /// The only bytes of a target that a client may be sent.
    pub fn into_bytes(self) -> Bytes {
        self.inner.inner.bytes
    }
}
