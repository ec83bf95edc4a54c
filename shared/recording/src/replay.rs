//! A recording as a person reads it: its frames in order. Replaying proves nothing; see [`crate::verify`].

use crate::{
    convert::InvalidFrame,
    entry::Frame,
    reader::{Malformed, Part, SegmentReader},
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

/// The frames of segments, given in the order of their numbers. After an error it goes on with the next frame
/// if only that frame's content was malformed, else with the next segment. A torn segment ends where it tears.
pub fn replay<'a>(
    segments: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Result<Frame, ReplayError>> {
    segments.into_iter().flat_map(frames)
}

fn frames(segment: &[u8]) -> impl Iterator<Item = Result<Frame, ReplayError>> {
    let mut reader = Some(SegmentReader::new(segment));
    std::iter::from_fn(move || {
        loop {
            match reader.as_mut()?.next_part() {
                Ok(Some(Part::Frame(frame))) => {
                    let sequence = frame.header.sequence;
                    return Some(frame.decode().map_err(|cause| ReplayError::Frame { sequence, cause }));
                }
                Ok(Some(Part::Header(_) | Part::Trailer(_))) => {}
                Ok(None) => reader = None,
                Err(malformed) => {
                    reader = None;
                    return Some(Err(malformed.into()));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameKind, fixture};

    #[test]
    fn frames_come_in_order_across_segments() {
        let segments = fixture::recording(3, 4);
        let frames: Vec<Frame> =
            replay(segments.iter().map(Vec::as_slice)).collect::<Result<_, _>>().unwrap();
        assert!(frames.iter().map(|frame| frame.sequence).eq(0..12));
        assert_eq!(frames.first().map(|frame| frame.entry.kind()), Some(FrameKind::Open));
        assert_eq!(frames.last().map(|frame| frame.entry.kind()), Some(FrameKind::Close));
    }

    #[test]
    fn what_is_malformed_is_said_and_the_rest_still_comes() {
        let mut segments = fixture::recording(2, 4);
        segments[0].truncate(2);
        segments[0].extend_from_slice(b"xx");
        let frames: Vec<_> = replay(segments.iter().map(Vec::as_slice)).collect();
        assert_eq!(frames[0], Err(ReplayError::Malformed(Malformed::Magic)));
        assert_eq!(frames.len(), 1 + 4);
    }
}
