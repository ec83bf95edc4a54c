//! Finished segments on their way to the archive: packed, sent, and deleted when the archive has the same bytes.
//!
//! Whatever waits goes at once while nothing is on its way; meanwhile the next pack collects. A broken connection holds
//! up everything for a moment, and then the same packs are sent again. A refused or unreadable segment holds up its own
//! recording alone, and goes into a later pack.

mod sending;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_model::RecordingId;
use countersign_recording::{MAX_PACK_CONTENT, MAX_PACK_SEGMENTS, PackPlan, PlannedSegment};
use countersign_runtime::{Backoff, Failpoint, failpoint};
use countersign_spool::{AcknowledgeError, FinishedSegment, Packed, Spool, SpooledPack};
use countersign_wire::v1::{self, upload_packs_response::Result as Answer};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{error, info, warn};

use self::sending::{OnItsWay, Sending};
use crate::{channel::Link, parked::Parked};

/// Packs that are sent and not yet answered.
const WINDOW: usize = 2;

/// Messages between us and the connection, of 256 KiB each.
const QUEUED: usize = 2;

/// An archive that neither takes in nor answers for this long is asked again on a new stream.
const ANSWER: Duration = Duration::from_secs(60);

/// A stream on which there is nothing to do is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// The uploader of one spool.
pub(crate) struct Uploader {
    link: Link,
    spool: Spool,
    finished: mpsc::UnboundedReceiver<FinishedSegment>,
    /// Packs that are planned and not on their way, in the order of their plans.
    planned: VecDeque<PackPlan>,
    /// Announced, and in no plan.
    waiting: VecDeque<FinishedSegment>,
    /// Refused, and offered again later.
    parked: Parked,
    /// [`ANSWER`], but for tests.
    answer_within: Duration,
    /// How many segments are taken from `finished` and not done with, for those who wait for a quiet spool.
    pending: Arc<AtomicUsize>,
}

