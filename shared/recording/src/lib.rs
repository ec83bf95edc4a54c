//! The format of recordings: frames, chain, segments, manifest, reading and verification.
//!
//! Pure: bytes in, bytes and values out. The edge's spool appends what [`SegmentWriter`] yields, the control
//! plane takes in what [`check_segment`] passes and signs a [`manifest`], and [`verify`] says offline what was
//! done to a recording and where. The stored form is specified in `proto/countersign/v1/recording.proto`.
//! Every length is bounded before anything is allocated, and no input makes this crate panic.

mod body;
mod bounds;
mod chain;
mod convert;
mod entry;
mod fact;
pub mod manifest;
mod reader;
mod replay;
mod segment;
mod verify;
mod writer;

#[cfg(test)]
mod fixture;

pub use bounds::{
    MAX_BODY, MAX_BODY_DECOMPRESSED, MAX_FRAME_HEADER, MAX_MANIFEST, MAX_SEGMENT, MAX_SEGMENT_HEADER,
    MAX_SEGMENTS, MAX_SIGNED_MANIFEST, MAX_TRAILER, MAX_UNFINISHED,
};
pub use chain::{Link, start as chain_start};
pub use convert::InvalidFrame;
pub use entry::{
    Close, Entry, Frame, FrameKind, Hold, Intent, Open, Outcome, OutcomeKind, Payload, Refusal, Reply,
};
pub use fact::RecordedFact;
pub use reader::{FrameView, Malformed, Part, SegmentReader};
pub use replay::{ReplayError, replay};
pub use segment::{CheckedSegment, SegmentError, check_segment};
pub use verify::{Evidence, Fault, FaultKind, FrameCounts, Report, verify};
pub use writer::{
    Beginning, EncodeError, EncodedFrame, OutOfOrder, Recorded, Resumed, SegmentWriter, Unfinished,
};
