use std::time::UNIX_EPOCH;

use super::*;
use crate::{Roots, base64url, client, test_http::TestServer};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const GRANTED: &str =
    r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"opaque"}"#;
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn path() -> String {
    format!("/{TENANT}/oauth2/v2.0/token")
}

async fn bench() -> (TestServer, Minter) {
    let server = TestServer::start().await;
    let authority = Authority::plain(&server.base, TENANT);
    let http = client(&authority, &Roots::System).unwrap();
    let key = Arc::new(AssertionKey::generate());
    (server, Minter::new(&authority, http, "https://cp.example".into(), key))
}

fn request() -> MintRequest<'static> {
    MintRequest { client_id: "client", subject: "cs:d:target:shop:standing", resource: "https://db.example" }
}

async fn refused(status: &str, body: &str) -> (MintError, usize) {
    let (server, minter) = bench().await;
    server.answer(&path(), status, body);
    let error = minter.mint(request(), now()).await.unwrap_err();
    (error, server.count(&path()))
}

#[tokio::test]
async fn the_exchange_is_one_form_with_an_assertion_and_no_secret() {
    let (server, minter) = bench().await;
    server.answer(&path(), "200 OK", GRANTED);
    let minted = minter.mint(request(), now()).await.unwrap();
    assert_eq!(minted.token.expose(), "opaque");
    let end = now() + Duration::from_secs(3599);
    assert!(minted.expires_at >= end && minted.expires_at < end + Duration::from_secs(5));
    let sent = server.requests().remove(0);
    assert!(sent.starts_with("POST "));
    assert!(sent.to_lowercase().contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(sent.contains("grant_type=client_credentials"));
    assert!(sent.contains("scope=https%3A%2F%2Fdb.example%2F.default"));
    assert!(
        sent.contains(
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        )
    );
    assert!(!sent.contains("client_secret"));
    let assertion = sent.rsplit_once("client_assertion=").unwrap().1;
    let claims = base64url::decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "https://cp.example");
    assert_eq!(claims["aud"], EXCHANGE_AUDIENCE);
    assert_eq!(claims["sub"], "cs:d:target:shop:standing");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_with_a_new_assertion() {
    let (server, minter) = bench().await;
    server.answer(&path(), "503 Service Unavailable", "");
    server.answer(&path(), "400 Bad Request", r#"{"error":"invalid_request","error_codes":[90033]}"#);
    server.answer(&path(), "200 OK", GRANTED);
    minter.mint(request(), now()).await.unwrap();
    let bodies: std::collections::BTreeSet<_> = server.requests().into_iter().collect();
    assert_eq!(bodies.len(), 3);
    let (error, attempts) = refused("500 Oops", "").await;
    assert_eq!((error, attempts), (MintError::Transient, 3));
}

#[tokio::test]
async fn throttling_is_honoured_for_the_client_without_asking_again() {
    let (server, minter) = bench().await;
    server.answer(&path(), "429 Too Many Requests\r\nRetry-After: 30", "Too Many Requests");
    let first = minter.mint(request(), now()).await.unwrap_err();
    assert_eq!(first, MintError::Throttled { retry_after: Duration::from_secs(30) });
    let second = minter.mint(request(), now()).await.unwrap_err();
    assert!(matches!(second, MintError::Throttled { .. }));
    assert_eq!(server.count(&path()), 1);
    server.replace(&path(), "200 OK", GRANTED);
    minter.mint(MintRequest { client_id: "other", ..request() }, now()).await.unwrap();
}

#[tokio::test]
async fn refusals_are_sorted_by_what_helps_and_keep_no_description() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS700213: eyJ","error_codes":[700213],"trace_id":"t"}"#;
    let (error, attempts) = refused("401 Unauthorized", body).await;
    assert_eq!(error, MintError::Propagation { error_codes: vec![700_213], trace_id: "t".into() });
    assert_eq!(attempts, 1);
    let body = r#"{"error":"unauthorized_client\n","error_description":"eyJ","error_codes":[700016],"trace_id":"t","correlation_id":"c"}"#;
    let (error, attempts) = refused("400 Bad Request", body).await;
    assert_eq!(attempts, 1);
    assert!(!error.to_string().contains("eyJ"));
    let expected = MintError::Config {
        error: "unauthorized_client".into(),
        error_codes: vec![700_016],
        trace_id: "t".into(),
        correlation_id: "c".into(),
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_not_taken() {
    for body in [
        "",
        "{}",
        r#"{"token_type":"pop","expires_in":3599,"access_token":"x"}"#,
        r#"{"token_type":"Bearer","expires_in":0,"access_token":"x"}"#,
        r#"{"token_type":"Bearer","expires_in":3599,"access_token":""}"#,
        r#"{"token_type":"Bearer","expires_in":999999999,"access_token":"x"}"#,
    ] {
        assert_eq!(refused("200 OK", body).await.0, MintError::Answer, "{body}");
    }
    assert_eq!(refused("400 Bad Request", "<html>").await.0, MintError::Answer);
    assert_eq!(refused("302 Found\r\nLocation: http://127.0.0.1:1/", "{").await.0, MintError::Answer);
}
