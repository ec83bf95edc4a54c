//! A permitted operation on its way to the target, and what is known of the session once it was answered.

use countersign_gate::{Completion, InFlight, Permit, Recorded, Step, ports::Ports};
use countersign_model::{Identity, Reason, Refusal, RefusalKind};
use tokio::time::timeout;

use super::{
    Driver,
    ending::Ending,
    exchange::{Execution, Read, Way},
    meaning::Sent,
    pipeline::Pipeline,
    relay::Relayed,
};
use crate::{
    codec::backend::Status,
    line::{Executing, LineError, Mismatch, Sending},
    prepared::{Description, PortalState, Suspended},
    reply::{Reply, Tail},
    tracked::Left,
    transaction::{Place, Ran},
};

/// What was queued for the target.
struct Queued {
    in_flight: InFlight,
    reply: Reply,
    step: Option<Step>,
    /// Our name of the portal, if it may have more rows.
    portal: Option<u64>,
}

/// How a statement is prepared on the connection that it is to be executed on.
enum PreparedHere {
    /// As the client was told.
    AsDescribed,
    /// With other parameters or columns.
    Otherwise,
    /// Not at all.
    Refused,
}

impl<P: Ports> Driver<'_, P> {
    /// Sends a permitted operation on the connection of the moment, after what has to go before it, and relays its
    /// reply.
    pub(super) async fn send(
        &mut self,
        permit: Recorded<Permit>,
        read: &Read,
        sent: Sent,
    ) -> Result<(), Ending> {
        if self.cancel.take().await {
            self.cancel.reached();
            return self.take_back(permit, read, cancelled()).await;
        }
        if let Some(execution) = &read.execution {
            match self.prepared_here(&permit, execution, &sent).await {
                Ok(PreparedHere::AsDescribed) => {}
                Ok(otherwise) => {
                    self.forget(&execution.statement);
                    return self.take_back(permit, read, described_otherwise(&otherwise)).await;
                }
                Err(ending) => {
                    self.session.not_sent(permit).await.map_err(Ending::Refused)?;
                    return Err(ending);
                }
            }
        }
        self.outlook.sends(sent.clouds);
        if !permit.preamble().is_empty() {
            let leading = self.line.lead(permit.preamble(), self.limits.max_message);
            if !matches!(timeout(self.limits.catalog, leading).await, Ok(Ok(true))) {
                self.session.not_sent(permit).await.map_err(Ending::Refused)?;
                let message = "the target did not begin the transaction again";
                return Err(Ending::Refused(Refusal::denied(Reason::TargetUnavailable, message)));
            }
        }
        let extended = read.way == Way::Extended;
        // A Sync that has come already goes with it, and saves a round trip.
        let hides_ready = extended && !self.client.take_sync();
        let tail = self.tail(hides_ready);
        let approved = permit.approval().is_some();
        let Queued { in_flight, reply, step, portal } = match self.queue(permit, read, tail) {
            Ok(queued) => queued,
            Err(Mismatch(permit)) => {
                self.session.not_sent(*permit).await.map_err(Ending::Refused)?;
                return Err(Ending::Refused(misplaced()));
            }
        };
        let masker = self.masker(&read.analysis, &sent.meant.tags);
        let masker = match &read.execution {
            Some(execution) => masker.of_rows(execution.fields()),
            None => masker,
        };
        let relayed = self.relay(in_flight, reply.hiding_ready(hides_ready), masker).await?;
        self.ignoring = hides_ready && relayed.failed();
        if let Some(execution) = &read.execution {
            self.note_portal(execution, &relayed, &sent, portal, approved);
            // A portal outlives the statement that it was made of. What had to be prepared for it again is of no use to
            // anything else.
            self.forget(&execution.statement);
        }
        self.after(read, &relayed, sent, step).await
    }

    /// Within a transaction that the client began each operation has a Sync of its own. Outside of one it is the
    /// Sync that commits: then it is sent when the client has sent its own.
    pub(super) fn tail(&self, hides_ready: bool) -> Tail {
        if hides_ready && self.transaction.status() == Status::Idle { Tail::Flush } else { Tail::Sync }
    }

    fn queue(&mut self, permit: Recorded<Permit>, read: &Read, tail: Tail) -> Result<Queued, Mismatch> {
        let max_message = self.limits.max_message;
        match &read.execution {
            Some(execution) => {
                let Executing { in_flight, portal } = self.line.execute(permit, tail)?;
                let columns = execution.statement.description.column_names();
                let reply = Reply::to_execute(max_message, tail, columns);
                Ok(Queued { in_flight, reply, step: None, portal })
            }
            None => {
                let Sending { in_flight, step } = self.line.send(permit)?;
                Ok(Queued { in_flight, reply: Reply::to_query(max_message), step, portal: None })
            }
        }
    }

    /// Makes sure that the statement of an execution is prepared on the connection of the moment, and that it is what
    /// the client was told: the same parameters and the same columns.
    async fn prepared_here(
        &mut self,
        permit: &Recorded<Permit>,
        execution: &Execution,
        sent: &Sent,
    ) -> Result<PreparedHere, Ending> {
        let told = &execution.statement.description;
        let compared = |description: &Description| {
            if description == told { PreparedHere::AsDescribed } else { PreparedHere::Otherwise }
        };
        if let Some(description) = self.line.described(permit, &sent.meant.names) {
            return Ok(compared(description));
        }
        let tail = if self.pipeline.is_open() { Tail::Flush } else { Tail::Sync };
        let preparing = self.line.prepare_for(permit, &sent.meant.names, tail, self.limits.max_message);
        match timeout(self.limits.catalog, preparing).await {
            Ok(Ok(Some(description))) => Ok(compared(&description)),
            Ok(Ok(None)) => {
                if tail == Tail::Flush {
                    let resynchronising = self.line.resynchronise(self.limits.max_message);
                    timed_out(timeout(self.limits.catalog, resynchronising).await)?;
                    self.pipeline_ended(Left::RolledBack).await;
                }
                Ok(PreparedHere::Refused)
            }
            Ok(Err(error)) => Err(Ending::TargetGone(error)),
            Err(elapsed) => timed_out(Err::<Result<PreparedHere, _>, _>(elapsed)),
        }
    }

    fn note_portal(
        &mut self,
        execution: &Execution,
        relayed: &Relayed,
        sent: &Sent,
        portal: Option<u64>,
        approved: bool,
    ) {
        let state = match portal {
            Some(name) if relayed.suspended => PortalState::Suspended(Suspended {
                name,
                line: self.line.serial(),
                facts: sent.meant.facts.clone(),
                tags: sent.meant.tags.clone(),
                classes: self.classes.clone(),
                approved,
            }),
            Some(name) => {
                self.end_portal(name, relayed);
                PortalState::Done
            }
            None => PortalState::Done,
        };
        self.prepared.advance(&execution.portal, state);
    }

    /// Takes in what became of an operation.
    async fn after(
        &mut self,
        read: &Read,
        relayed: &Relayed,
        sent: Sent,
        step: Option<Step>,
    ) -> Result<(), Ending> {
        let place = self.place_of_line();
        // A function can see the names of our prepared statements, and prepare something else under them.
        if sent.clouds.for_good {
            self.line.close_statements();
        }
        if !relayed.failed() {
            self.note_prepared(&read.analysis, &sent.meant.names);
        }
        let Some(status) = self.status_after(relayed).await? else {
            self.pipeline.goes_on(sent.only_reads);
            if place == Place::Standing {
                self.tracked.after(&read.analysis, true, Left::Open);
            }
            if read.execution.is_some() {
                self.keep_fresh(&read.text, sent.meant);
            }
            return Ok(());
        };
        self.pipeline = Pipeline::default();
        if place == Place::Standing {
            let left = left(status, &relayed.completion);
            self.tracked.after(&read.analysis, !relayed.failed(), left);
        }
        let only_reads = sent.only_reads;
        self.transaction.after(&Ran { analysis: &read.analysis, only_reads, step, status }, place);
        if status == Status::Idle {
            self.prepared.transaction_ended();
            if place == Place::Approved {
                self.return_to_standing().await;
            }
        } else if status == Status::Transaction && read.execution.is_some() {
            self.keep_fresh(&read.text, sent.meant);
        }
        Ok(())
    }

    /// What an open transaction on the connection of the moment is called.
    pub(super) fn place_of_line(&self) -> Place {
        if self.is_on_approved() { Place::Approved } else { Place::Standing }
    }

    /// Whether the connection of the moment is that of an approved operation.
    pub(super) fn is_on_approved(&self) -> bool {
        self.line.identity() == Identity::Approved
    }
}

