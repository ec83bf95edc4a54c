//! The uploader against a control plane that refuses what it is told to refuse.

use std::{path::Path, sync::Mutex, time::SystemTime};

use countersign_model::{Durability, SessionId};
use countersign_recording::{Entry, Open, OpeningKey, Pack};
use countersign_spool::{Boot, Limits, Opened, SessionSpool};
use countersign_wire::v1::upload_packs_request::Part;
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Mutex as AsyncMutex, task::JoinHandle};
use tonic::Streaming;

use super::*;
use crate::fake;

/// Packs as they came, and the segments that were listed.
#[derive(Clone, Default)]
pub(crate) struct Archive(Arc<State>);

#[derive(Default)]
struct State {
    refused: Mutex<HashSet<String>>,
    /// How the next packs are met, in order; those after them are taken.
    next: Mutex<VecDeque<Meeting>>,
    /// Key and hash of each, as often as it came.
    packs: Mutex<Vec<(String, Vec<u8>)>>,
    taken: Mutex<Vec<(String, u32)>>,
    /// Held by a test that wants answers to wait.
    answering: AsyncMutex<()>,
}

/// What a control plane does with a pack besides taking it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meeting {
    /// Never answers.
    Silence,
    /// Ends the stream once it begins.
    CutAtOnce,
    /// Takes it, and the answer is lost.
    LostAnswer,
    /// Says that it has something else.
    OtherBytes,
    RefusedWhole,
}

impl Archive {
    async fn start(&self) -> Link {
        fake::start(self.clone()).await.0
    }

    fn meet(&self, next: impl IntoIterator<Item = Meeting>) {
        self.0.next.lock().expect("lock").extend(next);
    }

    /// Answers an upload.
    pub(crate) fn upload(
        &self,
        mut messages: Streaming<v1::UploadPacksRequest>,
    ) -> ReceiverStream<Result<v1::UploadPacksResponse, Status>> {
        let (answers, stream) = mpsc::channel(1);
        let archive = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                let Some(Part::Start(start)) = message.part else { panic!("a pack begins with its name") };
                let meeting = archive.0.next.lock().expect("lock").pop_front();
                match meeting {
                    Some(Meeting::Silence) => return answers.closed().await,
                    Some(Meeting::CutAtOnce) => return,
                    _ => {}
                }
                let mut bytes = Vec::new();
                while bytes.len() < start.bytes as usize {
                    let Ok(Some(message)) = messages.message().await else { return };
                    let Some(Part::Chunk(chunk)) = message.part else { panic!("the pack is cut") };
                    assert!((1..=256 << 10).contains(&chunk.len()));
                    bytes.extend_from_slice(&chunk);
                }
                let answer = archive.take(&start, &bytes, meeting);
                drop(archive.0.answering.lock().await);
                if meeting == Some(Meeting::LostAnswer) || answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        ReceiverStream::new(stream)
    }

    fn take(&self, start: &v1::PackStart, bytes: &[u8], meeting: Option<Meeting>) -> v1::UploadPacksResponse {
        let pack = Pack::check(bytes).expect("a pack");
        let mut sha256 = Sha256::digest(bytes).to_vec();
        assert_eq!((&sha256, &pack.name().number), (&start.sha256, &start.number));
        assert_eq!(pack.name().boot_id.as_slice(), start.boot_id);
        self.0.packs.lock().expect("lock").push((pack.name().key(), sha256.clone()));
        let result = if meeting == Some(Meeting::RefusedWhole) {
            Answer::Refused(v1::PackRefused { reason: "foreign".into() })
        } else {
            if meeting == Some(Meeting::OtherBytes) {
                sha256[0] ^= 1;
            }
            Answer::Taken(v1::PackTaken { sha256, segments: self.list(&pack) })
        };
        v1::UploadPacksResponse { boot_id: start.boot_id.clone(), number: start.number, result: Some(result) }
    }

    fn list(&self, pack: &Pack) -> Vec<v1::SegmentResult> {
        let (refused, mut taken) = (self.0.refused.lock().expect("lock"), self.0.taken.lock().expect("lock"));
        let results = pack.places().map(|place| {
            let (recording_id, number) = (place.segment.recording.to_string(), place.segment.number);
            let refused = refused.contains(&recording_id);
            if !refused && !taken.contains(&(recording_id.clone(), number)) {
                taken.push((recording_id.clone(), number));
            }
            let refused = if refused { "malformed" } else { "" };
            v1::SegmentResult { recording_id, number, refused: refused.into() }
        });
        results.collect()
    }

    fn packs(&self) -> Vec<(String, Vec<u8>)> {
        self.0.packs.lock().expect("lock").clone()
    }

