//! `/emulator/…`: what only a test double has, and no Entra. It issues and signs anything for anybody who can reach
//! it, so the emulator listens on loopback alone. Requests and answers are in the crate's README.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::directory::{App, DirectoryError, FederatedCredential, PostgresServer, User};
use crate::faults::Fault;
use crate::guid::Guid;
use crate::issue::{self, IssueError, TokenRequest};
use crate::keys::{KeyError, KeyName};
use crate::state::State;

#[cfg(test)]
mod tests;

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/tokens", post(tokens))
        .route("/sign", post(sign))
        .route("/keys", get(keys))
        .route("/keys/rotate", post(rotate))
        .route("/keys/retire", post(retire))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/requests", get(requests))
        .route("/exchanged", get(exchanged))
        .route("/directory", get(directory))
        .route("/apps", put(put_app).delete(delete_app))
        .route("/users", put(put_user).delete(delete_user))
        .route("/federated-credentials", put(put_federated_credentials))
        .route("/postgres-roles", get(postgres_roles).put(put_postgres_roles))
        .layer(from_fn(no_browsers))
}

/// A page open on this machine must not mint tokens through its reader's browser: browsers send `Origin` with every
/// request that changes something.
async fn no_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

type Answer = Result<Json<Value>, Fault400>;

/// The request made no sense; the text says why.
struct Fault400(String);

impl axum::response::IntoResponse for Fault400 {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

impl From<DirectoryError> for Fault400 {
    fn from(error: DirectoryError) -> Self {
        Self(error.to_string())
    }
}

impl From<IssueError> for Fault400 {
    fn from(error: IssueError) -> Self {
        Self(error.to_string())
    }
}

impl From<KeyError> for Fault400 {
    fn from(error: KeyError) -> Self {
        Self(error.to_string())
    }
}

/// The body as JSON; an empty one is `{}`. The content type is not looked at.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Fault400> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Fault400(error.to_string()))
}

async fn tokens(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let request: TokenRequest = read(&body)?;
    Ok(Json(json!({ "access_token": issue::on_request(&state, &request)? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    /// Raw text, signed byte for byte.
    header: String,
    payload: String,
    key: KeyName,
}

async fn sign(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let Sign { header, payload, key } = read(&body)?;
    Ok(Json(json!({ "access_token": issue::raw(&state, &header, &payload, key)? })))
}

async fn keys(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.keys(|ring| ring.kids()))
}

async fn rotate(Shared(state): Shared<Arc<State>>) -> Answer {
    let kids = state.change_keys(|ring, fresh| {
        ring.rotate(fresh);
        ring.kids()
    });
    Ok(Json(kids.await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retire {
    #[serde(default)]
    kid: Option<String>,
}

async fn retire(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let Retire { kid } = read(&body)?;
    let kids = state
        .change_keys(move |ring, fresh| ring.retire(kid.as_deref(), fresh).then(|| ring.kids()))
        .await?
        .ok_or_else(|| Fault400("no such key is published, or it cannot be retired".to_owned()))?;
    Ok(Json(kids))
}

async fn add_fault(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let fault: Fault = read(&body)?;
    state.faults.add(fault).map_err(|reason| Fault400(reason.to_owned()))?;
    Ok(Json(json!({})))
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    state.faults.clear();
    Json(json!({}))
}

async fn requests(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(state.requests.to_json())
}

async fn exchanged(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({ "exchanged": state.requests.texts.to_json() }))
}

async fn directory(Shared(state): Shared<Arc<State>>) -> Response {
    Json(state.directory().as_ref()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutApp {
    #[serde(default)]
    tenant: Option<Guid>,
    app: App,
}

async fn put_app(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let PutApp { tenant, app } = read(&body)?;
    state.edit(|directory| {
        directory.tenant_mut(tenant)?.put_app(app);
        Ok(())
    })?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteApp {
    #[serde(default)]
    tenant: Option<Guid>,
    client_id: Guid,
}

async fn delete_app(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let DeleteApp { tenant, client_id } = read(&body)?;
    state.edit(|directory| {
        let apps = &mut directory.tenant_mut(tenant)?.apps;
        let place = apps.iter().position(|app| app.client_id == client_id);
        apps.remove(place.ok_or(DirectoryError::NoPrincipal)?);
        Ok(())
    })?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutUser {
    #[serde(default)]
    tenant: Option<Guid>,
    user: User,
}

async fn put_user(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let PutUser { tenant, user } = read(&body)?;
    state.edit(|directory| {
        directory.tenant_mut(tenant)?.put_user(user);
        Ok(())
    })?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteUser {
    #[serde(default)]
    tenant: Option<Guid>,
    oid: Guid,
}

async fn delete_user(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let DeleteUser { tenant, oid } = read(&body)?;
    state.edit(|directory| {
        let users = &mut directory.tenant_mut(tenant)?.users;
        let place = users.iter().position(|user| user.oid == oid);
        users.remove(place.ok_or(DirectoryError::NoPrincipal)?);
        Ok(())
    })?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutFederatedCredentials {
    #[serde(default)]
    tenant: Option<Guid>,
    client_id: Guid,
    federated_credentials: Vec<FederatedCredential>,
}

async fn put_federated_credentials(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let PutFederatedCredentials { tenant, client_id, federated_credentials } = read(&body)?;
    state.edit(|directory| {
        directory.tenant_mut(tenant)?.set_federated_credentials(client_id, federated_credentials)
    })?;
    Ok(Json(json!({})))
}

async fn postgres_roles(Shared(state): Shared<Arc<State>>) -> Response {
    Json(json!(state.directory().postgres)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutPostgresRoles {
    /// Stays what it was, or becomes the first tenant, unless named.
    #[serde(default)]
    tenant: Option<Guid>,
    roles: BTreeMap<String, Guid>,
}

async fn put_postgres_roles(Shared(state): Shared<Arc<State>>, body: Bytes) -> Answer {
    let PutPostgresRoles { tenant, roles } = read(&body)?;
    state.edit(|directory| {
        let known = directory.postgres.as_ref().map(|server| server.tenant);
        let tenant = directory.tenant_mut(tenant.or(known))?.id;
        directory.postgres = Some(PostgresServer { tenant, roles });
        Ok(())
    })?;
    Ok(Json(json!({})))
}
