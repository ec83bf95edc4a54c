//! What Azure's database service checks at login (Microsoft docs: Azure Database for PostgreSQL, Entra
//! authentication): signature, issuer, tenant, audience, lifetime, and that the token's object id is the one that the
//! role was created for. Names in the token play no part.

use crate::directory::OSSRDBMS;
use crate::guid::Guid;
use crate::jwt::Jwt;
use crate::state::State;

/// A login that may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) oid: Guid,
    pub(super) uti: Option<String>,
}

/// A refused login. Object id and token id are given only once the signature has held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) oid: Option<Guid>,
    pub(super) uti: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("no database server is set up")]
    NoServer,
    #[error("unknown role")]
    Role,
    #[error("not a token")]
    Malformed,
    #[error("algorithm")]
    Algorithm,
    #[error("unknown key")]
    Key,
    #[error("signature")]
    Signature,
    #[error("version")]
    Version,
    #[error("issuer")]
    Issuer,
    #[error("tenant")]
    Tenant,
    #[error("audience")]
    Audience,
    #[error("not yet valid")]
    Early,
    #[error("expired")]
    Expired,
    #[error("token of somebody else")]
    Object,
}

/// `now` in seconds since 1970; no clock skew is allowed.
pub(super) fn check(state: &State, role: &str, token: &str, now: i64) -> Result<Accepted, Refused> {
    let unverified = |reason| Refused { reason, oid: None, uti: None };
    let directory = state.directory();
    let server = directory.postgres.as_ref().ok_or_else(|| unverified(Reason::NoServer))?;
    let owner = *server.roles.get(role).ok_or_else(|| unverified(Reason::Role))?;
    let jwt = signed(state, token).map_err(unverified)?;

    let oid = jwt.text("oid").and_then(|oid| oid.parse().ok());
    let uti = jwt.text("uti").filter(|uti| uti.len() <= 64).map(str::to_owned);
    match claims(state, &jwt, server.tenant, now) {
        Ok(()) if oid == Some(owner) => Ok(Accepted { oid: owner, uti }),
        Ok(()) => Err(Refused { reason: Reason::Object, oid, uti }),
        Err(reason) => Err(Refused { reason, oid, uti }),
    }
}

fn signed(state: &State, token: &str) -> Result<Jwt, Reason> {
    let jwt = Jwt::parse(token).ok_or(Reason::Malformed)?;
    if jwt.alg() != "RS256" {
        return Err(Reason::Algorithm);
    }
    let key = jwt.kid().and_then(|kid| state.keys(|ring| ring.trusted(kid))).ok_or(Reason::Key)?;
    if !jwt.is_signed_by(&key.modulus, &key.exponent) {
        return Err(Reason::Signature);
    }
    Ok(jwt)
}

fn claims(state: &State, jwt: &Jwt, tenant: Guid, now: i64) -> Result<(), Reason> {
    if jwt.text("ver") != Some("1.0") {
        return Err(Reason::Version);
    }
    if jwt.text("iss") != Some(&state.issuer_v1(tenant)) {
        return Err(Reason::Issuer);
    }
    if jwt.text("tid") != Some(&tenant.to_string()) {
        return Err(Reason::Tenant);
    }
    if !jwt.text("aud").is_some_and(is_the_database) {
        return Err(Reason::Audience);
    }
    if jwt.seconds("nbf").is_none_or(|start| now < start) {
        return Err(Reason::Early);
    }
    if jwt.seconds("exp").is_none_or(|end| now >= end) {
        return Err(Reason::Expired);
    }
    Ok(())
}

/// Version 1 keeps the resource as it was asked for, with or without the slash.
fn is_the_database(audience: &str) -> bool {
    audience.strip_suffix('/').unwrap_or(audience) == OSSRDBMS
}
