//! A recording as a person reads it: its frames in order. Replaying proves nothing; see [`crate::verify`].

use crate::{
    convert::InvalidFrame,
    entry::{Frame, SealedFrame},
    reader::{FrameView, Malformed, Part, SegmentReader},
    seal::ContentKey,
};

/// Why a recording cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A segment is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A frame is malformed.
    #[error("frame {sequence}: {cause}")]
    Frame {
        /// Which, by its own word.
        sequence: u64,
        /// How.
        cause: InvalidFrame,
    },
}

/// A segment, and what opens it.
#[derive(Debug, Clone, Copy)]
pub struct StoredSegment<'a> {
    /// The whole object.
    pub bytes: &'a [u8],
    /// Its content key, if the reader has it.
    pub content_key: Option<&'a [u8]>,
}

/// A frame as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// All of it.
    Opened(Box<Frame>),
    /// What stands in the clear: there was no content key.
    Sealed(SealedFrame),
}

/// The frames of segments, given in the order of their numbers. After an error it goes on with the next frame
/// if only that frame's content was malformed, else with the next segment. A torn segment ends where it tears.
pub fn replay<'a>(
    segments: impl IntoIterator<Item = StoredSegment<'a>>,
) -> impl Iterator<Item = Result<Replayed, ReplayError>> {
    segments.into_iter().flat_map(frames)
}

fn frames(segment: StoredSegment<'_>) -> impl Iterator<Item = Result<Replayed, ReplayError>> {
    let mut reader = Some(SegmentReader::new(segment.bytes));
    let mut key = None;
    std::iter::from_fn(move || {
        loop {
            match reader.as_mut()?.next_part() {
                Ok(Some(Part::Frame(frame))) => return Some(replayed(&frame, key.as_ref())),
                Ok(Some(Part::Header(header))) => {
                    let content_key = segment.content_key.map(|secret| ContentKey::of(&header, secret));
                    key = content_key.map(|key| key.map_err(|_| InvalidFrame::Seal));
                }
                Ok(Some(Part::Trailer(_))) => {}
                Ok(None) => reader = None,
                Err(malformed) => {
                    reader = None;
                    return Some(Err(malformed.into()));
                }
            }
        }
    })
}

fn replayed(
    frame: &FrameView<'_>,
    key: Option<&Result<ContentKey, InvalidFrame>>,
) -> Result<Replayed, ReplayError> {
    let read = match key {
        Some(Ok(key)) => frame.decode(key).map(Box::new).map(Replayed::Opened),
        Some(Err(cause)) => Err(*cause),
        None => frame.sealed().map(Replayed::Sealed),
    };
    read.map_err(|cause| ReplayError::Frame { sequence: frame.header.sequence, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameKind, fixture};

    #[test]
    fn frames_come_in_order_across_segments() {
        let frames = fixture::frames(&fixture::recording(3, 4));
        assert!(frames.iter().map(|frame| frame.sequence).eq(0..12));
        assert_eq!(frames.first().map(|frame| frame.entry.kind()), Some(FrameKind::Open));
        assert_eq!(frames.last().map(|frame| frame.entry.kind()), Some(FrameKind::Close));
    }

    #[test]
    fn without_keys_there_is_what_stands_in_the_clear() {
        let segments = fixture::recording(3, 4);
        let opened = fixture::frames(&segments);
        let stored = segments.iter().map(|bytes| StoredSegment { bytes, content_key: None });
        let sealed: Vec<_> = replay(stored).map(Result::unwrap).collect();
        assert_eq!(sealed.len(), opened.len());
        for (sealed, frame) in sealed.iter().zip(&opened) {
            let Replayed::Sealed(sealed) = sealed else { panic!("opened without a key") };
            assert_eq!((sealed.sequence, sealed.kind), (frame.sequence, frame.entry.kind()));
            assert_eq!(
                (sealed.operation, sealed.approval),
                (frame.entry.operation(), frame.entry.approval())
            );
            assert_eq!((sealed.outcome, sealed.at), (frame.entry.outcome(), frame.at));
        }
    }

    #[test]
    fn what_is_malformed_is_said_and_the_rest_still_comes() {
        let segments = fixture::recording(2, 4);
        let key = fixture::content_key(&segments[1]);
        let garbage = StoredSegment { bytes: b"CSxx", content_key: None };
        let whole = StoredSegment { bytes: &segments[1], content_key: Some(key.as_bytes()) };
        let frames: Vec<_> = replay([garbage, whole]).collect();
        assert_eq!(frames[0], Err(ReplayError::Malformed(Malformed::Magic)));
        assert_eq!(frames.len(), 1 + 4);
        assert!(frames[1..].iter().all(Result::is_ok));
        for wrong in [&[7; 32][..], &[7; 31], &[]] {
            let wrong = StoredSegment { bytes: &segments[1], content_key: Some(wrong) };
            let cause = InvalidFrame::Seal;
            let expected: Vec<_> =
                (4..8).map(|sequence| Err(ReplayError::Frame { sequence, cause })).collect();
            assert_eq!(replay([wrong]).collect::<Vec<_>>(), expected);
        }
    }
}
