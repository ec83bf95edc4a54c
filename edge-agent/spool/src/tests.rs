//! Whole sessions on a real disk: what they leave is judged by `countersign_recording::verify`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign_model::{ApprovalId, Durability, OperationId, RecordingId, SessionId};
use countersign_recording::{
    CheckedSegment, ContentKey, Entry, Evidence, Frame, Hold, Intent, Open, OpeningKey, Outcome, OutcomeKind,
    Part, Payload, RecordingKey, Refusal, Replayed, Report, SegmentReader, StoredSegment,
    check_opened_segment, manifest, replay, verify,
};
use countersign_wire::v1;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

mod packs;

fn config(dir: &Path, boot: u8, limits: Limits) -> Config {
    let boot = Boot {
        edge: "edge-1".parse().unwrap(),
        boot_id: [boot; 16],
        key: SigningKey::from_bytes(&[boot; 32]),
    };
    let clock: fn() -> SystemTime = || UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Config { dir: dir.to_owned(), limits, boot, clock }
}

/// The control plane's key.
fn opening_key() -> OpeningKey {
    OpeningKey::from_secret(&[3; 32]).unwrap()
}

fn open_spool(dir: &Path, boot: u8) -> Opened {
    open_spool_of(dir, boot, Limits::default())
}

/// With a connection to the control plane.
fn open_spool_of(dir: &Path, boot: u8, limits: Limits) -> Opened {
    let opened = Spool::open(config(dir, boot, limits)).unwrap();
    opened.spool.seal_to(opening_key().recording_key()).unwrap();
    opened
}

fn open(recording: RecordingId) -> Entry {
    let session = v1::Session {
        id: SessionId::generate().to_string(),
        recording_id: recording.to_string(),
        ..Default::default()
    };
    Entry::Open(Box::new(Open { session, policy_revision: "abc".into(), hash_key: Vec::new() }))
}

fn intent_of(operation: OperationId, payload: Vec<u8>) -> Entry {
    Entry::Intent(Box::new(Intent {
        operation,
        approval: Some(ApprovalId::generate()),
        protocol: "postgres".into(),
        kind: "query".into(),
        preamble: Vec::new(),
        payload: Payload(payload),
        payload_hmac: None,
        payload_masked: false,
        binding: None,
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "abc".into(),
        identity: None,
    }))
}

fn intent(operation: OperationId) -> Entry {
    intent_of(operation, b"UPDATE orders SET paid = true WHERE id = 7".to_vec())
}

fn hold(operation: OperationId) -> Entry {
    Entry::Hold(Box::new(Hold {
        operation,
        approval: ApprovalId::generate(),
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DELETE FROM orders WHERE id = 7".to_vec()),
        payload_hmac: None,
        payload_masked: false,
        binding: None,
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "abc".into(),
        requirements: vec!["dba 1".into()],
        expires_at: UNIX_EPOCH + Duration::from_secs(1_700_000_900),
    }))
}

fn refusal(operation: OperationId) -> Entry {
    Entry::Refusal(Box::new(Refusal {
        operation,
        approval: None,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload::default(),
        payload_hmac: None,
        payload_masked: false,
        binding: None,
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "abc".into(),
        reason: "approval_denied".into(),
    }))
}

fn outcome(operation: OperationId) -> Entry {
    Entry::Outcome(Box::new(Outcome::bare(operation, None, OutcomeKind::Done)))
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    (0..len.div_ceil(32)).flat_map(|block| Sha256::digest(block.to_le_bytes())).take(len).collect()
}

fn announced(finished: &mut UnboundedReceiver<FinishedSegment>) -> Vec<FinishedSegment> {
    std::iter::from_fn(|| finished.try_recv().ok()).collect()
}

/// Puts segments under a manifest as the control plane would, and verifies all of it.
fn judge(recording: RecordingId, segments: &[Vec<u8>]) -> Report {
    let key = SigningKey::from_bytes(&[200; 32]);
    let opening = opening_key();
    let checked: Vec<CheckedSegment> =
        segments.iter().map(|bytes| check_opened_segment(bytes, &opening).unwrap()).collect();
    let mut manifest = manifest::empty(recording.to_string(), String::new());
    checked.iter().for_each(|segment| manifest::extend(&mut manifest, segment).unwrap());
    let segments: Vec<(u32, &[u8])> = (0..).zip(segments.iter().map(Vec::as_slice)).collect();
    verify(&Evidence {
        manifest: Some(&manifest::sign(&manifest, &key)),
        deployment_key: &key.verifying_key().to_bytes(),
        segments: &segments,
        recording_id: Some(&recording.to_string()),
        session_closed: true,
    })
}

