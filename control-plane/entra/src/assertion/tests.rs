//! Keys made for tests, which sign whatever they are given.

use aws_lc_rs::{
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};

use super::*;

impl AssertionKey {
    pub(crate) fn generate() -> Self {
        Self { pair: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), kid: Uuid::new_v4().to_string() }
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn jwk(&self) -> Value {
        let (n, e) = public_numbers(self.pair.public_key().as_ref()).unwrap();
        let (n, e) = (base64url::encode(n), base64url::encode(e));
        json!({"use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256", "n": n, "e": e})
    }

    /// Any claims under any header, for forging.
    pub(crate) fn sign_raw(&self, header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", base64url::encode(&signature))
    }
}

/// Modulus and exponent of a DER `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
fn public_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = der_value(der, 0x30)?;
    let (modulus, tail) = der_value(sequence, 0x02)?;
    let (exponent, end) = der_value(tail, 0x02)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    Some((unsigned(modulus), unsigned(exponent)))
}

/// The value of the element of that tag at the front, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn unsigned(integer: &[u8]) -> &[u8] {
    match integer.split_first() {
        Some((0, rest)) if !rest.is_empty() => rest,
        _ => integer,
    }
}

#[test]
fn an_assertion_verifies_with_the_public_half_and_says_what_entra_asks_for() {
    let key = AssertionKey::generate();
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let token = key.assert("https://cp.example", "cs:d:target:shop:standing", "api://x", now).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let jwk = key.jwk();
    let number = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
    RsaPublicKeyComponents { n: number("n"), e: number("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &base64url::decode(signature).unwrap())
        .unwrap();
    let claims = base64url::decode(signed.split_once('.').unwrap().1).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"], 1_700_000_300);
    assert_eq!(claims["sub"], "cs:d:target:shop:standing");
}

#[test]
fn garbage_is_no_key() {
    assert_eq!(AssertionKey::from_pkcs8_pem("nonsense", "k").unwrap_err(), KeyError::Rejected);
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(AssertionKey::from_pkcs8_pem(pem, "k").unwrap_err(), KeyError::Rejected);
}
