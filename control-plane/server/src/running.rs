//! Starting and stopping, in a process of its own or inside another.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use countersign_core::Core;
use countersign_runtime::{Drain, Watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::Server,
};
use tracing::{error, info, warn};

use crate::{
    Config, ConfigError, PartsError, admin, edge, health,
    listener::{Bounds, Connection, Listener},
    parts::{self, Disk},
    tls::{self, ListenerCertificate, TlsError},
};

/// How long calls may take to end once it is time to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// A peer that does not answer a ping is gone.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);
/// Time between purges of what has expired.
const PURGE: Duration = Duration::from_secs(600);
/// Time between looks for sessions that are over without anybody having said so.
const SWEEP: Duration = Duration::from_secs(15);
/// Time between looks for approvals that are out of time: how much longer than said one can look open.
const EXPIRY: Duration = Duration::from_secs(1);
/// Connections at a time of admins, and of edges.
const CONNECTIONS: usize = 1_024;
/// Connections at a time that have come to enrol, and how long each may stay.
const ENROLLING: usize = 64;
const ENROLMENT: Duration = Duration::from_secs(60);
/// Streams at a time on one connection.
const STREAMS: u32 = 256;

/// Services of somebody else on the admin listener. The table of who may call what knows `DevelopmentService` alone;
/// others cannot be called.
pub struct ExtraServices {
    /// Their full names, for reflection and health.
    pub names: Vec<&'static str>,
    /// Adds them.
    pub add: Box<dyn FnOnce(&mut RoutesBuilder) + Send>,
}

impl fmt::Debug for ExtraServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtraServices").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has faults.
    #[error("{}", lines(.0))]
    Config(Vec<ConfigError>),
    /// Something on disk.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// TLS.
    #[error("{0}")]
    Tls(String),
    /// A port cannot be had.
    #[error("{key}: {address}: {source}")]
    Bind {
        /// `admin.listen` or `edge.listen`.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The descriptors cannot be served: a fault of this program.
    #[error("reflection: {0}")]
    Reflection(String),
    /// A task of the start died.
    #[error("the start was interrupted")]
    Interrupted,
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Starts control planes.
#[derive(Debug)]
pub struct ControlPlane;

impl ControlPlane {
    /// Opens what is on disk, binds both ports and serves.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        Self::start_with(config, None).await
    }

    /// The same, with further services on the admin listener.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start_with(config: Config, extra: Option<ExtraServices>) -> Result<Running, StartError> {
        let checked = Arc::new(config.checked().map_err(StartError::Config)?);
        let (folder, of_disk) = (config.data_dir.clone(), checked.clone());
        let disk = tokio::task::spawn_blocking(move || Disk::open(&folder, &of_disk));
        let disk = disk.await.map_err(|_| StartError::Interrupted)??;
        let ca = disk.ca.clone();
        let admin_listener = bind("admin.listen", config.admin.listen).await?;
        let edge_listener = bind("edge.listen", config.edge.listen).await?;
        let (admin_addr, edge_addr) = (admin_listener.local(), edge_listener.local());
        let issuer_url = config.issuer_url.clone().unwrap_or_else(|| default_issuer(&config, admin_addr));
        let assembled = parts::assemble(&config, &checked, disk, issuer_url.clone()).await?;
        let core = assembled.core;

        let admin_certificate = ListenerCertificate::issue(ca.clone(), config.admin.names.clone())?;
        let edge_certificate = ListenerCertificate::issue(ca.clone(), config.edge.names.clone())?;
        let (admin_tls, edge_tls) =
            (tls::admin(admin_certificate.clone())?, tls::edge(&ca, edge_certificate.clone())?);
        let (reporter, _) = tonic_health::server::health_reporter();
        let reported: Vec<_> =
            admin::SERVICES.into_iter().chain(extra.iter().flat_map(|extra| extra.names.clone())).collect();
        let (drain, stop) = Drain::new();
        let admin_routes =
            admin::routes(core.clone(), &assembled.issuer, extra, reporter.clone(), stop.clone())
                .map_err(|error| StartError::Reflection(error.to_string()))?;

        health::report(&core, &reporter, &reported).await;

        let edge_routes = edge::routes(core.clone(), stop.clone());
        let mut background = JoinSet::new();
        background.spawn(assembled.signing_keys.keep_fresh());
        background.spawn(admin_certificate.keep_fresh());
        background.spawn(edge_certificate.keep_fresh());
        background.spawn(health::keep_reporting(core.clone(), reporter, reported));
        background.spawn(purge(core.clone()));
        background.spawn(sweep(core.clone()));
        background.spawn(expire(core.clone()));
        // Admins show no certificate; a stranger at the edges' listener has come to enrol, once.
        let admin_bounds = Bounds::new(0, CONNECTIONS, None);
        let edge_bounds = Bounds::new(CONNECTIONS, ENROLLING, Some(ENROLMENT));
        let servers = vec![
            serve(
                "admin",
                admin_listener.connections(admin_tls, admin_bounds, stop.clone()),
                admin_routes,
                stop.clone(),
            ),
            serve("edge", edge_listener.connections(edge_tls, edge_bounds, stop.clone()), edge_routes, stop),
        ];
        if config.allow_token_votes {
            warn!("allow_token_votes is set: votes do not show that a person is present");
        }
        info!(deployment = %core.deployment(), %admin_addr, %edge_addr, issuer = issuer_url, "control plane serves");
        let ca_file = config.data_dir.join("ca").join("ca.pem");
        Ok(Running { admin_addr, edge_addr, issuer_url, ca_file, core, drain, servers, background })
    }
}