fn frames(segments: &[Vec<u8>]) -> Vec<Frame> {
    let keys: Vec<ContentKey> = segments.iter().map(|segment| content_key(segment)).collect();
    let stored = segments.iter().zip(&keys).map(|(bytes, key)| {
        let content_key = Some(key.as_bytes().as_slice());
        StoredSegment { bytes, content_key }
    });
    let opened = |replayed| match replayed {
        Ok(Replayed::Opened(frame)) => *frame,
        other => panic!("not opened: {other:?}"),
    };
    replay(stored).map(opened).collect()
}

fn content_key(segment: &[u8]) -> ContentKey {
    let Ok(Some(Part::Header(header))) = SegmentReader::new(segment).next_part() else { panic!("no header") };
    opening_key().open_content_key(&header).unwrap()
}

fn contents(spool: &Spool, segments: &[FinishedSegment]) -> Vec<Vec<u8>> {
    segments.iter().map(|segment| spool.read(segment).unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_session_is_recorded_uploaded_and_deleted() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(&dir.path().join("spool"), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    let first = session.append(&open(recording), Durability::Fsync).await.unwrap();
    assert_eq!(first.sequence, 0);
    let operation = OperationId::generate();
    session.append(&intent(operation), Durability::Fsync).await.unwrap();
    assert!(session.rotate().unwrap());
    assert!(!session.rotate().unwrap(), "nothing new");
    session.append(&outcome(operation), Durability::PageCache).await.unwrap();
    let close = session.close("client").await.unwrap();
    assert_eq!(close.sequence, 3);

    let waiting = announced(&mut opened.finished);
    assert!(waiting.iter().map(|segment| segment.number).eq([0, 1]));
    assert_eq!(mode(waiting[0].path.parent().unwrap()), 0o700);
    assert_eq!(mode(&waiting[0].path), 0o600);
    let segments = contents(&opened.spool, &waiting);
    let report = judge(recording, &segments);
    assert!(report.ok && report.complete, "{report:?}");
    assert_eq!((report.frames.fsync, report.frames.page_cache), (3, 1));
    assert_eq!(opened.spool.used(), segments.iter().map(|bytes| bytes.len() as u64).sum::<u64>());

    let [first, second] = [0, 1].map(|at: usize| Sha256::digest(&segments[at]));
    let wrong = opened.spool.acknowledge(recording, 0, &second);
    assert!(matches!(wrong, Err(AcknowledgeError::Mismatch(..))));
    assert!(waiting[0].path.exists());
    opened.spool.acknowledge(recording, 0, &first).unwrap();
    assert!(!waiting[0].path.exists() && waiting[1].path.exists());
    assert!(matches!(opened.spool.acknowledge(recording, 0, &first), Err(AcknowledgeError::Unknown(..))));
    opened.spool.acknowledge(recording, 1, &second).unwrap();
    assert!(!waiting[1].path.parent().unwrap().exists());
    assert_eq!(opened.spool.used(), 0);
}

/// A copy of the disk as it is now, as a crash of the process would leave it.
fn crash(spool: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::copy(spool.join("recording-key"), copy.path().join("recording-key")).unwrap();
    for recording in fs::read_dir(spool).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let to = copy.path().join(recording.file_name());
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir(recording.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    copy
}

/// Starts another process on the copy and gives what it would upload.
fn recover(copy: &Path) -> (Recovered, Vec<(u32, Vec<u8>)>) {
    let mut opened = open_spool(copy, 2);
    let waiting = announced(&mut opened.finished);
    let bytes = contents(&opened.spool, &waiting);
    (opened.recovered, waiting.iter().map(|segment| segment.number).zip(bytes).collect())
}

#[tokio::test]
async fn a_crash_after_each_step_leaves_a_recording_that_verifies() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let [a, b] = [OperationId::generate(), OperationId::generate()];
    let mut session = opened.spool.begin(recording).unwrap();
    assert_eq!(recover(crash(dir.path()).path()), (Recovered::default(), Vec::new()), "nothing is recorded");

    let mut uploaded: Vec<Vec<u8>> = Vec::new();
    let steps: [(&str, Option<Entry>, usize); 8] = [
        ("open", Some(open(recording)), 0),
        ("intent a", Some(intent(a)), 1),
        ("rotate", None, 1),
        ("intent b", Some(intent(b)), 2),
        ("outcome a", Some(outcome(a)), 1),
        ("rotate again", None, 1),
        ("refused by nobody: rotate without a frame", None, 1),
        ("outcome b", Some(outcome(b)), 0),
    ];
    for (step, entry, unknown) in steps {
        match entry {
            Some(entry) => _ = session.append(&entry, Durability::PageCache).await.unwrap(),
            None => _ = session.rotate().unwrap(),
        }
        opened.spool.settled().await;
        let (recovered, waiting) = recover(crash(dir.path()).path());
        assert_eq!((recovered.crashed, recovered.unknown, recovered.failed), (1, unknown, 0), "{step}");
        let segments: Vec<Vec<u8>> =
            uploaded.iter().cloned().chain(waiting.into_iter().map(|(_, bytes)| bytes)).collect();
        let report = judge(recording, &segments);
        assert!(report.ok && report.complete && report.unfinished == 0, "{step}: {report:?}");
        let last = frames(&segments).pop().unwrap();
        let Entry::Close(close) = last.entry else { panic!("{step}: no Close") };
        assert_eq!(close.reason, "crash");

        // Upload at once whatever is finished: recovery must not need it.
        for segment in announced(&mut opened.finished) {
            let bytes = opened.spool.read(&segment).unwrap();
            opened.spool.acknowledge(recording, segment.number, &Sha256::digest(&bytes)).unwrap();
            uploaded.push(bytes);
        }
    }
    let finished = uploaded.len();
    session.close("client").await.unwrap();
    let (recovered, waiting) = recover(crash(dir.path()).path());
    assert_eq!((recovered.crashed, recovered.segments), (0, 1));
    uploaded.extend(waiting.into_iter().map(|(_, bytes)| bytes));
    assert_eq!(uploaded.len(), finished + 1);
    assert!(judge(recording, &uploaded).complete);
}

#[tokio::test]
async fn a_write_torn_anywhere_is_cut_back_to_the_last_whole_frame() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let operation = OperationId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    let mut ends = Vec::new();
    for entry in [open(recording), intent(operation), outcome(operation)] {
        session.append(&entry, Durability::PageCache).await.unwrap();
        ends.push(opened.spool.used());
    }
    let image = crash(dir.path());
    let file = |root: &Path| root.join(recording.to_string()).join("0.seg.open");
    for cut in ends[0]..=ends[2] {
        let torn = crash(image.path());
        fs::OpenOptions::new().write(true).open(file(torn.path())).unwrap().set_len(cut).unwrap();
        let (recovered, waiting) = recover(torn.path());
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let unknown = usize::from(whole == 2);
        assert_eq!((recovered.crashed, recovered.unknown), (1, unknown), "cut to {cut}");
        let segments: Vec<Vec<u8>> = waiting.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert!(judge(recording, &segments).complete);
        assert_eq!(frames(&segments[..1]).len(), whole, "what was recorded stays, and nothing is added");
        assert_eq!(frames(&segments[1..]).len(), unknown + 1);
        // What recovery wrote is found as it is by the start after it.
        assert_eq!(recover(torn.path()), (Recovered { segments: 2, ..Recovered::default() }, waiting));
    }
}

#[tokio::test]
async fn a_crash_inside_a_rotation_or_a_recovery_is_recovered() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    let operation = OperationId::generate();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    session.append(&intent(operation), Durability::PageCache).await.unwrap();
    let before = fs::read(dir.path().join(recording.to_string()).join("0.seg.open")).unwrap();
    session.rotate().unwrap();
    opened.spool.settled().await;
    let image = crash(dir.path());
    let path = |name: &str| image.path().join(recording.to_string()).join(name);
    let finished = fs::read(path("0.seg")).unwrap();
    let header = fs::read(path("1.seg.open")).unwrap();
    fs::remove_file(path("0.seg")).unwrap();

    let trailer_torn = finished[..finished.len() - 9].to_vec();
    for (what, first, second) in [
        ("the next file is there, the trailer is not", before.clone(), Some(header.clone())),
        ("the next file is torn", before.clone(), Some(header[..9].to_vec())),
        ("the trailer is torn", trailer_torn, Some(header.clone())),
        ("not renamed yet", finished.clone(), Some(header.clone())),
        ("a recovery made the next file and no more", finished.clone(), Some(Vec::new())),
        ("the next file is gone", finished, None),
    ] {
        let case = crash(image.path());
        let path = |name: &str| case.path().join(recording.to_string()).join(name);
        fs::write(path("0.seg.open"), first).unwrap();
        match second {
            Some(bytes) => fs::write(path("1.seg.open"), bytes).unwrap(),
            None => fs::remove_file(path("1.seg.open")).unwrap(),
        }
        let (recovered, waiting) = recover(case.path());
        assert_eq!((recovered.crashed, recovered.unknown, recovered.set_aside), (1, 1, 0), "{what}");
        let segments: Vec<Vec<u8>> = waiting.into_iter().map(|(_, bytes)| bytes).collect();
        assert!(judge(recording, &segments).complete, "{what}");
    }
}

