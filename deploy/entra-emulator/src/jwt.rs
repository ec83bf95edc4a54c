//! Compact JWTs (RFC 7515, RFC 7519): taken apart strictly, signed with RS256, and nothing else. Written for this
//! crate on top of aws-lc-rs so that the judge of the control plane's tokens shares no code with it.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::strict_json;

/// Longest token or assertion that is looked at, in bytes.
pub(crate) const MAX_TOKEN: usize = 32 * 1024;

/// A token in its parts; nothing about it has been verified yet.
pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signing_input: String,
    signature: Vec<u8>,
}

impl Jwt {
    /// Takes a token apart: at most [`MAX_TOKEN`] bytes, three segments of base64url without padding, two JSON
    /// objects without duplicate members, no `crit` extension (none is understood here).
    pub(crate) fn parse(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        let header = strict_json::object(&URL_SAFE_NO_PAD.decode(header).ok()?)?;
        let claims = strict_json::object(&URL_SAFE_NO_PAD.decode(claims).ok()?)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if header.contains_key("crit") {
            return None;
        }
        Some(Self { header, claims, signing_input: signing_input.to_owned(), signature })
    }

    pub(crate) fn alg(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// A NumericDate in whole seconds; fractions are not read.
    pub(crate) fn seconds(&self, claim: &str) -> Option<i64> {
        self.claims.get(claim).and_then(Value::as_i64)
    }

    /// Whether the signature is RS256 by this key. Keys under 2048 or over 8192 bits never verify.
    pub(crate) fn is_signed_by(&self, modulus: &[u8], exponent: &[u8]) -> bool {
        RsaPublicKeyComponents { n: modulus, e: exponent }
            .verify(&RSA_PKCS1_2048_8192_SHA256, self.signing_input.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// Puts a token together from the exact bytes given; `sign` gets the signing input.
pub(crate) fn assemble<E>(
    header: &[u8],
    claims: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        assemble::<()>(header.as_bytes(), claims.as_bytes(), |_| Ok(vec![1])).unwrap()
    }

    #[test]
    fn only_three_segments_of_plain_objects_are_taken() {
        let good = token(r#"{"alg":"RS256"}"#, r#"{"exp":1}"#);
        assert_eq!(Jwt::parse(&good).unwrap().seconds("exp"), Some(1));
        assert!(Jwt::parse(&format!("{good}=")).is_none());
        assert!(Jwt::parse(&format!("{good}.AAAA")).is_none());
        assert!(Jwt::parse(&format!(" {good}")).is_none());
        assert!(Jwt::parse(&token(r#"{"alg":"RS256","alg":"none"}"#, "{}")).is_none());
        assert!(Jwt::parse(&token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}")).is_none());
        assert!(
            Jwt::parse(&token(r#"{"alg":"RS256"}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_TOKEN))))
                .is_none()
        );
    }
}
