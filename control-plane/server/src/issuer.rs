//! The issuer's two public documents, over plain GET.

use axum::{Json, Router, routing::get};
use countersign_core::Issuer;

/// Routes of the issuer. Whoever asks may know both documents.
pub(crate) fn routes(issuer: &Issuer) -> Router {
    let (discovery, jwks) = (issuer.discovery(), issuer.jwks());
    Router::new()
        .route(Issuer::DISCOVERY_PATH, get(async move || Json(discovery.clone())))
        .route(Issuer::JWKS_PATH, get(async move || Json(jwks.clone())))
}
