//! `SessionService`.

use std::sync::Arc;

use countersign_core::Core;
use countersign_wire::v1::{self, session_service_server::SessionService};
use tonic::{Request, Response, Status, async_trait};

use super::authorize::admin;
use crate::status;

pub(super) struct Service(pub(super) Arc<Core>);

#[async_trait]
impl SessionService for Service {
    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let v1::ListSessionsRequest { page_size, page_token } = request.into_inner();
        let page = self.0.list_sessions(page_size, &page_token).await.map_err(status::read)?;
        Ok(Response::new(page))
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        self.0.get_session(&request.into_inner().id).await.map(Response::new).map_err(status::read)
    }

    async fn kill_session(
        &self,
        request: Request<v1::KillSessionRequest>,
    ) -> Result<Response<v1::KillSessionResponse>, Status> {
        let admin = admin(&request)?;
        let v1::KillSessionRequest { id, reason } = request.into_inner();
        let (session, revocation) =
            self.0.kill_session(&admin, &id, &reason).await.map_err(status::revoke)?;
        Ok(Response::new(v1::KillSessionResponse { session: Some(session), revocation: Some(revocation) }))
    }
}
