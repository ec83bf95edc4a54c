//! The keys that the emulator signs with. Two are always live, so that nobody learns to expect one: `current` signs,
//! `next` is published ahead. Two more are published for negative tests: a consumer (MSA) key and another tenant's,
//! whose JWKs carry a literal issuer that no token of a tenant here may have. No private key leaves this module.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey as _,
};
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::guid::Guid;

/// The tenant of consumer (MSA) accounts, a constant of the platform.
pub const CONSUMERS: Guid = Guid::from_u128(0x9188040d_6c67_4c5b_b112_36a304b66dad);
/// The tenant whose key is published beside ours; no tenant of this directory can have this id by accident.
pub const FOREIGN_TENANT: Guid = Guid::from_u128(0xf0e1_9e00_0000_4000_8000_0000_0000_0001);

/// A key could not be made or could not sign.
#[derive(Debug, thiserror::Error)]
#[error("signing key: {0}")]
pub struct KeyError(String);

impl KeyError {
    pub(crate) fn stopped(error: tokio::task::JoinError) -> Self {
        as_error(error)
    }
}

/// Which key signs raw test input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyName {
    /// The key that tokens are signed with.
    Current,
    /// The published key that takes over at the next rotation.
    Next,
    /// Published with the literal issuer of [`FOREIGN_TENANT`].
    ForeignTenant,
    /// Published with the literal issuer of [`CONSUMERS`].
    Msa,
}

pub(crate) struct SigningKey {
    /// base64url of the certificate's SHA-1: `kid` and `x5t` are the same in Entra's key sets.
    pub(crate) kid: String,
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
    certificate: Vec<u8>,
    key: KeyPair,
    /// `None` for the template `{tenantid}`: valid for whichever tenant the token names.
    only_tenant: Option<Guid>,
}

impl SigningKey {
    fn generate(only_tenant: Option<Guid>) -> Result<Self, KeyError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(as_error)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "entra-emulator signing key");
        let certificate = params.self_signed(&key).map_err(as_error)?.der().to_vec();
        let (modulus, exponent) = public_parts(&certificate)?;
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        Ok(Self { kid: URL_SAFE_NO_PAD.encode(thumbprint), modulus, exponent, certificate, key, only_tenant })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(message).map_err(as_error)
    }

    /// The published form: no `alg` member, as in Entra's own documents.
    fn jwk(&self, authority: &str) -> Value {
        let tenant = self.only_tenant.map_or_else(|| "{tenantid}".to_owned(), |tenant| tenant.to_string());
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
            "x5c": [STANDARD.encode(&self.certificate)],
            "issuer": format!("{authority}/{tenant}/v2.0"),
        })
    }
}

pub(crate) struct KeyRing {
    current: Arc<SigningKey>,
    next: Arc<SigningKey>,
    /// Rotated out but still published; at most [`MAX_PREVIOUS`], oldest first.
    previous: Vec<Arc<SigningKey>>,
    foreign_tenant: Arc<SigningKey>,
    msa: Arc<SigningKey>,
}

/// Overlapping old keys kept published; the oldest goes first.
const MAX_PREVIOUS: usize = 8;

