use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use countersign_model::{ApprovalId, ApprovalState, OperationId, SessionId};
use countersign_store::{
    AUDIT_GENESIS, ApprovalRecord, Approvals, Audit, AuditEvent, Expected, ResourceKind, Resources,
    conformance, verify_chain,
};
use redb::TableDefinition;

use super::*;

fn event(n: u64) -> AuditEvent {
    AuditEvent {
        at: UNIX_EPOCH + Duration::from_secs(n),
        actor: "a".into(),
        action: "b".into(),
        subject: n.to_string(),
        detail: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    conformance::run(|| {
        let path = folder.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        async move { Arc::new(EmbeddedStore::open(&path).unwrap()) as Arc<dyn Store> }
    })
    .await;
}

#[tokio::test]
async fn a_reopened_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/store.redb");
    let shop = "shop".parse().unwrap();
    for n in 1..=3 {
        let store = EmbeddedStore::open(&path).unwrap();
        let put = store.put_resource(ResourceKind::Target, &shop, vec![n], Expected::Any).await.unwrap();
        assert_eq!((put.version, put.generation), (u64::from(n), u64::from(n)));
        assert_eq!(store.append_audit(event(1)).await, Ok(u64::from(n)));
        if n == 1 {
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("state")), 0o700);
}

fn approval() -> ApprovalRecord {
    ApprovalRecord {
        id: ApprovalId::generate(),
        state: ApprovalState::Pending,
        version: 1,
        session: SessionId::generate(),
        operation: OperationId::generate(),
        edge: "edge-1".parse().unwrap(),
        boot_id: [1; 16],
        asker: "t/a".into(),
        sealed: Some(vec![7; 100]),
        summary: vec![1],
        fingerprint: "00".into(),
        created_at: UNIX_EPOCH,
        expires_at: UNIX_EPOCH + Duration::from_secs(900),
        use_until: None,
        ended_at: None,
        votes: vec![],
        outcome: None,
        minted: false,
    }
}

#[tokio::test]
async fn approvals_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    let (pending, asked) = (approval(), approval());
    for record in [&pending, &asked] {
        store.create_approval(record.clone(), 2).await.unwrap();
    }
    let ended = ApprovalRecord { state: ApprovalState::Denied, version: 2, sealed: None, ..asked };
    store.replace_approval(ended.clone()).await.unwrap();
    drop(store);

    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.approval(pending.id).await.as_ref(), Ok(&pending));
    assert_eq!(store.approval(ended.id).await.as_ref(), Ok(&ended));
    assert_eq!(store.open_approvals().await, Ok(vec![pending.clone()]));
    assert_eq!(store.approvals_of(ended.session).await, Ok(vec![ended.clone()]));
    assert_eq!(store.approvals(&[ApprovalState::Denied], None, 10).await.unwrap().items, [ended]);
    assert_eq!(store.create_approval(approval(), 1).await, Err(StoreError::Conflict), "it still waits");
    store.create_approval(approval(), 2).await.unwrap();
}

#[tokio::test]
async fn a_file_from_before_there_were_approvals_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    EmbeddedStore::open(&path).unwrap().append_audit(event(1)).await.unwrap();
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(transaction.delete_table(tables::APPROVALS).unwrap());
    assert!(transaction.delete_table(tables::APPROVAL_STATES).unwrap());
    assert!(transaction.delete_table(tables::PENDING_APPROVALS).unwrap());
    assert!(transaction.delete_table(tables::SESSION_APPROVALS).unwrap());
    transaction.commit().unwrap();
    drop(database);

    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.audit(1, 10).await.unwrap().len(), 1, "what was there stays");
    assert_eq!(store.open_approvals().await, Ok(vec![]));
    let record = approval();
    store.create_approval(record.clone(), 1).await.unwrap();
    assert_eq!(store.open_approvals().await, Ok(vec![record]));
}

#[tokio::test]
async fn one_opener_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::InUse { .. })));
    drop(store);
    EmbeddedStore::open(&path).unwrap();
}

#[test]
fn files_of_others_and_of_the_future_are_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(EmbeddedStore::open(&path).unwrap());
    let stamp = |format: u64| {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(tables::COUNTERS).unwrap().insert(tables::FORMAT_COUNTER, format).unwrap();
        transaction.commit().unwrap();
    };
    stamp(2);
    assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::Newer { found: 2, known: 1, .. })));
    stamp(1);
    drop(EmbeddedStore::open(&path).unwrap());

    let foreign = folder.path().join("foreign.redb");
    let table: TableDefinition<&str, &str> = TableDefinition::new("theirs");
    let database = Database::create(&foreign).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert("k", "v").unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(EmbeddedStore::open(&foreign), Err(OpenError::Foreign { .. })));
    let database = Database::create(&foreign).unwrap();
    let value = database.begin_read().unwrap().open_table(table).unwrap().get("k").unwrap().unwrap();
    assert_eq!(value.value(), "v");

    let text = folder.path().join("text");
    fs::write(&text, "no database at all").unwrap();
    assert!(matches!(EmbeddedStore::open(&text), Err(OpenError::Failed { .. })));
    assert_eq!(fs::read(&text).unwrap(), b"no database at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_breaks_takes_nothing_of_its_transaction_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store.redb")).unwrap();
    let broken: Result<(), StoreError> = store
        .writer
        .write(|transaction| {
            tables::count(transaction, tables::GENERATION)?;
            Err(Fault::Broken(tables::Broken::corrupt("thing")))
        })
        .await;
    assert_eq!(broken, Err(StoreError::Unavailable("a stored thing cannot be read".into())));
    assert_eq!(store.generation().await, Ok(0));
    store.check().await.unwrap();
}

/// Names the file to [`writes_until_it_is_killed`].
const VICTIM: &str = "COUNTERSIGN_STORE_VICTIM";

async fn verified_head(store: &EmbeddedStore) -> u64 {
    let mut head = (0, AUDIT_GENESIS);
    loop {
        let entries = store.audit(head.0 + 1, 1_000).await.unwrap();
        if entries.is_empty() {
            return head.0;
        }
        head = verify_chain(head, &entries).unwrap();
    }
}

/// Appends and says so after each acknowledgement, until it is killed.
async fn write_until_killed(path: &Path) {
    let store = EmbeddedStore::open(path).unwrap();
    for n in 0.. {
        let sequence = store.append_audit(event(n)).await.unwrap();
        println!("acknowledged {sequence}");
    }
}

/// The victim is this very test in a process of its own.
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return write_until_killed(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut before = 0;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let sequence =
            |line: String| line.rsplit_once("acknowledged ").and_then(|(_, n)| n.parse::<u64>().ok());
        let mut acknowledged =
            lines.by_ref().filter_map(|line| sequence(line.unwrap())).nth(20 * round).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = lines.filter_map(|line| sequence(line.ok()?)).last().unwrap_or(acknowledged);

        let store = EmbeddedStore::open(&path).unwrap();
        let last = verified_head(&store).await;
        assert!(acknowledged > before && last >= acknowledged, "{acknowledged} of {last}");
        before = last;
    }
}
