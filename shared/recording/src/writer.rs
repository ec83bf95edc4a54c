//! Building a segment: the exact bytes to append, piece by piece.
//!
//! [`SegmentWriter::encode`] changes nothing; [`SegmentWriter::commit`] is called once the bytes are written. So a
//! write that failed leaves the chain where it was. A frame is sealed to its segment: one that moves on to the next is
//! encoded anew.

use std::time::SystemTime;

use countersign_model::{ApprovalId, Durability, Name, OperationId, RecordingId};
use countersign_wire::v1;
use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::{
    body,
    bounds::{MAGIC, MAX_FRAME_HEADER, MAX_SEGMENT_HEADER, MAX_UNFINISHED, TRAILER_MARK},
    chain::{self, Link},
    convert,
    entry::{Entry, FrameKind},
    reader::{self, Part, SegmentReader},
    seal::{ContentKey, RecordingKey},
    segment,
};

/// What a segment begins with.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The recording that it belongs to.
    pub recording: RecordingId,
    /// Counts from 0.
    pub number: u32,
    /// The edge that writes it.
    pub edge: Name,
    /// The process that writes it.
    pub boot_id: [u8; 16],
    /// Sequence of its first frame.
    pub first_sequence: u64,
    /// Link of the frame before; of a first segment [`crate::chain_start`].
    pub previous_link: Link,
    /// Intents of earlier segments without an outcome, at most [`MAX_UNFINISHED`].
    pub unfinished: Vec<Unfinished>,
    /// Intents before this segment.
    pub operations: u64,
    /// Refusals before this segment.
    pub refusals: u64,
}

/// An intent that has no outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// The operation.
    pub operation: OperationId,
    /// The approval that it spent.
    pub approval: Option<ApprovalId>,
}

/// Why something cannot be put into the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The entry is larger than a body may be.
    #[error("the entry is larger than a frame may be")]
    TooLarge,
    /// More intents without an outcome than a header can carry over.
    #[error("too many intents have no outcome")]
    TooManyUnfinished,
    /// It could not be sealed, or the segment's content key is gone: that of a segment that was read again, or is
    /// finished.
    #[error("nothing can be sealed in this segment")]
    Seal,
}

/// A frame was committed that was not encoded at the present end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame does not continue the chain")]
pub struct OutOfOrder;

/// The place that a frame has in its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Counts from 0 over the whole recording.
    pub sequence: u64,
    /// Hash of everything up to and including the frame.
    pub link: Link,
}

/// A frame as it is stored, for one `write`.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    bytes: Vec<u8>,
    previous: Link,
    recorded: Recorded,
    kind: FrameKind,
}

impl EncodedFrame {
    /// What to append, whole.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The running state of one segment.
#[derive(Debug)]
pub struct SegmentWriter {
    /// None in a segment that another process began.
    key: Option<ContentKey>,
    /// Over every byte of the segment so far.
    hash: Sha256,
    len: usize,
    frames: u32,
    next_sequence: u64,
    link: Link,
    closed: bool,
}

impl SegmentWriter {
    /// Begins a segment that is sealed to `to`; the bytes are its magic and header.
    ///
    /// # Errors
    /// [`EncodeError::TooManyUnfinished`], [`EncodeError::Seal`].
    pub fn begin(beginning: &Beginning, to: &RecordingKey) -> Result<(Self, Vec<u8>), EncodeError> {
        let mut header = header(beginning);
        let key = ContentKey::draw(&mut header, to).map_err(|_| EncodeError::Seal)?;
        if beginning.unfinished.len() > MAX_UNFINISHED || header.encoded_len() > MAX_SEGMENT_HEADER {
            return Err(EncodeError::TooManyUnfinished);
        }
        let mut bytes = MAGIC.to_vec();
        put_prefixed(&mut bytes, &header.encode_to_vec());
        Ok((Self::after_header(&header, Some(key), beginning.previous_link, &bytes), bytes))
    }

    fn after_header(header: &v1::SegmentHeader, key: Option<ContentKey>, link: Link, bytes: &[u8]) -> Self {
        Self {
            key,
            hash: Sha256::new().chain_update(bytes),
            len: bytes.len(),
            frames: 0,
            next_sequence: header.first_sequence,
            link,
            closed: false,
        }
    }

    /// Encodes the frame that comes next in the chain.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] if the body does not fit its bounds, [`EncodeError::Seal`].
    pub fn encode(
        &self,
        entry: &Entry,
        at: SystemTime,
        durability: Durability,
    ) -> Result<EncodedFrame, EncodeError> {
        let key = self.key.as_ref().ok_or(EncodeError::Seal)?;
        let header = convert::header(self.next_sequence, at, durability, entry).encode_to_vec();
        if header.len() > MAX_FRAME_HEADER {
            return Err(EncodeError::TooLarge);
        }
        let body = body::compress(&convert::body(entry)).map_err(|_| EncodeError::TooLarge)?;
        let body = key.seal(&header, body).map_err(|_| EncodeError::Seal)?;
        let mut bytes = Vec::with_capacity(header.len().saturating_add(body.len()).saturating_add(40));
        put_prefixed(&mut bytes, &header);
        put_prefixed(&mut bytes, &body);
        let link = chain::next(&self.link, &bytes);
        bytes.extend_from_slice(&link);
        let recorded = Recorded { sequence: self.next_sequence, link };
        Ok(EncodedFrame { bytes, previous: self.link, recorded, kind: entry.kind() })
    }

