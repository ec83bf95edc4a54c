use std::{fs, os::unix::fs::PermissionsExt};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::*;

fn key(seed: u8) -> ApprovalsKey {
    ApprovalsKey::from_secret(&[seed; SECRET]).unwrap()
}

#[test]
fn what_is_sealed_opens_for_its_own_alone() {
    let key = key(1);
    for plaintext in [&b""[..], b"UPDATE orders", &[7; 100_000]] {
        let sealed = key.seal(b"ap_1", plaintext).unwrap();
        assert_eq!(sealed.len(), NONCE_LEN + plaintext.len() + 16);
        assert_eq!(key.open(b"ap_1", &sealed).unwrap().as_slice(), plaintext);
        assert_eq!(key.open(b"ap_2", &sealed), Err(SealError::Open), "another approval's");
        assert_eq!(key.open(b"", &sealed), Err(SealError::Open));
        assert_eq!(self::key(2).open(b"ap_1", &sealed), Err(SealError::Open), "another key");
    }
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let key = key(1);
    let sealed = key.seal(b"ap_1", b"UPDATE orders").unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(key.open(b"ap_1", &changed), Err(SealError::Open), "changed at {at}");
        assert_eq!(key.open(b"ap_1", &sealed[..at]), Err(SealError::Open), "cut at {at}");
    }
    assert_eq!(key.open(b"ap_1", &[&sealed[..], b"\0"].concat()), Err(SealError::Open));
}

#[test]
fn one_message_is_never_sealed_the_same_way_twice() {
    let key = key(1);
    let sealed = || key.seal(b"ap_1", b"UPDATE orders").unwrap();
    assert_ne!(sealed()[..NONCE_LEN], sealed()[..NONCE_LEN]);
}

#[test]
fn a_mac_fits_one_key_purpose_and_list_of_parts() {
    let key = key(1);
    let mac = key.mac("vote", &[b"ab", b"c"]);
    assert!(key.verify_mac("vote", &[b"ab", b"c"], &mac));
    assert!(!self::key(2).verify_mac("vote", &[b"ab", b"c"], &mac));
    assert!(!key.verify_mac("fingerprint", &[b"ab", b"c"], &mac));
    for parts in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"ab"], &[]] {
        assert!(!key.verify_mac("vote", parts, &mac), "{parts:?}");
    }
    assert!(!key.verify_mac("voteab", &[b"c"], &mac));
    assert!(!key.verify_mac("vote", &[b"ab", b"c"], &mac[..31]));
    assert!(!key.verify_mac("vote", &[b"ab", b"c"], &[]));
    for at in 0..mac.len() {
        let mut changed = mac;
        changed[at] ^= 0x80;
        assert!(!key.verify_mac("vote", &[b"ab", b"c"], &changed), "changed at {at}");
    }
}

/// Computed with Python's hmac and hashlib from the two RFCs (HKDF 5869, HMAC 2104).
#[test]
fn a_mac_is_what_the_documentation_says() {
    let mac = key(7).mac("vote", &[b"ab", b""]);
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "3787dd05efd4961b76da937d342edc333c70ca0999414ca3934757169519c5d1");
}

#[test]
fn a_reload_gives_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/approvals.key");
    let sealed = ApprovalsKey::load_or_create(&path).unwrap().seal(b"ap_1", b"x").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = ApprovalsKey::load_or_create(&path).unwrap();
    assert_eq!(again.open(b"ap_1", &sealed).unwrap().as_slice(), b"x");
    let other = ApprovalsKey::load_or_create(&folder.path().join("other.key")).unwrap();
    assert_eq!(other.open(b"ap_1", &sealed), Err(SealError::Open));
}

#[test]
fn a_file_without_a_key_is_refused_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let short = BASE64_STANDARD.encode([7; SECRET - 1]);
    let long = BASE64_STANDARD.encode([7; SECRET + 1]);
    let good = BASE64_STANDARD.encode([7; SECRET]);
    for (n, text) in ["", "\n", "nothing", &short, &long, &format!("{good}\n\n"), &format!(" {good}")]
        .into_iter()
        .enumerate()
    {
        let path = folder.path().join(n.to_string());
        crate::create_private(&path, text).unwrap();
        let refused = ApprovalsKey::load_or_create(&path).unwrap_err();
        assert!(matches!(refused, KeyFileError::Malformed { .. }), "{text:?}");
        assert_eq!(*crate::read_private(&path).unwrap(), text);
    }
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("approvals.key");
    ApprovalsKey::load_or_create(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(ApprovalsKey::load_or_create(&path), Err(KeyFileError::TooOpen { .. })));
}

#[test]
fn debug_shows_nothing() {
    assert_eq!(format!("{:?}", key(1)), "ApprovalsKey(redacted)");
}
