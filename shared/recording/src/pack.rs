//! Packs: many segments in one object, so that a short session does not cost an object of its own.
//!
//! A [`PackPlan`] is the head of a pack. It names each segment with its size and its hash, and so fixes every byte that
//! follows: whoever has the plan and the segments makes the same object, whenever and however often.

use std::{collections::HashSet, fmt::Write as _};

use countersign_model::{Name, RecordingId};
use countersign_wire::v1;
use prost::Message as _;

use crate::{
    bounds::{MAX_PACK, MAX_PACK_CONTENT, MAX_PACK_HEADER, MAX_PACK_SEGMENTS, MAX_SEGMENT},
    segment::sha256,
};

const MAGIC: [u8; 4] = *b"CSP1";
/// The magic, and the length of the header.
const PREFIX: usize = 8;

/// What a pack is called: the edge's process, and a number of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackName {
    /// The edge that made it.
    pub edge: Name,
    /// The process that made it.
    pub boot_id: [u8; 16],
    /// Counts from 0 in that process.
    pub number: u64,
}

impl PackName {
    /// Its key in the archive: `packs/<edge>/<boot id in hex>/<number, 8 digits>`.
    pub fn key(&self) -> String {
        format!("packs/{}/{}/{:08}", self.edge, self.boot_hex(), self.number)
    }

    /// The process in 32 hexadecimal digits.
    pub fn boot_hex(&self) -> String {
        self.boot_id.iter().fold(String::with_capacity(32), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A segment that a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSegment {
    /// The recording.
    pub recording: RecordingId,
    /// The segment's number.
    pub number: u32,
    /// Its length.
    pub bytes: u32,
    /// SHA-256 of the whole segment.
    pub sha256: [u8; 32],
}

/// Why a segment does not go into a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pack would pass one of its bounds.
    #[error("the pack is full")]
    Full,
    /// It is in the pack.
    #[error("the segment is in the pack already")]
    Twice,
    /// It is empty or larger than a segment may be.
    #[error("the segment has no size that a segment may have")]
    Size,
}

/// What is wrong with a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPack {
    /// Its head is not of the form, or not in the one spelling that counts.
    #[error("the head of the pack is malformed")]
    Malformed,
    /// It or its header is larger than a bound.
    #[error("the pack is larger than one may be")]
    TooLarge,
    /// Its segments do not follow each other without a gap, or one cannot be in it.
    #[error("the pack lists segments that cannot lie so")]
    Inconsistent,
    /// It is shorter or longer than its segments together.
    #[error("the pack has not the length of its segments")]
    Length,
    /// A segment has another hash than the head says: its place in the list.
    #[error("segment {0} of the pack has another hash")]
    Hash(usize),
}

/// The head of a pack: its name, and at least one segment once it is read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackPlan {
    name: PackName,
    segments: Vec<PlannedSegment>,
    /// Bytes of the segments together; with the head at most [`MAX_PACK`].
    content: usize,
}

impl PackPlan {
    /// A pack without segments.
    pub fn new(name: PackName) -> Self {
        Self { name, segments: Vec::new(), content: 0 }
    }

    /// Its name.
    pub fn name(&self) -> &PackName {
        &self.name
    }

    /// Its segments, in the order in which they lie in it.
    pub fn segments(&self) -> &[PlannedSegment] {
        &self.segments
    }

    /// Adds a segment at the end.
    ///
    /// # Errors
    /// [`PlanError`]; then nothing changes.
    pub fn push(&mut self, segment: PlannedSegment) -> Result<(), PlanError> {
        let bytes = usize::try_from(segment.bytes).map_err(|_| PlanError::Size)?;
        if bytes == 0 || bytes > MAX_SEGMENT {
            return Err(PlanError::Size);
        }
        let same = |present: &PlannedSegment| {
            (present.recording, present.number) == (segment.recording, segment.number)
        };
        if self.segments.iter().any(same) {
            return Err(PlanError::Twice);
        }
        let content = self.content.saturating_add(bytes);
        // So few segments fit into a header, whatever is said of them.
        if self.segments.len() >= MAX_PACK_SEGMENTS || content > MAX_PACK_CONTENT {
            return Err(PlanError::Full);
        }
        self.segments.push(segment);
        self.content = content;
        Ok(())
    }