/// A control plane that serves. Dropping it stops the background work; [`Running::shutdown`] stops it in order.
pub struct Running {
    /// Where admins connect.
    pub admin_addr: SocketAddr,
    /// Where edges connect.
    pub edge_addr: SocketAddr,
    /// The OIDC issuer, as federated credentials must name it.
    pub issuer_url: String,
    /// PEM of the root that both listeners' certificates chain to.
    pub ca_file: PathBuf,
    core: Arc<Core>,
    drain: Drain,
    servers: Vec<JoinHandle<()>>,
    background: JoinSet<()>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("admin_addr", &self.admin_addr)
            .field("edge_addr", &self.edge_addr)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The use cases themselves, for a process that has this one inside.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Takes no further connections, tells edges to go, lets calls end for up to ten seconds, and cuts the rest.
    pub async fn shutdown(mut self) {
        let drained = self.drain.drain(DRAIN).await;
        for server in &mut self.servers {
            if tokio::time::timeout(DRAIN, &mut *server).await.is_err() {
                server.abort();
            }
        }
        self.background.shutdown().await;
        info!(drained, "control plane stopped");
    }
}

fn serve(
    name: &'static str,
    connections: ReceiverStream<io::Result<Connection>>,
    routes: Routes,
    mut stopped: Watch,
) -> JoinHandle<()> {
    let server = Server::builder()
        // Of no consequence where TLS offers HTTP/2 alone.
        .accept_http1(true)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_concurrent_streams(STREAMS)
        .add_routes(routes);
    tokio::spawn(async move {
        let served =
            server.serve_with_incoming_shutdown(connections, async move { stopped.stopped().await }).await;
        if let Err(error) = served {
            error!(listener = name, %error, "a listener failed");
        }
    })
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<Listener, StartError> {
    Listener::bind(address).await.map_err(|source| StartError::Bind { key, address, source })
}

async fn purge(core: Arc<Core>) {
    loop {
        tokio::time::sleep(PURGE).await;
        if let Err(error) = core.purge_expired().await {
            error!(%error, "what has expired could not be purged");
        }
    }
}

async fn sweep(core: Arc<Core>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(error) = core.close_overdue_sessions().await {
            error!(%error, "sessions that are over could not be closed");
        }
    }
}

async fn expire(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EXPIRY).await;
        if let Err(error) = core.expire_approvals().await {
            error!(%error, "approvals that are out of time could not be ended");
        }
    }
}

/// The first name that the admin listener's certificate has, with the port that it listens on.
fn default_issuer(config: &Config, admin: SocketAddr) -> String {
    let name = config.admin.names.first().map_or("localhost", String::as_str);
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    format!("https://{name}:{}", admin.port())
}

fn lines(faults: &[ConfigError]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
