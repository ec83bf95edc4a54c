//! Reading a segment: one part after the other, in place.
//!
//! "Not all of it is there yet" is `None`, malformed is an error, and every length is compared with its bound
//! before a byte behind it is touched. Reading checks form alone; what the parts say is [`crate::verify`]'s.

use countersign_wire::v1;
use prost::Message;

use crate::{
    body,
    bounds::{MAGIC, MAX_BODY, MAX_FRAME_HEADER, MAX_SEGMENT, MAX_SEGMENT_HEADER, MAX_TRAILER, TRAILER_MARK},
    chain::{self, Link},
    convert::{self, InvalidFrame},
    entry::{Frame, SealedFrame},
    seal::ContentKey,
};

/// How bytes can fail to be a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first four bytes are not the magic.
    #[error("this is no segment")]
    Magic,
    /// A length is larger than its bound.
    #[error("a length is out of bounds")]
    Length,
    /// A header or trailer is no protobuf message of its kind.
    #[error("a header or trailer cannot be decoded")]
    Message,
    /// Something follows the trailer.
    #[error("something follows the trailer")]
    AfterTrailer,
}

/// A frame in place.
#[derive(Debug, Clone)]
pub struct FrameView<'a> {
    /// What is in the clear.
    pub header: v1::FrameHeader,
    /// The same as it is stored: the body is bound to these bytes.
    encoded_header: &'a [u8],
    /// The body as stored, sealed.
    pub body: &'a [u8],
    /// The link as stored.
    pub link: Link,
    /// The whole frame as stored.
    pub stored: &'a [u8],
    /// The part of it that the link covers.
    chained: &'a [u8],
}

impl FrameView<'_> {
    /// Whether the stored link is that of this frame after `previous`.
    pub fn follows(&self, previous: &Link) -> bool {
        self.link_after(previous) == self.link
    }

    /// The link that this frame has after `previous`.
    pub(crate) fn link_after(&self, previous: &Link) -> Link {
        chain::next(previous, self.chained)
    }

    /// Whether its header is written as ours are.
    pub(crate) fn is_plainly_spelt(&self) -> bool {
        self.header.encode_to_vec() == self.encoded_header
    }

    /// What the frame says in the clear.
    ///
    /// # Errors
    /// [`InvalidFrame`] names the first field that is malformed.
    pub fn sealed(&self) -> Result<SealedFrame, InvalidFrame> {
        convert::sealed_frame(&self.header)
    }

    /// What the frame says.
    ///
    /// # Errors
    /// [`InvalidFrame::Seal`] if its body is not one that was sealed under this key for this place, else the first
    /// field that is malformed.
    pub fn decode(&self, key: &ContentKey) -> Result<Frame, InvalidFrame> {
        let body = key.open(self.encoded_header, self.body).map_err(|_| InvalidFrame::Seal)?;
        let body = body::decompress(&body).map_err(|_| InvalidFrame::Body)?;
        convert::frame(&self.header, body)
    }
}

/// One part of a segment.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// First.
    Header(v1::SegmentHeader),
    /// Any number.
    Frame(FrameView<'a>),
    /// Last.
    Trailer(v1::SegmentTrailer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Header,
    Frames,
    Nothing,
}

/// Reads the parts of a segment, or of the beginning of one.
#[derive(Debug, Clone)]
pub struct SegmentReader<'a> {
    bytes: &'a [u8],
    /// Never beyond the end of `bytes`.
    offset: usize,
    expect: Expect,
}

impl<'a> SegmentReader<'a> {
    /// Over what is there of a segment.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, expect: Expect::Header }
    }

    /// The next part; `None` if it is not there whole, or after the trailer. An error is repeated.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn next_part(&mut self) -> Result<Option<Part<'a>>, Malformed> {
        if self.bytes.len() > MAX_SEGMENT {
            return Err(Malformed::Length);
        }
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let taken = match self.expect {
            Expect::Header => header(rest)?.map(|(header, len)| (Part::Header(header), len)),
            Expect::Frames => frame_or_trailer(rest)?,
            Expect::Nothing if rest.is_empty() => None,
            Expect::Nothing => return Err(Malformed::AfterTrailer),
        };
        Ok(taken.map(|(part, len)| {
            self.offset = self.offset.saturating_add(len);
            self.expect = if matches!(part, Part::Trailer(_)) { Expect::Nothing } else { Expect::Frames };
            part
        }))
    }

    /// Bytes read so far: the end of the last whole part.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the trailer has been read.
    pub fn is_finished(&self) -> bool {
        self.expect == Expect::Nothing
    }
}

/// A part and how many bytes it takes.
type Taken<T> = Option<(T, usize)>;