    /// The pack's bytes up to its first segment.
    pub fn head(&self) -> Vec<u8> {
        let header = self.header().encode_to_vec();
        let len = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [MAGIC.as_slice(), &len.to_le_bytes(), &header].concat()
    }

    /// Reads a head that nothing follows.
    ///
    /// # Errors
    /// [`InvalidPack`].
    pub fn read(head: &[u8]) -> Result<Self, InvalidPack> {
        let (plan, end) = Self::read_prefix(head)?;
        if end == head.len() { Ok(plan) } else { Err(InvalidPack::Length) }
    }

    /// The whole pack.
    ///
    /// # Errors
    /// [`InvalidPack::Hash`] or [`InvalidPack::Length`] if these are not the segments that were planned.
    pub fn assemble<'a>(&self, segments: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, InvalidPack> {
        let mut pack = self.head();
        pack.reserve(self.content);
        let mut given = segments.into_iter();
        for (at, planned) in self.segments.iter().enumerate() {
            let segment = given.next().ok_or(InvalidPack::Length)?;
            if !planned.is(segment) {
                return Err(InvalidPack::Hash(at));
            }
            pack.extend_from_slice(segment);
        }
        if given.next().is_some() { Err(InvalidPack::Length) } else { Ok(pack) }
    }

    fn header(&self) -> v1::PackHeader {
        let mut offset = 0_u32;
        let entries = self.segments.iter().map(|segment| {
            let entry = v1::pack_header::Entry {
                recording_id: segment.recording.to_string(),
                number: segment.number,
                offset,
                bytes: segment.bytes,
                sha256: segment.sha256.to_vec(),
            };
            offset = offset.saturating_add(segment.bytes);
            entry
        });
        v1::PackHeader {
            entries: entries.collect(),
            edge: self.name.edge.to_string(),
            boot_id: self.name.boot_id.to_vec(),
            number: self.name.number,
        }
    }

    /// The head at the beginning of `bytes`, and where it ends.
    fn read_prefix(bytes: &[u8]) -> Result<(Self, usize), InvalidPack> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(InvalidPack::Malformed)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(InvalidPack::Malformed)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| InvalidPack::TooLarge)?;
        if len > MAX_PACK_HEADER {
            return Err(InvalidPack::TooLarge);
        }
        let encoded = rest.get(..len).ok_or(InvalidPack::Malformed)?;
        let header = v1::PackHeader::decode(encoded).map_err(|_| InvalidPack::Malformed)?;
        let plan = Self::try_from(&header)?;
        // One spelling only: the same plan is the same object.
        if plan.header() != header || header.encode_to_vec() != encoded {
            return Err(InvalidPack::Inconsistent);
        }
        Ok((plan, PREFIX.saturating_add(len)))
    }
}

impl TryFrom<&v1::PackHeader> for PackPlan {
    type Error = InvalidPack;

    fn try_from(header: &v1::PackHeader) -> Result<Self, InvalidPack> {
        let name = PackName {
            edge: header.edge.parse().map_err(|_| InvalidPack::Malformed)?,
            boot_id: header.boot_id.as_slice().try_into().map_err(|_| InvalidPack::Malformed)?,
            number: header.number,
        };
        if header.entries.is_empty() || header.entries.len() > MAX_PACK_SEGMENTS {
            return Err(InvalidPack::Inconsistent);
        }
        let mut seen = HashSet::with_capacity(header.entries.len());
        let mut plan = Self::new(name);
        for entry in &header.entries {
            let segment = PlannedSegment {
                recording: entry.recording_id.parse().map_err(|_| InvalidPack::Malformed)?,
                number: entry.number,
                bytes: entry.bytes,
                sha256: entry.sha256.as_slice().try_into().map_err(|_| InvalidPack::Malformed)?,
            };
            if !seen.insert((segment.recording, segment.number)) {
                return Err(InvalidPack::Inconsistent);
            }
            plan.push(segment).map_err(|_| InvalidPack::Inconsistent)?;
        }
        Ok(plan)
    }
}

impl PlannedSegment {
    fn is(&self, bytes: &[u8]) -> bool {
        u32::try_from(bytes.len()) == Ok(self.bytes) && sha256(bytes) == self.sha256
    }
}

/// A pack that is whole: every segment in it has the hash that its head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    plan: PackPlan,
    head_bytes: usize,
}

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInPack {
    /// Which, and how long.
    pub segment: PlannedSegment,
    /// Of its first byte, from the beginning of the pack.
    pub offset: u32,
}

