//! The parts of the stack, in the order in which they need each other.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use countersign_control_plane::{
    AdminConfig, Config as ControlPlaneConfig, ControlPlane, EdgeConfig, EntraConfig, ExtraServices,
    KeysConfig,
};
use countersign_edge::{ControlPlaneConfig as EdgeUplink, ListenerConfig, Listeners, SpoolConfig};
use countersign_entra_emulator::{
    Config as EmulatorConfig, Emulator, TlsFiles,
    development::{self, DevelopmentIds, DevelopmentParams},
    directory::PostgresServer,
};
use countersign_model::Name;
use countersign_pki::{Ca, ServerCertificate};
use countersign_wire::v1::development_service_server::DevelopmentServiceServer;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tracing::info;

use crate::{
    arguments::{Config, Settings},
    development::{Development, NAME},
    pem,
    postgres::{self, Postgres, Setup},
    resources::{Admin, TARGET, ZONE},
    tokens::TokenFiles,
};

/// Name of the deployment, the edge and everything that carries them.
const DEPLOYMENT: &str = "dev";
const EDGE: &str = "dev-1";
/// Certificates of the parts are made at each start.
const VALIDITY: Duration = Duration::from_secs(90 * 24 * 3600);

/// Everything, running.
pub(crate) struct Stack {
    pub(crate) emulator: Arc<countersign_entra_emulator::Running>,
    pub(crate) postgres: Postgres,
    pub(crate) control_plane: countersign_control_plane::Running,
    pub(crate) edge: countersign_edge::Running,
    pub(crate) tokens: Arc<TokenFiles>,
    pub(crate) ca_file: PathBuf,
    background: JoinSet<()>,
    _temporary: Option<TempDir>,
}

impl Stack {
    /// Starts the emulator, then PostgreSQL that asks it, then the control plane that trusts it, then the edge.
    pub(crate) async fn start(settings: Settings) -> anyhow::Result<Self> {
        let Settings { config, data_dir, temporary } = settings;
        fs::create_dir_all(&data_dir)?;
        let data_dir = data_dir.canonicalize()?;
        let deployment: Name = DEPLOYMENT.parse()?;
        let ca = Ca::load_or_create(&data_dir.join("control-plane/ca"), &deployment, SystemTime::now())?;
        // A copy: the control plane's own folder is for its own process alone.
        let ca_file = data_dir.join("root.pem");
        fs::write(&ca_file, ca.root_pem())?;

        let emulator = Arc::new(emulator(&config, &data_dir, &ca, &ca_file).await?);
        let certificate = certificate(&ca)?;
        let ldap = emulator.ldap.context("the emulator has no verifier")?;
        let folder = data_dir.join("postgres");
        let postgres = Postgres::start(Setup { folder: &folder, certificate: &certificate, ldap }).await?;
        postgres::prepare(&postgres).await?;

        // The federated credentials name the issuer, whose port is known once the control plane listens.
        let (_, ids) = development::directory(&params("https://localhost"));
        let ids = Arc::new(ids);
        let control_plane = control_plane(&config, &data_dir, &ca_file, &emulator, &ids).await?;
        set_directory(&emulator, &control_plane.issuer_url)?;

        let tokens = TokenFiles::write(data_dir.join("tokens"), emulator.clone(), ids.clone())?;
        let tokens = Arc::new(tokens);
        let admin_url = format!("https://localhost:{}", control_plane.admin_addr.port());
        let admin = Admin::connect(&admin_url, ca.root_pem(), &tokens.admin_token()?).await?;
        admin.declare(&ids, postgres.address, ca.root_pem()).await?;

        let edge = edge(&config, &data_dir, &ca, &ca_file, &control_plane, &admin).await?;
        ensure!(
            edge.configured(Duration::from_secs(30)).await,
            "the edge was not configured within 30 seconds"
        );
        let mut background = JoinSet::new();
        background.spawn(tokens.clone().keep_fresh());
        info!("everything answers");
        Ok(Self {
            emulator,
            postgres,
            control_plane,
            edge,
            tokens,
            ca_file,
            background,
            _temporary: temporary,
        })
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("https://localhost:{}", self.control_plane.admin_addr.port())
    }

    pub(crate) fn edge_url(&self) -> String {
        format!("https://localhost:{}", self.control_plane.edge_addr.port())
    }

    /// Stops it in the order in which nothing is lost: the edge uploads to a control plane that still serves.
    pub(crate) async fn shutdown(mut self) {
        self.background.shutdown().await;
        self.edge.shutdown().await;
        self.control_plane.shutdown().await;
        self.postgres.stop().await;
    }
}

