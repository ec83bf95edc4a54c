use futures_util::{SinkExt as _, StreamExt as _};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapExtendedRequest, LdapMsg, LdapOp, LdapResultCode, SaslCredentials,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::login::{self, Reason};
use crate::development::DevelopmentIds;
use crate::directory::OSSRDBMS;
use crate::issue;
use crate::keys::KeyName;
use crate::testing::emulator;
use crate::{Running, TokenKind, TokenRequest};

const DN: &str = "cn=shop_standing,ou=postgres";

async fn scene() -> (Running, DevelopmentIds) {
    emulator("https://localhost:1", Vec::new()).await
}

async fn connect(running: &Running) -> Framed<TcpStream, LdapCodec> {
    Framed::new(TcpStream::connect(running.ldap.unwrap()).await.unwrap(), LdapCodec::default())
}

async fn ask(client: &mut Framed<TcpStream, LdapCodec>, op: LdapOp) -> Option<LdapOp> {
    client.send(LdapMsg { msgid: 7, op, ctrl: Vec::new() }).await.unwrap();
    let reply = client.next().await?.ok()?;
    assert_eq!(reply.msgid, 7);
    Some(reply.op)
}

async fn bind_as(running: &Running, version: i64, dn: &str, cred: LdapBindCred) -> LdapResultCode {
    let request = LdapBindRequest { version, dn: dn.to_owned(), cred };
    match ask(&mut connect(running).await, LdapOp::BindRequest(request)).await {
        Some(LdapOp::BindResponse(response)) => response.res.code,
        other => panic!("{other:?}"),
    }
}

async fn bind(running: &Running, dn: &str, token: &str) -> LdapResultCode {
    bind_as(running, 3, dn, LdapBindCred::Simple(token.to_owned())).await
}

fn request() -> TokenRequest {
    TokenRequest::new(TokenKind::Agent, "shop-standing", OSSRDBMS)
}

#[tokio::test]
async fn the_owners_token_opens_its_role_and_no_other() {
    let (running, _) = scene().await;
    let token = running.issue(&request()).unwrap();
    assert_eq!(bind(&running, DN, &token).await, LdapResultCode::Success);
    let slashed = TokenRequest { audience: format!("{OSSRDBMS}/"), ..request() };
    assert_eq!(bind(&running, DN, &running.issue(&slashed).unwrap()).await, LdapResultCode::Success);

    let refused = LdapResultCode::InvalidCredentials;
    for dn in ["", "cn=postgres,ou=postgres", "cn=SHOP_STANDING,ou=postgres", "shop_standing"] {
        assert_eq!(bind(&running, dn, &token).await, refused, "{dn}");
    }
    assert_eq!(bind(&running, DN, "").await, refused);
    assert_eq!(bind(&running, "", "").await, refused);
    let other = TokenRequest { subject: "shop-approved".to_owned(), ..request() };
    assert_eq!(bind(&running, DN, &running.issue(&other).unwrap()).await, refused);
    let counted = running.state.requests.to_json();
    assert_eq!((&counted["ldap_accepted"], &counted["ldap_refused"]), (&json!(2), &json!(7)));
}

