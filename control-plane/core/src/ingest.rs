//! Segments on their way to the archive.
//!
//! The order makes a death at any point harmless: the object first (the same bytes may be put again), then the store,
//! then the acknowledgement; after the last segment the manifest's object, then the seal. An edge that missed an
//! acknowledgement sends again and meets the same steps, of which those done are found done.

use bytes::Bytes;
use countersign_archive::{ArchiveError, Key};
use countersign_model::RecordingId;
use countersign_pki::EdgeIdentity;
use countersign_recording::{CheckedSegment, MAX_SEGMENT, chain_start, check_segment};
use countersign_store::{AppendError, Recording, Segment, SessionRecord, StoreError};
use countersign_wire::v1;
use prost::Message as _;
use tracing::{info, warn};

use crate::{
    Core, EdgeError, IngestError,
    recordings::{MAX_MANIFEST, manifest_key, segment_key},
    sessions::RECORDING_COMPLETE,
};

impl Core {
    /// Takes a segment in and returns the SHA-256 of what is archived.
    ///
    /// # Errors
    /// [`IngestError`]. Those of store and archive are worth trying again with.
    pub async fn ingest(
        &self,
        peer: &EdgeIdentity,
        upload: v1::UploadSegmentsRequest,
    ) -> Result<[u8; 32], IngestError> {
        if upload.segment.len() > MAX_SEGMENT {
            return Err(IngestError::Foreign("the segment is longer than 1 MiB"));
        }
        // Whose it is comes first: a segment inflates to many times its size.
        let id = upload.recording_id.parse();
        let id: RecordingId = id.map_err(|_| EdgeError::Malformed("recording_id is malformed"))?;
        let recording = self.recording_of(peer, id).await?;
        let session = self.recorded_session(peer, &recording).await?;
        let (checked, bytes) = self.judge(upload.segment).await?;
        if checked.recording != id || checked.number != upload.number {
            return Err(IngestError::Foreign("the segment is not the one that the upload names"));
        }
        self.check_keys(peer, &session, &checked).await?;
        let archived = self.archived_already(&recording, &checked).await?;
        if !archived {
            check_continues(&recording, &checked)?;
            self.archive_segment(&checked, bytes).await?;
        }
        if checked.last {
            self.seal(&recording.id, &session).await?;
        }
        Ok(checked.sha256)
    }

    /// Judges a segment on a thread that may be kept busy, a few at a time.
    async fn judge(&self, bytes: Vec<u8>) -> Result<(CheckedSegment, Vec<u8>), IngestError> {
        let stopped = |error: &dyn ToString| IngestError::from(StoreError::unavailable(error.to_string()));
        let permit = self.judging.clone().acquire_owned().await.map_err(|error| stopped(&error))?;
        let judged = tokio::task::spawn_blocking(move || {
            // Goes with the work, which goes on if the caller does not.
            let _permit = permit;
            check_segment(&bytes).map(|checked| (checked, bytes))
        });
        Ok(judged.await.map_err(|error| stopped(&error))??)
    }

    async fn recording_of(&self, peer: &EdgeIdentity, id: RecordingId) -> Result<Recording, IngestError> {
        self.enrolled(peer).await?;
        match self.parts.store.recording(id).await {
            Err(StoreError::NotFound) => Err(EdgeError::UnknownSession.into()),
            found => Ok(found?),
        }
    }

    /// The session of a recording, if this edge opened it. A later process of the edge may upload what an earlier left.
    async fn recorded_session(
        &self,
        peer: &EdgeIdentity,
        recording: &Recording,
    ) -> Result<SessionRecord, IngestError> {
        Ok(self.session_of(peer, &recording.session.to_string()).await?)
    }

    /// The process that began the segment is one that attached, and the key that closed it one that this edge
    /// announced over its own TLS: the process's own, or that of a later one, which found it after a crash.
    async fn check_keys(
        &self,
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
        match self.parts.store.boot(&peer.name, checked.boot_id).await {
            Err(StoreError::NotFound) => {
                return Err(IngestError::Foreign("the segment names a process that never attached"));
            }
            found => found?,
        };
        if self.parts.store.knows_recording_key(&peer.name, checked.signing_key).await? {
            Ok(())
        } else {
            Err(IngestError::Foreign("the segment is signed by a key that this edge does not have"))
        }
    }

    async fn archived_already(
        &self,
        recording: &Recording,
        checked: &CheckedSegment,
    ) -> Result<bool, IngestError> {
        if checked.number >= recording.segments {
            return Ok(false);
        }
        let segments = self.parts.store.segments(recording.id).await?;
        match segments.into_iter().find(|segment| segment.number == checked.number) {
            Some(present) if present.sha256 == checked.sha256 => Ok(true),
            Some(_) => Err(IngestError::Taken("another segment has this number")),
            None => Ok(false),
        }
    }

    async fn archive_segment(&self, checked: &CheckedSegment, bytes: Vec<u8>) -> Result<(), IngestError> {
        let key: Key = segment_key(checked.recording, checked.number)?;
        self.parts.archive.put_new(&key, Bytes::from(bytes)).await?;
        let segment = Segment {
            number: checked.number,
            sha256: checked.sha256,
            bytes: checked.bytes,
            frame_count: checked.frame_count,
            first_sequence: checked.first_sequence,
            last_link: checked.last_link,
            signing_key: checked.signing_key,
            last: checked.last,
        };
        match self.parts.store.append_segment(checked.recording, segment).await {
            Ok(_) => Ok(()),
            Err(AppendError::Gap { expected }) => Err(IngestError::Gap { expected }),
            Err(AppendError::Different) => Err(IngestError::Taken("another segment has this number")),
            Err(AppendError::Complete) => Err(IngestError::Taken("the recording is complete")),
            Err(AppendError::Store(error)) => Err(error.into()),
        }
    }

    /// Writes the sealed manifest beside the segments, then seals. A recording that is complete has no open session.
    async fn seal(&self, id: &RecordingId, session: &SessionRecord) -> Result<(), IngestError> {
        let recording = self.parts.store.recording(*id).await?;
        if !recording.sealed {
            let signed = self.sign_manifest(&recording, true).await?;
            let put = self.parts.archive.put_new(&manifest_key(*id)?, signed.encode_to_vec().into()).await;
            match put {
                // Written before a crash, with another time in it. It was ours if it verifies.
                Err(ArchiveError::Conflict) => self.check_sealed_manifest(*id).await?,
                put => drop(put?),
            }
            self.parts.store.seal_recording(*id).await?;
            self.audit(session.edge.as_str(), "recording.sealed", &id.to_string(), &[]).await?;
            info!(recording = %id, segments = recording.segments, "recording sealed");
        }
        if self.parts.store.session(session.id).await?.closed_at.is_none() {
            self.end_session(session, RECORDING_COMPLETE).await?;
        }
        Ok(())
    }

    async fn check_sealed_manifest(&self, id: RecordingId) -> Result<(), IngestError> {
        let archived = self.parts.archive.get(&manifest_key(id)?, MAX_MANIFEST).await?;
        let signed = archived.and_then(|bytes| v1::SignedManifest::decode(bytes).ok()).unwrap_or_default();
        let opened = countersign_recording::manifest::open(&signed, &self.parts.deployment_key.public());
        let ours = opened.is_ok_and(|manifest| manifest.sealed && manifest.recording_id == id.to_string());
        if ours {
            Ok(())
        } else {
            warn!(recording = %id, "the archive holds a manifest that is not ours");
            Err(IngestError::Taken("the archive holds another manifest"))
        }
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