impl Pack {
    /// Judges a whole pack. What is in its segments is not looked at: that is asked by [`crate::check_segment`].
    ///
    /// # Errors
    /// [`InvalidPack`].
    pub fn check(bytes: &[u8]) -> Result<Self, InvalidPack> {
        if bytes.len() > MAX_PACK {
            return Err(InvalidPack::TooLarge);
        }
        let (plan, head_bytes) = PackPlan::read_prefix(bytes)?;
        if head_bytes.checked_add(plan.content) != Some(bytes.len()) {
            return Err(InvalidPack::Length);
        }
        let pack = Self { plan, head_bytes };
        for (at, place) in pack.places().enumerate() {
            if !place.bytes_of(bytes).is_some_and(|segment| place.segment.is(segment)) {
                return Err(InvalidPack::Hash(at));
            }
        }
        Ok(pack)
    }

    /// Its name.
    pub fn name(&self) -> &PackName {
        &self.plan.name
    }

    /// Its segments, in the order in which they lie in it.
    pub fn places(&self) -> impl Iterator<Item = SegmentInPack> + '_ {
        // Offsets stay below the bound of a pack.
        let mut offset = u32::try_from(self.head_bytes).unwrap_or(u32::MAX);
        self.plan.segments.iter().map(move |segment| {
            let place = SegmentInPack { segment: *segment, offset };
            offset = offset.saturating_add(segment.bytes);
            place
        })
    }
}