    /// Takes note that the frame is written.
    ///
    /// # Errors
    /// [`OutOfOrder`] if it was encoded elsewhere, or after a Close; then nothing changes.
    pub fn commit(&mut self, frame: &EncodedFrame) -> Result<Recorded, OutOfOrder> {
        let follows = frame.recorded.sequence == self.next_sequence && frame.previous == self.link;
        if !follows || self.closed {
            return Err(OutOfOrder);
        }
        self.advance(&frame.bytes, frame.recorded.link, frame.kind);
        Ok(frame.recorded)
    }

    fn advance(&mut self, bytes: &[u8], link: Link, kind: FrameKind) {
        self.hash.update(bytes);
        self.len = self.len.saturating_add(bytes.len());
        self.frames = self.frames.saturating_add(1);
        self.next_sequence = self.next_sequence.saturating_add(1);
        self.link = link;
        self.closed = kind == FrameKind::Close;
    }

    /// The trailer, signed; nothing may be appended after it. It is the recording's last if the last frame is a
    /// Close.
    pub fn finish(&self, key: &SigningKey) -> Vec<u8> {
        let digest: [u8; 32] = self.hash.clone().finalize().into();
        let signed = segment::signed_bytes(&digest, self.frames, &self.link, self.closed);
        let trailer = v1::SegmentTrailer {
            frame_count: self.frames,
            last_link: self.link.to_vec(),
            last: self.closed,
            signature: key.sign(&signed).to_bytes().to_vec(),
            signing_key: key.verifying_key().to_bytes().to_vec(),
        };
        let mut bytes = TRAILER_MARK.to_le_bytes().to_vec();
        put_prefixed(&mut bytes, &trailer.encode_to_vec());
        bytes
    }

    /// As whoever has opened the content key could go on.
    #[cfg(test)]
    pub(crate) fn with_key(self, key: ContentKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Forgets the content key: nothing is encoded in this segment any more. To be called once the trailer is written.
    pub fn forget_key(&mut self) {
        self.key = None;
    }

    /// Bytes so far, without the trailer.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no frame yet.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Whether its last frame is a Close.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sequence of the frame that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Link of the frame written last.
    pub fn link(&self) -> Link {
        self.link
    }
}

/// A segment found on a disk, read as far as it is whole.
#[derive(Debug)]
pub struct Resumed {
    /// Its header.
    pub header: v1::SegmentHeader,
    /// Headers of the whole frames.
    pub frames: Vec<v1::FrameHeader>,
    /// At the end of the last whole frame. It has no content key: it can be finished, and nothing be added.
    pub writer: SegmentWriter,
    /// Bytes up to the end of the last whole frame; what follows is torn.
    pub kept: usize,
    /// Set if the segment is whole to its end: then it must stay as it is.
    pub trailer: Option<v1::SegmentTrailer>,
}

impl Resumed {
    /// Reads a segment that a crash may have torn. A frame is whole if its link continues the chain.
    /// `None` if not even the header is whole: then nothing was ever recorded in it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = SegmentReader::new(bytes);
        let Ok(Some(Part::Header(header))) = reader.next_part() else { return None };
        let link = Link::try_from(header.previous_link.as_slice()).ok()?;
        let kept = reader.offset();
        let writer = SegmentWriter::after_header(&header, None, link, bytes.get(..kept)?);
        let mut resumed = Self { header, frames: Vec::new(), writer, kept, trailer: None };
        while let Ok(Some(part)) = reader.next_part() {
            match part {
                Part::Frame(frame) if resumed.takes(&frame) => resumed.kept = reader.offset(),
                Part::Trailer(trailer) if resumed.is_ended_by(&trailer) && reader.offset() == bytes.len() => {
                    resumed.trailer = Some(trailer);
                }
                Part::Header(_) | Part::Frame(_) | Part::Trailer(_) => break,
            }
        }
        Some(resumed)
    }

    fn takes(&mut self, frame: &reader::FrameView<'_>) -> bool {
        let in_order = frame.header.sequence == self.writer.next_sequence
            && frame.follows(&self.writer.link)
            && !self.writer.closed;
        let Some(kind) = convert::kind(&frame.header).filter(|_| in_order) else { return false };
        self.writer.advance(frame.stored, frame.link, kind);
        self.frames.push(frame.header.clone());
        true
    }

