//! One whole segment, judged by itself: what a control plane asks before it archives one.
//!
//! Passing means that form and chain are right and that the trailer's own key signed it; with the key that recordings
//! are sealed to, also that every body opens and is right. Whose key signed it, and whether the segment continues its
//! recording, is asked by [`crate::manifest::extend`].

use countersign_model::{Name, RecordingId};
use countersign_wire::v1;
use ed25519_dalek::{Signature, VerifyingKey};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    bounds::{MAX_SEGMENTS, MAX_UNFINISHED},
    chain::{self, Link},
    convert::InvalidFrame,
    entry::{Entry, FrameKind},
    reader::{FrameView, Malformed, Part, SegmentReader},
    seal::{ContentKey, OpeningKey, SealError},
};

const SIGNED: &[u8] = b"countersign/segment/v1\0";

/// What is known of a segment that is right in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSegment {
    /// The recording that it names.
    pub recording: RecordingId,
    /// The number that it names.
    pub number: u32,
    /// The edge that it names.
    pub edge: Name,
    /// The process that began it.
    pub boot_id: [u8; 16],
    /// Sequence of its first frame.
    pub first_sequence: u64,
    /// Link before its first frame.
    pub previous_link: Link,
    /// At least 1.
    pub frame_count: u32,
    /// Link of its last frame.
    pub last_link: Link,
    /// It ends the recording.
    pub last: bool,
    /// The key that signed it.
    pub signing_key: [u8; 32],
    /// SHA-256 of the whole object.
    pub sha256: [u8; 32],
    /// Length of the whole object in bytes.
    pub bytes: u64,
}

/// What is wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It is not of the form.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It ends before its trailer does.
    #[error("the segment is cut")]
    Cut,
    /// A field of its header or trailer is malformed or contradicts the frames.
    #[error("the header or trailer contradicts the segment")]
    Inconsistent,
    /// Its number is beyond what a recording may have.
    #[error("the recording has too many segments")]
    TooMany,
    /// A frame does not continue the chain.
    #[error("frame {0} does not continue the chain")]
    Chain(u64),
    /// Its content key, or the recording's hash key, does not open.
    #[error("the seal of the segment: {0}")]
    Seal(#[from] SealError),
    /// A frame is malformed.
    #[error("frame {0}: {1}")]
    Frame(u64, InvalidFrame),
    /// Open is not the first frame of the recording and only there, or something follows Close.
    #[error("frame {0} is out of place")]
    OutOfPlace(u64),
    /// The signature is not that of the key that the trailer names.
    #[error("the signature does not verify")]
    Signature,
}

/// Judges a whole segment by what stands in the clear.
///
/// # Errors
/// [`SegmentError`] names what was found first.
pub fn check_segment(bytes: &[u8]) -> Result<CheckedSegment, SegmentError> {
    check(bytes, |_| Ok(None))
}

/// Judges a whole segment, what is sealed included.
///
/// # Errors
/// As [`check_segment`]; [`SegmentError::Seal`] if it is sealed to another key.
pub fn check_opened_segment(bytes: &[u8], key: &OpeningKey) -> Result<CheckedSegment, SegmentError> {
    check(bytes, |header| {
        let recording = header.recording_id.parse().map_err(|_| SegmentError::Inconsistent)?;
        let content_key = key.open_content_key(header)?;
        Ok(Some(Opener { key, content_key, recording }))
    })
}

/// Opens what is sealed in a segment.
struct Opener<'a> {
    key: &'a OpeningKey,
    content_key: ContentKey,
    recording: RecordingId,
}

impl Opener<'_> {
    fn open(&self, frame: &FrameView<'_>, sequence: u64) -> Result<FrameKind, SegmentError> {
        let entry =
            frame.decode(&self.content_key).map_err(|cause| SegmentError::Frame(sequence, cause))?.entry;
        if let Entry::Open(open) = &entry
            && !open.hash_key.is_empty()
        {
            self.key.open_hash_key(self.recording, &open.hash_key)?;
        }
        Ok(entry.kind())
    }
}

