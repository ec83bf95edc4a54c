//! Making access tokens: the shapes that Entra gives to applications, to people, and to agents for themselves or for
//! people (Microsoft identity platform docs: access token claims reference; Microsoft Entra Agent ID: token claims).
//! The resource decides the version. Tests may ask for a token and bend it; the token endpoint never does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::directory::{App, Audience, Tenant, TokenVersion, User};
use crate::guid::Guid;
use crate::jwt;
use crate::keys::{KeyError, KeyName, SigningKey};
use crate::state::{State, now};

mod claims;
#[cfg(test)]
mod tests;

/// Client of a person's token where no actor is named: the id of Azure's own command line, a public client.
pub const PUBLIC_CLIENT: Guid = Guid::from_u128(0x04b07795_8ddb_461a_bbee_02f9e1bf7b46);

/// Whom a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// An application for itself (`idtyp` app).
    Agent,
    /// A person through a public client.
    User,
    /// An Agent ID on behalf of a person: actor facet 11, the person is the subject.
    AgentForUser,
    /// An Agent ID for itself: actor and subject facets 11.
    AgentIdentity,
    /// An agent's user account: actor facet 11, subject facet 13.
    AgentUser,
}

/// A token for a test or for the development command line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The first tenant unless named.
    #[serde(default)]
    pub tenant: Option<Guid>,
    /// Whom it speaks for.
    pub kind: TokenKind,
    /// Name or object id: of the application for `Agent` and `AgentIdentity`, else of the user.
    pub subject: String,
    /// Name, client id or object id of the agent that acts; needed for `AgentForUser` and `AgentUser`.
    #[serde(default)]
    pub actor: Option<String>,
    /// Client id or App ID URI of the resource.
    pub audience: String,
    /// Seconds from now to `exp`, negative for an expired token; random 3600 to 5400 unless given.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// Seconds from now to `nbf`; 0 unless given.
    #[serde(default)]
    pub not_before_in: Option<i64>,
    /// Claims to add or replace, after everything else.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// Claims to leave out.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl TokenRequest {
    /// An ordinary token of the given kind; change its fields for others.
    pub fn new(kind: TokenKind, subject: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            tenant: None,
            kind,
            subject: subject.into(),
            actor: None,
            audience: audience.into(),
            expires_in: None,
            not_before_in: None,
            set: Map::new(),
            remove: Vec::new(),
        }
    }
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No such tenant.
    #[error("no such tenant")]
    NoTenant,
    /// No such application or user.
    #[error("no {0:?} in the tenant")]
    NoPrincipal(String),
    /// The kind of token needs an actor.
    #[error("this kind of token needs an actor")]
    NoActor,
    /// No resource of the tenant has this name.
    #[error("no resource {0:?} in the tenant")]
    NoResource(String),
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// JSON could not be written.
    #[error("claims: {0}")]
    Claims(#[from] serde_json::Error),
}

/// A minted token and how long it lives, in seconds.
pub(crate) struct Minted {
    pub(crate) access_token: String,
    pub(crate) expires_in: i64,
}

/// The token endpoint's answer to an authenticated application.
pub(crate) fn app_only(
    state: &State,
    tenant: Guid,
    app: &App,
    audience: &Audience,
) -> Result<Minted, IssueError> {
    let expires_in = random_lifetime();
    let mut all = claims::frame(state, tenant, audience, Lifetime::of(expires_in));
    claims::application(&mut all, app, audience);
    let key = state.keys(|ring| ring.get(KeyName::Current));
    Ok(Minted { access_token: sign(&key, audience.version, &all)?, expires_in })
}

