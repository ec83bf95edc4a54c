//! `EdgeAdminService`.

use std::{sync::Arc, time::Duration};

use countersign_core::Core;
use countersign_wire::{
    to_timestamp,
    v1::{self, edge_admin_service_server::EdgeAdminService},
};
use tonic::{Request, Response, Status, async_trait};

use super::authorize::admin;
use crate::status;

pub(super) struct Service(pub(super) Arc<Core>);

#[async_trait]
impl EdgeAdminService for Service {
    async fn list_edges(
        &self,
        _request: Request<v1::ListEdgesRequest>,
    ) -> Result<Response<v1::ListEdgesResponse>, Status> {
        let edges = self.0.list_edges().await.map_err(status::ourselves)?;
        Ok(Response::new(v1::ListEdgesResponse { edges }))
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        let admin = admin(&request)?;
        let v1::CreateJoinTokenRequest { zone, ttl } = request.into_inner();
        let ttl = ttl.map(Duration::try_from).transpose();
        let ttl = ttl.map_err(|_| Status::invalid_argument("ttl must not be negative"))?;
        let (token, expires_at) =
            self.0.create_join_token(&admin, &zone, ttl).await.map_err(status::resource)?;
        Ok(Response::new(v1::CreateJoinTokenResponse {
            join_token: token.expose().to_owned(),
            expires_at: Some(to_timestamp(expires_at)),
        }))
    }

    async fn delete_edge(
        &self,
        request: Request<v1::DeleteEdgeRequest>,
    ) -> Result<Response<v1::DeleteEdgeResponse>, Status> {
        let admin = admin(&request)?;
        let deleted = self.0.delete_edge(&admin, &request.into_inner().name).await;
        let revocation = deleted.map_err(status::resource)?;
        Ok(Response::new(v1::DeleteEdgeResponse { revocation: Some(revocation) }))
    }
}
