//! Packs in, answers out, in order. What is wrong with a pack is its answer; what is wrong with us ends the stream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use countersign_core::{Core, IngestError, PackTaken, PackUpload};
use countersign_model::Name;
use countersign_pki::EdgeIdentity;
use countersign_runtime::Watch;
use countersign_wire::v1::{self, upload_packs_request::Part, upload_packs_response::Result as Answer};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::warn;

use crate::status;

/// Answers that wait for a slow edge; while they do, no further pack is read.
const QUEUED: usize = 2;

/// Bytes of a pack. No more of it is kept in memory.
const MAX_PACK: usize = 8 << 20;

/// Bytes of a pack in one message.
const MAX_CHUNK: usize = 256 << 10;

/// A pack of which nothing more comes for this long is given up.
const NEXT_CHUNK: Duration = Duration::from_secs(30);

/// The uploads of all edges: of each edge one pack is in memory at a time, however many streams it opens.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<Name, Weak<AsyncMutex<()>>>>);

impl Uploads {
    /// Takes packs in until the edge ends its side.
    pub(super) fn serve(
        &self,
        core: Arc<Core>,
        peer: EdgeIdentity,
        messages: Streaming<v1::UploadPacksRequest>,
        stop: Watch,
    ) -> ReceiverStream<Result<v1::UploadPacksResponse, Status>> {
        let (answers, stream) = mpsc::channel(QUEUED);
        let turn = self.turn(&peer.name);
        tokio::spawn(async move {
            let _blocker = stop.block();
            let mut upload = Upload { core, peer, messages, stop, turn };
            while let Some(answer) = upload.next().await.transpose() {
                let ended = answer.is_err();
                if answers.send(answer).await.is_err() || ended {
                    return;
                }
            }
        });
        ReceiverStream::new(stream)
    }

    fn turn(&self, edge: &Name) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(edge).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::<AsyncMutex<()>>::default();
        turns.insert(edge.clone(), Arc::downgrade(&turn));
        turn
    }
}

/// One stream.
struct Upload {
    core: Arc<Core>,
    peer: EdgeIdentity,
    messages: Streaming<v1::UploadPacksRequest>,
    stop: Watch,
    /// Held from the beginning of a pack until it is taken.
    turn: Arc<AsyncMutex<()>>,
}

impl Upload {
    /// The answer to the next pack; `None` after the last.
    async fn next(&mut self) -> Result<Option<v1::UploadPacksResponse>, Status> {
        let start = match self.message().await? {
            None => return Ok(None),
            Some(Part::Start(start)) => start,
            Some(Part::Chunk(_)) => return Err(Status::invalid_argument("a pack begins with its name")),
        };
        let _turn: OwnedMutexGuard<()> = self.turn.clone().lock_owned().await;
        let bytes = self.collect(&start).await?;
        let v1::PackStart { boot_id, number, sha256, .. } = start;
        let upload = PackUpload { boot_id: boot_id.clone(), number, sha256, bytes: bytes.into() };
        let result = match self.core.ingest(&self.peer, upload).await {
            Ok(taken) => Answer::Taken(self.taken(taken)),
            Err(error) => Answer::Refused(self.refused(number, error)?),
        };
        Ok(Some(v1::UploadPacksResponse { boot_id, number, result: Some(result) }))
    }

    async fn collect(&mut self, start: &v1::PackStart) -> Result<Vec<u8>, Status> {
        let len = usize::try_from(start.bytes).ok().filter(|len| *len <= MAX_PACK);
        let len = len.ok_or_else(|| Status::invalid_argument("a pack has at most 8 MiB"))?;
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let message = timeout(NEXT_CHUNK, self.message()).await;
            let message = message.map_err(|_| Status::deadline_exceeded("the pack does not go on"))??;
            let Some(Part::Chunk(chunk)) = message else {
                return Err(Status::invalid_argument("the pack is cut"));
            };
            if chunk.is_empty() || chunk.len() > MAX_CHUNK || chunk.len() > len.saturating_sub(bytes.len()) {
                return Err(Status::invalid_argument("a piece of a pack has a size that none may have"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The next message, until it is time to stop: what was received whole is still taken.
    async fn message(&mut self) -> Result<Option<Part>, Status> {
        let message = tokio::select! {
            message = self.messages.message() => message?,
            () = self.stop.stopped() => return Err(Status::unavailable("the control plane is stopping")),
        };
        match message {
            Some(v1::UploadPacksRequest { part: None }) => Err(Status::invalid_argument("an empty message")),
            message => Ok(message.and_then(|message| message.part)),
        }
    }

    fn taken(&self, taken: PackTaken) -> v1::PackTaken {
        let segments = taken.segments.into_iter().map(|segment| {
            let (recording, number) = (segment.recording, segment.number);
            let refused = segment.result.err().map(|error| {
                warn!(edge = %self.peer.name, %recording, number, %error, "a segment was not taken");
                error.refusal().unwrap_or_default()
            });
            v1::SegmentResult {
                recording_id: recording.to_string(),
                number,
                refused: refused.unwrap_or_default().to_owned(),
            }
        });
        v1::PackTaken { sha256: taken.sha256.to_vec(), segments: segments.collect() }
    }

    fn refused(&self, number: u64, error: IngestError) -> Result<v1::PackRefused, Status> {
        warn!(edge = %self.peer.name, pack = number, %error, "a pack was not taken");
        match error.refusal() {
            Some(reason) => Ok(v1::PackRefused { reason: reason.to_owned() }),
            None => Err(status::ingest(error)),
        }
    }
}
