//! One step of an approval: looked at, written if nobody was faster, told to its edge and to whoever watches.

use countersign_model::{ApprovalId, ApprovalOutcome, ApprovalState};
use countersign_pki::Domain;
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::{ApprovalRecord, StoreError, VoteRecord};
use countersign_wire::v1::{self, control_message::Message as Control};
use prost::Message as _;
use tracing::{error, info};

use super::opened::{Altered, Opened, seal_outcome};
use crate::Core;

/// Steps that are tried before somebody else's always being faster counts as a failure.
const ATTEMPTS: usize = 64;

/// What an approval becomes.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) state: ApprovalState,
    /// A vote that is added.
    pub(super) vote: Option<VoteRecord>,
    /// The credential for its operation is about to be minted.
    pub(super) minted: bool,
}

impl Next {
    pub(super) fn state(state: ApprovalState) -> Self {
        Self { state, vote: None, minted: false }
    }
}

/// Who changes an approval, and why: for the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) actor: &'a str,
    pub(super) why: &'a str,
}

impl Core {
    /// Takes a step: `step` looks at the approval as it is and says what it becomes, or that it stays. It is asked
    /// again when somebody else was faster.
    pub(super) async fn change<E: From<StoreError>>(
        &self,
        id: ApprovalId,
        by: By<'_>,
        step: impl Fn(&Opened) -> Result<Option<Next>, E>,
    ) -> Result<Opened, E> {
        for _ in 0..ATTEMPTS {
            let opened = self.opened(id).await?;
            let Some(next) = step(&opened)? else { return Ok(opened) };
            match self.write(opened, next, by).await {
                Err(StoreError::Conflict) => {}
                written => return Ok(written?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// One approval, verified. One that was altered is ended: nothing that it says can be relied on.
    pub(super) async fn opened(&self, id: ApprovalId) -> Result<Opened, StoreError> {
        let record = self.parts.store.approval(id).await?;
        match self.open(record.clone()).await? {
            Ok(opened) => Ok(opened),
            Err(altered) => {
                self.discard(record, ApprovalState::Cancelled).await?;
                Err(StoreError::unavailable(altered))
            }
        }
    }

    /// Verifies what the store holds of an approval, and of the session that asks. The outer error is the store's.
    pub(super) async fn open(&self, record: ApprovalRecord) -> Result<Result<Opened, Altered>, StoreError> {
        let id = record.id;
        let (key, public) = (&self.parts.approvals_key, self.parts.deployment_key.public());
        let opened = match self.parts.store.session(record.session).await {
            Ok(session) => Opened::open(record, session, key, &public),
            // Sessions are never forgotten.
            Err(StoreError::NotFound) => Err(Altered),
            Err(error) => return Err(error),
        };
        Ok(opened.inspect_err(|altered| error!(approval = %id, "{altered}")))
    }

    /// Ends an approval without reading it. Its edge is not told: there is nothing left that could be signed.
    pub(super) async fn discard(
        &self,
        mut record: ApprovalRecord,
        state: ApprovalState,
    ) -> Result<(), StoreError> {
        if record.state.is_final() {
            return Ok(());
        }
        let id = record.id;
        record.state = state;
        record.version = record.version.saturating_add(1);
        record.ended_at = Some(self.now());
        (record.sealed, record.outcome) = (None, None);
        match self.parts.store.replace_approval(record).await {
            // Whoever was faster has looked at it as well.
            Err(StoreError::Conflict) => return Ok(()),
            replaced => replaced?,
        }
        let _ = self.approval_changes.send(id);
        self.audit(self.deployment().as_str(), "alarm.approval_altered", &id.to_string(), &[]).await
    }

    async fn write(&self, opened: Opened, next: Next, by: By<'_>) -> Result<Opened, StoreError> {
        let before = opened.record.state;
        let moves = next.state != before;
        if moves && !before.may_become(next.state) {
            return Err(StoreError::unavailable("an approval cannot take this step"));
        }
        let mut after = self.after(opened, &next)?;
        self.parts.store.replace_approval(after.record.clone()).await?;
        if next.vote.is_some() {
            failpoint(Failpoint::VoteStored);
        }
        if after.record.state.is_final() {
            after.asked = None;
        }
        self.audit_step(&after, &next, moves, by).await?;
        self.announce(&after, moves);
        Ok(after)
    }

    /// The approval with the step taken; not written yet.
    fn after(&self, mut opened: Opened, next: &Next) -> Result<Opened, StoreError> {
        let now = self.now();
        // Votes that are not ours are left behind.
        opened.votes.extend(next.vote.clone());
        let signed = if next.state == opened.record.state {
            None
        } else {
            opened.asked.as_ref().map(|asked| {
                let approved = next.state == ApprovalState::Approved;
                self.sign_outcome(ApprovalOutcome {
                    approval: opened.record.id,
                    session: opened.record.session,
                    operation: opened.record.operation,
                    digest: asked.digest,
                    state: next.state,
                    pairs: if approved { asked.pairs.clone() } else { Vec::new() },
                    use_until: approved.then(|| asked.use_until(now)),
                })
            })
        };
        let record = &mut opened.record;
        record.version = record.version.saturating_add(1);
        record.votes.clone_from(&opened.votes);
        record.minted |= next.minted;
        if let Some((signed, outcome)) = signed {
            record.state = next.state;
            if next.state == ApprovalState::Approved {
                record.use_until = outcome.use_until;
            }
            let sealed = seal_outcome(record.id, &signed, &self.parts.approvals_key);
            record.outcome = Some(sealed.map_err(StoreError::unavailable)?);
            if next.state.is_final() {
                record.ended_at = Some(now);
                record.sealed = None;
            }
            opened.outcome = Some((signed, outcome));
        }
        Ok(opened)
    }

    fn sign_outcome(&self, outcome: ApprovalOutcome) -> (v1::SignedApprovalOutcome, ApprovalOutcome) {
        let encoded = v1::ApprovalOutcome::from(&outcome).encode_to_vec();
        let signature = self.parts.deployment_key.sign(Domain::ApprovalOutcome, &encoded).to_vec();
        (v1::SignedApprovalOutcome { outcome: encoded, signature }, outcome)
    }

    /// Tells the edge, if its process is attached here, and whoever watches.
    fn announce(&self, opened: &Opened, moved: bool) {
        let record = &opened.record;
        if moved
            && let Some((signed, _)) = &opened.outcome
            && let Some(attachment) = self.attachment(&record.edge, record.boot_id)
        {
            attachment.push(Control::Outcome(signed.clone()));
        }
        // Nobody may be watching.
        let _ = self.approval_changes.send(record.id);
    }

    async fn audit_step(
        &self,
        opened: &Opened,
        next: &Next,
        moved: bool,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        let record = &opened.record;
        let id = record.id.to_string();
        if let Some(vote) = &next.vote {
            let word = if vote.approve { "for" } else { "against" };
            self.audit(&vote.voter, "approval.voted", &id, &[("vote", word)]).await?;
        }
        if moved {
            let state = record.state.as_str();
            info!(approval = %record.id, state, "an approval changed");
            let (session, operation) = (record.session.to_string(), record.operation.to_string());
            let detail = [("session", session.as_str()), ("operation", operation.as_str()), ("why", by.why)];
            self.audit(by.actor, &format!("approval.{state}"), &id, &detail).await?;
        }
        Ok(())
    }
}
