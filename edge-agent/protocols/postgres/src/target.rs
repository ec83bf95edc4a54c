//! Where a target is, whom its certificate must name, and as whom the edge logs in there.

use std::{collections::HashMap, sync::Arc};

use countersign_model::{DataClass, Identity, Name, Principal};
use countersign_sql::SearchPath;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// The targets of this edge's zone.
pub trait TargetDirectory {
    /// The PostgreSQL target of that name, as it is configured now.
    fn find(&self, name: &Name) -> Option<Arc<PostgresTarget>>;
}

/// A PostgreSQL server and a database of it.
#[derive(Debug, Clone)]
pub struct PostgresTarget {
    /// DNS name or address: what is dialled and what the certificate must be for.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database that sessions are in.
    pub database: Arc<str>,
    /// Who may vouch for the server; see [`verify_with`] and [`verify_with_system_roots`].
    pub tls: Arc<ClientConfig>,
    /// What sessions are pinned to.
    pub search_path: SearchPath,
    /// As whom the edge logs in.
    pub roles: Roles,
    /// Where an approved operation runs.
    pub approved_on: ApprovedOn,
    /// The data classes that it has values of, by name.
    pub classes: Arc<[DataClass]>,
}

/// The role of each identity.
#[derive(Debug, Clone)]
pub struct Roles {
    /// For what policy allows alone.
    pub standing: LoginRole,
    /// Of the edge's own questions to the catalog: needs CONNECT and nothing else.
    pub metadata: LoginRole,
    /// For what people approved; without one nothing can be held, unless it runs on the same connection.
    pub approved: Option<LoginRole>,
}

/// Whom an identity logs in as.
#[derive(Debug, Clone)]
pub enum LoginRole {
    /// One role for all callers.
    One(String),
    /// A role for each agent, by the name that it is registered under; others have none.
    PerAgent(HashMap<Name, String>),
}

impl LoginRole {
    fn of(&self, principal: &Principal) -> Option<&str> {
        match self {
            Self::One(role) => Some(role),
            Self::PerAgent(roles) => roles.get(principal.agent.as_ref()?).map(String::as_str),
        }
    }
}

/// Where an approved operation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovedOn {
    /// On a connection that is logged in for it, as the `approved` identity.
    OwnConnection,
    /// On the session's own, as `standing`: the vote gates execution alone.
    SameConnection,
}

impl PostgresTarget {
    /// The role that an identity logs in as for a caller; `None` if it has none here.
    pub fn role(&self, identity: Identity, principal: &Principal) -> Option<&str> {
        let role = match identity {
            Identity::Standing => Some(&self.roles.standing),
            Identity::Metadata => Some(&self.roles.metadata),
            Identity::Approved => self.roles.approved.as_ref(),
        };
        role.and_then(|role| role.of(principal))
    }
}

/// Why no verifier could be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM, or no certificate in it.
    #[error("no certificate could be read from the target's CA")]
    NoCertificate,
    /// The system has no roots that can be read.
    #[error("the system's root certificates could not be read")]
    NoSystemRoots,
    /// The TLS library refused.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusts the certificates in `ca_pem` and no others.
///
/// # Errors
/// [`TrustError::NoCertificate`] if there is none, or one of them cannot be used.
pub fn verify_with(ca_pem: &[u8]) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        let certificate = certificate.map_err(|_| TrustError::NoCertificate)?;
        roots.add(certificate).map_err(|_| TrustError::NoCertificate)?;
    }
    if roots.is_empty() { Err(TrustError::NoCertificate) } else { client_config(roots) }
}

/// Trusts what the operating system trusts, for targets with a certificate of a public authority.
///
/// # Errors
/// [`TrustError::NoSystemRoots`] if there are none.
pub fn verify_with_system_roots() -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TrustError::NoSystemRoots) } else { client_config(roots) }
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TrustError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let versions = builder.with_safe_default_protocol_versions()?;
    Ok(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ca_trusts_nobody() {
        assert!(matches!(verify_with(b""), Err(TrustError::NoCertificate)));
        assert!(matches!(
            verify_with(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            Err(TrustError::NoCertificate)
        ));
    }
}
