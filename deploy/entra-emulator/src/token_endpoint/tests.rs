use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::ASSERTION_TYPE;
use crate::development::DevelopmentIds;
use crate::directory::{OSSRDBMS, Resource, TokenVersion};
use crate::testing::{Certificate, Issuer, emulator};
use crate::{Guid, Running};

const SUBJECT: &str = "cs:dev:target:shop:standing";

/// An emulator, the issuer that it trusts, and a client.
struct Scene {
    running: Running,
    ids: DevelopmentIds,
    issuer: Issuer,
    client: reqwest::Client,
    _certificate: Certificate,
}

impl Scene {
    async fn set() -> Self {
        Self::with_claimed_issuer(None).await
    }

    async fn with_claimed_issuer(claimed: Option<&str>) -> Self {
        let certificate = Certificate::make();
        let issuer = Issuer::start(&certificate, claimed).await;
        let (running, ids) = emulator(&issuer.url, vec![certificate.root()]).await;
        Self { running, ids, issuer, client: reqwest::Client::new(), _certificate: certificate }
    }

    fn url(&self, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.running.url)
    }

    fn client_id(&self) -> String {
        self.ids.identities["shop-standing"].client_id.to_string()
    }

    /// The parameters of a good request.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.client_id()),
            ("scope", format!("{OSSRDBMS}/.default")),
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", self.issuer.assertion(SUBJECT, |_, _| {})),
        ]
    }

    /// A good request with some parameters replaced, added, or (with an empty value) left out.
    async fn ask(&self, changes: &[(&'static str, &str)]) -> (StatusCode, Value) {
        let mut parameters = self.parameters();
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            if !value.is_empty() {
                parameters.push((name, (*value).to_owned()));
            }
        }
        self.send(self.client.post(self.url(&self.ids.tenant.to_string())).form(&parameters)).await
    }

    async fn ask_with(&self, assertion: &str) -> (StatusCode, Value) {
        self.ask(&[("client_assertion", assertion)]).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (StatusCode, Value) {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store, no-cache");
        (response.status(), response.json().await.unwrap())
    }

    async fn bent(&self, change: impl FnOnce(&mut Header, &mut Value)) -> (StatusCode, Value) {
        self.ask_with(&self.issuer.assertion(SUBJECT, change)).await
    }
}

#[track_caller]
fn refused((status, body): (StatusCode, Value), expected: u16, error: &str, code: u32) {
    assert_eq!(
        (status.as_u16(), &body["error"], &body["error_codes"]),
        (expected, &json!(error), &json!([code]))
    );
    let members: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let exact =
        ["correlation_id", "error", "error_codes", "error_description", "error_uri", "timestamp", "trace_id"];
    assert_eq!(members, BTreeSet::from(exact));
    let text = body["error_description"].as_str().unwrap();
    assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
    assert!(text.contains(&format!(
        "\r\nTrace ID: {}\r\nCorrelation ID: {}\r\nTimestamp: {}",
        body["trace_id"].as_str().unwrap(),
        body["correlation_id"].as_str().unwrap(),
        body["timestamp"].as_str().unwrap()
    )));
    assert!(body["error_uri"].as_str().unwrap().ends_with(&format!("/error?code={code}")));
}

#[tokio::test]
async fn a_federated_assertion_gets_a_token_of_the_resources_version() {
    let scene = Scene::set().await;
    let (status, body) = scene.ask(&[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let members: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["access_token", "expires_in", "ext_expires_in", "token_type"]));
    assert_eq!(body["token_type"], "Bearer");
    assert!((3600..=5400).contains(&body["expires_in"].as_i64().unwrap()));
    let token = body["access_token"].as_str().unwrap();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
    assert_eq!((&claims["ver"], &claims["aud"]), (&json!("1.0"), &json!(OSSRDBMS)));
    assert_eq!(claims["iss"], format!("{}/{}/", scene.running.url, scene.ids.tenant));
    assert_eq!(claims["appid"], scene.client_id());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), body["expires_in"]);

    let scope = format!("{}/.default", scene.ids.gateway);
    let (status, body) = scene.ask(&[("scope", &scope)]).await;
    assert_eq!(status, StatusCode::OK);
    let token = body["access_token"].as_str().unwrap();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
    assert_eq!((&claims["ver"], &claims["azp"]), (&json!("2.0"), &json!(scene.client_id())));
    assert_eq!(scene.issuer.fetches(), 1, "keys are kept for a minute");

    let (status, _) = scene.ask(&[("scope", "nothing")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let counted = reqwest::get(format!("{}/emulator/requests", scene.running.url)).await.unwrap();
    let counted: Value = counted.json().await.unwrap();
    let issued = counted["issued"].as_array().unwrap();
    assert_eq!(issued.len(), 2, "what was refused issued nothing: {counted}");
    assert!(issued.iter().all(|token| token["client_id"] == scene.client_id()), "{counted}");
    let texts = reqwest::get(format!("{}/emulator/exchanged", scene.running.url)).await.unwrap();
    let texts: Value = texts.json().await.unwrap();
    assert_eq!(texts["exchanged"].as_array().map(Vec::len), Some(2), "{texts}");
    assert_eq!(texts["exchanged"][1]["access_token"], token, "in order");
}

#[tokio::test]
async fn requests_out_of_form_are_refused_with_entras_codes() {
    let scene = Scene::set().await;
    let tenant = scene.ids.tenant.to_string();
    let request = "invalid_request";
    refused(scene.send(scene.client.get(scene.url(&tenant))).await, 400, request, 900_561);
    for missing in ["grant_type", "client_id", "scope"] {
        let answer = scene.ask(&[(missing, "")]).await;
        assert!(answer.1["error_description"].as_str().unwrap().contains(&format!("'{missing}'")));
        refused(answer, 400, request, 900_144);
    }
    let json = scene.client.post(scene.url(&tenant)).json(&json!({"grant_type": "client_credentials"}));
    refused(scene.send(json).await, 400, request, 900_144);
    let mut twice = scene.parameters();
    twice.push(("client_id", scene.client_id()));
    refused(scene.send(scene.client.post(scene.url(&tenant)).form(&twice)).await, 400, request, 9_000_411);
    refused(scene.ask(&[("resource", OSSRDBMS)]).await, 400, request, 901_002);
    refused(scene.ask(&[("grant_type", "password")]).await, 400, "unsupported_grant_type", 70_003);
    let oversized = scene.client.post(scene.url(&tenant)).body("a".repeat(super::MAX_BODY + 1)).send().await;
    assert_eq!(oversized.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn tenants_and_applications_must_exist() {
    let scene = Scene::set().await;
    let at = |tenant: &str| scene.client.post(scene.url(tenant)).form(&scene.parameters());
    refused(scene.send(at("contoso.example")).await, 400, "invalid_request", 90_002);
    refused(scene.send(at(&Guid::named("other").to_string())).await, 400, "invalid_request", 90_002);
    for tenant in ["common", "organizations", "consumers"] {
        refused(scene.send(at(tenant)).await, 400, "invalid_request", 9_001_023);
    }
    for client in ["shop-standing", &Guid::named("other").to_string()] {
        refused(scene.ask(&[("client_id", client)]).await, 400, "unauthorized_client", 700_016);
    }
    let correlation = Guid::random();
    let traced = at("contoso.example").header("client-request-id", correlation.to_string());
    assert_eq!(scene.send(traced).await.1["correlation_id"], correlation.to_string());
}

#[tokio::test]
async fn no_secret_is_ever_taken() {
    let scene = Scene::set().await;
    let client = "invalid_client";
    refused(scene.ask(&[("client_assertion", ""), ("client_secret", "x")]).await, 401, client, 7_000_215);
    refused(scene.ask(&[("client_secret", "x")]).await, 401, client, 7_000_215);
    let url = scene.url(&scene.ids.tenant.to_string());
    let basic = scene.client.post(url).form(&scene.parameters()).basic_auth(scene.client_id(), Some("x"));
    refused(scene.send(basic).await, 401, client, 7_000_215);
    refused(scene.ask(&[("client_assertion", "")]).await, 401, client, 7_000_218);
    refused(scene.ask(&[("client_assertion_type", "")]).await, 401, client, 7_000_218);
    let doubly = ASSERTION_TYPE.replace(':', "%3A");
    refused(scene.ask(&[("client_assertion_type", &doubly)]).await, 401, client, 7_000_218);
}

#[tokio::test]
async fn scopes_name_exactly_one_known_resource() {
    let scene = Scene::set().await;
    let scope = |scope: &'static str| [("scope", scope)];
    for wrong in [
        OSSRDBMS,
        "/.default",
        "https://ossrdbms-aad.database.windows.net/read",
        "https%3A%2F%2Fossrdbms-aad.database.windows.net%2F.default",
        "https%3A%2F%2Fossrdbms-aad.database.windows.net/.default",
    ] {
        refused(scene.ask(&scope(wrong)).await, 400, "invalid_scope", 1_002_012);
    }
    let two = "https://a.example/.default https://b.example/.default";
    refused(scene.ask(&scope(two)).await, 400, "invalid_scope", 700_022);
    refused(scene.ask(&scope("https://unknown.example/.default")).await, 400, "invalid_resource", 500_011);
}

#[tokio::test]
async fn a_resource_may_require_an_assignment() {
    let scene = Scene::set().await;
    let gateway = scene.ids.gateway;
    let assign = |roles: &'static [&'static str]| {
        scene.running.edit(|directory| {
            for app in &mut directory.tenant_mut(None)?.apps {
                if app.client_id == gateway {
                    app.resource = Some(Resource {
                        access_token_version: TokenVersion::V2,
                        identifier_uris: Vec::new(),
                        app_role_assignment_required: true,
                    });
                }
                if app.name == "shop-standing" {
                    app.app_roles = [(gateway, roles.iter().map(|role| (*role).to_owned()).collect())].into();
                }
            }
            Ok(())
        })
    };
    let scope = format!("{gateway}/.default");
    assign(&[]).unwrap();
    refused(scene.ask(&[("scope", &scope)]).await, 400, "invalid_grant", 501_051);
    assign(&["agent"]).unwrap();
    let (status, body) = scene.ask(&[("scope", &scope)]).await;
    assert_eq!(status, StatusCode::OK);
    let claims: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["roles"], json!(["agent"]));
}

#[tokio::test]
async fn issuer_subject_and_audience_are_compared_exactly() {
    let scene = Scene::set().await;
    let client = "invalid_client";
    let issuer = format!("{}/", scene.issuer.url);
    refused(scene.bent(|_, claims| claims["iss"] = json!(issuer)).await, 401, client, 700_211);
    let subject = "cs:dev:target:shop:approved";
    let answer = scene.bent(|_, claims| claims["sub"] = json!(subject)).await;
    assert!(answer.1["error_description"].as_str().unwrap().contains(
        "No matching federated identity record found for presented assertion subject 'cs:dev:target:shop:approved'."
    ));
    refused(answer, 401, client, 700_213);
    refused(scene.bent(|_, claims| claims["aud"] = json!("api://other")).await, 401, client, 700_212);
    let shouted = SUBJECT.to_uppercase();
    refused(scene.bent(|_, claims| claims["sub"] = json!(shouted)).await, 401, client, 7_002_138);
    let two = json!(["api://AzureADTokenExchange", "api://other"]);
    refused(scene.bent(|_, claims| claims["aud"] = two).await, 400, "invalid_request", 50_027);
    assert_eq!(scene.issuer.fetches(), 0, "an issuer is asked only once its assertion fits");
    let one = json!(["api://AzureADTokenExchange"]);
    assert_eq!(scene.bent(|_, claims| claims["aud"] = one).await.0, StatusCode::OK);
    let reader = scene.ids.agents["reader"].client_id.to_string();
    refused(scene.ask(&[("client_id", &reader)]).await, 401, client, 700_213);
    let without_any = scene.ids.gateway.to_string();
    refused(scene.ask(&[("client_id", &without_any)]).await, 401, client, 70_025);
}

#[tokio::test]
async fn assertions_are_rs256_in_time_and_of_another_issuer() {
    let scene = Scene::set().await;
    let (client, now) = ("invalid_client", crate::state::now());
    for alg in [Algorithm::PS256, Algorithm::RS384] {
        refused(scene.bent(|header, _| header.alg = alg).await, 400, "invalid_request", 5_002_738);
    }
    let hs256 = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &json!({"iss": scene.issuer.url, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": now + 60}),
        &EncodingKey::from_secret(b"public key"),
    );
    refused(scene.ask_with(&hs256.unwrap()).await, 400, "invalid_request", 5_002_738);
    refused(scene.bent(|_, claims| claims["exp"] = json!(now - 1)).await, 401, client, 700_024);
    refused(scene.bent(|_, claims| claims["nbf"] = json!(now + 60)).await, 401, client, 700_024);
    let own = format!("{}/{}/v2.0", scene.running.url, scene.ids.tenant);
    refused(scene.bent(|_, claims| claims["iss"] = json!(own)).await, 401, client, 700_222);
    let app = scene.client_id();
    refused(scene.bent(|_, claims| claims["iss"] = json!(app)).await, 401, client, 700_027);
    for missing in ["iss", "sub", "aud", "exp"] {
        let answer = scene.bent(|_, claims| {
            claims.as_object_mut().unwrap().remove(missing);
        });
        refused(answer.await, 400, "invalid_request", 50_027);
    }
    refused(scene.ask_with("a.b").await, 400, "invalid_request", 50_027);
}

#[tokio::test]
async fn only_the_issuers_published_key_counts() {
    let scene = Scene::set().await;
    let unknown = |header: &mut Header| header.kid = Some("unknown".to_owned());
    refused(scene.bent(|header, _| unknown(header)).await, 401, "invalid_client", 700_027);
    refused(scene.bent(|header, _| unknown(header)).await, 401, "invalid_client", 700_027);
    assert_eq!(scene.issuer.fetches(), 1, "an unknown key id does not storm the issuer");
    refused(scene.bent(|header, _| header.kid = None).await, 401, "invalid_client", 700_027);

    let certificate = Certificate::make();
    let forger = Issuer::start(&certificate, None).await;
    let forged = forger.assertion(SUBJECT, |_, claims| claims["iss"] = json!(scene.issuer.url));
    refused(scene.ask_with(&forged).await, 401, "invalid_client", 700_027);

    let good = scene.issuer.assertion(SUBJECT, |_, _| {});
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = scene.issuer.assertion(SUBJECT, |_, claims| claims["jti"] = json!("2"));
    let swapped = other.rsplit_once('.').unwrap().0;
    refused(scene.ask_with(&format!("{swapped}.{signature}")).await, 401, "invalid_client", 700_027);
    assert_eq!(scene.ask_with(&format!("{head}.{signature}")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn issuers_that_cannot_be_asked_fail_the_exchange() {
    let wrong = Scene::with_claimed_issuer(Some("https://localhost:1")).await;
    refused(wrong.ask(&[]).await, 400, "invalid_request", 501_661);

    let certificate = Certificate::make();
    let stranger = Issuer::start(&certificate, None).await;
    let (running, ids) = emulator(&stranger.url, Vec::new()).await;
    let client = reqwest::Client::new();
    let scene = Scene { running, ids, issuer: stranger, client, _certificate: certificate };
    refused(scene.ask(&[]).await, 400, "invalid_request", 90_061);
}
