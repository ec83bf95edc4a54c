//! From a bearer token to a caller that can be believed.
//!
//! The order is fixed: bounds, shape, algorithm, key, signature, issuer of the key, claims. Nothing of the claims is
//! looked at before the signature holds, and no key ever comes from the token.

use std::{sync::Arc, time::SystemTime};

use countersign_model::{Principal, PrincipalKind};
use serde_json::{Map, Value};

use crate::{
    Authority, SigningKeys, TokenError, base64url,
    claims::{self, Expected},
    strict_json::{self, ObjectError},
};

/// Longest token taken, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// Longest key id taken, in bytes; Entra's are 27.
const MAX_KID: usize = 256;
/// Header members that would have us take keys or rules from the token itself.
const REFUSED_MEMBERS: [&str; 5] = ["crit", "jku", "jwk", "x5u", "x5c"];

/// Who a token proves its bearer to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedToken {
    /// Tenant (`tid`), a lower-case GUID.
    pub tenant_id: Arc<str>,
    /// Object id of the subject (`oid`), a lower-case GUID. With the tenant it is the caller's key.
    pub object_id: Arc<str>,
    /// The calling application (`azp`), a lower-case GUID.
    pub app_id: Option<Arc<str>>,
    /// Human or not.
    pub kind: PrincipalKind,
    /// App roles.
    pub roles: Vec<String>,
    /// `uti`: identifies the token without being it.
    pub token_id: Arc<str>,
    /// `exp`, without any allowance for skew.
    pub expires_at: SystemTime,
}

impl ValidatedToken {
    /// The caller, not yet matched with the registry of agents.
    pub fn principal(&self) -> Principal {
        Principal {
            tenant_id: self.tenant_id.clone(),
            object_id: self.object_id.clone(),
            app_id: self.app_id.clone(),
            kind: self.kind,
            agent: None,
            roles: self.roles.clone(),
        }
    }
}

/// Validates tokens of one tenant.
#[derive(Debug)]
pub struct Validator {
    authority: Authority,
    keys: Arc<SigningKeys>,
}

impl Validator {
    /// For the tenant whose keys these are.
    pub fn new(keys: Arc<SigningKeys>) -> Self {
        Self { authority: keys.authority().clone(), keys }
    }

    /// Checks that `token` is one of the tenant's, for exactly `audience`, at `now`.
    ///
    /// May fetch the tenant's keys (once in a while, see [`SigningKeys`]); cancelling it is harmless.
    ///
    /// # Errors
    /// The first check that failed. It is for logs: tell the caller nothing but that the token was refused.
    pub async fn validate(
        &self,
        token: &str,
        audience: &str,
        now: SystemTime,
    ) -> Result<ValidatedToken, TokenError> {
        let parts = Parts::split(token)?;
        let kid = check_header(&object(parts.header)?)?;
        let signature = base64url::decode(parts.signature).ok_or(TokenError::Malformed)?;
        let key = self.keys.get(&kid).await?;
        if !key.verifies(parts.signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        let expected =
            Expected { authority: &self.authority, audience, key_issuer: key.issuer.as_deref(), now };
        claims::check(&object(parts.claims)?, &expected)
    }
}

struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// Header, dot and claims: what the signature is over.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if claims.contains('.') || [header, claims].iter().any(|part| part.is_empty()) {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, claims, signature, signed })
    }
}

/// The key id, once the header holds nothing that we would not follow.
fn check_header(header: &Map<String, Value>) -> Result<String, TokenError> {
    // One algorithm, whatever the header or the key would like: a list of two has been the start of many attacks.
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(TokenError::Algorithm);
    }
    if header.get("typ").and_then(Value::as_str) != Some("JWT")
        || REFUSED_MEMBERS.iter().any(|member| header.contains_key(*member))
    {
        return Err(TokenError::Header);
    }
    let kid = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    if kid.is_empty() || kid.len() > MAX_KID { Err(TokenError::KeyUnknown) } else { Ok(kid.to_owned()) }
}

fn object(segment: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = base64url::decode(segment).ok_or(TokenError::Malformed)?;
    strict_json::parse_object(&bytes).map_err(|error| match error {
        ObjectError::Malformed => TokenError::Malformed,
        ObjectError::DuplicateKey => TokenError::DuplicateKey,
    })
}

#[cfg(test)]
mod tests;
