//! One message of the client: understood, resolved, admitted and handed to the relay, or refused.

use std::rc::Rc;

use bytes::Bytes;
use countersign_gate::{Admission, Permit, Recorded, ports::Ports};
use countersign_model::{Binding, Identity, Reason, Refusal};
use countersign_sql::{Analysis, Sight};

use super::{
    Driver,
    ending::Ending,
    meaning::Sent,
    refusing::{unreadable, unsupported},
    sending::misplaced,
};
use crate::{
    codec::{backend::Field, encode, frontend::Message},
    prepared::Statement,
    reply::Broken,
    tracked::changes_session,
    transaction::{self, Local, outlives_end},
};

/// An operation that was read.
pub(super) struct Read {
    pub(super) text: Bytes,
    pub(super) analysis: Rc<Analysis>,
    pub(super) way: Way,
    /// What it is executed with; `None` where the text alone is sent.
    pub(super) execution: Option<Execution>,
}

/// How the client asked, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a Query: everything ends with a `ReadyForQuery`.
    Simple,
    /// By the extended protocol: that comes when a Sync asks for it.
    Extended,
}

/// The execution of a portal.
pub(super) struct Execution {
    /// The client's name for it.
    pub(super) portal: Bytes,
    pub(super) statement: Rc<Statement>,
    pub(super) binding: Binding,
}

impl Execution {
    /// The columns of its rows, in the formats that they come in.
    pub(super) fn fields(&self) -> Vec<Field> {
        self.statement.description.fields(&self.binding.result_formats)
    }
}

