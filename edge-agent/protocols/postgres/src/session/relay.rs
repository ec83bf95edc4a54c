//! The way back: the target's reply in batches, each masked and recorded before the client sees a byte of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use countersign_gate::{Batch, Completion, InFlight, OperationKind, ports::Ports};
use countersign_model::Refusal;
use countersign_runtime::{Failpoint, failpoint};
use tokio::time::timeout;

use super::{Driver, cancelling::Cancelling, ending::Ending};
use crate::{
    codec::backend::Status,
    line::LineError,
    masking::ReplyMasker,
    reply::{Broken, Reply, Taken},
};

/// Most that is kept of a reply that is not for the client, in bytes.
const MAX_KEPT: usize = 4 * 1024 * 1024;

/// How long the target may take to take in that it is to stop.
const STOPPING: Duration = Duration::from_millis(500);

/// A reply that has come to its end.
pub(super) struct Relayed {
    /// What the target said of the transaction; `None` within a pipeline.
    pub(super) status: Option<Status>,
    pub(super) completion: Completion,
    /// There are more rows to be had.
    pub(super) suspended: bool,
}

impl Relayed {
    pub(super) fn failed(&self) -> bool {
        self.completion.error_code.is_some()
    }
}

/// Where a reply goes once it is recorded.
enum Sink<'a> {
    Client,
    /// The edge asked for itself.
    Kept(&'a mut BytesMut),
}

/// What a batch passes on its way back.
struct Back<'a, 's> {
    reply: &'a mut Reply,
    masker: &'a mut ReplyMasker,
    sink: &'a mut Sink<'s>,
}

