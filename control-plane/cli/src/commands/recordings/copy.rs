//! A recording on this machine: downloaded, or read from a directory that `export` wrote.
//!
//! The directory holds `manifest` (an encoded SignedManifest), one `<number, 8 digits>.seg` for each segment, and
//! `deployment.key` (32 bytes), and `content-keys`, without which nobody can read what was asked. Nothing here is believed: what is odd is kept as it is for `verify` to judge. The
//! folder of a sealed recording in a file archive is read as well: its segments lie in the packs beside it.

use std::{
    convert::Infallible,
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use countersign_model::RecordingId;
use countersign_recording::{MAX_SEGMENT, MAX_SIGNED_MANIFEST};
use countersign_wire::v1::{
    DownloadRecordingRequest, RecordingHead, RecordingPart, SignedManifest, recording_part::Part,
};
use prost::Message as _;
use tonic::Streaming;
use zeroize::Zeroizing;

use super::content_keys::ContentKeys;
use crate::{
    connection::{Connection, answer},
    failure::Failure,
};

mod packed;

const MANIFEST: &str = "manifest";
const DEPLOYMENT_KEY: &str = "deployment.key";
const CONTENT_KEYS: &str = "content-keys";
/// Longest file of content keys that is read, in bytes: 10,000 segments have one of 74 bytes each.
const MAX_CONTENT_KEYS: u64 = 1 << 20;

/// Where a recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the archive.
    Archived(RecordingId),
    /// In a directory.
    Directory(PathBuf),
}

impl FromStr for Place {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Directory(text.into()), Self::Archived))
    }
}

/// A recording as it was found.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    /// As archived; none if the archive has none.
    pub(crate) manifest: Option<SignedManifest>,
    /// The deployment's key as it came with the copy: worth no more than the place it came from.
    pub(crate) deployment_key: Option<Vec<u8>>,
    /// Number in the object's name, and the whole object; in order of number.
    pub(crate) segments: Vec<(u32, Vec<u8>)>,
    /// What opens them.
    pub(crate) content_keys: ContentKeys,
}

impl Copy {
    /// Downloads the whole recording.
    pub(crate) async fn download(connection: &Connection, id: String) -> Result<Self, Failure> {
        let mut parts = download(connection, id).await?;
        let mut copy = Self::default();
        while let Some(part) = parts.message().await? {
            match part.part {
                Some(Part::Head(head)) => {
                    copy.deployment_key = Some(head.deployment_key);
                    copy.manifest = head.manifest;
                }
                Some(Part::Segment(segment)) => {
                    copy.content_keys.insert(segment.number, segment.content_key);
                    copy.segments.push((segment.number, segment.bytes));
                }
                None => {}
            }
        }
        copy.segments.sort_by_key(|(number, _)| *number);
        Ok(copy)
    }

    /// Reads a directory that `export` wrote.
    pub(crate) fn read(directory: &Path) -> Result<Self, Failure> {
        let failure = |error: &io::Error| Failure::from_file("read", directory, error);
        let mut copy = Self {
            manifest: read_file(directory, MANIFEST, MAX_SIGNED_MANIFEST as u64)?
                .map(|bytes| signed_manifest(&bytes)),
            deployment_key: read_file(directory, DEPLOYMENT_KEY, 1 << 10)?,
            segments: Vec::new(),
            content_keys: read_file(directory, CONTENT_KEYS, MAX_CONTENT_KEYS)?
                .map(|text| ContentKeys::from_text(&Zeroizing::new(text)))
                .unwrap_or_default(),
        };
        for entry in fs::read_dir(directory).map_err(|error| failure(&error))? {
            let name = entry.map_err(|error| failure(&error))?.file_name();
            let Some(number) = segment_number(&name) else { continue };
            // One byte more than a segment may have, so that a longer one is seen to be too long.
            if let Some(bytes) = read_file(directory, &name, MAX_SEGMENT as u64 + 1)? {
                copy.segments.push((number, bytes));
            }
        }
        if copy.segments.is_empty() {
            copy.segments = packed::segments(directory, copy.manifest.as_ref())?;
        }
        if copy.manifest.is_none() && copy.segments.is_empty() {
            return Err(Failure::failed("there is no exported recording in the directory"));
        }
        copy.segments.sort_by_key(|(number, _)| *number);
        Ok(copy)
    }

    #[cfg(test)]
    pub(crate) fn write(&self, directory: &Path) -> Result<(), Failure> {
        let head = RecordingHead {
            manifest: self.manifest.clone(),
            deployment_key: self.deployment_key.clone().unwrap_or_default(),
        };
        make_directory(directory)?;
        write_head(directory, &head)?;
        self.segments.iter().try_for_each(|(number, bytes)| write_segment(directory, *number, bytes))?;
        write_file(directory, CONTENT_KEYS, self.content_keys.to_text().as_bytes())
    }
}

