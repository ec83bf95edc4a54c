//! An edge asks for people's votes: what it says is held against the target, and the statement is read and decided
//! here again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_model::{
    ApprovalId, ApprovalState, Decision, Fact, Hold, Identity, OperationId, Reason, SessionFacts, Verdict,
};
use countersign_pki::EdgeIdentity;
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::{ApprovalRecord, SessionRecord, StoreError};
use countersign_wire::{
    to_timestamp,
    v1::{self, ApprovedOn},
};
use tracing::warn;

use super::{
    ApprovalRefusal,
    asked::Asked,
    opened::{fingerprint, seal_asked},
    parsers::parse,
    question::{Question, Reading},
    summary::{Ids, Summary},
};
use crate::{
    Core, EdgeError, core::to_its_end, in_force::InForce, registration::registration, sessions::facts,
};

/// Approvals that one principal can be waiting for.
const MAX_PENDING: usize = 16;
/// Time for voting and for use, if the target does not say.
const DEFAULT_PENDING: Duration = Duration::from_secs(15 * 60);
const DEFAULT_USE: Duration = Duration::from_secs(2 * 60);

/// A question that people will be asked.
struct Held {
    question: Question,
    facts: Vec<Fact>,
    hold: Hold,
    decision: Decision,
    pending: Duration,
    use_ttl: Duration,
}