/// The bytes of each file of a recording after a recovery, and the recovery again after a death between its steps.
#[tokio::test]
async fn a_recovery_that_dies_between_its_steps_is_recovered() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    let image = crash(dir.path());
    let torn = fs::read(image.path().join(recording.to_string()).join("0.seg.open")).unwrap();
    let whole = crash(image.path());
    let [first, last] = [0, 1].map(|at: usize| recover(whole.path()).1[at].1.clone());
    assert_eq!(first[..torn.len()], torn, "the crashed segment got its trailer alone");
    for (what, files, recovered_now) in [
        ("the last segment is there", vec![("0.seg.open", &torn), ("1.seg.open", &last)], 0),
        ("the first has its trailer", vec![("0.seg.open", &first), ("1.seg.open", &last)], 0),
        ("the first has its name", vec![("0.seg", &first), ("1.seg.open", &last)], 0),
        ("the first is archived", vec![("1.seg.open", &last)], 0),
        ("only the first is there", vec![("0.seg", &first)], 1),
    ] {
        let case = crash(image.path());
        fs::write(case.path().join("recovering"), &last[..last.len() / 2]).unwrap();
        let folder = case.path().join(recording.to_string());
        fs::remove_file(folder.join("0.seg.open")).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
        let (recovered, waiting) = recover(case.path());
        assert_eq!(
            (recovered.crashed, recovered.set_aside, recovered.failed),
            (recovered_now, 0, 0),
            "{what}"
        );
        let mut segments: Vec<Vec<u8>> = waiting.into_iter().map(|(_, bytes)| bytes).collect();
        if segments.len() == 1 {
            segments.insert(0, first.clone());
        }
        let report = judge(recording, &segments);
        assert!(report.complete && report.unfinished == 0, "{what}: {report:?}");
        assert_eq!(frames(&segments).len(), 4, "{what}");
    }
}

