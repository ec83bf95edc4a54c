//! The claims of a token whose signature holds, checked one after another.
//!
//! Source: Microsoft identity platform, "access token claims reference" and "agent token claims".

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign_model::PrincipalKind;
use serde_json::{Map, Value};

use crate::{Authority, TokenError, ValidatedToken, authority::guid};

/// How far ahead of our clock Entra's may be.
const NOT_BEFORE_SKEW: Duration = Duration::from_secs(300);
/// How long after its end a token is taken.
const EXPIRY_SKEW: Duration = Duration::from_secs(60);
/// Longest `uti` taken, in bytes; Entra's are 22.
const MAX_TOKEN_ID: usize = 128;
/// Facet value of an agent identity in `xms_act_fct`.
const AGENT_IDENTITY: u32 = 11;
/// Facet value of an agent's user account in `xms_sub_fct`.
const AGENT_USER: u32 = 13;

/// What the claims are held against.
pub(crate) struct Expected<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) audience: &'a str,
    /// The `issuer` member of the key that verified, if it has one.
    pub(crate) key_issuer: Option<&'a str>,
    pub(crate) now: SystemTime,
}

/// The checks after the signature, in their fixed order.
pub(crate) fn check(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<ValidatedToken, TokenError> {
    let issuer = text(claims, "iss").ok_or(TokenError::Issuer)?;
    let tenant = text(claims, "tid").ok_or(TokenError::Tenant)?;
    if !key_is_for(expected.key_issuer, tenant, issuer) {
        return Err(TokenError::KeyIssuer);
    }
    if issuer != expected.authority.issuer() {
        return Err(TokenError::Issuer);
    }
    // The issuer just compared holds the tenant as its first path segment, so this one comparison binds all three.
    if tenant != &**expected.authority.tenant() {
        return Err(TokenError::Tenant);
    }
    if expected.audience.is_empty() || text(claims, "aud") != Some(expected.audience) {
        return Err(TokenError::Audience);
    }
    check_start(claims, expected.now)?;
    let expires_at = check_end(claims, expected.now)?;
    if text(claims, "ver") != Some("2.0") {
        return Err(TokenError::Version);
    }
    Ok(ValidatedToken {
        tenant_id: tenant.into(),
        object_id: text(claims, "oid").and_then(guid).ok_or(TokenError::Subject)?.into(),
        app_id: app_id(claims)?.map(Into::into),
        kind: kind(claims)?,
        roles: roles(claims)?,
        token_id: token_id(claims)?.into(),
        expires_at,
    })
}

/// A key says in its `issuer` for whom it signs, `{tenantid}` standing for any tenant. A key that says nothing is for nobody.
fn key_is_for(key_issuer: Option<&str>, tenant: &str, issuer: &str) -> bool {
    const HOLE: &str = "{tenantid}";
    let Some(template) = key_issuer else { return false };
    let hole = template
        .as_bytes()
        .windows(HOLE.len())
        .position(|window| window.eq_ignore_ascii_case(HOLE.as_bytes()))
        .and_then(|at| template.split_at_checked(at));
    match hole {
        None => template == issuer,
        Some((before, rest)) => {
            let after = rest.get(HOLE.len()..).unwrap_or_default();
            issuer
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|middle| middle == tenant)
        }
    }
}

fn check_start(claims: &Map<String, Value>, now: SystemTime) -> Result<(), TokenError> {
    let start = instant(claims, "nbf").ok_or(TokenError::NotYetValid)?;
    let latest = now.checked_add(NOT_BEFORE_SKEW).ok_or(TokenError::NotYetValid)?;
    if start <= latest { Ok(()) } else { Err(TokenError::NotYetValid) }
}

fn check_end(claims: &Map<String, Value>, now: SystemTime) -> Result<SystemTime, TokenError> {
    let end = instant(claims, "exp").ok_or(TokenError::Expired)?;
    let last = end.checked_add(EXPIRY_SKEW).ok_or(TokenError::Expired)?;
    if now < last { Ok(end) } else { Err(TokenError::Expired) }
}