pub(crate) fn header(bytes: &[u8]) -> Result<Taken<v1::SegmentHeader>, Malformed> {
    let magic = bytes.get(..MAGIC.len().min(bytes.len())).unwrap_or_default();
    if !MAGIC.starts_with(magic) {
        return Err(Malformed::Magic);
    }
    let Some(rest) = bytes.get(MAGIC.len()..) else { return Ok(None) };
    let Some((encoded, rest)) = prefixed(rest, MAX_SEGMENT_HEADER)? else { return Ok(None) };
    let header = decode(encoded)?;
    Ok(Some((header, bytes.len().saturating_sub(rest.len()))))
}

pub(crate) fn frame_or_trailer(bytes: &[u8]) -> Result<Taken<Part<'_>>, Malformed> {
    let Some((mark, rest)) = length(bytes) else { return Ok(None) };
    if mark == TRAILER_MARK {
        let Some((encoded, rest)) = prefixed(rest, MAX_TRAILER)? else { return Ok(None) };
        let trailer = decode(encoded)?;
        return Ok(Some((Part::Trailer(trailer), bytes.len().saturating_sub(rest.len()))));
    }
    let Some((header, rest)) = prefixed(bytes, MAX_FRAME_HEADER)? else { return Ok(None) };
    let Some((body, rest)) = prefixed(rest, MAX_BODY)? else { return Ok(None) };
    let Some((link, rest)) = rest.split_first_chunk::<32>() else { return Ok(None) };
    let len = bytes.len().saturating_sub(rest.len());
    let stored = bytes.get(..len).unwrap_or_default();
    let chained = bytes.get(..len.saturating_sub(link.len())).unwrap_or_default();
    let encoded_header = header;
    let header = decode(header)?;
    let frame = FrameView { header, encoded_header, body, link: *link, stored, chained };
    Ok(Some((Part::Frame(frame), len)))
}

/// What was asked for, and what is behind it.
type Split<'a> = Option<(&'a [u8], &'a [u8])>;

fn prefixed(bytes: &[u8], bound: usize) -> Result<Split<'_>, Malformed> {
    let Some((len, rest)) = length(bytes) else { return Ok(None) };
    let len = usize::try_from(len).ok().filter(|len| *len <= bound).ok_or(Malformed::Length)?;
    Ok(rest.split_at_checked(len))
}

fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*len), rest))
}

fn decode<M: Message + Default>(encoded: &[u8]) -> Result<M, Malformed> {
    M::decode(encoded).map_err(|_| Malformed::Message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    fn drain(bytes: &[u8]) -> (usize, Result<bool, Malformed>) {
        let key = fixture::any_content_key();
        let mut reader = SegmentReader::new(bytes);
        let mut parts = 0;
        loop {
            match reader.next_part() {
                Ok(Some(Part::Frame(frame))) => {
                    let _ = (frame.sealed(), frame.decode(&key));
                    parts += 1;
                }
                Ok(Some(_)) => parts += 1,
                Ok(None) => return (parts, Ok(reader.is_finished())),
                Err(malformed) => return (parts, Err(malformed)),
            }
        }
    }

    #[test]
    fn whole_torn_and_malformed_are_told_apart() {
        let segment = fixture::recording(1, 3).remove(0);
        assert_eq!(drain(&segment), (fixture::part_ends(&segment).len() + 1, Ok(true)));
        for cut in 0..segment.len() {
            assert_eq!(drain(&segment[..cut]).1, Ok(false), "cut at {cut}");
        }
        let mut longer = segment.clone();
        longer.push(0);
        assert_eq!(drain(&longer).1, Err(Malformed::AfterTrailer));
        assert_eq!(drain(b"CSX").1, Err(Malformed::Magic));
        assert_eq!(drain(b"CSR1\x01\x40\x00\x00").1, Err(Malformed::Length));
        assert_eq!(drain(b"CSR1\xff\xff\xff\xff").1, Err(Malformed::Length));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2048), magic: bool) {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(b"CSR1");
            }
            let _ = drain(&bytes);
            let _ = crate::writer::Resumed::read(&bytes);
            let _ = crate::check_segment(&bytes);
            let _ = crate::check_opened_segment(&bytes, &fixture::opening_key());
        }

        #[test]
        fn mutated_segments_never_panic(at in any::<prop::sample::Index>(), to: u8, cut in any::<prop::sample::Index>()) {
            let mut segment = fixture::recording(1, 6).remove(0);
            let at = at.index(segment.len());
            segment[at] = to;
            segment.truncate(cut.index(segment.len() + 1));
            let _ = drain(&segment);
            let _ = crate::writer::Resumed::read(&segment);
            let _ = crate::check_segment(&segment);
            let _ = crate::check_opened_segment(&segment, &fixture::opening_key());
        }
    }
}
