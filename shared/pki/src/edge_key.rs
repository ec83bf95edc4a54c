//! The edge's own side: the key that never leaves it, and the request for a certificate.

use std::{fmt, path::Path};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    KeyFileError,
    key_file::{load_or_create, malformed},
};

/// An edge's private key, ECDSA P-256.
pub struct EdgeKey(KeyPair);

impl EdgeKey {
    /// A new key.
    pub fn generate() -> Result<Self, KeyFileError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(|_| KeyFileError::Generate)
    }

    /// The key in a file of PKCS#8 PEM, which is made with mode 0600 if it is not there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let pem = load_or_create(path, || Ok(Self::generate()?.to_pem()))?;
        Self::from_pem(&pem).ok_or_else(|| malformed(path, "an ECDSA P-256 key in PKCS#8 PEM"))
    }

    /// The key in a PKCS#8 PEM; `None` if there is no P-256 key in it.
    pub fn from_pem(pem: &str) -> Option<Self> {
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256).ok().map(Self)
    }

    /// PKCS#8 PEM.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// PKCS#8 DER, for TLS.
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }

    /// A PKCS#10 request in DER, signed by the key and without names: they are the authority's to give.
    pub fn csr_der(&self) -> Result<Vec<u8>, KeyFileError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(|_| KeyFileError::Generate)?;
        Ok(request.der().to_vec())
    }

    /// SHA-256 of the SubjectPublicKeyInfo in DER, as in [`crate::EdgeIdentity::spki_sha256`].
    pub fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.subject_public_key_info()).into()
    }
}

impl fmt::Debug for EdgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_gives_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.pem");
        let first = EdgeKey::load_or_create(&path).unwrap();
        let second = EdgeKey::load_or_create(&path).unwrap();
        assert_eq!(first.spki_sha256(), second.spki_sha256());
        assert_ne!(first.spki_sha256(), EdgeKey::generate().unwrap().spki_sha256());
    }

    #[test]
    fn a_file_without_a_key_is_refused_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.pem");
        crate::create_private(&path, "nothing").unwrap();
        assert!(matches!(EdgeKey::load_or_create(&path), Err(KeyFileError::Malformed { .. })));
        assert_eq!(*crate::read_private(&path).unwrap(), "nothing");
    }
}
