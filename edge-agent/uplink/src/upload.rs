//! Finished segments on their way to the archive: sent in order, deleted when the archive has the same bytes.
//!
//! A broken connection holds up everything for a moment; a refused or unreadable segment only its own recording.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_model::RecordingId;
use countersign_runtime::Backoff;
use countersign_spool::{AcknowledgeError, FinishedSegment, Spool};
use countersign_wire::v1;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::{error, info, warn};

use crate::{channel::Link, parked::Parked};

/// Segments that are sent and not yet acknowledged: at most this many MiB in memory.
const WINDOW: usize = 8;

/// An archive that does not acknowledge for this long is asked again on a new stream.
const ANSWER: Duration = Duration::from_secs(60);

/// A stream on which there is nothing to do is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// Between a refusal and the next stream: many refused recordings must not become a tight loop, nor hold up the rest.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Why a stream ended before its time.
#[derive(Debug)]
enum Interrupted {
    /// The connection or the control plane as a whole: the same segments are sent again.
    Broken(Status),
    /// The control plane does not take the oldest segment that it had not answered.
    Refused(Status),
}

impl From<Status> for Interrupted {
    fn from(status: Status) -> Self {
        Self::Broken(status)
    }
}

/// The uploader of one spool.
pub(crate) struct Uploader {
    link: Link,
    spool: Spool,
    finished: mpsc::UnboundedReceiver<FinishedSegment>,
    /// Announced, or sent and not acknowledged; kept in order over broken streams.
    waiting: VecDeque<FinishedSegment>,
    /// Refused, and offered again later.
    parked: Parked,
    /// [`ANSWER`], but for tests.
    answer_within: Duration,
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
        Self {
            link,
            spool,
            finished,
            waiting: VecDeque::new(),
            parked: Parked::default(),
            answer_within: ANSWER,
            pending,
        }
    }

    /// Uploads for as long as the edge runs.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        while self.has_work().await {
            match self.stream(&mut backoff).await {
                Ok(()) => {}
                Err(Interrupted::Refused(status)) => {
                    self.park_oldest(&status);
                    sleep(AFTER_REFUSAL).await;
                }
                Err(Interrupted::Broken(status)) => {
                    warn!(code = ?status.code(), message = status.message(), "the upload was interrupted");
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    /// Waits until a segment is announced or due again; false when nothing can come any more.
    async fn has_work(&mut self) -> bool {
        loop {
            self.waiting.extend(self.parked.due(Instant::now()));
            self.count(0);
            if !self.waiting.is_empty() {
                return true;
            }
            let due = self.parked.next_due();
            tokio::select! {
                segment = self.finished.recv() => match segment {
                    Some(segment) => self.announced(segment),
                    None => return false,
                },
                () = until(due) => {}
            }
        }
    }

    /// One stream: until there is nothing to do for a while, or it breaks.
    async fn stream(&mut self, backoff: &mut Backoff) -> Result<(), Interrupted> {
        let mut in_flight = VecDeque::new();
        let ended = self.converse(backoff, &mut in_flight).await;
        self.put_back(in_flight);
        ended
    }

    async fn converse(
        &mut self,
        backoff: &mut Backoff,
        in_flight: &mut VecDeque<FinishedSegment>,
    ) -> Result<(), Interrupted> {
        let (requests, outgoing) = mpsc::channel(WINDOW);
        self.fill(&requests, in_flight).await?;
        let mut client = self.link.edge_service();
        let opened = timeout(self.answer_within, client.upload_segments(ReceiverStream::new(outgoing))).await;
        let mut acknowledged = opened.map_err(|_| Status::deadline_exceeded("no answer"))??.into_inner();
        // The last answer, or when the oldest unanswered segment began to wait for one: an instant, which other
        // events cannot move, so that a stuck stream is given up however busy the sessions are.
        let mut since = Instant::now();
        loop {
            let limit = if in_flight.is_empty() { IDLE } else { self.answer_within };
            let due = self.parked.next_due();
            tokio::select! {
                answer = acknowledged.message() => match answer {
                    Err(status) if is_refusal(&status) && !in_flight.is_empty() => {
                        return Err(Interrupted::Refused(status));
                    }
                    Err(status) => return Err(status.into()),
                    Ok(None) if in_flight.is_empty() => return Ok(()),
                    Ok(None) => {
                        return Err(Status::unavailable("the stream ended without an acknowledgement").into());
                    }
                    Ok(Some(answer)) => {
                        backoff.reset();
                        since = Instant::now();
                        self.acknowledge(&answer, in_flight).await?;
                    }
                },
                () = sleep_until(since + limit) => {
                    let idle = in_flight.is_empty();
                    return if idle { Ok(()) } else { Err(Status::deadline_exceeded("no acknowledgement").into()) };
                }
                Some(segment) = self.finished.recv() => self.announced(segment),
                () = until(due) => self.waiting.extend(self.parked.due(Instant::now())),
            }
            if in_flight.is_empty() && !self.waiting.is_empty() {
                since = Instant::now();
            }
            self.fill(&requests, in_flight).await?;
            self.count(in_flight.len());
        }
    }

    /// Sends what the window has room for.
    async fn fill(
        &mut self,
        requests: &mpsc::Sender<v1::UploadSegmentsRequest>,
        in_flight: &mut VecDeque<FinishedSegment>,
    ) -> Result<(), Status> {
        while in_flight.len() < WINDOW {
            let Some(segment) = self.waiting.front().cloned() else { return Ok(()) };
            let (recording, number) = (segment.recording, segment.number);
            let spool = self.spool.clone();
            let (segment, read) = spawn_blocking(move || {
                let read = spool.read(&segment);
                (segment, read)
            })
            .await
            .map_err(|_| Status::aborted("reading was interrupted"))?;
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(error) => {
                    let again_in = self.park(recording);
                    error!(%recording, number, %error, ?again_in, "a segment cannot be read and is left in the spool");
                    continue;
                }
            };
            self.waiting.pop_front();
            in_flight.push_back(segment);
            let recording_id = recording.to_string();
            let request = v1::UploadSegmentsRequest { recording_id, number, segment: bytes };
            if requests.send(request).await.is_err() {
                // The control plane has ended the stream; why, its status says, which is on its way.
                return Ok(());
            }
        }
        Ok(())
    }

    fn announced(&mut self, segment: FinishedSegment) {
        self.waiting.extend(self.parked.join(segment));
    }

    /// Sets aside the recording of the segment that a stream ended with: answers come in order, so that it is the
    /// oldest without one.
    fn park_oldest(&mut self, status: &Status) {
        let Some(oldest) = self.waiting.front() else { return };
        let (recording, number) = (oldest.recording, oldest.number);
        let again_in = self.park(recording);
        let (code, message) = (status.code(), status.message());
        error!(%recording, number, ?code, message, ?again_in, "the control plane refuses a segment; it is kept");
    }

    /// Sets aside everything of a recording that is not on its way.
    fn park(&mut self, recording: RecordingId) -> Duration {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (parked, others): (VecDeque<_>, _) = waiting.partition(|segment| segment.recording == recording);
        self.waiting = others;
        self.parked.park(recording, parked, Instant::now())
    }

    /// Deletes the segment that an answer is for. Answers come in the order of the requests.
    async fn acknowledge(
        &mut self,
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
        self.parked.taken(recording);
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
        self.count(0);
    }

    fn count(&self, in_flight: usize) {
        self.pending.store(self.waiting.len() + in_flight + self.parked.len(), Ordering::Release);
    }
}

/// Whether a status is about what was sent, so that sending it again at once would end as this did.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::OutOfRange
    )
}

/// Without an instant it never comes.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(crate) mod tests;
