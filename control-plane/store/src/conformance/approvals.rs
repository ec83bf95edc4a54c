//! Approvals change version by version, are counted by who asks, and are listed by state and by session.

use countersign_model::{ApprovalId, ApprovalState, OperationId, SessionId};
use futures_util::future::join_all;

use super::{at, name};
use crate::{ApprovalRecord, MAX_PAGE, Store, StoreError, VoteRecord};

use ApprovalState::{Approved, Cancelled, Consumed, Denied, Expired, Pending};

/// More than any test has.
const MANY: usize = 1_000;

fn approval(asker: &str) -> ApprovalRecord {
    ApprovalRecord {
        id: ApprovalId::generate(),
        state: Pending,
        version: 1,
        session: SessionId::generate(),
        operation: OperationId::generate(),
        edge: name("edge-1"),
        boot_id: [1; 16],
        asker: asker.into(),
        sealed: Some(vec![0, 0xff, 7]),
        summary: vec![],
        fingerprint: "00ff".into(),
        created_at: at(0),
        expires_at: at(900),
        use_until: None,
        ended_at: None,
        votes: vec![],
        outcome: None,
        minted: false,
    }
}

fn vote(voter: &str, approve: bool) -> VoteRecord {
    VoteRecord {
        voter: voter.into(),
        name: "Größe \u{202e}".into(),
        approve,
        reason: "seen\0".into(),
        at: at(10),
        groups: vec!["dba".into(), "on call".into()],
        mac: [9; 32],
    }
}

/// The version of `approval` that follows.
fn next(approval: &ApprovalRecord, state: ApprovalState) -> ApprovalRecord {
    ApprovalRecord { state, version: approval.version + 1, ..approval.clone() }
}

async fn created(store: &dyn Store, asker: &str) -> ApprovalRecord {
    let record = approval(asker);
    store.create_approval(record.clone(), MANY).await.unwrap();
    record
}

async fn replaced(store: &dyn Store, approval: &ApprovalRecord, state: ApprovalState) -> ApprovalRecord {
    let next = next(approval, state);
    store.replace_approval(next.clone()).await.unwrap();
    next
}

pub(super) async fn run(store: &dyn Store) {
    let first = approval("t/a");
    assert_eq!(store.approval(first.id).await, Err(StoreError::NotFound));
    assert_eq!(store.replace_approval(next(&first, Approved)).await, Err(StoreError::NotFound));
    assert_eq!(store.replace_approval(first.clone()).await, Err(StoreError::NotFound), "it creates none");
    store.create_approval(first.clone(), MANY).await.unwrap();
    assert_eq!(store.approval(first.id).await.as_ref(), Ok(&first));

    let same_id = ApprovalRecord { id: first.id, ..approval("t/b") };
    assert_eq!(store.create_approval(same_id.clone(), MANY).await, Err(StoreError::Conflict));
    assert_eq!(store.approval(first.id).await.as_ref(), Ok(&first));
    assert_eq!(store.approvals_of(same_id.session).await, Ok(vec![]), "a refusal leaves nothing");

    for version in [0, 1, 3, u64::MAX] {
        let wrong = ApprovalRecord { version, ..next(&first, Approved) };
        assert_eq!(store.replace_approval(wrong).await, Err(StoreError::Conflict), "version {version}");
    }
    assert_eq!(store.approval(first.id).await.as_ref(), Ok(&first), "a refusal changes nothing");
    let second = replaced(store, &first, Approved).await;
    assert_eq!(store.approval(first.id).await.as_ref(), Ok(&second));
    assert_eq!(store.replace_approval(second.clone()).await, Err(StoreError::Conflict), "again");
    assert_eq!(store.create_approval(first, MANY).await, Err(StoreError::Conflict), "known for good");
    assert_eq!(store.approval(second.id).await, Ok(second));
}

pub(super) async fn every_field_is_kept(store: &dyn Store) {
    let mut record = created(store, "").await;
    for state in ApprovalState::ALL {
        record = replaced(store, &record, state).await;
        assert_eq!(store.approval(record.id).await.as_ref(), Ok(&record), "{}", state.as_str());
    }
    let full = ApprovalRecord {
        asker: "7f0d3a0e/größer".into(),
        summary: vec![1; 10_000],
        use_until: Some(at(120)),
        ended_at: Some(at(60)),
        votes: vec![vote("t/dana", true), vote("t/omar", false)],
        outcome: Some(vec![]),
        minted: true,
        ..next(&record, Consumed)
    };
    store.replace_approval(full.clone()).await.unwrap();
    assert_eq!(store.approval(full.id).await.as_ref(), Ok(&full));
    let empty = ApprovalRecord { sealed: Some(vec![]), votes: vec![], ..next(&full, Consumed) };
    store.replace_approval(empty.clone()).await.unwrap();
    assert_eq!(store.approval(empty.id).await.as_ref(), Ok(&empty), "empty is not absent");
    let bare = ApprovalRecord { sealed: None, outcome: None, ..next(&empty, Consumed) };
    store.replace_approval(bare.clone()).await.unwrap();
    assert_eq!(store.approval(bare.id).await.as_ref(), Ok(&bare));
    assert_eq!(store.approvals(&[Consumed], None, 1).await.unwrap().items, [bare]);
}

