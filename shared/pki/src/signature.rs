//! What the deployment signs so that edges and auditors can believe it: Ed25519 over `domain \0 message`.
//!
//! The domain keeps a signature made for one purpose from passing for another.

use std::{fmt, path::Path};

use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use zeroize::Zeroizing;

use crate::{
    KeyFileError,
    key_file::{load_or_create, malformed},
};

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A set of policies.
    PolicySet,
    /// The manifest of a recording.
    Manifest,
    /// What became of an approval.
    ApprovalOutcome,
}

impl Domain {
    /// The text that is signed before the message; none has a NUL in it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicySet => "countersign/policy-set/v1",
            Self::Manifest => "countersign/manifest/v1",
            Self::ApprovalOutcome => "countersign/approval/v1",
        }
    }

    fn frame(self, message: &[u8]) -> Vec<u8> {
        [self.as_str().as_bytes(), b"\0", message].concat()
    }
}

/// The signature does not belong to key, domain and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// The deployment's Ed25519 key. Zeroed on drop.
pub struct DeploymentKey(SigningKey);

impl DeploymentKey {
    /// The key in a file of PKCS#8 PEM, which is made with mode 0600 if it is not there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let pem = load_or_create(path, generate)?;
        SigningKey::from_pkcs8_pem(&pem)
            .map(Self)
            .map_err(|_| malformed(path, "an Ed25519 key in PKCS#8 PEM"))
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message for one purpose.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> [u8; 64] {
        self.0.sign(&domain.frame(message)).to_bytes()
    }
}

impl fmt::Debug for DeploymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeploymentKey(redacted)")
    }
}

/// Verifies a signature of [`DeploymentKey::sign`]. Strictly: keys of small order, which would let one signature fit
/// many messages, are refused.
pub fn verify(
    public: &[u8; 32],
    domain: Domain,
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
    key.verify_strict(&domain.frame(message), &signature).map_err(|_| BadSignature)
}

fn generate() -> Result<Zeroizing<String>, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *seed).map_err(|_| KeyFileError::Generate)?;
    SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyFileError::Generate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_one_key_domain_and_message() {
        let folder = tempfile::tempdir().unwrap();
        let key = DeploymentKey::load_or_create(&folder.path().join("a.pem")).unwrap();
        let other = DeploymentKey::load_or_create(&folder.path().join("b.pem")).unwrap();
        let signature = key.sign(Domain::Manifest, b"m");
        let accepts =
            |public: [u8; 32], domain, message: &[u8]| verify(&public, domain, message, &signature).is_ok();
        assert!(accepts(key.public(), Domain::Manifest, b"m"));
        assert!(!accepts(key.public(), Domain::Manifest, b"n"));
        assert!(!accepts(key.public(), Domain::PolicySet, b"m"));
        assert!(!accepts(key.public(), Domain::ApprovalOutcome, b"m"));
        assert!(!accepts(other.public(), Domain::Manifest, b"m"));
        assert!(verify(&key.public(), Domain::Manifest, b"m", &signature[..63]).is_err());
        assert!(verify(&key.public(), Domain::Manifest, b"m", &[]).is_err());
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The neutral element as key and as R, with s = 0, satisfies the bare equation for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        assert_eq!(verify(&neutral, Domain::Manifest, b"anything", &signature), Err(BadSignature));
    }

    #[test]
    fn what_is_signed_is_what_the_protocol_says() {
        let key = DeploymentKey(SigningKey::from_bytes(&[7; 32]));
        for (domain, message) in [
            (Domain::PolicySet, &b"countersign/policy-set/v1\0m"[..]),
            (Domain::Manifest, b"countersign/manifest/v1\0m"),
            (Domain::ApprovalOutcome, b"countersign/approval/v1\0m"),
        ] {
            let signature = Signature::from_bytes(&key.sign(domain, b"m"));
            assert!(key.0.verifying_key().verify_strict(message, &signature).is_ok(), "{domain:?}");
        }
    }

    #[test]
    fn a_reload_gives_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        let first = DeploymentKey::load_or_create(&path).unwrap().public();
        assert_eq!(first, DeploymentKey::load_or_create(&path).unwrap().public());
    }
}
