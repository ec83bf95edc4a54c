//! A person votes.

use std::{collections::BTreeSet, sync::Arc};

use countersign_model::{ApprovalId, ApprovalState, PrincipalKind};
use countersign_store::VoteRecord;
use countersign_wire::v1;

use super::{
    ApprovalError,
    asked::Asked,
    change::{By, Next},
    opened::{Opened, are_met, fingerprint, sign_vote},
};
use crate::{Caller, Core, core::to_its_end, revocation::check_reason};

/// Why a vote does not count; the text is for the voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefused {
    /// It is decided, or nobody waits for it any more.
    #[error("the approval is {} already", .0.as_str())]
    NotPending(ApprovalState),
    /// The time for voting is over.
    #[error("the time for voting on this is over")]
    Expired,
    /// The vote is for another operation than this approval's.
    #[error("the vote is for something else than what is asked: look at it again")]
    OtherOperation,
    /// A token alone does not show that a person is there.
    #[error(
        "a token alone cannot vote: it does not show that a person is present. Where that is accepted, the \
         deployment sets allow_token_votes"
    )]
    TokenAlone,
    /// An agent does not vote, whatever its roles.
    #[error("only people vote")]
    NotAPerson,
    /// Nobody asks for a vote of this voter's groups.
    #[error("your roles are not among those that this asks for")]
    NotAsked,
    /// Who asks, the person behind, or somebody who answers for the agent.
    #[error("nobody approves what they or their own agent ask for")]
    Own,
    /// One person has one vote.
    #[error("you have voted on this already")]
    AlreadyVoted,
}

impl Core {
    /// Takes a person's vote. When every requirement is met the approval is given; one vote against ends it.
    /// Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`ApprovalError`]; the vote does not count then.
    pub async fn vote(
        self: &Arc<Self>,
        caller: &Caller,
        request: v1::VoteRequest,
    ) -> Result<v1::Approval, ApprovalError> {
        check_reason(&request.reason).map_err(ApprovalError::Malformed)?;
        let id: ApprovalId = request.id.parse().map_err(|_| ApprovalError::NotFound)?;
        let (core, caller) = (self.clone(), caller.clone());
        to_its_end(async move {
            let by = By { actor: &caller.actor, why: "voted" };
            let voted = core.change(id, by, |opened| core.count(opened, &caller, &request).map(Some)).await;
            if matches!(voted, Err(ApprovalError::Vote(VoteRefused::Expired))) {
                let record = core.parts.store.approval(id).await?;
                core.expire(record, ApprovalState::Pending).await?;
            }
            Ok(core.approval_message(&voted?))
        })
        .await
    }

    /// What the vote makes of the approval.
    fn count(
        &self,
        opened: &Opened,
        caller: &Caller,
        request: &v1::VoteRequest,
    ) -> Result<Next, ApprovalError> {
        if !caller.sees(&opened.summary) {
            return Err(ApprovalError::NotFound);
        }
        let not_pending = VoteRefused::NotPending(opened.record.state);
        let asked = match &opened.asked {
            Some(asked) if opened.record.state == ApprovalState::Pending => asked,
            _ => return Err(not_pending.into()),
        };
        let groups = self.may_vote(opened, asked, caller, &request.fingerprint)?;
        let vote = VoteRecord {
            voter: caller.actor.clone(),
            name: caller.name().to_owned(),
            approve: request.approve,
            reason: request.reason.clone(),
            at: self.now(),
            groups,
            mac: [0; 32],
        };
        let vote = sign_vote(opened.record.id, &asked.digest, vote, &self.parts.approvals_key);
        let votes: Vec<VoteRecord> = opened.votes.iter().chain([&vote]).cloned().collect();
        let state = if !vote.approve {
            ApprovalState::Denied
        } else if are_met(&votes, &opened.summary.requirements) {
            ApprovalState::Approved
        } else {
            ApprovalState::Pending
        };
        Ok(Next { state, vote: Some(vote), minted: false })
    }

    /// The groups that a vote of this caller counts for.
    fn may_vote(
        &self,
        opened: &Opened,
        asked: &Asked,
        caller: &Caller,
        shown: &str,
    ) -> Result<Vec<String>, VoteRefused> {
        let id = opened.record.id;
        if asked.expires_at <= self.now() {
            return Err(VoteRefused::Expired);
        }
        if fingerprint(id, &asked.digest, &self.parts.approvals_key) != shown {
            return Err(VoteRefused::OtherOperation);
        }
        // Closed by default: the agent may be running where the approver's token lies.
        if !self.parts.settings.allow_token_votes {
            return Err(VoteRefused::TokenAlone);
        }
        if caller.kind != PrincipalKind::User {
            return Err(VoteRefused::NotAPerson);
        }
        let asked_for = opened.summary.requirements.iter().map(|need| &need.group);
        let groups: BTreeSet<&String> = asked_for.filter(|group| caller.has(group)).collect();
        if groups.is_empty() {
            return Err(VoteRefused::NotAsked);
        }
        if self.is_own(asked, caller) {
            return Err(VoteRefused::Own);
        }
        if opened.votes.iter().any(|vote| vote.voter == caller.actor) {
            return Err(VoteRefused::AlreadyVoted);
        }
        Ok(groups.into_iter().cloned().collect())
    }

    /// Whether the caller is who asks (for an agent on behalf of a person: that person), or sponsor or owner of
    /// the agent: as it was when it asked, or as it is now, under the name that it had or has.
    fn is_own(&self, asked: &Asked, caller: &Caller) -> bool {
        let principal = &asked.principal;
        if principal.tenant_id != caller.tenant_id {
            return false;
        }
        let in_force = self.in_force.borrow();
        let names = [principal.agent.clone(), in_force.agent(principal)];
        let agents = names.iter().flatten().filter_map(|name| in_force.declared.agents.get(name));
        principal.object_id == caller.object_id
            || asked
                .owners
                .iter()
                .chain(agents.flat_map(|agent| &agent.owners))
                .any(|owner| **owner == *caller.object_id)
    }
}
