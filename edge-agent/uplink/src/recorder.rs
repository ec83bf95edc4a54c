//! The gate's recorder over the spool.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use aws_lc_rs::{hmac, rand};
use countersign_gate::{
    CloseReason, Entry,
    ports::{Journal, JournalError, Position, Recorder},
};
use countersign_model::{Durability, Name, RecordingId, SessionFacts};
use countersign_recording::seal_hash_key;
use countersign_runtime::{Failpoint, failpoint};
use countersign_spool::{AppendError, SessionSpool, Spool};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::error;
use zeroize::Zeroizing;

use crate::{
    entry,
    in_force::InForce,
    revocations::{Registered, Sessions},
};

/// A session that goes on has its segment closed this often, so that its recording is archived while it lives,
/// whether it does anything more or not.
const SEGMENT_AGE: Duration = Duration::from_secs(5);

/// How often the segments' ages are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Begins recordings in the spool.
pub struct SpoolRecorder {
    spool: Spool,
    edge: Name,
    in_force: Arc<InForce>,
    sessions: Arc<Sessions>,
    live: Arc<Live>,
}

impl SpoolRecorder {
    pub(crate) fn new(spool: Spool, edge: Name, in_force: Arc<InForce>, sessions: Arc<Sessions>) -> Self {
        Self { spool, edge, in_force, sessions, live: Arc::default() }
    }

    /// The recordings that are being written, for [`rotate_aged`].
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }
}

impl Recorder for SpoolRecorder {
    type Journal = SpoolJournal;

    async fn begin(&self, session: &SessionFacts, client_user: &str) -> Result<SpoolJournal, JournalError> {
        let registered = self.sessions.while_held(session.session);
        let configuration = self.in_force.configuration();
        let revision = configuration.map(|configuration| configuration.policies.revision().to_string());
        let (hashes, sealed) = hash_key(&self.spool, session.recording)?;
        let revision = revision.unwrap_or_default();
        let open = entry::open(session, client_user, self.edge.as_str(), revision, sealed);
        let mut spool = self.spool.begin(session.recording).map_err(journal_error)?;
        spool.append(&open, Durability::Fsync).await.map_err(journal_error)?;
        Ok(SpoolJournal { recording: self.live.add(spool), hashes, _registered: registered })
    }
}

/// The recording of one session.
pub struct SpoolJournal {
    recording: Arc<Mutex<Recording>>,
    /// Key of the hashes of what was really sent. AWS-LC clears it when it is dropped.
    hashes: hmac::Key,
    /// A session that is dropped without being closed, as by a panic, is no longer open either: its journal goes with
    /// it, and so do its connections.
    _registered: Registered,
}

impl Journal for SpoolJournal {
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.hashes);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }

    async fn append(&mut self, entry: Entry<'_>, durability: Durability) -> Result<Position, JournalError> {
        if let Entry::Close { reason, .. } = entry {
            return self.close(reason).await;
        }
        let after = failpoint_after(&entry, durability);
        if after == Some(Failpoint::IntentWritten) {
            failpoint(Failpoint::IntentUnwritten);
        }
        let written = {
            let mut recording = lock(&self.recording);
            let spool = recording.spool.as_mut().ok_or(JournalError::Unavailable)?;
            spool.write(&entry::entry(entry), durability).map_err(journal_error)?
        };
        let recorded = written.settled().await.map_err(journal_error)?;
        if let Some(after) = after {
            failpoint(after);
        }
        Ok(Position { sequence: recorded.sequence })
    }
}

impl SpoolJournal {
    async fn close(&mut self, reason: CloseReason) -> Result<Position, JournalError> {
        let spool = lock(&self.recording).spool.take().ok_or(JournalError::Unavailable)?;
        let recorded = spool.close(reason.as_str()).await.map_err(journal_error)?;
        Ok(Position { sequence: recorded.sequence })
    }
}

/// Draws the key of a recording's hashes, and seals it for the control plane: who may read a recording does not get it.
fn hash_key(spool: &Spool, recording: RecordingId) -> Result<(hmac::Key, Vec<u8>), JournalError> {
    let unavailable = |cause: &dyn std::fmt::Display| {
        error!(%recording, %cause, "a recording cannot be sealed");
        JournalError::Unavailable
    };
    let to = spool.recording_key().ok_or_else(|| unavailable(&AppendError::Unsealed))?;
    let mut secret = Zeroizing::new([0; 32]);
    rand::fill(&mut *secret).map_err(|error| unavailable(&error))?;
    let sealed = seal_hash_key(&to, recording, &secret).map_err(|error| unavailable(&error))?;
    Ok((hmac::Key::new(hmac::HMAC_SHA256, &*secret), sealed))
}

