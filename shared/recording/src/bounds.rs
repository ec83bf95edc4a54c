//! Every bound of the stored form, in bytes. Readers refuse what is larger; writers never make it.

/// A whole segment.
pub const MAX_SEGMENT: usize = 1 << 20;
/// An encoded `SegmentHeader`.
pub const MAX_SEGMENT_HEADER: usize = 16 << 10;
/// An encoded `FrameHeader`.
pub const MAX_FRAME_HEADER: usize = 4 << 10;
/// An encoded `SegmentTrailer`.
pub const MAX_TRAILER: usize = 4 << 10;
/// A body as stored: leaves room in a segment for its header, its trailer and what a recovery adds.
pub const MAX_BODY: usize = 960 << 10;
/// A body decompressed.
pub const MAX_BODY_DECOMPRESSED: usize = 16 << 20;
/// Columns of a result: the protocol counts them in 16 bits.
pub(crate) const MAX_COLUMNS: usize = i16::MAX as usize;
/// What stands for a masked value.
pub(crate) const MAX_LABEL: usize = 128;
/// Intents without an outcome that a segment's header can carry over.
pub const MAX_UNFINISHED: usize = 128;
/// Segments of one recording. As many fit into a manifest, whatever their fields say and though each be signed by
/// another key.
pub const MAX_SEGMENTS: u32 = 10_000;
/// An encoded `Manifest`.
pub const MAX_MANIFEST: usize = 2 << 20;
/// An encoded `SignedManifest`: a manifest, its signature, and the few bytes around them.
pub const MAX_SIGNED_MANIFEST: usize = MAX_MANIFEST + 128;

/// A whole pack.
pub const MAX_PACK: usize = 8 << 20;
/// An encoded `PackHeader`.
pub const MAX_PACK_HEADER: usize = 128 << 10;
/// Bytes of segments in one pack: what a header of any size leaves room for.
pub const MAX_PACK_CONTENT: usize = MAX_PACK - MAX_PACK_HEADER - 8;
/// Segments in one pack.
pub const MAX_PACK_SEGMENTS: usize = 512;

/// First bytes of a segment.
pub(crate) const MAGIC: [u8; 4] = *b"CSR1";
/// Stands where a frame header's length would: the trailer follows.
pub(crate) const TRAILER_MARK: u32 = u32::MAX;
