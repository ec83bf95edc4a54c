//! One message of the client: understood, resolved, admitted and handed to the relay, or refused.

use bytes::{Bytes, BytesMut};
use countersign_gate::{Admission, Completion, Operation, Permit, Recorded, ports::Ports};
use countersign_model::{Fact, Identity, OperationContext, Reason, Refusal, ResolvedName};
use countersign_sql::{Analysis, Inquiry, Refused, Sight, TouchedObject, context, sight_after};
use tokio::time::timeout;

use super::{Driver, ending::Ending};
use crate::{
    codec::{backend::Status, encode, encode::Severity, frontend::Message},
    line::{LineError, Mismatch, Sending},
    question::Bind,
    reply::Broken,
    sqlstate::{self, Phase},
    tracked::{Left, changes_session},
    transaction::{self, Local, Place, Ran, only_reads, outlives_end},
};

/// Text of a refusal that stands in for its own: the parser's words about the caller's text.
type Words = Option<String>;

impl<P: Ports> Driver<'_, P> {
    /// Waits for the next thing to happen and deals with it.
    pub(super) async fn step(&mut self) -> Result<(), Ending> {
        self.line.drop_unasked().map_err(|broken| Ending::TargetGone(broken.into()))?;
        self.line.rest();
        let message = tokio::select! {
            biased;
            reason = self.stop.wanted() => return Err(Ending::Stopped(reason)),
            open = self.line.fill() => return unasked(open),
            message = self.client.message() => message?,
        };
        // In a box, so that waiting costs no more than waiting needs.
        Box::pin(self.deal_with(message)).await
    }

    async fn deal_with(&mut self, message: Message) -> Result<(), Ending> {
        match message {
            Message::Terminate => Err(Ending::Left),
            Message::Sync => {
                self.ignoring = false;
                self.say_ready().await
            }
            // After an error in the extended protocol everything up to Sync is skipped, queries included.
            _ if self.ignoring => Ok(()),
            Message::Nothing => Ok(()),
            Message::Query(text) => self.query(text).await,
            Message::LongQuery => {
                let refusal =
                    Refusal::denied(Reason::OverLimit, "the query is longer than this edge accepts");
                self.turn_down(Bytes::new(), refusal, None).await
            }
            Message::FunctionCall => {
                self.turn_down(Bytes::from_static(b"FunctionCall"), unsupported(), None).await
            }
            Message::Parse(text) => self.refuse_extended(text).await,
            Message::Extended(name) => self.refuse_extended(Bytes::from_static(name.as_bytes())).await,
            Message::LongExtended => self.refuse_extended(Bytes::new()).await,
        }
    }

    async fn query(&mut self, text: Bytes) -> Result<(), Ending> {
        let analysis = match countersign_sql::analyse(&text, &self.limits.sql) {
            Ok(analysis) => analysis,
            Err(refused) => {
                let (refusal, words) = unreadable(&refused);
                return self.turn_down(text, refusal, words).await;
            }
        };
        let read = Read { text, analysis };
        if self.transaction.place() == Place::Approved && changes_session(&read.analysis) {
            let message = "settings of the session cannot change in an approved transaction: use SET LOCAL";
            return self.turn_down(read.text, Refusal::denied(Reason::SessionState, message), None).await;
        }
        if self.transaction.place() == Place::Approved && outlives_end(&read.analysis) {
            let message = "an approved transaction ends with a COMMIT or ROLLBACK that nothing comes behind";
            return self.turn_down(read.text, Refusal::denied(Reason::SessionState, message), None).await;
        }
        let meant = match self.mean(&read, self.line.identity()).await {
            Ok(meant) => meant,
            Err(refusal) => return self.turn_down(read.text, refusal, None).await,
        };
        let sent = Sent::new(&meant.facts);
        let local = match self.sight {
            Sight::Clear => transaction::local(&read.analysis, &read.text, self.transaction.place()),
            Sight::Clouded => None,
        };
        let operation = Operation::of_caller(read.text.clone(), meant.facts, self.context(&read));
        let operation = match self.line.identity() {
            Identity::Approved => operation.on_approved(),
            _ if local.is_none() => operation.after(self.transaction.preamble()),
            _ => operation,
        };
        match (self.session.admit(operation).await, local) {
            (Ok(Admission::Permitted(permit)), Some(local)) => self.answer_here(permit, local).await,
            (Ok(Admission::Permitted(permit)), None) => self.send(permit, &read, sent).await,
            (Ok(Admission::Held(holdable)), _) => Box::pin(self.hold(&read, holdable)).await,
            (Err(refusal), _) => {
                self.answer(&refusal, None).await?;
                self.say_ready().await
            }
        }
    }

    /// Answers the beginning of a transaction, or the end of one that the target knows nothing of.
    async fn answer_here(&mut self, permit: Recorded<Permit>, local: Local) -> Result<(), Ending> {
        let (Local::Begin(tag) | Local::End(tag)) = local;
        let step = self.session.answer_here(permit, tag).await.map_err(Ending::Refused)?;
        match (local, step) {
            (Local::Begin(_), Some(step)) => self.transaction.begin_here(step),
            (Local::End(_), _) => {
                self.transaction.end_here();
                self.tracked.end_here();
            }
            // A transaction that begins with something else than control of it: the gate and we disagree.
            (Local::Begin(_), None) => return Err(Ending::Refused(misplaced())),
        }
        let mut out = BytesMut::new();
        encode::complete(&mut out, tag);
        encode::ready(&mut out, self.transaction.status());
        self.write(&out).await
    }

    /// Sends a permitted operation on the connection of the moment, after what has to go before it, and relays its
    /// reply.
    pub(super) async fn send(
        &mut self,
        permit: Recorded<Permit>,
        read: &Read,
        sent: Sent,
    ) -> Result<(), Ending> {
        if sent.clouds {
            self.sight = Sight::Clouded;
        }
        if !permit.preamble().is_empty() {
            let leading = self.line.lead(permit.preamble(), self.limits.max_message);
            if !matches!(timeout(self.limits.catalog, leading).await, Ok(Ok(true))) {
                self.session.not_sent(permit).await.map_err(Ending::Refused)?;
                let message = "the target did not begin the transaction again";
                return Err(Ending::Refused(Refusal::denied(Reason::TargetUnavailable, message)));
            }
        }
        let Sending { in_flight, step } = match self.line.send(permit) {
            Ok(sending) => sending,
            Err(Mismatch(permit)) => {
                self.session.not_sent(*permit).await.map_err(Ending::Refused)?;
                return Err(Ending::Refused(misplaced()));
            }
        };
        let (status, completion) = self.relay(in_flight).await?;
        let place = self.place_of_line();
        if place == Place::Standing {
            self.tracked.after(&read.analysis, completion.error_code.is_none(), left(status, &completion));
        }
        let only_reads = sent.only_reads;
        self.transaction.after(&Ran { analysis: &read.analysis, only_reads, step, status }, place);
        if place == Place::Approved && status == Status::Idle {
            self.return_to_standing().await;
        }
        Ok(())
    }

    /// What an open transaction on the connection of the moment is called.
    fn place_of_line(&self) -> Place {
        if self.line.identity() == Identity::Approved { Place::Approved } else { Place::Standing }
    }

    /// Resolves every name of the text for an identity, asking the catalog at most once.
    pub(super) async fn mean(&mut self, read: &Read, identity: Identity) -> Result<Meant, Refusal> {
        let inquiry = Inquiry::of(&read.analysis, &self.target.database, self.sight)?;
        let mut names = Vec::new();
        if !inquiry.is_empty() {
            let role = self.target.role(identity, &self.session.facts().principal);
            let role = role.ok_or_else(|| no_role(identity))?;
            let path = self.target.search_path.effective(role);
            let bind = Bind::meanings(role, &path, inquiry.names());
            names = self.catalog.meanings(&mut self.session, &self.target, &bind, self.limits).await?;
            names.sort();
        }
        let facts = inquiry.facts(&names)?;
        let objects = inquiry.objects(&names);
        Ok(Meant { facts, names, objects })
    }

    /// What policy sees as context.
    pub(super) fn context(&self, read: &Read) -> OperationContext {
        context(&read.analysis, self.transaction.status() != Status::Idle)
    }

    async fn refuse_extended(&mut self, what: Bytes) -> Result<(), Ending> {
        self.ignoring = true;
        self.refuse(what, unsupported(), None).await
    }

    /// Records and answers the refusal of a whole query.
    async fn turn_down(&mut self, text: Bytes, refusal: Refusal, words: Words) -> Result<(), Ending> {
        self.refuse(text, refusal, words).await?;
        self.say_ready().await
    }

    /// Records a refusal that policy was not asked about, and answers it.
    async fn refuse(&mut self, payload: Bytes, refusal: Refusal, words: Words) -> Result<(), Ending> {
        // Whether it was recorded or not, nothing runs; the client hears the graver of the two.
        let refusal = match self.session.refuse(payload, refusal).await {
            Ok(refusal) | Err(refusal) => refusal,
        };
        self.answer(&refusal, words.as_deref()).await
    }

    /// Tells the client of a refusal. A transaction that is open fails first, on the target too: a client that
    /// went on as if nothing had happened would otherwise commit the rest.
    pub(super) async fn answer(&mut self, refusal: &Refusal, words: Option<&str>) -> Result<(), Ending> {
        if sqlstate::of(refusal.reason, Phase::Session).1 == Severity::Fatal {
            return Err(Ending::Refused(refusal.clone()));
        }
        if self.transaction.status() == Status::Transaction {
            let steps = self.transaction.preamble();
            let failing = self.line.fail_transaction(&steps, self.limits.max_message);
            match timeout(self.limits.catalog, failing).await {
                Ok(Ok(Status::Failed)) => self.transaction.fail(self.place_of_line()),
                Ok(Ok(_)) => return Err(Ending::TargetGone(Broken::Unsupported.into())),
                Ok(Err(error)) => return Err(Ending::TargetGone(error)),
                Err(_) => return Err(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into()))),
            }
        }
        let mut out = BytesMut::new();
        sqlstate::encode_error(&mut out, refusal, words);
        self.write(&out).await
    }

    pub(super) async fn say_ready(&mut self) -> Result<(), Ending> {
        let mut out = BytesMut::new();
        encode::ready(&mut out, self.transaction.status());
        self.write(&out).await
    }
}