/// An empty segment is all that is left of its recording here: the ones before are archived.
#[tokio::test]
async fn an_empty_segment_is_replaced_by_one_that_can_be_sealed() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    session.rotate().unwrap();
    opened.spool.settled().await;
    let first = contents(&opened.spool, &announced(&mut opened.finished)).remove(0);
    opened.spool.acknowledge(recording, 0, &Sha256::digest(&first)).unwrap();
    let image = crash(dir.path());
    let (recovered, waiting) = recover(image.path());
    assert_eq!((recovered.crashed, recovered.unknown, recovered.failed), (1, 1, 0));
    assert!(waiting.iter().map(|(number, _)| *number).eq([1]));
    let segments = [first, waiting[0].1.clone()];
    assert!(judge(recording, &segments).complete);
    assert_eq!(recover(image.path()), (Recovered { segments: 1, ..Recovered::default() }, waiting));
}

#[tokio::test]
async fn nothing_is_recorded_before_it_is_known_to_whom_it_is_sealed() {
    let dir = TempDir::new().unwrap();
    let opened = Spool::open(config(dir.path(), 1, Limits::default())).unwrap();
    assert_eq!(opened.spool.recording_key(), None);
    let recording = RecordingId::generate();
    assert_eq!(opened.spool.begin(recording).err(), Some(AppendError::Unsealed));
    let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| name != recording.to_string().as_str()), "nothing is left of it");

    let key = opening_key().recording_key();
    opened.spool.seal_to(key).unwrap();
    opened.spool.seal_to(key).unwrap();
    assert_eq!(mode(&dir.path().join("recording-key")), 0o600);
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::Fsync).await.unwrap();
    let image = crash(dir.path());
    drop(session);
    drop(opened);
    // The next process knows the key before it has a connection.
    let again = Spool::open(config(dir.path(), 2, Limits::default())).unwrap();
    assert_eq!(again.spool.recording_key(), Some(key));

    // Without the key what crashed waits for a start that has one, as it is.
    for damaged in [None, Some(&b"short"[..]), Some(&[7; 33])] {
        let path = image.path().join("recording-key");
        match damaged {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let keyless = Spool::open(config(image.path(), 2, Limits::default())).unwrap();
        assert_eq!((keyless.recovered.failed, keyless.recovered.segments), (1, 0));
        assert_eq!(keyless.spool.recording_key(), None);
        keyless.spool.seal_to(key).unwrap();
    }
    let (recovered, waiting) = recover(image.path());
    assert_eq!((recovered.crashed, recovered.failed), (1, 0));
    let segments: Vec<Vec<u8>> = waiting.into_iter().map(|(_, bytes)| bytes).collect();
    assert!(judge(recording, &segments).complete);
}

