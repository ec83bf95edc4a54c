//! gRPC health: serving while store and archive would take a write.

use std::{sync::Arc, time::Duration};

use countersign_core::Core;
use tonic_health::{ServingStatus, server::HealthReporter};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the status of the whole (`""`) and of each service, for ever. To be spawned, and aborted at will.
pub(crate) async fn keep_reporting(core: Arc<Core>, reporter: HealthReporter, services: Vec<&'static str>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        report(&core, &reporter, &services).await;
    }
}

/// Looks once.
pub(crate) async fn report(core: &Core, reporter: &HealthReporter, services: &[&'static str]) {
    let status = if core.healthy().await { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in services.iter().chain([&""]) {
        reporter.set_service_status(*service, status).await;
    }
}
