//! The hash chain over what is stored.
//!
//! `link(n) = SHA-256(link(n-1) || header length || header || body length || body)`; the start is separated by
//! domain, so that no frame's link can pass for the start of a recording.

use sha2::{Digest as _, Sha256};

/// SHA-256 over everything recorded up to and including one frame.
pub type Link = [u8; 32];

const START: &[u8] = b"countersign/recording/v1\0";

/// The link before the first frame of a recording, by the printed form of its id.
pub fn start(recording_id: &str) -> Link {
    Sha256::new().chain_update(START).chain_update(recording_id.as_bytes()).finalize().into()
}

/// The link of a frame. `chained` is the frame as stored, from the header's length to the end of its body.
pub(crate) fn next(previous: &Link, chained: &[u8]) -> Link {
    Sha256::new().chain_update(previous).chain_update(chained).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_the_documented_hash() {
        let documented: Link = Sha256::digest(b"countersign/recording/v1\0re_x").into();
        assert_eq!(start("re_x"), documented);
        assert_ne!(start("re_x"), next(&[0; 32], b"re_x"));
    }
}