#[tokio::test]
async fn another_key_counts_from_the_next_segment_on() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    let other = OpeningKey::from_secret(&[9; 32]).unwrap();
    opened.spool.seal_to(other.recording_key()).unwrap();
    session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    assert!(session.rotate().unwrap());
    session.close("client").await.unwrap();
    let segments = contents(&opened.spool, &announced(&mut opened.finished));
    assert_eq!(segments.len(), 2);
    assert!(check_opened_segment(&segments[0], &opening_key()).is_ok());
    assert!(check_opened_segment(&segments[1], &other).is_ok());
    assert!(check_opened_segment(&segments[1], &opening_key()).is_err());
    let nobody = opened.spool.seal_to(RecordingKey::from_bytes([0; 32]));
    assert!(nobody.is_ok());
    let refused = opened.spool.begin(RecordingId::generate()).err();
    assert_eq!(refused, Some(AppendError::Unsealed), "nothing can be sealed to it");
}

#[tokio::test]
async fn a_segment_that_continues_nothing_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    let early = crash(dir.path());
    session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    session.rotate().unwrap();
    opened.spool.settled().await;
    let file = |root: &Path, name: &str| root.join(recording.to_string()).join(name);
    fs::copy(file(dir.path(), "1.seg.open"), file(early.path(), "1.seg.open")).unwrap();
    let (recovered, waiting) = recover(early.path());
    assert_eq!((recovered.set_aside, recovered.crashed), (1, 1));
    assert!(file(early.path(), "1.seg.torn").exists());
    let segments: Vec<Vec<u8>> = waiting.into_iter().map(|(_, bytes)| bytes).collect();
    assert!(judge(recording, &segments).complete);
}

#[tokio::test]
async fn a_full_spool_admits_nothing_and_still_ends_what_it_admitted() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { low: 20_000, full: 40_000, hard: 80_000 };
    let mut opened = open_spool_of(dir.path(), 1, limits);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    let mut levels = vec![opened.spool.level()];
    let mut last = OperationId::generate();
    let refused = loop {
        let operation = OperationId::generate();
        match session.append(&intent_of(operation, noise(3000)), Durability::PageCache).await {
            Ok(_) => last = operation,
            Err(refused) => break refused,
        }
        levels.push(opened.spool.level());
    };
    levels.dedup();
    assert_eq!((refused, levels), (AppendError::Full, vec![Level::Normal, Level::Low, Level::Full]));
    assert_eq!(opened.spool.begin(RecordingId::generate()).err(), Some(AppendError::Full));
    session.append(&outcome(last), Durability::Fsync).await.unwrap();
    session.rotate().unwrap();
    opened.spool.settled().await;
    let waiting = announced(&mut opened.finished);
    let segments = contents(&opened.spool, &waiting);
    opened.spool.acknowledge(recording, 0, &Sha256::digest(&segments[0])).unwrap();
    assert_eq!(opened.spool.level(), Level::Normal);
    session.append(&intent(last), Durability::PageCache).await.unwrap();
    session.close("client").await.unwrap();
    let rest = contents(&opened.spool, &announced(&mut opened.finished));
    assert!(judge(recording, &[segments, rest].concat()).complete);
}

