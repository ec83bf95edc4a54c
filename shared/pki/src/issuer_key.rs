//! The key of the deployment's OIDC issuer, with which it asserts its identities to Entra.
//!
//! RSA-2048, because RS256 is what Entra takes for federated credentials.

use std::{fmt, path::Path};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use sha2::{Digest, Sha256};
use x509_parser::{public_key::PublicKey, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

use crate::{
    KeyFileError,
    key_file::{load_or_create, malformed},
};

/// The public half as JSON Web Key (RFC 7517, RFC 7518 section 6.3.1), for `kty` RSA, `alg` RS256, `use` sig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    /// RFC 7638 thumbprint (SHA-256, base64url): the same key has the same id everywhere.
    pub kid: String,
    /// Modulus, base64url without padding or leading zeros.
    pub n: String,
    /// Exponent, likewise.
    pub e: String,
}

/// The issuer's private key. Zeroed on drop.
pub struct IssuerKey {
    pem: Zeroizing<String>,
    jwk: Jwk,
}

impl IssuerKey {
    /// The key in a file of PKCS#8 PEM, which is made with mode 0600 if it is not there. Any but RSA-2048 is refused.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let pem = load_or_create(path, generate)?;
        let jwk = public_jwk(&pem).ok_or_else(|| malformed(path, "an RSA-2048 key in PKCS#8 PEM"))?;
        Ok(Self { pem, jwk })
    }

    /// PKCS#8 PEM, for the one place that signs assertions.
    pub fn pkcs8_pem(&self) -> &str {
        &self.pem
    }

    /// The public half.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerKey").field("kid", &self.jwk.kid).finish_non_exhaustive()
    }
}

fn generate() -> Result<Zeroizing<String>, KeyFileError> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
    key.map(|key| Zeroizing::new(key.serialize_pem())).map_err(|_| KeyFileError::Generate)
}

fn public_jwk(pem: &str) -> Option<Jwk> {
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_RSA_SHA256).ok()?;
    let spki = key.subject_public_key_info();
    let (_, spki) = <SubjectPublicKeyInfo as x509_parser::prelude::FromDer<_>>::from_der(&spki).ok()?;
    let Ok(PublicKey::RSA(rsa)) = spki.parsed() else { return None };
    let (n, e) = (unsigned(rsa.modulus), unsigned(rsa.exponent));
    if n.len() != 256 {
        return None;
    }
    Some(jwk(n, e))
}

fn jwk(n: &[u8], e: &[u8]) -> Jwk {
    let (n, e) = (BASE64_URL_SAFE_NO_PAD.encode(n), BASE64_URL_SAFE_NO_PAD.encode(e));
    // RFC 7638 section 3: the required members in lexicographic order, without white space.
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    Jwk { kid: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)), n, e }
}

/// DER's integers are signed and may begin with a zero; JWK's do not.
fn unsigned(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    integer.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 section 3.1.
    #[test]
    fn the_key_id_is_the_thumbprint() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = BASE64_URL_SAFE_NO_PAD.decode(n).unwrap();
        assert_eq!(jwk(&n, &[1, 0, 1]).kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_reload_gives_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issuer.pem");
        let first = IssuerKey::load_or_create(&path).unwrap();
        let second = IssuerKey::load_or_create(&path).unwrap();
        assert_eq!(first.jwk(), second.jwk());
        assert_eq!(first.jwk().e, "AQAB");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&first.jwk().n).unwrap().len(), 256);
        assert!(first.pkcs8_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn another_kind_of_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issuer.pem");
        crate::EdgeKey::load_or_create(&path).unwrap();
        assert!(matches!(IssuerKey::load_or_create(&path), Err(KeyFileError::Malformed { .. })));
    }
}
