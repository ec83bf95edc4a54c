//! DER as PEM, for peers and servers that read text.

use pem::{EncodeConfig, LineEnding, Pem, encode_config};

/// One PEM block with lines of 64 characters.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    encode_config(&Pem::new(label, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject};

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let der = [7; 100];
        let pem = to_pem("CERTIFICATE", &der);
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().as_ref(), der);
    }
}
