//! The group commit: one thread that puts written frames on stable storage, many sessions at a time.
//!
//! While it syncs, requests gather; the next round serves all of them with one sync per file. Jobs of one session
//! are done in order, so a frame is durable only after everything before it. A sync that failed is never repeated:
//! the kernel may have dropped the pages and would say yes the second time. The session is poisoned instead.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use countersign_model::RecordingId;
use tokio::sync::oneshot;

use crate::{FinishedSegment, layout, spool::Announce};

/// Whether a session's disk can still be trusted.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicBool);

impl Health {
    pub(crate) fn poison(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) recording: RecordingId,
    pub(crate) number: u32,
    pub(crate) health: Arc<Health>,
    /// Its name in the directory is on stable storage.
    pub(crate) named: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum Job {
    /// Everything written to the file so far.
    Sync(Arc<OpenFile>, oneshot::Sender<()>),
    /// The file has its trailer. `next` is durable before it gets its final name: from then on it may be uploaded
    /// and deleted, and only the next one's header says what is unfinished.
    Finish { file: Arc<OpenFile>, next: Option<Arc<OpenFile>> },
    /// Everything before is done.
    Barrier(oneshot::Sender<()>),
}

impl Job {
    fn file(&self) -> Option<&Arc<OpenFile>> {
        match self {
            Self::Sync(file, _) | Self::Finish { file, .. } => Some(file),
            Self::Barrier(_) => None,
        }
    }
}

/// Starts the thread. It ends once every sender is dropped and everything is done, and gives the lock up then.
pub(crate) fn start(root: PathBuf, lock: File, announce: Announce) -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel();
    let committer = Committer { root, announce, _lock: lock };
    thread::Builder::new().name("spool-commit".to_owned()).spawn(move || committer.run(&jobs))?;
    Ok(sender)
}

struct Committer {
    root: PathBuf,
    announce: Announce,
    /// No second process may write here.
    _lock: File,
}

impl Committer {
    fn run(&self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let round: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
            self.sync_each_once(&round);
            for job in round {
                self.answer(job);
            }
        }
    }

    fn sync_each_once(&self, round: &[Job]) {
        let mut synced: Vec<&Arc<OpenFile>> = Vec::new();
        for file in round.iter().filter_map(Job::file) {
            if synced.iter().any(|done| Arc::ptr_eq(done, file)) {
                continue;
            }
            self.sync(file);
            synced.push(file);
        }
    }

    fn sync(&self, file: &OpenFile) {
        if file.health.is_poisoned() {
            return;
        }
        if let Err(cause) = sync_with_name(file, &self.root) {
            tracing::error!(recording = %file.recording, %cause, "fsync failed; the recording ends here");
            file.health.poison();
        }
    }

    fn answer(&self, job: Job) {
        match job {
            // Dropping the sender says that it is not durable.
            Job::Sync(file, done) if !file.health.is_poisoned() => _ = done.send(()),
            Job::Sync(..) => {}
            Job::Finish { file, next } => self.finish(&file, next.as_deref()),
            Job::Barrier(done) => _ = done.send(()),
        }
    }

    fn finish(&self, file: &OpenFile, next: Option<&OpenFile>) {
        if let Some(next) = next {
            self.sync(next);
        }
        if file.health.is_poisoned() {
            return;
        }
        let (recording, number) = (file.recording, file.number);
        let open = layout::open(&self.root, recording, number);
        let path = layout::finished(&self.root, recording, number);
        match fs::rename(open, &path) {
            Ok(()) => {
                let bytes = file.file.metadata().map_or(0, |metadata| metadata.len());
                self.announce.send(FinishedSegment { recording, number, path, bytes });
            }
            Err(cause) => {
                tracing::error!(%recording, number, %cause, "a finished segment cannot be renamed");
                file.health.poison();
            }
        }
    }
}

/// The content, and once the names above it.
fn sync_with_name(file: &OpenFile, root: &Path) -> io::Result<()> {
    file.file.sync_data()?;
    if !file.named.load(Ordering::Acquire) {
        layout::sync_dir(&layout::recording_dir(root, file.recording))?;
        if file.number == 0 {
            layout::sync_dir(root)?;
        }
        file.named.store(true, Ordering::Release);
    }
    Ok(())
}