fn check<'a>(
    bytes: &[u8],
    opener: impl FnOnce(&v1::SegmentHeader) -> Result<Option<Opener<'a>>, SegmentError>,
) -> Result<CheckedSegment, SegmentError> {
    let mut reader = SegmentReader::new(bytes);
    let Some(Part::Header(header)) = reader.next_part()? else { return Err(SegmentError::Cut) };
    let mut run = Run::begin(&header)?;
    let opener = opener(&header)?;
    let (trailer, end) = loop {
        let end = reader.offset();
        match reader.next_part()?.ok_or(SegmentError::Cut)? {
            Part::Frame(frame) => run.take(&frame, opener.as_ref())?,
            Part::Trailer(trailer) => break (trailer, end),
            Part::Header(_) => return Err(SegmentError::Inconsistent),
        }
    };
    // Asks for the end: whatever follows the trailer is malformed.
    reader.next_part()?;
    // The signature covers what the trailer says, not its bytes: only one spelling of it is taken.
    let encoded = bytes.get(end.saturating_add(8)..).unwrap_or_default();
    if encoded != trailer.encode_to_vec() {
        return Err(SegmentError::Inconsistent);
    }
    let digest = sha256(bytes.get(..end).unwrap_or_default());
    run.end(&header, &trailer, &digest, bytes)
}

/// The chain as far as it was followed.
struct Run {
    previous_link: Link,
    link: Link,
    next_sequence: u64,
    frames: u32,
    closed: bool,
}

impl Run {
    fn begin(header: &v1::SegmentHeader) -> Result<Self, SegmentError> {
        let link: Link = fixed(&header.previous_link)?;
        let starts = header.first_sequence == 0;
        if header.number >= MAX_SEGMENTS {
            return Err(SegmentError::TooMany);
        }
        if starts != (header.number == 0) || (starts && link != chain::start(&header.recording_id)) {
            return Err(SegmentError::Inconsistent);
        }
        let next_sequence = header.first_sequence;
        Ok(Self { previous_link: link, link, next_sequence, frames: 0, closed: false })
    }

    fn take(&mut self, frame: &FrameView<'_>, opener: Option<&Opener<'_>>) -> Result<(), SegmentError> {
        let sequence = self.next_sequence;
        if frame.header.sequence != sequence || !frame.follows(&self.link) {
            return Err(SegmentError::Chain(sequence));
        }
        let in_the_clear = frame.sealed().map_err(|cause| SegmentError::Frame(sequence, cause))?.kind;
        let kind = match opener {
            Some(opener) => opener.open(frame, sequence)?,
            None => in_the_clear,
        };
        if self.closed || (kind == FrameKind::Open) != (sequence == 0) {
            return Err(SegmentError::OutOfPlace(sequence));
        }
        self.closed = kind == FrameKind::Close;
        self.link = frame.link;
        self.frames = self.frames.saturating_add(1);
        self.next_sequence = sequence.checked_add(1).ok_or(SegmentError::Inconsistent)?;
        Ok(())
    }

    fn end(
        self,
        header: &v1::SegmentHeader,
        trailer: &v1::SegmentTrailer,
        digest: &[u8; 32],
        bytes: &[u8],
    ) -> Result<CheckedSegment, SegmentError> {
        let agrees = trailer.frame_count == self.frames
            && trailer.last_link == self.link
            && trailer.last == self.closed
            && self.frames > 0
            && header.unfinished.len() <= MAX_UNFINISHED;
        if !agrees {
            return Err(SegmentError::Inconsistent);
        }
        if !signed_by_own_key(trailer, digest) {
            return Err(SegmentError::Signature);
        }
        Ok(CheckedSegment {
            recording: header.recording_id.parse().map_err(|_| SegmentError::Inconsistent)?,
            number: header.number,
            edge: header.edge.parse().map_err(|_| SegmentError::Inconsistent)?,
            boot_id: fixed(&header.boot_id)?,
            first_sequence: header.first_sequence,
            previous_link: self.previous_link,
            frame_count: self.frames,
            last_link: self.link,
            last: self.closed,
            signing_key: fixed(&trailer.signing_key)?,
            sha256: sha256(bytes),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        })
    }
}