    fn is_ended_by(&self, trailer: &v1::SegmentTrailer) -> bool {
        let digest: [u8; 32] = self.writer.hash.clone().finalize().into();
        trailer.frame_count == self.writer.frames
            && trailer.last_link == self.writer.link
            && trailer.last == self.writer.closed
            && segment::signed_by_own_key(trailer, &digest)
    }
}

fn header(beginning: &Beginning) -> v1::SegmentHeader {
    let unfinished = |intent: &Unfinished| v1::UnfinishedIntent {
        operation_id: intent.operation.to_string(),
        approval_id: intent.approval.map(|id| id.to_string()).unwrap_or_default(),
    };
    v1::SegmentHeader {
        recording_id: beginning.recording.to_string(),
        number: beginning.number,
        edge: beginning.edge.to_string(),
        boot_id: beginning.boot_id.to_vec(),
        first_sequence: beginning.first_sequence,
        previous_link: beginning.previous_link.to_vec(),
        unfinished: beginning.unfinished.iter().map(unfinished).collect(),
        operations: beginning.operations,
        refusals: beginning.refusals,
        content_key: Vec::new(),
    }
}

/// Lengths are bounded by the caller, far below 4 GiB.
fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_frame_encoded_twice_is_committed_once() {
        let recording = RecordingId::generate();
        let (mut writer, _) =
            SegmentWriter::begin(&fixture::beginning(recording), &fixture::recording_key()).unwrap();
        let open = fixture::open(recording);
        let frame = writer.encode(&open, fixture::at(), Durability::Fsync).unwrap();
        let again = writer.encode(&open, fixture::at(), Durability::Fsync).unwrap();
        assert_eq!(writer.commit(&frame).map(|recorded| recorded.sequence), Ok(0));
        assert_eq!(writer.commit(&again), Err(OutOfOrder));
    }

    #[test]
    fn nothing_follows_a_close() {
        let recording = RecordingId::generate();
        let (mut writer, _) =
            SegmentWriter::begin(&fixture::beginning(recording), &fixture::recording_key()).unwrap();
        let close = writer.encode(&fixture::close(), fixture::at(), Durability::Fsync).unwrap();
        writer.commit(&close).unwrap();
        let late = writer.encode(&fixture::close(), fixture::at(), Durability::Fsync).unwrap();
        assert_eq!(writer.commit(&late), Err(OutOfOrder));
    }

    #[test]
    fn more_unfinished_intents_than_the_header_holds_are_refused() {
        let mut beginning = fixture::beginning(RecordingId::generate());
        let intent =
            Unfinished { operation: OperationId::generate(), approval: Some(ApprovalId::generate()) };
        beginning.unfinished = vec![intent; MAX_UNFINISHED];
        let begin = |beginning: &Beginning| SegmentWriter::begin(beginning, &fixture::recording_key()).err();
        assert_eq!(begin(&beginning), None);
        beginning.unfinished.push(intent);
        assert_eq!(begin(&beginning), Some(EncodeError::TooManyUnfinished));
    }

    #[test]
    fn without_its_content_key_a_segment_is_finished_and_no_more() {
        let recording = RecordingId::generate();
        let (mut writer, mut bytes) =
            SegmentWriter::begin(&fixture::beginning(recording), &fixture::recording_key()).unwrap();
        let open = writer.encode(&fixture::open(recording), fixture::at(), Durability::Fsync).unwrap();
        writer.commit(&open).unwrap();
        bytes.extend_from_slice(open.bytes());
        let resumed = Resumed::read(&bytes).unwrap().writer;
        writer.forget_key();
        for writer in [writer, resumed] {
            let late = writer.encode(&fixture::close(), fixture::at(), Durability::Fsync);
            assert_eq!(late.err(), Some(EncodeError::Seal));
            assert!(!format!("{writer:?}").contains("secret"));
            let whole = [&bytes[..], &writer.finish(&fixture::edge_key())].concat();
            assert!(crate::check_opened_segment(&whole, &fixture::opening_key()).is_ok());
        }
    }

    #[test]
    fn nothing_is_sealed_to_a_key_that_everybody_agrees_with() {
        let beginning = fixture::beginning(RecordingId::generate());
        let refused = SegmentWriter::begin(&beginning, &RecordingKey::from_bytes([0; 32]));
        assert_eq!(refused.err(), Some(EncodeError::Seal));
    }

    #[test]
    fn a_torn_segment_is_read_to_its_last_whole_frame_wherever_it_tears() {
        let segment = fixture::recording(1, 4).remove(0);
        let whole = Resumed::read(&segment).unwrap();
        assert!(whole.trailer.is_some());
        let ends = fixture::part_ends(&segment);
        for cut in 0..segment.len() {
            let torn = &segment[..cut];
            let expected = ends.iter().copied().rfind(|end| *end <= cut);
            assert_eq!(Resumed::read(torn).map(|resumed| resumed.kept), expected, "cut at {cut}");
            assert!(Resumed::read(torn).is_none_or(|resumed| resumed.trailer.is_none()));
        }
    }
}
