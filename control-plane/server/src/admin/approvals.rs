//! `ApprovalService`.

use std::{sync::Arc, time::Duration};

use countersign_core::{Core, Watching};
use countersign_runtime::Watch;
use countersign_wire::v1::{self, approval_service_server::ApprovalService};
use tokio::sync::mpsc::{self, OwnedPermit, error::SendTimeoutError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::authorize::{admin, caller};
use crate::status;

/// Approvals that wait for a slow watcher; each has up to a little more than 1 MiB. One place more is kept for the
/// last word.
const QUEUED: usize = 16;
/// How long a watcher may take to read one, once so many wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent to a watcher.
type Shown = Result<v1::Approval, Status>;

/// Watches end when it is time to stop.
pub(super) struct Service {
    pub(super) core: Arc<Core>,
    pub(super) stop: Watch,
}

#[async_trait]
impl ApprovalService for Service {
    type WatchApprovalsStream = ReceiverStream<Shown>;

    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        let caller = caller(&request)?;
        let page = self.core.list_approvals(&caller, &request.into_inner()).await;
        page.map(Response::new).map_err(status::approval)
    }

    async fn get_approval(
        &self,
        request: Request<v1::GetApprovalRequest>,
    ) -> Result<Response<v1::Approval>, Status> {
        let caller = caller(&request)?;
        let approval = self.core.get_approval(&caller, &request.into_inner().id).await;
        approval.map(Response::new).map_err(status::approval)
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::Approval>, Status> {
        let caller = caller(&request)?;
        let approval = self.core.vote(&caller, request.into_inner()).await;
        approval.map(Response::new).map_err(status::approval)
    }

    async fn revoke_approval(
        &self,
        request: Request<v1::RevokeApprovalRequest>,
    ) -> Result<Response<v1::RevokeApprovalResponse>, Status> {
        let admin = admin(&request)?;
        let v1::RevokeApprovalRequest { id, reason } = request.into_inner();
        let (approval, revocation) =
            self.core.revoke_approval(&admin, &id, &reason).await.map_err(status::revoke)?;
        Ok(Response::new(v1::RevokeApprovalResponse { approval: Some(approval), revocation }))
    }

    async fn watch_approvals(
        &self,
        request: Request<v1::WatchApprovalsRequest>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        let caller = caller(&request)?;
        let watching = self.core.watch_approvals(caller).await.map_err(status::ourselves)?;
        let (shown, stream) = mpsc::channel(QUEUED + 1);
        let last_word = shown.clone().try_reserve_owned().map_err(status::ourselves)?;
        tokio::spawn(watch(watching, shown, last_word, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Shows what changes until the watcher has gone or fallen behind, its token has expired, or it is time to stop.
async fn watch(
    mut watching: Watching,
    shown: mpsc::Sender<Shown>,
    last_word: OwnedPermit<Shown>,
    mut stop: Watch,
) {
    let _blocker = stop.block();
    let token_ends = tokio::time::sleep(watching.time_left());
    let ended = tokio::select! {
        ended = show(&mut watching, &shown) => ended,
        () = stop.stopped() => Some(Status::unavailable("the control plane is stopping")),
        () = token_ends => Some(Status::unauthenticated("the token has expired")),
    };
    if let Some(status) = ended {
        last_word.send(Err(status));
    }
}

/// Returns why the watch is over; `None` if the watcher has gone.
async fn show(watching: &mut Watching, shown: &mpsc::Sender<Shown>) -> Option<Status> {
    loop {
        let approval = tokio::select! {
            approval = watching.next() => approval,
            () = shown.closed() => return None,
        };
        let approval = match approval {
            Ok(approval) => approval,
            Err(ended) => return Some(status::watch(ended)),
        };
        match shown.send_timeout(Ok(approval), PATIENCE).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return None,
            Err(SendTimeoutError::Timeout(_)) => {
                return Some(Status::resource_exhausted("approvals are not read; watch again"));
            }
        }
    }
}
