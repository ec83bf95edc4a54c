//! The spool as a whole: where sessions begin, and where finished segments go.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64, mpsc},
    time::SystemTime,
};

use countersign_model::{Name, RecordingId};
use countersign_recording::{MAX_SEGMENT, PackPlan, RecordingKey};
use countersign_runtime::{LOCK_PATIENCE, retry_while};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc as async_mpsc, oneshot};

use crate::{
    AcknowledgeError, AppendError, Level, Limits, Recovered, SessionSpool, SpoolError,
    account::Account,
    commit::{self, Job},
    layout, plans,
    recipient::Recipient,
    recovery,
};

/// The process that writes: what its segments say of it, and the key that signs them.
#[derive(Debug)]
pub struct Boot {
    /// Name of the edge.
    pub edge: Name,
    /// 16 random bytes, new for each process.
    pub boot_id: [u8; 16],
    /// New for each process; its public half is announced to the control plane.
    pub key: SigningKey,
}

/// What a spool is opened with.
#[derive(Debug)]
pub struct Config {
    /// Made if it is not there; then its mode is set to 0700.
    pub dir: PathBuf,
    /// How much it may hold.
    pub limits: Limits,
    /// Who writes.
    pub boot: Boot,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// A segment that has its trailer and waits for the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedSegment {
    /// The recording.
    pub recording: RecordingId,
    /// Its number.
    pub number: u32,
    /// Where it lies until it is acknowledged.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

impl FinishedSegment {
    /// The segment of that name, if it is there.
    pub(crate) fn find(root: &Path, recording: RecordingId, number: u32) -> Option<Self> {
        let path = layout::finished(root, recording, number);
        let bytes = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        Some(Self { recording, number, path, bytes })
    }
}

/// What [`Spool::open`] gives.
#[derive(Debug)]
pub struct Opened {
    /// The spool.
    pub spool: Spool,
    /// The packs that earlier processes planned and that are not acknowledged, in the order of their plans.
    pub planned: Vec<PackPlan>,
    /// Finished segments that are in no plan, those of earlier processes first. Unbounded: the disk is the bound.
    pub finished: async_mpsc::UnboundedReceiver<FinishedSegment>,
    /// What was found.
    pub recovered: Recovered,
}

/// The edge's disk. Clones are the same spool.
#[derive(Debug, Clone)]
pub struct Spool {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) boot: Boot,
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) account: Account,
    pub(crate) recipient: Recipient,
    /// Counts the packs of this process.
    pub(crate) next_pack: AtomicU64,
    jobs: mpsc::Sender<Job>,
}

impl Shared {
    /// False if the thread is gone, which it never is while somebody can ask.
    pub(crate) fn commit(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }
}

impl Spool {
    /// Opens the spool, closes what a crash left open, and announces what waits for upload. Blocks for the disk.
    ///
    /// # Errors
    /// [`SpoolError`] if the directory cannot be used, or another process uses it. A single recording that cannot
    /// be recovered is no error: it is counted and left where it is.
    pub fn open(config: Config) -> Result<Opened, SpoolError> {
        let Config { dir: root, limits, boot, clock } = config;
        if limits.low > limits.full || limits.full > limits.hard {
            return Err(SpoolError::Limits);
        }
        layout::make_dir(&root).map_err(SpoolError::io(&root))?;
        let lock = lock(&root)?;
        let recipient = Recipient::load(&root)?;
        let (sender, mut found) = async_mpsc::unbounded_channel();
        let (recovered, used) = recovery::recover(&root, &boot, recipient.key(), clock, &Announce(sender))?;
        let planned = plans::left(&root)?;
        let in_plans = plans::planned(&planned);
        let (sender, finished) = async_mpsc::unbounded_channel();
        let announce = Announce(sender);
        while let Ok(segment) = found.try_recv() {
            if !in_plans.contains(&(segment.recording, segment.number)) {
                announce.send(segment);
            }
        }
        let jobs = commit::start(root.clone(), lock, announce).map_err(SpoolError::io(&root))?;
        let account = Account::new(limits, used);
        let shared =
            Arc::new(Shared { root, boot, clock, account, recipient, next_pack: AtomicU64::new(0), jobs });
        Ok(Opened { spool: Self { shared }, planned, finished, recovered })
    }

