//! What an operator sets: a TOML file, over which `COUNTERSIGN_CP__A__B` lays `a.b`.

mod check;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::{Deserialize, Serialize};

pub(crate) use check::Checked;
pub use check::ConfigError;

/// The file or the environment is not of the form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

/// Everything that can be set. Unknown keys are refused: a misspelt limit must not be a limit that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the deployment: trust domain of its edges, part of its credentials' subjects. Fixed for good.
    pub deployment: String,
    /// Folder of `ca/`, `keys/`, `store.redb` and `archive/`; made with mode 0700 if it is not there.
    pub data_dir: PathBuf,
    /// URL of the OIDC issuer exactly as federated credentials name it; unless told `https://<first admin name>:<port>`.
    #[serde(default)]
    pub issuer_url: Option<String>,
    /// How long an edge may act without hearing from here, in seconds.
    #[serde(default = "default_lease")]
    pub lease_seconds: u64,
    /// Refuse a token in a second zone; else that is an alarm only.
    #[serde(default)]
    pub one_zone_per_token: bool,
    /// Take votes on a bearer token alone. Closed unless set: a token does not show that a person is there, and the
    /// agent that asks may be running where the approver's token lies. For development and tests.
    #[serde(default)]
    pub allow_token_votes: bool,
    /// The listener of admins, the CLI and the issuer.
    pub admin: AdminConfig,
    /// The listener of edges.
    pub edge: EdgeConfig,
    /// The tenant.
    pub entra: EntraConfig,
}

/// The listener of admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Audience of admins' tokens: client id of the control plane's app registration.
    pub audience: String,
    /// DNS names and IP addresses in the certificate.
    #[serde(default = "default_names")]
    pub names: Vec<String>,
}

/// The listener of edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// DNS names and IP addresses in the certificate.
    #[serde(default = "default_names")]
    pub names: Vec<String>,
}

/// The tenant and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntraConfig {
    /// Base URL of the login endpoint.
    #[serde(default = "default_authority")]
    pub authority: String,
    /// The tenant, a GUID.
    pub tenant_id: String,
    /// PEM of the roots that the login endpoint's certificate must chain to; the system's if not set.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How the tenant's signing keys are kept.
    #[serde(default)]
    pub keys: KeysConfig,
}

/// How the tenant's signing keys are kept, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// How long a set serves without a successful refresh. After that nobody is let in.
    pub time_to_live_seconds: u64,
    /// Time between refreshes.
    pub refresh_seconds: u64,
    /// Least time between two fetches that unknown key ids cause.
    pub unknown_key_seconds: u64,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { time_to_live_seconds: 24 * 3600, refresh_seconds: 3600, unknown_key_seconds: 300 }
    }
}

impl Config {
    /// Reads the file, if one is named, and the environment over it.
    ///
    /// # Errors
    /// [`LoadError`], naming the key.
    pub fn load(file: Option<&Path>) -> Result<Self, LoadError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            // `file_exact`: a file that was named and is not there is an error, and is not looked for further up.
            figment = figment.merge(Toml::file_exact(file));
            if !file.is_file() {
                return Err(LoadError(format!("{}: no such file", file.display())));
            }
        }
        figment
            .merge(Env::prefixed("COUNTERSIGN_CP__").split("__"))
            .extract()
            .map_err(|error| LoadError(error.to_string()))
    }
}

fn default_lease() -> u64 {
    300
}

fn default_names() -> Vec<String> {
    vec!["localhost".into(), "127.0.0.1".into()]
}

fn default_authority() -> String {
    "https://login.microsoftonline.com".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        deployment = "acme"
        data_dir = "/tmp/x"
        admin = { listen = "127.0.0.1:0", audience = "a" }
        edge = { listen = "127.0.0.1:0" }
        entra = { tenant_id = "11111111-1111-4111-8111-111111111111" }
    "#;

    fn parse(text: &str) -> Result<Config, Box<figment::Error>> {
        Figment::from(Toml::string(text)).extract().map_err(Box::new)
    }

    #[test]
    fn what_is_not_said_is_the_careful_default() {
        let config = parse(MINIMAL).unwrap();
        assert_eq!(config.lease_seconds, 300);
        assert!(!config.one_zone_per_token && !config.allow_token_votes);
        assert_eq!(config.entra.keys, KeysConfig::default());
        assert_eq!(config.admin.names, ["localhost", "127.0.0.1"]);
    }

    #[test]
    fn misspelt_keys_are_refused() {
        assert!(parse(&format!("lease = 3\n{MINIMAL}")).is_err());
        assert!(parse(&MINIMAL.replace("audience", "audiance")).is_err());
    }
}
