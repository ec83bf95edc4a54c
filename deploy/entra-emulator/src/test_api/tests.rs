use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Certificate, LOOPBACK, emulator};
use crate::{Config, Directory, Emulator, Running, StartError};

async fn call(running: &Running, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Client::new().request(method, format!("{}{path}", running.url)).json(&body);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn tokens_come_from_the_test_api_and_raw_text_is_signed_as_it_is() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let body = json!({"kind": "agent", "subject": "reader", "audience": ids.gateway, "set": {"aud": "x"}});
    let (status, answer) = call(&running, Method::POST, "/emulator/tokens", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let claims: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(answer["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["aud"], "x");

    let payload = r#"{ "aud":"a", "aud":"b" }"#;
    let body = json!({"header": r#"{"alg":"RS256"}"#, "payload": payload, "key": "foreign-tenant"});
    let (status, answer) = call(&running, Method::POST, "/emulator/sign", body).await;
    assert_eq!(status, StatusCode::OK);
    let segment = answer["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap();
    assert_eq!(decoded, payload.as_bytes());

    let page = Client::new().post(format!("{}/emulator/tokens", running.url)).header("origin", &running.url);
    assert_eq!(page.send().await.unwrap().status(), StatusCode::FORBIDDEN);

    let wrong = json!({"kind": "agent", "subject": "nobody", "audience": ids.gateway});
    assert_eq!(call(&running, Method::POST, "/emulator/tokens", wrong).await.0, StatusCode::BAD_REQUEST);
    let unknown = json!({"kind": "agent", "subject": "reader", "audience": ids.gateway, "typo": 1});
    assert_eq!(call(&running, Method::POST, "/emulator/tokens", unknown).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn discovery_names_the_tenant_or_its_template() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let (url, tenant) = (&running.url, ids.tenant);
    let document = async |path: String| call(&running, Method::GET, &path, Value::Null).await.1;
    let v2 = document(format!("/{tenant}/v2.0/.well-known/openid-configuration")).await;
    assert_eq!(v2["issuer"], format!("{url}/{tenant}/v2.0"));
    assert_eq!(v2["jwks_uri"], format!("{url}/{tenant}/discovery/v2.0/keys"));
    assert_eq!(v2["token_endpoint"], format!("{url}/{tenant}/oauth2/v2.0/token"));
    assert_eq!(v2["code_challenge_methods_supported"], Value::Null);
    let v1 = document(format!("/{tenant}/.well-known/openid-configuration")).await;
    assert_eq!(
        (&v1["issuer"], &v1["jwks_uri"]),
        (&json!(format!("{url}/{tenant}/")), &json!(format!("{url}/{tenant}/discovery/keys")))
    );
    let common = document("/common/v2.0/.well-known/openid-configuration".to_owned()).await;
    assert_eq!(common["issuer"], format!("{url}/{{tenantid}}/v2.0"));
    let (v1_keys, v2_keys) = (
        document(format!("/{tenant}/discovery/keys")).await,
        document(format!("/{tenant}/discovery/v2.0/keys")).await,
    );
    assert_eq!(v1_keys, v2_keys);
    let (status, error) = call(&running, Method::GET, "/nowhere/discovery/v2.0/keys", Value::Null).await;
    assert_eq!((status, &error["error_codes"]), (StatusCode::BAD_REQUEST, &json!([90002])));
}

#[tokio::test]
async fn keys_rotate_with_overlap_and_are_retired_at_once() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let published = async || {
        let jwks =
            call(&running, Method::GET, &format!("/{}/discovery/v2.0/keys", ids.tenant), Value::Null).await.1;
        let kids = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone());
        kids.collect::<Vec<_>>()
    };
    let before = call(&running, Method::GET, "/emulator/keys", Value::Null).await.1;
    let after = call(&running, Method::POST, "/emulator/keys/rotate", json!({})).await.1;
    assert_eq!((&after["current"], &after["previous"]), (&before["next"], &json!([before["current"]])));
    assert!(published().await.contains(&before["current"]));
    let last = call(&running, Method::POST, "/emulator/keys/retire", json!({})).await.1;
    assert_eq!(last["current"], after["next"]);
    assert!(!published().await.contains(&after["current"]));
    let foreign = json!({"kid": before["msa"]});
    assert_eq!(
        call(&running, Method::POST, "/emulator/keys/retire", foreign).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn faults_strike_as_entras_front_end_would_and_requests_are_counted() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let keys = format!("{}/{}/discovery/v2.0/keys", running.url, ids.tenant);
    let fault = json!({"endpoint": "jwks", "status": 429, "retry_after": 60, "times": 1, "delay_ms": 20});
    assert_eq!(call(&running, Method::POST, "/emulator/faults", fault).await.0, StatusCode::OK);
    let response = reqwest::get(&keys).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"60".parse().unwrap())
    );
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(response.text().await.unwrap(), "Too Many Requests");
    assert_eq!(reqwest::get(&keys).await.unwrap().status(), StatusCode::OK);

    let fault = json!({"endpoint": "token", "aadsts": 700213});
    call(&running, Method::POST, "/emulator/faults", fault).await;
    let token = format!("/{}/oauth2/v2.0/token", ids.tenant);
    let (status, error) = call(&running, Method::POST, &token, json!({})).await;
    assert_eq!((status.as_u16(), &error["error"]), (401, &json!("invalid_client")));
    let fault = json!({"endpoint": "discovery", "status": 503, "times": 9});
    call(&running, Method::POST, "/emulator/faults", fault).await;
    call(&running, Method::DELETE, "/emulator/faults", Value::Null).await;
    let path = format!("/{}/v2.0/.well-known/openid-configuration", ids.tenant);
    assert_eq!(call(&running, Method::GET, &path, Value::Null).await.0, StatusCode::OK);

    let counted = call(&running, Method::GET, "/emulator/requests", Value::Null).await.1;
    assert_eq!(
        (&counted["jwks"], &counted["token"], &counted["discovery"]),
        (&json!(2), &json!(1), &json!(1))
    );
}

#[tokio::test]
async fn the_directory_changes_whole_or_not_at_all() {
    let (running, ids) = emulator("https://localhost:1", Vec::new()).await;
    let (app, user) = (crate::Guid::named("a"), crate::Guid::named("u"));
    let put = json!({"app": {"client_id": app, "object_id": crate::Guid::named("o"), "name": "new"}});
    assert_eq!(call(&running, Method::PUT, "/emulator/apps", put).await.0, StatusCode::OK);
    let clash = json!({"app": {"client_id": crate::Guid::named("b"), "object_id": crate::Guid::named("o"), "name": "b"}});
    assert_eq!(call(&running, Method::PUT, "/emulator/apps", clash).await.0, StatusCode::BAD_REQUEST);
    let secret = json!({"app": {"client_id": app, "object_id": app, "name": "n", "client_secret": "x"}});
    assert_eq!(call(&running, Method::PUT, "/emulator/apps", secret).await.0, StatusCode::BAD_REQUEST);
    let put = json!({"tenant": ids.tenant, "user": {"oid": user, "upn": "u@contoso.example", "name": "u"}});
    assert_eq!(call(&running, Method::PUT, "/emulator/users", put).await.0, StatusCode::OK);
    let credential =
        json!({"name": "ours", "issuer": "https://localhost:2", "subject": "s", "audience": "a"});
    let put = json!({"client_id": app, "federated_credentials": [credential]});
    assert_eq!(call(&running, Method::PUT, "/emulator/federated-credentials", put).await.0, StatusCode::OK);
    let put = json!({"roles": {"shop": app}});
    assert_eq!(call(&running, Method::PUT, "/emulator/postgres-roles", put).await.0, StatusCode::OK);

    let shown = call(&running, Method::GET, "/emulator/directory", Value::Null).await.1;
    let shown: Directory = serde_json::from_value(shown).unwrap();
    assert_eq!(shown, *running.directory());
    let tenant = shown.tenant(ids.tenant).unwrap();
    assert_eq!(tenant.app("new").unwrap().federated_credentials[0].issuer, "https://localhost:2");
    assert!(tenant.app("b").is_none() && tenant.user("u").is_some());
    assert_eq!(shown.postgres.unwrap().roles["shop"], app);

    assert_eq!(
        call(&running, Method::DELETE, "/emulator/apps", json!({"client_id": app})).await.0,
        StatusCode::OK
    );
    assert_eq!(
        call(&running, Method::DELETE, "/emulator/users", json!({"oid": user})).await.0,
        StatusCode::OK
    );
    let left = running.directory();
    assert!(left.tenants[0].app("new").is_none() && left.tenants[0].user("u").is_none());
}

#[tokio::test]
async fn it_serves_tls_on_loopback_alone_and_stops() {
    let certificate = Certificate::make();
    let mut config = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        public_host: "localhost".to_owned(),
        tls: Some(certificate.files()),
        trust_roots: Vec::new(),
        ldap_listen: None,
        directory: Directory::default(),
    };
    assert!(matches!(Emulator::start(config.clone()).await, Err(StartError::NotLoopback(_))));
    config.listen = LOOPBACK;
    config.ldap_listen = Some("0.0.0.0:0".parse().unwrap());
    assert!(matches!(Emulator::start(config.clone()).await, Err(StartError::NotLoopback(_))));
    config.ldap_listen = None;

    let running = Emulator::start(config).await.unwrap();
    assert!(running.url.starts_with("https://localhost:") && running.ldap.is_none());
    let root = reqwest::Certificate::from_pem(&std::fs::read(certificate.root()).unwrap()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    let url = format!("{}/common/v2.0/.well-known/openid-configuration", running.url);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);
    running.shutdown().await;
    assert!(client.get(&url).send().await.is_err());
}