    fn taken_of(&self, recording: RecordingId) -> Vec<u32> {
        let taken = self.0.taken.lock().expect("lock");
        taken.iter().filter(|(id, _)| *id == recording.to_string()).map(|(_, number)| *number).collect()
    }

    async fn has(&self, recording: RecordingId, numbers: &[u32]) {
        until_it_holds(|| self.taken_of(recording) == numbers).await;
    }
}

async fn until_it_holds(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("in time");
}

pub(crate) fn spool(dir: &Path) -> Opened {
    spool_of(dir, 1)
}

/// As another process.
fn spool_of(dir: &Path, boot: u8) -> Opened {
    let key = SigningKey::from_bytes(&[boot; 32]);
    let boot = Boot { edge: "edge-1".parse().expect("a name"), boot_id: [boot; 16], key };
    let config = countersign_spool::Config {
        dir: dir.to_owned(),
        limits: Limits::default(),
        boot,
        clock: SystemTime::now,
    };
    let opened = Spool::open(config).expect("spool");
    let key = OpeningKey::from_secret(&[3; 32]).expect("a key").recording_key();
    opened.spool.seal_to(key).expect("kept");
    opened
}

/// A recording that has begun.
pub(crate) async fn begin(spool: &Spool) -> (RecordingId, SessionSpool) {
    let recording = RecordingId::generate();
    let session = v1::Session {
        id: SessionId::generate().to_string(),
        recording_id: recording.to_string(),
        ..Default::default()
    };
    let open = Entry::Open(Box::new(Open { session, policy_revision: String::new(), hash_key: Vec::new() }));
    let mut session = spool.begin(recording).expect("begun");
    session.append(&open, Durability::PageCache).await.expect("written");
    (recording, session)
}

/// A recording of two segments.
async fn record(spool: &Spool) -> RecordingId {
    let (recording, mut session) = begin(spool).await;
    session.rotate().expect("rotated");
    session.close("client").await.expect("closed");
    recording
}

/// An uploader at work, and the number of segments that it has to do with.
async fn upload(opened: Opened, archive: &Archive) -> (Spool, Arc<AtomicUsize>, JoinHandle<()>) {
    let Opened { spool, planned, finished, .. } = opened;
    let pending = Arc::<AtomicUsize>::default();
    let uploader = Uploader::new(archive.start().await, spool.clone(), planned, finished, pending.clone());
    (spool, pending, tokio::spawn(uploader.run()))
}

async fn is_quiet(spool: &Spool, pending: &AtomicUsize, dir: &Path) {
    until_it_holds(|| pending.load(Ordering::Acquire) == 0 && spool.used() == 0 && plans(dir) == 0).await;
}

fn plans(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("packs")).expect("a folder").count()
}

#[tokio::test]
async fn a_refused_recording_holds_up_itself_alone_and_is_kept() {
    let dir = tempfile::tempdir().expect("folder");
    let opened = spool(dir.path());
    let archive = Archive::default();
    let refused = record(&opened.spool).await;
    archive.0.refused.lock().expect("lock").insert(refused.to_string());
    let unreadable = record(&opened.spool).await;
    let file = dir.path().join(unreadable.to_string()).join("0.seg");
    std::fs::rename(&file, file.with_extension("away")).expect("moved");
    let before = record(&opened.spool).await;
    let (spool, pending, running) = upload(opened, &archive).await;
    archive.has(before, &[0, 1]).await;
    let after = record(&spool).await;
    archive.has(after, &[0, 1]).await;
    assert!(archive.taken_of(refused).is_empty() && archive.taken_of(unreadable).is_empty());
    let gone = dir.path().join(before.to_string());
    until_it_holds(|| !gone.exists() && plans(dir.path()) == 0).await;
    let kept = dir.path().join(refused.to_string());
    assert!(kept.join("0.seg").exists() && kept.join("1.seg").exists(), "nothing is deleted");

    archive.0.refused.lock().expect("lock").clear();
    std::fs::rename(file.with_extension("away"), &file).expect("moved back");
    archive.has(refused, &[0, 1]).await;
    archive.has(unreadable, &[0, 1]).await;
    is_quiet(&spool, &pending, dir.path()).await;
    running.abort();
}

