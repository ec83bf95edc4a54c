use std::sync::Arc;

use super::*;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let folders = tempfile::tempdir().unwrap();
    let next = AtomicU64::new(0);
    crate::conformance::run(|| {
        let root = folders.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        async move { Arc::new(FileArchive::open(root).unwrap()) as Arc<dyn Archive> }
    })
    .await;
}

#[tokio::test]
async fn keeps_objects_private_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let archive = FileArchive::open(&root).unwrap();
    archive.put_new(&key("re/1/a"), Bytes::from_static(b"x")).await.unwrap();
    archive.put_new(&key("re/1/a"), Bytes::from_static(b"y")).await.unwrap_err();
    archive.health().await.unwrap();

    assert_eq!(mode(&root.join("re/1/a")), 0o600);
    for folder in ["", "re", "re/1", INCOMING] {
        assert_eq!(mode(&root.join(folder)), 0o700, "{folder}");
    }
    assert_eq!(fs::read_dir(root.join(INCOMING)).unwrap().count(), 0);
}

#[test]
fn a_folder_that_others_could_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    FileArchive::open(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o700);
}

#[tokio::test]
async fn a_start_removes_what_was_left_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let archive = FileArchive::open(folder.path()).unwrap();
    archive.put_new(&key("a"), Bytes::from_static(b"whole")).await.unwrap();
    drop(archive);
    fs::write(folder.path().join(INCOMING).join("0"), b"ha").unwrap();

    let archive = FileArchive::open(folder.path()).unwrap();
    assert_eq!(archive.list("").await.unwrap(), [key("a")]);
    assert_eq!(fs::read_dir(folder.path().join(INCOMING)).unwrap().count(), 0);
    archive.put_new(&key("b"), Bytes::from_static(b"x")).await.unwrap();
}

#[tokio::test]
async fn one_opener_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileArchive::open(folder.path()).unwrap();
    let Err(ArchiveError::Unavailable(text)) = FileArchive::open(folder.path()) else {
        panic!("opened twice")
    };
    assert!(text.contains("in use"), "{text}");
    drop(first);
    FileArchive::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_key_is_no_folder_of_other_keys() {
    let folder = tempfile::tempdir().unwrap();
    let archive = FileArchive::open(folder.path()).unwrap();
    archive.put_new(&key("a"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(archive.put_new(&key("a/b"), Bytes::from_static(b"x")).await, Err(ArchiveError::Conflict));
    archive.put_new(&key("c/d"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(archive.put_new(&key("c"), Bytes::from_static(b"x")).await, Err(ArchiveError::Conflict));
}

#[test]
fn a_full_disk_is_told_apart() {
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
        assert_eq!(ArchiveError::from(io::Error::from(kind)), ArchiveError::Full);
    }
    let other = ArchiveError::from(io::Error::from(ErrorKind::PermissionDenied));
    assert!(matches!(other, ArchiveError::Unavailable(_)));
}
