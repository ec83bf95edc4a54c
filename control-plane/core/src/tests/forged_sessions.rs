//! What somebody achieves who can write to the store and changes who a session belongs to, or what it is of.

use countersign_model::{ApprovalState, Identity, OperationId, Reason};
use prost::Message as _;
use redb::{ReadableTable as _, TableDefinition};

use super::{
    scene::{DANA, OMAR, Scene},
    *,
};

/// A session as it lies in the store, as far as it is of interest here.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(string, optional, tag = "4")]
    object_id: Option<String>,
    #[prost(string, optional, tag = "5")]
    app_id: Option<String>,
    #[prost(uint32, optional, tag = "6")]
    kind: Option<u32>,
    #[prost(string, optional, tag = "7")]
    agent: Option<String>,
    #[prost(string, repeated, tag = "8")]
    roles: Vec<String>,
    #[prost(string, optional, tag = "10")]
    zone: Option<String>,
    #[prost(string, optional, tag = "11")]
    target: Option<String>,
    #[prost(string, optional, tag = "12")]
    edge: Option<String>,
    #[prost(string, optional, tag = "14")]
    client_address: Option<String>,
    #[prost(string, optional, tag = "15")]
    client_user: Option<String>,
}

/// Every change of who asks, and where, by itself.
fn changes() -> [Stored; 10] {
    let some = |text: &str| Some(text.to_owned());
    [
        Stored { object_id: some(OMAR), ..Stored::default() },
        Stored { app_id: some(CLIENT), ..Stored::default() },
        Stored { kind: Some(2), ..Stored::default() },
        Stored { agent: some("writer"), ..Stored::default() },
        Stored { roles: vec!["trusted".into()], ..Stored::default() },
        Stored { zone: some("prod"), ..Stored::default() },
        Stored { target: some("desk"), ..Stored::default() },
        Stored { edge: some("edge-2"), ..Stored::default() },
        Stored { client_address: some("10.0.0.8"), ..Stored::default() },
        Stored { client_user: some("migration"), ..Stored::default() },
    ]
}

impl Scene {
    /// Writes this over every session in the store.
    async fn with_sessions_changed(self, change: &Stored) -> Self {
        const SESSIONS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("sessions");
        let Self { bench, edge, session } = self;
        let forge = |folder: &Path| {
            let store = redb::Database::open(folder.join("store.redb")).unwrap();
            let transaction = store.begin_write().unwrap();
            let mut sessions = transaction.open_table(SESSIONS).unwrap();
            let read: Vec<([u8; 16], Vec<u8>)> = sessions
                .iter()
                .unwrap()
                .map(|entry| entry.map(|(id, bytes)| (*id.value(), bytes.value().to_vec())).unwrap())
                .collect();
            for (id, mut bytes) in read {
                // What comes later in a message is merged into it.
                bytes.extend(change.encode_to_vec());
                sessions.insert(&id, bytes.as_slice()).unwrap();
            }
            drop(sessions);
            transaction.commit().unwrap();
        };
        Self { bench: bench.restart_after(forge).await, edge, session }
    }

    /// Other targets that the reader may connect to: `desk` in the zone of `shop`, and `till` in the other one.
    async fn furnish_more(&self) {
        for (name, zone, digit) in [("desk", "dev", '8'), ("till", "prod", '9')] {
            let mut spec = v1::TargetSpec { zone: zone.into(), ..shop_spec() };
            for identity in [&mut spec.standing, &mut spec.metadata, &mut spec.approved] {
                let client = &mut identity.as_mut().unwrap().client_id;
                client.replace_range(..1, &digit.to_string());
            }
            self.bench.apply(resource("Target", name, Spec::Target(spec))).await.unwrap();
        }
    }

    async fn mint_standing(&self) -> Result<Minted, MintRefusal> {
        let operation = OperationId::generate().to_string();
        let (core, peer) = (&self.bench.core, &self.edge.peer);
        core.mint_credential(peer, &self.session.id, Identity::Standing, &operation, "").await
    }
}

#[tokio::test]
async fn voters_are_not_deceived_about_who_asks_and_where() {
    for change in changes() {
        let scene = Scene::set().await;
        let (pending, approved, denied) = (scene.asked().await, scene.approved().await, scene.asked().await);
        let dana = scene.bench.caller("user", DANA, "dba").await;
        scene.vote_as(&dana, &denied, false).await.unwrap();
        let scene = scene.with_sessions_changed(&change).await;
        let core = &scene.bench.core;
        let listed = core.list_approvals(&dana, &v1::ListApprovalsRequest::default()).await.unwrap();
        assert_eq!(listed.approvals, [], "{change:?}");
        let mut watching = core.watch_approvals(dana.clone()).await.unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(20), watching.next()).await.is_err(),
            "{change:?}"
        );
        let voted = scene.vote_as(&dana, &pending, true).await;
        assert!(matches!(voted, Err(ApprovalError::Store(_))), "{change:?}: {voted:?}");
        for approval in [&pending, &approved, &denied] {
            let seen = core.get_approval(&dana, &approval.id).await;
            assert!(matches!(seen, Err(ApprovalError::Store(_))), "{change:?}: {seen:?}");
        }
        for approval in [&pending, &approved] {
            assert_eq!(scene.record(&approval.id).await.state, ApprovalState::Cancelled, "{change:?}");
        }
        assert_eq!(scene.record(&denied.id).await.state, ApprovalState::Denied, "what is final stays");
        assert_eq!(scene.bench.audited("alarm.approval_altered").await, 2, "{change:?}");
    }
}

