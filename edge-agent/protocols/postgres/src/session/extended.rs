//! The extended query protocol: statements are prepared once they are decided, portals are kept here until they are
//! executed, and descriptions are told from what the target said when it prepared.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use countersign_gate::{Admission, Operation, Permit, Recorded, ports::Ports};
use countersign_model::{Binding, Identity, Reason, Refusal, ResolvedName};
use countersign_sql::{Analysis, Deallocated};

use super::{
    Driver,
    ending::Ending,
    exchange::{Execution, Read, Way, is_supported},
    meaning::Meant,
    refusing::unreadable,
    relay::Relayed,
    sending::misplaced,
};
use crate::{
    codec::{
        backend::Status,
        encode,
        extended::{Bind, Execute, Named, Parse},
    },
    line::Mismatch,
    prepared::{Description, Mistake, Portal, PortalState, Statement, Suspended, declarable},
    reply::{Broken, Reply, Tail, errors_and_notices},
    tracked::Left,
    transaction::Place,
};

impl<P: Ports> Driver<'_, P> {
    /// Parse.
    pub(super) async fn parse(&mut self, parse: Parse) -> Result<(), Ending> {
        self.fresh = None;
        let made_room = self.prepared.make_room(&parse);
        let Parse { name, text, types } = parse;
        match made_room {
            Ok(replaced) => replaced.into_iter().for_each(|old| self.forget(&old)),
            Err(mistake) => return self.mistaken(mistake, Way::Extended).await,
        }
        let types = Binding::declared(&types).declared_types();
        let analysis = match countersign_sql::analyse(&text, &self.limits.sql) {
            Ok(analysis) => Rc::new(analysis),
            Err(refused) => {
                let (refusal, words) = unreadable(&refused);
                return self.turn_down((text, None), refusal, words, Way::Extended).await;
            }
        };
        if analysis.statements.len() > 1 {
            return self.mistaken(Mistake::Several, Way::Extended).await;
        }
        if types.iter().any(|declared| *declared != 0 && !declarable(*declared)) {
            let message = "a type is declared for a parameter that is not one of the plain built-in ones: leave it \
                           open, and cast the parameter in the statement";
            let binding = Some(Binding::declared(&types));
            let refusal = Refusal::denied(Reason::Unresolved, message);
            return self.turn_down((text, binding), refusal, None, Way::Extended).await;
        }
        let raw = analysis.clone();
        let analysis = self.executing(&analysis);
        let read = Read { text, analysis, way: Way::Extended, execution: None };
        let prepared = if Statement::is_control(&read.analysis) {
            Some((Description::default(), None))
        } else {
            self.prepare(&read, &types).await?
        };
        if let Some((description, meant)) = prepared {
            match meant {
                Some(meant) => self.keep_fresh(&read.text, meant),
                None => self.fresh = None,
            }
            // What an EXECUTE in it stands for is looked up again whenever it is run.
            self.prepared.insert(name, Statement { text: read.text, analysis: raw, types, description });
            encode::bare(self.client.queue(), b'1');
        }
        Ok(())
    }

    /// Has a statement decided, and the target prepare it. `None` if that was refused, and the client told.
    async fn prepare(
        &mut self,
        read: &Read,
        types: &[u32],
    ) -> Result<Option<(Description, Option<Meant>)>, Ending> {
        if let Err(refusal) = is_supported(&read.analysis).and_then(|()| self.is_configured()) {
            return self.refuse(read, refusal).await.map(|()| None);
        }
        self.look_around().await?;
        let meant = match self.mean(read, self.line.identity()).await {
            Ok(meant) => meant,
            Err(refusal) => return self.refuse(read, refusal).await.map(|()| None),
        };
        let declared = Binding::declared(types);
        let operation = self.operation(read, meant.facts.clone(), &meant.tags, Some(&declared));
        let permit = match self.admit_part(operation.to_prepare(types)).await {
            Ok(permit) => permit,
            Err(refusal) => return self.turned_down(&refusal, Way::Extended).await.map(|()| None),
        };
        let tail = if self.pipeline.is_open() { Tail::Flush } else { Tail::Sync };
        let (in_flight, preparing) = match self.line.prepare(permit, tail) {
            Ok(queued) => queued,
            Err(Mismatch(permit)) => return Err(self.lost(*permit).await),
        };
        let reply = Reply::to_prepare(self.limits.max_message, tail).hiding_ready(true);
        let (relayed, kept) = self.keep(in_flight, reply).await?;
        self.client.queue().extend_from_slice(&errors_and_notices(&kept));
        if relayed.failed() {
            return self.preparing_failed(&relayed).await.map(|()| None);
        }
        let description = Description::read(&kept)
            .map_err(|malformed| Ending::TargetGone(Broken::Malformed(malformed).into()))?;
        self.line.prepared(preparing, meant.names.clone(), description.clone());
        Ok(Some((description, Some(meant))))
    }

    /// Admits what is a part of something else: preparing it, or more of its rows. People are not asked about parts.
    async fn admit_part(&mut self, operation: Operation) -> Result<Recorded<Permit>, Refusal> {
        let operation =
            if self.line.identity() == Identity::Approved { operation.on_approved() } else { operation };
        match self.session.admit(operation).await? {
            Admission::Permitted(permit) => Ok(permit),
            Admission::Held(holdable) => {
                let message = "policy changed, and now asks for an approval of what is already under way";
                let refusal = Refusal::denied(Reason::SessionState, message);
                Err(self.session.refuse_held(holdable, refusal).await)
            }
        }
    }

    /// The target refused to prepare a statement, and the client is told in its words.
    async fn preparing_failed(&mut self, relayed: &Relayed) -> Result<(), Ending> {
        let pipelined = self.pipeline.is_open();
        let status = self.status_after(relayed).await?;
        match self.transaction.place() {
            _ if pipelined => self.pipeline_ended(Left::RolledBack).await,
            Place::Begun => self.fail_what_is_open().await?,
            Place::Standing | Place::Approved if status == Some(Status::Failed) => {
                self.transaction.fail(self.place_of_line());
            }
            Place::None | Place::Standing | Place::Approved => {}
        }
        self.after_error(Way::Extended).await
    }

    /// Bind.
    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Ending> {
        match self.prepared.bind(bind) {
            Ok(replaced) => {
                replaced.into_iter().for_each(|portal| self.drop_portal(&portal));
                encode::bare(self.client.queue(), b'2');
                Ok(())
            }
            Err(mistake) => self.mistaken(mistake, Way::Extended).await,
        }
    }

    /// Describe.
    pub(super) async fn describe(&mut self, named: Named) -> Result<(), Ending> {
        let described = match named {
            Named::Statement(name) => self.prepared.statement(&name).map(|statement| {
                statement.description.encode(self.client.queue());
            }),
            Named::Portal(name) => self.prepared.portal(&name).map(|portal| {
                let Portal { statement, binding, .. } = portal;
                statement.description.encode_row(&binding.result_formats, self.client.queue());
            }),
        };
        match described {
            Ok(()) => Ok(()),
            Err(mistake) => self.mistaken(mistake, Way::Extended).await,
        }
    }

    /// Close. What is not there is closed already.
    pub(super) async fn close(&mut self, named: Named) -> Result<(), Ending> {
        match named {
            Named::Statement(name) => {
                if let Some(statement) = self.prepared.close_statement(&name) {
                    self.forget(&statement);
                }
            }
            Named::Portal(name) => {
                if let Some(portal) = self.prepared.close_portal(&name) {
                    self.drop_portal(&portal);
                }
            }
        }
        encode::bare(self.client.queue(), b'3');
        Ok(())
    }

    /// Execute.
    pub(super) async fn execute(&mut self, execute: Execute) -> Result<(), Ending> {
        let Execute { portal: name, row_limit } = execute;
        let portal = match self.prepared.portal(&name) {
            Ok(portal) => portal,
            Err(mistake) => return self.mistaken(mistake, Way::Extended).await,
        };
        let statement = portal.statement.clone();
        let binding = Binding { row_limit, ..portal.binding.clone() };
        match portal.state.clone() {
            PortalState::Done => match statement.nothing_more() {
                Some(tag) if self.transaction.status() != Status::Failed => {
                    encode::complete(self.client.queue(), tag);
                    Ok(())
                }
                _ => self.mistaken(Mistake::Done, Way::Extended).await,
            },
            PortalState::Suspended(suspended) => self.fetch(name, &statement, binding, suspended).await,
            PortalState::Bound => {
                let (text, analysis) = (statement.text.clone(), statement.analysis.clone());
                let execution = if Statement::is_control(&analysis) {
                    self.prepared.advance(&name, PortalState::Done);
                    None
                } else {
                    Some(Execution { portal: name, statement, binding })
                };
                self.carry_out(Read { text, analysis, way: Way::Extended, execution }).await
            }
        }
    }

    /// More rows of a portal that was executed in part: decided again, since policy may have changed.
    async fn fetch(
        &mut self,
        name: Bytes,
        statement: &Statement,
        binding: Binding,
        suspended: Suspended,
    ) -> Result<(), Ending> {
        if suspended.approved {
            return self.mistaken(Mistake::Portions, Way::Extended).await;
        }
        // What has to be covered in the rest of its rows was told by what was tagged when it began.
        if suspended.line != self.line.serial() || !Arc::ptr_eq(&suspended.classes, &self.classes) {
            return self.mistaken(Mistake::UnknownPortal, Way::Extended).await;
        }
        let (text, analysis) = (statement.text.clone(), statement.analysis.clone());
        let read = Read { text, analysis, way: Way::Extended, execution: None };
        let Suspended { facts, tags, .. } = &suspended;
        let operation = self.operation(&read, facts.clone(), tags, Some(&binding));
        let masker =
            self.masker(&read.analysis, tags).of_rows(statement.description.fields(&binding.result_formats));
        let permit = match self.admit_part(operation.to_fetch(binding)).await {
            Ok(permit) => permit,
            Err(refusal) => return self.turned_down(&refusal, Way::Extended).await,
        };
        let hides_ready = !self.client.take_sync();
        let tail = self.tail(hides_ready);
        let in_flight = match self.line.fetch(permit, suspended.name, tail) {
            Ok(in_flight) => in_flight,
            Err(Mismatch(permit)) => return Err(self.lost(*permit).await),
        };
        let columns = statement.description.column_names();
        let reply = Reply::to_execute(self.limits.max_message, tail, columns).hiding_ready(hides_ready);
        let relayed = self.relay(in_flight, reply, masker).await?;
        self.ignoring = hides_ready && relayed.failed();
        if !relayed.suspended {
            self.prepared.advance(&name, PortalState::Done);
            self.end_portal(suspended.name, &relayed);
        }
        self.after_part(&relayed).await
    }

    /// A portal of our name has been executed to its end. The client's name for it goes with the next Bind: a portal
    /// that stayed open at the target would keep in use what it has read, and a TRUNCATE would fail for it.
    pub(super) fn end_portal(&mut self, portal: u64, relayed: &Relayed) {
        if !relayed.failed() && relayed.status != Some(Status::Idle) {
            self.line.close_portal(portal);
        }
    }

    /// What a text does, given what was prepared by SQL on the connection of the moment. Nothing is known of that on one
    /// that goes with its transaction.
    pub(super) fn executing(&self, analysis: &Rc<Analysis>) -> Rc<Analysis> {
        if self.is_on_approved() { analysis.clone() } else { self.prepared.by_name.executing(analysis) }
    }

    /// Whether what an EXECUTE executes means what it meant when it was prepared: otherwise the target would do another
    /// thing than would be decided.
    pub(super) async fn executes_the_same(&mut self, read: &Read) -> Result<bool, Refusal> {
        let Some((analysis, names)) = self.prepared.by_name.executed_by(&read.analysis) else {
            return Ok(true);
        };
        let prepared = Read { text: Bytes::new(), analysis, way: read.way, execution: None };
        Ok(self.mean(&prepared, self.line.identity()).await?.names == names)
    }

    /// The statement of the extended protocol that a DEALLOCATE names: the target does not know it by that name. In a
    /// transaction that has failed the target refuses whatever it is.
    pub(super) fn deallocates_here(&self, analysis: &Analysis) -> Option<Bytes> {
        if self.transaction.status() == Status::Failed {
            return None;
        }
        let [statement] = analysis.statements.as_slice() else { return None };
        let Some(Deallocated::One(name)) = &statement.deallocates else { return None };
        let name = Bytes::copy_from_slice(name.as_bytes());
        self.prepared.statement(&name).is_ok().then_some(name)
    }

    /// Does what such a DEALLOCATE is permitted to do.
    pub(super) async fn deallocate_here(
        &mut self,
        permit: Recorded<Permit>,
        name: &Bytes,
        way: Way,
    ) -> Result<(), Ending> {
        const TAG: &str = "DEALLOCATE";
        self.session.answer_here(permit, TAG).await.map_err(Ending::Refused)?;
        if let Some(statement) = self.prepared.close_statement(name) {
            self.forget(&statement);
        }
        encode::complete(self.client.queue(), TAG);
        match way {
            Way::Simple => self.say_ready().await,
            Way::Extended => Ok(()),
        }
    }

    /// The target has done what a text says to the prepared statements of the session.
    pub(super) fn note_prepared(&mut self, analysis: &Analysis, names: &Rc<[ResolvedName]>) {
        let all = Some(&Deallocated::All);
        if analysis.statements.iter().any(|statement| statement.deallocates.as_ref() == all) {
            self.line.forget_statements();
            let closed = self.prepared.close_all_statements();
            if let Some((standing, _)) = &mut self.resting {
                closed.iter().for_each(|statement| standing.close_statement(statement));
            }
        }
        // What was prepared on a connection that goes with its transaction is not there afterwards.
        if !self.is_on_approved() {
            self.prepared.by_name.after(analysis, names);
        }
    }

    /// A simple query takes the place of the statement and the portal without a name.
    pub(super) fn drop_unnamed(&mut self) {
        let (statement, portal) = self.prepared.take_unnamed();
        if let Some(statement) = statement {
            self.forget(&statement);
        }
        if let Some(portal) = portal {
            self.drop_portal(&portal);
        }
    }

    /// Forgets a statement on every connection that has prepared it, unless another of the same bytes is there.
    pub(super) fn forget(&mut self, statement: &Statement) {
        if self.prepared.is_used(statement) {
            return;
        }
        self.line.close_statement(statement);
        if let Some((standing, _)) = &mut self.resting {
            standing.close_statement(statement);
        }
    }

    fn drop_portal(&mut self, portal: &Portal) {
        match &portal.state {
            PortalState::Suspended(suspended) if suspended.line == self.line.serial() => {
                self.line.close_portal(suspended.name);
            }
            _ => {}
        }
    }

    /// A permit that the connection does not take: nothing was sent, and the session cannot go on.
    async fn lost(&mut self, permit: Recorded<Permit>) -> Ending {
        match self.session.not_sent(permit).await {
            Ok(()) => Ending::Refused(misplaced()),
            Err(refusal) => Ending::Refused(refusal),
        }
    }
}
