//! The gate's recorder over the spool.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_gate::{
    CloseReason, Entry,
    ports::{Journal, JournalError, Position, Recorder},
};
use countersign_model::{Durability, Name, SessionFacts};
use countersign_spool::{AppendError, SessionSpool, Spool};
use tracing::error;

use crate::{entry, in_force::InForce};

/// A session that goes on has its segment closed this often, so that its recording is archived while it lives.
const SEGMENT_AGE: Duration = Duration::from_secs(5);

/// Begins recordings in the spool.
pub struct SpoolRecorder {
    spool: Spool,
    edge: Name,
    in_force: Arc<InForce>,
}

impl SpoolRecorder {
    pub(crate) fn new(spool: Spool, edge: Name, in_force: Arc<InForce>) -> Self {
        Self { spool, edge, in_force }
    }
}

impl Recorder for SpoolRecorder {
    type Journal = SpoolJournal;

    async fn begin(&self, session: &SessionFacts, client_user: &str) -> Result<SpoolJournal, JournalError> {
        let configuration = self.in_force.configuration();
        let revision = configuration.map(|configuration| configuration.policies.revision().to_string());
        let open = entry::open(session, client_user, self.edge.as_str(), revision.unwrap_or_default());
        let mut spool = self.spool.begin(session.recording).map_err(journal_error)?;
        spool.append(&open, Durability::Fsync).await.map_err(journal_error)?;
        Ok(SpoolJournal { spool: Some(spool), segment_since: Instant::now() })
    }
}

/// The recording of one session.
pub struct SpoolJournal {
    /// Gone once the recording is closed.
    spool: Option<SessionSpool>,
    segment_since: Instant,
}

impl Journal for SpoolJournal {
    async fn append(&mut self, entry: Entry<'_>, durability: Durability) -> Result<Position, JournalError> {
        if let Entry::Close { reason, .. } = entry {
            return self.close(reason).await;
        }
        let spool = self.spool.as_mut().ok_or(JournalError::Unavailable)?;
        let recorded = spool.append(&entry::entry(entry), durability).await.map_err(journal_error)?;
        if self.segment_since.elapsed() > SEGMENT_AGE {
            // What cannot be closed now is closed later; the entry itself is recorded.
            if let Err(error) = spool.rotate() {
                error!(%error, "a segment could not be closed");
            }
            self.segment_since = Instant::now();
        }
        Ok(Position { sequence: recorded.sequence })
    }
}

impl SpoolJournal {
    async fn close(&mut self, reason: CloseReason) -> Result<Position, JournalError> {
        let spool = self.spool.take().ok_or(JournalError::Unavailable)?;
        let recorded = spool.close(reason.as_str()).await.map_err(journal_error)?;
        Ok(Position { sequence: recorded.sequence })
    }
}

fn journal_error(error: AppendError) -> JournalError {
    match error {
        AppendError::Full => JournalError::Full,
        AppendError::TooLarge => JournalError::TooLarge,
        AppendError::TooManyUnfinished
        | AppendError::OutOfPlace
        | AppendError::Write(_)
        | AppendError::Poisoned => {
            error!(%error, "a record could not be written");
            JournalError::Unavailable
        }
    }
}
