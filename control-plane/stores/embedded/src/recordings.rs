//! Recordings: a record for each, and one for each of its segments.

use std::ops::Bound;

use async_trait::async_trait;
use countersign_model::RecordingId;
use countersign_store::{AppendError, Appended, Page, Recording, Recordings, Segment, StoreError};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredRecording, StoredSegment},
    tables::{self, Broken, Fault, Id, RECORDINGS, SEGMENTS},
};

#[async_trait]
impl Recordings for EmbeddedStore {
    async fn append_segment(&self, id: RecordingId, segment: Segment) -> Result<Appended, AppendError> {
        self.writer.write(move |transaction| append(transaction, id, segment)).await
    }

    async fn seal_recording(&self, id: RecordingId) -> Result<(), StoreError> {
        self.writer
            .write(move |transaction| {
                let mut recordings = transaction.open_table(RECORDINGS)?;
                let mut recording = present(&recordings, id)?;
                recording.sealed = true;
                Ok(tables::put(&mut recordings, id.as_bytes(), &StoredRecording::from(&recording))?)
            })
            .await
    }

    async fn recording(&self, id: RecordingId) -> Result<Recording, StoreError> {
        self.read(move |transaction| present(&transaction.open_table(RECORDINGS)?, id)).await
    }

    async fn segments(&self, id: RecordingId) -> Result<Vec<Segment>, StoreError> {
        self.read(move |transaction| {
            present(&transaction.open_table(RECORDINGS)?, id)?;
            let segments = transaction.open_table(SEGMENTS)?;
            let mut found = Vec::new();
            for entry in segments.range((id.as_bytes(), 0)..=(id.as_bytes(), u32::MAX))? {
                found.push(tables::decode::<StoredSegment>(entry?.1.value())?.try_into()?);
            }
            Ok(found)
        })
        .await
    }

    async fn recordings(
        &self,
        before: Option<RecordingId>,
        limit: usize,
    ) -> Result<Page<Recording, RecordingId>, StoreError> {
        self.read(move |transaction| {
            let recordings = transaction.open_table(RECORDINGS)?;
            let to = before.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
            let mut found = Vec::new();
            let most = Page::<Recording, RecordingId>::size(limit) + 1;
            for entry in recordings.range::<&[u8; 16]>((Bound::Unbounded, to))?.rev().take(most) {
                found.push(tables::decode::<StoredRecording>(entry?.1.value())?.try_into()?);
            }
            Ok(Page::from_overfull(found, limit, |recording: &Recording| recording.id))
        })
        .await
    }
}

fn append(
    transaction: &WriteTransaction,
    id: RecordingId,
    segment: Segment,
) -> Result<Appended, Fault<AppendError>> {
    let mut recordings = transaction.open_table(RECORDINGS)?;
    let mut segments = transaction.open_table(SEGMENTS)?;
    let recording = find(&recordings, id)?.ok_or(Fault::Refused(StoreError::NotFound.into()))?;
    let key = (id.as_bytes(), segment.number);
    let same_number: Option<StoredSegment> = tables::get(&segments, key)?;
    let same_number = same_number.map(Segment::try_from).transpose()?;
    let appended = recording.admit(&segment, same_number.as_ref()).map_err(Fault::Refused)?;
    if appended == Appended::Added {
        tables::put(&mut segments, key, &StoredSegment::from(&segment))?;
        tables::put(&mut recordings, id.as_bytes(), &StoredRecording::from(&recording.with(segment)))?;
    }
    Ok(appended)
}

fn present(recordings: &impl ReadableTable<Id, &'static [u8]>, id: RecordingId) -> Result<Recording, Fault> {
    find(recordings, id)?.ok_or(Fault::Refused(StoreError::NotFound))
}

fn find(
    recordings: &impl ReadableTable<Id, &'static [u8]>,
    id: RecordingId,
) -> Result<Option<Recording>, Broken> {
    tables::get::<_, StoredRecording>(recordings, id.as_bytes())?.map(TryInto::try_into).transpose()
}
