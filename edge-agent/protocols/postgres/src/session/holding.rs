//! An operation that policy holds: carried to where it would run, shown to people, and sent once they agree.
//!
//! Before anybody is asked the edge makes sure that the operation can run where approved operations run: an open
//! transaction is given up on the standing connection, so that nothing of it blocks the other one while people think.

use countersign_gate::{Again, Held, Holdable, Step, ports::Ports};
use countersign_model::{ApprovalOutcome, Identity, Reason, Refusal, RefusalKind, Resolution};
use countersign_sql::keeps_session_state;
use tokio::time::timeout;
use tracing::info;

use super::{
    Driver,
    ending::Ending,
    exchange::Read,
    meaning::{Meant, Sent, no_role},
    waiting::Waited,
};
use crate::{
    ApprovedOn,
    codec::backend::Status,
    line::LineError,
    transaction::{Place, outlives_end},
};

/// Why nobody is asked.
enum Halt {
    /// The operation is refused and the session goes on.
    Refused(Refusal),
    /// The session cannot go on.
    Ended(Ending),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<P: Ports> Driver<'_, P> {
    /// Everything that becomes of an operation that policy holds.
    pub(super) async fn hold(&mut self, read: &Read, holdable: Holdable) -> Result<(), Ending> {
        let identity = match self.target.approved_on {
            ApprovedOn::OwnConnection => Identity::Approved,
            ApprovedOn::SameConnection => Identity::Standing,
        };
        let resolution = match self.make_ready(read, &holdable, identity).await {
            Ok(resolution) => resolution,
            Err(Halt::Refused(refusal)) => {
                let refusal = self.session.refuse_held(holdable, refusal).await;
                return self.turned_down(&refusal, read.way).await;
            }
            Err(Halt::Ended(ending)) => {
                let refusal =
                    Refusal::denied(Reason::TargetUnavailable, "the connection to the target was lost");
                self.session.refuse_held(holdable, refusal).await;
                return Err(ending);
            }
        };
        let preamble = self.transaction.preamble();
        let held = match self.session.hold(holdable, preamble, resolution, identity).await {
            Ok(held) => held,
            Err(refusal) => return self.turned_down(&refusal, read.way).await,
        };
        info!(approval = %held.approval(), operation = %held.operation(), "an operation waits for approval");
        match self.wait_for(&held).await {
            Waited::Decided(outcome) => self.decided(read, held, &outcome, identity).await,
            Waited::GaveUp(refusal) => {
                let refusal = self.session.withdraw(held, refusal).await;
                self.turned_down(&refusal, read.way).await
            }
            Waited::Ended(ending) => {
                self.session.withdraw(held, cancelled()).await;
                Err(ending)
            }
        }
    }

    /// Makes sure that the operation can run as `identity`, and says what it means there.
    async fn make_ready(
        &mut self,
        read: &Read,
        holdable: &Holdable,
        identity: Identity,
    ) -> Result<Resolution, Halt> {
        if identity == Identity::Approved && self.target.roles.approved.is_none() {
            let message =
                "this needs an approval, and the target has no identity that approved operations run as";
            return Err(Refusal::denied(Reason::ApprovalUnavailable, message).into());
        }
        let settings =
            self.movable(read).map_err(|message| Refusal::denied(Reason::SessionState, message))?;
        let moves = identity == Identity::Approved
            && !self.is_on_approved()
            && (self.transaction.place() == Place::Standing || self.pipeline.is_open());
        if self.pipeline.is_open() && moves {
            // What it has done so far is reading, and none of its portals is open.
            let ending = timeout(self.limits.catalog, self.line.resynchronise(self.limits.max_message));
            timed(ending.await)?;
            self.pipeline_moved();
        }
        let is_read_committed = !moves || self.is_read_committed().await?;
        if !is_read_committed {
            let message = "this needs an approval, and a transaction that is more isolated than READ COMMITTED \
                           cannot be carried to the connection for it";
            return Err(Refusal::denied(Reason::SessionState, message).into());
        }
        let meant = self.mean(read, identity).await?;
        if meant.facts != holdable.facts() {
            let message = "the statement means something else to the role that approved operations run as";
            return Err(Refusal::denied(Reason::Unresolved, message).into());
        }
        let resolution = self.resolution(meant, identity, settings).await?;
        if self.transaction.place() == Place::Standing && moves {
            let rolling_back = timeout(self.limits.catalog, self.line.roll_back(self.limits.max_message));
            timed(rolling_back.await)?;
            self.transaction.withdrawn();
        }
        Ok(resolution)
    }

