//! What `verify` answers. The names of fields and kinds are contract: others read them.

use std::collections::BTreeSet;

use countersign_model::{Durability, OperationId};
use serde::Serialize;

use super::segments::{Object, Standing};
use crate::{convert, entry::FrameKind};

/// More faults than these are not listed: the first ones tell the story.
const MAX_FAULTS: usize = 1000;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Bytes differ from what was recorded, at the length that was recorded.
    BitFlipped,
    /// A frame, or a part of the object, is gone.
    FrameCut,
    /// A frame is not in its place, or is there twice.
    FrameSwapped,
    /// An object before the last one is gone.
    SegmentMissing,
    /// An object that is not of this recording, or that nobody trusted signed.
    SegmentForeign,
    /// The manifest is missing, is not signed by the deployment, or contradicts itself or what it lists.
    ManifestEdited,
    /// The end is gone: last objects, or an older manifest was put in the place of the newest.
    TailMissing,
}

/// One fault and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// What was done.
    pub kind: FaultKind,
    /// Number of the segment; `None` if it is the recording's as a whole.
    pub segment: Option<u32>,
    /// Sequence of the frame; `None` if it is the segment's as a whole, its header or its trailer.
    pub frame: Option<u64>,
}

/// How many frames there are, by the level at which they were accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FrameCounts {
    /// All that could be read.
    pub total: u64,
    /// Written to the operating system.
    pub page_cache: u64,
    /// On stable storage.
    pub fsync: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// There is no fault.
    pub ok: bool,
    /// Ok, and the recording is sealed: nothing will be added.
    pub complete: bool,
    /// What is wrong, in order of place.
    pub faults: Vec<Fault>,
    /// The recording: `re_…`; empty if nothing names one.
    pub recording_id: String,
    /// Objects that were looked at.
    pub segments: u64,
    /// Frames that were looked at.
    pub frames: FrameCounts,
    /// Intents that have no outcome; of a complete recording always 0 unless an edge misbehaved.
    pub unfinished: u64,
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Fault>);

impl Findings {
    pub(super) fn add(&mut self, kind: FaultKind, segment: Option<u32>, frame: Option<u64>) {
        let fault = Fault { kind, segment, frame };
        if self.0.len() < MAX_FAULTS && !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for fault in other.0 {
            self.add(fault.kind, fault.segment, fault.frame);
        }
    }

    pub(super) fn mentions(&self, segment: u32) -> bool {
        self.0.iter().any(|fault| fault.segment == Some(segment))
    }
}

pub(super) fn write(
    recording_id: String,
    objects: &[Object<'_>],
    sealed: bool,
    findings: Findings,
) -> Report {
    let mut faults = findings.0;
    faults.sort_by_key(|fault| (fault.segment, fault.frame, fault.kind));
    let ok = faults.is_empty();
    Report {
        ok,
        complete: ok && sealed,
        faults,
        recording_id,
        segments: u64::try_from(objects.len()).unwrap_or(u64::MAX),
        frames: frame_counts(objects),
        unfinished: unfinished(objects),
    }
}

fn headers<'o>(objects: &'o [Object<'_>]) -> impl Iterator<Item = &'o countersign_wire::v1::FrameHeader> {
    let ours = objects.iter().filter(|object| object.standing != Standing::Foreign);
    ours.flat_map(|object| object.remains.frames.iter().map(|frame| &frame.header))
}

fn frame_counts(objects: &[Object<'_>]) -> FrameCounts {
    let mut counts = FrameCounts::default();
    for header in headers(objects) {
        counts.total = counts.total.saturating_add(1);
        match convert::durability(header) {
            Some(Durability::PageCache) => counts.page_cache = counts.page_cache.saturating_add(1),
            Some(Durability::Fsync) => counts.fsync = counts.fsync.saturating_add(1),
            None => {}
        }
    }
    counts
}

fn unfinished(objects: &[Object<'_>]) -> u64 {
    let mut open: BTreeSet<OperationId> = BTreeSet::new();
    for header in headers(objects) {
        let Ok(operation) = header.operation_id.parse::<OperationId>() else { continue };
        match convert::kind(header) {
            Some(FrameKind::Intent) => _ = open.insert(operation),
            Some(FrameKind::Outcome) => _ = open.remove(&operation),
            _ => {}
        }
    }
    u64::try_from(open.len()).unwrap_or(u64::MAX)
}