/// Where tests want to see it die once the entry is on disk.
fn failpoint_after(entry: &Entry<'_>, durability: Durability) -> Option<Failpoint> {
    match entry {
        Entry::Hold { .. } => Some(Failpoint::HoldRecorded),
        Entry::Intent { approval: Some(_), .. } => Some(Failpoint::ApprovedIntentWritten),
        Entry::Intent { .. } if durability == Durability::Fsync => Some(Failpoint::IntentWritten),
        _ => None,
    }
}

/// Shared by the session, which alone keeps it, and the task that closes its aged segments.
struct Recording {
    /// Gone once the recording is closed.
    spool: Option<SessionSpool>,
    segment_since: Instant,
}

impl Recording {
    fn rotate_if_aged(&mut self, age: Duration) {
        let Some(spool) = self.spool.as_mut().filter(|_| self.segment_since.elapsed() >= age) else { return };
        // What cannot be closed now is closed later; the entries themselves are recorded.
        if let Err(error) = spool.rotate() {
            error!(recording = %spool.recording(), %error, "a segment could not be closed");
        }
        self.segment_since = Instant::now();
    }
}

/// The recordings that are being written.
#[derive(Default)]
pub(crate) struct Live(Mutex<Vec<Weak<Mutex<Recording>>>>);

impl Live {
    fn add(&self, spool: SessionSpool) -> Arc<Mutex<Recording>> {
        let recording = Recording { spool: Some(spool), segment_since: Instant::now() };
        let recording = Arc::new(Mutex::new(recording));
        lock(&self.0).push(Arc::downgrade(&recording));
        recording
    }

    /// Closes each segment that is `age` old and holds anything. Blocks for the disk.
    fn rotate(&self, age: Duration) {
        let live: Vec<_> = {
            let mut live = lock(&self.0);
            live.retain(|recording| recording.strong_count() > 0);
            live.iter().filter_map(Weak::upgrade).collect()
        };
        live.iter().for_each(|recording| lock(recording).rotate_if_aged(age));
    }
}

/// Closes aged segments for as long as the edge runs.
pub(crate) async fn rotate_aged(live: Arc<Live>) {
    loop {
        sleep(LOOK_EVERY).await;
        let live = Arc::clone(&live);
        if spawn_blocking(move || live.rotate(SEGMENT_AGE)).await.is_err() {
            error!("closing aged segments was interrupted");
        }
    }
}

/// A session that panicked while it held its lock harms nobody but itself, and its recording is still to be ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn journal_error(error: AppendError) -> JournalError {
    match error {
        AppendError::Full => JournalError::Full,
        AppendError::TooLarge | AppendError::TooManySegments => JournalError::TooLarge,
        AppendError::TooManyUnfinished
        | AppendError::OutOfPlace
        | AppendError::Unsealed
        | AppendError::Write(_)
        | AppendError::Poisoned => {
            error!(%error, "a record could not be written");
            JournalError::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_spool::Opened;

    use super::*;
    use crate::upload::tests as spooled;

    #[tokio::test]
    async fn what_a_silent_session_recorded_leaves_without_its_doing() {
        let dir = tempfile::tempdir().expect("folder");
        let Opened { spool, mut finished, .. } = spooled::spool(dir.path());
        let (recording, session) = spooled::begin(&spool).await;
        let live = Live::default();
        let kept = live.add(session);
        live.rotate(SEGMENT_AGE);
        spool.settled().await;
        assert!(finished.try_recv().is_err(), "not yet");
        for _ in 0..2 {
            live.rotate(Duration::ZERO);
        }
        spool.settled().await;
        let segment = finished.try_recv().expect("announced");
        assert_eq!((segment.recording, segment.number), (recording, 0));
        assert!(finished.try_recv().is_err(), "an empty segment stays");
        drop(kept);
        live.rotate(Duration::ZERO);
        assert!(lock(&live.0).is_empty());
    }

    #[tokio::test]
    async fn a_session_is_open_for_as_long_as_its_journal_is_held() {
        let dir = tempfile::tempdir().expect("folder");
        let Opened { spool, .. } = spooled::spool(dir.path());
        let sessions = Arc::<Sessions>::default();
        let edge = "edge-1".parse().expect("name");
        let recorder = SpoolRecorder::new(spool, edge, Arc::default(), sessions.clone());
        let open = || {
            let facts = crate::authority::tests::facts();
            sessions.register(facts.session, sessions.asked()).expect("open");
            facts
        };
        let [dropped, refused] = [open(), open()];
        let journal = recorder.begin(&dropped, "ada").await.expect("begun");
        let again = SessionFacts { recording: dropped.recording, ..refused };
        assert!(recorder.begin(&again, "ada").await.is_err(), "a recording begins once");
        assert_eq!(sessions.open_for_hello(), [dropped.session]);
        drop(journal);
        assert!(sessions.open_for_hello().is_empty());
    }
}
