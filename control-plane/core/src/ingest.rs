//! Packs of segments on their way to the archive.
//!
//! The order makes a death at any point harmless: every segment is judged, then the pack is archived (the same bytes
//! may be put again), then the store lists its segments, then the edge is answered; after a recording's last segment
//! the manifest's object, then the seal. An edge that missed an answer sends again and meets the same steps, of which
//! those done are found done. A pack of which nothing is new is not archived: its segments rest elsewhere.

mod judged;

use bytes::Bytes;
use countersign_archive::{ArchiveError, Key};
use countersign_model::RecordingId;
use countersign_pki::EdgeIdentity;
use countersign_recording::{MAX_PACK, Pack};
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::{AppendError, Segment, SessionRecord, StoreError};
use countersign_wire::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use self::judged::{Judged, Judging};
use crate::{
    Core, IngestError,
    recordings::{MAX_MANIFEST, manifest_key, pack_key},
    sessions::RECORDING_COMPLETE,
};

/// A pack as an edge sends it.
#[derive(Debug, Clone)]
pub struct PackUpload {
    /// The process that made it.
    pub boot_id: Vec<u8>,
    /// Its number.
    pub number: u64,
    /// What it hashes to.
    pub sha256: Vec<u8>,
    /// All of it.
    pub bytes: Bytes,
}

/// What became of a pack.
#[derive(Debug)]
pub struct PackTaken {
    /// SHA-256 of what was sent.
    pub sha256: [u8; 32],
    /// Each segment in the order of the pack.
    pub segments: Vec<SegmentTaken>,
}

/// What became of a segment.
#[derive(Debug)]
pub struct SegmentTaken {
    /// The recording that the pack names.
    pub recording: RecordingId,
    /// Its number there.
    pub number: u32,
    /// It rests in the archive and is listed, or why not.
    pub result: Result<(), IngestError>,
}

impl Core {
    /// Takes a pack in: what is new and right in it is archived and listed. A segment that is refused takes nothing
    /// along but later ones of its recording.
    ///
    /// # Errors
    /// [`IngestError`] if nothing of it was taken, or if it is not known what was: then it is worth trying again with.
    pub async fn ingest(&self, peer: &EdgeIdentity, upload: PackUpload) -> Result<PackTaken, IngestError> {
        // Whose it is comes first: judging costs many times what sending does.
        self.enrolled(peer).await?;
        let PackUpload { boot_id, number, sha256, bytes } = upload;
        let (pack, hash) = self.read(bytes.clone()).await?;
        if pack.name().number != number || pack.name().boot_id.as_slice() != boot_id || hash != *sha256 {
            return Err(IngestError::Foreign("the pack is not the one that the upload names"));
        }
        self.check_maker(peer, &pack).await?;
        let mut judging = Judging::new(self, peer, &pack, &bytes);
        let mut judged = Vec::new();
        for place in pack.places() {
            judged.push((place.segment, separate(judging.judge(&place).await)?));
        }
        if judged.iter().any(|(_, judged)| matches!(judged, Ok(Judged::New(..)))) {
            let key: Key = pack_key(pack.name())?;
            self.parts.archive.put_new(&key, bytes).await?;
            failpoint(Failpoint::RecordingArchived);
        }
        let mut segments = Vec::with_capacity(judged.len());
        for (planned, judged) in judged {
            let (recording, number) = (planned.recording, planned.number);
            let result = match judged {
                Ok(judged) => separate(self.settle(recording, judged).await)?,
                Err(refused) => Err(refused),
            };
            segments.push(SegmentTaken { recording, number, result });
        }
        failpoint(Failpoint::PackTaken);
        Ok(PackTaken { sha256: hash, segments })
    }

    /// The pack, if it is whole, and its hash.
    async fn read(&self, bytes: Bytes) -> Result<(Pack, [u8; 32]), IngestError> {
        if bytes.len() > MAX_PACK {
            return Err(IngestError::Foreign("the pack is longer than 8 MiB"));
        }
        self.on_a_thread(move || Ok((Pack::check(&bytes)?, Sha256::digest(&bytes).into()))).await
    }

    /// Works on a thread that may be kept busy, a few at a time.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
    ) -> Result<T, IngestError> {
        let stopped = |error: &dyn ToString| IngestError::from(StoreError::unavailable(error.to_string()));
        let permit = self.judging.clone().acquire_owned().await.map_err(|error| stopped(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            // Goes with the work, which goes on if the caller does not.
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| stopped(&error))?
    }

    /// This edge made it, in a process that attached: this one or an earlier one.
    async fn check_maker(&self, peer: &EdgeIdentity, pack: &Pack) -> Result<(), IngestError> {
        if pack.name().edge != peer.name {
            return Err(IngestError::Foreign("the pack names another edge"));
        }
        match self.parts.store.boot(&peer.name, pack.name().boot_id).await {
            Err(StoreError::NotFound) => {
                Err(IngestError::Foreign("the pack names a process that never attached"))
            }
            found => Ok(found.map(drop)?),
        }
    }

    /// Lists a segment whose pack is archived, and seals its recording with the last.
    async fn settle(&self, recording: RecordingId, judged: Judged) -> Result<(), IngestError> {
        let (session, last) = match judged {
            Judged::Listed { session, last } => (session, last),
            Judged::New(session, segment) => {
                let last = segment.last;
                self.append(recording, segment).await?;
                failpoint(Failpoint::RecordingListed);
                (session, last)
            }
        };
        if last { self.seal(&recording, &session).await } else { Ok(()) }
    }

    async fn append(&self, recording: RecordingId, segment: Segment) -> Result<(), IngestError> {
        match self.parts.store.append_segment(recording, segment).await {
            Ok(_) => Ok(()),
            Err(AppendError::Gap { expected }) => Err(IngestError::Gap { expected }),
            Err(AppendError::Different) => Err(IngestError::Taken("another segment has this number")),
            Err(AppendError::Complete) => Err(IngestError::Taken("the recording is complete")),
            Err(AppendError::Store(error)) => Err(error.into()),
        }
    }

    /// Writes the sealed manifest, then seals. A recording that is complete has no open session.
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
            failpoint(Failpoint::ManifestArchived);
            self.parts.store.seal_recording(*id).await?;
            failpoint(Failpoint::RecordingSealed);
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

/// A refusal of one segment inside; outside what ends the whole upload, to be tried again.
fn separate<T>(result: Result<T, IngestError>) -> Result<Result<T, IngestError>, IngestError> {
    match result {
        Err(error) if error.refusal().is_none() => Err(error),
        result => Ok(result),
    }
}