#[tokio::test]
async fn a_full_spool_still_takes_the_refusal_of_what_it_let_wait() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { low: 2_000, full: 4_000, hard: 80_000 };
    let mut opened = open_spool_of(dir.path(), 1, limits);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    let (refused, released) = (OperationId::generate(), OperationId::generate());
    for operation in [refused, released] {
        session.append(&hold(operation), Durability::Fsync).await.unwrap();
    }
    session.append(&intent_of(OperationId::generate(), noise(4_000)), Durability::Fsync).await.unwrap();
    assert_eq!(opened.spool.level(), Level::Full);

    let mut append = async |entry: Entry| session.append(&entry, Durability::PageCache).await.map(drop);
    assert_eq!(append(hold(OperationId::generate())).await, Err(AppendError::Full));
    assert_eq!(append(refusal(OperationId::generate())).await, Err(AppendError::Full));
    assert_eq!(append(intent(released)).await, Err(AppendError::Full));
    assert_eq!(append(refusal(refused)).await, Ok(()));
    assert_eq!(append(refusal(refused)).await, Err(AppendError::Full), "it ends once");
    session.close("client").await.unwrap();
    let report = judge(recording, &contents(&opened.spool, &announced(&mut opened.finished)));
    assert!(report.complete && report.unfinished == 0, "{report:?}");
}

#[tokio::test]
async fn what_only_waited_when_the_edge_crashed_is_not_unknown() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    let (denied, released, waiting) =
        (OperationId::generate(), OperationId::generate(), OperationId::generate());
    let entries =
        [open(recording), hold(denied), refusal(denied), hold(released), intent(released), hold(waiting)];
    for entry in &entries {
        session.append(entry, Durability::Fsync).await.unwrap();
        session.rotate().unwrap();
    }
    opened.spool.settled().await;
    let (recovered, waiting) = recover(crash(dir.path()).path());
    assert_eq!((recovered.crashed, recovered.unknown), (1, 1));
    let segments: Vec<Vec<u8>> = waiting.into_iter().map(|(_, bytes)| bytes).collect();
    let report = judge(recording, &segments);
    assert!(report.complete && report.unfinished == 0, "{report:?}");
    let frames = frames(&segments);
    let unknown = &frames[entries.len()].entry;
    assert_eq!((unknown.operation(), unknown.outcome()), (Some(released), Some(OutcomeKind::Unknown)));
    let Entry::Close(close) = &frames[entries.len() + 1].entry else { panic!("no Close") };
    assert_eq!((close.operations, close.refusals), (1, 1));
}

/// A file system of 256 KiB, if this user may mount one.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_no_half_frame() {
    let Some(disk) = TinyDisk::mount() else {
        println!("skipped: this user may not mount a file system");
        return;
    };
    let mut opened = open_spool(disk.0.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::Fsync).await.unwrap();
    let filler = disk.0.path().join("filler");
    let mut recorded = 1;
    let refused = loop {
        let operation = OperationId::generate();
        match session.append(&intent_of(operation, noise(9000)), Durability::PageCache).await {
            Ok(_) => recorded += 1,
            Err(refused) => break refused,
        }
        session.append(&outcome(operation), Durability::PageCache).await.unwrap();
        recorded += 1;
        if recorded == 5 {
            fs::write(&filler, vec![0; 64 << 10]).unwrap();
        }
    };
    assert_eq!((refused, opened.spool.level()), (AppendError::Full, Level::Full));
    fs::remove_file(&filler).unwrap();
    session.append(&outcome(OperationId::generate()), Durability::Fsync).await.unwrap();
    session.close("client").await.unwrap();
    let segments = contents(&opened.spool, &announced(&mut opened.finished));
    assert!(judge(recording, &segments).complete);
    assert_eq!(frames(&segments).len(), recorded + 2);
    drop(opened);
}

#[tokio::test]
async fn a_disk_that_fails_ends_the_recording_for_good() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    fs::remove_dir_all(dir.path().join(recording.to_string())).unwrap();
    let operation = OperationId::generate();
    assert_eq!(session.append(&intent(operation), Durability::Fsync).await, Err(AppendError::Poisoned));
    assert_eq!(session.append(&outcome(operation), Durability::PageCache).await, Err(AppendError::Poisoned));
    assert_eq!(session.close("client").await, Err(AppendError::Poisoned));
    let other = RecordingId::generate();
    let mut session = opened.spool.begin(other).unwrap();
    session.append(&open(other), Durability::Fsync).await.unwrap();
}

