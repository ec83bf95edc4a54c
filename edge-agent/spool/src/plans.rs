//! Packs of finished segments: planned on the disk first, then read together for the uploader.
//!
//! A plan lies in `packs/` until its pack is acknowledged, and is nothing but the head of the pack: it fixes every
//! byte, because finished segments never change. So a pack that is sent again is the same object, whatever happened in
//! between. Segments are deleted before their plan. A plan of which a segment is gone was acknowledged then; it is
//! dropped, and what is left of it goes into another pack, where the archive finds that it has it. That way every
//! plan may be dropped at any time: it costs at most that something is sent twice.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use countersign_model::RecordingId;
use countersign_recording::{InvalidPack, MAX_PACK_HEADER, PackName, PackPlan, PlanError, PlannedSegment};
use sha2::{Digest as _, Sha256};

use crate::{FinishedSegment, Spool, SpoolError, layout};

/// A pack as it is sent.
#[derive(Debug)]
pub struct SpooledPack {
    /// Its head.
    pub plan: PackPlan,
    /// All of it: at most 8 MiB.
    pub bytes: Vec<u8>,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

/// What became of segments that were to be packed.
#[derive(Debug, Default)]
pub struct Packed {
    /// The pack; none if no segment could be read.
    pub pack: Option<SpooledPack>,
    /// What did not fit, in the order in which it was given.
    pub rest: Vec<FinishedSegment>,
    /// What could not be read. Later segments of its recording are among the rest.
    pub unreadable: Vec<(FinishedSegment, io::Error)>,
}

/// Why a planned pack cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A segment cannot be read.
    #[error("segment {1} of {0}: {2}")]
    Read(RecordingId, u32, io::Error),
    /// A segment is not what it was when it was planned.
    #[error(transparent)]
    Changed(#[from] InvalidPack),
}

impl Spool {
    /// Plans the next pack of this process from the first of these segments, and puts the plan on stable storage. A
    /// plan that cannot be put there holds nothing up, for it is the upload that frees the disk: after a crash its
    /// segments are sent in another pack. Blocks for the disk.
    pub fn pack(&self, segments: Vec<FinishedSegment>) -> Packed {
        let name = PackName {
            edge: self.shared.boot.edge.clone(),
            boot_id: self.shared.boot.boot_id,
            number: self.shared.next_pack.fetch_add(1, Ordering::Relaxed),
        };
        let (contents, packed) = (Vec::new(), Packed::default());
        let mut packing = Packing { plan: PackPlan::new(name), contents, packed, full: false };
        segments.into_iter().for_each(|segment| packing.take(segment));
        let Packing { plan, contents, mut packed, .. } = packing;
        if contents.is_empty() {
            return packed;
        }
        if let Err(cause) = write(&self.shared.root, &plan) {
            let pack = plan.name().number;
            tracing::warn!(pack, %cause, "the plan of a pack cannot be written; it is sent without");
        }
        // They are what was just planned.
        packed.pack =
            plan.assemble(contents.iter().map(Vec::as_slice)).ok().map(|bytes| spooled(plan, bytes));
        packed
    }

    /// Puts a planned pack together again. Blocks for the disk.
    ///
    /// # Errors
    /// [`AssembleError`]; then it never will be again, and the plan is to be dropped.
    pub fn assemble(&self, plan: PackPlan) -> Result<SpooledPack, (PackPlan, AssembleError)> {
        let read = |segment: &PlannedSegment| {
            let path = layout::finished(&self.shared.root, segment.recording, segment.number);
            layout::read_bounded(&path)
                .map_err(|cause| AssembleError::Read(segment.recording, segment.number, cause))
        };
        let assembled = plan.segments().iter().map(read).collect::<Result<Vec<_>, _>>();
        match assembled.and_then(|contents| Ok(plan.assemble(contents.iter().map(Vec::as_slice))?)) {
            Ok(bytes) => Ok(spooled(plan, bytes)),
            Err(error) => Err((plan, error)),
        }
    }

    /// Whether this process made the plan, and not an earlier one.
    pub fn is_of_this_process(&self, plan: &PackPlan) -> bool {
        plan.name().boot_id == self.shared.boot.boot_id
    }