#[tokio::test]
async fn a_session_that_only_ended_is_the_same() {
    let scene = Scene::set().await;
    let denied = scene.asked().await;
    let dana = scene.bench.caller("user", DANA, "dba").await;
    let denied = scene.vote_as(&dana, &denied, false).await.unwrap();
    scene.bench.core.close_session(&scene.edge.peer, &scene.session.id).await.unwrap();
    let seen = scene.approval(&denied.id).await;
    let session = seen.session.unwrap();
    assert_eq!(
        (session.state(), session.closed_because.as_str()),
        (v1::SessionState::Closed, "closed by edge")
    );
    assert_eq!((session.principal, seen.votes), (scene.session.principal, denied.votes));
}

#[tokio::test]
async fn a_spent_approval_mints_for_no_other_target_and_nobody_else() {
    for change in changes() {
        let scene = Scene::set().await;
        scene.furnish_more().await;
        let approval = scene.approved().await;
        scene.consume(&approval).await.unwrap();
        let scene = scene.with_sessions_changed(&change).await;
        let minted = scene.mint(&approval).await;
        assert!(minted.is_err(), "{change:?}: {minted:?}");
        assert_eq!(scene.bench.entra.asked.lock().unwrap().len(), 0, "{change:?}");
    }
}

#[tokio::test]
async fn what_is_minted_is_for_the_session_as_its_caller_was_given_it() {
    let scene = Scene::set().await;
    let approval = scene.approved().await;
    scene.consume(&approval).await.unwrap();
    let core = &scene.bench.core;
    let (id, operation) = (approval.id.parse().unwrap(), approval.operation_id.parse().unwrap());
    let session = core.parts.store.session(scene.session.id.parse().unwrap()).await.unwrap();
    // As if the store had said so a moment before, and no longer.
    let mut other = session.clone();
    other.target = "desk".parse().unwrap();
    let claimed = core.claim_mint(id, &other, operation).await;
    assert!(matches!(claimed, Err(MintRefusal::Refused { reason: Reason::ApprovalUsed, .. })), "{claimed:?}");
    core.claim_mint(id, &session, operation).await.unwrap();
}

#[tokio::test]
async fn an_edge_has_no_session_in_another_zone() {
    let scene = Scene::set().await;
    scene.furnish_more().await;
    scene.mint_standing().await.unwrap();
    let elsewhere = Stored { zone: Some("prod".into()), target: Some("till".into()), ..Stored::default() };
    let scene = scene.with_sessions_changed(&elsewhere).await;
    let minted = scene.mint_standing().await;
    assert!(matches!(minted, Err(MintRefusal::Edge(EdgeError::UnknownSession))), "{minted:?}");
    let asked = scene.bench.core.request_approval(&scene.edge.peer, scene.question()).await;
    assert!(matches!(asked, Err(ApprovalRefusal::Edge(EdgeError::UnknownSession))), "{asked:?}");
    assert_eq!(scene.bench.entra.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_that_names_no_session_is_refused() {
    /// A summary with its MAC, and as it was before it named one.
    #[derive(Clone, PartialEq, prost::Message)]
    struct WithMac {
        #[prost(bytes = "vec", tag = "1")]
        summary: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        mac: Vec<u8>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Summary {
        #[prost(message, repeated, tag = "5")]
        requirements: Vec<v1::Requirement>,
        #[prost(enumeration = "v1::Identity", tag = "6")]
        identity: i32,
    }
    let scene = Scene::set().await;
    let approval = scene.approved().await;
    let mut record = scene.record(&approval.id).await;
    let WithMac { summary, .. } = WithMac::decode(record.summary.as_slice()).unwrap();
    let summary = Summary::decode(summary.as_slice()).unwrap().encode_to_vec();
    let (id, session, operation) = (record.id, record.session, record.operation);
    let parts = [id.as_bytes().as_slice(), session.as_bytes(), operation.as_bytes(), &summary];
    let mac = scene.bench.core.parts.approvals_key.mac("approval-summary", &parts).to_vec();
    record.summary = WithMac { summary, mac }.encode_to_vec();
    record.version += 1;
    scene.bench.core.parts.store.replace_approval(record).await.unwrap();
    assert!(!scene.is_used(&approval).await);
    assert_eq!(scene.record(&approval.id).await.state, ApprovalState::Cancelled);
}
