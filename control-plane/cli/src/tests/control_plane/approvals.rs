//! Approvals in memory, with the rules on which the command line relies: a vote is for what was shown, by somebody
//! who may, and while there is something to decide.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use countersign_wire::v1::{
    Approval, ApprovalState, GetApprovalRequest, ListApprovalsRequest, ListApprovalsResponse,
    RevokeApprovalRequest, RevokeApprovalResponse, VoteRequest, WatchApprovalsRequest,
    approval_service_server::ApprovalService,
};
use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status};

use super::{PAGE, State, unconfirmed};

#[derive(Clone, Default)]
pub(crate) struct Approvals {
    all: Arc<Mutex<Vec<Approval>>>,
    votes: Arc<Mutex<Vec<VoteRequest>>>,
}

impl Approvals {
    pub(crate) fn has(&self, approval: Approval) {
        self.all.lock().expect("not poisoned").push(approval);
    }

    /// The votes that were counted.
    pub(crate) fn votes(&self) -> Vec<VoteRequest> {
        self.votes.lock().expect("not poisoned").clone()
    }

    /// Changes one approval.
    fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Approval) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut all = self.all.lock().expect("not poisoned");
        let found = all.iter_mut().find(|approval| approval.id == id);
        change(found.ok_or_else(|| Status::not_found("no such approval"))?)
    }
}

#[tonic::async_trait]
impl ApprovalService for Approvals {
    type WatchApprovalsStream = Pin<Box<dyn Stream<Item = Result<Approval, Status>> + Send>>;

    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        let request = State::let_in(request)?;
        let asked =
            |approval: &&Approval| request.states.is_empty() || request.states.contains(&approval.state);
        let all = self.all.lock().expect("not poisoned");
        let asked: Vec<&Approval> = all.iter().filter(asked).collect();
        let from = request.page_token.parse().unwrap_or(0);
        let approvals: Vec<Approval> = asked.iter().skip(from).take(PAGE).map(|one| (*one).clone()).collect();
        let next = from + approvals.len();
        let next_page_token = if next < asked.len() { next.to_string() } else { String::new() };
        Ok(Response::new(ListApprovalsResponse { approvals, next_page_token }))
    }

    async fn get_approval(&self, request: Request<GetApprovalRequest>) -> Result<Response<Approval>, Status> {
        let id = State::let_in(request)?.id;
        self.change(&id, |approval| Ok(Response::new(approval.clone())))
    }

    /// Nobody here may vote on what `ada` asks.
    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<Approval>, Status> {
        let vote = State::let_in(request)?;
        let voted = self.change(&vote.id, |approval| {
            let principal = approval.session.as_ref().and_then(|session| session.principal.as_ref());
            if principal.is_some_and(|principal| principal.agent == "ada") {
                return Err(Status::permission_denied("nobody votes on their own"));
            }
            if approval.state() != ApprovalState::Pending {
                return Err(Status::failed_precondition("it is decided"));
            }
            if approval.fingerprint != vote.fingerprint {
                return Err(Status::failed_precondition("that is not what is asked"));
            }
            approval.set_state(if vote.approve { ApprovalState::Approved } else { ApprovalState::Denied });
            Ok(approval.clone())
        })?;
        self.votes.lock().expect("not poisoned").push(vote);
        Ok(Response::new(voted))
    }

    async fn revoke_approval(
        &self,
        request: Request<RevokeApprovalRequest>,
    ) -> Result<Response<RevokeApprovalResponse>, Status> {
        let id = State::let_in(request)?.id;
        self.change(&id, |approval| {
            let used = approval.state() == ApprovalState::Consumed;
            if !used {
                approval.set_state(ApprovalState::Cancelled);
            }
            let revocation = used.then(unconfirmed);
            Ok(Response::new(RevokeApprovalResponse { approval: Some(approval.clone()), revocation }))
        })
    }

    /// What there is, and then the end.
    async fn watch_approvals(
        &self,
        request: Request<WatchApprovalsRequest>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        State::let_in(request)?;
        let all = self.all.lock().expect("not poisoned").clone();
        Ok(Response::new(Box::pin(iter(all.into_iter().map(Ok)))))
    }
}
