//! The manifest: what the deployment vouches for. Where a segment lies is said there too, and proves nothing: what
//! is found is judged by its hash.

use countersign_wire::v1;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prost::Message as _;

use crate::{
    bounds::MAX_MANIFEST,
    chain::{self, Link},
    segment::CheckedSegment,
};

const SIGNED: &[u8] = b"countersign/manifest/v1\0";

/// Why a manifest is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The deployment's key did not sign it.
    #[error("the manifest's signature does not verify")]
    Signature,
    /// It is signed, but contradicts itself.
    #[error("the manifest contradicts itself")]
    Inconsistent,
}

/// Why a segment is not the next of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtendError {
    /// It belongs to another recording.
    #[error("the segment belongs to another recording")]
    Recording,
    /// Its number, first sequence or previous link does not continue what is there.
    #[error("the segment does not continue the recording")]
    Gap,
    /// The recording is complete.
    #[error("the recording is sealed")]
    Sealed,
}

/// A manifest without segments.
pub fn empty(recording_id: String, session_id: String) -> v1::Manifest {
    v1::Manifest { recording_id, session_id, ..Default::default() }
}

/// Adds the next segment and seals the manifest with the last. The caller has made sure that `signing_key` is one
/// that this edge announced over mTLS, and sets `at` and where the segment lies.
///
/// # Errors
/// [`ExtendError`]; then nothing changes.
pub fn extend(manifest: &mut v1::Manifest, segment: &CheckedSegment) -> Result<(), ExtendError> {
    if segment.recording.to_string() != manifest.recording_id {
        return Err(ExtendError::Recording);
    }
    if manifest.sealed {
        return Err(ExtendError::Sealed);
    }
    let expected = expected_next(manifest).ok_or(ExtendError::Gap)?;
    if expected != (segment.number, segment.first_sequence, segment.previous_link) {
        return Err(ExtendError::Gap);
    }
    let signing_key = key_index(manifest, &segment.signing_key).ok_or(ExtendError::Gap)?;
    manifest.segments.push(v1::manifest::Segment {
        number: segment.number,
        sha256: segment.sha256.to_vec(),
        bytes: segment.bytes,
        frame_count: segment.frame_count,
        first_sequence: segment.first_sequence,
        last_link: segment.last_link.to_vec(),
        signing_key,
        ..Default::default()
    });
    manifest.sealed = segment.last;
    Ok(())
}

/// Signs a manifest with the deployment's key.
pub fn sign(manifest: &v1::Manifest, key: &SigningKey) -> v1::SignedManifest {
    let manifest = manifest.encode_to_vec();
    let signature = key.sign(&signed_bytes(&manifest)).to_bytes().to_vec();
    v1::SignedManifest { manifest, signature }
}

/// Opens a manifest that the deployment's key signed and that is consistent in itself.
///
/// # Errors
/// [`ManifestError`]. A key that is no key counts as a signature that does not verify.
pub fn open(signed: &v1::SignedManifest, deployment_key: &[u8]) -> Result<v1::Manifest, ManifestError> {
    let key = <[u8; 32]>::try_from(deployment_key).map_err(|_| ManifestError::Signature)?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| ManifestError::Signature)?;
    let signature = Signature::from_slice(&signed.signature).map_err(|_| ManifestError::Signature)?;
    if signed.manifest.len() > MAX_MANIFEST {
        return Err(ManifestError::Signature);
    }
    key.verify_strict(&signed_bytes(&signed.manifest), &signature).map_err(|_| ManifestError::Signature)?;
    let manifest =
        v1::Manifest::decode(signed.manifest.as_slice()).map_err(|_| ManifestError::Inconsistent)?;
    if is_consistent(&manifest) { Ok(manifest) } else { Err(ManifestError::Inconsistent) }
}

/// Number, first sequence and previous link that the next segment must have; `None` if the counts overflow.
pub(crate) fn expected_next(manifest: &v1::Manifest) -> Option<(u32, u64, Link)> {
    match manifest.segments.last() {
        None => Some((0, 0, chain::start(&manifest.recording_id))),
        Some(last) => {
            let first = last.first_sequence.checked_add(u64::from(last.frame_count))?;
            Some((last.number.checked_add(1)?, first, Link::try_from(last.last_link.as_slice()).ok()?))
        }
    }
}