#[tokio::test]
async fn segments_rotate_by_size_and_never_outgrow_their_bound() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    for len in [400_000, 600_000, 900_000, 10, 200_000, 400_000, 20, 960_000] {
        let operation = OperationId::generate();
        session.append(&intent_of(operation, noise(len)), Durability::PageCache).await.unwrap();
        session.append(&outcome(operation), Durability::PageCache).await.unwrap();
    }
    let too_large = intent_of(OperationId::generate(), noise(1 << 20));
    assert_eq!(session.append(&too_large, Durability::PageCache).await, Err(AppendError::TooLarge));
    session.close("client").await.unwrap();
    let segments = contents(&opened.spool, &announced(&mut opened.finished));
    assert_eq!(segments.len(), 5);
    assert!(segments.iter().all(|bytes| bytes.len() <= countersign_recording::MAX_SEGMENT));
    let report = judge(recording, &segments);
    assert!(report.complete, "{report:?}");
    assert_eq!(report.frames.total, 18);
}

#[tokio::test]
async fn a_recording_that_is_as_long_as_one_may_be_can_still_be_closed() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.last_segment = 4;
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    let mut rotated = Vec::new();
    for _ in 0..4 {
        session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
        rotated.push(session.rotate().unwrap());
    }
    assert_eq!(rotated, [true, true, false, false], "half are kept for full segments");
    let refused = loop {
        let operation = OperationId::generate();
        match session.append(&intent_of(operation, noise(300_000)), Durability::PageCache).await {
            Ok(_) => session.append(&outcome(operation), Durability::PageCache).await.map(drop).unwrap(),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, AppendError::TooManySegments);
    session.close("client").await.unwrap();
    let segments = contents(&opened.spool, &announced(&mut opened.finished));
    assert_eq!(segments.len(), 5);
    let report = judge(recording, &segments);
    assert!(report.complete && report.unfinished == 0, "{report:?}");
}

#[tokio::test]
async fn an_abandoned_session_still_gets_its_end() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    drop(session);
    opened.spool.settled().await;
    let segments = contents(&opened.spool, &announced(&mut opened.finished));
    assert!(judge(recording, &segments).complete);
    let frames = frames(&segments);
    assert_eq!(frames[2].entry.outcome(), Some(OutcomeKind::Unknown));
    assert_eq!(frames[2].entry.approval(), frames[1].entry.approval());
    let Entry::Close(close) = &frames[3].entry else { panic!("no Close") };
    assert_eq!((close.reason.as_str(), close.operations), ("aborted", 1));

    drop(opened.spool.begin(RecordingId::generate()).unwrap());
    let left = layout::recordings(dir.path()).unwrap();
    assert_eq!(left, [recording], "a session that recorded nothing leaves nothing");
}

#[tokio::test]
async fn entries_out_of_place_are_refused() {
    let dir = TempDir::new().unwrap();
    let opened = open_spool(dir.path(), 1);
    let recording = RecordingId::generate();
    let mut session = opened.spool.begin(recording).unwrap();
    let early = session.append(&intent(OperationId::generate()), Durability::PageCache).await;
    assert_eq!(early, Err(AppendError::OutOfPlace));
    session.append(&open(recording), Durability::PageCache).await.unwrap();
    assert_eq!(session.append(&open(recording), Durability::PageCache).await, Err(AppendError::OutOfPlace));
    for _ in 0..countersign_recording::MAX_UNFINISHED {
        session.append(&intent(OperationId::generate()), Durability::PageCache).await.unwrap();
    }
    let one_more = session.append(&intent(OperationId::generate()), Durability::PageCache).await;
    assert_eq!(one_more, Err(AppendError::TooManyUnfinished));
    for _ in 0..countersign_recording::MAX_UNFINISHED {
        session.append(&hold(OperationId::generate()), Durability::PageCache).await.unwrap();
    }
    let one_more = session.append(&hold(OperationId::generate()), Durability::PageCache).await;
    assert_eq!(one_more, Err(AppendError::TooManyUnfinished));
    assert!(opened.spool.begin(recording).is_err(), "a recording begins once");
}

#[test]
fn one_process_at_a_time() {
    let dir = TempDir::new().unwrap();
    let first = open_spool(dir.path(), 1);
    let second = Spool::open(config(dir.path(), 2, Limits::default()));
    assert!(matches!(second, Err(SpoolError::InUse(_))));
    drop(first);
}
