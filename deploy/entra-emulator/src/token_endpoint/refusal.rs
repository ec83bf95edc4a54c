//! The refusals of the token endpoint and their exact wire form: status, `error`, code and text (Microsoft identity
//! platform docs: error codes). Clients branch on `error` alone; the codes are here because people read them.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use time::OffsetDateTime;

use crate::guid::Guid;
use crate::state::State;

const FEDERATION_DOCS: &str = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

/// Why no token was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotPost(String),
    Missing(&'static str),
    Duplicated(String),
    ResourceParameter,
    UnsupportedGrant,
    TenantUnknown(String),
    TenantUnspecific,
    AppUnknown {
        app: String,
        tenant: Guid,
    },
    CredentialMissing,
    SecretRefused(String),
    ScopeNotDefault(String),
    ScopeOfManyResources,
    ResourceUnknown {
        resource: String,
        tenant: Guid,
    },
    NotAssigned {
        app: String,
        resource: String,
    },
    AssertionMalformed,
    AlgorithmUnsupported(String),
    AssertionOutOfTime {
        now: i64,
        not_before: Option<i64>,
        expires: i64,
    },
    CertificateUnknown,
    SignatureInvalid,
    EntraToken,
    NoFederation(String),
    /// A claim of the assertion that no federated credential has.
    NoMatch {
        claim: Claim,
        presented: String,
    },
    /// The same, but only the case of letters differs.
    CaseDiffers {
        claim: Claim,
        presented: String,
    },
    IssuerUnreachable,
    IssuerDocument,
    /// Asked for by a test.
    Injected(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Issuer,
    Subject,
    Audience,
}

impl Claim {
    fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::Audience => "audience",
        }
    }
}

impl Refusal {
    pub(crate) fn code(&self) -> u32 {
        match self {
            Self::NotPost(_) => 900_561,
            Self::Missing(_) => 900_144,
            Self::Duplicated(_) => 9_000_411,
            Self::ResourceParameter => 901_002,
            Self::UnsupportedGrant => 70_003,
            Self::TenantUnknown(_) => 90_002,
            Self::TenantUnspecific => 9_001_023,
            Self::AppUnknown { .. } => 700_016,
            Self::CredentialMissing => 7_000_218,
            Self::SecretRefused(_) => 7_000_215,
            Self::ScopeNotDefault(_) => 1_002_012,
            Self::ScopeOfManyResources => 700_022,
            Self::ResourceUnknown { .. } => 500_011,
            Self::NotAssigned { .. } => 501_051,
            Self::AssertionMalformed => 50_027,
            Self::AlgorithmUnsupported(_) => 5_002_738,
            Self::AssertionOutOfTime { .. } => 700_024,
            Self::CertificateUnknown | Self::SignatureInvalid => 700_027,
            Self::EntraToken => 700_222,
            Self::NoFederation(_) => 70_025,
            Self::NoMatch { claim: Claim::Issuer, .. } => 700_211,
            Self::NoMatch { claim: Claim::Audience, .. } => 700_212,
            Self::NoMatch { claim: Claim::Subject, .. } => 700_213,
            Self::CaseDiffers { .. } => 7_002_138,
            Self::IssuerUnreachable => 90_061,
            Self::IssuerDocument => 501_661,
            Self::Injected(code) => *code,
        }
    }

