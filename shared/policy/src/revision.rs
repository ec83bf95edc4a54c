//! The name of a set of bundles: what it says, hashed.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The revision that these `(name, text)` bundles make together, in whatever order they are given: lower-case hex
/// SHA-256 over the bundles in bytewise order of name, each as length of name, name, length of text, text.
/// Lengths are in bytes, as unsigned 64-bit big-endian integers, so no two different sets hash alike.
pub fn revision<N: AsRef<str>, T: AsRef<str>>(bundles: &[(N, T)]) -> String {
    let mut sorted: Vec<(&str, &str)> = bundles.iter().map(|(n, t)| (n.as_ref(), t.as_ref())).collect();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    for part in sorted.into_iter().flat_map(|(name, text)| [name, text]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_is_fixed_and_knows_where_a_bundle_ends() {
        // printf '\0\0\0\0\0\0\0\001a\0\0\0\0\0\0\0\002xy' | sha256sum
        let one = "72537a55d218ea5ba1d356d39a01f13b10c277da97d6a8fdeff1cfeed191f100";
        assert_eq!(revision(&[("a", "xy")]), one);
        assert_ne!(revision(&[("ax", "y")]), one);
        assert_ne!(revision(&[("a", "x"), ("y", "")]), one);
        assert_eq!(revision(&[("b", "1"), ("a", "2")]), revision(&[("a", "2"), ("b", "1")]));
        // printf '' | sha256sum
        let none: [(&str, &str); 0] = [];
        assert_eq!(revision(&none), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