/// Copies a recording from the archive into a directory, a segment at a time. With its keys it holds what agents asked,
/// so what is made here is for its owner alone.
pub(crate) async fn export(
    connection: &Connection,
    id: String,
    to: &Path,
    sealed: bool,
) -> Result<(), Failure> {
    let mut parts = download(connection, id).await?;
    make_directory(to)?;
    let mut segments = 0_u32;
    let mut keys = ContentKeys::default();
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(Part::Head(head)) => write_head(to, &head)?,
            Some(Part::Segment(segment)) => {
                write_segment(to, segment.number, &segment.bytes)?;
                keys.insert(segment.number, segment.content_key);
                segments = segments.saturating_add(1);
            }
            None => {}
        }
    }
    if !sealed {
        write_file(to, CONTENT_KEYS, keys.to_text().as_bytes())?;
    }
    eprintln!("exported {segments} segments");
    Ok(())
}

/// The deployment's key as the control plane says it now; every recording's head carries it.
pub(crate) async fn deployment_key(connection: &Connection, id: String) -> Result<Option<Vec<u8>>, Failure> {
    let first = download(connection, id).await?.message().await?;
    Ok(match first.and_then(|part| part.part) {
        Some(Part::Head(head)) => Some(head.deployment_key),
        Some(Part::Segment(_)) | None => None,
    })
}

async fn download(connection: &Connection, id: String) -> Result<Streaming<RecordingPart>, Failure> {
    answer(connection.recordings().download_recording(DownloadRecordingRequest { id })).await
}

/// What is no signed manifest is one without a signature: a fault to report, not a reason to stop.
fn signed_manifest(bytes: &[u8]) -> SignedManifest {
    SignedManifest::decode(bytes)
        .unwrap_or_else(|_| SignedManifest { manifest: bytes.to_vec(), signature: Vec::new() })
}

fn segment_file(number: u32) -> String {
    format!("{number:08}.seg")
}

/// The number in a segment's name; only the name that `export` gives counts, so that no two have one number.
fn segment_number(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?;
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_file(number) == name).then_some(number)
}

/// A file of the directory, at most `longest` bytes of it; none if it is not there.
fn read_file(directory: &Path, name: impl AsRef<Path>, longest: u64) -> Result<Option<Vec<u8>>, Failure> {
    let path = directory.join(name);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(longest).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::from_file("read", &path, &error)),
    }
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::from_file("create", path, &error))
}

fn write_head(to: &Path, head: &RecordingHead) -> Result<(), Failure> {
    if let Some(manifest) = &head.manifest {
        write_file(to, MANIFEST, &manifest.encode_to_vec())?;
    }
    write_file(to, DEPLOYMENT_KEY, &head.deployment_key)
}

fn write_segment(to: &Path, number: u32, bytes: &[u8]) -> Result<(), Failure> {
    write_file(to, &segment_file(number), bytes)
}

/// Writes a file that is not there yet: an export never mixes with an older one.
fn write_file(to: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = to.join(name);
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    created
        .and_then(|mut file| io::Write::write_all(&mut file, bytes))
        .map_err(|error| Failure::from_file("write", &path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn ids_and_paths_are_told_apart() {
        let id = RecordingId::generate();
        assert_eq!(id.to_string().parse(), Ok(Place::Archived(id)));
        for path in [format!("./{id}"), "dir".to_owned(), "re_1".to_owned()] {
            assert_eq!(path.parse(), Ok(Place::Directory(path.clone().into())));
        }
    }

    #[test]
    fn only_exported_names_are_segments() {
        assert_eq!(segment_number(OsStr::new("00000012.seg")), Some(12));
        assert_eq!(segment_number(OsStr::new(&segment_file(u32::MAX))), Some(u32::MAX));
        for name in ["12.seg", "+0000012.seg", "00000012.seg~", "manifest", "99999999999.seg"] {
            assert_eq!(segment_number(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_never_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let copy = Copy {
            manifest: Some(SignedManifest { manifest: vec![1], signature: vec![2] }),
            deployment_key: Some(vec![3; 32]),
            segments: vec![(0, b"zero".to_vec()), (1, b"one".to_vec())],
            content_keys: ContentKeys::from_text(format!("1 {}", "ab".repeat(32)).as_bytes()),
        };
        let directory = directory.path().join("export");
        copy.write(&directory).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for name in ["manifest", "deployment.key", "00000001.seg", "content-keys"] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        }
        let read = Copy::read(&directory).expect("read");
        assert_eq!(read.manifest, copy.manifest);
        assert_eq!(read.deployment_key, copy.deployment_key);
        assert_eq!(read.segments, copy.segments);
        assert_eq!(read.content_keys.get(1), Some(&[0xab; 32][..]));
        assert_eq!(read.content_keys, copy.content_keys);
        assert!(copy.write(&directory).is_err());
    }

    #[test]
    fn an_empty_directory_is_no_recording() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(Copy::read(directory.path()).is_err());
        assert!(Copy::read(&directory.path().join("absent")).is_err());
    }
}