    /// The OAuth error, by code, so that an injected code looks like the real one.
    pub(crate) fn error(&self) -> &'static str {
        match self.code() {
            7_000_215 | 7_000_218 | 7_000_222 | 700_024 | 700_027 | 700_222 | 70_025 | 700_211 | 700_212
            | 700_213 | 7_002_138 | 7_002_137 => "invalid_client",
            700_016 | 7_000_112 => "unauthorized_client",
            70_011 | 1_002_012 | 700_022 => "invalid_scope",
            500_011 | 50_001 => "invalid_resource",
            501_051 => "invalid_grant",
            70_003 => "unsupported_grant_type",
            90_006 | 90_012 | 90_024 | 90_033 | 90_090 => "temporarily_unavailable",
            _ => "invalid_request",
        }
    }

    /// 401 for `invalid_client`, 503 where trying again is meant to help, else 400.
    pub(crate) fn status(&self) -> StatusCode {
        match self.error() {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::NotPost(method) => {
                format!("The endpoint only accepts POST, OPTIONS requests. Received a {method} request.")
            }
            Self::Missing(name) => {
                format!("The request body must contain the following parameter: '{name}'.")
            }
            Self::Duplicated(name) => {
                format!("The request is not properly formatted. The parameter '{name}' is duplicated.")
            }
            Self::ResourceParameter => "The 'resource' request parameter is not supported.".to_owned(),
            Self::UnsupportedGrant => "The app requested an unsupported grant type.".to_owned(),
            Self::TenantUnknown(tenant) => format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing \
                 into the correct cloud."
            ),
            Self::TenantUnspecific => {
                "The grant type is not supported over the /common or /consumers endpoints. \
                 Please use the tenant-specific endpoint."
                    .to_owned()
            }
            Self::AppUnknown { app, tenant } => {
                format!("Application with identifier '{app}' was not found in the directory '{tenant}'.")
            }
            Self::CredentialMissing => {
                "The request body must contain the following parameter: 'client_assertion' \
                 or 'client_secret'."
                    .to_owned()
            }
            Self::SecretRefused(app) => format!("Invalid client secret provided for app '{app}'."),
            Self::ScopeNotDefault(scope) => format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value \
                 with /.default suffixed to the resource identifier (application ID URI)."
            ),
            Self::ScopeOfManyResources => {
                "The provided value for the input parameter scope is not valid because it \
                 contains more than one resource."
                    .to_owned()
            }
            Self::ResourceUnknown { resource, tenant } => {
                format!("The resource principal named {resource} was not found in the tenant named {tenant}.")
            }
            Self::NotAssigned { app, resource } => {
                format!("Application '{app}' is not assigned to a role for the application '{resource}'.")
            }
            _ => self.assertion_text(),
        }
    }

    /// The texts about what the assertion says.
    fn assertion_text(&self) -> String {
        match self {
            Self::AlgorithmUnsupported(alg) => format!(
                "Invalid JWT token. '{alg}' is not a supported signature algorithm. Supported signing algorithms \
                 are: 'RS256'"
            ),
            Self::AssertionOutOfTime { now, not_before, expires } => format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, \
                 expiry time of assertion {}.",
                timestamp(*now),
                not_before.map_or_else(|| "(not given)".to_owned(), timestamp),
                timestamp(*expires)
            ),
            Self::CertificateUnknown => {
                "The certificate with identifier used to sign the client assertion is not \
                 registered on application."
                    .to_owned()
            }
            Self::SignatureInvalid => "Client assertion failed signature validation.".to_owned(),
            Self::EntraToken => {
                "Entra-issued tokens may not be used for federated identity flows.".to_owned()
            }
            Self::NoFederation(app) => {
                format!("The client '{app}' has no configured federated identity credentials.")
            }
            Self::NoMatch { claim, presented } => format!(
                "No matching federated identity record found for presented assertion {} '{presented}'. Check your \
                 federated identity credential Subject, Audience and Issuer against the presented assertion. \
                 {FEDERATION_DOCS}",
                claim.name()
            ),
            Self::CaseDiffers { claim, presented } => format!(
                "No matching federated identity record found for presented assertion {} '{presented}'. It matches \
                 with case-insensitive comparison, but not with case-sensitive comparison. {FEDERATION_DOCS}",
                claim.name()
            ),
            Self::IssuerUnreachable | Self::IssuerDocument => {
                "Request to External OIDC endpoint failed.".to_owned()
            }
            Self::Injected(_) => "Asked for by a test.".to_owned(),
            _ => "The JWT token is invalid or malformed.".to_owned(),
        }
    }
}

/// The error response. Correlation id: the caller's `client-request-id` if that is a GUID.
pub(crate) fn refuse(state: &State, headers: &HeaderMap, refusal: &Refusal) -> Response {
    let (code, trace) = (refusal.code(), Guid::random());
    let correlation = headers.get("client-request-id").and_then(|value| value.to_str().ok());
    let correlation = correlation.and_then(|id| id.parse().ok()).unwrap_or_else(Guid::random);
    let at = timestamp(crate::state::now());
    tracing::info!(code, error = refusal.error(), %trace, "request refused");
    let body = json!({
        "error": refusal.error(),
        "error_description": format!(
            "AADSTS{code}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {at}",
            refusal.text()
        ),
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("{}/error?code={code}", state.authority),
    });
    let mut response = (refusal.status(), Json(body)).into_response();
    never_stored(response.headers_mut());
    response
}

/// Token responses and refusals are not for caches (RFC 6749 §5.1).
pub(crate) fn never_stored(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// `2016-01-09 02:02:12Z`.
fn timestamp(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_entra_writes_it() {
        assert_eq!(timestamp(1_452_304_932), "2016-01-09 02:02:12Z");
    }

    #[test]
    fn injected_codes_look_like_the_real_ones() {
        assert_eq!(Refusal::Injected(700_213).status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Refusal::Injected(90_033).error(), "temporarily_unavailable");
        assert_eq!(Refusal::Injected(500_011).status(), StatusCode::BAD_REQUEST);
    }
}
