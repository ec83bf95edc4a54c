//! Recordings as admins read them: lists, manifests, segments.

use bytes::Bytes;
use countersign_archive::{ArchiveError, Key};
use countersign_model::{Name, RecordingId};
use countersign_pki::Domain;
use countersign_recording::{ContentKey, MAX_SEGMENT, PackName, Part, SegmentReader};
use countersign_store::{Recording, Segment, StoreError};
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

/// What is known of a recording before its segments are read.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedRecording {
    /// The recording.
    pub id: RecordingId,
    /// Its manifest, and the key to verify it with.
    pub head: v1::RecordingHead,
    /// Its segments in order of number.
    pub segments: Vec<SegmentPlace>,
}

/// Where a segment lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Its number.
    pub number: u32,
    pack: Key,
    offset: u32,
    bytes: u64,
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

    /// The manifest and the places of the segments to read next: as archived if the recording is sealed, else made and
    /// signed now and not sealed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn recording_head(&self, id: &str) -> Result<ArchivedRecording, ReadError> {
        let id: RecordingId = id.parse().map_err(|_| ReadError::NotFound)?;
        let recording = self.parts.store.recording(id).await?;
        let edge = self.parts.store.session(recording.session).await?.edge;
        let manifest = if recording.sealed {
            // Whatever is there is shown: a manifest that was tampered with must reach who verifies it.
            let archived = self.parts.archive.get(&manifest_key(id)?, MAX_MANIFEST).await?;
            archived.and_then(|bytes| v1::SignedManifest::decode(bytes).ok())
        } else {
            Some(self.sign_manifest(&recording, false).await?)
        };
        let deployment_key = self.parts.deployment_key.public().to_vec();
        let segments = self.parts.store.segments(id).await?;
        let segments = segments.iter().take(usize::try_from(recording.segments).unwrap_or(usize::MAX));
        Ok(ArchivedRecording {
            id,
            head: v1::RecordingHead { manifest, deployment_key },
            segments: segments.map(|segment| place(&edge, segment)).collect::<Result<_, _>>()?,
        })
    }

    /// One segment, as the archive holds it and unjudged; `None` if its pack is gone, or ends before it. Of a pack that
    /// was cut within it, what is left.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn recording_segment(&self, place: &SegmentPlace) -> Result<Option<Bytes>, ArchiveError> {
        let len = usize::try_from(place.bytes).unwrap_or(MAX_SEGMENT).min(MAX_SEGMENT);
        let read = self.parts.archive.get_range(&place.pack, u64::from(place.offset), len).await?;
        Ok(read.filter(|bytes| !bytes.is_empty()))
    }

    /// The content key of a segment as the archive holds it, for a caller who may read recordings; `None` if it is not
    /// sealed to our key, or its header is not as it was: then the reader sees that it cannot be opened.
    pub fn content_key(&self, segment: &[u8]) -> Option<ContentKey> {
        match SegmentReader::new(segment).next_part() {
            Ok(Some(Part::Header(header))) => self.parts.opening_key.open_content_key(&header).ok(),
            _ => None,
        }
    }

    /// A manifest of what the store knows, signed now.
    pub(crate) async fn sign_manifest(
        &self,
        recording: &Recording,
        sealed: bool,
    ) -> Result<v1::SignedManifest, StoreError> {
        let edge = self.parts.store.session(recording.session).await?.edge;
        let segments = self.parts.store.segments(recording.id).await?;
        let mut boots = Vec::new();
        for segment in &segments {
            if !boots.contains(&segment.pack_boot) {
                boots.push(segment.pack_boot);
            }
        }
        let segments = segments.iter().map(|segment| v1::manifest::Segment {
            number: segment.number,
            sha256: segment.sha256.to_vec(),
            bytes: segment.bytes,
            frame_count: segment.frame_count,
            first_sequence: segment.first_sequence,
            last_link: segment.last_link.to_vec(),
            signing_key: index(&recording.signing_keys, &segment.signing_key),
            pack_boot: index(&boots, &segment.pack_boot),
            pack: segment.pack,
            offset: segment.offset,
        });
        let manifest = v1::Manifest {
            recording_id: recording.id.to_string(),
            session_id: recording.session.to_string(),
            segments: segments.collect(),
            signing_keys: recording.signing_keys.iter().map(|key| key.to_vec()).collect(),
            sealed,
            at: Some(to_timestamp(self.now())),
            edge: edge.to_string(),
            pack_boots: boots.iter().map(|boot| boot.to_vec()).collect(),
        };
        let manifest = manifest.encode_to_vec();
        let signature = self.parts.deployment_key.sign(Domain::Manifest, &manifest).to_vec();
        Ok(v1::SignedManifest { manifest, signature })
    }
}

fn index<T: PartialEq>(all: &[T], one: &T) -> u32 {
    let at = all.iter().position(|known| known == one);
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
}

fn place(edge: &Name, segment: &Segment) -> Result<SegmentPlace, ArchiveError> {
    let pack = PackName { edge: edge.clone(), boot_id: segment.pack_boot, number: segment.pack };
    let Segment { number, offset, bytes, .. } = *segment;
    Ok(SegmentPlace { number, pack: pack_key(&pack)?, offset, bytes })
}

pub(crate) fn pack_key(pack: &PackName) -> Result<Key, ArchiveError> {
    key(pack.key())
}

pub(crate) fn manifest_key(id: RecordingId) -> Result<Key, ArchiveError> {
    key(format!("recordings/{id}/manifest"))
}

/// Ids and names print in the archive's alphabet, so this does not fail.
fn key(text: String) -> Result<Key, ArchiveError> {
    text.parse().map_err(|error: countersign_archive::KeyError| ArchiveError::Unavailable(error.to_string()))
}
