//! What the client is told instead of an answer, and what becomes of a transaction that was open.

use bytes::{Bytes, BytesMut};
use countersign_gate::{Permit, Recorded, ports::Ports};
use countersign_model::{Binding, Reason, Refusal};
use countersign_sql::Refused;
use tokio::time::timeout;

use super::{
    Driver,
    ending::Ending,
    exchange::{Read, Way},
};
use crate::{
    codec::{
        backend::Status,
        encode::{self, ErrorMessage, Severity},
    },
    line::LineError,
    prepared::Mistake,
    reply::Broken,
    sqlstate::{self, Phase},
    tracked::Left,
    transaction::Place,
};

/// Text of a refusal that stands in for its own: the parser's words about the caller's text.
pub(super) type Words = Option<String>;

impl<P: Ports> Driver<'_, P> {
    /// Records a refusal that policy was not asked about, and answers it.
    pub(super) async fn turn_down(
        &mut self,
        (text, binding): (Bytes, Option<Binding>),
        refusal: Refusal,
        words: Words,
        way: Way,
    ) -> Result<(), Ending> {
        // Whether it was recorded or not, nothing runs; the client hears the graver of the two.
        let shown = self.show_unread(&text, binding.as_ref());
        let refusal = match self.session.refuse(text, shown, refusal).await {
            Ok(refusal) | Err(refusal) => refusal,
        };
        self.answer(&refusal, words.as_deref()).await?;
        self.after_error(way).await
    }

    /// The same for an operation that was read.
    pub(super) async fn refuse(&mut self, read: &Read, refusal: Refusal) -> Result<(), Ending> {
        let binding = read.execution.as_ref().map(|execution| execution.binding.clone());
        self.turn_down((read.text.clone(), binding), refusal, None, read.way).await
    }

    /// Answers a refusal that is recorded.
    pub(super) async fn turned_down(&mut self, refusal: &Refusal, way: Way) -> Result<(), Ending> {
        self.answer(refusal, None).await?;
        self.after_error(way).await
    }

    /// Answers a mistake of the client about its own statements and portals, as PostgreSQL does.
    pub(super) async fn mistaken(&mut self, mistake: Mistake, way: Way) -> Result<(), Ending> {
        self.fail_what_is_open().await?;
        let mut out = BytesMut::new();
        let message = &mistake.to_string();
        let (severity, code) = (Severity::Error, mistake.code());
        encode::error(&mut out, &ErrorMessage { severity, code, message, detail: None });
        self.client.queue().extend_from_slice(&out);
        self.after_error(way).await
    }

    /// A permitted operation will not be sent after all.
    pub(super) async fn take_back(
        &mut self,
        permit: Recorded<Permit>,
        read: &Read,
        refusal: Refusal,
    ) -> Result<(), Ending> {
        let (operation, approval) = (permit.operation(), permit.approval());
        self.session.not_sent(permit).await.map_err(Ending::Refused)?;
        // Nothing was begun on a connection that was made for it.
        if self.is_on_approved() && self.transaction.place() != Place::Approved && !self.pipeline.is_open() {
            self.return_to_standing().await;
        }
        let refusal = Refusal { approval, ..refusal.of(self.session.facts().session, operation) };
        self.turned_down(&refusal, read.way).await
    }

    /// Simple queries end with `ReadyForQuery` in any case; in the extended protocol what follows is skipped until the
    /// client's Sync.
    pub(super) async fn after_error(&mut self, way: Way) -> Result<(), Ending> {
        match way {
            Way::Simple => self.say_ready().await,
            Way::Extended => {
                self.ignoring = true;
                self.write(&[]).await
            }
        }
    }

    /// Tells the client of a refusal. A transaction that is open fails first, on the target too: a client that
    /// went on as if nothing had happened would otherwise commit the rest.
    async fn answer(&mut self, refusal: &Refusal, words: Option<&str>) -> Result<(), Ending> {
        if sqlstate::of(refusal.reason, Phase::Session).1 == Severity::Fatal {
            return Err(Ending::Refused(refusal.clone()));
        }
        self.fail_what_is_open().await?;
        let mut out = BytesMut::new();
        sqlstate::encode_error(&mut out, refusal, words);
        self.client.queue().extend_from_slice(&out);
        Ok(())
    }

    /// Fails the open transaction on the target, be it one that the client began or that of a pipeline.
    pub(super) async fn fail_what_is_open(&mut self) -> Result<(), Ending> {
        let pipelined = self.pipeline.is_open();
        if !pipelined && self.transaction.status() != Status::Transaction {
            return Ok(());
        }
        let steps = self.transaction.preamble();
        let failing = self.line.fail_transaction(&steps, self.limits.max_message);
        match timeout(self.limits.catalog, failing).await {
            Ok(Ok(Status::Idle)) if pipelined => self.pipeline_ended(Left::RolledBack).await,
            Ok(Ok(Status::Failed)) if !pipelined => self.transaction.fail(self.place_of_line()),
            Ok(Ok(_)) => return Err(Ending::TargetGone(Broken::Unsupported.into())),
            Ok(Err(error)) => return Err(Ending::TargetGone(error)),
            Err(_) => return Err(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into()))),
        }
        Ok(())
    }
}

/// A text that there are no facts of.
pub(super) fn unreadable(refused: &Refused) -> (Refusal, Words) {
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

/// What this edge does not speak.
pub(super) fn unsupported(what: &'static str) -> Refusal {
    Refusal::denied(Reason::Unsupported, what)
}
