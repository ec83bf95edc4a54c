//! Segments of a pack, judged before the pack is archived: whose they are, what is in them, and whether they continue
//! their recordings, counting those before them in the same pack.

use std::collections::HashMap;

use bytes::Bytes;
use countersign_model::RecordingId;
use countersign_pki::EdgeIdentity;
use countersign_recording::{
    CheckedSegment, Pack, PackName, PlannedSegment, SegmentInPack, chain_start, check_opened_segment,
};
use countersign_store::{Recording, Segment, SessionRecord, StoreError};

use crate::{Core, EdgeError, IngestError};

/// A segment that may be listed.
#[derive(Debug)]
pub(super) enum Judged {
    /// It is listed, in this pack or in another.
    Listed {
        session: SessionRecord,
        /// It ends its recording.
        last: bool,
    },
    /// It is the next one, and lies in this pack.
    New(SessionRecord, Segment),
}

/// Judges the segments of one pack, in its order.
pub(super) struct Judging<'a> {
    core: &'a Core,
    peer: &'a EdgeIdentity,
    pack: &'a PackName,
    bytes: &'a Bytes,
    /// The recordings of the pack that are this edge's.
    recordings: HashMap<RecordingId, Course>,
}

/// A recording with what was found new of it.
struct Course {
    session: SessionRecord,
    recording: Recording,
    /// What was listed before, once somebody asked.
    listed: Option<Vec<Segment>>,
}

impl<'a> Judging<'a> {
    pub(super) fn new(core: &'a Core, peer: &'a EdgeIdentity, pack: &'a Pack, bytes: &'a Bytes) -> Self {
        Self { core, peer, pack: pack.name(), bytes, recordings: HashMap::new() }
    }

    pub(super) async fn judge(&mut self, place: &SegmentInPack) -> Result<Judged, IngestError> {
        let Self { core, peer, .. } = *self;
        let planned = place.segment;
        // Whose it is comes first: a segment inflates to many times its size.
        let mut course = match self.recordings.remove(&planned.recording) {
            Some(course) => course,
            None => Course::of(core, peer, planned.recording).await?,
        };
        let judged = self.judge_in(&mut course, place).await;
        self.recordings.insert(planned.recording, course);
        judged
    }

    async fn judge_in(&self, course: &mut Course, place: &SegmentInPack) -> Result<Judged, IngestError> {
        let session = course.session.clone();
        if let Some(last) = course.listed_already(self.core, &place.segment).await? {
            return Ok(Judged::Listed { session, last });
        }
        let bytes = self.bytes.slice(place.range().unwrap_or_default());
        let key = self.core.parts.opening_key.clone();
        let checked = self.core.on_a_thread(move || Ok(check_opened_segment(&bytes, &key)?)).await?;
        if checked.recording != place.segment.recording || checked.number != place.segment.number {
            return Err(IngestError::Foreign("the segment is not the one that the pack names"));
        }
        check_keys(self.core, self.peer, &course.session, &checked).await?;
        check_continues(&course.recording, &checked)?;
        let segment = Segment {
            number: checked.number,
            sha256: checked.sha256,
            bytes: checked.bytes,
            frame_count: checked.frame_count,
            first_sequence: checked.first_sequence,
            last_link: checked.last_link,
            signing_key: checked.signing_key,
            last: checked.last,
            pack_boot: self.pack.boot_id,
            pack: self.pack.number,
            offset: place.offset,
        };
        course.recording = course.recording.clone().with(segment.clone());
        Ok(Judged::New(session, segment))
    }
}

impl Course {
    /// A recording, if this edge opened its session. A later process of the edge may upload what an earlier left.
    async fn of(core: &Core, peer: &EdgeIdentity, id: RecordingId) -> Result<Self, IngestError> {
        let recording = match core.parts.store.recording(id).await {
            Err(StoreError::NotFound) => return Err(EdgeError::UnknownSession.into()),
            found => found?,
        };
        let session = core.session_of(peer, &recording.session.to_string()).await?;
        Ok(Self { session, recording, listed: None })
    }

    /// Whether the same segment is listed, and if so, whether it is the last.
    async fn listed_already(
        &mut self,
        core: &Core,
        planned: &PlannedSegment,
    ) -> Result<Option<bool>, IngestError> {
        if planned.number >= self.recording.segments {
            return Ok(None);
        }
        if self.listed.is_none() {
            self.listed = Some(core.parts.store.segments(self.recording.id).await?);
        }
        let mut listed = self.listed.iter().flatten();
        match listed.find(|segment| segment.number == planned.number) {
            Some(present) if present.sha256 == planned.sha256 => Ok(Some(present.last)),
            // One that lies in this very pack has its number from here on as well: a pack lists nothing twice.
            Some(_) => Err(IngestError::Taken("another segment has this number")),
            None => Ok(None),
        }
    }
}

/// The process that began the segment is one that attached, and the key that closed it one that this edge announced
/// over its own TLS: the process's own, or that of a later one, which found it after a crash.
async fn check_keys(
    core: &Core,
    peer: &EdgeIdentity,
    session: &SessionRecord,
    checked: &CheckedSegment,
) -> Result<(), IngestError> {
    if checked.edge != peer.name {
        return Err(IngestError::Foreign("the segment names another edge"));
    }
    if checked.number == 0 && checked.boot_id != session.boot_id {
        return Err(IngestError::Foreign("the segment names another process than opened the session"));
    }
    match core.parts.store.boot(&peer.name, checked.boot_id).await {
        Err(StoreError::NotFound) => {
            return Err(IngestError::Foreign("the segment names a process that never attached"));
        }
        found => found?,
    };
    if core.parts.store.knows_recording_key(&peer.name, checked.signing_key).await? {
        Ok(())
    } else {
        Err(IngestError::Foreign("the segment is signed by a key that this edge does not have"))
    }
}

fn check_continues(recording: &Recording, checked: &CheckedSegment) -> Result<(), IngestError> {
    let (number, sequence, link) = match &recording.tail {
        None => (0, 0, chain_start(&recording.id.to_string())),
        Some(tail) if tail.last => return Err(IngestError::Taken("the recording is complete")),
        Some(tail) => {
            let next = tail.first_sequence.saturating_add(u64::from(tail.frame_count));
            (recording.segments, next, tail.last_link)
        }
    };
    if checked.number != number {
        return Err(IngestError::Gap { expected: number });
    }
    if checked.first_sequence == sequence && checked.previous_link == link {
        Ok(())
    } else {
        Err(IngestError::Foreign("the segment does not continue the chain"))
    }
}
