//! Which segments of each recording rest in the archive.

use async_trait::async_trait;
use countersign_model::{RecordingId, SessionId};

use crate::{BootId, Page, StoreError};

/// One archived segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Counts from 0 without a gap.
    pub number: u32,
    /// SHA-256 of the segment.
    pub sha256: [u8; 32],
    /// Its size.
    pub bytes: u64,
    /// Frames in it.
    pub frame_count: u32,
    /// Sequence of its first frame.
    pub first_sequence: u64,
    /// Link of its last frame.
    pub last_link: [u8; 32],
    /// Ed25519 public key that its trailer verifies with.
    pub signing_key: [u8; 32],
    /// It ends with the recording's close.
    pub last: bool,
    /// The process that made the pack in which it lies.
    pub pack_boot: BootId,
    /// That pack's number.
    pub pack: u64,
    /// Its first byte's, from the beginning of the pack.
    pub offset: u32,
}

/// The state of a recording without the list of its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The recording.
    pub id: RecordingId,
    /// What it is a recording of.
    pub session: SessionId,
    /// Keys of its segments, each once, in the order of their first use.
    pub signing_keys: Vec<[u8; 32]>,
    /// How many segments are archived.
    pub segments: u32,
    /// Their size together.
    pub bytes: u64,
    /// The newest segment, which the next one goes on from.
    pub tail: Option<Segment>,
    /// Nothing is added any more.
    pub sealed: bool,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The segment is new.
    Added,
    /// The same segment (number and SHA-256) was there already.
    AlreadyThere,
}

/// Why a segment was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Segments before it are missing.
    #[error("segment {expected} is the next one")]
    Gap {
        /// The number that is next.
        expected: u32,
    },
    /// Another object has this number.
    #[error("another segment has this number")]
    Different,
    /// The recording was sealed, or its last segment is there.
    #[error("the recording is complete")]
    Complete,
    /// The store's own reasons; [`StoreError::NotFound`] for an unknown recording.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Recording {
    /// What must hold of `next` to be appended, given the segment that has its number now. The whole rule, for every
    /// backend; the content of segments is judged by the core.
    pub fn admit(&self, next: &Segment, present: Option<&Segment>) -> Result<Appended, AppendError> {
        match present {
            Some(present) if present.sha256 == next.sha256 => Ok(Appended::AlreadyThere),
            Some(_) => Err(AppendError::Different),
            None if self.sealed || self.tail.as_ref().is_some_and(|tail| tail.last) => {
                Err(AppendError::Complete)
            }
            None if next.number != self.segments => Err(AppendError::Gap { expected: self.segments }),
            None => Ok(Appended::Added),
        }
    }

    /// The state once `next` is appended.
    pub fn with(mut self, next: Segment) -> Self {
        if !self.signing_keys.contains(&next.signing_key) {
            self.signing_keys.push(next.signing_key);
        }
        self.segments = self.segments.saturating_add(1);
        self.bytes = self.bytes.saturating_add(next.bytes);
        self.tail = Some(next);
        self
    }
}

/// Recordings; each begins with its session ([`crate::Sessions::open_session`]).
#[async_trait]
pub trait Recordings: Send + Sync {
    /// Appends a segment under the rule of [`Recording::admit`].
    async fn append_segment(&self, id: RecordingId, segment: Segment) -> Result<Appended, AppendError>;

    /// Ends a recording; again is no error. [`StoreError::NotFound`] if it is unknown.
    async fn seal_recording(&self, id: RecordingId) -> Result<(), StoreError>;

    /// One recording, or [`StoreError::NotFound`].
    async fn recording(&self, id: RecordingId) -> Result<Recording, StoreError>;

    /// All segments of a recording in order of number, or [`StoreError::NotFound`].
    async fn segments(&self, id: RecordingId) -> Result<Vec<Segment>, StoreError>;

    /// Newest first (by the time in the id), from the first older than `before`.
    async fn recordings(
        &self,
        before: Option<RecordingId>,
        limit: usize,
    ) -> Result<Page<Recording, RecordingId>, StoreError>;
}
