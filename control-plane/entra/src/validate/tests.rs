use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::{AssertionKey, KeyTiming, Roots, client, test_http::TestServer};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const OTHER_TENANT: &str = "22222222-2222-4222-8222-222222222222";
const OBJECT: &str = "33333333-3333-4333-8333-333333333333";
const AUDIENCE: &str = "44444444-4444-4444-8444-444444444444";
const NOW: u64 = 1_800_000_000;

struct Bench {
    validator: Validator,
    key: AssertionKey,
    /// In the set, but for another issuer.
    foreign_tenant_key: AssertionKey,
    /// In the set, without an issuer.
    nobodys_key: AssertionKey,
}

impl Bench {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let authority = Authority::plain(&server.base, TENANT);
        let [key, foreign_tenant_key, nobodys_key] = [(); 3].map(|()| AssertionKey::generate());
        let jwk = |key: &AssertionKey, issuer: Option<String>| {
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().remove("alg");
            if let Some(issuer) = issuer {
                jwk["issuer"] = issuer.into();
            }
            jwk
        };
        let set = json!({"keys": [
            jwk(&key, Some(format!("{}/{{tenantid}}/v2.0", server.base))),
            jwk(&foreign_tenant_key, Some(format!("{}/{OTHER_TENANT}/v2.0", server.base))),
            jwk(&nobodys_key, None),
        ]});
        let document = json!({"issuer": authority.issuer(), "jwks_uri": format!("{}/keys", server.base)});
        let discovery = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
        server.answer(&discovery, "200 OK", &document.to_string());
        server.answer("/keys", "200 OK", &set.to_string());
        let http = client(&authority, &Roots::System).unwrap();
        let keys = Arc::new(SigningKeys::new(authority, http, KeyTiming::default()));
        Self { validator: Validator::new(keys), key, foreign_tenant_key, nobodys_key }
    }

    fn claims(&self) -> Value {
        json!({
            "aud": AUDIENCE, "iss": self.validator.authority.issuer(), "tid": TENANT, "oid": OBJECT,
            "azp": AUDIENCE, "idtyp": "app", "roles": ["x"], "ver": "2.0", "uti": "u-1", "sub": OBJECT,
            "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "unknown": {"a": [1]},
        })
    }

    fn header(&self, key: &AssertionKey) -> Value {
        json!({"typ": "JWT", "alg": "RS256", "kid": key.kid()})
    }

    async fn check(&self, token: &str) -> Result<ValidatedToken, TokenError> {
        self.validator.validate(token, AUDIENCE, UNIX_EPOCH + Duration::from_secs(NOW)).await
    }

    /// The good token but for these claims; null removes one.
    async fn with_claims(&self, changes: Value) -> Option<TokenError> {
        let mut claims = self.claims();
        merge(&mut claims, changes);
        self.check(&self.key.sign_raw(&self.header(&self.key).to_string(), &claims.to_string())).await.err()
    }

    async fn with_header(&self, changes: Value) -> Option<TokenError> {
        let mut header = self.header(&self.key);
        merge(&mut header, changes);
        self.check(&self.key.sign_raw(&header.to_string(), &self.claims().to_string())).await.err()
    }

    async fn signed_by(&self, key: &AssertionKey, kid: &AssertionKey) -> Option<TokenError> {
        self.check(&key.sign_raw(&self.header(kid).to_string(), &self.claims().to_string())).await.err()
    }

    fn good(&self) -> String {
        self.key.sign_raw(&self.header(&self.key).to_string(), &self.claims().to_string())
    }
}

fn merge(base: &mut Value, changes: Value) {
    let base = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => base.remove(name),
            value => base.insert(name.clone(), value.clone()),
        };
    }
}

#[tokio::test]
async fn a_good_token_says_who_bears_it() {
    let bench = Bench::new().await;
    let token = bench.check(&bench.good()).await.unwrap();
    assert_eq!(&*token.tenant_id, TENANT);
    assert_eq!(&*token.object_id, OBJECT);
    assert_eq!(token.app_id.as_deref(), Some(AUDIENCE));
    assert_eq!(token.kind, PrincipalKind::Agent);
    assert_eq!(token.roles, ["x"]);
    assert_eq!(&*token.token_id, "u-1");
    assert_eq!(token.expires_at, UNIX_EPOCH + Duration::from_secs(NOW + 3600));
}

