//! An edge, started: joined, attached, listening.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use countersign_gate::CloseReason;
use countersign_model::Secret;
use countersign_pki::read_private;
use countersign_postgres::{Cancels, Limits};
use countersign_runtime::{Drain, Watch};
use countersign_uplink::{InForce, Joining, Membership, Settings, Uplink, enrol};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tracing::{info, warn};

use crate::{Config, config::ListenerConfig, directory::Directory, workers::Workers};

/// How long sessions may take to end once it is time to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the lease is looked at: sessions are cut at most this long after its end.
const LEASE_TICK: Duration = Duration::from_millis(500);

/// A running edge.
pub struct Running {
    /// Where PostgreSQL clients connect.
    pub postgres: SocketAddr,
    in_force: Arc<InForce>,
    uplink: Arc<Uplink>,
    drain: Drain,
    tasks: JoinSet<()>,
}

/// Joins the deployment if need be, opens the spool, attaches and listens.
///
/// # Errors
/// Whatever of that fails; then nothing is left running.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    config.names()?;
    create_private_folder(&config.state_dir)?;
    let membership = Arc::new(membership(&config).await?);
    let settings = Settings {
        url: config.control_plane.url.clone(),
        membership: membership.clone(),
        membership_file: config.membership_file(),
        spool_dir: config.spool_dir(),
        spool_max_bytes: config.spool.max_bytes,
    };
    let (uplink, mut tasks) = Uplink::start(settings).context("the uplink could not be started")?;
    let in_force = uplink.in_force().clone();

    let listener = TcpListener::bind(config.listeners.postgres.listen).await;
    let listener =
        listener.with_context(|| format!("listeners.postgres: {}", config.listeners.postgres.listen))?;
    let postgres = listener.local_addr()?;
    let (drain, watch) = Drain::new();
    let (ending, told) = watch::channel(None);
    tasks.spawn(tell_endings(in_force.clone(), watch.clone(), ending));
    let workers = Workers::start(config.workers.unwrap_or_else(cores)).context("no threads for sessions")?;
    let door = Door {
        tls: server_tls(&config.listeners.postgres)?,
        uplink: uplink.clone(),
        directory: Arc::new(Directory::new(in_force.clone())),
        limits: Arc::new(Limits::default()),
        cancels: Arc::default(),
        ending: told,
        watch,
        max_connections: config.listeners.postgres.max_connections,
        open: Arc::default(),
    };
    tasks.spawn(door.accept(listener, workers));
    info!(edge = %membership.edge, zone = %membership.zone, %postgres, "edge serves");
    Ok(Running { postgres, in_force, uplink, drain, tasks })
}

impl Running {
    /// Waits until the control plane has configured this edge; false if it has not within `limit`.
    pub async fn configured(&self, limit: Duration) -> bool {
        let asked = async {
            while self.in_force.configuration().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, asked).await.is_ok()
    }

    /// Takes no more clients, ends sessions, uploads what is finished, and stops.
    pub async fn shutdown(mut self) {
        if !self.drain.drain(DRAIN).await {
            warn!("sessions were still open at the end of the drain");
        }
        if !self.uplink.uploaded(DRAIN).await {
            warn!("recordings are left in the spool; the next start uploads them");
        }
        self.tasks.shutdown().await;
    }
}

/// What every connection is served with.
#[derive(Clone)]
struct Door {
    tls: Arc<ServerConfig>,
    uplink: Arc<Uplink>,
    directory: Arc<Directory>,
    limits: Arc<Limits>,
    cancels: Arc<Cancels>,
    ending: watch::Receiver<Option<CloseReason>>,
    watch: Watch,
    max_connections: usize,
    open: Arc<AtomicUsize>,
}

impl Door {
    async fn accept(mut self, listener: TcpListener, workers: Workers) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.watch.stopped() => return,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, &workers),
                Err(error) => {
                    // Out of file descriptors, most likely: sessions that end give some back.
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn serve(&self, stream: tokio::net::TcpStream, workers: &Workers) {
        if self.open.load(Ordering::Relaxed) >= self.max_connections {
            warn!(open = self.max_connections, "a connection was closed at the door: no more are taken");
            return;
        }
        // Moved to the session's own thread as a plain socket: a tokio stream belongs to the runtime that made it.
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => return warn!(%error, "a connection was lost"),
        };
        let open = Opened::new(self.open.clone());
        let (door, blocker) = (self.clone(), self.watch.block());
        workers.spawn(move || async move {
            let _until_the_end = (open, blocker);
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => {
                    let Door { tls, uplink, directory, limits, cancels, ending, .. } = door;
                    countersign_postgres::serve(stream, tls, uplink, &*directory, &limits, &cancels, ending)
                        .await;
                }
                Err(error) => warn!(%error, "a connection was lost"),
            }
        });
    }
}

/// Counts a connection while it lives.
struct Opened(Arc<AtomicUsize>);

impl Opened {
    fn new(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells sessions to end: all of them at a drain, and those that are open when the lease ends.
async fn tell_endings(in_force: Arc<InForce>, mut watch: Watch, ending: watch::Sender<Option<CloseReason>>) {
    loop {
        tokio::select! {
            () = watch.stopped() => break,
            () = tokio::time::sleep(LEASE_TICK) => {}
        }
        let reason =
            (!in_force.lease_holds() && in_force.lease_ends().is_some()).then_some(CloseReason::Lease);
        ending.send_if_modified(|told| std::mem::replace(told, reason) != reason);
    }
    ending.send_replace(Some(CloseReason::Drain));
    // Kept until the sessions have heard it: a sender that is gone means the same, but says so later.
    std::future::pending::<()>().await;
}

async fn membership(config: &Config) -> anyhow::Result<Membership> {
    let (edge, zone) = config.names()?;
    let file = config.membership_file();
    if let Some(membership) = Membership::load(&file)? {
        ensure!(
            membership.edge == edge && membership.zone == zone,
            "{} is the membership of edge {} in zone {}, which is not what is configured",
            file.display(),
            membership.edge,
            membership.zone,
        );
        return Ok(membership);
    }
    let token_file = config.control_plane.join_token_file.as_ref();
    let token_file =
        token_file.context("this edge has not joined yet: control_plane.join_token_file is needed")?;
    let token = fs::read_to_string(token_file).with_context(|| token_file.display().to_string())?;
    let ca_file = &config.control_plane.ca_file;
    let root_pem = fs::read_to_string(ca_file).with_context(|| ca_file.display().to_string())?;
    let url = config.control_plane.url.clone();
    let join_token = Secret::new(token.trim().to_owned());
    Ok(enrol(Joining { url, root_pem, edge, zone, join_token }, &file).await?)
}

fn server_tls(listener: &ListenerConfig) -> anyhow::Result<Arc<ServerConfig>> {
    let file = &listener.certificate_file;
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    ensure!(!chain.is_empty(), "{}: no certificate", file.display());
    let key = read_private(&listener.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| anyhow::anyhow!("{}: {error}", listener.key_file.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key)?))
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
