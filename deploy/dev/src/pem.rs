//! PEM of what the deployment's authority issues, for servers that read files.

use countersign_pki::{ServerCertificate, to_pem};

/// The chain, leaf first.
pub(crate) fn chain(certificate: &ServerCertificate) -> String {
    certificate.chain.iter().map(|der| to_pem("CERTIFICATE", der)).collect()
}

/// The private key, PKCS#8.
pub(crate) fn key(certificate: &ServerCertificate) -> String {
    to_pem("PRIVATE KEY", certificate.key.secret_der())
}
