//! One connection from its first byte to its last: who comes, what it may open, then one operation after another.
//!
//! What the target sends while no operation runs is not forwarded: nobody asked for it, and nothing recorded it.

mod approved;
mod cancelling;
mod ending;
mod exchange;
mod extended;
mod holding;
mod meaning;
mod pipeline;
mod refusing;
mod relay;
mod sending;
mod showing;
mod waiting;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use countersign_gate::{
    Batch, CloseReason, Completion, OpenRequest, Permit, Recorded, Session, Step,
    ports::{Credential, Ports},
};
use countersign_model::{DataClass, Identity, Reason, Refusal, SessionId};
use rustls::ServerConfig;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tracing::{debug, info, warn};

use crate::{
    Limits, PostgresTarget, TargetDirectory,
    arrival::{Arrival, Departed, arrive},
    cancels::{Cancellable, Cancels},
    catalog::Catalog,
    client::Client,
    codec::{backend::Status, encode, startup::CancelKey},
    line::{DialError, Greeting, Line, Login, dial},
    masking::Look,
    outlook::Outlook,
    prepared::Prepared,
    sqlstate::{self, Phase},
    stop::{Stop, told},
    tracked::Tracked,
    transaction::Transaction,
};
use ending::Ending;
use meaning::Fresh;
use pipeline::Pipeline;

/// Serves one connection.
///
/// `tls` is this edge's own certificate. `ending` holds `None` until the edge wants its sessions to end; a dropped
/// sender means the same as a drain. `cancels` is one for all connections of the edge: a request to cancel comes on
/// another connection than the session that it is for. Errors go to the client, the recording and the log; there is
/// nothing to return.
///
/// The future is not `Send`: run it with `spawn_local` on a current-thread runtime. Not cancel safe: a session that
/// is dropped has no closing record.
pub async fn serve<P: Ports, D: TargetDirectory>(
    tcp: TcpStream,
    tls: Arc<ServerConfig>,
    ports: Arc<P>,
    targets: &D,
    limits: &Limits,
    cancels: &Arc<Cancels>,
    mut ending: watch::Receiver<Option<CloseReason>>,
) {
    // Each phase in a box of its own: what a handshake needs is given back before the session waits for hours.
    let address = tcp.peer_addr().ok().map(|address| address.ip());
    let Some(arrival) = Box::pin(await_arrival(tcp, tls, limits, cancels, &mut ending)).await else { return };
    let door = Door { targets, limits, cancels };
    let Some(driver) = Box::pin(open(arrival, address, ports, door, ending)).await else { return };
    driver.run().await;
}

/// Waits for a client with a token, unless the edge ends first.
async fn await_arrival(
    tcp: TcpStream,
    tls: Arc<ServerConfig>,
    limits: &Limits,
    cancels: &Cancels,
    ending: &mut watch::Receiver<Option<CloseReason>>,
) -> Option<Arrival> {
    let arrived = tokio::select! {
        arrived = timeout(limits.login, arrive(tcp, tls, limits)) => arrived,
        reason = told(ending) => {
            debug!(reason = reason.as_str(), "a client came too late");
            return None;
        }
    };
    match arrived {
        Ok(Ok(arrival)) => return Some(arrival),
        Ok(Err(Departed::Left)) => {}
        Ok(Err(Departed::Cancels(key, asker))) => {
            cancels.cancel(key).await;
            asker.dismiss().await;
        }
        Ok(Err(error)) => debug!(%error, "a client went before its login"),
        Err(_) => debug!("a client did not log in in time"),
    }
    None
}

/// What a session is opened with.
struct Door<'a, D> {
    targets: &'a D,
    limits: &'a Limits,
    cancels: &'a Arc<Cancels>,
}

