//! The connection that asks the catalog: the edge's own, as the `metadata` identity, and recorded like any other.
//!
//! It is dialled at the first name that has to be looked up, kept for the session, and dialled once more if it was
//! found dead: the questions only read, so asking again is safe.

use bytes::Bytes;
use countersign_gate::{Batch, Permit, Recorded, Session, ports::Ports};
use countersign_model::{Identity, ObjectVersion, Reason, Refusal};
use countersign_sql::{SearchPath, TouchedObject};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    Limits, PostgresTarget,
    codec::Malformed,
    line::{Line, LineError, Login, Mismatch, dial},
    question::{Bind, Meaning, read_definitions, read_meanings},
    reply::{Broken, Reply, Taken},
};

/// Largest answer, in bytes: some ten thousand columns.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Reads whole messages of an answer.
type Read<T> = fn(Bytes, &mut Vec<T>) -> Result<(), Malformed>;

/// The catalog of a session's target.
#[derive(Default)]
pub(crate) struct Catalog {
    line: Option<Line>,
}

impl Catalog {
    /// What the names of a statement mean.
    ///
    /// # Errors
    /// The refusal of the operation that needed the answer.
    pub(crate) async fn meanings<P: Ports>(
        &mut self,
        session: &mut Session<P>,
        target: &PostgresTarget,
        bind: &Bind,
        limits: &Limits,
    ) -> Result<Vec<Meaning>, Refusal> {
        self.ask(session, target, bind, limits, read_meanings).await
    }

    /// What objects are defined as, sorted.
    ///
    /// # Errors
    /// As [`Catalog::meanings`].
    pub(crate) async fn definitions<P: Ports>(
        &mut self,
        session: &mut Session<P>,
        target: &PostgresTarget,
        objects: &[TouchedObject],
        limits: &Limits,
    ) -> Result<Vec<ObjectVersion>, Refusal> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let bind = Bind::definitions(objects);
        let mut found = self.ask(session, target, &bind, limits, read_definitions).await?;
        found.sort();
        Ok(found)
    }

    async fn ask<P: Ports, T>(
        &mut self,
        session: &mut Session<P>,
        target: &PostgresTarget,
        bind: &Bind,
        limits: &Limits,
        read: Read<T>,
    ) -> Result<Vec<T>, Refusal> {
        loop {
            let permit = session.catalog(bind.question().text).await?;
            let (line, fresh) = match self.line.take() {
                Some(line) => (line, false),
                None => match log_in(session, target, limits, &permit).await {
                    Ok(line) => (line, true),
                    Err(refusal) => {
                        session.not_sent(permit).await?;
                        return Err(refusal);
                    }
                },
            };
            let Some(found) = self.ask_on(line, fresh, session, permit, bind, limits).await? else {
                continue;
            };
            let mut rows = Vec::new();
            for messages in found {
                read(messages, &mut rows).map_err(|_| unavailable())?;
            }
            return Ok(rows);
        }
    }

    /// Closes the connection.
    pub(crate) async fn hang_up(self) {
        if let Some(line) = self.line {
            line.hang_up().await;
        }
    }

    /// `None` if the connection was kept from before and is dead.
    async fn ask_on<P: Ports>(
        &mut self,
        mut line: Line,
        fresh: bool,
        session: &mut Session<P>,
        permit: Recorded<Permit>,
        bind: &Bind,
        limits: &Limits,
    ) -> Result<Option<Vec<Bytes>>, Refusal> {
        let mut in_flight = match line.ask(permit, bind) {
            Ok(in_flight) => in_flight,
            Err(Mismatch(permit)) => {
                session.not_sent(*permit).await?;
                return Err(unavailable());
            }
        };
        let mut reply = Reply::to_catalog(MAX_ANSWER);
        let answer = timeout(limits.catalog, answer(&mut line, &mut reply)).await;
        let Ok(Ok((batches, last))) = answer else {
            session.abandon(in_flight).await?;
            return if fresh { Err(unavailable()) } else { Ok(None) };
        };
        let mut found = Vec::new();
        for taken in batches {
            let batch = in_flight.keep(Batch::new(taken.bytes, taken.rows))?;
            let recorded = session.reply(&mut in_flight, batch).await?;
            found.push(recorded.into_bytes());
        }
        let batch = in_flight.keep(Batch::new(last.bytes, last.rows))?;
        let recorded = session.finish(in_flight, batch, &reply.completion).await?;
        found.push(recorded.into_bytes());
        if let Some(code) = &reply.completion.error_code {
            warn!(code, "the catalog of the target refused the question");
            return Err(Refusal::denied(
                Reason::Unresolved,
                "the target's catalog could not be asked for its names",
            ));
        }
        line.rest();
        self.line = Some(line);
        Ok(Some(found))
    }
}

async fn log_in<P: Ports>(
    session: &Session<P>,
    target: &PostgresTarget,
    limits: &Limits,
    permit: &Recorded<Permit>,
) -> Result<Line, Refusal> {
    let credential = session.redeem(permit).await?;
    let search_path = SearchPath::catalog().setting();
    // One plan for all questions: making one costs more than running it, and compiling it more still. A plan that
    // does not know how short the lists are would hash whole catalogs: by index it takes under half the time.
    let settings = [
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_seqscan", "off"),
        // Tables for hashing are made as large as the planner guesses too high, each time anew.
        ("work_mem", "64kB"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let role = target.role(Identity::Metadata, &session.facts().principal);
    let role =
        role.ok_or_else(|| Refusal::denied(Reason::TargetUnavailable, "the target has no metadata role"))?;
    let login = Login { target, role, search_path: &search_path, settings: &settings, patience: limits.dial };
    match dial(login, permit, credential).await {
        Ok((line, _)) => Ok(line),
        Err(error) => {
            warn!(%error, "the catalog connection failed");
            Err(unavailable())
        }
    }
}

/// The whole answer: its batches, and the one that ends it.
async fn answer(line: &mut Line, reply: &mut Reply) -> Result<(Vec<Taken>, Taken), LineError> {
    line.flush().await?;
    let (mut batches, mut size) = (Vec::new(), 0);
    loop {
        match line.take(reply)? {
            Some(taken) if taken.end.is_some() => return Ok((batches, taken)),
            Some(taken) => {
                size += taken.bytes.len();
                if size > MAX_ANSWER {
                    return Err(Broken::TooLarge.into());
                }
                batches.push(taken);
            }
            None if line.fill().await? => {}
            None => return Err(Broken::Fatal.into()),
        }
    }
}

fn unavailable() -> Refusal {
    Refusal::denied(Reason::TargetUnavailable, "the target's catalog cannot be reached")
}
