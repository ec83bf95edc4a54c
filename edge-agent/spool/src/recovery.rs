//! What a start does with the files of earlier processes.
//!
//! Finished segments are announced again. A segment that a crash left open is cut after its last whole frame and
//! finished by its trailer alone, for the key under which it was sealed is gone. What the recording still owes stands in
//! a segment of this boot's own: an outcome `unknown` for each intent that has none (it may have been sent) and a Close
//! with the reason `crash`. Both are signed by this boot's key: that of the one that crashed is gone as well. Doing it
//! again after a crash in between comes to the same.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use countersign_model::{Durability, RecordingId};
use countersign_recording::{Beginning, Close, Entry, RecordingKey, Resumed, SegmentWriter};

use crate::{
    FinishedSegment, SpoolError, layout,
    ledger::Ledger,
    spool::{Announce, Boot},
};

/// What a start found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that wait for upload.
    pub segments: usize,
    /// Recordings that a crash had left open.
    pub crashed: usize,
    /// Intents of them that got the outcome `unknown`.
    pub unknown: usize,
    /// Files that do not continue their recording: left beside it as `<number>.seg.torn`.
    pub set_aside: usize,
    /// Recordings that could not be recovered; the next start tries again.
    pub failed: usize,
}

/// Recovers everything under `root` and announces what waits for upload. Also says how many bytes there are.
pub(crate) fn recover(
    root: &Path,
    boot: &Boot,
    recipient: Option<RecordingKey>,
    clock: fn() -> SystemTime,
    announce: &Announce,
) -> Result<(Recovered, u64), SpoolError> {
    let mut recovered = Recovered::default();
    let mut used = 0_u64;
    for recording in layout::recordings(root).map_err(SpoolError::io(root))? {
        let mut recovery = Recovery { root, recording, boot, recipient, clock, recovered: &mut recovered };
        if let Err(cause) = recovery.run() {
            tracing::error!(%recording, %cause, "a recording could not be recovered");
            recovered.failed = recovered.failed.saturating_add(1);
        }
        let dir = layout::recording_dir(root, recording);
        let Ok(listing) = layout::list(&dir) else { continue };
        used = used.saturating_add(listing.bytes);
        for number in listing.finished {
            recovered.segments = recovered.segments.saturating_add(1);
            if let Some(segment) = FinishedSegment::find(root, recording, number) {
                announce.send(segment);
            }
        }
        // Goes only if nothing is left in it.
        let _ = fs::remove_dir(dir);
    }
    Ok((recovered, used))
}

/// Where a recording ends so far.
struct Tip {
    number: u32,
    writer: SegmentWriter,
    ledger: Ledger,
    /// It has its trailer.
    finished: bool,
}

impl Tip {
    fn new(resumed: Resumed) -> Self {
        let mut ledger = Ledger::at_beginning_of(&resumed.header);
        resumed.frames.iter().for_each(|frame| ledger.note_header(frame));
        let (number, finished) = (resumed.header.number, resumed.trailer.is_some());
        Self { number, writer: resumed.writer, ledger, finished }
    }
}

struct Recovery<'a> {
    root: &'a Path,
    recording: RecordingId,
    boot: &'a Boot,
    /// Unknown to an edge that never had a connection: it has nothing to recover either.
    recipient: Option<RecordingKey>,
    clock: fn() -> SystemTime,
    recovered: &'a mut Recovered,
}

