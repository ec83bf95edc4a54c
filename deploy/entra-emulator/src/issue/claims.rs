//! The claims themselves, by version. A claim without a value is absent, never null.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Lifetime, random_text};
use crate::directory::{App, Audience, TokenVersion, User};
use crate::guid::Guid;
use crate::state::State;

/// What every token has, the opaque members included that a reader must not stumble over.
pub(super) fn frame(state: &State, tenant: Guid, audience: &Audience, life: Lifetime) -> Map<String, Value> {
    let (issuer, version) = match audience.version {
        TokenVersion::V1 => (state.issuer_v1(tenant), "1.0"),
        TokenVersion::V2 => (state.issuer_v2(tenant), "2.0"),
    };
    let mut claims = object([
        ("aud", json!(audience.aud)),
        ("iss", json!(issuer)),
        ("iat", json!(life.starts)),
        ("nbf", json!(life.starts)),
        ("exp", json!(life.ends)),
        ("aio", json!(random_text::<24>())),
        ("rh", json!(format!("1.{}.", random_text::<32>()))),
        ("tid", json!(tenant)),
        ("uti", json!(random_text::<16>())),
        ("ver", json!(version)),
        ("xms_ftd", json!(random_text::<24>())),
    ]);
    if audience.version == TokenVersion::V1 {
        claims.insert("idp".to_owned(), json!(issuer));
    }
    claims
}

/// An application for itself; a federated assertion counts as a certificate (`2`).
pub(super) fn application(claims: &mut Map<String, Value>, app: &App, audience: &Audience) {
    client(claims, app.client_id, "2", audience.version);
    claims.extend(object([
        ("idtyp", json!("app")),
        ("oid", json!(app.object_id)),
        ("sub", json!(app.object_id)),
    ]));
    roles(claims, app.app_roles.get(&audience.client_id));
}

/// A person through a client; `sub` is pairwise for the resource.
pub(super) fn person(
    claims: &mut Map<String, Value>,
    user: &User,
    client_id: Guid,
    authentication: &str,
    audience: &Audience,
) {
    client(claims, client_id, authentication, audience.version);
    claims.extend(object([
        ("idtyp", json!("user")),
        ("oid", json!(user.oid)),
        ("sub", json!(pairwise(user.oid, audience.client_id))),
        ("scp", json!("user_impersonation")),
        ("name", json!(user.name)),
    ]));
    claims.extend(match audience.version {
        TokenVersion::V1 => object([
            ("acr", json!("1")),
            ("amr", json!(["pwd", "mfa"])),
            ("upn", json!(user.upn)),
            ("unique_name", json!(user.upn)),
        ]),
        TokenVersion::V2 => object([("preferred_username", json!(user.upn))]),
    });
    roles(claims, user.app_roles.get(&audience.client_id));
}

/// Agent ID facets, sets of integers as text; 11 is an agent identity, 13 an agent's user account.
pub(super) fn facets(claims: &mut Map<String, Value>, agent: &App, actor: &str, subject: Option<&str>) {
    claims.insert("xms_act_fct".to_owned(), json!(actor));
    if let Some(subject) = subject {
        claims.insert("xms_sub_fct".to_owned(), json!(subject));
    }
    if let Some(blueprint) = agent.blueprint {
        claims.insert("xms_par_app_azp".to_owned(), json!(blueprint));
    }
}

fn client(claims: &mut Map<String, Value>, id: Guid, authentication: &str, version: TokenVersion) {
    let (id_claim, how_claim) = match version {
        TokenVersion::V1 => ("appid", "appidacr"),
        TokenVersion::V2 => ("azp", "azpacr"),
    };
    claims.insert(id_claim.to_owned(), json!(id));
    claims.insert(how_claim.to_owned(), json!(authentication));
}

fn roles(claims: &mut Map<String, Value>, held: Option<&Vec<String>>) {
    if let Some(held) = held.filter(|held| !held.is_empty()) {
        claims.insert("roles".to_owned(), json!(held));
    }
}

fn pairwise(oid: Guid, resource: Guid) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, format!("{oid}/{resource}").as_bytes()))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