impl KeyRing {
    /// Makes four keys; takes some hundred milliseconds of processor time.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            current: Arc::new(SigningKey::generate(None)?),
            next: Arc::new(SigningKey::generate(None)?),
            previous: Vec::new(),
            foreign_tenant: Arc::new(SigningKey::generate(Some(FOREIGN_TENANT))?),
            msa: Arc::new(SigningKey::generate(Some(CONSUMERS))?),
        })
    }

    /// A key to put at the end of the ring; made apart so that no lock is held meanwhile.
    pub(crate) fn fresh() -> Result<Arc<SigningKey>, KeyError> {
        SigningKey::generate(None).map(Arc::new)
    }

    pub(crate) fn get(&self, name: KeyName) -> Arc<SigningKey> {
        Arc::clone(match name {
            KeyName::Current => &self.current,
            KeyName::Next => &self.next,
            KeyName::ForeignTenant => &self.foreign_tenant,
            KeyName::Msa => &self.msa,
        })
    }

    /// Planned rotation: `next` signs from now on, what signed before stays published.
    pub(crate) fn rotate(&mut self, fresh: Arc<SigningKey>) {
        let incoming = std::mem::replace(&mut self.next, fresh);
        let outgoing = std::mem::replace(&mut self.current, incoming);
        self.previous.push(outgoing);
        if self.previous.len() > MAX_PREVIOUS {
            self.previous.remove(0);
        }
    }

    /// Emergency removal: the key (the current one unless named) is gone from the key set at once. `false` if no
    /// such key is published.
    pub(crate) fn retire(&mut self, kid: Option<&str>, fresh: Arc<SigningKey>) -> bool {
        let kid = kid.unwrap_or(&self.current.kid).to_owned();
        if kid == self.current.kid {
            self.current = std::mem::replace(&mut self.next, fresh);
            return true;
        }
        if kid == self.next.kid {
            self.next = fresh;
            return true;
        }
        let before = self.previous.len();
        self.previous.retain(|key| key.kid != kid);
        self.previous.len() < before
    }

    /// A published key by `kid`, if it may vouch for tokens of the tenants here.
    pub(crate) fn trusted(&self, kid: &str) -> Option<Arc<SigningKey>> {
        self.published().find(|key| key.kid == kid && key.only_tenant.is_none()).map(Arc::clone)
    }

    /// The key set. The order has no meaning: it is by `kid`.
    pub(crate) fn jwks(&self, authority: &str) -> Value {
        let mut keys: Vec<_> = self.published().collect();
        keys.sort_by(|left, right| left.kid.cmp(&right.kid));
        json!({ "keys": keys.iter().map(|key| key.jwk(authority)).collect::<Vec<_>>() })
    }

    /// Names and ids of the keys, for the test API's answers.
    pub(crate) fn kids(&self) -> Value {
        json!({
            "current": self.current.kid,
            "next": self.next.kid,
            "previous": self.previous.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(),
            "foreign-tenant": self.foreign_tenant.kid,
            "msa": self.msa.kid,
        })
    }

    fn published(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        [&self.current, &self.next, &self.foreign_tenant, &self.msa].into_iter().chain(&self.previous)
    }
}

/// Modulus and exponent, big-endian without leading zeros (RFC 7518 §6.3.1), read back from the certificate.
fn public_parts(certificate: &[u8]) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(as_error)?;
    let key = certificate.public_key().parsed().map_err(as_error)?;
    let PublicKey::RSA(key) = key else {
        return Err(KeyError("not an RSA certificate".to_owned()));
    };
    Ok((without_leading_zeros(key.modulus), without_leading_zeros(key.exponent)))
}

fn without_leading_zeros(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn as_error(error: impl std::fmt::Display) -> KeyError {
    KeyError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_set_has_entras_shape() {
        let ring = KeyRing::generate().unwrap();
        let jwks = ring.jwks("https://localhost:1");
        let keys = jwks["keys"].as_array().unwrap();
        let template = "https://localhost:1/{tenantid}/v2.0";
        assert_eq!(keys.iter().filter(|key| key["issuer"] == template).count(), 2);
        assert_eq!(keys.iter().filter(|key| key["issuer"] != template).count(), 2);
        for key in keys {
            assert_eq!((&key["kty"], &key["use"], &key["e"]), (&json!("RSA"), &json!("sig"), &json!("AQAB")));
            assert_eq!(key["kid"], key["x5t"]);
            assert!(key.get("alg").is_none());
            let der = STANDARD.decode(key["x5c"][0].as_str().unwrap()).unwrap();
            assert_eq!(
                URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der)),
                key["kid"].as_str().unwrap()
            );
            assert_eq!(URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap().len(), 256);
        }
    }

    #[test]
    fn rotation_overlaps_and_retirement_does_not() {
        let mut ring = KeyRing::generate().unwrap();
        let (first, second) = (ring.get(KeyName::Current), ring.get(KeyName::Next));
        ring.rotate(KeyRing::fresh().unwrap());
        assert_eq!(ring.get(KeyName::Current).kid, second.kid);
        assert!(ring.trusted(&first.kid).is_some());

        assert!(ring.retire(None, KeyRing::fresh().unwrap()));
        assert!(ring.trusted(&second.kid).is_none());
        assert!(ring.retire(Some(&first.kid), KeyRing::fresh().unwrap()));
        assert!(ring.trusted(&first.kid).is_none());
        assert!(!ring.retire(Some("unknown"), KeyRing::fresh().unwrap()));
        assert!(ring.trusted(&ring.get(KeyName::Msa).kid).is_none());
    }
}