/// How the transaction that an operation ran in was left.
fn left(status: Status, completion: &Completion) -> Left {
    let rolled_back =
        completion.error_code.is_some() || completion.tags.last().is_some_and(|tag| tag == "ROLLBACK");
    match status {
        Status::Transaction | Status::Failed => Left::Open,
        Status::Idle if rolled_back => Left::RolledBack,
        Status::Idle => Left::Committed,
    }
}

/// What a bounded conversation with the target came to.
pub(super) fn timed_out<T, E>(result: Result<Result<T, LineError>, E>) -> Result<T, Ending> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Ending::TargetGone(error)),
        Err(_) => Err(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

pub(super) fn misplaced() -> Refusal {
    let message = "the operation is permitted for another connection than this one";
    Refusal::denied(Reason::TargetUnavailable, message)
}

fn described_otherwise(here: &PreparedHere) -> Refusal {
    let message = match here {
        PreparedHere::Refused => {
            "the target does not prepare the statement on the connection that it was to run on"
        }
        PreparedHere::AsDescribed | PreparedHere::Otherwise => {
            "the statement has other parameters or columns now than when it was prepared: prepare it again"
        }
    };
    Refusal { kind: RefusalKind::Superseded, ..Refusal::denied(Reason::ObjectChanged, message) }
}

fn cancelled() -> Refusal {
    let message = "the client cancelled it before it was sent";
    Refusal { kind: RefusalKind::Cancelled, ..Refusal::denied(Reason::Cancelled, message) }
}
