//! Telling changed, moved and missing frames apart, over all segments of a recording at once.
//!
//! A frame is intact if its link follows from a link that is known to precede its sequence, wherever the frame
//! lies now. Intact frames are where their sequence says; a changed frame is taken for the one whose place it
//! has. Then what stands in the wrong order was swapped, and what no frame stands for was cut.

use std::collections::{BTreeMap, BTreeSet};

use countersign_wire::v1;

use super::{
    report::{FaultKind, Findings},
    segments::{Object, Standing},
};
use crate::{
    chain::{self, Link},
    reader::FrameView,
};

/// A frame where it lies.
struct Placed<'o> {
    segment: u32,
    frame: &'o FrameView<'o>,
    intact: bool,
    /// The sequence that it stands for.
    stands_for: u64,
}

/// Sequences that a segment should hold: first, and one behind the last.
type Range = (u64, u64);

/// Compares the frames of all objects that are of the recording.
pub(super) fn compare(
    objects: &[Object<'_>],
    recording_id: &str,
    manifest: Option<&v1::Manifest>,
) -> Findings {
    let ours: Vec<&Object<'_>> =
        objects.iter().filter(|object| object.standing != Standing::Foreign).collect();
    let ranges: BTreeMap<u32, Range> =
        ours.iter().filter_map(|object| Some((object.number, range(object, manifest)?))).collect();
    let mut placed = place(&ours);
    let links = known_links(recording_id, manifest, &ours);
    find_intact(&mut placed, links, &ranges);
    assign(&mut placed, &ranges);

    let mut findings = Findings::default();
    for changed in placed.iter().filter(|placed| !placed.intact) {
        findings.add(FaultKind::BitFlipped, Some(changed.segment), Some(changed.stands_for));
    }
    displaced(&placed, &ranges, &mut findings);
    absent(&placed, &ours, &ranges, &mut findings);
    findings
}

fn place<'o>(ours: &[&'o Object<'o>]) -> Vec<Placed<'o>> {
    let placed = |segment: u32, frame: &'o FrameView<'o>| Placed {
        segment,
        frame,
        intact: false,
        stands_for: frame.header.sequence,
    };
    ours.iter()
        .flat_map(|object| object.remains.frames.iter().map(move |frame| placed(object.number, frame)))
        .collect()
}

/// What a segment should hold: by the manifest, else by its own header and trailer.
fn range(object: &Object<'_>, manifest: Option<&v1::Manifest>) -> Option<Range> {
    let end = |first: u64, count: u32| Some((first, first.checked_add(u64::from(count))?));
    if let Some(manifest) = manifest {
        let listed = manifest.segments.get(usize::try_from(object.number).ok()?);
        if let Some(listed) = listed {
            return end(listed.first_sequence, listed.frame_count);
        }
    }
    let first = object.remains.header.as_ref()?.first_sequence;
    end(first, object.remains.trailer.as_ref()?.frame_count)
}

/// Links by the sequence that they precede.
type Links = BTreeMap<u64, Vec<Link>>;

fn known_links(recording_id: &str, manifest: Option<&v1::Manifest>, ours: &[&Object<'_>]) -> Links {
    let mut links = Links::new();
    let mut know = |sequence: Option<u64>, link: &[u8]| {
        if let (Some(sequence), Ok(link)) = (sequence, Link::try_from(link)) {
            links.entry(sequence).or_default().push(link);
        }
    };
    know(Some(0), &chain::start(recording_id));
    for listed in manifest.iter().flat_map(|manifest| &manifest.segments) {
        know(listed.first_sequence.checked_add(u64::from(listed.frame_count)), &listed.last_link);
    }
    for object in ours {
        if let (None, Some(header)) = (manifest, &object.remains.header) {
            know(Some(header.first_sequence), &header.previous_link);
        }
        for frame in &object.remains.frames {
            know(frame.header.sequence.checked_add(1), &frame.link);
        }
    }
    links
}

/// Bounds the hashing where hostile frames all claim one sequence.
const MAX_CANDIDATES: usize = 8;

fn find_intact(placed: &mut [Placed<'_>], mut links: Links, ranges: &BTreeMap<u32, Range>) {
    let follows = |frame: &FrameView<'_>, links: &Links| {
        let known = links.get(&frame.header.sequence).map(Vec::as_slice).unwrap_or_default();
        known.iter().take(MAX_CANDIDATES).any(|link| frame.follows(link))
    };
    let mut before: Option<Link> = None;
    for this in placed.iter_mut() {
        this.intact = follows(this.frame, &links) || before.is_some_and(|link| this.frame.follows(&link));
        before = Some(this.frame.link);
    }
    // Only the stored link of a frame may have been changed: then the next one follows from what it should be.
    for this in placed.iter_mut().filter(|placed| !placed.intact) {
        let sequence = this.frame.header.sequence;
        let known = links.get(&sequence).and_then(|known| known.first()).copied();
        if let (Some(link), Some(next)) = (known, sequence.checked_add(1)) {
            links.entry(next).or_default().insert(0, this.frame.link_after(&link));
        }
        this.intact = follows(this.frame, &links);
    }
    behind_a_gap(placed, &links, ranges);
}

/// A frame whose predecessor is gone cannot be checked by its link. It is not called changed if it fits between its
/// neighbours: the gap before it is the fault.
fn behind_a_gap(placed: &mut [Placed<'_>], links: &Links, ranges: &BTreeMap<u32, Range>) {
    let neighbours: Vec<(Option<u64>, Option<u64>)> = (0..placed.len())
        .map(|at| {
            let sequence = |at: usize| placed.get(at).map(|placed| placed.frame.header.sequence);
            (at.checked_sub(1).and_then(sequence), at.checked_add(1).and_then(sequence))
        })
        .collect();
    for (this, (before, after)) in placed.iter_mut().zip(neighbours).filter(|(placed, _)| !placed.intact) {
        let sequence = this.frame.header.sequence;
        let within =
            ranges.get(&this.segment).is_none_or(|(first, behind)| (*first..*behind).contains(&sequence));
        let ordered =
            before.is_none_or(|before| before < sequence) && after.is_none_or(|after| sequence < after);
        this.intact = !links.contains_key(&sequence) && within && ordered && this.frame.sealed().is_ok();
    }
}

/// A changed frame that does not go on from the one before it is taken for the one that would.
fn assign(placed: &mut [Placed<'_>], ranges: &BTreeMap<u32, Range>) {
    let mut before: Option<(u32, u64)> = None;
    for this in placed.iter_mut() {
        let expected = match before {
            Some((segment, sequence)) if segment == this.segment => sequence.checked_add(1),
            _ => ranges.get(&this.segment).map(|(first, _)| *first),
        };
        if !this.intact {
            this.stands_for = expected.unwrap_or(this.stands_for);
        }
        before = Some((this.segment, this.stands_for));
    }
}

/// Frames that stand where another belongs, or a second time.
fn displaced(placed: &[Placed<'_>], ranges: &BTreeMap<u32, Range>, findings: &mut Findings) {
    let mut in_order: Vec<u64> = placed.iter().map(|placed| placed.stands_for).collect();
    in_order.sort_unstable();
    let mut seen = BTreeSet::new();
    for (this, expected) in placed.iter().zip(in_order) {
        let elsewhere = ranges
            .get(&this.segment)
            .is_some_and(|(first, behind)| !(*first..*behind).contains(&this.stands_for));
        let again = !seen.insert(this.stands_for);
        if this.stands_for != expected || elsewhere || again {
            findings.add(FaultKind::FrameSwapped, Some(this.segment), Some(this.stands_for));
        }
    }
}

/// Sequences for which no frame stands: one fault for each run of them. In an object of the right length the bytes
/// are there and cannot be read; else they were cut.
fn absent(
    placed: &[Placed<'_>],
    ours: &[&Object<'_>],
    ranges: &BTreeMap<u32, Range>,
    findings: &mut Findings,
) {
    let present: BTreeSet<u64> = placed.iter().map(|placed| placed.stands_for).collect();
    for object in ours {
        let Some((first, behind)) = ranges.get(&object.number).copied() else { continue };
        let mut expected = first;
        for sequence in present.range(first..behind).copied().chain([behind]) {
            if expected < sequence {
                findings.add(object.damage(), Some(object.number), Some(expected));
            }
            expected = sequence.saturating_add(1);
        }
    }
}
