//! An edge's stream: hello; then the configuration and a lease at once, and again as they change or are asked for;
//! then what it missed of approvals and revocations, and what becomes of them from then on.
//!
//! Hello and each renewal are answered with exactly one lease, in order.

use std::sync::Arc;

use countersign_core::{Attached, Configurations, Core, Hello};
use countersign_pki::EdgeIdentity;
use countersign_runtime::Watch;
use countersign_wire::v1::{self, control_message::Message as Control, edge_message::Message as FromEdge};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::info;

use crate::status;

/// Messages that wait for a slow edge.
const QUEUED: usize = 4;

type Sender = mpsc::Sender<Result<v1::ControlMessage, Status>>;

/// Reads hello and goes on in a task of its own.
pub(super) async fn attach(
    core: Arc<Core>,
    peer: EdgeIdentity,
    mut messages: Streaming<v1::EdgeMessage>,
    stop: Watch,
) -> Result<ReceiverStream<Result<v1::ControlMessage, Status>>, Status> {
    let Some(v1::EdgeMessage { message: Some(FromEdge::Hello(hello)) }) = messages.message().await? else {
        return Err(Status::invalid_argument("the first message must be hello"));
    };
    let hello = Hello::try_from(hello).map_err(status::edge)?;
    let edge = peer.name.clone();
    let (attached, lease) = core.attach(peer, hello).await.map_err(status::edge)?;
    let configurations = core.configurations(attached.zone().clone());
    let (sender, stream) = mpsc::channel(QUEUED);
    let (cut, last_words) = (attached.cut(), sender.clone());
    let conversation = Conversation { attached, configurations, messages, sender };
    tokio::spawn(async move {
        let _blocker = stop.block();
        let ended = tokio::select! {
            ended = conversation.run(lease, stop) => ended,
            error = cut => {
                let status = status::edge(error);
                // An edge that does not read has a full queue, and is not waited for.
                let _ = last_words.try_send(Err(status.clone()));
                Err(status)
            }
        };
        let code = ended.err().map(|status| status.code());
        info!(%edge, ?code, "detached");
    });
    Ok(ReceiverStream::new(stream))
}

struct Conversation {
    attached: Attached,
    configurations: Configurations,
    messages: Streaming<v1::EdgeMessage>,
    sender: Sender,
}

impl Conversation {
    async fn run(mut self, first_lease: v1::Lease, mut stop: Watch) -> Result<(), Status> {
        let current = self.configurations.current();
        self.send(Control::Configuration(current)).await?;
        self.send(Control::Lease(first_lease)).await?;
        loop {
            tokio::select! {
                message = self.messages.message() => match message? {
                    None => return Ok(()),
                    Some(v1::EdgeMessage { message: Some(FromEdge::RenewLease(_)) }) => self.renew().await?,
                    Some(v1::EdgeMessage { message: Some(FromEdge::Revoked(revoked)) }) => {
                        self.attached.revoked(revoked.revocation_id);
                    }
                    Some(_) => {
                        let refused = "only lease renewals and confirmations of revocations follow hello";
                        return self.refuse(Status::invalid_argument(refused)).await;
                    }
                },
                message = self.attached.message() => self.send(message).await?,
                configuration = self.configurations.changed() => match configuration {
                    Some(configuration) => self.send(Control::Configuration(configuration)).await?,
                    None => return Ok(()),
                },
                () = stop.stopped() => return self.refuse(Status::unavailable("the control plane is stopping")).await,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), Status> {
        match self.attached.renew_lease().await {
            Ok(lease) => self.send(Control::Lease(lease)).await,
            Err(error) => self.refuse(status::edge(error)).await,
        }
    }

    async fn send(&self, message: Control) -> Result<(), Status> {
        let sent = self.sender.send(Ok(v1::ControlMessage { message: Some(message) })).await;
        sent.map_err(|_| Status::cancelled("the edge has gone"))
    }

    /// Ends the stream with a status that the edge sees.
    async fn refuse(&self, status: Status) -> Result<(), Status> {
        // If it has gone there is nobody to tell.
        let _ = self.sender.send(Err(status.clone())).await;
        Err(status)
    }
}