pub(super) async fn an_asker_has_so_many_pending_ones(store: &dyn Store) {
    let ask = async |asker: &str, most| {
        let record = approval(asker);
        store.create_approval(record.clone(), most).await.map(|()| record)
    };
    assert_eq!(ask("t/a", 0).await, Err(StoreError::Conflict));
    let first = ask("t/a", 2).await.unwrap();
    let second = ask("t/a", 2).await.unwrap();
    assert_eq!(ask("t/a", 2).await, Err(StoreError::Conflict));
    assert_eq!(store.open_approvals().await.unwrap().len(), 2, "a refusal leaves nothing");
    for other in ["t/aa", "t/", "", "t/b"] {
        ask(other, 1).await.unwrap();
        assert_eq!(ask(other, 1).await, Err(StoreError::Conflict), "askers are apart: {other}");
    }

    let first = replaced(store, &first, Pending).await;
    assert_eq!(ask("t/a", 2).await, Err(StoreError::Conflict), "another version of it still waits");
    let approved = replaced(store, &first, Approved).await;
    let third = ask("t/a", 2).await.unwrap();
    assert_eq!(ask("t/a", 2).await, Err(StoreError::Conflict));
    replaced(store, &approved, Consumed).await;
    assert_eq!(ask("t/a", 2).await, Err(StoreError::Conflict), "it was released before");
    for pending in [second, third] {
        replaced(store, &pending, Denied).await;
    }
    let racing = join_all((0..16).map(|_| ask("t/a", 2))).await;
    assert_eq!(racing.iter().filter(|ask| ask.is_ok()).count(), 2);
    assert_eq!(racing.iter().filter(|ask| **ask == Err(StoreError::Conflict)).count(), 14);
}

pub(super) async fn of_racing_writers_one_wins(store: &dyn Store) {
    let record = created(store, "t/a").await;
    let raced = approval("t/a");
    let creates = join_all((0..16).map(|_| store.create_approval(raced.clone(), MANY))).await;
    assert_eq!(creates.iter().filter(|create| create.is_ok()).count(), 1);

    let mut current = store.approval(record.id).await.unwrap();
    for _ in 0..4 {
        let tries: Vec<_> = (0..16)
            .map(|n| {
                let state = if n % 2 == 0 { Approved } else { Cancelled };
                ApprovalRecord { summary: vec![n], ..next(&current, state) }
            })
            .collect();
        let outcomes = join_all(tries.iter().map(|record| store.replace_approval(record.clone()))).await;
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict)).count(), 15);
        current = store.approval(record.id).await.unwrap();
        assert_eq!(current, tries[winner]);
        let mut listed = store.approvals(&[Approved, Cancelled], None, 10).await.unwrap().items;
        listed.retain(|listed| listed.id == record.id);
        assert_eq!(listed, [current.clone()], "in one state at a time");
    }
}

fn of(records: &[ApprovalRecord], states: &[ApprovalState]) -> Vec<ApprovalRecord> {
    records.iter().filter(|record| states.contains(&record.state)).cloned().collect()
}

pub(super) async fn lists_by_state_newest_first(store: &dyn Store) {
    assert_eq!(store.approvals(&[], None, 10).await.unwrap().items, []);
    let states = [Pending, Denied, Approved, Pending, Consumed, Denied, Pending, Expired];
    let mut records = Vec::new();
    for state in states {
        let record = created(store, "t/a").await;
        records.push(if state == Pending { record } else { replaced(store, &record, state).await });
    }
    records.reverse();

    for states in [&[Pending][..], &[Denied, Pending], &[Expired, Denied, Denied], &[Cancelled]] {
        let page = store.approvals(states, None, MAX_PAGE).await.unwrap();
        assert_eq!((page.items, page.next), (of(&records, states), None));
    }
    for states in [&ApprovalState::ALL[..], &[], &[Pending, Denied]] {
        let expected = of(&records, if states.is_empty() { &ApprovalState::ALL } else { states });
        let first = store.approvals(states, None, 3).await.unwrap();
        assert_eq!(first.items, expected[..3]);
        // What comes later is newer, so the list neither skips nor repeats.
        records.insert(0, created(store, "t/b").await);
        let second = store.approvals(states, first.next, 2).await.unwrap();
        assert_eq!((second.items.as_slice(), second.next), (&expected[3..5], Some(expected[4].id)));
        let third = store.approvals(states, second.next, MANY).await.unwrap();
        assert_eq!((third.items.as_slice(), third.next), (&expected[5..], None));
    }
    let oldest = records.last().unwrap().id;
    assert_eq!(store.approvals(&[], Some(oldest), 10).await.unwrap().items, []);
}

pub(super) async fn open_ones_and_those_of_a_session(store: &dyn Store) {
    let session = SessionId::generate();
    let other = SessionId::generate();
    assert_eq!(store.approvals_of(session).await, Ok(vec![]));
    let mut records = Vec::new();
    for n in 0..6 {
        let record = ApprovalRecord { session: if n % 3 == 2 { other } else { session }, ..approval("t/a") };
        store.create_approval(record.clone(), MANY).await.unwrap();
        records.push(record);
    }
    assert_eq!(store.open_approvals().await.as_ref(), Ok(&records), "oldest first");

    records[1] = replaced(store, &records[1], Approved).await;
    records[3] = replaced(store, &records[3], Cancelled).await;
    records[4] = replaced(store, &records[4], Approved).await;
    records[4] = replaced(store, &records[4], Consumed).await;
    let pick = |places: &[usize]| places.iter().map(|n| records[*n].clone()).collect::<Vec<_>>();
    assert_eq!(store.open_approvals().await, Ok(pick(&[0, 1, 2, 5])), "pending or approved");
    assert_eq!(store.approvals_of(session).await, Ok(pick(&[0, 1, 3, 4])), "final ones too");
    assert_eq!(store.approvals_of(other).await, Ok(pick(&[2, 5])), "sessions are apart");
}