/// Opens the session, logs in to the target, and lets the client in.
async fn open<'a, P: Ports, D: TargetDirectory>(
    arrival: Arrival,
    address: Option<IpAddr>,
    ports: Arc<P>,
    door: Door<'a, D>,
    ending: watch::Receiver<Option<CloseReason>>,
) -> Option<Box<Driver<'a, P>>> {
    let limits = door.limits;
    let Arrival { mut client, startup, target, token } = arrival;
    let request = OpenRequest { token, target, client: address, client_user: startup.user };
    let (session, permit) = match Session::open(ports, request).await {
        Ok(opened) => opened,
        Err(refusal) => {
            info!(reason = %refusal.reason, "a login was refused");
            client.close(last_words(&refusal, Phase::Login)).await;
            return None;
        }
    };
    let tracked = Tracked::new(startup.settings);
    let settings = tracked.known().unwrap_or_default();
    let opening = Opening { session, permit, settings: &settings, limits };
    match opening.connect(door.targets).await {
        Ok((session, upstream)) => {
            let cancel = door.cancels.register();
            if client.write(&welcome(&upstream.greeting, cancel.key)).await.is_ok() {
                let wish = Wish { tracked, wait: startup.wait, cancel };
                let ends = Ends { client, session, upstream };
                return Some(Box::new(Driver::new(ends, wish, door.targets, limits, ending)));
            }
            upstream.line.hang_up().await;
            session.close(CloseReason::Client).await;
        }
        Err((session, refusal, reason)) => {
            let refusal = Refusal { session: Some(session.facts().session), ..refusal };
            session.close(reason).await;
            client.close(last_words(&refusal, Phase::Login)).await;
        }
    }
    None
}

/// A session whose Connect is permitted and not yet done.
struct Opening<'a, P: Ports> {
    session: Session<P>,
    permit: Recorded<Permit>,
    settings: &'a [(String, String)],
    limits: &'a Limits,
}

/// What the client brought, for the whole of the session.
struct Wish {
    tracked: Tracked,
    wait: Option<Duration>,
    cancel: Cancellable,
}

/// A target that the session is logged in to.
struct Upstream {
    line: Line,
    greeting: Greeting,
    target: Arc<PostgresTarget>,
    expires_at: SystemTime,
}

impl<P: Ports> Opening<'_, P> {
    /// Redeems the permit for a credential, logs in with it, and records how that went.
    async fn connect<D: TargetDirectory>(
        self,
        targets: &D,
    ) -> Result<(Session<P>, Upstream), (Session<P>, Refusal, CloseReason)> {
        let Some(target) = targets.find(&self.session.facts().target) else {
            let refusal = Refusal::denied(Reason::UnknownTarget, "there is no such target");
            return Err(self.give_up(refusal, CloseReason::Refused).await);
        };
        let credential = match self.session.redeem(&self.permit).await {
            Ok(credential) => credential,
            Err(refusal) => return Err(self.give_up(refusal, CloseReason::Refused).await),
        };
        let expires_at = credential.expires_at();
        match self.dial(&target, credential).await {
            Ok((line, greeting)) => {
                let session = self.finish(None).await?;
                Ok((session, Upstream { line, greeting, target, expires_at }))
            }
            Err(error) => {
                warn!(%error, session.id = %self.session.facts().session, "the target could not be logged in to");
                let session = self.finish(Some(error.code().to_owned())).await?;
                Err((session, refusal_of(&error), CloseReason::Target))
            }
        }
    }

    async fn dial(
        &self,
        target: &PostgresTarget,
        credential: Credential,
    ) -> Result<(Line, Greeting), DialError> {
        let search_path = target.search_path.setting();
        let role = target.role(Identity::Standing, &self.session.facts().principal);
        let role = role.ok_or(DialError::Identity)?;
        let (settings, patience) = (self.settings, self.limits.dial);
        let login = Login { target, role, search_path: &search_path, settings, patience };
        dial(login, &self.permit, credential).await
    }

    async fn give_up(mut self, refusal: Refusal, reason: CloseReason) -> (Session<P>, Refusal, CloseReason) {
        match self.session.not_sent(self.permit).await {
            Ok(()) => (self.session, refusal, reason),
            Err(refusal) => (self.session, refusal, CloseReason::Journal),
        }
    }

    /// The outcome of the Connect: it has no bytes of its own, so the permit is given up for nothing but that.
    async fn finish(
        mut self,
        error_code: Option<String>,
    ) -> Result<Session<P>, (Session<P>, Refusal, CloseReason)> {
        let identity = self.permit.identity();
        let recorded = match self.permit.release(identity) {
            Err(_) => Err(Refusal::denied(Reason::TargetUnavailable, "the target cannot be logged in to")),
            Ok(released) => match released.in_flight.keep(Batch::default()) {
                Err(refusal) => Err(refusal),
                Ok(nothing) => {
                    let completion = Completion { error_code, ..Completion::default() };
                    self.session.finish(released.in_flight, nothing, &completion).await.map(drop)
                }
            },
        };
        match recorded {
            Ok(()) => Ok(self.session),
            Err(refusal) => Err((self.session, refusal, CloseReason::Journal)),
        }
    }
}

