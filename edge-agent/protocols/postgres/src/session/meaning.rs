//! What the names of an operation mean, asked of the catalog when that has to be known again.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use countersign_gate::ports::Ports;
use countersign_model::{Fact, Identity, OperationContext, Reason, Refusal, ResolvedName};
use countersign_sql::{Clouds, Inquiry, Sight, TouchedObject, clouds, context};
use tokio::time::timeout;

use super::{Driver, ending::Ending, exchange::Read, sending::timed_out};
use crate::{
    codec::backend::Status,
    masking::Tags,
    outlook::View,
    question::{Bind, Meaning},
    transaction::{Place, only_reads},
};

/// What an operation means for an identity.
#[derive(Clone)]
pub(super) struct Meant {
    pub(super) facts: Vec<Fact>,
    /// Sorted.
    pub(super) names: Rc<[ResolvedName]>,
    /// What of it is tagged.
    pub(super) tags: Rc<Tags>,
    pub(super) objects: Vec<TouchedObject>,
    /// When the catalog was asked.
    asked_at: Instant,
}

/// What a text was found to mean, for as long as that cannot have changed: it was prepared a moment ago and comes to
/// be executed with nothing in between, or it has just been executed in the transaction that is still open, whose
/// locks hold what it touches in place.
pub(crate) struct Fresh {
    text: Bytes,
    line: u64,
    meant: Meant,
}

/// For how long a meaning may be used again: what it rests on may have been waited for, behind somebody's lock.
const FRESHNESS: Duration = Duration::from_millis(100);

/// What an operation does to what is known of its session, once it was sent.
pub(super) struct Sent {
    /// Why names may mean something else after it than the catalog says.
    pub(super) clouds: Clouds,
    pub(super) only_reads: bool,
    /// What it means.
    pub(super) meant: Meant,
}

impl Sent {
    pub(super) fn new(meant: Meant) -> Self {
        Self { clouds: clouds(&meant.facts), only_reads: only_reads(&meant.facts), meant }
    }
}

impl<P: Ports> Driver<'_, P> {
    /// Resolves every name of the text for an identity, asking the catalog at most once.
    pub(super) async fn mean(&mut self, read: &Read, identity: Identity) -> Result<Meant, Refusal> {
        // A connection that is yet to be made has the outlook of its login.
        let is_here = identity == self.line.identity();
        let sight = if is_here { self.outlook.sight() } else { Sight::Clear };
        let role = self.target.role(identity, &self.session.facts().principal);
        let role = role.ok_or_else(|| no_role(identity))?;
        let login = || View { role: role.to_owned(), path: self.target.search_path.effective(role) };
        let view = if is_here { self.outlook.view().cloned() } else { None }.unwrap_or_else(login);
        let inquiry = Inquiry::of(&read.analysis, &self.target.database, sight)?.on_path(&view.path);
        let (mut names, mut tags, asked_at) = (Vec::new(), Vec::new(), Instant::now());
        let classes = self.classes.clone();
        if !inquiry.is_empty() {
            let bind = Bind::meanings(&view.role, &view.path, inquiry.names()).and_tags(&classes);
            let found = self.catalog.meanings(&mut self.session, &self.target, &bind, self.limits).await?;
            for meaning in found {
                match meaning {
                    Meaning::Name(name) => names.push(name),
                    Meaning::Tag(row) => tags.push(row),
                }
            }
            names.sort();
        }
        let mut facts = inquiry.facts(&names)?;
        let tags = Tags::new(tags, &classes, &facts, &names);
        self.note_missing(&tags);
        facts.extend(tags.classes().iter().map(|class| Fact::unmask(class.clone())));
        let objects = inquiry.objects(&names);
        Ok(Meant { facts, names: names.into(), tags: Rc::new(tags), objects, asked_at })
    }

    /// Asks the target what names mean in the session now, if that may have changed and can be told.
    pub(super) async fn look_around(&mut self) -> Result<(), Ending> {
        let status = self.transaction.status();
        // What the target knows nothing of yet has changed nothing.
        let begun = self.transaction.place() == Place::Begun;
        if self.pipeline.is_open() || begun || !self.outlook.may_clear(status) {
            return Ok(());
        }
        let asking = timeout(self.limits.catalog, self.line.ask_outlook(self.limits.max_message));
        let seen = timed_out(asking.await)?;
        self.outlook.clears(seen, status);
        Ok(())
    }

    /// Whether names mean what they meant at the login: only then can an operation run on another connection, and only
    /// that the control plane can check.
    pub(super) fn looks_as_at_login(&self) -> bool {
        let role = self.target.role(self.line.identity(), &self.session.facts().principal);
        let as_at_login = |view: &View| {
            role.is_some_and(|role| view.role == role && view.path == self.target.search_path.effective(role))
        };
        self.outlook.sight() == Sight::Clear && self.outlook.view().is_none_or(as_at_login)
    }

    /// What the text is known to mean without asking again. Used up by this.
    pub(super) fn still_fresh(&mut self, read: &Read) -> Option<Meant> {
        let fresh = self.fresh.take()?;
        let same = read.execution.is_some()
            && self.outlook.sight() == Sight::Clear
            && fresh.line == self.line.serial()
            && fresh.meant.asked_at.elapsed() < FRESHNESS
            && fresh.text == read.text;
        same.then_some(fresh.meant)
    }

    /// Nothing that the text touches can change before the client's next message has been read.
    pub(super) fn keep_fresh(&mut self, text: &Bytes, meant: Meant) {
        self.fresh = Some(Fresh { text: text.clone(), line: self.line.serial(), meant });
    }

    /// What policy sees as context.
    pub(super) fn context(&self, read: &Read) -> OperationContext {
        context(&read.analysis, self.transaction.status() != Status::Idle)
    }
}

pub(super) fn no_role(identity: Identity) -> Refusal {
    let reason = match identity {
        Identity::Approved => Reason::ApprovalUnavailable,
        Identity::Standing | Identity::Metadata => Reason::TargetUnavailable,
    };
    Refusal::denied(reason, "the target has no role for this caller")
}
