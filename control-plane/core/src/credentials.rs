//! Credentials: minted for one open session, if policy still lets its caller connect; and for what people
//! approved, once, for the operation that has used the approval up.

use std::time::Duration;

use countersign_entra::{MintError, MintRequest, Minted};
use countersign_model::{
    Action, ApprovalId, Fact, Identity, OperationContext, OperationId, Reason, Resource, Verdict,
};
use countersign_pki::EdgeIdentity;
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::SessionRecord;
use countersign_wire::v1;
use tracing::warn;

use crate::{
    Core, EdgeError,
    in_force::InForce,
    registration::{Registration, registration},
    sessions::facts,
};

/// What a token is for if the identity does not say: Azure Database for PostgreSQL.
const DEFAULT_RESOURCE: &str = "https://ossrdbms-aad.database.windows.net";
/// How soon to ask again after something that passes.
const SOON: Duration = Duration::from_secs(1);
/// How soon to ask again when Entra may not know a new federated credential yet.
const LATER: Duration = Duration::from_secs(10);

/// Why nothing was minted.
#[derive(Debug)]
pub enum MintRefusal {
    /// The session may not have it, or Entra did not give it.
    Refused {
        /// The word for the edge.
        reason: Reason,
        /// After how long it makes sense to ask again; `None` if it does not.
        retry_after: Option<Duration>,
    },
    /// The edge's doing.
    Edge(EdgeError),
}

impl MintRefusal {
    pub(crate) fn refused(reason: Reason) -> Self {
        Self::Refused { reason, retry_after: None }
    }
}

impl<E: Into<EdgeError>> From<E> for MintRefusal {
    fn from(error: E) -> Self {
        Self::Edge(error.into())
    }
}

impl Core {
    /// Mints a credential for an open session of this edge's attached process.
    ///
    /// Connect is decided again, by the policies and for the agent's name in force now: an edge whose policies are
    /// stale cannot have a credential that the present ones refuse, nor an agent that was deleted one by its old
    /// name. `approved` is minted once for an approval that this session and operation have used up; if that fails
    /// it is not tried again, and the operation was not sent. For the others `approval` means nothing.
    ///
    /// # Errors
    /// [`MintRefusal`].
    pub async fn mint_credential(
        &self,
        peer: &EdgeIdentity,
        session: &str,
        identity: Identity,
        operation: &str,
        approval: &str,
    ) -> Result<Minted, MintRefusal> {
        let operation: OperationId =
            operation.parse().map_err(|_| EdgeError::Malformed("operation_id is malformed"))?;
        let approval = match identity {
            Identity::Approved => {
                let id = approval.parse().map_err(|_| EdgeError::Malformed("approval_id is malformed"))?;
                Some(id)
            }
            Identity::Standing | Identity::Metadata => None,
        };
        let session = self.session_of(peer, session).await?;
        self.attached_boot(peer, &session.boot_id).await?;
        let in_force = self.in_force.borrow().clone();
        let agent = in_force.agent(&session.principal);
        let minted = match self.permitted(&session, &in_force) {
            Ok(target) => {
                let target = (&session.target, target);
                let registration =
                    registration(&in_force, self.deployment(), target, identity, agent.as_ref());
                self.mint_for(&session, operation, approval, registration).await
            }
            Err(reason) => Err(MintRefusal::refused(reason)),
        };
        self.audit_mint(&session, identity, (operation, approval), &minted).await?;
        if approval.is_some() {
            failpoint(Failpoint::CredentialMinted);
        }
        minted
    }

    /// The session's target, if the session lives and its caller may connect now.
    pub(crate) fn permitted<'a>(
        &self,
        session: &SessionRecord,
        in_force: &'a InForce,
    ) -> Result<&'a v1::TargetSpec, Reason> {
        let now = self.now();
        if session.closed_at.is_some() || session.deadline <= now {
            return Err(Reason::DeadlinePassed);
        }
        let target = in_force.target(&session.zone, &session.target).ok_or(Reason::UnknownTarget)?;
        let connect = [Fact { action: Action::Connect, resource: Resource::Target }];
        let facts = facts(session, in_force);
        let decision = in_force.policies.decide(&facts, &connect, &OperationContext::default(), now);
        match decision.verdict {
            Verdict::Allow => Ok(target),
            Verdict::Hold(_) => Err(Reason::ApprovalUnavailable),
            Verdict::Deny(reason) => Err(reason),
        }
    }

    async fn mint_for(
        &self,
        session: &SessionRecord,
        operation: OperationId,
        approval: Option<ApprovalId>,
        registration: Option<Registration<'_>>,
    ) -> Result<Minted, MintRefusal> {
        let Some(registration) = registration else {
            warn!(session = %session.id, "the target has no such identity for this caller");
            return Err(MintRefusal::refused(Reason::MintFailed));
        };
        if let Some(approval) = approval {
            self.claim_mint(approval, session, operation).await?;
            failpoint(Failpoint::MintClaimed);
        }
        let resource =
            if registration.resource.is_empty() { DEFAULT_RESOURCE } else { registration.resource };
        let Registration { client_id, subject, .. } = &registration;
        let request = MintRequest { client_id, subject, resource };
        self.parts.minting.mint(request, self.now()).await.map_err(|error| refusal(&error, approval))
    }

    async fn audit_mint(
        &self,
        session: &SessionRecord,
        identity: Identity,
        (operation, approval): (OperationId, Option<ApprovalId>),
        minted: &Result<Minted, MintRefusal>,
    ) -> Result<(), EdgeError> {
        let (action, outcome) = match minted {
            Ok(_) => ("credential.minted", "minted"),
            Err(MintRefusal::Refused { reason, .. }) => ("credential.refused", reason.as_str()),
            Err(MintRefusal::Edge(_)) => ("credential.refused", "error"),
        };
        if minted.is_err() {
            warn!(session = %session.id, identity = identity.as_str(), outcome, "no credential");
        }
        let (id, operation) = (session.id.to_string(), operation.to_string());
        let approval = approval.map(|approval| approval.to_string());
        let mut detail = vec![
            ("identity", identity.as_str()),
            ("target", session.target.as_str()),
            ("operation", operation.as_str()),
            ("outcome", outcome),
        ];
        detail.extend(approval.as_deref().map(|approval| ("approval", approval)));
        Ok(self.audit(session.edge.as_str(), action, &id, &detail).await?)
    }
}

/// An approval is worth one attempt, so after it there is nothing to come back for.
fn refusal(error: &MintError, approval: Option<ApprovalId>) -> MintRefusal {
    let retry_after = match error {
        _ if approval.is_some() => None,
        MintError::Transient => Some(SOON),
        MintError::Throttled { retry_after } => Some(*retry_after),
        MintError::Propagation { .. } => Some(LATER),
        MintError::Config { .. } | MintError::Answer | MintError::Ourselves => None,
    };
    MintRefusal::Refused { reason: Reason::MintFailed, retry_after }
}