/// A query that was read.
pub(super) struct Read {
    pub(super) text: Bytes,
    pub(super) analysis: Analysis,
}

/// What it means for an identity.
pub(super) struct Meant {
    pub(super) facts: Vec<Fact>,
    /// Sorted.
    pub(super) names: Vec<ResolvedName>,
    pub(super) objects: Vec<TouchedObject>,
}

/// What an operation does to what is known of its session, once it was sent.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    /// After it, names may mean something else than the catalog says.
    clouds: bool,
    only_reads: bool,
}

impl Sent {
    pub(super) fn new(facts: &[Fact]) -> Self {
        let clouds = sight_after(Sight::Clear, facts) == Sight::Clouded;
        Self { clouds, only_reads: only_reads(facts) }
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

pub(super) fn no_role(identity: Identity) -> Refusal {
    let reason = match identity {
        Identity::Approved => Reason::ApprovalUnavailable,
        Identity::Standing | Identity::Metadata => Reason::TargetUnavailable,
    };
    Refusal::denied(reason, "the target has no role for this caller")
}

fn misplaced() -> Refusal {
    let message = "the operation is permitted for another connection than this one";
    Refusal::denied(Reason::TargetUnavailable, message)
}

/// Something came from the target although nothing was asked; the next step looks at it.
pub(super) fn unasked(open: std::io::Result<bool>) -> Result<(), Ending> {
    match open {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ending::TargetGone(Broken::Fatal.into())),
        Err(error) => Err(Ending::TargetGone(error.into())),
    }
}

/// A text that there are no facts of.
fn unreadable(refused: &Refused) -> (Refusal, Words) {
    let (reason, message) = match refused {
        Refused::Syntax { message } => {
            let refusal = Refusal::denied(Reason::Unparsable, "the query is not of PostgreSQL's grammar");
            return (refusal, Some(message.for_client().to_owned()));
        }
        Refused::NotUtf8 { .. } => (Reason::Unparsable, "the query is not UTF-8"),
        Refused::ZeroByte { .. } => (Reason::Unparsable, "the query has a zero byte"),
        Refused::Internal => (Reason::Unparsed, "the query could not be analysed"),
        // The kinds of bounds; one that is not known here is a bound too, and refuses as well.
        _ => (Reason::OverLimit, "the query is too long, too deep or too large to be analysed"),
    };
    (Refusal::denied(reason, message), None)
}

fn unsupported() -> Refusal {
    Refusal::denied(Reason::Unsupported, "only the simple query protocol is supported here")
}
