//! The format of recordings: frames, chain, segments, manifest, reading and verification.
//!
//! Pure: bytes in, bytes and values out. The edge's spool appends what [`SegmentWriter`] yields, the control
//! plane takes in what [`check_opened_segment`] passes and signs a [`manifest`], and [`verify`] says offline and
//! without any key what was done to a recording and where. What frames say is sealed to the control plane's key
//! ([`RecordingKey`]). The stored form is specified in `proto/countersign/v1/recording.proto`.
//! Every length is bounded before anything is allocated, and no input makes this crate panic.

mod binding;
mod body;
mod bounds;
mod chain;
mod convert;
mod entry;
mod fact;
pub mod manifest;
mod pack;
mod reader;
mod replay;
mod rows;
mod seal;
mod segment;
mod verify;
mod writer;

#[cfg(test)]
mod fixture;

pub use binding::{RecordedBinding, RecordedParameter, RecordedValue};
pub use bounds::{
    MAX_BODY, MAX_BODY_DECOMPRESSED, MAX_FRAME_HEADER, MAX_MANIFEST, MAX_PACK, MAX_PACK_CONTENT,
    MAX_PACK_HEADER, MAX_PACK_SEGMENTS, MAX_SEGMENT, MAX_SEGMENT_HEADER, MAX_SEGMENTS, MAX_SIGNED_MANIFEST,
    MAX_TRAILER, MAX_UNFINISHED,
};
pub use chain::{Link, start as chain_start};
pub use convert::InvalidFrame;
pub use entry::{
    Close, Entry, Frame, FrameKind, Hold, Intent, Open, Outcome, OutcomeKind, Payload, RecordedColumn,
    RecordedRows, Refusal, Reply, SealedFrame,
};
pub use fact::RecordedFact;
pub use pack::{InvalidPack, Pack, PackName, PackPlan, PlanError, PlannedSegment, SegmentInPack};
pub use reader::{FrameView, Malformed, Part, SegmentReader};
pub use replay::{ReplayError, Replayed, StoredSegment, replay};
pub use rows::{Row, rows};
pub use seal::{ContentKey, OpeningKey, RecordingKey, SealError, seal_hash_key};
pub use segment::{CheckedSegment, SegmentError, check_opened_segment, check_segment};
pub use verify::{Evidence, Fault, FaultKind, FrameCounts, Report, verify};
pub use writer::{
    Beginning, EncodeError, EncodedFrame, OutOfOrder, Recorded, Resumed, SegmentWriter, Unfinished,
};
