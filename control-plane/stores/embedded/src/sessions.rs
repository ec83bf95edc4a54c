//! Sessions, with an index of the open ones by edge.

use std::{ops::Bound, time::SystemTime};

use async_trait::async_trait;
use countersign_model::{Name, SessionId};
use countersign_store::{BootId, Page, Recording, SessionRecord, Sessions, StoreError};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredRecording, StoredSession},
    tables::{self, Broken, Fault, OPEN_SESSIONS, RECORDINGS, SESSIONS},
};

#[async_trait]
impl Sessions for EmbeddedStore {
    async fn open_session(&self, session: SessionRecord) -> Result<(), StoreError> {
        self.writer.write(move |transaction| open(transaction, &session)).await
    }

    async fn session(&self, id: SessionId) -> Result<SessionRecord, StoreError> {
        self.read(move |transaction| find(&transaction.open_table(SESSIONS)?, id)).await
    }

    async fn close_session(
        &self,
        id: SessionId,
        at: SystemTime,
        why: &str,
    ) -> Result<SessionRecord, StoreError> {
        let why = why.to_owned();
        self.writer.write(move |transaction| close(transaction, id, at, why)).await
    }

    async fn sessions(
        &self,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<SessionRecord, SessionId>, StoreError> {
        self.read(move |transaction| {
            let sessions = transaction.open_table(SESSIONS)?;
            let to = before.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
            let mut found = Vec::new();
            let most = Page::<SessionRecord, SessionId>::size(limit) + 1;
            for entry in sessions.range::<&[u8; 16]>((Bound::Unbounded, to))?.rev().take(most) {
                found.push(decode(entry?.1.value())?);
            }
            Ok(Page::from_overfull(found, limit, |session: &SessionRecord| session.id))
        })
        .await
    }

    async fn open_sessions(
        &self,
        edge: &Name,
        boot: Option<BootId>,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let edge = edge.clone();
        self.read(move |transaction| {
            let sessions = transaction.open_table(SESSIONS)?;
            let index = transaction.open_table(OPEN_SESSIONS)?;
            let (first, last) = ([0; 16], [0xff; 16]);
            let mut found = Vec::new();
            for entry in index.range((edge.as_str(), &first)..=(edge.as_str(), &last))? {
                let (key, of_boot) = entry?;
                if boot.is_none_or(|boot| boot == *of_boot.value()) {
                    let record = sessions.get(key.value().1)?.ok_or_else(|| Broken::corrupt("index"))?;
                    found.push(decode(record.value())?);
                }
            }
            Ok(found)
        })
        .await
    }
}

fn open(transaction: &WriteTransaction, session: &SessionRecord) -> Result<(), Fault> {
    let mut sessions = transaction.open_table(SESSIONS)?;
    let mut recordings = transaction.open_table(RECORDINGS)?;
    let (id, recording) = (session.id.as_bytes(), session.recording.as_bytes());
    if sessions.get(id)?.is_some() || recordings.get(recording)?.is_some() {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    tables::put(&mut sessions, id, &StoredSession::from(session))?;
    if session.closed_at.is_none() {
        let mut index = transaction.open_table(OPEN_SESSIONS)?;
        index.insert((session.edge.as_str(), id), &session.boot_id)?;
    }
    let empty = Recording {
        id: session.recording,
        session: session.id,
        signing_keys: Vec::new(),
        segments: 0,
        bytes: 0,
        tail: None,
        sealed: false,
    };
    Ok(tables::put(&mut recordings, recording, &StoredRecording::from(&empty))?)
}

fn close(
    transaction: &WriteTransaction,
    id: SessionId,
    at: SystemTime,
    why: String,
) -> Result<SessionRecord, Fault> {
    let mut sessions = transaction.open_table(SESSIONS)?;
    let mut session = find(&sessions, id)?;
    if session.closed_at.is_none() {
        session.closed_at = Some(at);
        session.closed_because = why;
        tables::put(&mut sessions, id.as_bytes(), &StoredSession::from(&session))?;
        let mut index = transaction.open_table(OPEN_SESSIONS)?;
        index.remove((session.edge.as_str(), id.as_bytes()))?;
    }
    Ok(session)
}

fn find(
    sessions: &impl ReadableTable<tables::Id, &'static [u8]>,
    id: SessionId,
) -> Result<SessionRecord, Fault> {
    let stored: Option<StoredSession> = tables::get(sessions, id.as_bytes())?;
    Ok(stored.ok_or(Fault::Refused(StoreError::NotFound))?.try_into()?)
}

fn decode(record: &[u8]) -> Result<SessionRecord, Broken> {
    tables::decode::<StoredSession>(record)?.try_into()
}
