//! The recording of one session while it is written.
//!
//! The order of a write is: encode, one `write`, then the chain moves on. A write that fails is cut off again, and
//! the chain has not moved; if even that fails, the session is poisoned. So the file never holds a frame that the
//! chain does not know, nor the chain one that the file does not hold.

use std::{
    fs,
    io::{self, Write as _},
    sync::{Arc, atomic::AtomicBool},
};

use countersign_model::{Durability, RecordingId};
use countersign_recording::{
    Beginning, Close, EncodeError, EncodedFrame, Entry, FrameKind, MAX_SEGMENT, MAX_SEGMENTS, Recorded,
    SegmentWriter, chain_start,
};
use tokio::sync::oneshot;

use crate::{
    AppendError,
    commit::{Health, Job, OpenFile},
    layout,
    ledger::Ledger,
    spool::Shared,
};

/// A segment that has grown to this is closed before the next frame.
const ROTATE_AT: usize = 512 << 10;

/// Room kept in every segment for its trailer and for the end of the recording: an outcome of some 200 bytes for each
/// unfinished intent (at most 128), and a Close.
const RESERVE: usize = 40 << 10;

/// The last segment that a session may begin. It has room for the end of the recording as every segment has
/// ([`RESERVE`]), and one number stays free for the segment in which a recovery ends it.
const LAST_SEGMENT: u32 = MAX_SEGMENTS - 2;

/// The recording of one session. Dropped without [`Self::close`], it is closed with the reason `aborted`.
#[derive(Debug)]
pub struct SessionSpool {
    shared: Arc<Shared>,
    recording: RecordingId,
    writer: SegmentWriter,
    file: Arc<OpenFile>,
    health: Arc<Health>,
    ledger: Ledger,
    ended: bool,
    /// [`LAST_SEGMENT`], but for tests.
    pub(crate) last_segment: u32,
}

/// An entry that is written, and perhaps not yet on stable storage.
#[derive(Debug)]
#[must_use = "what was asked to be durable is so only once it is settled"]
pub struct Written {
    recorded: Recorded,
    pending: Option<oneshot::Receiver<()>>,
}

impl Written {
    /// Waits for the level that was asked for. Cancelling it loses the answer, not the entry.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`] if the disk failed.
    pub async fn settled(self) -> Result<Recorded, AppendError> {
        if let Some(pending) = self.pending {
            pending.await.map_err(|_| AppendError::Poisoned)?;
        }
        Ok(self.recorded)
    }
}

impl SessionSpool {
    pub(crate) fn begin(shared: Arc<Shared>, recording: RecordingId) -> Result<Self, AppendError> {
        shared.account.admit_new()?;
        shared.recipient.key().ok_or(AppendError::Unsealed)?;
        let dir = layout::recording_dir(&shared.root, recording);
        layout::make_dir(&dir).map_err(|cause| refused(&shared, &cause))?;
        let health = Arc::new(Health::default());
        let ledger = Ledger::default();
        let beginning = beginning(&shared, recording, 0, 0, chain_start(&recording.to_string()), &ledger);
        let (writer, file) = new_segment(&shared, &beginning, &health)?;
        Ok(Self { shared, recording, writer, file, health, ledger, ended: false, last_segment: LAST_SEGMENT })
    }

    /// Records an entry at the given level: [`Self::write`], then [`Written::settled`]. Cancelling it once it has
    /// been polled loses the answer, not the entry.
    ///
    /// # Errors
    /// As those two.
    pub async fn append(&mut self, entry: &Entry, level: Durability) -> Result<Recorded, AppendError> {
        self.write(entry, level)?.settled().await
    }

    /// Writes an entry with one `write` into the page cache, on the caller's own thread: that is shorter than any
    /// way to another thread. The level `fsync` is reached when the answer settles.
    ///
    /// # Errors
    /// [`AppendError`]. Unless it is `Poisoned`, the recording is as it was.
    pub fn write(&mut self, entry: &Entry, level: Durability) -> Result<Written, AppendError> {
        let first = self.writer.next_sequence() == 0;
        let kind = entry.kind();
        if kind == FrameKind::Close || first != (kind == FrameKind::Open) {
            return Err(AppendError::OutOfPlace);
        }
        self.ledger.admit(kind)?;
        self.put(entry, level)
    }

