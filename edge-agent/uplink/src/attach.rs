//! The edge's stream: hello, configuration, lease, outcomes of approvals, revocations. Kept up for as long as the edge
//! runs.
//!
//! A lease says that what is in force here is what the control plane last said. So it counts only on a stream whose
//! configurations were all taken: the first that is refused ends the stream, and an edge that can take none closes
//! when the lease that it has ends.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_model::{ApprovalOutcome, SessionId};
use countersign_pki::{Domain, verify};
use countersign_runtime::Backoff;
use countersign_spool::Spool;
use countersign_wire::v1::{self, control_message::Message as Control, edge_message::Message as Ours};
use prost::Message as _;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::{error, info, warn};

use crate::{
    Membership,
    channel::Link,
    configure,
    configure::InvalidConfiguration,
    in_force::InForce,
    outcomes::Outcomes,
    revocations::{Closing, Sessions},
};

/// Messages that may wait to be sent on the stream; a lease renewal every few seconds needs no more.
const QUEUED: usize = 8;

/// A stream on which nothing arrives for this long is given up: the keep-alive of HTTP/2 sees dead peers, this sees
/// stuck ones. Renewals are answered every third of a lease.
const SILENCE_LEASES: u32 = 1;

/// Sessions that were revoked and are not closed by then are not said to be.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// The edge that a stream speaks for.
pub(crate) struct Edge {
    pub(crate) membership: Arc<Membership>,
    pub(crate) boot_id: [u8; 16],
    pub(crate) recording_key: [u8; 32],
    pub(crate) in_force: Arc<InForce>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) outcomes: Arc<Outcomes>,
    pub(crate) spool: Spool,
}

/// Attaches, again and again, until the task is dropped.
pub(crate) async fn stay_attached(link: Link, edge: Edge) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        match attach(&link, &edge, &mut backoff).await {
            Ok(()) => info!("the control plane ended the stream"),
            Err(status) => warn!(code = ?status.code(), message = status.message(), "not attached"),
        }
        sleep(backoff.next_delay()).await;
    }
}

async fn attach(link: &Link, edge: &Edge, backoff: &mut Backoff) -> Result<(), Status> {
    let (messages, outgoing) = mpsc::channel(QUEUED);
    let mut stream = Stream::begin(edge);
    send(&messages, edge.hello()).await?;
    let attached = link.edge_service().attach(ReceiverStream::new(outgoing)).await;
    let mut incoming = attached.map_err(|status| edge.turned_away(status))?.into_inner();
    let mut renew_at = tokio::time::Instant::now() + stream.lease / 3;
    let mut heard_at = tokio::time::Instant::now();
    let mut closing = JoinSet::new();
    loop {
        tokio::select! {
            message = incoming.message() => {
                let Some(message) = message? else { return Ok(()) };
                heard_at = tokio::time::Instant::now();
                match stream.hear(message)? {
                    Heard::Lease => {
                        renew_at = heard_at + stream.lease / 3;
                        backoff.reset();
                    }
                    Heard::Revocation(id, sessions) => {
                        closing.spawn(confirm(id, sessions, CLOSED_WITHIN, messages.clone()));
                    }
                    Heard::Other => {}
                }
            }
            Some(_) = closing.join_next() => {}
            () = sleep_until(renew_at) => {
                stream.asked.push_back(Instant::now());
                send(&messages, Ours::RenewLease(v1::RenewLease {})).await?;
                renew_at = tokio::time::Instant::now() + stream.lease / 3;
            }
            () = sleep_until(heard_at + stream.lease * SILENCE_LEASES) => {
                return Err(Status::deadline_exceeded("the stream is silent"));
            }
        }
    }
}

impl Edge {
    fn hello(&self) -> Ours {
        Ours::Hello(v1::Hello {
            boot_id: self.boot_id.to_vec(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recording_key: self.recording_key.to_vec(),
            open_sessions: self.sessions.open_for_hello().iter().map(ToString::to_string).collect(),
        })
    }

    /// A stream that the control plane does not begin because it does not know the certificate says that this edge was
    /// deleted. In the middle of a stream the same status can mean that the certificate has ended, and been renewed
    /// since: then the next stream will tell.
    fn turned_away(&self, status: Status) -> Status {
        if status.code() == Code::Unauthenticated {
            error!("the control plane does not know this edge any more: its sessions are cut");
            drop(self.shut_out());
        }
        status
    }

    /// From now on nothing is decided, no session opens and those that are open end, until there is another lease.
    fn shut_out(&self) -> Closing {
        self.in_force.end_lease();
        self.sessions.revoke_all()
    }
}

/// What a message was.
#[derive(Debug)]
enum Heard {
    /// The lease is extended.
    Lease,
    /// Sessions were told to end, by the revocation of this number.
    Revocation(u64, Closing),
    Other,
}

/// What one stream has said so far.
struct Stream<'a> {
    edge: &'a Edge,
    /// The control plane answers hello and each renewal with one lease, in order: the lease counts from the question.
    asked: VecDeque<Instant>,
    lease: Duration,
    /// A configuration of this stream is in force: without one a lease would prolong what may long be revoked.
    configured: bool,
}

impl<'a> Stream<'a> {
    /// Hello is about to be sent.
    fn begin(edge: &'a Edge) -> Self {
        let asked = VecDeque::from([Instant::now()]);
        Self { edge, asked, lease: Duration::from_secs(300), configured: false }
    }

