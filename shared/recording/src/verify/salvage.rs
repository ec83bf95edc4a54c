//! Reading what is left of a tampered segment.
//!
//! A frame is taken where it stands if its link continues the chain, or if what follows it can be read: then its
//! end is where it says. Where neither holds, a length was changed or bytes are gone: then the next place is
//! searched at which a frame can be read or its link continues from the 32 bytes before it. The search has a
//! budget, so that hostile bytes cost linear time; when it is spent the rest counts as lost.

use countersign_wire::v1;

use crate::{
    bounds::{MAX_FRAME_HEADER, MAX_SEGMENT_HEADER, TRAILER_MARK},
    chain::Link,
    convert,
    reader::{self, FrameView, Part},
};

/// Bytes that a search may hash in one segment.
const BUDGET: usize = 64 << 20;

/// What could be read of a segment.
#[derive(Debug, Default)]
pub(super) struct Remains<'a> {
    pub(super) header: Option<v1::SegmentHeader>,
    /// In the order in which they lie there.
    pub(super) frames: Vec<FrameView<'a>>,
    pub(super) trailer: Option<v1::SegmentTrailer>,
    /// Bytes before the trailer.
    pub(super) signed_len: usize,
}

/// Reads a segment as far as possible. `anchor`: the link before its first frame, if somebody vouches for it.
pub(super) fn salvage<'a>(bytes: &'a [u8], anchor: Option<&Link>) -> Remains<'a> {
    let mut remains = Remains { header: header(bytes), ..Remains::default() };
    let own = remains.header.as_ref().and_then(|header| Link::try_from(header.previous_link.as_slice()).ok());
    let anchors: Vec<Link> = anchor.copied().into_iter().chain(own).collect();
    let mut search = Search { bytes, anchors, budget: BUDGET };
    let mut offset = search.first_frame(remains.header.is_some());
    while let Some(at) = offset {
        let (part, end) = match search.part_at(at) {
            Some((part, end)) if search.stands(&part, at, end, remains.frames.last()) => (part, end),
            _ => {
                offset = search.resume_after(at);
                continue;
            }
        };
        match part {
            Part::Frame(frame) => remains.frames.push(frame),
            Part::Trailer(trailer) => {
                remains.trailer = Some(trailer);
                remains.signed_len = at;
                break;
            }
            Part::Header(_) => break,
        }
        offset = (end < bytes.len()).then_some(end);
    }
    remains
}

/// The header, even if the magic is damaged.
fn header(bytes: &[u8]) -> Option<v1::SegmentHeader> {
    let mut mended = bytes.get(..bytes.len().min(MAX_SEGMENT_HEADER.saturating_add(8)))?.to_vec();
    mended.get_mut(..4)?.copy_from_slice(&crate::bounds::MAGIC);
    let (header, _) = reader::header(&mended).ok()??;
    header.recording_id.starts_with("re_").then_some(header)
}

struct Search<'a> {
    bytes: &'a [u8],
    anchors: Vec<Link>,
    budget: usize,
}

impl<'a> Search<'a> {
    /// Where the header's length says that the frames begin, or else where the first one can be found.
    fn first_frame(&mut self, header_read: bool) -> Option<usize> {
        let claimed = self.u32_at(4).and_then(|len| usize::try_from(len).ok())?.checked_add(8)?;
        let bounded = claimed <= MAX_SEGMENT_HEADER.saturating_add(8) && claimed <= self.bytes.len();
        if bounded && (header_read || self.part_at(claimed).is_some()) {
            return Some(claimed);
        }
        self.resume_after(7)
    }

    fn part_at(&self, at: usize) -> Option<(Part<'a>, usize)> {
        let (part, len) = reader::frame_or_trailer(self.bytes.get(at..)?).ok()??;
        Some((part, at.checked_add(len)?))
    }

    fn stands(&mut self, part: &Part<'a>, at: usize, end: usize, before: Option<&FrameView<'a>>) -> bool {
        match part {
            Part::Frame(frame) => {
                let linked = before.is_some_and(|before| frame.follows(&before.link));
                linked || self.is_linked(frame, at) || self.is_followed(frame, end)
            }
            Part::Trailer(trailer) => trailer.last_link.len() == 32,
            Part::Header(_) => false,
        }
    }

    /// The link continues from an anchor, or from the link that is stored before it.
    fn is_linked(&mut self, frame: &FrameView<'_>, at: usize) -> bool {
        let stored = at.checked_sub(32).and_then(|from| self.bytes.get(from..at));
        let stored = stored.and_then(|bytes| Link::try_from(bytes).ok());
        let candidates: Vec<Link> = stored.into_iter().chain(self.anchors.iter().copied()).collect();
        self.spend(frame.stored.len().saturating_mul(candidates.len()))
            && candidates.iter().any(|previous| frame.follows(previous))
    }

    /// What stands in the clear is all that a frame must say there, in the one spelling that a writer gives it.
    fn is_sound(&mut self, frame: &FrameView<'_>) -> bool {
        self.spend(64) && frame.is_plainly_spelt() && frame.sealed().is_ok()
    }

    /// What lies behind it stands by itself, so its end is where it says.
    fn is_followed(&mut self, frame: &FrameView<'_>, end: usize) -> bool {
        if end == self.bytes.len() {
            return true;
        }
        match self.part_at(end) {
            Some((Part::Trailer(_), trailer_end)) => trailer_end == self.bytes.len(),
            Some((Part::Frame(next), _)) => {
                self.spend(next.stored.len()) && next.follows(&frame.link) || self.is_sound(&next)
            }
            _ => false,
        }
    }

    /// The next place behind `at` where a frame or the trailer certainly stands.
    fn resume_after(&mut self, at: usize) -> Option<usize> {
        (at.saturating_add(1)..self.bytes.len()).find(|at| self.certain(*at))
    }

    fn certain(&mut self, at: usize) -> bool {
        let Some(mark) = self.u32_at(at) else { return false };
        let plausible =
            mark == TRAILER_MARK || usize::try_from(mark).is_ok_and(|len| len <= MAX_FRAME_HEADER);
        if !plausible || !self.spend(64) {
            return false;
        }
        match self.part_at(at) {
            Some((Part::Trailer(trailer), end)) => {
                end == self.bytes.len() && trailer.last_link.len() == 32 && trailer.signature.len() == 64
            }
            Some((Part::Frame(frame), _)) => {
                convert::kind(&frame.header).is_some()
                    && (self.is_linked(&frame, at) || self.is_sound(&frame))
            }
            _ => false,
        }
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }

    fn spend(&mut self, cost: usize) -> bool {
        let left = self.budget.checked_sub(cost);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}
