//! Segments in the packs of a file archive, whose folder of a recording (`<archive>/recordings/<id>`) was named.
//!
//! The manifest says where they lie. It is not verified here, and need not be: it names packs alone, and what is found
//! is judged by its hash.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use countersign_recording::{MAX_SEGMENT, MAX_SEGMENTS, PackName};
use countersign_wire::v1::{Manifest, SignedManifest, manifest};
use prost::Message as _;

use crate::failure::Failure;

/// What is left of the segments that the manifest lists; none if the folder is not one of an archive.
pub(super) fn segments(
    directory: &Path,
    manifest: Option<&SignedManifest>,
) -> Result<Vec<(u32, Vec<u8>)>, Failure> {
    let Some(listed) = manifest.and_then(|signed| Manifest::decode(signed.manifest.as_slice()).ok()) else {
        return Ok(Vec::new());
    };
    let directory =
        directory.canonicalize().map_err(|error| Failure::from_file("read", directory, &error))?;
    let Some(archive) = directory.parent().and_then(Path::parent) else { return Ok(Vec::new()) };
    let named = directory.file_name().and_then(|name| name.to_str()) == Some(&listed.recording_id);
    if !named || !archive.join("packs").is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for segment in listed.segments.iter().take(usize::try_from(MAX_SEGMENTS).unwrap_or(usize::MAX)) {
        let Some(pack) = pack(&listed, segment) else { continue };
        let path = archive.join(pack.key());
        let read = read(&path, segment).map_err(|error| Failure::from_file("read", &path, &error))?;
        found.extend(read.map(|bytes| (segment.number, bytes)));
    }
    Ok(found)
}

fn pack(listed: &Manifest, segment: &manifest::Segment) -> Option<PackName> {
    let boot = usize::try_from(segment.pack_boot).ok().and_then(|index| listed.pack_boots.get(index))?;
    let boot_id = boot.as_slice().try_into().ok()?;
    Some(PackName { edge: listed.edge.parse().ok()?, boot_id, number: segment.pack })
}

/// Its bytes, or as many as the pack still has.
fn read(path: &Path, segment: &manifest::Segment) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    file.seek(SeekFrom::Start(u64::from(segment.offset)))?;
    let mut bytes = Vec::new();
    file.take(segment.bytes.min(MAX_SEGMENT as u64)).read_to_end(&mut bytes)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{super::fixture, Copy};
    use super::*;

    /// The folder of a recording of one segment in an archive, and its pack.
    fn archived(root: &Path) -> (std::path::PathBuf, std::path::PathBuf, Copy) {
        let mut copy = fixture::recording();
        let mut signed = copy.manifest.take().expect("a manifest");
        let mut listed = Manifest::decode(signed.manifest.as_slice()).expect("a manifest");
        listed.edge = "edge-1".into();
        listed.pack_boots = vec![vec![7; 16]];
        listed.segments[0].pack = 3;
        listed.segments[0].offset = 5;
        signed.manifest = listed.encode_to_vec();
        copy.manifest = Some(signed);
        let folder = root.join("recordings").join(&listed.recording_id);
        let pack = root
            .join(PackName { edge: "edge-1".parse().expect("a name"), boot_id: [7; 16], number: 3 }.key());
        for folder in [folder.as_path(), pack.parent().expect("a folder")] {
            fs::create_dir_all(folder).expect("made");
        }
        let manifest = copy.manifest.as_ref().expect("a manifest").encode_to_vec();
        fs::write(folder.join("manifest"), manifest).expect("written");
        fs::write(&pack, [b"head:", copy.segments[0].1.as_slice(), b"more"].concat()).expect("written");
        (folder, pack, copy)
    }

    #[test]
    fn the_folder_of_an_archive_has_its_segments_in_packs() {
        let root = tempfile::tempdir().expect("a directory");
        let (folder, pack, copy) = archived(root.path());
        let read = Copy::read(&folder).expect("read");
        assert_eq!(read.segments, copy.segments);
        let whole = fs::read(&pack).expect("readable");
        fs::write(&pack, &whole[..50]).expect("written");
        assert_eq!(Copy::read(&folder).expect("read").segments, [(0, whole[5..50].to_vec())], "cut");
        fs::write(&pack, &whole[..5]).expect("written");
        assert_eq!(Copy::read(&folder).expect("read").segments, [], "cut before it");
        fs::remove_file(&pack).expect("removed");
        assert_eq!(Copy::read(&folder).expect("read").segments, [], "gone");
    }

    #[test]
    fn a_manifest_that_says_nonsense_names_no_file() {
        let root = tempfile::tempdir().expect("a directory");
        let (folder, _, copy) = archived(root.path());
        let signed = copy.manifest.expect("a manifest");
        let with = |change: fn(&mut Manifest)| {
            let mut listed = Manifest::decode(signed.manifest.as_slice()).expect("a manifest");
            change(&mut listed);
            let signed = SignedManifest { manifest: listed.encode_to_vec(), signature: Vec::new() };
            segments(&folder, Some(&signed)).expect("read").len()
        };
        assert_eq!(with(|_| ()), 1);
        assert_eq!(with(|m| m.edge = "../../etc".into()), 0);
        assert_eq!(with(|m| m.segments[0].pack_boot = 9), 0);
        assert_eq!(with(|m| m.pack_boots[0].truncate(3)), 0);
        assert_eq!(with(|m| m.recording_id = "re_x".into()), 0, "another folder's");
        assert_eq!(with(|m| m.segments[0].offset = u32::MAX), 0);
        assert_eq!(segments(&folder, None).expect("read"), []);
    }
}
