//! TLS of both listeners: certificates of our own authority, renewed while serving.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use countersign_pki::{Ca, CaError};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

/// Life of a listener's certificate. Its key is made anew with it and is never on disk.
const VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// rustls refused it.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority's root cannot verify clients.
    #[error("TLS: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A listener's certificate, replaceable while it is served.
pub(crate) struct ListenerCertificate {
    ca: Arc<Ca>,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ListenerCertificate {
    pub(crate) fn issue(ca: Arc<Ca>, names: Vec<String>) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(issue(&ca, &names)?));
        Ok(Arc::new(Self { ca, names, current }))
    }

    /// Replaces it at half its life, for ever. To be spawned, and aborted at will.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut pause = VALIDITY / 2;
        loop {
            tokio::time::sleep(pause).await;
            pause = match issue(&self.ca, &self.names) {
                Ok(next) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    VALIDITY / 2
                }
                Err(error) => {
                    tracing::error!(%error, "a listener's certificate could not be renewed");
                    Duration::from_secs(3600)
                }
            };
        }
    }
}

impl fmt::Debug for ListenerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ListenerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Admins and the issuer: no client certificates; HTTP/1.1 too, for gRPC-web and for whoever fetches the documents.
pub(crate) fn admin(certificate: Arc<ListenerCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Edges: a certificate of our root, if one is shown. Enrolment comes without; everything else asks for the identity
/// and refuses where there is none.
pub(crate) fn edge(ca: &Ca, certificate: Arc<ListenerCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.root_der().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed connection would not verify the certificate's end again.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn issue(ca: &Ca, names: &[String]) -> Result<CertifiedKey, TlsError> {
    let issued = ca.issue_server(names, SystemTime::now(), VALIDITY)?;
    let key = provider().key_provider.load_private_key(issued.key)?;
    Ok(CertifiedKey::new(issued.chain, key))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
