//! Opening, closing, listing.

use std::sync::Arc;

use countersign_model::{Principal, PrincipalKind, RecordingId, SessionId};
use futures_util::future::join_all;

use super::{at, name};
use crate::{BootId, SessionRecord, Store, StoreError};

pub(super) const BOOT: BootId = [1; 16];

pub(super) fn session(edge: &str, boot_id: BootId) -> SessionRecord {
    SessionRecord {
        id: SessionId::generate(),
        recording: RecordingId::generate(),
        principal: Principal {
            tenant_id: "7f0d3a0e-0000-4000-8000-000000000001".into(),
            object_id: "7f0d3a0e-0000-4000-8000-000000000002".into(),
            app_id: Some("7f0d3a0e-0000-4000-8000-000000000003".into()),
            kind: PrincipalKind::AgentForUser,
            agent: Some(name("reader")),
            roles: vec!["dba".into(), "on call".into()],
        },
        token_id: "uti".into(),
        zone: name("prod-eu"),
        target: name("shop"),
        edge: name(edge),
        boot_id,
        client_address: Some([0xfd00, 0, 0, 0, 0, 0, 0, 1].into()),
        client_user: "größer".into(),
        opened_at: at(0),
        deadline: at(3600),
        closed_at: None,
        closed_because: String::new(),
    }
}

pub(super) async fn run(store: &dyn Store) {
    let full = session("edge-1", BOOT);
    let mut bare = session("edge-1", BOOT);
    bare.principal.app_id = None;
    bare.principal.agent = None;
    bare.principal.roles = vec![];
    bare.principal.kind = PrincipalKind::User;
    bare.principal.tenant_id = Arc::from("t");
    bare.client_address = None;
    bare.client_user = String::new();
    for record in [&full, &bare] {
        assert_eq!(store.session(record.id).await, Err(StoreError::NotFound));
        store.open_session(record.clone()).await.unwrap();
        assert_eq!(store.session(record.id).await.as_ref(), Ok(record));
    }
    refuses_known_ids(store, &full).await;

    let unknown = store.close_session(SessionId::generate(), at(5), "killed").await;
    assert_eq!(unknown, Err(StoreError::NotFound));
    let whys: Vec<_> = (1..=8).map(|n| format!("größter Grund {n}")).collect();
    let closes = join_all((1..).zip(&whys).map(|(n, why)| store.close_session(full.id, at(n), why))).await;
    let closed = store.session(full.id).await.unwrap();
    assert_eq!(SessionRecord { closed_at: None, closed_because: String::new(), ..closed.clone() }, full);
    let first = (1..).zip(&whys).find(|(n, _)| closed.closed_at == Some(at(*n)));
    assert_eq!(first.map(|(_, why)| why), Some(&closed.closed_because), "time and reason of one close");
    assert!(closes.iter().all(|close| close.as_ref() == Ok(&closed)), "the first close counts for all");
    assert_eq!(store.close_session(full.id, at(100), "killed").await, Ok(closed));
    let open = store.session(bare.id).await.unwrap();
    assert_eq!((open.closed_at, open.closed_because.as_str()), (None, ""));
    store.close_session(bare.id, at(5), "").await.unwrap();
    assert_eq!(
        store.close_session(bare.id, at(6), "killed").await.unwrap().closed_because,
        "",
        "kept as it is"
    );
}

async fn refuses_known_ids(store: &dyn Store, known: &SessionRecord) {
    let mut same_session = session("edge-9", BOOT);
    same_session.id = known.id;
    assert_eq!(store.open_session(same_session.clone()).await, Err(StoreError::Conflict));
    assert_eq!(store.recording(same_session.recording).await, Err(StoreError::NotFound), "both or neither");
    let mut same_recording = session("edge-9", BOOT);
    same_recording.recording = known.recording;
    assert_eq!(store.open_session(same_recording.clone()).await, Err(StoreError::Conflict));
    assert_eq!(store.session(same_recording.id).await, Err(StoreError::NotFound));
    assert_eq!(store.open_sessions(&name("edge-9"), None).await, Ok(vec![]));
    assert_eq!(store.session(known.id).await.as_ref(), Ok(known));
}

pub(super) async fn lists_newest_first(store: &dyn Store) {
    assert_eq!(store.sessions(None, 10).await.unwrap().items, []);
    let mut records: Vec<_> = (0..5).map(|_| session("edge-1", BOOT)).collect();
    records.push(session("edge-1", [2; 16]));
    records.push(session("edge-10", BOOT));
    join_all(records.iter().map(|record| store.open_session(record.clone()))).await;
    records.reverse();

    let first = store.sessions(None, 4).await.unwrap();
    assert_eq!(first.items, records[..4]);
    store.open_session(session("edge-2", BOOT)).await.unwrap();
    let second = store.sessions(first.next, 4).await.unwrap();
    assert_eq!((second.items.as_slice(), second.next), (&records[4..], None));

    let open = async |edge, boot| {
        let mut open = store.open_sessions(&name(edge), boot).await.unwrap();
        open.sort_by_key(|record| record.id);
        open.reverse();
        open
    };
    assert_eq!(open("edge-1", None).await, records[1..]);
    assert_eq!(open("edge-1", Some([2; 16])).await, records[1..2]);
    assert_eq!(open("edge-10", Some(BOOT)).await, records[..1]);
    assert_eq!(open("edge-10", Some([2; 16])).await, []);
    store.close_session(records[1].id, at(1), "closed").await.unwrap();
    assert_eq!(open("edge-1", None).await, records[2..]);
}
