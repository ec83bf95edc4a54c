//! Client assertions of other issuers (Microsoft Entra docs: workload identity federation). An assertion is believed
//! if a federated credential of the application has exactly its issuer, subject and audience, and if the issuer's own
//! documents, fetched over HTTP, hold the RSA key that signed it with RS256.

use serde_json::Value;

use crate::directory::{App, FederatedCredential};
use crate::guid::Guid;
use crate::jwt::Jwt;
use crate::state::{State, now};
use crate::token_endpoint::{Claim, Refusal};

mod issuer_keys;

pub(crate) use self::issuer_keys::IssuerKeys;
pub use self::issuer_keys::IssuerKeysError;
use self::issuer_keys::Unobtainable;

/// Decides whether the bearer of `assertion` may act as `app`. No clock skew is allowed.
pub(crate) async fn authenticate(
    state: &State,
    tenant: Guid,
    app: &App,
    assertion: &str,
) -> Result<(), Refusal> {
    let jwt = Jwt::parse(assertion).ok_or(Refusal::AssertionMalformed)?;
    let claims = Presented::read(&jwt)?;
    if is_certificate_assertion(&claims, app) {
        return Err(Refusal::CertificateUnknown);
    }
    if jwt.alg() != "RS256" {
        return Err(Refusal::AlgorithmUnsupported(jwt.alg().to_owned()));
    }
    if [state.issuer_v1(tenant), state.issuer_v2(tenant)].iter().any(|own| own == claims.issuer) {
        return Err(Refusal::EntraToken);
    }
    find_match(app, &claims)?;
    within_time(&jwt, now())?;
    let kid = jwt.kid().ok_or(Refusal::SignatureInvalid)?;
    let key = state.issuers.find(claims.issuer, kid).await.map_err(|fault| match fault {
        Unobtainable::Unreachable => Refusal::IssuerUnreachable,
        Unobtainable::Document => Refusal::IssuerDocument,
    })?;
    match key {
        Some(key) if jwt.is_signed_by(&key.modulus, &key.exponent) => Ok(()),
        _ => Err(Refusal::SignatureInvalid),
    }
}

/// The claims that the trust is about.
struct Presented<'a> {
    issuer: &'a str,
    subject: &'a str,
    audience: &'a str,
}

impl<'a> Presented<'a> {
    fn read(jwt: &'a Jwt) -> Result<Self, Refusal> {
        let text = |claim| jwt.text(claim).ok_or(Refusal::AssertionMalformed);
        Ok(Self { issuer: text("iss")?, subject: text("sub")?, audience: one_audience(jwt)? })
    }
}

/// Exactly one audience, as text or as a list of one.
fn one_audience(jwt: &Jwt) -> Result<&str, Refusal> {
    match jwt.claims.get("aud") {
        Some(Value::String(audience)) => Ok(audience),
        Some(Value::Array(list)) => match list.as_slice() {
            [Value::String(audience)] => Ok(audience),
            _ => Err(Refusal::AssertionMalformed),
        },
        _ => Err(Refusal::AssertionMalformed),
    }
}

/// An assertion that the application made itself is signed with a certificate; none is registered here.
fn is_certificate_assertion(claims: &Presented<'_>, app: &App) -> bool {
    claims.issuer.parse() == Ok(app.client_id)
}

/// Issuer, then subject, then audience, each exactly. The first that fits none is what the refusal names.
fn find_match(app: &App, claims: &Presented<'_>) -> Result<(), Refusal> {
    if app.federated_credentials.is_empty() {
        return Err(Refusal::NoFederation(app.client_id.to_string()));
    }
    let all: Vec<_> = app.federated_credentials.iter().collect();
    let by_issuer = narrow(all, Claim::Issuer, claims.issuer, |credential| &credential.issuer)?;
    let by_subject = narrow(by_issuer, Claim::Subject, claims.subject, |credential| &credential.subject)?;
    narrow(by_subject, Claim::Audience, claims.audience, |credential| &credential.audience).map(|_| ())
}

fn narrow<'a>(
    credentials: Vec<&'a FederatedCredential>,
    claim: Claim,
    presented: &str,
    field: fn(&FederatedCredential) -> &String,
) -> Result<Vec<&'a FederatedCredential>, Refusal> {
    let case_differs = credentials.iter().any(|credential| field(credential).eq_ignore_ascii_case(presented));
    let exact: Vec<_> = credentials.into_iter().filter(|credential| field(credential) == presented).collect();
    match (exact.is_empty(), case_differs) {
        (false, _) => Ok(exact),
        (true, true) => Err(Refusal::CaseDiffers { claim, presented: presented.to_owned() }),
        (true, false) => Err(Refusal::NoMatch { claim, presented: presented.to_owned() }),
    }
}

/// `nbf <= now < exp`; `exp` must be there, `nbf` may be missing but not be something else than a time.
fn within_time(jwt: &Jwt, now: i64) -> Result<(), Refusal> {
    let expires = jwt.seconds("exp").ok_or(Refusal::AssertionMalformed)?;
    let not_before = jwt.seconds("nbf");
    if not_before.is_none() && jwt.claims.contains_key("nbf") {
        return Err(Refusal::AssertionMalformed);
    }
    if now >= expires || not_before.is_some_and(|start| now < start) {
        return Err(Refusal::AssertionOutOfTime { now, not_before, expires });
    }
    Ok(())
}