/// A token as a test asked for it. Each has a `uti` of its own.
pub(crate) fn on_request(state: &State, request: &TokenRequest) -> Result<String, IssueError> {
    let directory = state.directory();
    let tenant = match request.tenant {
        Some(id) => directory.tenant(id),
        None => directory.tenants.first(),
    };
    let tenant = tenant.ok_or(IssueError::NoTenant)?;
    let audience =
        tenant.audience(&request.audience).ok_or_else(|| IssueError::NoResource(request.audience.clone()))?;
    let starts = now().saturating_add(request.not_before_in.unwrap_or(0));
    let ends = now().saturating_add(request.expires_in.unwrap_or_else(random_lifetime));
    let mut all = claims::frame(state, tenant.id, &audience, Lifetime { starts, ends });
    subject(&mut all, tenant, request, &audience)?;
    for name in &request.remove {
        all.remove(name);
    }
    all.extend(request.set.clone());
    let key = state.keys(|ring| ring.get(KeyName::Current));
    sign(&key, audience.version, &all)
}

/// Signs exactly the bytes given, whatever they are, with the named key.
pub(crate) fn raw(state: &State, header: &str, payload: &str, key: KeyName) -> Result<String, IssueError> {
    let key = state.keys(|ring| ring.get(key));
    Ok(jwt::assemble(header.as_bytes(), payload.as_bytes(), |input| key.sign(input))?)
}

/// `nbf` (and `iat`) and `exp`, in seconds since 1970.
#[derive(Clone, Copy)]
struct Lifetime {
    starts: i64,
    ends: i64,
}

impl Lifetime {
    fn of(seconds: i64) -> Self {
        let starts = now();
        Self { starts, ends: starts.saturating_add(seconds) }
    }
}

/// Entra's default: 60 to 90 minutes, so that not everything expires at once.
fn random_lifetime() -> i64 {
    rand::rng().random_range(3_600..=5_400)
}

fn subject(
    all: &mut Map<String, Value>,
    tenant: &Tenant,
    request: &TokenRequest,
    audience: &Audience,
) -> Result<(), IssueError> {
    match request.kind {
        TokenKind::Agent => claims::application(all, find_app(tenant, &request.subject)?, audience),
        TokenKind::AgentIdentity => {
            let app = find_app(tenant, &request.subject)?;
            claims::application(all, app, audience);
            claims::facets(all, app, "11", Some("11"));
        }
        TokenKind::User => {
            let user = find_user(tenant, &request.subject)?;
            let client = match &request.actor {
                Some(actor) => find_app(tenant, actor)?.client_id,
                None => PUBLIC_CLIENT,
            };
            claims::person(all, user, client, "0", audience);
        }
        TokenKind::AgentForUser | TokenKind::AgentUser => {
            let user = find_user(tenant, &request.subject)?;
            let agent = find_app(tenant, request.actor.as_deref().ok_or(IssueError::NoActor)?)?;
            claims::person(all, user, agent.client_id, "2", audience);
            let subject_facets = (request.kind == TokenKind::AgentUser).then_some("13");
            claims::facets(all, agent, "11", subject_facets);
        }
    }
    Ok(())
}

fn find_app<'a>(tenant: &'a Tenant, key: &str) -> Result<&'a App, IssueError> {
    tenant.app(key).ok_or_else(|| IssueError::NoPrincipal(key.to_owned()))
}

fn find_user<'a>(tenant: &'a Tenant, key: &str) -> Result<&'a User, IssueError> {
    tenant.user(key).ok_or_else(|| IssueError::NoPrincipal(key.to_owned()))
}

/// Version 2 names the key by `kid` alone, version 1 by `kid` and `x5t`.
fn sign(key: &SigningKey, version: TokenVersion, all: &Map<String, Value>) -> Result<String, IssueError> {
    let header = match version {
        TokenVersion::V1 => json!({"typ": "JWT", "alg": "RS256", "x5t": key.kid, "kid": key.kid}),
        TokenVersion::V2 => json!({"typ": "JWT", "alg": "RS256", "kid": key.kid}),
    };
    let (header, payload) = (serde_json::to_vec(&header)?, serde_json::to_vec(all)?);
    Ok(jwt::assemble(&header, &payload, |input| key.sign(input))?)
}

/// `N` random bytes as base64url, for ids and opaque claims.
fn random_text<const N: usize>() -> String {
    let mut bytes = [0_u8; N];
    rand::rng().fill(&mut bytes[..]);
    URL_SAFE_NO_PAD.encode(bytes)
}
