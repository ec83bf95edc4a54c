//! Finished segments on their way to the archive: sent in order, deleted when the archive has the same bytes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_runtime::Backoff;
use countersign_spool::{AcknowledgeError, FinishedSegment, Spool};
use countersign_wire::v1;
use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{error, info, warn};

use crate::channel::Link;

/// Segments that are sent and not yet acknowledged: at most this many MiB in memory.
const WINDOW: usize = 8;

/// An archive that does not acknowledge for this long is asked again on a new stream.
const ANSWER: Duration = Duration::from_secs(60);

/// A stream on which there is nothing to do is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// The uploader of one spool.
pub(crate) struct Uploader {
    link: Link,
    spool: Spool,
    finished: mpsc::UnboundedReceiver<FinishedSegment>,
    /// Announced, or sent and not acknowledged; kept in order over broken streams.
    waiting: VecDeque<FinishedSegment>,
    /// How many are taken from `finished` and not done with, for those who wait for a quiet spool.
    pending: Arc<AtomicUsize>,
}

impl Uploader {
    pub(crate) fn new(
        link: Link,
        spool: Spool,
        finished: mpsc::UnboundedReceiver<FinishedSegment>,
        pending: Arc<AtomicUsize>,
    ) -> Self {
        Self { link, spool, finished, waiting: VecDeque::new(), pending }
    }

    /// Uploads for as long as the edge runs.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        loop {
            if self.waiting.is_empty() {
                match self.finished.recv().await {
                    Some(segment) => self.waiting.push_back(segment),
                    None => return,
                }
            }
            self.pending.store(self.waiting.len(), Ordering::Release);
            match self.stream(&mut backoff).await {
                Ok(()) => {}
                Err(status) => {
                    warn!(code = ?status.code(), message = status.message(), "the upload was interrupted");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// One stream: until there is nothing to do for a while, or it breaks.
    async fn stream(&mut self, backoff: &mut Backoff) -> Result<(), Status> {
        let (requests, outgoing) = mpsc::channel(WINDOW);
        let mut in_flight: VecDeque<FinishedSegment> = VecDeque::new();
        self.fill(&requests, &mut in_flight).await?;
        let opened = self.link.edge_service().upload_segments(ReceiverStream::new(outgoing)).await;
        let mut acknowledged = match opened {
            Ok(response) => response.into_inner(),
            Err(status) => {
                self.put_back(in_flight);
                return Err(status);
            }
        };
        let ended = loop {
            let wait = if in_flight.is_empty() { IDLE } else { ANSWER };
            tokio::select! {
                answer = timeout(wait, acknowledged.message()) => match answer {
                    Err(_) if in_flight.is_empty() => break Ok(()),
                    Err(_) => break Err(Status::deadline_exceeded("no acknowledgement")),
                    Ok(Err(status)) => break Err(status),
                    Ok(Ok(None)) if in_flight.is_empty() => break Ok(()),
                    Ok(Ok(None)) => break Err(Status::unavailable("the stream ended without an acknowledgement")),
                    Ok(Ok(Some(answer))) => {
                        backoff.reset();
                        if let Err(status) = self.acknowledge(&answer, &mut in_flight).await {
                            break Err(status);
                        }
                    }
                },
                Some(segment) = self.finished.recv() => self.waiting.push_back(segment),
            }
            self.pending.store(self.waiting.len() + in_flight.len(), Ordering::Release);
            if let Err(status) = self.fill(&requests, &mut in_flight).await {
                break Err(status);
            }
        };
        self.put_back(in_flight);
        ended
    }

    /// Sends what the window has room for.
    async fn fill(
        &mut self,
        requests: &mpsc::Sender<v1::UploadSegmentsRequest>,
        in_flight: &mut VecDeque<FinishedSegment>,
    ) -> Result<(), Status> {
        while in_flight.len() < WINDOW {
            let Some(segment) = self.waiting.pop_front() else { return Ok(()) };
            let (spool, wanted) = (self.spool.clone(), segment.clone());
            let read = spawn_blocking(move || spool.read(&wanted)).await;
            let bytes = match read.map_err(|_| Status::aborted("reading was interrupted"))? {
                Ok(bytes) => bytes,
                Err(error) => {
                    // It stays on disk for whoever looks; the next start tries again.
                    error!(%error, "a segment cannot be read and is left in the spool");
                    continue;
                }
            };
            let recording_id = segment.recording.to_string();
            let number = segment.number;
            in_flight.push_back(segment);
            let request = v1::UploadSegmentsRequest { recording_id, number, segment: bytes };
            requests.send(request).await.map_err(|_| Status::unavailable("the stream is closed"))?;
        }
        Ok(())
    }

    /// Deletes the segment that an answer is for. Answers come in the order of the requests.
    async fn acknowledge(
        &self,
        answer: &v1::UploadSegmentsResponse,
        in_flight: &mut VecDeque<FinishedSegment>,
    ) -> Result<(), Status> {
        let Some(segment) = in_flight.pop_front() else {
            return Err(Status::internal("an acknowledgement nobody waits for"));
        };
        if answer.recording_id != segment.recording.to_string() || answer.number != segment.number {
            in_flight.push_front(segment);
            return Err(Status::internal("an acknowledgement out of order"));
        }
        let (spool, sha256) = (self.spool.clone(), answer.sha256.clone());
        let (recording, number) = (segment.recording, segment.number);
        let deleted = spawn_blocking(move || spool.acknowledge(recording, number, &sha256)).await;
        match deleted.map_err(|_| Status::aborted("deleting was interrupted"))? {
            Ok(()) => {
                info!(%recording, number, "archived");
                Ok(())
            }
            // Acknowledged on a stream before this one.
            Err(AcknowledgeError::Unknown(..)) => Ok(()),
            Err(error) => {
                error!(%error, "a segment is kept although the archive says that it has it");
                Ok(())
            }
        }
    }

    /// What a broken stream did not get acknowledged comes first on the next.
    fn put_back(&mut self, mut in_flight: VecDeque<FinishedSegment>) {
        in_flight.append(&mut self.waiting);
        self.waiting = in_flight;
        self.pending.store(self.waiting.len(), Ordering::Release);
    }
}
