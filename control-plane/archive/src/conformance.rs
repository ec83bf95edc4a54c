//! What every archive must do. A backend's tests call [`run`] with something that makes fresh, empty archives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test suite: a panic is its verdict")]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::{Archive, ArchiveError, Key, PutOutcome};

/// Runs the whole suite; panics at the first promise that is not kept. Each part gets an archive of its own.
pub async fn run<F: Future<Output = Arc<dyn Archive>>>(fresh: impl Fn() -> F) {
    reads_what_was_written(&*fresh().await).await;
    never_replaces(&*fresh().await).await;
    of_many_writers_one_wins(&*fresh().await).await;
    equal_writers_all_succeed(&*fresh().await).await;
    bounds_what_it_reads(&*fresh().await).await;
    reads_parts_of_objects(&*fresh().await).await;
    lists_by_prefix_in_order(&*fresh().await).await;
}

async fn reads_what_was_written(archive: &dyn Archive) {
    archive.health().await.unwrap();
    assert_eq!(archive.get(&key("a/b"), 1024).await, Ok(None));
    for (name, bytes) in [("a/b", Bytes::from_static(b"hello")), ("empty", Bytes::new()), ("big", big(3))] {
        assert_eq!(archive.put_new(&key(name), bytes.clone()).await, Ok(PutOutcome::Created));
        assert_eq!(archive.get(&key(name), 8 << 20).await, Ok(Some(bytes)));
    }
    assert_eq!(archive.get(&key("a"), 1024).await, Ok(None), "a folder is no object");
}

async fn never_replaces(archive: &dyn Archive) {
    let (name, first) = (key("re_1/00000000"), Bytes::from_static(b"first"));
    assert_eq!(archive.put_new(&name, first.clone()).await, Ok(PutOutcome::Created));
    assert_eq!(archive.put_new(&name, first.clone()).await, Ok(PutOutcome::AlreadySame));
    for other in ["firs", "first!", "fIrst", ""] {
        assert_eq!(
            archive.put_new(&name, Bytes::from_static(other.as_bytes())).await,
            Err(ArchiveError::Conflict)
        );
    }
    assert_eq!(archive.get(&name, 1024).await, Ok(Some(first)));
}

async fn of_many_writers_one_wins(archive: &dyn Archive) {
    let name = key("contested/object");
    let writes = (0..16).map(|writer| archive.put_new(&name, big(writer)));
    let outcomes = join_all(writes).await;
    let winners: Vec<u8> =
        (0..16).zip(&outcomes).filter(|(_, o)| **o == Ok(PutOutcome::Created)).map(|(w, _)| w).collect();
    let [winner] = *winners else { panic!("one winner, not {winners:?}") };
    assert_eq!(outcomes.iter().filter(|o| **o == Err(ArchiveError::Conflict)).count(), 15);
    assert_eq!(archive.get(&name, 8 << 20).await, Ok(Some(big(winner))));
}

async fn equal_writers_all_succeed(archive: &dyn Archive) {
    let name = key("retried/object");
    let outcomes = join_all((0..16).map(|_| archive.put_new(&name, big(7)))).await;
    assert_eq!(outcomes.iter().filter(|o| **o == Ok(PutOutcome::Created)).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == Ok(PutOutcome::AlreadySame)).count(), 15);
}

async fn bounds_what_it_reads(archive: &dyn Archive) {
    archive.put_new(&key("five"), Bytes::from_static(b"12345")).await.unwrap();
    assert_eq!(archive.get(&key("five"), 4).await, Err(ArchiveError::TooLarge { bytes: 5 }));
    assert_eq!(archive.get(&key("five"), 5).await, Ok(Some(Bytes::from_static(b"12345"))));
}

async fn reads_parts_of_objects(archive: &dyn Archive) {
    let name = key("packs/a/00000000");
    assert_eq!(archive.get_range(&name, 0, 4).await, Ok(None));
    assert_eq!(archive.get_range(&name, 0, 0).await, Ok(None));
    archive.put_new(&name, Bytes::from_static(b"0123456789")).await.unwrap();
    for (offset, len, expected) in [
        (0, 4, "0123"),
        (3, 4, "3456"),
        (6, 4, "6789"),
        (0, 10, "0123456789"),
        (8, 4, "89"),
        (10, 4, ""),
        (u64::MAX, usize::MAX, ""),
        (2, usize::MAX, "23456789"),
        (3, 0, ""),
    ] {
        let read = archive.get_range(&name, offset, len).await;
        assert_eq!(read, Ok(Some(Bytes::from_static(expected.as_bytes()))), "{offset} and {len}");
    }
    assert_eq!(archive.get_range(&key("packs/a"), 0, 4).await, Ok(None), "a folder is no object");
    archive.put_new(&key("large"), big(5)).await.unwrap();
    assert_eq!(archive.get_range(&key("large"), 7, 9).await, Ok(Some(big(5).slice(7..16))));
}

async fn lists_by_prefix_in_order(archive: &dyn Archive) {
    assert_eq!(archive.list("").await, Ok(vec![]));
    let names = ["re/a/00000010", "re/a/00000002", "re/ab/00000000", "re.x", "manifests/a", "re/a/manifest"];
    for name in names {
        archive.put_new(&key(name), Bytes::from_static(b"x")).await.unwrap();
    }
    let listed = async |prefix: &str| -> Vec<String> {
        archive.list(prefix).await.unwrap().iter().map(Key::to_string).collect()
    };
    let mut all = names.to_vec();
    all.sort_unstable();
    assert_eq!(listed("").await, all);
    assert_eq!(listed("re/a/").await, ["re/a/00000002", "re/a/00000010", "re/a/manifest"]);
    assert_eq!(listed("re/a").await.len(), 4, "a prefix is of the text, not of folders");
    assert_eq!(listed("re/a/0").await, ["re/a/00000002", "re/a/00000010"]);
    assert_eq!(listed("nothing/").await, [""; 0]);
    assert_eq!(listed("../").await, [""; 0]);
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// A megabyte that differs by `seed`.
fn big(seed: u8) -> Bytes {
    Bytes::from(vec![seed; 1 << 20])
}