impl Uploader {
    pub(crate) fn new(
        link: Link,
        spool: Spool,
        planned: Vec<PackPlan>,
        finished: mpsc::UnboundedReceiver<FinishedSegment>,
        pending: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            link,
            spool,
            finished,
            planned: planned.into(),
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
            if let Err(status) = self.stream(&mut backoff).await {
                warn!(code = ?status.code(), message = status.message(), "the upload was interrupted");
                sleep(backoff.next_delay()).await;
            }
        }
    }

    /// Waits until there is something to send; false when nothing can come any more.
    async fn has_work(&mut self) -> bool {
        loop {
            self.waiting.extend(self.parked.due(Instant::now()));
            self.count(&VecDeque::new());
            if !self.waiting.is_empty() || !self.planned.is_empty() {
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

    /// One stream: until there is nothing to do for a while, or it breaks. What was not answered on it comes first on
    /// the next.
    async fn stream(&mut self, backoff: &mut Backoff) -> Result<(), Status> {
        let mut sent = VecDeque::new();
        let ended = self.converse(backoff, &mut sent).await;
        sent.into_iter().rev().for_each(|pack| self.planned.push_front(pack.plan));
        self.count(&VecDeque::new());
        ended
    }

    async fn converse(&mut self, backoff: &mut Backoff, sent: &mut VecDeque<OnItsWay>) -> Result<(), Status> {
        let (requests, outgoing) = mpsc::channel(QUEUED);
        let mut client = self.link.edge_service();
        let opened = timeout(self.answer_within, client.upload_packs(ReceiverStream::new(outgoing))).await;
        let mut answers = opened.map_err(|_| Status::deadline_exceeded("no answer"))??.into_inner();
        let mut sending = Sending::default();
        // The last progress: an instant, which other events cannot move, so that a stuck stream is given up however
        // busy the sessions are.
        let mut since = Instant::now();
        loop {
            let free = sending.is_done() && !requests.is_closed();
            if free && self.next_on_its_way(&mut sending, sent).await? && sent.len() == 1 {
                since = Instant::now();
            }
            self.count(sent);
            let limit = if sent.is_empty() { IDLE } else { self.answer_within };
            let due = self.parked.next_due();
            tokio::select! {
                answer = answers.message() => match answer? {
                    None if sent.is_empty() => return Ok(()),
                    None => return Err(Status::unavailable("the stream ended without an answer")),
                    Some(answer) => {
                        backoff.reset();
                        since = Instant::now();
                        // Of a pack that is not sent whole there is nothing to say yet.
                        let whole = sent.len() > usize::from(!sending.is_done());
                        let pack = if whole { sent.pop_front() } else { None };
                        let pack = pack.ok_or_else(|| Status::internal("an answer nobody waits for"))?;
                        self.answered(answer, pack).await?;
                    }
                },
                permit = requests.reserve(), if !sending.is_done() => match permit {
                    Ok(permit) => {
                        since = Instant::now();
                        sending.send(permit);
                    }
                    // The control plane has ended the stream; why, its status says, which is on its way.
                    Err(_) => sending = Sending::default(),
                },
                () = sleep_until(since + limit) => {
                    let idle = sent.is_empty();
                    return if idle { Ok(()) } else { Err(Status::deadline_exceeded("no acknowledgement")) };
                }
                Some(segment) = self.finished.recv() => self.announced(segment),
                () = until(due) => self.waiting.extend(self.parked.due(Instant::now())),
            }
        }
    }

    /// Begins to send the next pack, if there is one and room for it. True if it did.
    async fn next_on_its_way(
        &mut self,
        sending: &mut Sending,
        sent: &mut VecDeque<OnItsWay>,
    ) -> Result<bool, Status> {
        if sent.len() >= WINDOW {
            return Ok(false);
        }
        // All that is there goes into as few packs as can be.
        while let Ok(segment) = self.finished.try_recv() {
            self.announced(segment);
        }
        let pack = match self.next_planned().await? {
            Some(pack) => pack,
            None if self.may_plan(sent) => match self.plan().await? {
                Some(pack) => pack,
                None => return Ok(false),
            },
            None => return Ok(false),
        };
        let SpooledPack { plan, bytes, sha256 } = pack;
        failpoint(Failpoint::PackPlanned);
        *sending = Sending::new(plan.name(), bytes, sha256);
        sent.push_back(OnItsWay { plan, sha256 });
        Ok(true)
    }

    /// The next pack that is planned already, as its plan fixed it.
    async fn next_planned(&mut self) -> Result<Option<SpooledPack>, Status> {
        while let Some(plan) = self.planned.pop_front() {
            let spool = self.spool.clone();
            match blocking(move || spool.assemble(plan)).await? {
                Ok(pack) => return Ok(Some(pack)),
                Err((plan, error)) => {
                    warn!(pack = plan.name().number, %error, "a planned pack cannot be put together any more");
                    let left = self.drop_plan(&plan).await?;
                    left.into_iter().rev().for_each(|segment| self.waiting.push_front(segment));
                }
            }
        }
        Ok(None)
    }

    /// At once if nothing is on its way; else when a pack is full. Never beside a pack of an earlier process: so the
    /// plans on the disk are of one process, and their numbers say their order.
    fn may_plan(&self, sent: &VecDeque<OnItsWay>) -> bool {
        let of_earlier = |pack: &OnItsWay| !self.spool.is_of_this_process(&pack.plan);
        sent.is_empty() || (!sent.iter().any(of_earlier) && self.fills_a_pack())
    }

    fn fills_a_pack(&self) -> bool {
        let mut bytes = 0_u64;
        let first = self.waiting.iter().take(MAX_PACK_SEGMENTS);
        let fitting = first.take_while(|segment| {
            bytes = bytes.saturating_add(segment.bytes);
            bytes <= MAX_PACK_CONTENT as u64
        });
        let fitting = fitting.count();
        fitting == MAX_PACK_SEGMENTS || fitting < self.waiting.len()
    }

    /// Plans a pack of what waits.
    async fn plan(&mut self) -> Result<Option<SpooledPack>, Status> {
        while !self.waiting.is_empty() {
            let first = self.waiting.len().min(MAX_PACK_SEGMENTS);
            let segments: Vec<_> = self.waiting.drain(..first).collect();
            let spool = self.spool.clone();
            let Packed { pack, rest, unreadable } = blocking(move || spool.pack(segments)).await?;
            rest.into_iter().rev().for_each(|segment| self.waiting.push_front(segment));
            for (segment, error) in unreadable {
                let (recording, number) = (segment.recording, segment.number);
                let again_in = self.park(recording, vec![segment]);
                error!(%recording, number, %error, ?again_in, "a segment cannot be read and is left in the spool");
            }
            if pack.is_some() {
                return Ok(pack);
            }
        }
        Ok(None)
    }

    fn announced(&mut self, segment: FinishedSegment) {
        failpoint(Failpoint::RecordingFinished);
        self.waiting.extend(self.parked.join(segment));
    }

    /// Does what the control plane says of a pack. Answers come in the order of the packs.
    async fn answered(&mut self, answer: v1::UploadPacksResponse, pack: OnItsWay) -> Result<(), Status> {
        let name = pack.plan.name();
        if answer.boot_id != name.boot_id || answer.number != name.number {
            // It stays planned.
            self.planned.push_front(pack.plan);
            return Err(Status::internal("an answer out of order"));
        }
        match answer.result {
            Some(Answer::Taken(taken)) => match results(&pack, taken) {
                Some(refused) => self.taken(pack.plan, refused).await,
                None => self.refuse(pack.plan, "the archive says that it has something else").await,
            },
            Some(Answer::Refused(refused)) => self.refuse(pack.plan, &refused.reason).await,
            None => {
                self.planned.push_front(pack.plan);
                Err(Status::internal("an answer without a result"))
            }
        }
    }

    /// Deletes what the archive has, and then the plan; the rest goes into later packs.
    async fn taken(&mut self, plan: PackPlan, refused: Vec<(PlannedSegment, String)>) -> Result<(), Status> {
        failpoint(Failpoint::RecordingAcknowledged);
        let kept: HashSet<_> =
            refused.iter().map(|(segment, _)| (segment.recording, segment.number)).collect();
        let archived: Vec<PlannedSegment> = plan
            .segments()
            .iter()
            .copied()
            .filter(|segment| !kept.contains(&(segment.recording, segment.number)))
            .collect();
        archived.iter().for_each(|segment| self.parked.taken(segment.recording));
        info!(pack = plan.name().number, segments = archived.len(), refused = refused.len(), "archived");
        let spool = self.spool.clone();
        blocking(move || archived.iter().for_each(|segment| delete(&spool, segment))).await?;
        failpoint(Failpoint::RecordingDeleted);
        let left = self.drop_plan(&plan).await?;
        for (segment, reason) in refused {
            let (recording, number) = (segment.recording, segment.number);
            let kept =
                left.iter().filter(|left| (left.recording, left.number) == (recording, number)).cloned();
            let again_in = self.park(recording, kept.collect());
            error!(%recording, number, reason, ?again_in, "the control plane refuses a segment; it is kept");
        }
        Ok(())
    }

    /// Takes a pack apart that will never be taken as it is. Nothing is deleted; its recordings are set aside.
    async fn refuse(&mut self, plan: PackPlan, reason: &str) -> Result<(), Status> {
        error!(pack = plan.name().number, reason, "a pack is refused; its segments are kept");
        let left = self.drop_plan(&plan).await?;
        let mut recordings: Vec<RecordingId> = left.iter().map(|segment| segment.recording).collect();
        recordings.sort_unstable();
        recordings.dedup();
        for recording in recordings {
            let segments = left.iter().filter(|segment| segment.recording == recording).cloned();
            self.park(recording, segments.collect());
        }
        Ok(())
    }

    async fn drop_plan(&self, plan: &PackPlan) -> Result<Vec<FinishedSegment>, Status> {
        let (spool, plan) = (self.spool.clone(), plan.clone());
        blocking(move || spool.drop_plan(&plan)).await
    }

    /// Sets aside these segments of a recording, and everything of it that waits.
    fn park(&mut self, recording: RecordingId, mut segments: Vec<FinishedSegment>) -> Duration {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (behind, others): (Vec<_>, _) = waiting.partition(|segment| segment.recording == recording);
        self.waiting = others.into();
        segments.extend(behind);
        self.parked.park(recording, segments, Instant::now())
    }

    fn count(&self, sent: &VecDeque<OnItsWay>) {
        let plans = self.planned.iter().chain(sent.iter().map(|pack| &pack.plan));
        let planned: usize = plans.map(|plan| plan.segments().len()).sum();
        self.pending.store(self.waiting.len() + planned + self.parked.len(), Ordering::Release);
    }
}

/// What was refused of a pack, if the answer is about the bytes that were sent and about each of its segments.
fn results(pack: &OnItsWay, taken: v1::PackTaken) -> Option<Vec<(PlannedSegment, String)>> {
    let planned = pack.plan.segments();
    if taken.sha256 != pack.sha256 || taken.segments.len() != planned.len() {
        return None;
    }
    let mut refused = Vec::new();
    for (planned, result) in planned.iter().zip(taken.segments) {
        if result.recording_id != planned.recording.to_string() || result.number != planned.number {
            return None;
        }
        if !result.refused.is_empty() {
            refused.push((*planned, result.refused));
        }
    }
    Some(refused)
}

fn delete(spool: &Spool, segment: &PlannedSegment) {
    match spool.acknowledge(segment.recording, segment.number, &segment.sha256) {
        // Acknowledged before.
        Ok(()) | Err(AcknowledgeError::Unknown(..)) => {}
        Err(error) => error!(%error, "a segment is kept although the archive says that it has it"),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    spawn_blocking(work).await.map_err(|_| Status::aborted("work on the disk was interrupted"))
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
