//! `EdgeService`: the only service of the edge listener.

mod approvals;
mod attach;
mod enrolment;
mod peer;
mod upload;

use std::sync::Arc;

use axum::middleware;
use countersign_core::{Core, MintRefusal, OpenRefused, OpenRequest};
use countersign_model::{Identity, Secret};
use countersign_runtime::Watch;
use countersign_wire::{
    to_timestamp,
    v1::{
        self,
        edge_service_server::{EdgeService, EdgeServiceServer},
        mint_credential_response::Result as MintResult,
        open_session_response::Result as OpenResult,
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait, service::Routes};

use crate::status;
use peer::peer;

/// Largest message of an edge: 1 MiB of a statement or of its parameters, and what its names mean. What is more than
/// that together is refused as too long. A piece of a pack is shorter.
const MAX_MESSAGE: usize = 2 << 20;
/// Largest request for enrolment, which anybody can send.
const MAX_ENROL: usize = 16 << 10;

/// Everything that the listener serves.
pub(crate) fn routes(core: Arc<Core>, stop: Watch) -> Routes {
    let service = Arc::new(Service { core, stop, uploads: upload::Uploads::default() });
    let of_strangers = EdgeServiceServer::from_arc(service.clone()).max_decoding_message_size(MAX_ENROL);
    let of_edges = EdgeServiceServer::from_arc(service).max_decoding_message_size(MAX_MESSAGE);
    let router = Routes::new(of_edges)
        .into_axum_router()
        .route_service(enrolment::PATH, of_strangers)
        .layer(middleware::from_fn(enrolment::only_for_strangers));
    Routes::from(router)
}

/// What edges may ask. Streams end when it is time to stop.
struct Service {
    core: Arc<Core>,
    stop: Watch,
    uploads: upload::Uploads,
}

#[async_trait]
impl EdgeService for Service {
    type AttachStream = ReceiverStream<Result<v1::ControlMessage, Status>>;
    type UploadPacksStream = ReceiverStream<Result<v1::UploadPacksResponse, Status>>;

    /// The one method without a client certificate: the join token stands in for it.
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolResponse>, Status> {
        let v1::EnrolRequest { join_token, csr, edge } = request.into_inner();
        let join_token = Secret::new(join_token);
        let enrolled = self.core.enrol(join_token.expose(), &csr, &edge).await.map_err(status::enrol)?;
        Ok(Response::new(v1::EnrolResponse {
            certificate_chain: enrolled.certificate_chain,
            root: enrolled.root,
            deployment_key: enrolled.deployment_key.to_vec(),
            zone: enrolled.zone.to_string(),
        }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let peer = peer(&request)?;
        let certificate_chain =
            self.core.renew(&peer, &request.into_inner().csr).await.map_err(status::edge)?;
        Ok(Response::new(v1::RenewResponse { certificate_chain }))
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::EdgeMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let peer = peer(&request)?;
        let stream = attach::attach(self.core.clone(), peer, request.into_inner(), self.stop.clone()).await?;
        Ok(Response::new(stream))
    }

    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let peer = peer(&request)?;
        let wire = request.into_inner();
        let request = OpenRequest {
            token: Secret::new(wire.token),
            target: wire.target,
            client_address: wire.client_address,
            client_user: wire.client_user,
            boot_id: wire.boot_id,
        };
        let refused = |reason: &str| OpenResult::Refused(v1::SessionRefused { reason: reason.to_owned() });
        let result = match self.core.open_session(&peer, request).await {
            Ok(session) => OpenResult::Session(session),
            Err(OpenRefused::Refused(reason)) => refused(reason.as_str()),
            Err(OpenRefused::Unavailable) => refused("unavailable"),
            Err(OpenRefused::Edge(error)) => return Err(status::edge(error)),
        };
        Ok(Response::new(v1::OpenSessionResponse { result: Some(result) }))
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        let peer = peer(&request)?;
        self.core.close_session(&peer, &request.into_inner().session_id).await.map_err(status::edge)?;
        Ok(Response::new(v1::CloseSessionResponse {}))
    }

    async fn mint_credential(
        &self,
        request: Request<v1::MintCredentialRequest>,
    ) -> Result<Response<v1::MintCredentialResponse>, Status> {
        let peer = peer(&request)?;
        let wire = request.into_inner();
        let identity = Identity::try_from(wire.identity())
            .map_err(|_| Status::invalid_argument("the identity is unknown"))?;
        let v1::MintCredentialRequest { session_id, operation_id, approval_id, .. } = wire;
        let minted =
            self.core.mint_credential(&peer, &session_id, identity, &operation_id, &approval_id).await;
        let result = match minted {
            Ok(minted) => MintResult::Credential(v1::MintedCredential {
                token: minted.token.expose().to_owned(),
                expires_at: Some(to_timestamp(minted.expires_at)),
            }),
            Err(MintRefusal::Refused { reason, retry_after }) => {
                let retry = retry_after.map_or(0, |after| after.as_secs().max(1));
                MintResult::Refused(v1::MintRefused {
                    reason: reason.as_str().to_owned(),
                    retry_after_seconds: u32::try_from(retry).unwrap_or(u32::MAX),
                })
            }
            Err(MintRefusal::Edge(error)) => return Err(status::edge(error)),
        };
        Ok(Response::new(v1::MintCredentialResponse { result: Some(result) }))
    }

    async fn request_approval(
        &self,
        request: Request<v1::RequestApprovalRequest>,
    ) -> Result<Response<v1::RequestApprovalResponse>, Status> {
        let peer = peer(&request)?;
        approvals::requested(self.core.request_approval(&peer, request.into_inner()).await).map(Response::new)
    }

    async fn consume_approval(
        &self,
        request: Request<v1::ConsumeApprovalRequest>,
    ) -> Result<Response<v1::ConsumeApprovalResponse>, Status> {
        let peer = peer(&request)?;
        approvals::consumed(self.core.consume_approval(&peer, request.into_inner()).await).map(Response::new)
    }

    async fn cancel_approval(
        &self,
        request: Request<v1::CancelApprovalRequest>,
    ) -> Result<Response<v1::CancelApprovalResponse>, Status> {
        let peer = peer(&request)?;
        self.core.cancel_approval(&peer, request.into_inner()).await.map_err(status::edge)?;
        Ok(Response::new(v1::CancelApprovalResponse {}))
    }

    async fn upload_packs(
        &self,
        request: Request<Streaming<v1::UploadPacksRequest>>,
    ) -> Result<Response<Self::UploadPacksStream>, Status> {
        let peer = peer(&request)?;
        let stream = self.uploads.serve(self.core.clone(), peer, request.into_inner(), self.stop.clone());
        Ok(Response::new(stream))
    }
}
