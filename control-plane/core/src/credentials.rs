//! Credentials: minted for one open session, if policy still lets its caller connect.

use std::time::Duration;

use countersign_entra::{MintError, MintRequest, Minted};
use countersign_model::{Action, Fact, Identity, OperationContext, OperationId, Reason, Resource, Verdict};
use countersign_pki::EdgeIdentity;
use countersign_store::SessionRecord;
use countersign_wire::v1;
use tracing::warn;

use crate::{Core, EdgeError, in_force::InForce, sessions::facts};

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
    fn refused(reason: Reason) -> Self {
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
    /// Connect is decided again, by the policies and for the agent's name in force now: an edge whose policies are stale
    /// cannot have a credential that the present ones refuse, nor an agent that was deleted one by its old name. `approved` is refused: nothing here can show an approval.
    ///
    /// # Errors
    /// [`MintRefusal`].
    pub async fn mint_credential(
        &self,
        peer: &EdgeIdentity,
        session: &str,
        identity: Identity,
        operation: &str,
    ) -> Result<Minted, MintRefusal> {
        let operation: OperationId =
            operation.parse().map_err(|_| EdgeError::Malformed("operation_id is malformed"))?;
        let session = self.session_of(peer, session).await?;
        self.attached_boot(peer, &session.boot_id).await?;
        let in_force = self.in_force.borrow().clone();
        let minted = match self.permitted(&session, &in_force) {
            Ok(target) => self.mint_for(&session, target, identity).await,
            Err(reason) => Err(MintRefusal::refused(reason)),
        };
        self.audit_mint(&session, identity, operation, &minted).await?;
        minted
    }

    /// The session's target, if the session lives and its caller may connect now.
    fn permitted<'a>(
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
        target: &v1::TargetSpec,
        identity: Identity,
    ) -> Result<Minted, MintRefusal> {
        let spec = match identity {
            Identity::Standing => target.standing.as_ref(),
            Identity::Metadata => target.metadata.as_ref(),
            Identity::Approved => return Err(MintRefusal::refused(Reason::ApprovalUnavailable)),
        };
        let spec = spec.ok_or(MintRefusal::refused(Reason::MintFailed))?;
        let subject = format!("cs:{}:target:{}:{}", self.deployment(), session.target, identity.as_str());
        let resource = if spec.resource.is_empty() { DEFAULT_RESOURCE } else { &spec.resource };
        let request = MintRequest { client_id: &spec.client_id, subject: &subject, resource };
        self.parts.minting.mint(request, self.now()).await.map_err(|error| refusal(&error))
    }

    async fn audit_mint(
        &self,
        session: &SessionRecord,
        identity: Identity,
        operation: OperationId,
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
        let detail = [
            ("identity", identity.as_str()),
            ("target", session.target.as_str()),
            ("operation", operation.as_str()),
            ("outcome", outcome),
        ];
        Ok(self.audit(session.edge.as_str(), action, &id, &detail).await?)
    }
}

fn refusal(error: &MintError) -> MintRefusal {
    let retry_after = match error {
        MintError::Transient => Some(SOON),
        MintError::Throttled { retry_after } => Some(*retry_after),
        MintError::Propagation { .. } => Some(LATER),
        MintError::Config { .. } | MintError::Answer | MintError::Ourselves => None,
    };
    MintRefusal::Refused { reason: Reason::MintFailed, retry_after }
}