/// What a segment's signature is over. `digest`: SHA-256 of everything before the trailer.
pub(crate) fn signed_bytes(digest: &[u8; 32], frame_count: u32, last_link: &[u8], last: bool) -> Vec<u8> {
    [SIGNED, digest, &frame_count.to_le_bytes(), last_link, &[u8::from(last)]].concat()
}

/// Whether the key that the trailer names signed it. Says nothing about whose key that is.
pub(crate) fn signed_by_own_key(trailer: &v1::SegmentTrailer, digest: &[u8; 32]) -> bool {
    let key = <[u8; 32]>::try_from(trailer.signing_key.as_slice()).ok();
    let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    let signature = Signature::from_slice(&trailer.signature).ok();
    let signed = signed_bytes(digest, trailer.frame_count, &trailer.last_link, trailer.last);
    key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(&signed, &signature).is_ok())
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], SegmentError> {
    bytes.try_into().map_err(|_| SegmentError::Inconsistent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn segments_of_a_recording_pass_and_say_what_they_are() {
        let segments = fixture::recording(3, 4);
        let checked: Vec<_> = segments.iter().map(|segment| check_segment(segment).unwrap()).collect();
        assert!(checked.iter().map(|segment| segment.number).eq(0..3));
        assert!(checked.iter().map(|segment| segment.first_sequence).eq([0, 4, 8]));
        assert!(checked.iter().map(|segment| segment.last).eq([false, false, true]));
        assert_eq!(checked[1].previous_link, checked[0].last_link);
        assert_eq!(checked[0].signing_key, fixture::edge_key().verifying_key().to_bytes());
    }

    #[test]
    fn a_recording_has_so_many_segments_and_no_more() {
        let recording = fixture::recording(1, 1).remove(0);
        let recording = check_segment(&recording).unwrap().recording;
        let numbered = |number| {
            let beginning = crate::Beginning { number, first_sequence: 9, ..fixture::beginning(recording) };
            let (mut writer, mut bytes) =
                crate::SegmentWriter::begin(&beginning, &fixture::recording_key()).unwrap();
            let intent = fixture::intent(countersign_model::OperationId::generate(), None);
            let frame = writer.encode(&intent, fixture::at(), countersign_model::Durability::Fsync).unwrap();
            bytes.extend_from_slice(frame.bytes());
            writer.commit(&frame).unwrap();
            bytes.extend_from_slice(&writer.finish(&fixture::edge_key()));
            check_segment(&bytes).map(|segment| segment.number)
        };
        assert_eq!(numbered(MAX_SEGMENTS - 1), Ok(MAX_SEGMENTS - 1));
        assert_eq!(numbered(MAX_SEGMENTS), Err(SegmentError::TooMany));
    }

    #[test]
    fn a_trailer_has_one_spelling() {
        let segment = fixture::recording(1, 3).remove(0);
        let end = *fixture::part_ends(&segment).last().unwrap();
        // The frame count twice: the second one counts.
        let trailer = [&[8, 7], &segment[end + 8..]].concat();
        let len = u32::try_from(trailer.len()).unwrap().to_le_bytes();
        let other = [&segment[..end + 4], &len, &trailer].concat();
        assert_eq!(check_segment(&other), Err(SegmentError::Inconsistent));
    }

    #[test]
    fn no_byte_can_be_another() {
        let segment = fixture::recording(1, 4).remove(0);
        for at in 0..segment.len() {
            for bit in 0..8 {
                let mut flipped = segment.clone();
                flipped[at] ^= 1 << bit;
                assert!(check_segment(&flipped).is_err(), "byte {at}, bit {bit}");
            }
            let mut flipped = segment.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(check_opened_segment(&flipped, &fixture::opening_key()).is_err(), "byte {at}");
            assert!(check_segment(&segment[..at]).is_err(), "cut at {at}");
        }
    }
}
