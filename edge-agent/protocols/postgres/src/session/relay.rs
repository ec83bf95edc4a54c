//! The way back: the target's reply in batches, each masked and recorded before the client sees a byte of it.

use countersign_gate::{Batch, Completion, InFlight, ports::Ports};
use countersign_model::Refusal;

use super::{Driver, ending::Ending};
use crate::{
    codec::backend::Status,
    line::LineError,
    reply::{Broken, Reply, Taken},
};

impl<P: Ports> Driver<'_, P> {
    /// Writes the operation that was queued and relays its reply to the end. Whatever else happens, the operation's
    /// outcome is recorded: as what it was, or as unknown. Returns what the target said of the transaction, and of the
    /// operation.
    pub(super) async fn relay(&mut self, mut in_flight: InFlight) -> Result<(Status, Completion), Ending> {
        let mut reply = Reply::to_query(self.limits.max_message);
        let last = match self.until_last(&mut in_flight, &mut reply).await {
            Ok(last) => last,
            Err(ending) => {
                self.session.abandon(in_flight).await.map_err(sent_and_refused)?;
                return Err(ending.after_sending());
            }
        };
        let batch = in_flight.mask(Batch::new(last.bytes, last.rows)).map_err(sent_and_refused)?;
        let finished = self.session.finish(in_flight, batch, &reply.completion).await;
        let recorded = finished.map_err(sent_and_refused)?;
        self.write(&recorded.into_bytes()).await?;
        Ok((last.end.unwrap_or_default(), reply.completion))
    }

    /// Relays all batches but the last, which is returned.
    async fn until_last(&mut self, in_flight: &mut InFlight, reply: &mut Reply) -> Result<Taken, Ending> {
        tokio::select! {
            biased;
            reason = self.stop.expired() => return Err(Ending::Stopped(reason)),
            written = self.line.flush() => written.map_err(|error| Ending::Unanswered(error.into()))?,
        }
        loop {
            while let Some(taken) =
                self.line.take(reply).map_err(|broken| Ending::Unanswered(broken.into()))?
            {
                if taken.end.is_some() {
                    return Ok(taken);
                }
                let batch = in_flight.mask(Batch::new(taken.bytes, taken.rows)).map_err(Ending::Refused)?;
                let recorded = self.session.reply(in_flight, batch).await.map_err(Ending::Refused)?;
                self.write(&recorded.into_bytes()).await?;
            }
            self.more().await?;
        }
    }

    /// Waits for more of the reply, and meanwhile for a client that leaves: then nobody wants the rest, and the
    /// connection to the target is dropped with the operation under way.
    async fn more(&mut self) -> Result<(), Ending> {
        let gone = |error: LineError| Err(Ending::Unanswered(error));
        tokio::select! {
            biased;
            reason = self.stop.expired() => Err(Ending::Stopped(reason)),
            open = self.line.fill() => match open {
                Ok(true) => Ok(()),
                Ok(false) => gone(Broken::Fatal.into()),
                Err(error) => gone(error.into()),
            },
            ahead = self.client.read_ahead(), if self.client.may_read_ahead() => ahead.map_err(Ending::from),
        }
    }

    /// Writes whole messages to the client, unless the session has to end first.
    pub(super) async fn write(&mut self, messages: &[u8]) -> Result<(), Ending> {
        tokio::select! {
            biased;
            written = self.client.write(messages) => written.map_err(|_| Ending::Left),
            reason = self.stop.expired() => Err(Ending::Deaf(reason)),
        }
    }
}

/// What was sent may have run, whatever became of its reply.
fn sent_and_refused(refusal: Refusal) -> Ending {
    Ending::Refused(refusal).after_sending()
}
