//! Where a target is, whom its certificate must name, and as whom the edge logs in there.

use std::sync::Arc;

use countersign_model::{Identity, Name};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::SearchPath;

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
    /// Role of the `standing` identity.
    pub standing_role: String,
    /// Role of the `metadata` identity: needs CONNECT and nothing else.
    pub metadata_role: String,
}

impl PostgresTarget {
    /// The role that an identity logs in as; `None` for an identity that this target does not have.
    pub fn role(&self, identity: Identity) -> Option<&str> {
        match identity {
            Identity::Standing => Some(&self.standing_role),
            Identity::Metadata => Some(&self.metadata_role),
            Identity::Approved => None,
        }
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