async fn emulator(
    config: &Config,
    data_dir: &Path,
    ca: &Ca,
    ca_file: &Path,
) -> anyhow::Result<countersign_entra_emulator::Running> {
    let (certificate, key) = certificate_files(&data_dir.join("entra"), ca)?;
    let (directory, _) = development::directory(&params("https://localhost"));
    let emulator = Emulator::start(EmulatorConfig {
        listen: config.entra,
        public_host: "localhost".to_owned(),
        tls: Some(TlsFiles { certificate, key }),
        trust_roots: vec![ca_file.to_owned()],
        ldap_listen: Some(([127, 0, 0, 1], 0).into()),
        directory,
    });
    emulator.await.context("the Entra emulator could not be started")
}

/// The tenant with credentials that trust `issuer`, and the database roles that its tokens may log in as.
fn set_directory(emulator: &countersign_entra_emulator::Running, issuer: &str) -> anyhow::Result<()> {
    let (mut directory, ids) = development::directory(&params(issuer));
    let roles = ["standing", "metadata", "approved"].into_iter().filter_map(|identity| {
        let app = ids.identities.get(&format!("{TARGET}-{identity}"))?;
        Some((format!("{TARGET}_{identity}"), app.object_id))
    });
    let reader = ids.agents.get("reader").map(|app| (postgres::READER_OWN.to_owned(), app.object_id));
    directory.postgres = Some(PostgresServer { tenant: ids.tenant, roles: roles.chain(reader).collect() });
    emulator.edit(|present| {
        *present = directory;
        Ok(())
    })?;
    Ok(())
}

fn params(issuer: &str) -> DevelopmentParams {
    DevelopmentParams {
        issuer: issuer.to_owned(),
        deployment: DEPLOYMENT.to_owned(),
        targets: vec![TARGET.to_owned()],
        gateway_audience: None,
        admin_audience: None,
    }
}

async fn control_plane(
    config: &Config,
    data_dir: &Path,
    ca_file: &Path,
    emulator: &Arc<countersign_entra_emulator::Running>,
    ids: &Arc<DevelopmentIds>,
) -> anyhow::Result<countersign_control_plane::Running> {
    let names = || vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let settings = ControlPlaneConfig {
        deployment: DEPLOYMENT.to_owned(),
        data_dir: data_dir.join("control-plane"),
        issuer_url: None,
        lease_seconds: config.lease_seconds,
        one_zone_per_token: false,
        // The people of the story have no browser that could prove their presence.
        allow_token_votes: true,
        admin: AdminConfig { listen: config.admin, audience: ids.admin.to_string(), names: names() },
        edge: EdgeConfig { listen: config.edge, names: names() },
        entra: EntraConfig {
            authority: emulator.url.clone(),
            tenant_id: ids.tenant.to_string(),
            ca_file: Some(ca_file.to_owned()),
            keys: KeysConfig::default(),
        },
    };
    let service = DevelopmentServiceServer::new(Development { emulator: emulator.clone(), ids: ids.clone() });
    let extra = ExtraServices {
        names: vec![NAME],
        add: Box::new(move |routes| {
            routes.add_service(service);
        }),
    };
    ControlPlane::start_with(settings, Some(extra)).await.context("the control plane could not be started")
}

async fn edge(
    config: &Config,
    data_dir: &Path,
    ca: &Ca,
    ca_file: &Path,
    control_plane: &countersign_control_plane::Running,
    admin: &Admin,
) -> anyhow::Result<countersign_edge::Running> {
    let state_dir = data_dir.join("edge");
    let (certificate_file, key_file) = certificate_files(&data_dir.join("listener"), ca)?;
    let join_token_file = data_dir.join("join-token");
    let settings = countersign_edge::Config {
        name: EDGE.to_owned(),
        zone: ZONE.to_owned(),
        state_dir,
        control_plane: EdgeUplink {
            url: format!("https://localhost:{}", control_plane.edge_addr.port()),
            ca_file: ca_file.to_owned(),
            join_token_file: Some(join_token_file.clone()),
        },
        listeners: Listeners {
            postgres: ListenerConfig {
                listen: config.postgres,
                certificate_file,
                key_file,
                max_connections: 1024,
            },
        },
        workers: None,
        spool: SpoolConfig::default(),
    };
    if !settings.membership_file().exists() {
        write_private(&join_token_file, &admin.join_token().await?)?;
    }
    let edge = countersign_edge::start(settings).await.context("the edge could not be started")?;
    let _ = fs::remove_file(&join_token_file);
    Ok(edge)
}

fn certificate(ca: &Ca) -> anyhow::Result<ServerCertificate> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    Ok(ca.issue_server(&names, SystemTime::now(), VALIDITY)?)
}

/// Certificate and key as files of their own folder.
fn certificate_files(folder: &Path, ca: &Ca) -> anyhow::Result<(PathBuf, PathBuf)> {
    fs::create_dir_all(folder)?;
    let issued = certificate(ca)?;
    let (chain, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&chain, pem::chain(&issued))?;
    write_private(&key, &pem::key(&issued))?;
    Ok((chain, key))
}

/// Readable by its owner alone, in the place of what was there.
fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    Ok(())
}
