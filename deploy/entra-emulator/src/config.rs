//! What the emulator is started with: as a library value, or as a TOML or JSON file for the binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use crate::directory::Directory;

/// Everything that `Emulator::start` needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where HTTP is served; loopback only, because the test API signs whatever it is asked to. Port 0: any free one.
    pub listen: SocketAddr,
    /// Host name in every URL and issuer.
    #[serde(default = "localhost")]
    pub public_host: String,
    /// Serve `https`; without it the authority is `http`.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// PEM files of the roots that federated issuers are fetched with. No other root is trusted: without any, every
    /// federated exchange fails.
    #[serde(default)]
    pub trust_roots: Vec<PathBuf>,
    /// Where the LDAP verifier listens, if at all; loopback only, because it is plain LDAP.
    #[serde(default)]
    pub ldap_listen: Option<SocketAddr>,
    /// Tenants, applications, users, database roles.
    #[serde(default)]
    pub directory: Directory,
}

/// Certificate and key of the HTTP listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM file: the certificate, then its issuers.
    pub certificate: PathBuf,
    /// PEM file: the private key.
    pub key: PathBuf,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
}

impl Config {
    /// Reads a file: JSON if its name ends in `.json`, else TOML.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let parsed = if path.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            Figment::from(Toml::string(&text)).extract().map_err(|error| error.to_string())
        };
        parsed.map_err(|reason| ConfigError::Malformed { path: path.to_owned(), reason })
    }
}

fn localhost() -> String {
    "localhost".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
        listen = "127.0.0.1:0"
        trust_roots = ["ca.pem"]
        [[directory.tenants]]
        id = "11111111-1111-4111-8111-111111111111"
        [[directory.tenants.apps]]
        client_id = "22222222-2222-4222-8222-222222222222"
        object_id = "33333333-3333-4333-8333-333333333333"
        name = "api"
        resource = { access_token_version = 2, app_role_assignment_required = true }
        [directory.tenants.apps.app_roles]
        "123cd850-d9df-40bd-94d5-c9f07b7fa203" = ["x"]
        [directory.postgres]
        tenant = "11111111-1111-4111-8111-111111111111"
        roles = { shop = "33333333-3333-4333-8333-333333333333" }
    "#;

    #[test]
    fn toml_and_json_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let toml = folder.path().join("emulator.toml");
        std::fs::write(&toml, DOCUMENT).unwrap();
        let from_toml = Config::from_file(&toml).unwrap();
        assert_eq!(from_toml.directory.check(), Ok(()));

        let json = folder.path().join("emulator.json");
        let document = serde_json::json!({"listen": "127.0.0.1:0", "directory": from_toml.directory});
        std::fs::write(&json, document.to_string()).unwrap();
        assert_eq!(Config::from_file(&json).unwrap().directory, from_toml.directory);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emulator.toml");
        std::fs::write(&path, format!("client_secret = \"x\"\n{DOCUMENT}")).unwrap();
        assert!(matches!(Config::from_file(&path), Err(ConfigError::Malformed { .. })));
    }
}
