use serde_json::json;

use super::*;
use crate::{AssertionKey, Roots, client, test_http::TestServer};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const KEYS: &str = "/keys";

fn discovery_path() -> String {
    format!("/{TENANT}/v2.0/.well-known/openid-configuration")
}

fn key_set(keys: &[&AssertionKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

async fn server(keys: &[&AssertionKey]) -> TestServer {
    let server = TestServer::start().await;
    let authority = Authority::plain(&server.base, TENANT);
    let document = json!({"issuer": authority.issuer(), "jwks_uri": format!("{}{KEYS}", server.base)});
    server.answer(&discovery_path(), "200 OK", &document.to_string());
    server.answer(KEYS, "200 OK", &key_set(keys));
    server
}

fn keys_of(server: &TestServer, timing: KeyTiming) -> SigningKeys {
    let authority = Authority::plain(&server.base, TENANT);
    let http = client(&authority, &Roots::System).unwrap();
    SigningKeys::new(authority, http, timing)
}

fn timing(unknown_key: Duration) -> KeyTiming {
    KeyTiming { unknown_key, ..KeyTiming::default() }
}

async fn error(keys: &SigningKeys, kid: &str) -> Option<TokenError> {
    keys.get(kid).await.err()
}

#[tokio::test]
async fn unknown_ids_cause_one_fetch_per_interval() {
    let key = AssertionKey::generate();
    let server = server(&[&key]).await;
    let keys = keys_of(&server, KeyTiming::default());
    assert_eq!(error(&keys, key.kid()).await, None);
    for n in 0..20 {
        assert_eq!(error(&keys, &format!("forged{n}")).await, Some(TokenError::KeyUnknown));
    }
    assert_eq!(server.count(KEYS), 1);
}

#[tokio::test]
async fn many_callers_share_one_fetch() {
    let key = AssertionKey::generate();
    let server = server(&[&key]).await;
    let keys = Arc::new(keys_of(&server, KeyTiming::default()));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (keys, kid) = (keys.clone(), key.kid().to_owned());
            tokio::spawn(async move { error(&keys, &kid).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), None);
    }
    assert_eq!(server.count(KEYS), 1);
}

#[tokio::test]
async fn a_rotated_key_is_found_and_a_removed_one_is_gone_after_the_refresh() {
    let (old, new) = (AssertionKey::generate(), AssertionKey::generate());
    let server = server(&[&old]).await;
    let keys = keys_of(&server, timing(Duration::ZERO));
    assert_eq!(error(&keys, old.kid()).await, None);
    server.replace(KEYS, "200 OK", &key_set(&[&new]));
    assert_eq!(error(&keys, new.kid()).await, None);
    assert_eq!(error(&keys, old.kid()).await, Some(TokenError::KeyUnknown));
}

#[tokio::test]
async fn an_outage_leaves_the_last_good_set_until_it_is_too_old() {
    let key = AssertionKey::generate();
    let server = server(&[&key]).await;
    let ttl = Duration::from_millis(300);
    let keys = keys_of(&server, KeyTiming { time_to_live: ttl, ..timing(Duration::ZERO) });
    keys.refresh().await.unwrap();
    for broken in ["not json", r#"{"keys":[]}"#, &"x".repeat(MAX_DOCUMENT + 1)] {
        server.replace(KEYS, "200 OK", broken);
        assert_eq!(keys.refresh().await, Err(HttpError::Answer));
    }
    server.replace(&discovery_path(), "500 Oops", "");
    assert!(keys.refresh().await.is_err());
    assert_eq!(error(&keys, key.kid()).await, None);
    tokio::time::sleep(ttl).await;
    assert_eq!(error(&keys, key.kid()).await, Some(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn discovery_that_points_elsewhere_or_redirects_is_refused() {
    let key = AssertionKey::generate();
    let server = server(&[&key]).await;
    let keys = keys_of(&server, KeyTiming::default());
    let issuer = keys.authority().issuer();
    let foreign = json!({"issuer": issuer, "jwks_uri": "http://127.0.0.1:1/keys"}).to_string();
    let misnamed = json!({"issuer": "https://x", "jwks_uri": format!("{}{KEYS}", server.base)}).to_string();
    for document in [foreign, misnamed] {
        server.replace(&discovery_path(), "200 OK", &document);
        assert_eq!(keys.refresh().await, Err(HttpError::Answer));
    }
    server.replace(&discovery_path(), &format!("302 Found\r\nLocation: {}{KEYS}", server.base), "");
    assert_eq!(keys.refresh().await, Err(HttpError::Answer));
    assert_eq!(server.count(KEYS), 0);
}

#[tokio::test]
async fn keys_for_other_uses_and_too_many_keys_are_not_taken() {
    let key = AssertionKey::generate();
    let server = server(&[&key]).await;
    let keys = keys_of(&server, KeyTiming::default());
    let with = |name: &str, value: &str| {
        let mut jwk = key.jwk();
        jwk[name] = value.into();
        json!({"keys": [jwk]}).to_string()
    };
    for set in [with("use", "enc"), with("alg", "PS256"), with("kty", "oct"), with("n", "!"), with("kid", "")]
    {
        server.replace(KEYS, "200 OK", &set);
        assert_eq!(keys.refresh().await, Err(HttpError::Answer), "{set}");
    }
    server.replace(KEYS, "200 OK", &key_set(&vec![&key; MAX_KEYS + 1]));
    assert_eq!(keys.refresh().await, Err(HttpError::Answer));
}
