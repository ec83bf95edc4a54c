//! From what was written to what can be worked with: every fault is found before anything is opened.

use std::{fs, path::Path, time::Duration};

use countersign_entra::{Authority, KeyTiming, Roots};
use countersign_model::Name;

use super::Config;

/// Longest lease: an edge that hears nothing goes on for this long, with stale policies.
const MAX_LEASE: u64 = 3600;
/// Longest issuer URL that Entra takes.
const MAX_ISSUER: usize = 600;

/// One fault, named by its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {fault}")]
pub struct ConfigError {
    /// The key, as in the file.
    pub key: &'static str,
    /// What is wrong with it.
    pub fault: String,
}

/// A configuration without faults.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) deployment: Name,
    pub(crate) authority: Authority,
    pub(crate) roots: Roots,
    pub(crate) timing: KeyTiming,
    pub(crate) lease: Duration,
}

impl Config {
    /// All faults; empty if it can be started with. Reads the CA file and nothing else.
    pub fn faults(&self) -> Vec<ConfigError> {
        self.checked().err().unwrap_or_default()
    }

    pub(crate) fn checked(&self) -> Result<Checked, Vec<ConfigError>> {
        let mut faults = Vec::new();
        let mut fault =
            |key, fault: &dyn ToString| faults.push(ConfigError { key, fault: fault.to_string() });
        let deployment = self.deployment.parse::<Name>().map_err(|error| fault("deployment", &error)).ok();
        let authority = Authority::new(&self.entra.authority, &self.entra.tenant_id);
        let authority = authority.map_err(|error| fault("entra", &error)).ok();
        let roots = roots(self.entra.ca_file.as_deref()).map_err(|error| fault("entra.ca_file", &error)).ok();
        if let (Some(authority), Some(roots)) = (&authority, &roots)
            && let Err(error) = countersign_entra::client(authority, roots)
        {
            fault("entra.ca_file", &error);
        }
        if !(3..=MAX_LEASE).contains(&self.lease_seconds) {
            fault("lease_seconds", &format!("must be between 3 and {MAX_LEASE}"));
        }
        if self.admin.audience.is_empty() {
            fault("admin.audience", &"is empty");
        }
        for (key, names) in [("admin.names", &self.admin.names), ("edge.names", &self.edge.names)] {
            if names.is_empty() {
                fault(key, &"is empty");
            }
        }
        if let Some(Err(error)) = self.issuer_url.as_deref().map(check_issuer) {
            fault("issuer_url", &error);
        }
        match (deployment, authority, roots) {
            (Some(deployment), Some(authority), Some(roots)) if faults.is_empty() => {
                let lease = Duration::from_secs(self.lease_seconds);
                Ok(Checked { deployment, authority, roots, timing: self.timing(), lease })
            }
            _ => Err(faults),
        }
    }

    fn timing(&self) -> KeyTiming {
        let keys = &self.entra.keys;
        KeyTiming {
            time_to_live: Duration::from_secs(keys.time_to_live_seconds),
            // Zero would ask without a pause.
            refresh: Duration::from_secs(keys.refresh_seconds.max(1)),
            unknown_key: Duration::from_secs(keys.unknown_key_seconds),
        }
    }
}

/// The roots that Entra's certificate must chain to.
fn roots(file: Option<&Path>) -> Result<Roots, String> {
    let Some(file) = file else { return Ok(Roots::System) };
    fs::read(file).map(Roots::Pem).map_err(|error| format!("{}: {error}", file.display()))
}

/// Entra compares the issuer byte for byte, and fetches it over https.
fn check_issuer(url: &str) -> Result<(), &'static str> {
    let bare =
        url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@']));
    if !bare || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must be an https URL without query or fragment");
    }
    if url.len() > MAX_ISSUER {
        Err("is longer than 600 characters, which Entra does not take")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            deployment: "acme".into(),
            data_dir: "/nonexistent".into(),
            issuer_url: None,
            lease_seconds: 300,
            one_zone_per_token: false,
            allow_token_votes: false,
            admin: super::super::AdminConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                audience: "a".into(),
                names: vec!["localhost".into()],
            },
            edge: super::super::EdgeConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                names: vec!["localhost".into()],
            },
            entra: super::super::EntraConfig {
                authority: "https://login.example".into(),
                tenant_id: "11111111-1111-4111-8111-111111111111".into(),
                ca_file: None,
                keys: super::super::KeysConfig::default(),
            },
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(config().faults(), []);
        let mut bad = config();
        bad.deployment = "Acme!".into();
        bad.entra.tenant_id = "common".into();
        bad.entra.ca_file = Some("/nonexistent/ca.pem".into());
        bad.lease_seconds = 0;
        bad.admin.names.clear();
        bad.issuer_url = Some("http://cp.example".into());
        let keys: Vec<_> = bad.faults().into_iter().map(|fault| fault.key).collect();
        assert_eq!(
            keys,
            ["deployment", "entra", "entra.ca_file", "lease_seconds", "admin.names", "issuer_url"]
        );
    }

    #[test]
    fn issuers_are_plain_https_urls() {
        for bad in ["https://", "https://a b", "https://a?x", "https://a#x", "https://u@a", " https://a"] {
            assert!(check_issuer(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_issuer("https://cp.example:7400/tenant"), Ok(()));
    }
}
