//! The edge's settings, as they are written in its TOML file and its environment.
//!
//! `COUNTERSIGN_EDGE__A__B` sets `a.b` and wins over the file. Unknown keys are errors: a misspelled limit must not
//! become a default.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use countersign_model::Name;
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::Deserialize;

/// An edge lists its open sessions when it attaches, and the control plane takes a list of so many.
const MAX_CONNECTIONS: usize = 4096;

/// Raw settings of one edge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Unique in the deployment.
    pub name: String,
    /// Zone that the edge serves; must be the one that its join token was made for.
    pub zone: String,
    /// Folder of the edge's own files (mode 0700): membership and spool.
    pub state_dir: PathBuf,
    /// Where the control plane is.
    pub control_plane: ControlPlaneConfig,
    /// Where clients connect.
    pub listeners: Listeners,
    /// Threads for sessions; one for each core unless told.
    #[serde(default)]
    pub workers: Option<NonZeroUsize>,
    /// Room for recordings that are not archived yet.
    #[serde(default)]
    pub spool: SpoolConfig,
}

/// Where the control plane is, and whom to trust as it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPlaneConfig {
    /// `https://host:port` of its edge listener.
    pub url: String,
    /// PEM file with the deployment's root.
    pub ca_file: PathBuf,
    /// File with the one-time join token; read at the first start only.
    #[serde(default)]
    pub join_token_file: Option<PathBuf>,
}

/// One listener for each protocol.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listeners {
    /// PostgreSQL clients.
    pub postgres: ListenerConfig,
}

/// A TLS listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM, leaf first.
    pub certificate_file: PathBuf,
    /// PEM of its private key; a file that others can read is refused.
    pub key_file: PathBuf,
    /// Connections at once, at most 4,096; more are refused at the door.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
}

/// Bounds of the spool.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// Bytes that are never passed. Nothing new begins from fifteen sixteenths of it on.
    pub max_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { max_bytes: 1024 * 1024 * 1024 }
    }
}

fn default_connections() -> usize {
    MAX_CONNECTIONS
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Syntax, type, or an unknown key.
    #[error("{0}")]
    Settings(#[from] Box<figment::Error>),
    /// A name is malformed.
    #[error("{field}: {source}")]
    Name {
        /// The setting.
        field: &'static str,
        /// Why.
        source: countersign_model::NameError,
    },
    /// A file that is needed cannot be read.
    #[error("{field}: {}: {source}", path.display())]
    File {
        /// The setting.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// More connections than an edge may have open.
    #[error("listeners.postgres.max_connections is at most {MAX_CONNECTIONS}")]
    Connections,
    /// The URL is not `https://`.
    #[error("control_plane.url must begin with https://")]
    Url,
}

impl Config {
    /// Settings from a file and the process's environment.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        // Asked for by itself: a missing file must not read as an empty one.
        fs::metadata(file).map_err(|source| ConfigError::File {
            field: "--config",
            path: file.to_owned(),
            source,
        })?;
        let figment = Figment::new()
            .merge(Toml::file_exact(file))
            .merge(Env::prefixed("COUNTERSIGN_EDGE__").split("__"));
        let config: Self = figment.extract().map_err(Box::new)?;
        config.names()?;
        if config.listeners.postgres.max_connections > MAX_CONNECTIONS {
            return Err(ConfigError::Connections);
        }
        Ok(config)
    }

    /// Name and zone, well-formed.
    pub fn names(&self) -> Result<(Name, Name), ConfigError> {
        if !self.control_plane.url.starts_with("https://") {
            return Err(ConfigError::Url);
        }
        let name = |field, text: &str| text.parse().map_err(|source| ConfigError::Name { field, source });
        Ok((name("name", &self.name)?, name("zone", &self.zone)?))
    }

    /// Where the membership is kept.
    pub fn membership_file(&self) -> PathBuf {
        self.state_dir.join("membership.json")
    }

    /// Where recordings wait.
    pub fn spool_dir(&self) -> PathBuf {
        self.state_dir.join("spool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "edge-1"
        zone = "dev"
        state_dir = "/var/lib/countersign-edge"
        [control_plane]
        url = "https://localhost:7443"
        ca_file = "/etc/countersign/root.pem"
        [listeners.postgres]
        listen = "127.0.0.1:5433"
        certificate_file = "/etc/countersign/edge.pem"
        key_file = "/etc/countersign/edge-key.pem"
    "#;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("edge.toml");
        fs::write(&file, text).expect("written");
        Config::load(&file)
    }

    #[test]
    fn the_documented_file_loads() {
        let config = load(GOOD).expect("good");
        assert_eq!(config.listeners.postgres.max_connections, 4096);
    }

    #[test]
    fn what_is_misspelled_or_plain_is_refused() {
        assert!(matches!(load(&GOOD.replace("zone =", "zoen =")), Err(ConfigError::Settings(_))));
        assert!(matches!(load(&format!("{GOOD}\nmax_conections = 3")), Err(ConfigError::Settings(_))));
        let connections = |count: u32| load(&format!("{GOOD}\nmax_connections = {count}"));
        assert!(connections(4096).is_ok());
        assert!(matches!(connections(4097), Err(ConfigError::Connections)));
        assert!(matches!(load(&GOOD.replace("https://", "http://")), Err(ConfigError::Url)));
        assert!(matches!(load(&GOOD.replace("\"dev\"", "\"../dev\"")), Err(ConfigError::Name { .. })));
        assert!(matches!(Config::load(Path::new("/nonexistent")), Err(ConfigError::File { .. })));
    }
}