impl Core {
    /// Asks people about an operation of an open session of this edge's attached process. Dropping the future does
    /// not stop it.
    ///
    /// # Errors
    /// [`ApprovalRefusal`]; nobody is asked then. Whatever the edge thinks, only what the policies in force here
    /// hold is asked about.
    pub async fn request_approval(
        self: &Arc<Self>,
        peer: &EdgeIdentity,
        request: v1::RequestApprovalRequest,
    ) -> Result<v1::ApprovalRequested, ApprovalRefusal> {
        let operation: OperationId =
            request.operation_id.parse().map_err(|_| EdgeError::Malformed("operation_id is malformed"))?;
        let session = self.session_of(peer, &request.session_id).await?;
        self.attached_boot(peer, &session.boot_id).await?;
        let question = Question::of(request);
        let core = self.clone();
        to_its_end(async move {
            let asked = match question {
                Ok(question) => core.ask(&session, operation, question).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(ApprovalRefusal::Refused(reason)) = &asked {
                warn!(session = %session.id, reason = reason.as_str(), "nobody is asked for approval");
                let (id, operation) = (session.id.to_string(), operation.to_string());
                let detail = [("operation", operation.as_str()), ("reason", reason.as_str())];
                core.audit(session.edge.as_str(), "approval.refused", &id, &detail).await?;
            }
            asked
        })
        .await
    }

    async fn ask(
        &self,
        session: &SessionRecord,
        operation: OperationId,
        question: Question,
    ) -> Result<v1::ApprovalRequested, ApprovalRefusal> {
        let in_force = self.in_force.borrow().clone();
        let held = self.hold(session, question, &in_force).await?;
        let now = self.now();
        let expires_at =
            now.checked_add(held.pending).map_or(session.deadline, |end| end.min(session.deadline));
        let (asked, summary) = asked(session, operation, held, owners(session, &in_force), expires_at);
        let record = self.new_approval(session, &asked, &summary, now)?;
        let id = record.id;
        match self.parts.store.create_approval(record, MAX_PENDING).await {
            Err(StoreError::Conflict) => return Err(ApprovalRefusal::Refused(Reason::OverLimit)),
            created => created?,
        }
        failpoint(Failpoint::ApprovalStored);
        self.audit_request(session, operation, id, &summary).await?;
        let _ = self.approval_changes.send(id);
        // Closed meanwhile, its approvals were ended before this one was there.
        if self.parts.store.session(session.id).await?.closed_at.is_some() {
            self.cancel_approvals_of(session).await?;
            return Err(ApprovalRefusal::Refused(Reason::DeadlinePassed));
        }
        Ok(v1::ApprovalRequested {
            approval_id: id.to_string(),
            expires_at: Some(to_timestamp(expires_at)),
            expires_in: expires_at.duration_since(now).unwrap_or_default().try_into().ok(),
        })
    }

    /// The question, if policy holds it and it is one of this session's target.
    async fn hold(
        &self,
        session: &SessionRecord,
        question: Question,
        in_force: &Arc<InForce>,
    ) -> Result<Held, ApprovalRefusal> {
        let refused = ApprovalRefusal::Refused;
        let target = self.permitted(session, in_force).map_err(refused)?;
        self.suits(session, &question, target, in_force).map_err(refused)?;
        let (pending, use_ttl) =
            (time(target.pending_ttl, DEFAULT_PENDING), time(target.use_ttl, DEFAULT_USE));
        let (question, facts, decision) = self.decide(session, question, in_force).await?;
        match decision.verdict.clone() {
            Verdict::Hold(hold) => Ok(Held { question, facts, hold, decision, pending, use_ttl }),
            Verdict::Deny(reason) => Err(refused(reason)),
            // The edge holds what is allowed here: it has other policies.
            Verdict::Allow => Err(refused(Reason::PolicyChanged)),
        }
    }

    /// Whether the question is about what the session's target runs approved operations as now, and where.
    pub(super) fn suits(
        &self,
        session: &SessionRecord,
        question: &Question,
        target: &v1::TargetSpec,
        in_force: &InForce,
    ) -> Result<(), Reason> {
        let identity = approved_as(target).filter(|identity| *identity == question.identity);
        let identity = identity.ok_or(Reason::ApprovalUnavailable)?;
        let agent = in_force.agent(&session.principal);
        let of = (&session.target, target);
        let registration = registration(in_force, self.deployment(), of, identity, agent.as_ref());
        let registration = registration.ok_or(Reason::ApprovalUnavailable)?;
        if !question.is_on(target, registration.login_role) {
            return Err(Reason::PolicyChanged);
        }
        let declared = &in_force.declared;
        if question.classes_are_of(&session.target, declared) { Ok(()) } else { Err(Reason::Unresolved) }
    }

    /// Reads the statement and decides it, on a thread for that.
    async fn decide(
        &self,
        session: &SessionRecord,
        question: Question,
        in_force: &Arc<InForce>,
    ) -> Result<(Question, Vec<Fact>, Decision), ApprovalRefusal> {
        let (session, in_force, now): (SessionFacts, _, _) =
            (facts(session, in_force), in_force.clone(), self.now());
        let decided = parse(move || {
            let Reading { facts, context } = question.read()?;
            let decision = in_force.policies.decide(&session, &facts, &context, now);
            Ok((question, facts, decision))
        });
        decided.await?.map_err(ApprovalRefusal::Refused)
    }

    fn new_approval(
        &self,
        session: &SessionRecord,
        asked: &Asked,
        summary: &Summary,
        now: SystemTime,
    ) -> Result<ApprovalRecord, StoreError> {
        let (id, key) = (ApprovalId::generate(), &self.parts.approvals_key);
        let ids = Ids { approval: id, session: session.id, operation: asked.operation };
        let principal = &session.principal;
        Ok(ApprovalRecord {
            id,
            state: ApprovalState::Pending,
            version: 1,
            session: session.id,
            operation: asked.operation,
            edge: session.edge.clone(),
            boot_id: session.boot_id,
            asker: format!("{}/{}", principal.tenant_id, principal.object_id),
            sealed: Some(seal_asked(id, asked, key).map_err(StoreError::unavailable)?),
            summary: summary.encode_for(ids, key),
            fingerprint: fingerprint(id, &asked.digest, key),
            created_at: now,
            expires_at: asked.expires_at,
            use_until: None,
            ended_at: None,
            votes: Vec::new(),
            outcome: None,
            minted: false,
        })
    }

    async fn audit_request(
        &self,
        session: &SessionRecord,
        operation: OperationId,
        id: ApprovalId,
        summary: &Summary,
    ) -> Result<(), StoreError> {
        let asker = format!("{}/{}", session.principal.tenant_id, session.principal.object_id);
        let (session_id, operation) = (session.id.to_string(), operation.to_string());
        let requirements = summary.requirements_in_words();
        let unmasks = summary.unmasks.join(", ");
        let mut detail = vec![
            ("session", session_id.as_str()),
            ("operation", operation.as_str()),
            ("target", session.target.as_str()),
            ("edge", session.edge.as_str()),
            ("requirements", requirements.as_str()),
            ("revision", summary.revision.as_str()),
        ];
        if !unmasks.is_empty() {
            detail.push(("unmasks", unmasks.as_str()));
        }
        self.audit(&asker, "approval.requested", &id.to_string(), &detail).await
    }
}

/// The identity that approved operations of a target are sent as, if it has one.
fn approved_as(target: &v1::TargetSpec) -> Option<Identity> {
    match target.approved_on() {
        ApprovedOn::SameConnection => Some(Identity::Standing),
        ApprovedOn::Unspecified => target.approved.is_some().then_some(Identity::Approved),
    }
}

fn asked(
    session: &SessionRecord,
    operation: OperationId,
    held: Held,
    owners: Vec<String>,
    expires_at: SystemTime,
) -> (Asked, Summary) {
    let Held { question, facts, hold, decision, use_ttl, .. } = held;
    let summary = Summary::new(session, &facts, &hold, &decision, question.identity);
    let digest = question.digest(&session.principal, &session.target, session.id, &hold.pairs);
    let asked = Asked {
        question,
        pairs: hold.pairs,
        digest,
        session: session.id,
        operation,
        principal: session.principal.clone(),
        owners,
        expires_at,
        use_ttl,
        deadline: session.deadline,
    };
    (asked, summary)
}

/// Object ids of the people behind the session's agent.
fn owners(session: &SessionRecord, in_force: &InForce) -> Vec<String> {
    let agent = in_force.agent(&session.principal);
    let agent = agent.and_then(|name| in_force.declared.agents.get(&name));
    agent.map(|agent| agent.owners.clone()).unwrap_or_default()
}

fn time(time: Option<prost_types::Duration>, default: Duration) -> Duration {
    time.and_then(|time| time.try_into().ok()).unwrap_or(default)
}