    /// Closes the segment if it holds a frame, so that it can be uploaded while the session lives. True if it did.
    /// To be asked every few seconds. A recording has so many segments and no more: once half of them are used, the
    /// others are kept for segments that are full.
    ///
    /// # Errors
    /// [`AppendError`]. Unless it is `Poisoned`, the recording goes on in the segment that it has.
    pub fn rotate(&mut self) -> Result<bool, AppendError> {
        self.healthy()?;
        if self.writer.is_empty() || self.file.number >= self.last_segment / 2 {
            return Ok(false);
        }
        self.next_segment().map(|()| true)
    }

    fn next_segment(&mut self) -> Result<(), AppendError> {
        if self.file.number >= self.last_segment {
            return Err(AppendError::TooManySegments);
        }
        let number = self.file.number.saturating_add(1);
        let sequence = self.writer.next_sequence();
        let beginning =
            beginning(&self.shared, self.recording, number, sequence, self.writer.link(), &self.ledger);
        let (writer, next) = new_segment(&self.shared, &beginning, &self.health)?;
        if let Err(refused) = self.put_trailer() {
            discard(&self.shared, &next);
            return Err(refused);
        }
        self.writer = writer;
        let file = std::mem::replace(&mut self.file, next);
        self.commit(Job::Finish { file, next: Some(Arc::clone(&self.file)) })
    }

    /// Ends the recording: an outcome `unknown` for every intent that has none, a Close with its counts, the last
    /// segment's trailer. Returns once all of it is on stable storage and announced for upload.
    ///
    /// # Errors
    /// [`AppendError`]; then the next process ends the recording, with the reason `crash`.
    pub async fn close(mut self, reason: &str) -> Result<Recorded, AppendError> {
        let recorded = self.end(reason)?;
        let (done, settled) = oneshot::channel();
        self.commit(Job::Barrier(done))?;
        settled.await.map_err(|_| AppendError::Poisoned)?;
        self.healthy().map(|()| recorded)
    }

    fn end(&mut self, reason: &str) -> Result<Recorded, AppendError> {
        self.ended = true;
        if self.writer.next_sequence() == 0 {
            // Not even an Open: there is nothing to keep.
            discard(&self.shared, &self.file);
            let _ = fs::remove_dir(layout::recording_dir(&self.shared.root, self.recording));
            return Err(AppendError::OutOfPlace);
        }
        for outcome in self.ledger.unknown_outcomes() {
            let _ = self.put(&outcome, Durability::PageCache)?;
        }
        let (operations, refusals) = (self.ledger.operations, self.ledger.refusals);
        let close = Entry::Close(Close { reason: reason.to_owned(), operations, refusals });
        // The finishing below syncs it: no second request is needed for its level.
        let recorded = self.put_at(&close, Durability::Fsync)?;
        self.put_trailer()?;
        self.commit(Job::Finish { file: Arc::clone(&self.file), next: None })?;
        Ok(recorded)
    }

    fn put(&mut self, entry: &Entry, level: Durability) -> Result<Written, AppendError> {
        let recorded = self.put_at(entry, level)?;
        let pending = match level {
            Durability::PageCache => None,
            Durability::Fsync => {
                let (done, pending) = oneshot::channel();
                self.commit(Job::Sync(Arc::clone(&self.file), done))?;
                Some(pending)
            }
        };
        Ok(Written { recorded, pending })
    }

    fn put_at(&mut self, entry: &Entry, level: Durability) -> Result<Recorded, AppendError> {
        self.healthy()?;
        let mut frame = self.encoded(entry, level)?;
        self.shared.account.admit(frame.bytes().len())?;
        if self.ledger.begins(entry) {
            self.shared.account.admit_new()?;
        }
        let len = self.writer.len();
        let fits = len.saturating_add(frame.bytes().len()).saturating_add(RESERVE) <= MAX_SEGMENT;
        if !self.ended && !self.writer.is_empty() && (len >= ROTATE_AT || !fits) {
            match self.next_segment() {
                Err(AppendError::Full | AppendError::Write(_) | AppendError::TooManySegments) if fits => {}
                next => {
                    next?;
                    // Another segment, another key; its length stays.
                    frame = self.encoded(entry, level)?;
                }
            }
        }
        self.write_whole(frame.bytes(), self.writer.len())?;
        let recorded = self.writer.commit(&frame).map_err(|_| self.poisoned())?;
        self.ledger.note(entry);
        Ok(recorded)
    }