#[tokio::test]
async fn claims_that_are_not_exactly_right_are_refused() {
    let bench = Bench::new().await;
    assert_eq!(bench.with_claims(json!({})).await, None);
    let issuer = bench.validator.authority.issuer();
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    let cases = [
        (json!({"aud": "x"}), TokenError::Audience),
        (json!({"aud": [AUDIENCE]}), TokenError::Audience),
        (json!({"aud": AUDIENCE.to_owned() + "/"}), TokenError::Audience),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"iss": issuer.clone() + "/"}), TokenError::KeyIssuer),
        (json!({"iss": v1}), TokenError::KeyIssuer),
        (json!({"iss": issuer.replace(TENANT, OTHER_TENANT)}), TokenError::KeyIssuer),
        (json!({"iss": issuer.replace(TENANT, OTHER_TENANT), "tid": OTHER_TENANT}), TokenError::Issuer),
        (json!({"iss": null}), TokenError::Issuer),
        (json!({"tid": OTHER_TENANT}), TokenError::KeyIssuer),
        (json!({"tid": null}), TokenError::Tenant),
        (json!({"tid": 7}), TokenError::Tenant),
        (json!({"nbf": NOW + 301}), TokenError::NotYetValid),
        (json!({"nbf": null}), TokenError::NotYetValid),
        (json!({"nbf": "0"}), TokenError::NotYetValid),
        (json!({"exp": NOW - 60}), TokenError::Expired),
        (json!({"exp": null}), TokenError::Expired),
        (json!({"exp": (NOW + 60) as f64 + 0.5}), TokenError::Expired),
        (json!({"exp": u64::MAX}), TokenError::Expired),
        (json!({"exp": -1}), TokenError::Expired),
        (json!({"ver": "1.0"}), TokenError::Version),
        (json!({"ver": null}), TokenError::Version),
        (json!({"idtyp": null}), TokenError::Subject),
        (json!({"idtyp": "App"}), TokenError::Subject),
        (json!({"oid": null}), TokenError::Subject),
        (json!({"oid": "me"}), TokenError::Subject),
        (json!({"oid": format!("{{{OBJECT}}}")}), TokenError::Subject),
        (json!({"azp": "me"}), TokenError::Subject),
        (json!({"uti": null}), TokenError::Subject),
        (json!({"uti": ""}), TokenError::Subject),
        (json!({"uti": "a\nb"}), TokenError::Subject),
        (json!({"roles": "x"}), TokenError::Subject),
        (json!({"roles": [1]}), TokenError::Subject),
    ];
    for (changes, refused) in cases {
        assert_eq!(bench.with_claims(changes.clone()).await, Some(refused), "{changes}");
    }
}

#[tokio::test]
async fn skew_is_five_minutes_before_and_one_after() {
    let bench = Bench::new().await;
    assert_eq!(bench.with_claims(json!({"nbf": NOW + 300})).await, None);
    assert_eq!(bench.with_claims(json!({"exp": NOW - 59})).await, None);
}

#[tokio::test]
async fn algorithms_and_headers_that_we_do_not_follow_are_refused() {
    let bench = Bench::new().await;
    for alg in ["none", "None", "HS256", "PS256", "RS512", "ES256", "rs256"] {
        assert_eq!(bench.with_header(json!({"alg": alg})).await, Some(TokenError::Algorithm), "{alg}");
    }
    assert_eq!(bench.with_header(json!({"alg": ["RS256"]})).await, Some(TokenError::Algorithm));
    assert_eq!(bench.with_header(json!({"typ": "JWE"})).await, Some(TokenError::Header));
    for member in REFUSED_MEMBERS {
        assert_eq!(bench.with_header(json!({member: "x"})).await, Some(TokenError::Header), "{member}");
    }
    assert_eq!(bench.with_header(json!({"kid": null})).await, Some(TokenError::KeyUnknown));
    assert_eq!(bench.with_header(json!({"kid": "x"})).await, Some(TokenError::KeyUnknown));
    assert_eq!(bench.with_header(json!({"kid": "x".repeat(257)})).await, Some(TokenError::KeyUnknown));
}

