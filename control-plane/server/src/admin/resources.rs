//! `ResourceService`.

use std::sync::Arc;

use countersign_core::Core;
use countersign_wire::v1::{self, resource_service_server::ResourceService};
use tonic::{Request, Response, Status, async_trait};

use super::authorize::admin;
use crate::status;

pub(super) struct Service(pub(super) Arc<Core>);

#[async_trait]
impl ResourceService for Service {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        let admin = admin(&request)?;
        let v1::ApplyRequest { resource, dry_run } = request.into_inner();
        let resource = resource.ok_or_else(|| Status::invalid_argument("the resource is missing"))?;
        let (resource, change) = self.0.apply(&admin, resource, dry_run).await.map_err(status::resource)?;
        Ok(Response::new(v1::ApplyResponse { resource: Some(resource), change: change.into() }))
    }

    async fn get_resource(
        &self,
        request: Request<v1::GetResourceRequest>,
    ) -> Result<Response<v1::Resource>, Status> {
        let v1::GetResourceRequest { kind, name } = request.into_inner();
        self.0.get(&kind, &name).await.map(Response::new).map_err(status::resource)
    }

    async fn list_resources(
        &self,
        request: Request<v1::ListResourcesRequest>,
    ) -> Result<Response<v1::ListResourcesResponse>, Status> {
        let v1::ListResourcesRequest { kind, page_size, page_token } = request.into_inner();
        self.0.list(&kind, page_size, &page_token).await.map(Response::new).map_err(status::resource)
    }

    async fn delete_resource(
        &self,
        request: Request<v1::DeleteResourceRequest>,
    ) -> Result<Response<v1::DeleteResourceResponse>, Status> {
        let admin = admin(&request)?;
        let v1::DeleteResourceRequest { kind, name } = request.into_inner();
        let revocation = self.0.delete(&admin, &kind, &name).await.map_err(status::resource)?;
        Ok(Response::new(v1::DeleteResourceResponse { revocation }))
    }
}