    /// Takes a message; what cannot be taken ends the stream.
    fn hear(&mut self, message: v1::ControlMessage) -> Result<Heard, Status> {
        match message.message {
            Some(Control::Configuration(wire)) => {
                self.configured = false;
                take(wire, self.edge).map_err(|error| {
                    error!(%error, "a configuration was refused; unless one is taken the edge closes with its lease");
                    Status::failed_precondition("the configuration was refused")
                })?;
                self.configured = true;
                Ok(Heard::Other)
            }
            Some(Control::Lease(granted)) => {
                let asked_at =
                    self.asked.pop_front().ok_or_else(|| Status::internal("a lease nobody asked for"))?;
                if !self.configured {
                    return Err(Status::failed_precondition("a lease before a configuration"));
                }
                self.lease = valid_for(&granted)?;
                self.edge.in_force.extend_lease(asked_at, self.lease);
                Ok(Heard::Lease)
            }
            Some(Control::Outcome(signed)) => {
                self.hear_outcome(&signed)?;
                Ok(Heard::Other)
            }
            Some(Control::Revoke(revoke)) => self.hear_revocation(&revoke),
            None => Ok(Heard::Other),
        }
    }

    /// Only what the deployment signed is believed: whoever can write to the stream can approve nothing.
    fn hear_outcome(&self, signed: &v1::SignedApprovalOutcome) -> Result<(), Status> {
        let key = &self.edge.membership.deployment_key;
        verify(key, Domain::ApprovalOutcome, &signed.outcome, &signed.signature).map_err(|error| {
            error!(%error, "an outcome of an approval is not the deployment's: the stream is given up");
            Status::permission_denied("the outcome of an approval is not signed by the deployment")
        })?;
        let wire = v1::ApprovalOutcome::decode(signed.outcome.as_slice());
        let outcome = wire
            .map_err(|error| error.to_string())
            .and_then(|wire| ApprovalOutcome::try_from(wire).map_err(|error| error.to_string()));
        match outcome {
            Ok(outcome) => self.edge.outcomes.arrived(outcome),
            // Signed, so this edge is too old for it: the operation goes on waiting, and the others need not suffer.
            Err(error) => {
                error!(error, "an outcome of an approval cannot be understood and is worth nothing")
            }
        }
        Ok(())
    }

    fn hear_revocation(&self, revoke: &v1::Revoke) -> Result<Heard, Status> {
        let id = revoke.revocation_id;
        if revoke.all {
            warn!(revocation = id, "the control plane has shut this edge out");
            return Ok(Heard::Revocation(id, self.edge.shut_out()));
        }
        let sessions: Vec<SessionId> =
            revoke.session_ids.iter().filter_map(|session| session.parse().ok()).collect();
        info!(revocation = id, sessions = sessions.len(), "the control plane ends sessions");
        let closing = self.edge.sessions.revoke(&sessions);
        if sessions.len() < revoke.session_ids.len() {
            // What was understood is done, and the whole is not confirmed.
            return Err(Status::internal("a revocation names something that is no session"));
        }
        Ok(Heard::Revocation(id, closing))
    }
}

/// Confirms a revocation once its sessions are closed; never if they are not `within` that time. One that is lost with
/// its stream is told again: the next hello says what is open.
async fn confirm(
    revocation_id: u64,
    sessions: Closing,
    within: Duration,
    messages: mpsc::Sender<v1::EdgeMessage>,
) {
    if timeout(within, sessions.closed()).await.is_err() {
        return error!(revocation = revocation_id, "sessions that were revoked are still open");
    }
    if send(&messages, Ours::Revoked(v1::Revoked { revocation_id })).await.is_err() {
        warn!(revocation = revocation_id, "the end of revoked sessions could not be confirmed");
    }
}

/// The key that recordings are sealed to is in force before anything that a session needs: none begins without it.
fn take(wire: v1::Configuration, edge: &Edge) -> Result<(), InvalidConfiguration> {
    let configuration = configure::configuration(wire, &edge.membership)?;
    let (generation, targets) = (configuration.generation, configuration.targets.len());
    let recording_key = configuration.recording_key;
    if !edge.in_force.is_newer(&configuration) {
        return Err(InvalidConfiguration::Older(generation));
    }
    // A few bytes, and to the disk only where they are others than before.
    edge.spool.seal_to(recording_key)?;
    if !edge.in_force.replace(configuration) {
        return Err(InvalidConfiguration::Older(generation));
    }
    info!(generation, targets, "configured");
    Ok(())
}

fn valid_for(lease: &v1::Lease) -> Result<Duration, Status> {
    let malformed = || Status::internal("a lease without a positive validity");
    let valid_for = lease.valid_for.ok_or_else(malformed)?;
    let valid_for = Duration::try_from(valid_for).map_err(|_| malformed())?;
    if valid_for.is_zero() { Err(malformed()) } else { Ok(valid_for) }
}

async fn send(messages: &mpsc::Sender<v1::EdgeMessage>, message: Ours) -> Result<(), Status> {
    let sent = messages.send(v1::EdgeMessage { message: Some(message) }).await;
    sent.map_err(|_| Status::unavailable("the stream is closed"))
}

#[cfg(test)]
mod tests;
