//! PEM of what the deployment's authority issues, for servers that read files.

use countersign_pki::ServerCertificate;

/// The chain, leaf first.
pub(crate) fn chain(certificate: &ServerCertificate) -> String {
    certificate.chain.iter().map(|der| block("CERTIFICATE", der)).collect()
}

/// The private key, PKCS#8.
pub(crate) fn key(certificate: &ServerCertificate) -> String {
    block("PRIVATE KEY", certificate.key.secret_der())
}

fn block(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let base64 = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
