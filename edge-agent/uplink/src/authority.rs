//! What only the control plane may do, asked over gRPC.

use std::{sync::Arc, time::Duration};

use countersign_gate::{
    OpenRequest,
    ports::{Authority, Credential, Ended},
};
use countersign_model::{ApprovalId, Identity, OperationId, Refusal, Secret, SessionFacts, SessionId};
use countersign_runtime::{Failpoint, failpoint};
use countersign_wire::{from_timestamp, v1};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::{
    InForce,
    approvals::Withdrawn,
    channel::{Link, bounded},
    outcomes::Outcomes,
    refusals,
    revocations::{Asked, NotOpen, Sessions},
};

/// Opening a session verifies a token, which may fetch keys; minting asks Entra. Both bounded.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const MINT_TIMEOUT: Duration = Duration::from_secs(30);

/// The control plane, as the gate sees it.
pub struct ControlPlane {
    pub(crate) link: Link,
    pub(crate) boot_id: [u8; 16],
    pub(crate) in_force: Arc<InForce>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) outcomes: Arc<Outcomes>,
    /// Sessions that end, for [`report_closed`].
    pub(crate) closed: mpsc::UnboundedSender<SessionId>,
    /// Approvals that nobody waits for, for [`crate::approvals::report_withdrawn`].
    pub(crate) withdrawn: mpsc::UnboundedSender<Withdrawn>,
}

impl ControlPlane {
    /// Counts a session that the control plane opened as open here, unless it is to end already.
    fn register(&self, session: SessionFacts, asked: Asked) -> Result<SessionFacts, Refusal> {
        let id = session.session;
        let refusal = match self.sessions.register(id, asked) {
            Ok(()) => return Ok(session),
            Err(NotOpen::Revoked) => refusals::killed(),
            Err(NotOpen::Uncertain) => refusals::away(),
        };
        info!(session.id = %id, reason = %refusal.reason, "a session ended before it was open");
        self.close_session(id);
        Err(refusal)
    }
}

impl Authority for ControlPlane {
    async fn open_session(&self, request: OpenRequest) -> Result<SessionFacts, Refusal> {
        let asked = self.sessions.asked();
        if !self.in_force.lease_holds() {
            // Nothing may be decided here, and the edge may have been shut out.
            return Err(refusals::away());
        }
        let wire = v1::OpenSessionRequest {
            token: request.token.expose().to_owned(),
            target: request.target.to_string(),
            client_address: request.client.map(|address| address.to_string()).unwrap_or_default(),
            client_user: request.client_user,
            boot_id: self.boot_id.to_vec(),
        };
        drop(request.token);
        let response = self.link.edge_service().open_session(bounded(wire, OPEN_TIMEOUT)).await;
        let response = response.map_err(|status| refusals::unanswered("open_session", &status))?;
        match response.into_inner().result {
            Some(v1::open_session_response::Result::Session(session)) => {
                let session = SessionFacts::try_from(session).map_err(|error| {
                    warn!(%error, "the control plane opened a session that is malformed");
                    refusals::away()
                })?;
                self.register(session, asked)
            }
            Some(v1::open_session_response::Result::Refused(refused)) => {
                Err(refusals::of_session(&refused.reason))
            }
            None => Err(refusals::away()),
        }
    }

    fn ended(&self, session: SessionId) -> Ended {
        self.sessions.ended(session)
    }

    async fn mint(
        &self,
        session: SessionId,
        identity: Identity,
        operation: OperationId,
        approval: Option<ApprovalId>,
    ) -> Result<Credential, Refusal> {
        let wire = v1::MintCredentialRequest {
            session_id: session.to_string(),
            identity: v1::Identity::from(identity).into(),
            operation_id: operation.to_string(),
            approval_id: approval.map(|approval| approval.to_string()).unwrap_or_default(),
        };
        let response = self.link.edge_service().mint_credential(bounded(wire, MINT_TIMEOUT)).await;
        let response = response.map_err(|status| refusals::unanswered("mint_credential", &status))?;
        match response.into_inner().result {
            Some(v1::mint_credential_response::Result::Credential(minted)) => {
                let expires_at = from_timestamp(minted.expires_at.as_ref());
                let expires_at = expires_at.map_err(|_| refusals::mint_failed())?;
                if approval.is_some() {
                    failpoint(Failpoint::CredentialReceived);
                }
                Ok(Credential::new(identity, Secret::new(minted.token), expires_at))
            }
            Some(v1::mint_credential_response::Result::Refused(refused)) => {
                warn!(reason = %refused.reason, identity = identity.as_str(), "no credential was minted");
                Err(refusals::mint_failed())
            }
            None => Err(refusals::mint_failed()),
        }
    }

    fn close_session(&self, session: SessionId) {
        self.sessions.deregister(session);
        self.outcomes.forget_session(session);
        // The receiver is gone only while the process ends, and then the control plane closes by the lease.
        let _ = self.closed.send(session);
    }
}

/// Tells the control plane of ended sessions, one after another, for as long as the edge runs.
pub(crate) async fn report_closed(link: Link, mut closed: mpsc::UnboundedReceiver<SessionId>) {
    while let Some(session) = closed.recv().await {
        let wire = v1::CloseSessionRequest { session_id: session.to_string() };
        if let Err(status) = link.edge_service().close_session(bounded(wire, OPEN_TIMEOUT)).await {
            // The recording's last segment closes the session all the same.
            warn!(%session, code = ?status.code(), "the end of a session could not be told");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
