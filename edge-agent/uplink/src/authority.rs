//! What only the control plane may do, asked over gRPC.

use std::time::Duration;

use countersign_gate::{
    OpenRequest,
    ports::{Authority, Credential},
};
use countersign_model::{Identity, OperationId, Reason, Refusal, Secret, SessionFacts, SessionId};
use countersign_wire::{from_timestamp, v1};
use tokio::sync::mpsc;
use tonic::{Request, Status};
use tracing::warn;

use crate::channel::Link;

/// Opening a session verifies a token, which may fetch keys; minting asks Entra. Both bounded.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const MINT_TIMEOUT: Duration = Duration::from_secs(30);

/// The control plane, as the gate sees it.
pub struct ControlPlane {
    link: Link,
    boot_id: [u8; 16],
    closed: mpsc::UnboundedSender<SessionId>,
}

impl ControlPlane {
    /// Sessions that end are told through `closed`.
    pub(crate) fn new(link: Link, boot_id: [u8; 16], closed: mpsc::UnboundedSender<SessionId>) -> Self {
        Self { link, boot_id, closed }
    }
}

impl Authority for ControlPlane {
    async fn open_session(&self, request: OpenRequest) -> Result<SessionFacts, Refusal> {
        let wire = v1::OpenSessionRequest {
            token: request.token.expose().to_owned(),
            target: request.target.to_string(),
            client_address: request.client.map(|address| address.to_string()).unwrap_or_default(),
            client_user: request.client_user,
            boot_id: self.boot_id.to_vec(),
        };
        drop(request.token);
        let response = self.link.edge_service().open_session(bounded(wire, OPEN_TIMEOUT)).await;
        match response.map_err(|status| away("open_session", &status))?.into_inner().result {
            Some(v1::open_session_response::Result::Session(session)) => SessionFacts::try_from(session)
                .map_err(|error| {
                    warn!(%error, "the control plane opened a session that is malformed");
                    control_plane_away()
                }),
            Some(v1::open_session_response::Result::Refused(refused)) => {
                Err(refused_session(&refused.reason))
            }
            None => Err(control_plane_away()),
        }
    }

    async fn mint(
        &self,
        session: SessionId,
        identity: Identity,
        operation: OperationId,
    ) -> Result<Credential, Refusal> {
        let wire = v1::MintCredentialRequest {
            session_id: session.to_string(),
            identity: v1::Identity::from(identity).into(),
            operation_id: operation.to_string(),
        };
        let response = self.link.edge_service().mint_credential(bounded(wire, MINT_TIMEOUT)).await;
        match response.map_err(|status| away("mint_credential", &status))?.into_inner().result {
            Some(v1::mint_credential_response::Result::Credential(minted)) => {
                let expires_at = from_timestamp(minted.expires_at.as_ref()).map_err(|_| mint_failed())?;
                Ok(Credential::new(identity, Secret::new(minted.token), expires_at))
            }
            Some(v1::mint_credential_response::Result::Refused(refused)) => {
                warn!(reason = %refused.reason, identity = identity.as_str(), "no credential was minted");
                Err(mint_failed())
            }
            None => Err(mint_failed()),
        }
    }

    fn close_session(&self, session: SessionId) {
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

fn bounded<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

fn away(what: &'static str, status: &Status) -> Refusal {
    warn!(what, code = ?status.code(), message = status.message(), "the control plane did not answer");
    control_plane_away()
}

fn control_plane_away() -> Refusal {
    Refusal::denied(Reason::ControlPlaneUnavailable, "the control plane does not answer")
}

fn mint_failed() -> Refusal {
    Refusal::denied(Reason::MintFailed, "no credential could be had for the target")
}

/// The closed list of words that the control plane refuses a session with; an unknown one is no reason to open it.
fn refused_session(reason: &str) -> Refusal {
    match reason {
        "unknown_target" => Refusal::denied(Reason::UnknownTarget, "there is no such target in this zone"),
        "unavailable" => control_plane_away(),
        _ => Refusal::denied(Reason::TokenRefused, "the token was refused"),
    }
}