impl SegmentInPack {
    /// The bytes that it takes up in a pack; `None` if the pack is shorter.
    pub fn range(&self) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        Some(start..start.checked_add(usize::try_from(self.segment.bytes).ok()?)?)
    }

    fn bytes_of<'a>(&self, pack: &'a [u8]) -> Option<&'a [u8]> {
        pack.get(self.range()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture;

    fn name(number: u64) -> PackName {
        PackName { edge: "edge-1".parse().unwrap(), boot_id: [0xab; 16], number }
    }

    fn planned(recording: RecordingId, number: u32, bytes: &[u8]) -> PlannedSegment {
        PlannedSegment { recording, number, bytes: bytes.len() as u32, sha256: sha256(bytes) }
    }

    /// Segments of two recordings, and their plan.
    fn packed() -> (PackPlan, Vec<Vec<u8>>) {
        let segments = [fixture::recording(2, 4), fixture::recording(1, 3)].concat();
        let mut plan = PackPlan::new(name(7));
        for segment in &segments {
            let checked = crate::check_segment(segment).unwrap();
            plan.push(planned(checked.recording, checked.number, segment)).unwrap();
        }
        (plan, segments)
    }

    fn bytes(plan: &PackPlan, segments: &[Vec<u8>]) -> Vec<u8> {
        plan.assemble(segments.iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn a_pack_is_named_by_its_process() {
        let key = name(12).key();
        assert_eq!(key, format!("packs/edge-1/{}/00000012", "ab".repeat(16)));
    }

    #[test]
    fn a_plan_and_its_segments_are_one_object_and_come_back() {
        let (plan, segments) = packed();
        let whole = bytes(&plan, &segments);
        assert_eq!(whole, bytes(&PackPlan::read(&plan.head()).unwrap(), &segments));
        let pack = Pack::check(&whole).unwrap();
        assert_eq!(pack.name(), &name(7));
        let places: Vec<_> = pack.places().collect();
        assert_eq!(places.len(), 3);
        for (place, segment) in places.iter().zip(&segments) {
            assert_eq!(&whole[place.range().unwrap()], segment.as_slice());
        }
    }

    #[test]
    fn other_segments_are_not_what_was_planned() {
        let (plan, mut segments) = packed();
        let assemble = |segments: &[Vec<u8>]| plan.assemble(segments.iter().map(Vec::as_slice)).err();
        assert_eq!(assemble(&segments[..2]), Some(InvalidPack::Length));
        assert_eq!(assemble(&[&segments[..], &segments[..1]].concat()), Some(InvalidPack::Length));
        segments[1][9] ^= 1;
        assert_eq!(assemble(&segments), Some(InvalidPack::Hash(1)));
        segments.swap(1, 2);
        assert_eq!(assemble(&segments), Some(InvalidPack::Hash(1)));
    }

    #[test]
    fn any_byte_changed_cut_or_added_is_found() {
        let (plan, segments) = packed();
        let whole = bytes(&plan, &segments);
        let head = plan.head().len();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            // Names are no hashes: with another one it is another pack.
            let other = Pack::check(&flipped).ok();
            assert!(other.is_none_or(|other| at < head && other.plan != plan), "byte {at}");
            assert!(Pack::check(&whole[..at]).is_err(), "cut at {at}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(Pack::check(&longer), Err(InvalidPack::Length));
    }

    #[test]
    fn what_a_header_says_wrongly_is_refused() {
        let (plan, _) = packed();
        let broken = |change: fn(&mut v1::PackHeader)| {
            let mut header = plan.header();
            change(&mut header);
            let encoded = header.encode_to_vec();
            let head = [&MAGIC, (encoded.len() as u32).to_le_bytes().as_slice(), &encoded].concat();
            PackPlan::read(&head).err()
        };
        assert_eq!(broken(|_| ()), None);
        assert_eq!(broken(|h| h.entries[1].offset += 1), Some(InvalidPack::Inconsistent));
        assert_eq!(broken(|h| h.entries.swap(0, 1)), Some(InvalidPack::Inconsistent));
        assert_eq!(broken(|h| h.entries[1].number = 0), Some(InvalidPack::Inconsistent), "twice");
        assert_eq!(broken(|h| h.entries[2].bytes = 0), Some(InvalidPack::Inconsistent));
        assert_eq!(
            broken(|h| h.entries[2].bytes = (MAX_SEGMENT + 1) as u32),
            Some(InvalidPack::Inconsistent)
        );
        assert_eq!(broken(|h| h.entries.clear()), Some(InvalidPack::Inconsistent));
        assert_eq!(broken(|h| h.boot_id.truncate(15)), Some(InvalidPack::Malformed));
        assert_eq!(broken(|h| h.edge = "../x".into()), Some(InvalidPack::Malformed));
        assert_eq!(broken(|h| h.entries[0].recording_id.push('x')), Some(InvalidPack::Malformed));
        assert_eq!(broken(|h| h.entries[0].recording_id = "re_".into()), Some(InvalidPack::Malformed));
    }

    #[test]
    fn a_plan_takes_as_much_as_a_pack_may_have_and_no_segment_twice() {
        let recording = RecordingId::generate();
        let segment = |number, bytes| PlannedSegment { recording, number, bytes, sha256: [0xff; 32] };
        let mut plan = PackPlan::new(name(u64::MAX));
        assert_eq!(plan.push(segment(0, 0)), Err(PlanError::Size));
        assert_eq!(plan.push(segment(0, MAX_SEGMENT as u32 + 1)), Err(PlanError::Size));
        plan.push(segment(0, 1)).unwrap();
        assert_eq!(plan.push(segment(0, 1)), Err(PlanError::Twice));
        for number in 1..MAX_PACK_SEGMENTS as u32 {
            plan.push(segment(u32::MAX - number, 15 << 10)).unwrap();
        }
        assert_eq!(plan.push(segment(1, 1)), Err(PlanError::Full));
        assert!(plan.head().len() <= MAX_PACK_HEADER && plan.head().len() + plan.content <= MAX_PACK);
        assert_eq!(PackPlan::read(&plan.head()), Ok(plan));

        let mut plan = PackPlan::new(name(0));
        let fits = (0..).take_while(|number| plan.push(segment(*number, MAX_SEGMENT as u32)).is_ok()).count();
        assert_eq!(fits, 7);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Pack::check(&bytes);
            let _ = PackPlan::read(&bytes);
            let headed = [MAGIC.as_slice(), &(bytes.len() as u32).to_le_bytes(), &bytes].concat();
            prop_assert!(Pack::check(&headed).is_err());
        }

        #[test]
        fn a_pack_that_passes_is_what_its_plan_makes(
            at in any::<prop::sample::Index>(),
            removed in 0usize..20,
            inserted in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let (plan, segments) = packed();
            let mut whole = bytes(&plan, &segments);
            let at = at.index(whole.len());
            whole.splice(at..(at + removed).min(whole.len()), inserted);
            if let Ok(pack) = Pack::check(&whole) {
                let parts: Vec<&[u8]> = pack.places().map(|place| &whole[place.range().unwrap()]).collect();
                prop_assert_eq!(pack.plan.assemble(parts), Ok(whole.clone()));
            }
        }
    }
}
