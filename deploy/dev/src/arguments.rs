//! What the command line and the file say.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context as _;
use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde::Deserialize;
use tempfile::TempDir;

/// The whole of Countersign in one process tree, for development and tests.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Folder for everything that is kept; without it, a temporary one that goes with the process.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// TOML file with ports and the lease; all of it has defaults.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print one line of JSON once everything answers.
    #[arg(long)]
    json: bool,
}

/// What can be set. Port 0 takes a free one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Admin listener of the control plane.
    pub(crate) admin: SocketAddr,
    /// Edge listener of the control plane.
    pub(crate) edge: SocketAddr,
    /// The Entra emulator.
    pub(crate) entra: SocketAddr,
    /// PostgreSQL clients of the edge.
    pub(crate) postgres: SocketAddr,
    /// How long an edge acts without hearing from the control plane, in seconds.
    pub(crate) lease_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { admin: any, edge: any, entra: any, postgres: any, lease_seconds: 300 }
    }
}

/// Settings that mean something.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) data_dir: PathBuf,
    /// Removed with the process, if the folder is ours alone.
    pub(crate) temporary: Option<TempDir>,
}

impl Arguments {
    pub(crate) fn settings(self) -> anyhow::Result<(Settings, bool)> {
        let config = match &self.config {
            Some(file) => {
                anyhow::ensure!(file.is_file(), "{}: no such file", file.display());
                Figment::from(Toml::file_exact(file)).extract().with_context(|| file.display().to_string())?
            }
            None => Config::default(),
        };
        let (data_dir, temporary) = match self.data_dir {
            Some(folder) => (folder, None),
            None => {
                let folder = tempfile::Builder::new().prefix("countersign-dev-").tempdir()?;
                (folder.path().join("data"), Some(folder))
            }
        };
        Ok((Settings { config, data_dir, temporary }, self.json))
    }
}
