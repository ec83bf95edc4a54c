//! Sealing: what agents asked is readable neither where it is written nor where it is kept.
//!
//! An edge knows the public half of the deployment's recording key ([`RecordingKey`]) and nothing else. For each segment
//! it draws a [`ContentKey`], puts it, sealed by HPKE (RFC 9180) to the recording key, into the segment's header, and
//! forgets it with the segment: from then on [`OpeningKey`], which the control plane holds, alone opens it. The bodies
//! of frames are sealed under the content key (AES-256-GCM), each bound to its recording, its segment and its header.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    agreement::{PrivateKey, X25519},
    rand,
};
use countersign_model::RecordingId;
use countersign_wire::v1;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE,
    hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const CONTENT_KEY_INFO: &[u8] = b"countersign/recording/seal/v1";
const HASH_KEY_INFO: &[u8] = b"countersign/recording/hash-key/v1";

/// Bytes of every key here.
const KEY: usize = 32;
/// Bytes of an AES-GCM tag.
const TAG: usize = 16;
/// Bytes of a key's id.
const ID: usize = 16;
/// Bytes of a sealed key: id of the recipient, encapsulated key, ciphertext.
pub(crate) const SEALED_KEY: usize = ID + KEY + KEY + TAG;

/// What sealing adds to a body.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The cryptographic library failed, or the recording key is none that anything can be sealed to.
    #[error("nothing could be sealed")]
    Seal,
    /// It is sealed to another recording key.
    #[error("it is sealed to another recording key")]
    Recipient,
    /// The sealed bytes were changed or cut, or belong to something else.
    #[error("the sealed bytes do not open")]
    Open,
}

/// Public half of the deployment's recording key, X25519: what recordings are sealed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecordingKey([u8; KEY]);

impl RecordingKey {
    /// The key of these bytes. Sealing fails later if nothing can be sealed to it.
    pub fn from_bytes(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// What sealed keys name it by: the first bytes of its SHA-256.
    fn id(&self) -> [u8; ID] {
        let digest: [u8; 32] = Sha256::digest(self.0).into();
        let mut id = [0; ID];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        id
    }

    /// Seals a key to this one: [`SEALED_KEY`] bytes.
    fn seal(&self, info: &[u8], aad: &[u8], key: &[u8; KEY]) -> Result<Vec<u8>, SealError> {
        let recipient = HpkePublicKey(self.0.to_vec());
        let (encapsulated, ciphertext) =
            SUITE.seal(info, aad, key, &recipient).map_err(|_| SealError::Seal)?;
        Ok([&self.id(), encapsulated.0.as_slice(), &ciphertext].concat())
    }
}

impl fmt::Debug for RecordingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordingKey({:02x?})", self.id())
    }
}

/// Seals a recording's hash key, for its Open entry.
///
/// # Errors
/// [`SealError::Seal`].
pub fn seal_hash_key(
    key: &RecordingKey,
    recording: RecordingId,
    hash_key: &[u8; KEY],
) -> Result<Vec<u8>, SealError> {
    key.seal(HASH_KEY_INFO, recording.to_string().as_bytes(), hash_key)
}

/// Private half of the deployment's recording key: opens every recording that was sealed to it.
pub struct OpeningKey {
    private: HpkePrivateKey,
    public: RecordingKey,
}

impl OpeningKey {
    /// The key of a secret of 32 random bytes.
    ///
    /// # Errors
    /// [`SealError::Open`] if the cryptographic library fails.
    pub fn from_secret(secret: &[u8; KEY]) -> Result<Self, SealError> {
        let private = PrivateKey::from_private_key(&X25519, secret).map_err(|_| SealError::Open)?;
        let public = private.compute_public_key().map_err(|_| SealError::Open)?;
        let public = RecordingKey(public.as_ref().try_into().map_err(|_| SealError::Open)?);
        Ok(Self { private: HpkePrivateKey::from(secret.to_vec()), public })
    }

    /// Its public half.
    pub fn recording_key(&self) -> RecordingKey {
        self.public
    }

