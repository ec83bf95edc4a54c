//! `/{tenant}/oauth2/v2.0/token`: client credentials by federated assertion, and nothing else (Microsoft identity
//! platform docs: client credentials flow, third case). No client secret is ever accepted, in the body or as Basic.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use self::form::Form;
use crate::directory::{App, Audience, Directory, Tenant};
use crate::faults::Endpoint;
use crate::guid::Guid;
use crate::issue::{self, Minted};
use crate::state::State;

mod form;
mod refusal;
#[cfg(test)]
mod tests;

pub(crate) use self::form::MAX_BODY;
pub(crate) use self::refusal::{Claim, Refusal, refuse};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) async fn token(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    state.requests.token.one();
    if let Some(fault) = state.faults.strike(Endpoint::Token).await {
        if let Some(code) = fault.aadsts {
            return refuse(&state, &headers, &Refusal::Injected(code));
        }
        if let Some(response) = fault.response() {
            return response;
        }
    }
    let asked = match method == Method::POST {
        true => ask(&state, &tenant, &headers, &body),
        false => Err(Refusal::NotPost(method.to_string())),
    };
    match asked {
        Ok(asked) => answer(&state, &headers, asked).await,
        Err(refusal) => refuse(&state, &headers, &refusal),
    }
}

/// A well-formed request of a known application; its assertion has not been looked at.
struct Asked {
    tenant: Guid,
    app: App,
    resource: String,
    audience: Option<Audience>,
    assertion: String,
}

fn ask(state: &State, tenant: &str, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Refusal> {
    let directory = state.directory();
    let tenant = find_tenant(&directory, tenant)?;
    let form = Form::read(headers, body)?;
    if form.require("grant_type")? != "client_credentials" {
        return Err(Refusal::UnsupportedGrant);
    }
    let client_id = form.get("client_id").unwrap_or_default();
    if form.mentions("client_secret") || headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::SecretRefused(client_id.to_owned()));
    }
    let client_id = form.require("client_id")?;
    if form.mentions("resource") {
        return Err(Refusal::ResourceParameter);
    }
    let resource = resource(form.require("scope")?)?;
    let app = find_app(tenant, client_id)?;
    if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(Refusal::CredentialMissing);
    }
    let assertion = form.get("client_assertion").ok_or(Refusal::CredentialMissing)?;
    Ok(Asked {
        tenant: tenant.id,
        app: app.clone(),
        audience: tenant.audience(&resource),
        resource,
        assertion: assertion.to_owned(),
    })
}

async fn answer(state: &State, headers: &HeaderMap, asked: Asked) -> Response {
    match grant(state, asked).await {
        Ok(minted) => {
            let body = json!({
                "token_type": "Bearer",
                "expires_in": minted.expires_in,
                "ext_expires_in": minted.expires_in,
                "access_token": minted.access_token,
            });
            let mut response = Json(body).into_response();
            refusal::never_stored(response.headers_mut());
            response
        }
        Err(Failure::Refused(refusal)) => refuse(state, headers, &refusal),
        Err(Failure::Ours(error)) => {
            tracing::error!(%error, "no token could be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

enum Failure {
    Refused(Refusal),
    Ours(issue::IssueError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The client first, then the resource: who is not authenticated learns nothing about resources.
async fn grant(state: &State, asked: Asked) -> Result<Minted, Failure> {
    crate::federation::authenticate(state, asked.tenant, &asked.app, &asked.assertion).await?;
    let Some(audience) = asked.audience else {
        return Err(Refusal::ResourceUnknown { resource: asked.resource, tenant: asked.tenant }.into());
    };
    let holds_a_role = asked.app.app_roles.get(&audience.client_id).is_some_and(|roles| !roles.is_empty());
    if audience.assignment_required && !holds_a_role {
        let app = asked.app.client_id.to_string();
        return Err(Refusal::NotAssigned { app, resource: audience.client_id.to_string() }.into());
    }
    let minted = issue::app_only(state, asked.tenant, &asked.app, &audience).map_err(Failure::Ours)?;
    state.requests.issued.to(asked.app.client_id);
    state.requests.texts.exchanged(&asked.assertion, &minted.access_token);
    tracing::info!(client = %asked.app.client_id, resource = %audience.name, "token minted");
    Ok(minted)
}

fn find_tenant<'a>(directory: &'a Directory, tenant: &str) -> Result<&'a Tenant, Refusal> {
    if matches!(tenant, "common" | "organizations" | "consumers") {
        return Err(Refusal::TenantUnspecific);
    }
    let id = tenant.parse().ok();
    id.and_then(|id| directory.tenant(id)).ok_or_else(|| Refusal::TenantUnknown(tenant.to_owned()))
}

/// By client id alone; names and object ids are for the test API.
fn find_app<'a>(tenant: &'a Tenant, client_id: &str) -> Result<&'a App, Refusal> {
    let id = client_id.parse::<Guid>().ok();
    let unknown = || Refusal::AppUnknown { app: client_id.to_owned(), tenant: tenant.id };
    tenant.apps.iter().find(|app| Some(app.client_id) == id).ok_or_else(unknown)
}

/// The one resource that `scope` names. A percent sign is left only in what was encoded twice.
fn resource(scope: &str) -> Result<String, Refusal> {
    let not_default = || Refusal::ScopeNotDefault(scope.to_owned());
    let mut resources = Vec::new();
    for part in scope.split(' ').filter(|part| !part.is_empty()) {
        let resource = part.strip_suffix("/.default").filter(|resource| !resource.is_empty());
        resources.push(resource.filter(|resource| !resource.contains('%')).ok_or_else(not_default)?);
    }
    match resources.as_slice() {
        [] => Err(not_default()),
        [resource] => Ok((*resource).to_owned()),
        _ => Err(Refusal::ScopeOfManyResources),
    }
}