    fn encoded(&self, entry: &Entry, level: Durability) -> Result<EncodedFrame, AppendError> {
        self.writer.encode(entry, (self.shared.clock)(), level).map_err(unencodable)
    }

    fn put_trailer(&mut self) -> Result<(), AppendError> {
        let trailer = self.writer.finish(&self.shared.boot.key);
        self.write_whole(&trailer, self.writer.len())?;
        self.writer.forget_key();
        Ok(())
    }

    /// Writes all of it or nothing; `len` is the length of the file before.
    fn write_whole(&self, bytes: &[u8], len: usize) -> Result<(), AppendError> {
        let mut file = &self.file.file;
        let Err(cause) = file.write_all(bytes) else {
            self.shared.account.add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            return Ok(());
        };
        tracing::warn!(recording = %self.recording, %cause, "a frame could not be written");
        let cut = u64::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge.into());
        match cut.and_then(|len| file.set_len(len)) {
            Ok(()) => Err(refused(&self.shared, &cause)),
            Err(_) => Err(self.poisoned()),
        }
    }

    fn healthy(&self) -> Result<(), AppendError> {
        if self.health.is_poisoned() { Err(AppendError::Poisoned) } else { Ok(()) }
    }

    fn poisoned(&self) -> AppendError {
        self.health.poison();
        AppendError::Poisoned
    }

    fn commit(&self, job: Job) -> Result<(), AppendError> {
        if self.shared.commit(job) { Ok(()) } else { Err(self.poisoned()) }
    }

    /// The recording that it writes.
    pub fn recording(&self) -> RecordingId {
        self.recording
    }
}

impl Drop for SessionSpool {
    /// A session that panicked or was cancelled still gets its end on record.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Err(cause) = self.end("aborted") {
            tracing::warn!(recording = %self.recording, %cause, "an abandoned recording was not closed");
        }
    }
}

fn beginning(
    shared: &Shared,
    recording: RecordingId,
    number: u32,
    first_sequence: u64,
    previous_link: countersign_recording::Link,
    ledger: &Ledger,
) -> Beginning {
    Beginning {
        recording,
        number,
        edge: shared.boot.edge.clone(),
        boot_id: shared.boot.boot_id,
        first_sequence,
        previous_link,
        unfinished: ledger.unfinished.clone(),
        operations: ledger.operations,
        refusals: ledger.refusals,
    }
}

/// A new file with its header, or nothing.
fn new_segment(
    shared: &Shared,
    beginning: &Beginning,
    health: &Arc<Health>,
) -> Result<(SegmentWriter, Arc<OpenFile>), AppendError> {
    let to = shared.recipient.key().ok_or(AppendError::Unsealed)?;
    let (writer, header) = SegmentWriter::begin(beginning, &to).map_err(unencodable)?;
    let path = layout::open(&shared.root, beginning.recording, beginning.number);
    let mut file = layout::create(&path).map_err(|cause| refused(shared, &cause))?;
    if let Err(cause) = file.write_all(&header) {
        let _ = fs::remove_file(&path);
        return Err(refused(shared, &cause));
    }
    shared.account.add(u64::try_from(header.len()).unwrap_or(u64::MAX));
    let open = OpenFile {
        file,
        recording: beginning.recording,
        number: beginning.number,
        health: Arc::clone(health),
        named: AtomicBool::new(false),
    };
    Ok((writer, Arc::new(open)))
}

/// Takes a segment back that holds nothing but its header.
fn discard(shared: &Shared, file: &OpenFile) {
    let path = layout::open(&shared.root, file.recording, file.number);
    let len = fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
    if fs::remove_file(&path).is_ok() {
        shared.account.subtract(len);
    }
}

fn refused(shared: &Shared, cause: &io::Error) -> AppendError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            shared.account.disk_is_full();
            AppendError::Full
        }
        kind => AppendError::Write(kind),
    }
}

fn unencodable(error: EncodeError) -> AppendError {
    match error {
        EncodeError::TooLarge => AppendError::TooLarge,
        EncodeError::TooManyUnfinished => AppendError::TooManyUnfinished,
        EncodeError::Seal => AppendError::Unsealed,
    }
}
