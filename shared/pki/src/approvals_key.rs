//! The control plane's own secret for approvals: what is asked about lies sealed in the store, and what the store says
//! of votes and digests carries a MAC, so that whoever can write to the store can neither read nor forge.
//!
//! One secret, two keys drawn from it by HKDF-SHA-256 (RFC 5869): AES-256-GCM for sealing, HMAC-SHA-256 for MACs.
//! AWS-LC clears both when they are dropped. Nonces are random, so one key seals at most 2³² messages (NIST SP
//! 800-38D, section 8.3): one for each approval is far below.

use std::{fmt, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time::verify_slices_are_equal,
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use zeroize::Zeroizing;

use crate::{KeyFileError, load_or_create_secret};

/// Bytes of the secret, and of the keys drawn from it.
const SECRET: usize = 32;

const SALT: &[u8] = b"countersign/approvals-key/v1";

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The cryptographic library failed.
    #[error("nothing could be sealed")]
    Seal,
    /// The sealed bytes were changed or cut, belong to something else, or were sealed by another key.
    #[error("the sealed bytes do not open")]
    Open,
}

/// Seals and authenticates what the control plane keeps of approvals.
pub struct ApprovalsKey {
    sealing: RandomizedNonceKey,
    authentication: hmac::Key,
}

impl ApprovalsKey {
    /// The key whose secret is in a file: 32 bytes in base64, on one line. The file is made with mode 0600 if it is not
    /// there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let secret = load_or_create_secret(path)?;
        Self::from_secret(&*secret).map_err(|_| KeyFileError::Generate)
    }

    fn from_secret(secret: &[u8]) -> Result<Self, Unspecified> {
        let drawn = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let mut sealing = Zeroizing::new([0; SECRET]);
        drawn.expand(&[b"seal"], HKDF_SHA256)?.fill(&mut *sealing)?;
        let authentication = drawn.expand(&[b"mac"], hmac::HMAC_SHA256)?.into();
        Ok(Self { sealing: RandomizedNonceKey::new(&AES_256_GCM, &*sealing)?, authentication })
    }

    /// Seals a message: 12 bytes of nonce, the ciphertext, 16 bytes of tag. `aad` is not in it and must be given again
    /// to open it: it says what the message belongs to.
    ///
    /// # Errors
    /// [`SealError::Seal`] if the cryptographic library fails.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = Zeroizing::new(plaintext.to_vec());
        let sealed = self.sealing.seal_in_place_separate_tag(Aad::from(aad), &mut text);
        let (nonce, tag) = sealed.map_err(|_| SealError::Seal)?;
        Ok([nonce.as_ref().as_slice(), &text, tag.as_ref()].concat())
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// [`SealError::Open`] if it is not exactly what this key sealed for this `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self.sealing.open_in_place(nonce, Aad::from(aad), &mut text);
        let length = opened.map_err(|_| SealError::Open)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// HMAC-SHA-256 over the purpose and then the parts, each with its length in front as eight bytes, big-endian: so
    /// no two lists of parts are one message.
    pub fn mac(&self, purpose: &'static str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.authentication);
        for part in [purpose.as_bytes()].iter().chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether `mac` is that of purpose and parts, in time that does not depend on where it differs.
    pub fn verify_mac(&self, purpose: &'static str, parts: &[&[u8]], mac: &[u8]) -> bool {
        verify_slices_are_equal(&self.mac(purpose, parts), mac).is_ok()
    }
}

impl fmt::Debug for ApprovalsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApprovalsKey(redacted)")
    }
}

#[cfg(test)]
mod tests;
