//! base64url as JOSE has it (RFC 7515 section 2): no padding, no white space, no stray bits at the end.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Decodes; anything but the one canonical spelling is `None`.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_decodes() {
        assert_eq!(decode("aGk"), Some(b"hi".to_vec()));
        for bad in ["aGk=", "aG k", "aGk\n", "aGl", "a+b/", "a"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
