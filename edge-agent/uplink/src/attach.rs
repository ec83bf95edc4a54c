//! The edge's stream: hello, configuration, lease. Kept up for as long as the edge runs.
//!
//! A lease says that what is in force here is what the control plane last said. So it counts only on a stream whose
//! configurations were all taken: the first that is refused ends the stream, and an edge that can take none closes
//! when the lease that it has ends.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_runtime::Backoff;
use countersign_wire::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{error, info, warn};

use crate::{Membership, channel::Link, configure, configure::InvalidConfiguration, in_force::InForce};

/// Messages that may wait to be sent on the stream; a lease renewal every few seconds needs no more.
const QUEUED: usize = 8;

/// A stream on which nothing arrives for this long is given up: the keep-alive of HTTP/2 sees dead peers, this sees
/// stuck ones. Renewals are answered every third of a lease.
const SILENCE_LEASES: u32 = 1;

/// What an edge says first on each stream.
pub(crate) struct Greeting {
    pub(crate) boot_id: [u8; 16],
    pub(crate) recording_key: [u8; 32],
}

/// Attaches, again and again, until the task is dropped.
pub(crate) async fn stay_attached(
    link: Link,
    membership: Arc<Membership>,
    greeting: Greeting,
    in_force: Arc<InForce>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        match attach(&link, &membership, &greeting, &in_force, &mut backoff).await {
            Ok(()) => info!("the control plane ended the stream"),
            Err(status) => warn!(code = ?status.code(), message = status.message(), "not attached"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn attach(
    link: &Link,
    membership: &Membership,
    greeting: &Greeting,
    in_force: &InForce,
    backoff: &mut Backoff,
) -> Result<(), Status> {
    let (messages, outgoing) = mpsc::channel(QUEUED);
    let mut stream = Stream::begin(membership, in_force);
    send(&messages, hello(greeting)).await?;
    let mut incoming = link.edge_service().attach(ReceiverStream::new(outgoing)).await?.into_inner();
    let mut renew_at = tokio::time::Instant::now() + stream.lease / 3;
    let mut heard_at = tokio::time::Instant::now();
    loop {
        tokio::select! {
            message = incoming.message() => {
                let Some(message) = message? else { return Ok(()) };
                heard_at = tokio::time::Instant::now();
                if stream.hear(message)? == Heard::Lease {
                    renew_at = heard_at + stream.lease / 3;
                    backoff.reset();
                }
            }
            () = tokio::time::sleep_until(renew_at) => {
                stream.asked.push_back(Instant::now());
                send(&messages, v1::edge_message::Message::RenewLease(v1::RenewLease {})).await?;
                renew_at = tokio::time::Instant::now() + stream.lease / 3;
            }
            () = tokio::time::sleep_until(heard_at + stream.lease * SILENCE_LEASES) => {
                return Err(Status::deadline_exceeded("the stream is silent"));
            }
        }
    }
}

/// What a message was.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// The lease is extended.
    Lease,
    Other,
}

/// What one stream has said so far.
struct Stream<'a> {
    membership: &'a Membership,
    in_force: &'a InForce,
    /// The control plane answers hello and each renewal with one lease, in order: the lease counts from the question.
    asked: VecDeque<Instant>,
    lease: Duration,
    /// A configuration of this stream is in force: without one a lease would prolong what may long be revoked.
    configured: bool,
}

impl<'a> Stream<'a> {
    /// Hello is about to be sent.
    fn begin(membership: &'a Membership, in_force: &'a InForce) -> Self {
        let asked = VecDeque::from([Instant::now()]);
        Self { membership, in_force, asked, lease: Duration::from_secs(300), configured: false }
    }

    /// Takes a message; what cannot be taken ends the stream.
    fn hear(&mut self, message: v1::ControlMessage) -> Result<Heard, Status> {
        match message.message {
            Some(v1::control_message::Message::Configuration(wire)) => {
                self.configured = false;
                take(wire, self.membership, self.in_force).map_err(|error| {
                    error!(%error, "a configuration was refused; unless one is taken the edge closes with its lease");
                    Status::failed_precondition("the configuration was refused")
                })?;
                self.configured = true;
                Ok(Heard::Other)
            }
            Some(v1::control_message::Message::Lease(granted)) => {
                let asked_at =
                    self.asked.pop_front().ok_or_else(|| Status::internal("a lease nobody asked for"))?;
                if !self.configured {
                    return Err(Status::failed_precondition("a lease before a configuration"));
                }
                self.lease = valid_for(&granted)?;
                self.in_force.extend_lease(asked_at, self.lease);
                Ok(Heard::Lease)
            }
            None => Ok(Heard::Other),
        }
    }
}

fn take(
    wire: v1::Configuration,
    membership: &Membership,
    in_force: &InForce,
) -> Result<(), InvalidConfiguration> {
    let configuration = configure::configuration(wire, membership)?;
    let (generation, targets) = (configuration.generation, configuration.targets.len());
    if !in_force.replace(configuration) {
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

fn hello(greeting: &Greeting) -> v1::edge_message::Message {
    v1::edge_message::Message::Hello(v1::Hello {
        boot_id: greeting.boot_id.to_vec(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        recording_key: greeting.recording_key.to_vec(),
    })
}

async fn send(
    messages: &mpsc::Sender<v1::EdgeMessage>,
    message: v1::edge_message::Message,
) -> Result<(), Status> {
    let sent = messages.send(v1::EdgeMessage { message: Some(message) }).await;
    sent.map_err(|_| Status::unavailable("the stream is closed"))
}

#[cfg(test)]
mod tests;
