//! Several operations before one Sync: the target takes them for one transaction, which that Sync commits.

use bytes::BytesMut;
use countersign_gate::ports::Ports;
use tokio::time::timeout;

use super::{Driver, ending::Ending, relay::Relayed, sending::misplaced};
use crate::{
    codec::{backend::Status, encode},
    line::{LineError, Mismatch},
    reply::Reply,
    tracked::Left,
};

/// What was sent since the target last said `ReadyForQuery`, outside of a transaction that the client began.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    open: bool,
    wrote: bool,
}

impl Pipeline {
    /// Whether the target waits for a Sync.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether more was done in it than reading.
    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    /// An operation was executed, and its Sync is still to come.
    pub(super) fn goes_on(&mut self, only_reads: bool) {
        self.open = true;
        self.wrote |= !only_reads;
    }
}

impl<P: Ports> Driver<'_, P> {
    /// The client's Sync. Where the target has been asked for everything and has answered, so have we.
    pub(super) async fn sync(&mut self) -> Result<(), Ending> {
        self.ignoring = false;
        if self.pipeline.is_open() {
            return self.end_pipeline().await;
        }
        if self.transaction.status() == Status::Idle {
            self.prepared.transaction_ended();
        }
        self.say_ready().await
    }

    async fn end_pipeline(&mut self) -> Result<(), Ending> {
        let permit = self.session.sync(self.line.identity()).await.map_err(Ending::Refused)?;
        let in_flight = match self.line.sync(permit) {
            Ok(in_flight) => in_flight,
            Err(Mismatch(permit)) => {
                self.session.not_sent(*permit).await.map_err(Ending::Refused)?;
                return Err(Ending::Refused(misplaced()));
            }
        };
        let (reply, masker) = (Reply::to_sync(self.limits.max_message), self.masker_of_words());
        let relayed = self.relay(in_flight, reply, masker).await?;
        self.pipeline_ended(if relayed.failed() { Left::RolledBack } else { Left::Committed }).await;
        Ok(())
    }

    /// The target is out of the pipeline: its transaction was committed or not.
    pub(super) async fn pipeline_ended(&mut self, left: Left) {
        self.pipeline = Pipeline::default();
        self.prepared.transaction_ended();
        self.fresh = None;
        if self.is_on_approved() {
            self.return_to_standing().await;
        } else {
            self.tracked.settle(left);
        }
    }

    /// What was executed of it has ended on the standing connection, and it goes on on the approved one: with the portals
    /// that were made and not executed yet.
    pub(super) fn pipeline_moved(&mut self) {
        self.pipeline = Pipeline::default();
        self.fresh = None;
        self.tracked.settle(Left::Committed);
    }

    /// The status after a reply. Within a pipeline an error makes the target skip what follows until a Sync: it gets
    /// one at once, and the client's is answered here.
    pub(super) async fn status_after(&mut self, relayed: &Relayed) -> Result<Option<Status>, Ending> {
        if relayed.status.is_some() || !relayed.failed() {
            return Ok(relayed.status);
        }
        match timeout(self.limits.catalog, self.line.resynchronise(self.limits.max_message)).await {
            Ok(Ok(status)) => Ok(Some(status)),
            Ok(Err(error)) => Err(Ending::TargetGone(error)),
            Err(_) => Err(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Takes in what became of a part of an operation, such as more of its rows: it only reads what was executed.
    pub(super) async fn after_part(&mut self, relayed: &Relayed) -> Result<(), Ending> {
        let pipelined = self.pipeline.is_open();
        match self.status_after(relayed).await? {
            None => self.pipeline.goes_on(true),
            Some(Status::Idle) if relayed.failed() => self.pipeline_ended(Left::RolledBack).await,
            Some(Status::Idle) => self.pipeline_ended(Left::Committed).await,
            Some(Status::Failed) if !pipelined => self.transaction.fail(self.place_of_line()),
            Some(_) => {}
        }
        Ok(())
    }

    pub(super) async fn say_ready(&mut self) -> Result<(), Ending> {
        let mut out = BytesMut::new();
        encode::ready(&mut out, self.transaction.status());
        self.write(&out).await
    }
}