    /// Forgets a plan and gives those of its segments that are still there: after an acknowledgement those that were
    /// refused, else all. They are in no plan then. Blocks for the disk.
    pub fn drop_plan(&self, plan: &PackPlan) -> Vec<FinishedSegment> {
        let path = layout::plan(&self.shared.root, plan.name());
        if let Err(cause) = fs::remove_file(&path)
            && cause.kind() != io::ErrorKind::NotFound
        {
            // The next start finds it, whole or in parts, and both are harmless.
            tracing::warn!(path = %path.display(), %cause, "the plan of a pack cannot be deleted");
        }
        let left = plan.segments().iter();
        left.filter_map(|segment| FinishedSegment::find(&self.shared.root, segment.recording, segment.number))
            .collect()
    }
}

struct Packing {
    plan: PackPlan,
    contents: Vec<Vec<u8>>,
    packed: Packed,
    /// Something did not fit: nothing overtakes it.
    full: bool,
}

impl Packing {
    fn take(&mut self, segment: FinishedSegment) {
        // Nothing of a recording overtakes what goes before it.
        let held_up = self.packed.unreadable.iter().any(|(before, _)| before.recording == segment.recording);
        if self.full || held_up {
            self.packed.rest.push(segment);
            return;
        }
        match layout::read_bounded(&segment.path) {
            Ok(bytes) => self.add(segment, bytes),
            Err(cause) => self.packed.unreadable.push((segment, cause)),
        }
    }

    fn add(&mut self, segment: FinishedSegment, bytes: Vec<u8>) {
        let planned = PlannedSegment {
            recording: segment.recording,
            number: segment.number,
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            sha256: Sha256::digest(&bytes).into(),
        };
        match self.plan.push(planned) {
            Ok(()) => self.contents.push(bytes),
            Err(PlanError::Full) => {
                self.full = true;
                self.packed.rest.push(segment);
            }
            // Announced twice: it is in the pack.
            Err(PlanError::Twice) => {}
            Err(PlanError::Size) => {
                self.packed.unreadable.push((segment, io::ErrorKind::InvalidData.into()));
            }
        }
    }
}

fn spooled(plan: PackPlan, bytes: Vec<u8>) -> SpooledPack {
    let sha256 = Sha256::digest(&bytes).into();
    SpooledPack { plan, bytes, sha256 }
}

/// The plans that earlier processes left, in the order of their numbers. Unfinished and malformed ones go, and those
/// of which a segment is gone.
pub(crate) fn left(root: &Path) -> Result<Vec<PackPlan>, SpoolError> {
    let dir = layout::packs_dir(root);
    layout::make_dir(&dir).map_err(SpoolError::io(&dir))?;
    let mut plans = Vec::new();
    for entry in fs::read_dir(&dir).map_err(SpoolError::io(&dir))? {
        let path = entry.map_err(SpoolError::io(&dir))?.path();
        match usable(root, &path) {
            Some(plan) => plans.push(plan),
            None => fs::remove_file(&path).map_err(SpoolError::io(&path))?,
        }
    }
    plans.sort_by_key(|plan| (plan.name().boot_id, plan.name().number));
    Ok(plans)
}

/// A plan that can be carried out as it was made.
fn usable(root: &Path, path: &Path) -> Option<PackPlan> {
    let bytes = layout::read_at_most(path, MAX_PACK_HEADER.saturating_add(64)).ok()?;
    let plan = PackPlan::read(&bytes).ok().filter(|plan| layout::plan(root, plan.name()) == path)?;
    let there = |segment: &PlannedSegment| {
        let found = FinishedSegment::find(root, segment.recording, segment.number);
        found.is_some_and(|found| found.bytes == u64::from(segment.bytes))
    };
    plan.segments().iter().all(there).then_some(plan)
}

/// The segments that are in one of these plans.
pub(crate) fn planned(plans: &[PackPlan]) -> HashSet<(RecordingId, u32)> {
    let segments = plans.iter().flat_map(PackPlan::segments);
    segments.map(|segment| (segment.recording, segment.number)).collect()
}

/// Whole or not at all, and on stable storage with its name.
fn write(root: &Path, plan: &PackPlan) -> io::Result<()> {
    let path = layout::plan(root, plan.name());
    let unfinished: PathBuf = path.with_extension("new");
    let written = layout::create(&unfinished).and_then(|mut file| {
        io::Write::write_all(&mut file, &plan.head())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        layout::sync_dir(&layout::packs_dir(root))
    });
    if written.is_err() {
        // One that got its name all the same is as good as any.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