#[tokio::test]
async fn a_stuck_stream_is_given_up_however_busy_the_sessions_are() {
    let dir = tempfile::tempdir().expect("folder");
    let Opened { spool, planned, finished, .. } = spool(dir.path());
    let archive = Archive::default();
    archive.meet([Meeting::Silence]);
    let mut uploader = Uploader::new(archive.start().await, spool.clone(), planned, finished, Arc::default());
    uploader.answer_within = Duration::from_millis(500);
    let first = record(&spool).await;
    let running = tokio::spawn(uploader.run());
    let busy = async {
        loop {
            record(&spool).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = archive.has(first, &[0, 1]) => {}
        () = busy => {}
    }
    running.abort();
}

#[tokio::test]
async fn a_pack_that_was_not_answered_is_sent_again_as_it_was() {
    for (meeting, times) in [(Meeting::CutAtOnce, 1), (Meeting::LostAnswer, 2)] {
        let dir = tempfile::tempdir().expect("folder");
        let opened = spool(dir.path());
        let archive = Archive::default();
        archive.meet([meeting]);
        let recording = record(&opened.spool).await;
        let (spool, pending, running) = upload(opened, &archive).await;
        archive.has(recording, &[0, 1]).await;
        is_quiet(&spool, &pending, dir.path()).await;
        let packs = archive.packs();
        assert_eq!(packs.len(), times, "{meeting:?}");
        assert!(packs.iter().all(|pack| *pack == packs[0]), "{meeting:?}: {packs:?}");
        assert!(packs[0].0.ends_with("/00000000"));
        running.abort();
    }
}

#[tokio::test]
async fn an_answer_about_other_bytes_deletes_nothing_and_ends_nothing() {
    for meeting in [Meeting::OtherBytes, Meeting::RefusedWhole] {
        let dir = tempfile::tempdir().expect("folder");
        let opened = spool(dir.path());
        let archive = Archive::default();
        archive.meet([meeting]);
        let recording = record(&opened.spool).await;
        let used = opened.spool.used();
        let (spool, pending, running) = upload(opened, &archive).await;
        until_it_holds(|| archive.packs().len() == 1 && plans(dir.path()) == 0).await;
        assert_eq!(spool.used(), used, "{meeting:?}");
        let other = record(&spool).await;
        archive.has(other, &[0, 1]).await;
        archive.has(recording, &[0, 1]).await;
        is_quiet(&spool, &pending, dir.path()).await;
        let mut keys: Vec<_> = archive.packs().into_iter().map(|(key, _)| key).collect();
        keys.dedup();
        assert!(keys.len() >= 3, "{meeting:?}: in another pack: {keys:?}");
        running.abort();
    }
}

#[tokio::test]
async fn plans_of_an_earlier_process_come_first_as_they_are() {
    let dir = tempfile::tempdir().expect("folder");
    let Opened { spool, mut finished, .. } = spool_of(dir.path(), 1);
    let mut expected = Vec::new();
    for _ in 0..2 {
        record(&spool).await;
        let segments = std::iter::from_fn(|| finished.try_recv().ok()).collect();
        let pack = spool.pack(segments).pack.expect("a pack");
        expected.push((pack.plan.name().key(), pack.sha256.to_vec()));
    }
    let unplanned = record(&spool).await;
    spool.settled().await;
    drop((spool, finished));
    let archive = Archive::default();
    archive.meet([Meeting::LostAnswer]);
    let (spool, pending, running) = upload(spool_of(dir.path(), 2), &archive).await;
    archive.has(unplanned, &[0, 1]).await;
    is_quiet(&spool, &pending, dir.path()).await;
    let packs = archive.packs();
    assert_eq!(packs[0], expected[0]);
    assert_eq!(packs[1..3], expected);
    assert_eq!(packs[3].0, format!("packs/edge-1/{}/00000000", "02".repeat(16)));
    running.abort();
}

#[tokio::test]
async fn what_waits_goes_at_once_and_the_rest_collects_while_it_is_on_its_way() {
    let dir = tempfile::tempdir().expect("folder");
    let archive = Archive::default();
    let (spool, pending, running) = upload(spool(dir.path()), &archive).await;
    let held = archive.0.answering.lock().await;
    let first = record(&spool).await;
    until_it_holds(|| !archive.taken_of(first).is_empty()).await;
    let mut later = Vec::new();
    for _ in 0..100 {
        later.push(record(&spool).await);
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(archive.packs().len(), 1, "a pack that is not full waits");
    drop(held);
    archive.has(later[99], &[0, 1]).await;
    is_quiet(&spool, &pending, dir.path()).await;
    assert_eq!(archive.packs().len(), 2, "one for all that waited");
    running.abort();
}

#[tokio::test]
async fn a_full_pack_does_not_wait_for_the_one_before_and_more_than_two_do() {
    let dir = tempfile::tempdir().expect("folder");
    let opened = spool(dir.path());
    let archive = Archive::default();
    let held = archive.0.answering.lock().await;
    for _ in 0..3 * MAX_PACK_SEGMENTS / 2 {
        record(&opened.spool).await;
    }
    let (spool, pending, running) = upload(opened, &archive).await;
    until_it_holds(|| plans(dir.path()) == WINDOW).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(plans(dir.path()), WINDOW);
    drop(held);
    is_quiet(&spool, &pending, dir.path()).await;
    assert_eq!(archive.packs().len(), 3);
    running.abort();
}