impl<P: Ports> Driver<'_, P> {
    /// Waits for the next thing to happen and deals with it.
    pub(super) async fn step(&mut self) -> Result<(), Ending> {
        self.line.drop_unasked().map_err(|broken| Ending::TargetGone(broken.into()))?;
        let message = match self.client.next()? {
            Some(message) => message,
            None => self.wait_for_message().await?,
        };
        if let Some(reason) = self.stop.is_wanted().await {
            return Err(Ending::Stopped(reason));
        }
        self.look_for_classes();
        // In a box, so that waiting costs no more than waiting needs.
        Box::pin(self.deal_with(message)).await?;
        if self.client.has_much_queued() { self.write(&[]).await } else { Ok(()) }
    }

    async fn wait_for_message(&mut self) -> Result<Message, Ending> {
        // Much can happen while the client thinks.
        self.fresh = None;
        self.cancel.is_busy(false).await;
        self.line.rest();
        loop {
            let message = tokio::select! {
                biased;
                reason = self.stop.wanted() => return Err(Ending::Stopped(reason)),
                open = self.line.fill() => {
                    unasked(open)?;
                    self.line.drop_unasked().map_err(|broken| Ending::TargetGone(broken.into()))?;
                    continue;
                }
                message = self.client.message() => message?,
            };
            self.cancel.is_busy(true).await;
            return Ok(message);
        }
    }

    async fn deal_with(&mut self, message: Message) -> Result<(), Ending> {
        match message {
            Message::Terminate => Err(Ending::Left),
            Message::Sync => self.sync().await,
            // After an error in the extended protocol everything up to Sync is skipped, queries included.
            _ if self.ignoring => Ok(()),
            Message::Nothing => Ok(()),
            Message::Flush => self.write(&[]).await,
            Message::Query(text) => self.query(text).await,
            Message::LongQuery => self.too_long(Way::Simple).await,
            Message::LongExtended => self.too_long(Way::Extended).await,
            Message::FunctionCall => {
                let refusal = unsupported("function calls are not supported here: use SELECT");
                self.turn_down((Bytes::from_static(b"FunctionCall"), None), refusal, None, Way::Simple).await
            }
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(named) => self.describe(named).await,
            Message::Execute(execute) => self.execute(execute).await,
            Message::Close(named) => self.close(named).await,
        }
    }

    async fn too_long(&mut self, way: Way) -> Result<(), Ending> {
        let refusal = Refusal::denied(Reason::OverLimit, "the query is longer than this edge accepts");
        self.turn_down((Bytes::new(), None), refusal, None, way).await
    }

    async fn query(&mut self, text: Bytes) -> Result<(), Ending> {
        self.drop_unnamed();
        let analysis = match countersign_sql::analyse(&text, &self.limits.sql) {
            Ok(analysis) => Rc::new(analysis),
            Err(refused) => {
                let (refusal, words) = unreadable(&refused);
                return self.turn_down((text, None), refusal, words, Way::Simple).await;
            }
        };
        self.carry_out(Read { text, analysis, way: Way::Simple, execution: None }).await
    }

    /// Has an operation decided, and sends it, holds it, or says why not.
    pub(super) async fn carry_out(&mut self, read: Read) -> Result<(), Ending> {
        let read = Read { analysis: self.executing(&read.analysis), ..read };
        if let Err(refusal) = self.fits_in(&read) {
            return self.refuse(&read, refusal).await;
        }
        self.look_around().await?;
        match self.executes_the_same(&read).await {
            Ok(true) => {}
            Ok(false) => {
                let message =
                    "what this executes means something else now than when it was prepared: prepare it again";
                return self.refuse(&read, Refusal::denied(Reason::ObjectChanged, message)).await;
            }
            Err(refusal) => return self.refuse(&read, refusal).await,
        }
        let meant = match self.still_fresh(&read) {
            Some(meant) => meant,
            None => match self.mean(&read, self.line.identity()).await {
                Ok(meant) => meant,
                Err(refusal) => return self.refuse(&read, refusal).await,
            },
        };
        let sent = Sent::new(meant);
        let local = match self.outlook.sight() {
            Sight::Clear if !self.pipeline.is_open() => {
                transaction::local(&read.analysis, &read.text, self.transaction.place())
            }
            _ => None,
        };
        let binding = read.execution.as_ref().map(|execution| &execution.binding);
        let operation = self.operation(&read, sent.meant.facts.clone(), &sent.meant.tags, binding);
        let operation = match binding {
            Some(binding) => operation.bound_to(binding.clone()),
            None => operation,
        };
        let operation = match self.line.identity() {
            Identity::Approved => operation.on_approved(),
            _ if local.is_none() => operation.after(self.transaction.preamble()),
            _ => operation,
        };
        match (self.session.admit(operation).await, local) {
            (Ok(Admission::Permitted(permit)), Some(local)) => {
                self.answer_here(permit, local, read.way).await
            }
            (Ok(Admission::Permitted(permit)), None) => match self.deallocates_here(&read.analysis) {
                Some(statement) => self.deallocate_here(permit, &statement, read.way).await,
                None => self.send(permit, &read, sent).await,
            },
            (Ok(Admission::Held(holdable)), _) => Box::pin(self.hold(&read, holdable)).await,
            (Err(refusal), _) => self.turned_down(&refusal, read.way).await,
        }
    }

    /// Whether the session is in a state in which the operation can be asked for at all.
    fn fits_in(&self, read: &Read) -> Result<(), Refusal> {
        let state = |message| Err(Refusal::denied(Reason::SessionState, message));
        is_supported(&read.analysis)?;
        self.is_configured()?;
        if self.is_on_approved() && changes_session(&read.analysis) {
            return state("settings of the session cannot change in an approved transaction: use SET LOCAL");
        }
        if self.is_on_approved() && outlives_end(&read.analysis) {
            return state("an approved transaction ends with a COMMIT or ROLLBACK that nothing comes behind");
        }
        let controls = read.analysis.statements.iter().any(|statement| statement.transaction.is_some());
        if self.pipeline.is_open() && controls {
            return state("transaction control has to come first in a pipeline, or behind a Sync");
        }
        Ok(())
    }

    /// Answers the beginning of a transaction, or the end of one that the target knows nothing of.
    async fn answer_here(&mut self, permit: Recorded<Permit>, local: Local, way: Way) -> Result<(), Ending> {
        let (Local::Begin(tag) | Local::End(tag)) = local;
        let step = self.session.answer_here(permit, tag).await.map_err(Ending::Refused)?;
        match (local, step) {
            (Local::Begin(_), Some(step)) => self.transaction.begin_here(step),
            (Local::End(_), _) => {
                self.transaction.end_here();
                self.tracked.end_here();
                self.prepared.transaction_ended();
            }
            // A transaction that begins with something else than control of it: the gate and we disagree.
            (Local::Begin(_), None) => return Err(Ending::Refused(misplaced())),
        }
        encode::complete(self.client.queue(), tag);
        match way {
            Way::Simple => self.say_ready().await,
            Way::Extended => Ok(()),
        }
    }
}

/// Whether the flow that a text begins is one that is relayed.
pub(super) fn is_supported(analysis: &Analysis) -> Result<(), Refusal> {
    let copies = analysis.statements.iter().any(|statement| statement.kind.as_str() == "copy");
    if copies { Err(unsupported("COPY is not supported here")) } else { Ok(()) }
}

/// Something came from the target although nothing was asked; the next step looks at it.
pub(super) fn unasked(open: std::io::Result<bool>) -> Result<(), Ending> {
    match open {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ending::TargetGone(Broken::Fatal.into())),
        Err(error) => Err(Ending::TargetGone(error.into())),
    }
}
