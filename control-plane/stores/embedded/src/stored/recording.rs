//! Recordings and their segments as they lie in the file.

use countersign_store::{Recording, Segment};
use prost::Message;

use super::{exactly, id};
use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredRecording {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    session: String,
    #[prost(bytes = "vec", repeated, tag = "3")]
    signing_keys: Vec<Vec<u8>>,
    #[prost(uint32, tag = "4")]
    segments: u32,
    #[prost(uint64, tag = "5")]
    bytes: u64,
    #[prost(message, optional, tag = "6")]
    tail: Option<StoredSegment>,
    #[prost(bool, tag = "7")]
    sealed: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredSegment {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bytes = "vec", tag = "2")]
    sha256: Vec<u8>,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(uint32, tag = "4")]
    frame_count: u32,
    #[prost(uint64, tag = "5")]
    first_sequence: u64,
    #[prost(bytes = "vec", tag = "6")]
    last_link: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    signing_key: Vec<u8>,
    #[prost(bool, tag = "8")]
    last: bool,
    #[prost(bytes = "vec", tag = "9")]
    pack_boot: Vec<u8>,
    #[prost(uint64, tag = "10")]
    pack: u64,
    #[prost(uint32, tag = "11")]
    offset: u32,
}

impl From<&Recording> for StoredRecording {
    fn from(recording: &Recording) -> Self {
        Self {
            id: recording.id.to_string(),
            session: recording.session.to_string(),
            signing_keys: recording.signing_keys.iter().map(|key| key.to_vec()).collect(),
            segments: recording.segments,
            bytes: recording.bytes,
            tail: recording.tail.as_ref().map(Into::into),
            sealed: recording.sealed,
        }
    }
}

impl TryFrom<StoredRecording> for Recording {
    type Error = Broken;

    fn try_from(stored: StoredRecording) -> Result<Self, Broken> {
        Ok(Self {
            id: id(&stored.id)?,
            session: id(&stored.session)?,
            signing_keys: stored.signing_keys.into_iter().map(exactly).collect::<Result<_, _>>()?,
            segments: stored.segments,
            bytes: stored.bytes,
            tail: stored.tail.map(TryInto::try_into).transpose()?,
            sealed: stored.sealed,
        })
    }
}

impl From<&Segment> for StoredSegment {
    fn from(segment: &Segment) -> Self {
        Self {
            number: segment.number,
            sha256: segment.sha256.to_vec(),
            bytes: segment.bytes,
            frame_count: segment.frame_count,
            first_sequence: segment.first_sequence,
            last_link: segment.last_link.to_vec(),
            signing_key: segment.signing_key.to_vec(),
            last: segment.last,
            pack_boot: segment.pack_boot.to_vec(),
            pack: segment.pack,
            offset: segment.offset,
        }
    }
}

impl TryFrom<StoredSegment> for Segment {
    type Error = Broken;

    fn try_from(stored: StoredSegment) -> Result<Self, Broken> {
        Ok(Self {
            number: stored.number,
            sha256: exactly(stored.sha256)?,
            bytes: stored.bytes,
            frame_count: stored.frame_count,
            first_sequence: stored.first_sequence,
            last_link: exactly(stored.last_link)?,
            signing_key: exactly(stored.signing_key)?,
            last: stored.last,
            pack_boot: exactly(stored.pack_boot)?,
            pack: stored.pack,
            offset: stored.offset,
        })
    }
}
