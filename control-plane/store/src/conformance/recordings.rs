//! Segments in order, once each, until the recording is complete.

use countersign_model::{RecordingId, SessionId};
use futures_util::future::join_all;

use super::sessions::{BOOT, session};
use crate::{AppendError, Appended, Recording, Segment, Store, StoreError};

fn segment(number: u32, seed: u8) -> Segment {
    Segment {
        number,
        sha256: [seed; 32],
        bytes: 1_000 + u64::from(number),
        frame_count: 7,
        first_sequence: u64::from(number) * 7,
        last_link: [seed ^ 0xff; 32],
        signing_key: [3; 32],
        last: false,
        pack_boot: BOOT,
        pack: u64::from(number),
        offset: 60 + number,
    }
}

async fn opened(store: &dyn Store) -> (RecordingId, SessionId) {
    let record = session("edge-1", BOOT);
    let ids = (record.recording, record.id);
    store.open_session(record).await.unwrap();
    ids
}

pub(super) async fn run(store: &dyn Store) {
    let (id, session) = opened(store).await;
    let empty =
        Recording { id, session, signing_keys: vec![], segments: 0, bytes: 0, tail: None, sealed: false };
    assert_eq!(store.recording(id).await, Ok(empty.clone()));
    assert_eq!(store.segments(id).await, Ok(vec![]));

    assert_eq!(store.append_segment(id, segment(1, 1)).await, Err(AppendError::Gap { expected: 0 }));
    let mut second = segment(1, 1);
    second.signing_key = [4; 32];
    let mut third = segment(2, 2);
    third.last = true;
    for segment in [segment(0, 0), second.clone(), third.clone()] {
        assert_eq!(store.append_segment(id, segment.clone()).await, Ok(Appended::Added));
        assert_eq!(store.append_segment(id, segment.clone()).await, Ok(Appended::AlreadyThere));
        assert_eq!(store.recording(id).await.unwrap().tail, Some(segment));
    }
    assert_eq!(store.append_segment(id, segment(1, 9)).await, Err(AppendError::Different));
    assert_eq!(store.append_segment(id, segment(3, 3)).await, Err(AppendError::Complete));
    let whole = Recording {
        signing_keys: vec![[3; 32], [4; 32]],
        segments: 3,
        bytes: 3_003,
        tail: Some(third.clone()),
        ..empty
    };
    assert_eq!(store.recording(id).await, Ok(whole.clone()));
    assert_eq!(store.segments(id).await, Ok(vec![segment(0, 0), second, third]));

    store.seal_recording(id).await.unwrap();
    store.seal_recording(id).await.unwrap();
    let sealed = Recording { sealed: true, ..whole };
    assert_eq!(store.recording(id).await, Ok(sealed.clone()));
    assert_eq!(store.append_segment(id, segment(0, 0)).await, Ok(Appended::AlreadyThere));
    seals_early(store).await;
    unknown(store).await;
    lists(store, sealed).await;
}

async fn seals_early(store: &dyn Store) {
    let (id, _) = opened(store).await;
    store.append_segment(id, segment(0, 0)).await.unwrap();
    store.seal_recording(id).await.unwrap();
    assert_eq!(store.append_segment(id, segment(1, 1)).await, Err(AppendError::Complete));
    assert_eq!(store.segments(id).await, Ok(vec![segment(0, 0)]));
}

async fn unknown(store: &dyn Store) {
    let id = RecordingId::generate();
    assert_eq!(store.append_segment(id, segment(0, 0)).await, Err(StoreError::NotFound.into()));
    assert_eq!(store.seal_recording(id).await, Err(StoreError::NotFound));
    assert_eq!(store.recording(id).await, Err(StoreError::NotFound));
    assert_eq!(store.segments(id).await, Err(StoreError::NotFound));
}

async fn lists(store: &dyn Store, oldest: Recording) {
    let newest = opened(store).await.0;
    let first = store.recordings(None, 2).await.unwrap();
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.items[0].id, newest);
    let second = store.recordings(first.next, 2).await.unwrap();
    assert_eq!((second.items, second.next), (vec![oldest], None));
}

pub(super) async fn of_racing_segments_one_wins(store: &dyn Store) {
    let (id, _) = opened(store).await;
    let (other, _) = opened(store).await;
    for number in 0..4 {
        let appends = join_all((0..16).map(|seed| store.append_segment(id, segment(number, seed)))).await;
        let winner = appends.iter().position(|append| *append == Ok(Appended::Added)).unwrap();
        assert_eq!(appends.iter().filter(|append| **append == Err(AppendError::Different)).count(), 15);
        assert_eq!(store.recording(id).await.unwrap().tail, Some(segment(number, winner as u8)));
    }
    let same = join_all((0..16).map(|_| store.append_segment(id, segment(4, 4)))).await;
    assert_eq!(same.iter().filter(|append| **append == Ok(Appended::Added)).count(), 1);
    assert_eq!(same.iter().filter(|append| **append == Ok(Appended::AlreadyThere)).count(), 15);
    assert_eq!(store.segments(id).await.unwrap().len(), 5);
    assert_eq!(store.segments(other).await, Ok(vec![]), "recordings are apart");
}