/// Non-human only where the token says so: an app for itself, or an agent's own user account. An agent that acts for
/// a person is both, and never recorded as acting alone.
fn kind(claims: &Map<String, Value>) -> Result<PrincipalKind, TokenError> {
    let acts_as_agent = facets(claims, "xms_act_fct")?.contains(&AGENT_IDENTITY);
    let is_agent_user = facets(claims, "xms_sub_fct")?.contains(&AGENT_USER);
    match text(claims, "idtyp") {
        Some("app") => Ok(PrincipalKind::Agent),
        Some("user") if is_agent_user => Ok(PrincipalKind::Agent),
        Some("user") if acts_as_agent => Ok(PrincipalKind::AgentForUser),
        Some("user") => Ok(PrincipalKind::User),
        _ => Err(TokenError::Subject),
    }
}

/// Space-separated integers in any order; words that are none are left out, a claim that is no text is refused.
fn facets(claims: &Map<String, Value>, name: &str) -> Result<BTreeSet<u32>, TokenError> {
    match claims.get(name) {
        None => Ok(BTreeSet::new()),
        Some(Value::String(words)) => Ok(words.split(' ').filter_map(|word| word.parse().ok()).collect()),
        Some(_) => Err(TokenError::Subject),
    }
}

fn app_id(claims: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match claims.get("azp") {
        None => Ok(None),
        Some(Value::String(text)) => guid(text).map(Some).ok_or(TokenError::Subject),
        Some(_) => Err(TokenError::Subject),
    }
}

fn roles(claims: &Map<String, Value>) -> Result<Vec<String>, TokenError> {
    match claims.get("roles") {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(TokenError::Subject)).collect()
        }
        Some(_) => Err(TokenError::Subject),
    }
}

fn token_id(claims: &Map<String, Value>) -> Result<&str, TokenError> {
    text(claims, "uti")
        .filter(|uti| {
            !uti.is_empty() && uti.len() <= MAX_TOKEN_ID && uti.bytes().all(|b| b.is_ascii_graphic())
        })
        .ok_or(TokenError::Subject)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

fn instant(claims: &Map<String, Value>, name: &str) -> Option<SystemTime> {
    let seconds = claims.get(name)?.as_u64()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://login.example/t1/v2.0";

    #[test]
    fn keys_are_bound_to_their_issuer() {
        let is_for = |template| key_is_for(template, "t1", ISSUER);
        assert!(is_for(Some("https://login.example/{tenantid}/v2.0")));
        assert!(is_for(Some("https://login.example/{TenantId}/v2.0")));
        assert!(is_for(Some(ISSUER)));
        assert!(!is_for(None));
        assert!(!is_for(Some("https://login.example/t2/v2.0")));
        assert!(!is_for(Some("https://other.example/{tenantid}/v2.0")));
        assert!(!is_for(Some("https://login.example/{tenantid}")));
        assert!(!key_is_for(Some("{tenantid}"), "t1", ISSUER));
    }

    #[test]
    fn facets_are_a_set_of_integers_in_any_order() {
        let kind_of = |json: serde_json::Value| kind(json.as_object().unwrap());
        use serde_json::json;
        assert_eq!(kind_of(json!({"idtyp": "app"})), Ok(PrincipalKind::Agent));
        assert_eq!(kind_of(json!({"idtyp": "user"})), Ok(PrincipalKind::User));
        assert_eq!(kind_of(json!({"idtyp": "user", "xms_act_fct": "7 11"})), Ok(PrincipalKind::AgentForUser));
        assert_eq!(
            kind_of(json!({"idtyp": "user", "xms_act_fct": "11", "xms_sub_fct": "13 9"})),
            Ok(PrincipalKind::Agent)
        );
        assert_eq!(kind_of(json!({"idtyp": "user", "xms_act_fct": "111"})), Ok(PrincipalKind::User));
        assert_eq!(kind_of(json!({})), Err(TokenError::Subject));
        assert_eq!(kind_of(json!({"idtyp": "device"})), Err(TokenError::Subject));
        assert_eq!(kind_of(json!({"idtyp": "user", "xms_act_fct": [11]})), Err(TokenError::Subject));
    }
}