/// Numbers and sequences without a gap, no empty segment, every key and hash of its length, no seal on nothing.
fn is_consistent(manifest: &v1::Manifest) -> bool {
    let keys = manifest.signing_keys.iter().all(|key| key.len() == 32);
    let mut next_sequence = Some(0);
    let segments = (0..).zip(&manifest.segments).all(|(number, segment)| {
        let known_key = usize::try_from(segment.signing_key)
            .is_ok_and(|index| manifest.signing_keys.get(index).is_some());
        let right = segment.number == number
            && next_sequence == Some(segment.first_sequence)
            && segment.frame_count > 0
            && segment.sha256.len() == 32
            && segment.last_link.len() == 32
            && known_key;
        next_sequence = segment.first_sequence.checked_add(u64::from(segment.frame_count));
        right
    });
    keys && segments && !(manifest.sealed && manifest.segments.is_empty())
}

fn key_index(manifest: &mut v1::Manifest, key: &[u8; 32]) -> Option<u32> {
    let known = manifest.signing_keys.iter().position(|known| known.as_slice() == key.as_slice());
    let index = known.unwrap_or_else(|| {
        manifest.signing_keys.push(key.to_vec());
        manifest.signing_keys.len().saturating_sub(1)
    });
    u32::try_from(index).ok()
}

fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [SIGNED, manifest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_SEGMENTS, check_segment, fixture};

    fn checked() -> Vec<CheckedSegment> {
        fixture::recording(3, 4).iter().map(|segment| check_segment(segment).unwrap()).collect()
    }

    #[test]
    fn grows_segment_by_segment_and_is_sealed_by_the_last() {
        let segments = checked();
        let mut manifest = empty(segments[0].recording.to_string(), String::new());
        assert_eq!(extend(&mut manifest, &segments[1]), Err(ExtendError::Gap));
        for segment in &segments {
            assert!(!manifest.sealed);
            assert_eq!(extend(&mut manifest, segment), Ok(()));
        }
        assert!(manifest.sealed);
        assert_eq!(manifest.signing_keys.len(), 1);
        assert_eq!(extend(&mut manifest, &segments[2]), Err(ExtendError::Sealed));
        let foreign = &checked()[0];
        assert_eq!(extend(&mut manifest, foreign), Err(ExtendError::Recording));
    }

    #[test]
    fn opens_under_its_own_key_only_and_when_consistent() {
        let key = fixture::deployment_key();
        let public = key.verifying_key().to_bytes();
        let manifest = fixture::manifest(&fixture::recording(3, 4));
        assert_eq!(open(&sign(&manifest, &key), &public), Ok(manifest.clone()));
        let other = fixture::edge_key().verifying_key().to_bytes();
        assert_eq!(open(&sign(&manifest, &key), &other), Err(ManifestError::Signature));
        assert_eq!(open(&sign(&manifest, &key), &[]), Err(ManifestError::Signature));
        let broken = |change: fn(&mut v1::Manifest)| {
            let mut manifest = manifest.clone();
            change(&mut manifest);
            open(&sign(&manifest, &key), &public)
        };
        assert_eq!(broken(|m| m.segments.swap(0, 1)), Err(ManifestError::Inconsistent));
        assert_eq!(broken(|m| m.segments[1].frame_count += 1), Err(ManifestError::Inconsistent));
        assert_eq!(broken(|m| m.segments[1].signing_key = 7), Err(ManifestError::Inconsistent));
        assert_eq!(broken(|m| m.segments.clear()), Err(ManifestError::Inconsistent));
        assert_eq!(broken(|m| m.signing_keys[0].truncate(31)), Err(ManifestError::Inconsistent));
    }

    #[test]
    fn the_longest_recording_fits_into_its_manifest() {
        let key = fixture::deployment_key();
        let mut manifest = fixture::manifest(&fixture::recording(3, 4));
        manifest.recording_id = "r".repeat(1000);
        manifest.session_id = "s".repeat(1000);
        manifest.signing_keys = vec![vec![0xff; 32]; MAX_SEGMENTS as usize];
        let largest = v1::manifest::Segment {
            number: u32::MAX,
            sha256: vec![0xff; 32],
            bytes: u64::MAX,
            frame_count: u32::MAX,
            first_sequence: u64::MAX,
            last_link: vec![0xff; 32],
            signing_key: MAX_SEGMENTS,
            pack_boot: MAX_SEGMENTS,
            pack: u64::MAX,
            offset: u32::MAX,
        };
        manifest.edge = "e".repeat(63);
        manifest.pack_boots = vec![vec![0xff; 16]; MAX_SEGMENTS as usize];
        manifest.segments = vec![largest; MAX_SEGMENTS as usize];
        let signed = sign(&manifest, &key);
        assert!(signed.manifest.len() <= MAX_MANIFEST / 16 * 15, "{}", signed.manifest.len());
        let around = signed.encoded_len() - signed.manifest.len();
        assert!(MAX_MANIFEST + around <= crate::MAX_SIGNED_MANIFEST);
    }
}
