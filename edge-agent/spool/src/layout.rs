//! Names and modes on the disk: `<spool>/<recording id>/<number>.seg`, with `.open` behind it while it is written, and
//! `<spool>/packs/<boot id>-<number>.plan`.
//! Directories are 0700 and files 0600: recordings hold what agents asked.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use countersign_model::RecordingId;
use countersign_recording::{MAX_SEGMENT, PackName};

pub(crate) fn recording_dir(root: &Path, recording: RecordingId) -> PathBuf {
    root.join(recording.to_string())
}

pub(crate) fn finished(root: &Path, recording: RecordingId, number: u32) -> PathBuf {
    recording_dir(root, recording).join(format!("{number}.seg"))
}

pub(crate) fn open(root: &Path, recording: RecordingId, number: u32) -> PathBuf {
    recording_dir(root, recording).join(format!("{number}.seg.open"))
}

/// A file that recovery could not use: kept for a person to look at.
pub(crate) fn set_aside(root: &Path, recording: RecordingId, number: u32) -> PathBuf {
    recording_dir(root, recording).join(format!("{number}.seg.torn"))
}

/// The key that recordings are sealed to.
pub(crate) fn recording_key(root: &Path) -> PathBuf {
    root.join("recording-key")
}

/// The last segment of a recording while a recovery writes it.
pub(crate) fn recovering(root: &Path) -> PathBuf {
    root.join("recovering")
}

pub(crate) fn packs_dir(root: &Path) -> PathBuf {
    root.join("packs")
}

/// What a pack of finished segments will be.
pub(crate) fn plan(root: &Path, name: &PackName) -> PathBuf {
    packs_dir(root).join(format!("{}-{}.plan", name.boot_hex(), name.number))
}

/// The segments of one recording that are on the disk, sorted.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) finished: Vec<u32>,
    pub(crate) open: Vec<u32>,
    /// Bytes of every file in the directory.
    pub(crate) bytes: u64,
}

pub(crate) fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        listing.bytes = listing.bytes.saturating_add(metadata.len());
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(number) = number(name, ".seg") {
            listing.finished.push(number);
        } else if let Some(number) = number(name, ".seg.open") {
            listing.open.push(number);
        }
    }
    listing.finished.sort_unstable();
    listing.open.sort_unstable();
    Ok(listing)
}

fn number(name: &str, suffix: &str) -> Option<u32> {
    let digits = name.strip_suffix(suffix)?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// The recordings that have a directory.
pub(crate) fn recordings(root: &Path) -> io::Result<Vec<RecordingId>> {
    let mut recordings = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            recordings.push(id);
        }
    }
    recordings.sort_unstable();
    Ok(recordings)
}

pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// A new file to append to.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// A whole segment, which is never larger than its bound.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, MAX_SEGMENT)
}

/// A whole file that is not larger than this.
pub(crate) fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let len = fs::metadata(path)?.len();
    if usize::try_from(len).is_ok_and(|len| len <= most) {
        fs::read(path)
    } else {
        Err(io::Error::from(io::ErrorKind::FileTooLarge))
    }
}

/// Writes a whole file under another name first, then puts it, durable, in the place of what was there. `unfinished` is
/// on the same file system.
pub(crate) fn replace(path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