    /// The settings that the operation would find; or why it cannot be carried to another connection.
    fn movable(&self, read: &Read) -> Result<Vec<(String, String)>, &'static str> {
        let own_connection = self.target.approved_on == ApprovedOn::OwnConnection;
        if self.transaction.status() == Status::Failed {
            return Err("this needs an approval, and the transaction has failed");
        }
        if !self.looks_as_at_login() {
            return Err(
                "this needs an approval, and names do not mean in this session what they meant at its login",
            );
        }
        if own_connection && outlives_end(&read.analysis) {
            return Err("this needs an approval, and it goes on behind the end of its transaction");
        }
        if keeps_session_state(&read.analysis) {
            return Err("this needs an approval, and it uses what belongs to one connection alone");
        }
        if own_connection && self.transaction.place() == Place::Standing && self.transaction.bound().is_some()
        {
            return Err(
                "this needs an approval, and more was done in the transaction than can be done again on the \
                        connection for it: begin the transaction with this",
            );
        }
        let moves = own_connection && !self.is_on_approved();
        if moves && self.pipeline.wrote() {
            return Err(
                "this needs an approval, and its pipeline has done more than reading: send a Sync first",
            );
        }
        if moves && self.prepared.has_open_portal() {
            return Err("this needs an approval, and rows of an earlier statement are still to be fetched");
        }
        self.tracked
            .known()
            .ok_or("this needs an approval, and it is not known any more how the session is set up")
    }

    async fn is_read_committed(&mut self) -> Result<bool, Halt> {
        let asking = timeout(self.limits.catalog, self.line.is_read_committed(self.limits.max_message));
        timed(asking.await)
    }

    async fn resolution(
        &mut self,
        meant: Meant,
        identity: Identity,
        settings: Vec<(String, String)>,
    ) -> Result<Resolution, Refusal> {
        let Self { catalog, session, target, limits, .. } = self;
        let objects = catalog.definitions(session, target, &meant.objects, limits).await?;
        let role = target.role(identity, &session.facts().principal);
        let role = role.ok_or_else(|| no_role(identity))?;
        Ok(Resolution {
            database: target.database.clone(),
            role: role.into(),
            search_path: target.search_path.effective(role),
            settings,
            names: meant.names.to_vec(),
            classes: meant.tags.classes().to_vec(),
            objects,
            in_transaction: self.transaction.status() != Status::Idle,
            preamble: self.transaction.preamble().iter().map(Step::text).collect(),
        })
    }

    /// People decided.
    async fn decided(
        &mut self,
        read: &Read,
        held: Held,
        outcome: &ApprovalOutcome,
        identity: Identity,
    ) -> Result<(), Ending> {
        info!(approval = %held.approval(), outcome = outcome.state.as_str(), "people have decided");
        let again = match Held::refused_by(outcome) {
            Some(refusal) => Err(refusal),
            None => self.look_again(read, identity).await,
        };
        let (again, meant) = match again {
            Ok(again) => again,
            Err(refusal) => {
                let refusal = self.session.withdraw(held, refusal).await;
                return self.turned_down(&refusal, read.way).await;
            }
        };
        let sent = Sent::new(meant);
        match self.session.release(held, outcome, again).await {
            Ok(permit) => self.run_approved(permit, read, sent).await,
            Err(refusal) => self.turned_down(&refusal, read.way).await,
        }
    }

    /// What the operation means now. A name that is gone is a change like any other.
    async fn look_again(&mut self, read: &Read, identity: Identity) -> Result<(Again, Meant), Refusal> {
        self.look_for_classes();
        let settings = self.tracked.known().unwrap_or_default();
        let meant = self.mean(read, identity).await.map_err(changed)?;
        let facts = meant.facts.clone();
        let resolution = self.resolution(meant.clone(), identity, settings).await.map_err(changed)?;
        Ok((Again { facts, context: self.context(read), resolution }, meant))
    }
}

fn changed(refusal: Refusal) -> Refusal {
    match refusal.reason {
        Reason::Unresolved => Refusal {
            kind: RefusalKind::Superseded,
            ..Refusal::denied(
                Reason::ObjectChanged,
                "something that this touches is gone since it was asked for",
            )
        },
        _ => refusal,
    }
}

/// The session ends, and with it the wait.
fn cancelled() -> Refusal {
    Refusal {
        kind: RefusalKind::Cancelled,
        ..Refusal::denied(Reason::ApprovalCancelled, "the session ended while this waited for approval")
    }
}

fn timed<T>(result: Result<Result<T, LineError>, tokio::time::error::Elapsed>) -> Result<T, Halt> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Halt::Ended(Ending::TargetGone(error))),
        Err(_) => Err(Halt::Ended(Ending::TargetGone(LineError::Io(std::io::ErrorKind::TimedOut.into())))),
    }
}
