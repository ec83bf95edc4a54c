//! Where the client's transaction is, and whether it could be begun anew on another connection.
//!
//! The client sees one transaction. On the target it may not have begun yet (BEGIN goes out with the first operation),
//! be open on the standing connection, or on the one that an approved operation was given. What would begin it anew is
//! the list of its steps: BEGIN, savepoints, local settings. That is the same transaction only as long as nothing was
//! done in it but reading.

use countersign_model::{Action, Fact};
use countersign_sql::{Analysis, TransactionControl};

use crate::{codec::backend::Status, tracked};

/// Steps of one transaction that are kept; longer ones cannot be moved.
const MAX_STEPS: usize = 256;

/// Where the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// There is none.
    #[default]
    None,
    /// The client began it; the target does not know.
    Begun,
    /// Open on the standing connection.
    Standing,
    /// Open on the connection of an approved operation.
    Approved,
}

/// The transaction of a session. What a step is, is the gate's to say.
#[derive(Debug)]
pub(crate) struct Transaction<S> {
    place: Place,
    failed: bool,
    steps: Vec<S>,
    /// Why it cannot be begun anew elsewhere.
    bound: Option<&'static str>,
}

impl<S> Default for Transaction<S> {
    fn default() -> Self {
        Self { place: Place::None, failed: false, steps: Vec::new(), bound: None }
    }
}

impl<S: Clone> Transaction<S> {
    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// As `ReadyForQuery` says it to the client.
    pub(crate) fn status(&self) -> Status {
        match (self.place, self.failed) {
            (Place::None, _) => Status::Idle,
            (_, false) => Status::Transaction,
            (_, true) => Status::Failed,
        }
    }

    /// What has to go before the next operation, which is everything if the target knows nothing of it.
    pub(crate) fn preamble(&self) -> Vec<S> {
        if self.place == Place::Begun { self.steps.clone() } else { Vec::new() }
    }

    /// The client began it, and the target is not told yet.
    pub(crate) fn begin_here(&mut self, step: S) {
        *self = Self { place: Place::Begun, steps: vec![step], ..Self::default() };
    }

    /// The client ended it, and the target never knew.
    pub(crate) fn end_here(&mut self) {
        *self = Self::default();
    }

    /// Why it cannot move to another connection now.
    pub(crate) fn bound(&self) -> Option<&'static str> {
        if self.failed { Some("the transaction has failed") } else { self.bound }
    }

    /// It was rolled back on the standing connection, to be begun anew elsewhere: the client still sees it open.
    pub(crate) fn withdrawn(&mut self) {
        self.place = Place::Begun;
    }

    /// The target says what became of an operation, which ran on the approved connection or on the standing one.
    pub(crate) fn after(&mut self, ran: &Ran<'_, S>, on: Place) {
        match ran.status {
            Status::Idle => *self = Self::default(),
            status => {
                let before = std::mem::replace(&mut self.place, on);
                self.failed = status == Status::Failed;
                if self.bound.is_none() {
                    self.bound = ran.binds(before);
                }
                // A step that failed did nothing, and the next ROLLBACK TO undoes that it was tried.
                if let Some(step) = ran.step.as_ref().filter(|_| !self.failed) {
                    self.push(step.clone());
                }
            }
        }
    }

    /// The open transaction was failed on purpose, on the standing connection or on the approved one.
    pub(crate) fn fail(&mut self, on: Place) {
        (self.place, self.failed) = (on, true);
    }

    fn push(&mut self, step: S) {
        if self.steps.len() < MAX_STEPS {
            self.steps.push(step);
        } else {
            self.bound = Some("the transaction has too many savepoints and settings");
        }
    }
}

/// An operation that was answered to its end.
#[derive(Debug)]
pub(crate) struct Ran<'a, S> {
    pub(crate) analysis: &'a Analysis,
    /// Of what it touched nothing was more than read.
    pub(crate) only_reads: bool,
    /// The operation as a step, if it is one.
    pub(crate) step: Option<S>,
    pub(crate) status: Status,
}

impl<S> Ran<'_, S> {
    /// Why a transaction that this was a part of cannot be begun anew elsewhere.
    fn binds(&self, before: Place) -> Option<&'static str> {
        let several = self.analysis.statements.len() > 1;
        let mut controls = self.analysis.statements.iter().filter_map(|s| s.transaction.as_ref());
        if controls.clone().any(ends) || (several && controls.next().is_some()) {
            return Some("a string of several statements, or AND CHAIN, began the transaction");
        }
        if before == Place::None && self.step.is_none() {
            return Some("it is not known how the transaction began");
        }
        if tracked::changes_session(self.analysis) {
            return Some("a setting of the session was changed in the transaction");
        }
        (!self.only_reads).then_some("more than reading was done in the transaction")
    }
}

/// Whether an operation with these facts only reads.
pub(crate) fn only_reads(facts: &[Fact]) -> bool {
    facts.iter().all(|fact| match fact.action {
        Action::PostgresEvaluate
        | Action::PostgresSelect
        | Action::Unmask
        | Action::PostgresShow
        | Action::PostgresTransaction
        | Action::PostgresSet => true,
        Action::Connect
        | Action::Unparsed
        | Action::PostgresInsert
        | Action::PostgresUpdate
        | Action::PostgresDelete
        | Action::PostgresCall
        | Action::PostgresCreate
        | Action::PostgresDo
        | Action::PostgresLock => false,
    })
}

/// COMMIT or ROLLBACK after which a transaction is open all the same.
fn ends(control: &TransactionControl) -> bool {
    matches!(control, TransactionControl::Commit { .. } | TransactionControl::Rollback { .. })
}

/// Whether a string ends a transaction and may then be in another: AND CHAIN, or more behind COMMIT or ROLLBACK. What
/// was approved is one transaction, so its connection must not be in the next.
pub(crate) fn outlives_end(analysis: &Analysis) -> bool {
    let last = analysis.statements.len().saturating_sub(1);
    analysis.statements.iter().enumerate().any(|(place, statement)| match &statement.transaction {
        Some(TransactionControl::Commit { chain } | TransactionControl::Rollback { chain }) => {
            *chain || place < last
        }
        _ => false,
    })
}

/// What a string that can be answered without the target does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// Begins a transaction: answer with this tag.
    Begin(&'static str),
    /// Ends one of which the target knows nothing.
    End(&'static str),
}

/// Whether the string can be answered here, given where the transaction is.
pub(crate) fn local(analysis: &Analysis, text: &[u8], place: Place) -> Option<Local> {
    let [statement] = analysis.statements.as_slice() else { return None };
    match (place, statement.transaction.as_ref()?) {
        (Place::None, TransactionControl::Begin(_)) => {
            let word = text.get(statement.span.clone()).unwrap_or_default();
            Some(Local::Begin(if starts_with_start(word) { "START TRANSACTION" } else { "BEGIN" }))
        }
        (Place::Begun, TransactionControl::Commit { chain: false }) => Some(Local::End("COMMIT")),
        (Place::Begun, TransactionControl::Rollback { chain: false }) => Some(Local::End("ROLLBACK")),
        _ => None,
    }
}

/// PostgreSQL answers with the words that began the transaction. Behind a comment they are not looked for.
fn starts_with_start(statement: &[u8]) -> bool {
    let word = statement.trim_ascii_start().get(..5);
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"start"))
}

#[cfg(test)]
mod tests;
