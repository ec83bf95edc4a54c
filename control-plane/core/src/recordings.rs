//! Recordings as admins read them: lists, manifests, segments.

use bytes::Bytes;
use countersign_archive::{ArchiveError, Key};
use countersign_model::RecordingId;
use countersign_pki::Domain;
use countersign_recording::MAX_SEGMENT;
use countersign_store::{Recording, StoreError};
use countersign_wire::{to_timestamp, v1};
use prost::Message as _;

use crate::{Core, PageError, listing, sessions};

/// Largest manifest that is read, in bytes.
pub(crate) const MAX_MANIFEST: usize = countersign_recording::MAX_SIGNED_MANIFEST;

/// Why something that is on record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such session or recording.
    #[error("there is no such session or recording")]
    NotFound,
    /// The page token is none of ours.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(StoreError),
    /// The archive failed.
    #[error("the archive failed: {0}")]
    Archive(#[from] ArchiveError),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            error => Self::Store(error),
        }
    }
}

impl Core {
    /// A page of recordings, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list_recordings(
        &self,
        size: u32,
        token: &str,
    ) -> Result<v1::ListRecordingsResponse, ReadError> {
        let (before, limit) = listing::page(size, token)?;
        let page = self.parts.store.recordings(before, limit).await?;
        let mut recordings = Vec::with_capacity(page.items.len());
        for recording in &page.items {
            let session = self.parts.store.session(recording.session).await?;
            recordings.push(v1::RecordingSummary {
                id: recording.id.to_string(),
                session: Some(sessions::message(&session)),
                segments: recording.segments,
                bytes: recording.bytes,
                sealed: recording.sealed,
            });
        }
        Ok(v1::ListRecordingsResponse { recordings, next_page_token: listing::token(page.next) })
    }

    /// The manifest and the numbers of the segments to read next: as archived if the recording is sealed, else made
    /// and signed now and not sealed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn recording_head(&self, id: &str) -> Result<(RecordingId, v1::RecordingHead, u32), ReadError> {
        let id: RecordingId = id.parse().map_err(|_| ReadError::NotFound)?;
        let recording = self.parts.store.recording(id).await?;
        let manifest = if recording.sealed {
            // Whatever is there is shown: a manifest that was tampered with must reach who verifies it.
            let archived = self.parts.archive.get(&manifest_key(id)?, MAX_MANIFEST).await?;
            archived.and_then(|bytes| v1::SignedManifest::decode(bytes).ok())
        } else {
            Some(self.sign_manifest(&recording, false).await?)
        };
        let deployment_key = self.parts.deployment_key.public().to_vec();
        Ok((id, v1::RecordingHead { manifest, deployment_key }, recording.segments))
    }

    /// One segment, as the archive holds it and unjudged; `None` if it holds none of that number.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn recording_segment(
        &self,
        id: RecordingId,
        number: u32,
    ) -> Result<Option<Bytes>, ArchiveError> {
        // Somewhat more than a segment may have, so that one that was lengthened can still be shown as faulty.
        self.parts.archive.get(&segment_key(id, number)?, 2 * MAX_SEGMENT).await
    }

    /// A manifest of what the store knows, signed now.
    pub(crate) async fn sign_manifest(
        &self,
        recording: &Recording,
        sealed: bool,
    ) -> Result<v1::SignedManifest, StoreError> {
        let index = |key: &[u8; 32]| {
            let at = recording.signing_keys.iter().position(|known| known == key);
            at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
        };
        let segments = self.parts.store.segments(recording.id).await?;
        let segments = segments.iter().map(|segment| v1::manifest::Segment {
            number: segment.number,
            sha256: segment.sha256.to_vec(),
            bytes: segment.bytes,
            frame_count: segment.frame_count,
            first_sequence: segment.first_sequence,
            last_link: segment.last_link.to_vec(),
            signing_key: index(&segment.signing_key),
        });
        let manifest = v1::Manifest {
            recording_id: recording.id.to_string(),
            session_id: recording.session.to_string(),
            segments: segments.collect(),
            signing_keys: recording.signing_keys.iter().map(|key| key.to_vec()).collect(),
            sealed,
            at: Some(to_timestamp(self.now())),
        };
        let manifest = manifest.encode_to_vec();
        let signature = self.parts.deployment_key.sign(Domain::Manifest, &manifest).to_vec();
        Ok(v1::SignedManifest { manifest, signature })
    }
}

pub(crate) fn segment_key(id: RecordingId, number: u32) -> Result<Key, ArchiveError> {
    key(format!("recordings/{id}/{number:08}.seg"))
}

pub(crate) fn manifest_key(id: RecordingId) -> Result<Key, ArchiveError> {
    key(format!("recordings/{id}/manifest"))
}

/// Ids print in the archive's alphabet, so this does not fail.
fn key(text: String) -> Result<Key, ArchiveError> {
    text.parse().map_err(|error: countersign_archive::KeyError| ArchiveError::Unavailable(error.to_string()))
}
