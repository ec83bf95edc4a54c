//! What comes back, in batches of at most one read buffer, and what of it may go on.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use countersign_model::Refusal;

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

    /// The messages.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many of them are rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// What has to be covered in a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duty {
    /// Data classes whose tagged columns are covered for the client, sorted.
    pub mask: Vec<Arc<str>>,
    /// Data classes whose detectors' findings are covered for the client, sorted.
    pub detect: Vec<Arc<str>>,
    /// Errors and notices are reduced to what tells nothing of any row.
    pub reduce_text: bool,
}

/// Covers replies: implemented by each protocol, which alone can read them.
pub trait Masker {
    /// A batch as the client may see it by this duty, and an excerpt of it for the recording, in which every class is
    /// covered whatever the caller may see.
    ///
    /// # Errors
    /// The refusal for the client where that cannot be done: nothing of the batch goes on then.
    fn mask(&mut self, batch: Batch, duty: &Duty) -> Result<Views, Refusal>;
}

/// The two views of a batch.
#[derive(Debug, Default)]
pub struct Views {
    /// For the client.
    pub client: Bytes,
    /// For the recording.
    pub excerpt: Excerpt,
}

/// Rows of a reply as the recording shows them, with everything sensitive covered.
#[derive(Clone, Default)]
pub struct Excerpt {
    /// The columns of the rows that follow; empty where these are those of the excerpt before.
    pub columns: Vec<ShownColumn>,
    /// Rows, in the protocol's form.
    pub data: Bytes,
    /// How many; fewer than the batch has where the rest is not shown.
    pub rows: u64,
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Excerpt")
            .field("bytes", &self.data.len())
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// A column of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownColumn {
    /// Its name.
    pub name: String,
    /// Its type, by the protocol's number for it.
    pub type_id: u32,
    /// 0 text, 1 binary.
    pub format: u16,
    /// What stands for its values, where the whole column is covered.
    pub label: Option<Arc<str>>,
}

/// Something that the decision's mask obligations were applied to. Only [`crate::InFlight`] makes one.
#[derive(Debug)]
pub struct Masked<T> {
    pub(crate) inner: T,
    pub(crate) excerpt: Excerpt,
}

impl Recorded<Masked<Batch>> {
    /// The only bytes of a target that a client may be sent.
    pub fn into_bytes(self) -> Bytes {
        self.inner.inner.bytes
    }
}