    /// From now on new segments are sealed to this key, and so is what a later start adds to recordings. Blocks for the
    /// disk if it is another one than before.
    ///
    /// # Errors
    /// [`SpoolError::Io`]; then the key before stays in force.
    pub fn seal_to(&self, key: RecordingKey) -> Result<(), SpoolError> {
        let path = layout::recording_key(&self.shared.root);
        self.shared.recipient.replace(key).map_err(SpoolError::io(path))
    }

    /// The key that recordings are sealed to; none before the control plane ever named one.
    pub fn recording_key(&self) -> Option<RecordingKey> {
        self.shared.recipient.key()
    }

    /// Begins the recording of a session. Its first entry must be an Open.
    ///
    /// # Errors
    /// [`AppendError::Full`], [`AppendError::Unsealed`] before [`Self::seal_to`], or [`AppendError::Write`] if its directory or file cannot be made (which is so if
    /// the recording has begun before).
    pub fn begin(&self, recording: RecordingId) -> Result<SessionSpool, AppendError> {
        SessionSpool::begin(Arc::clone(&self.shared), recording)
    }

    /// The bytes of a finished segment: at most 1 MiB. Blocks for the disk.
    ///
    /// # Errors
    /// [`SpoolError::Io`], also if it is larger than a segment may be.
    pub fn read(&self, segment: &FinishedSegment) -> Result<Vec<u8>, SpoolError> {
        layout::read_bounded(&segment.path).map_err(SpoolError::io(&segment.path))
    }

    /// Deletes a segment that the archive has: only if the bytes here have the hash that the archive names. With
    /// the last one the recording's directory goes. Blocks for the disk.
    ///
    /// # Errors
    /// [`AcknowledgeError`]; then nothing is deleted.
    pub fn acknowledge(
        &self,
        recording: RecordingId,
        number: u32,
        sha256: &[u8],
    ) -> Result<(), AcknowledgeError> {
        let path = layout::finished(&self.shared.root, recording, number);
        if !path.is_file() {
            return Err(AcknowledgeError::Unknown(recording, number));
        }
        let failed = |cause| AcknowledgeError::Io(recording, number, cause);
        let bytes = layout::read_bounded(&path).map_err(failed)?;
        if Sha256::digest(&bytes).as_slice() != sha256 {
            return Err(AcknowledgeError::Mismatch(recording, number));
        }
        fs::remove_file(&path).map_err(failed)?;
        self.shared.account.subtract(u64::try_from(bytes.len()).unwrap_or(MAX_SEGMENT as u64));
        // Refused by the file system while anything else is in it, which is what is wanted.
        let _ = fs::remove_dir(layout::recording_dir(&self.shared.root, recording));
        Ok(())
    }

    /// How full it is.
    pub fn level(&self) -> Level {
        self.shared.account.level()
    }

    /// Bytes of recordings in its files. Plans of packs are not counted: there are two, of some kilobytes.
    pub fn used(&self) -> u64 {
        self.shared.account.used()
    }

    /// Waits until everything that was written or finished before is on stable storage and announced: the last
    /// step of a shutdown. Cancelling it loses nothing but the waiting.
    pub async fn settled(&self) {
        let (done, settled) = oneshot::channel();
        if self.shared.commit(Job::Barrier(done)) {
            let _ = settled.await;
        }
    }
}

/// Where finished segments are announced.
#[derive(Debug, Clone)]
pub(crate) struct Announce(async_mpsc::UnboundedSender<FinishedSegment>);

impl Announce {
    /// Without an uploader the segment waits for the next process.
    pub(crate) fn send(&self, segment: FinishedSegment) {
        let _ = self.0.send(segment);
    }
}

fn lock(root: &Path) -> Result<File, SpoolError> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(SpoolError::io(&path))?;
    let busy = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
    match retry_while(LOCK_PATIENCE, || file.try_lock(), busy) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(root.to_owned())),
        Err(TryLockError::Error(cause)) => Err(SpoolError::Io { path, cause }),
    }
}