impl Recovery<'_> {
    fn run(&mut self) -> io::Result<()> {
        let dir = layout::recording_dir(self.root, self.recording);
        let listing = layout::list(&dir)?;
        let mut tip = self.newest_finished(&listing)?;
        let mut broken = false;
        for number in listing.open {
            let resumed = if broken { self.set_aside(number)? } else { self.resume(number, tip.as_ref())? };
            match resumed {
                Some(resumed) => tip = Some(self.go_on(tip, resumed)?),
                None => broken = true,
            }
        }
        if let Some(tip) = tip.filter(|tip| !(tip.finished && tip.writer.is_closed())) {
            self.close(tip)?;
        }
        layout::sync_dir(&dir)
    }

    /// The newest segment that has its final name, as a place to continue from.
    fn newest_finished(&self, listing: &layout::Listing) -> io::Result<Option<Tip>> {
        let Some(number) = listing.finished.last() else { return Ok(None) };
        let bytes = layout::read_bounded(&layout::finished(self.root, self.recording, *number))?;
        Ok(Resumed::read(&bytes).filter(|resumed| resumed.trailer.is_some()).map(Tip::new))
    }

    /// An open segment as far as it is whole, if it has a frame or continues one, and continues the recording.
    fn resume(&mut self, number: u32, before: Option<&Tip>) -> io::Result<Option<Resumed>> {
        let path = layout::open(self.root, self.recording, number);
        let resumed = match layout::read_bounded(&path) {
            Ok(bytes) => Resumed::read(&bytes),
            Err(cause) if cause.kind() == io::ErrorKind::FileTooLarge => return self.set_aside(number),
            Err(cause) => return Err(cause),
        };
        let Some(resumed) = resumed else {
            // Not even its header is whole, so no frame was ever accepted in it.
            return fs::remove_file(&path).map(|()| None);
        };
        if resumed.header.recording_id != self.recording.to_string() || resumed.header.number != number {
            return self.set_aside(number);
        }
        if resumed.frames.is_empty() && number == 0 {
            return fs::remove_file(&path).map(|()| None);
        }
        let continues = before.is_none_or(|before| {
            let link = before.writer.link();
            resumed.header.first_sequence == before.writer.next_sequence()
                && resumed.header.previous_link == link
                && !before.writer.is_closed()
        });
        if continues { Ok(Some(resumed)) } else { self.set_aside(number) }
    }

    /// After the machine itself went down, a later segment can be on the disk whose predecessor is not whole.
    fn set_aside(&mut self, number: u32) -> io::Result<Option<Resumed>> {
        let path = layout::open(self.root, self.recording, number);
        fs::rename(&path, layout::set_aside(self.root, self.recording, number))?;
        tracing::error!(recording = %self.recording, number, "a segment does not continue its recording");
        self.recovered.set_aside = self.recovered.set_aside.saturating_add(1);
        Ok(None)
    }

    /// Finishes the segment before, and cuts this one after its last whole frame.
    fn go_on(&self, before: Option<Tip>, resumed: Resumed) -> io::Result<Tip> {
        if let Some(before) = before.filter(|before| !before.finished) {
            self.finish(&before)?;
        }
        let path = layout::open(self.root, self.recording, resumed.header.number);
        if resumed.trailer.is_some() {
            File::open(&path)?.sync_all()?;
            fs::rename(&path, layout::finished(self.root, self.recording, resumed.header.number))?;
        } else {
            let kept = u64::try_from(resumed.kept).map_err(|_| io::ErrorKind::FileTooLarge)?;
            OpenOptions::new().write(true).open(&path)?.set_len(kept)?;
        }
        Ok(Tip::new(resumed))
    }

    /// Ends the recording where it broke off. Its last segment is durable before the one before gets its final name:
    /// from then on that may be uploaded and deleted, and only the last one's header says what is unfinished.
    fn close(&mut self, tip: Tip) -> io::Result<()> {
        self.recovered.crashed = self.recovered.crashed.saturating_add(1);
        if tip.writer.is_closed() {
            return self.finish(&tip);
        }
        // One that holds nothing but a header, which another process sealed, is replaced.
        let number = if tip.writer.is_empty() { Some(tip.number) } else { tip.number.checked_add(1) };
        let number = number.ok_or(io::ErrorKind::FileTooLarge)?;
        let last = self.last_segment(number, &tip)?;
        let to_finish = !tip.finished && !tip.writer.is_empty();
        if to_finish {
            File::open(layout::open(self.root, self.recording, tip.number))?.sync_all()?;
        }
        let path = layout::open(self.root, self.recording, number);
        layout::replace(&path, &layout::recovering(self.root), &last)?;
        if to_finish {
            self.finish(&tip)?;
        }
        fs::rename(&path, layout::finished(self.root, self.recording, number))?;
        self.recovered.unknown = self.recovered.unknown.saturating_add(tip.ledger.unfinished.len());
        Ok(())
    }

    /// What the recording owes, in a whole segment of this boot's own.
    fn last_segment(&self, number: u32, tip: &Tip) -> io::Result<Vec<u8>> {
        let to = self.recipient.ok_or_else(|| io::Error::other("no key is known to seal its end to"))?;
        let (operations, refusals) = (tip.ledger.operations, tip.ledger.refusals);
        let beginning = Beginning {
            recording: self.recording,
            number,
            edge: self.boot.edge.clone(),
            boot_id: self.boot.boot_id,
            first_sequence: tip.writer.next_sequence(),
            previous_link: tip.writer.link(),
            unfinished: tip.ledger.unfinished.clone(),
            operations,
            refusals,
        };
        let (mut writer, mut bytes) = SegmentWriter::begin(&beginning, &to).map_err(io::Error::other)?;
        let close = Entry::Close(Close { reason: "crash".to_owned(), operations, refusals });
        for entry in tip.ledger.unknown_outcomes().iter().chain([&close]) {
            let frame = writer.encode(entry, (self.clock)(), Durability::Fsync).map_err(io::Error::other)?;
            writer.commit(&frame).map_err(io::Error::other)?;
            bytes.extend_from_slice(frame.bytes());
        }
        bytes.extend_from_slice(&writer.finish(&self.boot.key));
        Ok(bytes)
    }

    /// Appends the trailer; then the segment gets its final name.
    fn finish(&self, tip: &Tip) -> io::Result<()> {
        let path = layout::open(self.root, self.recording, tip.number);
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(&tip.writer.finish(&self.boot.key))?;
        file.sync_all()?;
        fs::rename(&path, layout::finished(self.root, self.recording, tip.number))
    }
}
