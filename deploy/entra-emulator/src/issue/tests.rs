use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::directory::OSSRDBMS;
use crate::testing::emulator;
use crate::{Guid, Running, TokenKind, TokenRequest};

/// Validates as an independent client would: key by `kid` from the published set, issuer and audience given.
async fn validated(running: &Running, token: &str, issuer: &str, audience: &str) -> Value {
    let kid = decode_header(token).unwrap().kid.unwrap();
    let url = format!("{}/common/discovery/v2.0/keys", running.url);
    let jwks: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == kid.as_str()).unwrap();
    let key =
        DecodingKey::from_rsa_components(jwk["n"].as_str().unwrap(), jwk["e"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.validate_nbf = true;
    decode::<Value>(token, &key, &validation).unwrap().claims
}

fn has(claims: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(claims.get(name).unwrap_or(&Value::Null), value, "{name}");
    }
}

#[tokio::test]
async fn an_agents_token_of_version_two_validates() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let (reader, gateway) = (ids.agents["reader"], ids.gateway.to_string());
    let request = TokenRequest::new(TokenKind::Agent, "reader", &gateway);
    let token = running.issue(&request).unwrap();
    let issuer = format!("{}/{}/v2.0", running.url, ids.tenant);
    let claims = validated(&running, &token, &issuer, &gateway).await;
    has(
        &claims,
        &json!({
            "tid": ids.tenant, "oid": reader.object_id, "sub": reader.object_id, "azp": reader.client_id,
            "azpacr": "2", "idtyp": "app", "ver": "2.0", "scp": null, "roles": null, "appid": null, "idp": null,
        }),
    );
    assert_eq!(decode_header(&token).unwrap().x5t, None);
    let again: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(running.issue(&request).unwrap()).unwrap();
    assert_ne!(again["uti"], claims["uti"]);
}

#[tokio::test]
async fn a_token_for_the_database_is_version_one() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let token = running.issue(&TokenRequest::new(TokenKind::Agent, "shop-standing", OSSRDBMS)).unwrap();
    let issuer = format!("{}/{}/", running.url, ids.tenant);
    let claims = validated(&running, &token, &issuer, OSSRDBMS).await;
    let app = ids.identities["shop-standing"];
    has(&claims, &json!({"ver": "1.0", "appid": app.client_id, "appidacr": "2", "idp": issuer, "azp": null}));
    let header = decode_header(&token).unwrap();
    assert_eq!(header.x5t, header.kid);
}

#[tokio::test]
async fn people_and_their_agents_have_their_shapes() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let admin = ids.admin.to_string();
    let claims = |request: &TokenRequest| -> Value {
        jsonwebtoken::dangerous::insecure_decode_claims(running.issue(request).unwrap()).unwrap()
    };
    let omar = claims(&TokenRequest::new(TokenKind::User, "omar", &admin));
    has(
        &omar,
        &json!({
            "idtyp": "user", "oid": ids.users["omar"], "roles": ["dba"], "azp": crate::PUBLIC_CLIENT, "azpacr": "0",
            "scp": "user_impersonation", "preferred_username": "omar@contoso.example", "amr": null,
        }),
    );
    assert_ne!(omar["sub"], omar["oid"]);
    let mut request = TokenRequest::new(TokenKind::AgentForUser, "dana", &admin);
    assert!(running.issue(&request).is_err());
    request.actor = Some("reader".to_owned());
    let reader = ids.agents["reader"].client_id;
    let shape =
        json!({"idtyp": "user", "azp": reader, "azpacr": "2", "xms_act_fct": "11", "xms_sub_fct": null});
    has(&claims(&request), &shape);
    request.kind = TokenKind::AgentUser;
    has(&claims(&request), &json!({"idtyp": "user", "xms_act_fct": "11", "xms_sub_fct": "13"}));
    let identity = TokenRequest::new(TokenKind::AgentIdentity, "reader", &admin);
    has(&claims(&identity), &json!({"idtyp": "app", "xms_act_fct": "11", "xms_sub_fct": "11"}));
}

#[tokio::test]
async fn tests_can_bend_a_token() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let request = TokenRequest {
        expires_in: Some(-60),
        not_before_in: Some(600),
        set: json!({"aud": "other", "wids": ["x"]}).as_object().unwrap().clone(),
        remove: vec!["idtyp".to_owned()],
        ..TokenRequest::new(TokenKind::Agent, "reader", ids.gateway.to_string())
    };
    let claims: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(running.issue(&request).unwrap()).unwrap();
    has(&claims, &json!({"aud": "other", "wids": ["x"], "idtyp": null}));
    assert_eq!(claims["nbf"].as_i64().unwrap() - claims["exp"].as_i64().unwrap(), 660);

    for (subject, audience) in [("nobody", ids.gateway.to_string()), ("reader", Guid::random().to_string())] {
        assert!(running.issue(&TokenRequest::new(TokenKind::Agent, subject, audience)).is_err());
    }
}