#[tokio::test]
async fn unsigned_and_hmac_tokens_are_refused() {
    let bench = Bench::new().await;
    let good = bench.good();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let claims = signed.split_once('.').unwrap().1;
    let none = base64url::encode(br#"{"alg":"none","typ":"JWT"}"#);
    assert_eq!(bench.check(&format!("{none}.{claims}.")).await.err(), Some(TokenError::Algorithm));
    assert_eq!(bench.check(&format!("{signed}.")).await.err(), Some(TokenError::Signature));
    let header = base64url::encode(
        json!({"alg": "HS256", "typ": "JWT", "kid": bench.key.kid()}).to_string().as_bytes(),
    );
    let public_key = bench.key.jwk()["n"].as_str().unwrap().to_owned();
    let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public_key.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&hmac, format!("{header}.{claims}").as_bytes());
    let forged = format!("{header}.{claims}.{}", base64url::encode(tag.as_ref()));
    assert_eq!(bench.check(&forged).await.err(), Some(TokenError::Algorithm));
}

#[tokio::test]
async fn keys_count_for_their_own_issuer_only() {
    let bench = Bench::new().await;
    let unknown = AssertionKey::generate();
    assert_eq!(bench.signed_by(&unknown, &unknown).await, Some(TokenError::KeyUnknown));
    assert_eq!(bench.signed_by(&unknown, &bench.key).await, Some(TokenError::Signature));
    let foreign = &bench.foreign_tenant_key;
    assert_eq!(bench.signed_by(foreign, foreign).await, Some(TokenError::KeyIssuer));
    let nobodys = &bench.nobodys_key;
    assert_eq!(bench.signed_by(nobodys, nobodys).await, Some(TokenError::KeyIssuer));
}

#[tokio::test]
async fn every_flipped_character_is_noticed() {
    let bench = Bench::new().await;
    let good = bench.good();
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert!(bench.check(&forged).await.is_err(), "{at}");
    }
}

#[tokio::test]
async fn shapes_that_are_not_canonical_are_refused() {
    let bench = Bench::new().await;
    let good = bench.good();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let padded = base64::engine::general_purpose::URL_SAFE.encode(base64url::decode(claims).unwrap());
    for bad in [
        String::new(),
        "..".into(),
        format!("{header}.{claims}"),
        format!("{good}.x"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}.{claims}.{signature}="),
        format!("Bearer {good}"),
    ] {
        assert_eq!(bench.check(&bad).await.err(), Some(TokenError::Malformed), "{bad}");
    }
    if padded.contains('=') {
        assert!(bench.check(&format!("{header}.{padded}.{signature}")).await.is_err());
    }
    let huge = format!("{header}.{}.{signature}", "A".repeat(MAX_TOKEN));
    assert_eq!(bench.check(&huge).await.err(), Some(TokenError::TooLarge));
}

#[tokio::test]
async fn repeated_keys_are_refused_though_signed() {
    let bench = Bench::new().await;
    let header = bench.header(&bench.key).to_string();
    let claims = bench.claims().to_string();
    let twice = |json: &str, extra: &str| format!("{{{extra},{}", json.strip_prefix('{').unwrap());
    let token = bench.key.sign_raw(&header, &twice(&claims, r#""oid":"x""#));
    assert_eq!(bench.check(&token).await.err(), Some(TokenError::DuplicateKey));
    let token = bench.key.sign_raw(&twice(&header, r#""alg":"none""#), &claims);
    assert_eq!(bench.check(&token).await.err(), Some(TokenError::DuplicateKey));
    let token = bench.key.sign_raw(&header, &twice(&claims, r#""z":{"a":1,"a":1}"#));
    assert_eq!(bench.check(&token).await.err(), Some(TokenError::DuplicateKey));
    let token = bench.key.sign_raw(&header, "[]");
    assert_eq!(bench.check(&token).await.err(), Some(TokenError::Malformed));
}
