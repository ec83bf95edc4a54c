//! The admin listener: gRPC and gRPC-web behind one authorisation, the issuer's documents beside it.

mod approvals;
mod authorize;
mod edges;
mod recordings;
mod resources;
mod sessions;

use std::sync::Arc;

use axum::{Router, middleware};
use countersign_core::{Core, Issuer};
use countersign_runtime::Watch;
use countersign_wire::{
    DESCRIPTORS,
    v1::{
        approval_service_server::ApprovalServiceServer, edge_admin_service_server::EdgeAdminServiceServer,
        recording_service_server::RecordingServiceServer, resource_service_server::ResourceServiceServer,
        session_service_server::SessionServiceServer,
    },
};
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use crate::running::ExtraServices;
use authorize::Gate;

/// Names of the services that are always there, for health and reflection.
pub(crate) const SERVICES: [&str; 5] = [
    "countersign.v1.ResourceService",
    "countersign.v1.SessionService",
    "countersign.v1.RecordingService",
    "countersign.v1.EdgeAdminService",
    "countersign.v1.ApprovalService",
];

/// Everything that the listener serves.
pub(crate) fn routes(
    core: Arc<Core>,
    issuer: &Issuer,
    extra: Option<ExtraServices>,
    reporter: HealthReporter,
    stop: Watch,
) -> Result<Routes, tonic_reflection::server::Error> {
    let mut services = RoutesBuilder::default();
    services.add_service(ResourceServiceServer::new(resources::Service(core.clone())));
    services.add_service(SessionServiceServer::new(sessions::Service(core.clone())));
    services.add_service(RecordingServiceServer::new(recordings::Service(core.clone())));
    services.add_service(EdgeAdminServiceServer::new(edges::Service(core.clone())));
    services.add_service(ApprovalServiceServer::new(approvals::Service { core: core.clone(), stop }));
    services.add_service(tonic_health::pb::health_server::HealthServer::new(
        tonic_health::server::HealthService::from_health_reporter(reporter),
    ));
    let extra_names = extra.as_ref().map(|extra| extra.names.clone()).unwrap_or_default();
    services.add_service(reflection(&extra_names).build_v1()?);
    services.add_service(reflection(&extra_names).build_v1alpha()?);
    if let Some(extra) = extra {
        (extra.add)(&mut services);
    }
    let gate = Arc::new(Gate::new(core));
    let grpc = services
        .routes()
        .into_axum_router()
        .layer(middleware::from_fn_with_state(gate, authorize::authorize))
        // Outside of the gate, so that a refusal too is translated for browsers.
        .layer(GrpcWebLayer::new());
    Ok(Routes::from(Router::merge(grpc, crate::issuer::routes(issuer))))
}

fn reflection(extra: &[&'static str]) -> tonic_reflection::server::Builder<'static> {
    SERVICES.iter().chain(extra).chain(&["grpc.health.v1.Health"]).fold(
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET),
        |builder, name| builder.with_service_name(*name),
    )
}