    /// Opens the content key of a segment.
    ///
    /// # Errors
    /// [`SealError::Recipient`] if it is sealed to another key, [`SealError::Open`] if it is not that of this header.
    pub fn open_content_key(&self, header: &v1::SegmentHeader) -> Result<ContentKey, SealError> {
        let aad = content_key_aad(&header.recording_id, header.number, &header.boot_id);
        let secret = self.open(CONTENT_KEY_INFO, &aad, &header.content_key)?;
        ContentKey::of(header, &*secret)
    }

    /// Opens the hash key of a recording.
    ///
    /// # Errors
    /// As [`Self::open_content_key`].
    pub fn open_hash_key(
        &self,
        recording: RecordingId,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; KEY]>, SealError> {
        self.open(HASH_KEY_INFO, recording.to_string().as_bytes(), sealed)
    }

    fn open(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<[u8; KEY]>, SealError> {
        if sealed.len() != SEALED_KEY {
            return Err(SealError::Open);
        }
        let (recipient, sealed) = sealed.split_at_checked(ID).ok_or(SealError::Open)?;
        if recipient != self.public.id() {
            return Err(SealError::Recipient);
        }
        let (encapsulated, ciphertext) = sealed.split_at_checked(KEY).ok_or(SealError::Open)?;
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let opened = SUITE.open(&encapsulated, info, aad, ciphertext, &self.private);
        let opened = Zeroizing::new(opened.map_err(|_| SealError::Open)?);
        opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| SealError::Open)
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The key under which the bodies of one segment are sealed. AWS-LC clears its copy when it is dropped, as this does.
///
/// Nonces are random, so one key seals at most 2³² bodies (NIST SP 800-38D, section 8.3): a segment has far fewer.
pub struct ContentKey {
    secret: Zeroizing<[u8; KEY]>,
    key: RandomizedNonceKey,
    /// Recording id and number: the beginning of what a body is bound to.
    place: Vec<u8>,
}

impl ContentKey {
    /// Draws a new key for a segment and puts it, sealed, into its header.
    pub(crate) fn draw(header: &mut v1::SegmentHeader, to: &RecordingKey) -> Result<Self, SealError> {
        let mut secret = Zeroizing::new([0; KEY]);
        rand::fill(&mut *secret).map_err(|_| SealError::Seal)?;
        let aad = content_key_aad(&header.recording_id, header.number, &header.boot_id);
        header.content_key = to.seal(CONTENT_KEY_INFO, &aad, &secret)?;
        Self::of(header, &*secret).map_err(|_| SealError::Seal)
    }

    /// The content key of a segment, as somebody who opened it handed it out.
    ///
    /// # Errors
    /// [`SealError::Open`] if it is not 32 bytes long. Whether it is the right one shows when a body is opened.
    pub fn of(header: &v1::SegmentHeader, secret: &[u8]) -> Result<Self, SealError> {
        let secret: Zeroizing<[u8; KEY]> =
            secret.try_into().map(Zeroizing::new).map_err(|_| SealError::Open)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &*secret).map_err(|_| SealError::Open)?;
        Ok(Self { secret, key, place: place(&header.recording_id, header.number) })
    }

    /// Its bytes, to hand out to who may read the recording.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.secret
    }

    /// Seals a body: nonce, ciphertext, tag. `header` is the frame's, as it is stored.
    pub(crate) fn seal(&self, header: &[u8], body: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let (aad, mut text) = (self.aad(header), body);
        let sealed = self.key.seal_in_place_append_tag(Aad::from(&aad), &mut text);
        let nonce = sealed.map_err(|_| SealError::Seal)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Opens what [`Self::seal`] made for this header.
    pub(crate) fn open(&self, header: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let (aad, mut text) = (self.aad(header), text.to_vec());
        let opened = self.key.open_in_place(nonce, Aad::from(&aad), &mut text);
        let length = opened.map_err(|_| SealError::Open)?.len();
        text.truncate(length);
        Ok(text)
    }

    fn aad(&self, header: &[u8]) -> Vec<u8> {
        [&self.place, header].concat()
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(redacted)")
    }
}

/// Ids of recordings all have one length, and so has a boot id: no two lists of parts are one message.
fn content_key_aad(recording_id: &str, number: u32, boot_id: &[u8]) -> Vec<u8> {
    [&place(recording_id, number), boot_id].concat()
}

fn place(recording_id: &str, number: u32) -> Vec<u8> {
    [recording_id.as_bytes(), &number.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests;
