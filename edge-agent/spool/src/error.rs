//! What can go wrong with the spool, split by what the caller does next.

use std::{io, path::PathBuf};

use countersign_model::RecordingId;

/// The spool as a whole cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file or directory cannot be read or made.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another process has this spool.
    #[error("{0}: another process uses this spool")]
    InUse(PathBuf),
    /// The limits are not in order.
    #[error("the spool's limits must be low <= full <= hard")]
    Limits,
}

impl SpoolError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { path, cause }
    }
}

/// Something was not recorded. Nothing of it is on the disk then, unless the session is poisoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No room, by the limits or by the disk. Later entries may find some.
    #[error("the spool is full")]
    Full,
    /// The entry is larger than a frame may be.
    #[error("the entry is larger than a frame may be")]
    TooLarge,
    /// The recording has as many segments as one may have, and the last is full. It can still be closed.
    #[error("the recording is as long as one may be")]
    TooManySegments,
    /// As many intents are without an outcome as can be kept track of.
    #[error("too many intents have no outcome")]
    TooManyUnfinished,
    /// An Open that is not the first entry, a first entry that is no Open, or a Close (see
    /// [`crate::SessionSpool::close`]).
    #[error("the entry is out of place")]
    OutOfPlace,
    /// It could not be sealed, as no key is known that recordings are sealed to. Nothing is recorded in the clear.
    #[error("nothing can be sealed")]
    Unsealed,
    /// The disk refused it. The session can go on.
    #[error("writing failed: {0}")]
    Write(io::ErrorKind),
    /// The disk failed in a way that leaves the end of the recording uncertain: the session records nothing more,
    /// ever.
    #[error("the recording can no longer be written")]
    Poisoned,
}

/// A segment was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgeError {
    /// There is no such finished segment here.
    #[error("no segment {1} of {0} is waiting")]
    Unknown(RecordingId, u32),
    /// The archive has other bytes under this name. Ours are kept.
    #[error("the archive has other bytes as segment {1} of {0}")]
    Mismatch(RecordingId, u32),
    /// The disk failed.
    #[error("segment {1} of {0}: {2}")]
    Io(RecordingId, u32, io::Error),
}
