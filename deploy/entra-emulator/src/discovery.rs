//! The documents that anybody may read: OpenID configuration of version 1 and 2, per tenant and as the
//! tenant-independent template, and the key set (Microsoft identity platform docs: OpenID Connect, signing key rollover).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::faults::Endpoint;
use crate::keys::CONSUMERS;
use crate::state::State;
use crate::token_endpoint::{Refusal, refuse};

pub(crate) async fn v2(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    document(&state, &tenant, &headers, configuration_v2).await
}

pub(crate) async fn v1(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    document(&state, &tenant, &headers, configuration_v1).await
}

pub(crate) async fn keys(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    state.requests.jwks.one();
    if let Some(response) = state.faults.strike(Endpoint::Jwks).await.and_then(|fault| fault.response()) {
        return response;
    }
    if resolve(&state, &tenant).is_none() {
        return refuse(&state, &headers, &Refusal::TenantUnknown(tenant));
    }
    Json(state.keys(|ring| ring.jwks(&state.authority))).into_response()
}

/// A tenant as the path names it and as its issuer does.
struct Named {
    path: String,
    issuer: String,
}

async fn document(
    state: &State,
    tenant: &str,
    headers: &HeaderMap,
    write: fn(&State, &Named) -> Value,
) -> Response {
    state.requests.discovery.one();
    if let Some(response) = state.faults.strike(Endpoint::Discovery).await.and_then(|fault| fault.response())
    {
        return response;
    }
    match resolve(state, tenant) {
        Some(named) => Json(write(state, &named)).into_response(),
        None => refuse(state, headers, &Refusal::TenantUnknown(tenant.to_owned())),
    }
}

fn resolve(state: &State, tenant: &str) -> Option<Named> {
    let named = |path: &str, issuer: &str| Some(Named { path: path.to_owned(), issuer: issuer.to_owned() });
    match tenant {
        "common" | "organizations" => named(tenant, "{tenantid}"),
        "consumers" => named(tenant, &CONSUMERS.to_string()),
        _ => {
            let id = state.directory().tenant(tenant.parse().ok()?)?.id.to_string();
            named(&id, &id)
        }
    }
}

fn configuration_v2(state: &State, tenant: &Named) -> Value {
    let base = format!("{}/{}", state.authority, tenant.path);
    json!({
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": state.issuer_v2(&tenant.issuer),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name",
            "tid", "ver", "at_hash", "c_hash", "email",
        ],
    })
}

fn configuration_v1(state: &State, tenant: &Named) -> Value {
    let base = format!("{}/{}", state.authority, tenant.path);
    json!({
        "token_endpoint": format!("{base}/oauth2/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/discovery/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "token id_token", "token"],
        "scopes_supported": ["openid"],
        "issuer": state.issuer_v1(&tenant.issuer),
        "authorization_endpoint": format!("{base}/oauth2/authorize"),
        "end_session_endpoint": format!("{base}/oauth2/logout"),
    })
}