/// What the client may know of a failed login: whose doing it is, and no more.
fn refusal_of(error: &DialError) -> Refusal {
    let message = match error {
        DialError::Refused(_) => "the target refused the login of the edge",
        _ => "the target cannot be reached",
    };
    Refusal::denied(Reason::TargetUnavailable, message)
}

/// `AuthenticationOk`, what the target said of itself, the key to cancel by, and `ReadyForQuery`.
fn welcome(greeting: &Greeting, key: CancelKey) -> BytesMut {
    let mut out = BytesMut::new();
    encode::authenticated(&mut out);
    for (name, value) in &greeting.parameters {
        encode::parameter_status(&mut out, name, value);
    }
    encode::key_data(&mut out, key);
    encode::ready(&mut out, Status::Idle);
    out
}

fn last_words(refusal: &Refusal, phase: Phase) -> BytesMut {
    let mut out = BytesMut::new();
    sqlstate::encode_fatal(&mut out, refusal, phase);
    out
}

/// A session and both its ends.
struct Ends<P: Ports> {
    client: Client,
    session: Session<P>,
    upstream: Upstream,
}

/// An open session with both its ends.
struct Driver<'a, P: Ports> {
    client: Client,
    session: Session<P>,
    /// What operations go to: the standing connection, or the one of an approved operation until its transaction ends.
    line: Line,
    /// What names mean on that connection.
    outlook: Outlook,
    /// The standing connection and its outlook, while the other one is in its place.
    resting: Option<(Line, Outlook)>,
    catalog: Catalog,
    target: Arc<PostgresTarget>,
    /// Where the target's data classes are found as they are now: a tag counts from the next operation on.
    targets: &'a dyn TargetDirectory,
    classes: Arc<[DataClass]>,
    look: Rc<Look>,
    /// The target can be used as it is configured now.
    is_known: bool,
    /// Tags whose relations are not there, by their numbers: it was said.
    missing: BTreeSet<usize>,
    limits: &'a Limits,
    stop: Stop,
    transaction: Transaction<Step>,
    tracked: Tracked,
    /// How long the client waits for people; `None`: as long as they have.
    wait: Option<Duration>,
    cancel: Cancellable,
    /// After an error in the extended protocol, until `Sync`.
    ignoring: bool,
    prepared: Prepared,
    pipeline: Pipeline,
    /// What the names of the statement at hand mean, for as long as that cannot have changed.
    fresh: Option<Fresh>,
}

impl<'a, P: Ports> Driver<'a, P> {
    fn new(
        ends: Ends<P>,
        wish: Wish,
        targets: &'a dyn TargetDirectory,
        limits: &'a Limits,
        ending: watch::Receiver<Option<CloseReason>>,
    ) -> Self {
        let Ends { client, session, upstream } = ends;
        let Upstream { line, target, expires_at, .. } = upstream;
        let Wish { tracked, wait, cancel } = wish;
        let deadline = session.facts().deadline.min(expires_at);
        Self {
            stop: Stop::new(deadline, limits.grace, ending, session.ended()),
            catalog: Catalog::default(),
            outlook: Outlook::default(),
            resting: None,
            transaction: Transaction::default(),
            ignoring: false,
            prepared: Prepared::default(),
            pipeline: Pipeline::default(),
            fresh: None,
            // Taken in before the first operation.
            classes: Arc::default(),
            look: Rc::default(),
            is_known: true,
            missing: BTreeSet::new(),
            targets,
            client,
            session,
            line,
            target,
            limits,
            tracked,
            wait,
            cancel,
        }
    }

    /// One message after another until something ends it; then both sides are told and the recording is closed.
    async fn run(mut self: Box<Self>) {
        let id = self.session.facts().session;
        info!(session.id = %id, session.target = %self.session.facts().target, "session open");
        let ending = loop {
            if let Err(ending) = self.step().await {
                break ending;
            }
        };
        Box::pin(self.end(id, ending)).await;
    }

    async fn end(self: Box<Self>, id: SessionId, ending: Ending) {
        info!(session.id = %id, reason = ending.reason().as_str(), cause = %ending, "session closed");
        let Self { client, session, line, resting, catalog, .. } = *self;
        line.hang_up().await;
        if let Some((standing, _)) = resting {
            standing.hang_up().await;
        }
        catalog.hang_up().await;
        session.close(ending.reason()).await;
        if let Some(last) = ending.last_words(id) {
            client.close(last).await;
        }
    }
}

#[cfg(test)]
mod tests;
