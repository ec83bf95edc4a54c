//! The uploader against a control plane that refuses what it is told to refuse.

use std::{collections::HashSet, sync::Mutex, time::SystemTime};

use countersign_model::{Durability, SessionId};
use countersign_recording::{Entry, Open};
use countersign_spool::{Boot, Limits, Opened, SessionSpool};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use tonic::Streaming;

use super::*;
use crate::fake;

#[derive(Clone, Default)]
pub(crate) struct Archive {
    refused: Arc<Mutex<HashSet<String>>>,
    /// Streams from now on that are never answered.
    silent: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<(String, u32)>>>,
}

impl Archive {
    async fn start(&self) -> Link {
        fake::start(self.clone()).await.0
    }

    /// Answers an upload.
    pub(crate) fn upload(
        &self,
        mut segments: Streaming<v1::UploadSegmentsRequest>,
    ) -> ReceiverStream<Result<v1::UploadSegmentsResponse, Status>> {
        let (answers, stream) = mpsc::channel(1);
        let archive = self.clone();
        let more = |silent: usize| silent.checked_sub(1);
        let silent = self.silent.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok();
        tokio::spawn(async move {
            if silent {
                return answers.closed().await;
            }
            while let Ok(Some(segment)) = segments.message().await {
                let answer = archive.take(&segment);
                let ended = answer.is_err();
                if answers.send(answer).await.is_err() || ended {
                    return;
                }
            }
        });
        ReceiverStream::new(stream)
    }

    fn take(&self, request: &v1::UploadSegmentsRequest) -> Result<v1::UploadSegmentsResponse, Status> {
        if self.refused.lock().expect("lock").contains(&request.recording_id) {
            return Err(Status::invalid_argument("not this one"));
        }
        self.taken.lock().expect("lock").push((request.recording_id.clone(), request.number));
        Ok(v1::UploadSegmentsResponse {
            recording_id: request.recording_id.clone(),
            number: request.number,
            sha256: Sha256::digest(&request.segment).to_vec(),
        })
    }

    fn taken_of(&self, recording: RecordingId) -> Vec<u32> {
        let taken = self.taken.lock().expect("lock");
        taken.iter().filter(|(id, _)| *id == recording.to_string()).map(|(_, number)| *number).collect()
    }

    async fn has(&self, recording: RecordingId, numbers: &[u32]) {
        let arrived = async {
            while self.taken_of(recording) != numbers {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), arrived).await.expect("uploaded");
    }
}

pub(crate) fn spool(dir: &std::path::Path) -> Opened {
    let key = SigningKey::from_bytes(&[1; 32]);
    let boot = Boot { edge: "edge-1".parse().expect("a name"), boot_id: [1; 16], key };
    let config = countersign_spool::Config {
        dir: dir.to_owned(),
        limits: Limits::default(),
        boot,
        clock: SystemTime::now,
    };
    Spool::open(config).expect("spool")
}

/// A recording that has begun.
pub(crate) async fn begin(spool: &Spool) -> (RecordingId, SessionSpool) {
    let recording = RecordingId::generate();
    let session = v1::Session {
        id: SessionId::generate().to_string(),
        recording_id: recording.to_string(),
        ..Default::default()
    };
    let open = Entry::Open(Box::new(Open { session, policy_revision: String::new() }));
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

#[tokio::test]
async fn a_refused_recording_holds_up_itself_alone_and_is_kept() {
    let dir = tempfile::tempdir().expect("folder");
    let Opened { spool, finished, .. } = spool(dir.path());
    let archive = Archive::default();
    let refused = record(&spool).await;
    archive.refused.lock().expect("lock").insert(refused.to_string());
    let unreadable = record(&spool).await;
    let file = dir.path().join(unreadable.to_string()).join("0.seg");
    std::fs::rename(&file, file.with_extension("away")).expect("moved");
    let before = record(&spool).await;
    let pending = Arc::<AtomicUsize>::default();
    let uploader = Uploader::new(archive.start().await, spool.clone(), finished, pending.clone());
    let running = tokio::spawn(uploader.run());
    archive.has(before, &[0, 1]).await;
    let after = record(&spool).await;
    archive.has(after, &[0, 1]).await;
    assert!(archive.taken_of(refused).is_empty() && archive.taken_of(unreadable).is_empty());
    assert!(dir.path().join(refused.to_string()).join("1.seg").exists(), "nothing is deleted");

    archive.refused.lock().expect("lock").clear();
    std::fs::rename(file.with_extension("away"), &file).expect("moved back");
    archive.has(refused, &[0, 1]).await;
    archive.has(unreadable, &[0, 1]).await;
    while pending.load(Ordering::Acquire) != 0 || spool.used() != 0 {
        sleep(Duration::from_millis(10)).await;
    }
    running.abort();
}

#[tokio::test]
async fn a_stuck_stream_is_given_up_however_busy_the_sessions_are() {
    let dir = tempfile::tempdir().expect("folder");
    let Opened { spool, finished, .. } = spool(dir.path());
    let archive = Archive::default();
    archive.silent.store(1, Ordering::Release);
    let mut uploader = Uploader::new(archive.start().await, spool.clone(), finished, Arc::default());
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
    assert_eq!(archive.silent.load(Ordering::Acquire), 0);
    running.abort();
}
