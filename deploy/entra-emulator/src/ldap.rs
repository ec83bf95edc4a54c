//! The door of a PostgreSQL server that knows nothing of Entra: its `ldap` authentication sends role and password
//! here, and the password is an access token. Plain LDAPv3 (RFC 4511) on loopback; only bind and unbind are served.
//! Tokens never reach a log: what the codec would trace is silenced, what we log is named field by field.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedResponse, LdapMsg, LdapOp, LdapResult,
    LdapResultCode,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::codec::{Decoder, Encoder, Framed};

use crate::state::{State, now};

mod login;
mod role;
#[cfg(test)]
mod tests;

/// Largest message, in bytes; a token is a few thousand.
const MAX_MESSAGE: usize = 64 * 1024;
/// A bind request nests three levels deep.
const MAX_DEPTH: usize = 16;
/// Connections served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// A login needs milliseconds; after this a connection is cut.
const MAX_CONNECTION: Duration = Duration::from_secs(30);

/// Accepts until dropped; dropping it drops every connection too.
pub(crate) async fn accept(listener: TcpListener, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let _place = place;
            match tokio::time::timeout(MAX_CONNECTION, connection(stream, &state)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!(kind = ?error.kind(), "LDAP connection dropped"),
                Err(_) => tracing::info!("LDAP connection cut after its time"),
            }
        });
    }
}

async fn connection(stream: TcpStream, state: &State) -> io::Result<()> {
    let codec = QuietCodec(LdapCodec::new(Some(MAX_MESSAGE), Some(MAX_DEPTH)));
    let mut messages = Framed::new(stream, codec);
    while let Some(message) = messages.next().await {
        let LdapMsg { msgid, op, ctrl } = message?;
        let op = match op {
            LdapOp::UnbindRequest => return Ok(()),
            LdapOp::AbandonRequest(_) => continue,
            // A control may change what a request means; none is understood, so none is passed over.
            LdapOp::BindRequest(_) if !ctrl.is_empty() => bound(LdapResultCode::UnavailableCriticalExtension),
            LdapOp::BindRequest(request) => bound(bind(state, request)),
            other => unwilling(&other).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?,
        };
        messages.send(LdapMsg { msgid, op, ctrl: Vec::new() }).await?;
    }
    Ok(())
}

/// One login. Every failure of the name or the token is the same `invalidCredentials`; the log says which.
fn bind(state: &State, request: LdapBindRequest) -> LdapResultCode {
    if request.version != 3 {
        return LdapResultCode::ProtocolError;
    }
    let LdapBindCred::Simple(token) = request.cred else {
        return LdapResultCode::AuthMethodNotSupported;
    };
    let Some(role) = role::from_dn(&request.dn) else {
        state.requests.ldap_refused.one();
        tracing::info!(outcome = "refused", reason = "name", "login");
        return LdapResultCode::InvalidCredentials;
    };
    match login::check(state, role, &token, now()) {
        Ok(accepted) => {
            state.requests.ldap_accepted.one();
            tracing::info!(role, oid = %accepted.oid, uti = ?accepted.uti, outcome = "accepted", "login");
            LdapResultCode::Success
        }
        Err(refused) => {
            state.requests.ldap_refused.one();
            let (oid, uti) = (&refused.oid, &refused.uti);
            tracing::info!(role, ?oid, ?uti, outcome = "refused", reason = %refused.reason, "login");
            LdapResultCode::InvalidCredentials
        }
    }
}

fn bound(code: LdapResultCode) -> LdapOp {
    LdapOp::BindResponse(LdapBindResponse { res: result(code), saslcreds: None })
}

/// The refusal that belongs to a request; `None` for what only a server may send.
fn unwilling(request: &LdapOp) -> Option<LdapOp> {
    let refusal = result(LdapResultCode::UnwillingToPerform);
    Some(match request {
        LdapOp::SearchRequest(_) => LdapOp::SearchResultDone(refusal),
        LdapOp::ModifyRequest(_) => LdapOp::ModifyResponse(refusal),
        LdapOp::AddRequest(_) => LdapOp::AddResponse(refusal),
        LdapOp::DelRequest(_) => LdapOp::DelResponse(refusal),
        LdapOp::ModifyDNRequest(_) => LdapOp::ModifyDNResponse(refusal),
        LdapOp::CompareRequest(_) => LdapOp::CompareResult(refusal),
        LdapOp::ExtendedRequest(_) => {
            LdapOp::ExtendedResponse(LdapExtendedResponse { res: refusal, name: None, value: None })
        }
        _ => return None,
    })
}

fn result(code: LdapResultCode) -> LdapResult {
    LdapResult { code, matcheddn: String::new(), message: String::new(), referral: Vec::new() }
}

/// The codec, with its own tracing off: a parse error there carries the bytes that failed, a token among them.
struct QuietCodec(LdapCodec);

impl Decoder for QuietCodec {
    type Item = LdapMsg;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<LdapMsg>> {
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            self.0.decode(bytes).map_err(|error| io::Error::from(error.kind()))
        })
    }
}

impl Encoder<LdapMsg> for QuietCodec {
    type Error = io::Error;

    fn encode(&mut self, message: LdapMsg, bytes: &mut BytesMut) -> io::Result<()> {
        self.0.encode(message, bytes)
    }
}
