//! One message of the client: understood, resolved, admitted and handed to the relay, or refused.

use bytes::{Bytes, BytesMut};
use countersign_gate::{Operation, ports::Ports};
use countersign_model::{Reason, Refusal};
use countersign_sql::{Analysis, Refused};
use tokio::time::timeout;

use super::{Driver, ending::Ending};
use crate::{
    codec::{backend::Status, encode, encode::Severity, frontend::Message},
    line::{LineError, Mismatch},
    reply::Broken,
    resolve::{Inquiry, context, sight_after},
    sqlstate::{self, Phase},
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
                self.refuse(Bytes::new(), refusal, None).await?;
                self.say_ready().await
            }
            Message::FunctionCall => {
                self.refuse(Bytes::from_static(b"FunctionCall"), unsupported(), None).await?;
                self.say_ready().await
            }
            Message::Parse(text) => self.refuse_extended(text).await,
            Message::Extended(name) => self.refuse_extended(Bytes::from_static(name.as_bytes())).await,
            Message::LongExtended => self.refuse_extended(Bytes::new()).await,
        }
    }

    async fn query(&mut self, text: Bytes) -> Result<(), Ending> {
        let admitted = match countersign_sql::analyse(&text, &self.limits.sql) {
            Err(refused) => Err(unreadable(&refused)),
            Ok(analysis) => self.operation(text.clone(), &analysis).await.map_err(|refusal| (refusal, None)),
        };
        let (operation, sight) = match admitted {
            Ok(operation) => operation,
            Err((refusal, words)) => {
                self.refuse(text, refusal, words).await?;
                return self.say_ready().await;
            }
        };
        let permit = match self.session.admit(operation).await {
            Ok(permit) => permit,
            Err(refusal) => {
                self.answer(&refusal, None).await?;
                return self.say_ready().await;
            }
        };
        self.sight = sight;
        match self.line.send(permit) {
            Ok(in_flight) => self.relay(in_flight).await,
            Err(Mismatch(permit)) => {
                self.session.not_sent(*permit).await.map_err(Ending::Refused)?;
                let message = "the operation is permitted for another connection than this one";
                Err(Ending::Refused(Refusal::denied(Reason::TargetUnavailable, message)))
            }
        }
    }

    /// Resolves every name of the text, asking the catalog at most once.
    async fn operation(
        &mut self,
        text: Bytes,
        analysis: &Analysis,
    ) -> Result<(Operation, crate::resolve::Sight), Refusal> {
        let inquiry = Inquiry::of(analysis, &self.target.database, self.sight)?;
        let found = if inquiry.is_empty() {
            Vec::new()
        } else {
            let bind = inquiry.bind(&self.target.standing_role, &self.path);
            self.catalog.ask(&mut self.session, &self.target, &bind, self.limits).await?
        };
        let facts = inquiry.facts(&found)?;
        let sight = sight_after(self.sight, &facts);
        let context = context(analysis, self.status != Status::Idle);
        Ok((Operation::of_caller(text, facts, context), sight))
    }

    async fn refuse_extended(&mut self, what: Bytes) -> Result<(), Ending> {
        self.ignoring = true;
        self.refuse(what, unsupported(), None).await
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
    async fn answer(&mut self, refusal: &Refusal, words: Option<&str>) -> Result<(), Ending> {
        if sqlstate::of(refusal.reason, Phase::Session).1 == Severity::Fatal {
            return Err(Ending::Refused(refusal.clone()));
        }
        if self.status == Status::Transaction {
            let failing = self.line.fail_transaction(self.limits.max_message);
            self.status = match timeout(self.limits.catalog, failing).await {
                Ok(Ok(Status::Failed)) => Status::Failed,
                Ok(Ok(_)) => return Err(Ending::TargetGone(Broken::Unsupported.into())),
                Ok(Err(error)) => return Err(Ending::TargetGone(error)),
                Err(_) => return Err(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into()))),
            };
        }
        let mut out = BytesMut::new();
        sqlstate::encode_error(&mut out, refusal, words);
        self.write(&out).await
    }

    async fn say_ready(&mut self) -> Result<(), Ending> {
        let mut out = BytesMut::new();
        encode::ready(&mut out, self.status);
        self.write(&out).await
    }
}

/// Something came from the target although nothing was asked; the next step looks at it.
fn unasked(open: std::io::Result<bool>) -> Result<(), Ending> {
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