#[tokio::test]
async fn every_flaw_of_a_token_has_its_reason() {
    let (running, ids) = scene().await;
    let reason = |token: &str| {
        login::check(&running.state, "shop_standing", token, crate::state::now())
            .err()
            .map(|refused| refused.reason)
    };
    let set = |claims: serde_json::Value| {
        running.issue(&TokenRequest { set: claims.as_object().unwrap().clone(), ..request() }).unwrap()
    };
    assert_eq!(reason(&set(json!({}))), None);
    let tenant = ids.tenant;
    let expired = running.issue(&TokenRequest { expires_in: Some(0), ..request() }).unwrap();
    let early = running.issue(&TokenRequest { not_before_in: Some(30), ..request() }).unwrap();
    for (token, expected) in [
        (expired, Reason::Expired),
        (early, Reason::Early),
        (set(json!({"exp": "9999999999"})), Reason::Expired),
        (set(json!({"aud": ids.gateway})), Reason::Audience),
        (set(json!({"aud": [OSSRDBMS]})), Reason::Audience),
        (set(json!({"aud": format!("{OSSRDBMS}//")})), Reason::Audience),
        (set(json!({"iss": running.state.issuer_v2(tenant)})), Reason::Issuer),
        (set(json!({"iss": format!("https://sts.windows.net/{tenant}/")})), Reason::Issuer),
        (set(json!({"tid": ids.gateway})), Reason::Tenant),
        (set(json!({"ver": "2.0"})), Reason::Version),
        (set(json!({"oid": ids.gateway})), Reason::Object),
        (set(json!({"oid": null})), Reason::Object),
        ("not a token".to_owned(), Reason::Malformed),
        (format!("{}=", set(json!({}))), Reason::Malformed),
    ] {
        assert_eq!(reason(&token), Some(expected), "{token}");
    }

    let token = set(json!({}));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other = running.issue(&request()).unwrap();
    let other = other.rsplit_once('.').unwrap().1;
    assert_ne!(signature, other);
    assert_eq!(reason(&format!("{head}.{other}")), Some(Reason::Signature));
    assert_eq!(reason(&format!("{head}.")), Some(Reason::Signature));

    let kid = |name| running.state.keys(|ring| ring.get(name)).kid.clone();
    let raw = |header: serde_json::Value, key| {
        issue::raw(&running.state, &header.to_string(), r#"{"oid":"x"}"#, key).unwrap()
    };
    let current = kid(KeyName::Current);
    assert_eq!(reason(&raw(json!({"alg": "none"}), KeyName::Current)), Some(Reason::Algorithm));
    assert_eq!(
        reason(&raw(json!({"alg": "HS256", "kid": current}), KeyName::Current)),
        Some(Reason::Algorithm)
    );
    assert_eq!(reason(&raw(json!({"alg": "RS256"}), KeyName::Current)), Some(Reason::Key));
    for foreign in [KeyName::Msa, KeyName::ForeignTenant] {
        assert_eq!(reason(&raw(json!({"alg": "RS256", "kid": kid(foreign)}), foreign)), Some(Reason::Key));
    }
    let twice = r#"{"oid":"a","oid":"b"}"#;
    let header = json!({"alg": "RS256", "kid": current}).to_string();
    let twice = issue::raw(&running.state, &header, twice, KeyName::Current).unwrap();
    assert_eq!(reason(&twice), Some(Reason::Malformed));

    let closed = running.edit(|directory| {
        directory.postgres = None;
        Ok(())
    });
    closed.unwrap();
    assert_eq!(reason(&token), Some(Reason::NoServer));
}

#[tokio::test]
async fn only_simple_binds_of_version_three_are_served() {
    let (running, _) = scene().await;
    let token = running.issue(&request()).unwrap();
    let simple = LdapBindCred::Simple(token);
    assert_eq!(bind_as(&running, 2, DN, simple).await, LdapResultCode::ProtocolError);
    let sasl = LdapBindCred::SASL(SaslCredentials { mechanism: "PLAIN".to_owned(), credentials: Vec::new() });
    assert_eq!(bind_as(&running, 3, DN, sasl).await, LdapResultCode::AuthMethodNotSupported);

    let mut client = connect(&running).await;
    match ask(&mut client, LdapOp::DelRequest("cn=x".to_owned())).await {
        Some(LdapOp::DelResponse(result)) => assert_eq!(result.code, LdapResultCode::UnwillingToPerform),
        other => panic!("{other:?}"),
    }
    let whoami = LdapExtendedRequest { name: "1.3.6.1.4.1.4203.1.11.3".to_owned(), value: None };
    match ask(&mut client, LdapOp::ExtendedRequest(whoami)).await {
        Some(LdapOp::ExtendedResponse(response)) => {
            assert_eq!(response.res.code, LdapResultCode::UnwillingToPerform);
        }
        other => panic!("{other:?}"),
    }
    assert!(ask(&mut client, LdapOp::UnbindRequest).await.is_none());
}

#[tokio::test]
async fn oversized_and_broken_messages_end_the_connection() {
    let (running, _) = scene().await;
    for bytes in [vec![0x30, 0x03, 0x02, 0x01, 0x01], vec![b'x'; 200 * 1024], announced(100 * 1024)] {
        let mut stream = TcpStream::connect(running.ldap.unwrap()).await.unwrap();
        // The far side may cut before all of it is written.
        let _ = stream.write_all(&bytes).await;
        let mut rest = Vec::new();
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "still open");
        assert!(rest.is_empty());
    }
}

/// A well-formed bind request whose password is that long.
fn announced(length: usize) -> Vec<u8> {
    use tokio_util::codec::Encoder as _;
    let cred = LdapBindCred::Simple("x".repeat(length));
    let op = LdapOp::BindRequest(LdapBindRequest { version: 3, dn: DN.to_owned(), cred });
    let mut bytes = bytes::BytesMut::new();
    LdapCodec::default().encode(LdapMsg { msgid: 7, op, ctrl: Vec::new() }, &mut bytes).unwrap();
    bytes.to_vec()
}