impl<P: Ports> Driver<'_, P> {
    /// Writes the operation that was queued and relays its reply to the end. Whatever else happens, the operation's
    /// outcome is recorded: as what it was, or as unknown.
    pub(super) async fn relay(
        &mut self,
        in_flight: InFlight,
        reply: Reply,
        masker: ReplyMasker,
    ) -> Result<Relayed, Ending> {
        self.pass_on(in_flight, reply, masker, Sink::Client).await
    }

    /// The same for a reply that is not for the client, and has no rows.
    pub(super) async fn keep(
        &mut self,
        in_flight: InFlight,
        reply: Reply,
    ) -> Result<(Relayed, BytesMut), Ending> {
        let mut kept = BytesMut::new();
        let masker = self.masker_of_words();
        let relayed = self.pass_on(in_flight, reply, masker, Sink::Kept(&mut kept)).await?;
        Ok((relayed, kept))
    }

    async fn pass_on(
        &mut self,
        mut in_flight: InFlight,
        mut reply: Reply,
        mut masker: ReplyMasker,
        mut sink: Sink<'_>,
    ) -> Result<Relayed, Ending> {
        let mut cancelling = Cancelling::default();
        let way = Back { reply: &mut reply, masker: &mut masker, sink: &mut sink };
        let last = match self.until_last(&mut in_flight, way, &mut cancelling).await {
            Ok(last) => last,
            Err(ending) => {
                self.stop_target().await;
                self.session.abandon(in_flight).await.map_err(sent_and_refused)?;
                return Err(ending.after_sending());
            }
        };
        let status = last.status();
        let executed = in_flight.kind() == OperationKind::Query;
        crash(executed, Failpoint::AnswerReceived);
        let masked = in_flight.mask(Batch::new(last.bytes, last.rows), &mut masker);
        let batch = match masked {
            Ok(batch) => batch,
            Err(refusal) => {
                self.session.abandon(in_flight).await.map_err(sent_and_refused)?;
                return Err(sent_and_refused(refusal));
            }
        };
        masker.cover_names(&mut reply.completion.columns);
        masker.cover_code(&mut reply.completion.error_code, in_flight.duty());
        let finished = self.session.finish(in_flight, batch, &reply.completion).await;
        let recorded = finished.map_err(sent_and_refused)?;
        crash(executed, Failpoint::OutcomeRecorded);
        self.put(recorded.into_bytes(), &mut sink).await?;
        if !cancelling.may_begin() {
            cancelling.done().await;
            // What was asked for again meanwhile was meant for this one, too.
            self.cancel.take().await;
            self.cancel.reached();
        }
        Ok(Relayed { status, completion: reply.completion, suspended: reply.suspended })
    }

    /// Passes on all batches but the last, which is returned.
    async fn until_last(
        &mut self,
        in_flight: &mut InFlight,
        way: Back<'_, '_>,
        cancelling: &mut Cancelling,
    ) -> Result<Taken, Ending> {
        let Back { reply, masker, sink } = way;
        tokio::select! {
            biased;
            reason = self.stop.expired() => return Err(Ending::Stopped(reason)),
            written = self.line.flush() => written.map_err(|error| Ending::Unanswered(error.into()))?,
        }
        crash(in_flight.kind() == OperationKind::Query, Failpoint::OperationSent);
        loop {
            while let Some(taken) =
                self.line.take(reply).map_err(|broken| Ending::Unanswered(broken.into()))?
            {
                if taken.end.is_some() {
                    return Ok(taken);
                }
                let batch = in_flight.mask(Batch::new(taken.bytes, taken.rows), masker);
                let batch = batch.map_err(Ending::Refused)?;
                let recorded = self.session.reply(in_flight, batch).await.map_err(Ending::Refused)?;
                self.put(recorded.into_bytes(), sink).await?;
            }
            self.more(cancelling).await?;
        }
    }

    /// Has the target stop what nobody will hear the end of: left alone it would look for us once a second, and could
    /// commit after a revocation was confirmed.
    async fn stop_target(&mut self) {
        if let Some(canceller) = self.line.canceller(&self.target) {
            let _ = timeout(STOPPING, canceller.cancel()).await;
        }
    }

    async fn put(&mut self, bytes: Bytes, sink: &mut Sink<'_>) -> Result<(), Ending> {
        match sink {
            Sink::Client => self.write(&bytes).await,
            Sink::Kept(kept) if kept.len() + bytes.len() > MAX_KEPT => {
                Err(Ending::Unanswered(Broken::TooLarge.into()))
            }
            Sink::Kept(kept) => {
                kept.extend_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// Waits for more of the reply, and meanwhile for a client that leaves: then nobody wants the rest, and the
    /// connection to the target is dropped with the operation under way. One that wants it cancelled is heard.
    async fn more(&mut self, cancelling: &mut Cancelling) -> Result<(), Ending> {
        let gone = |error: LineError| Err(Ending::Unanswered(error));
        tokio::select! {
            biased;
            reason = self.stop.expired() => Err(Ending::Stopped(reason)),
            open = self.line.fill() => match open {
                Ok(true) => Ok(()),
                Ok(false) => gone(Broken::Fatal.into()),
                Err(error) => gone(error.into()),
            },
            () = self.cancel.wanted(), if cancelling.may_begin() => {
                cancelling.begin(self.line.canceller(&self.target));
                Ok(())
            }
            () = cancelling.done(), if cancelling.is_under_way() => {
                self.cancel.reached();
                Ok(())
            }
            ahead = self.client.read_ahead(), if self.client.may_read_ahead() => ahead.map_err(Ending::from),
        }
    }

    /// Writes whole messages to the client, unless the session has to end first.
    pub(super) async fn write(&mut self, messages: &[u8]) -> Result<(), Ending> {
        // A client that does not read makes this as long as it likes.
        self.fresh = None;
        tokio::select! {
            biased;
            written = self.client.write(messages) => written.map_err(|_| Ending::Left),
            reason = self.stop.expired() => Err(Ending::Deaf(reason)),
        }
    }
}

/// Tests want to see it in the middle of what may have changed something, and not while it prepares or fetches.
fn crash(here: bool, at: Failpoint) {
    if here {
        failpoint(at);
    }
}

/// What was sent may have run, whatever became of its reply.
fn sent_and_refused(refusal: Refusal) -> Ending {
    Ending::Refused(refusal).after_sending()
}
