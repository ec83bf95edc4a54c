//! How a connection begins: TCP, then TLS that proves the server, then a login by a minted token.
//!
//! The token is sent once, only to a server whose certificate was verified for the target's host, and only in
//! answer to `AuthenticationCleartextPassword`. A server that asks in any other way, or for nothing, is refused.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use countersign_gate::{Permit, Recorded, ports::Credential};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Line, statements::Statements};
use crate::{
    PostgresTarget,
    codec::{Malformed, backend, backend::Status, word},
    control::{Control, password},
    inlet::Inlet,
    pins::Pins,
};

/// `SSLRequest`.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// Largest message of a login, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Longest secret of a `BackendKeyData`, in bytes (protocol 3.2; 3.0 has four).
const MAX_CANCEL_SECRET: usize = 256;
/// Messages that a login may have.
const MAX_MESSAGES: usize = 256;

/// Why a target could not be logged in to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// No connection, or it ended.
    #[error("the target cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("the target did not answer in time")]
    Timeout,
    /// The target's name leads to addresses that are never dialled, or to none.
    #[error("the target's host has no address that may be dialled")]
    Address,
    /// The host of the target is no name or address.
    #[error("the target's host is not a DNS name or an address")]
    Host,
    /// The server does not speak TLS.
    #[error("the target does not offer TLS")]
    NoTls,
    /// The certificate does not verify, or TLS failed otherwise.
    #[error("TLS with the target failed: {0}")]
    Tls(io::Error),
    /// The server refused the login, with this SQLSTATE.
    #[error("the target refused the login with {0}")]
    Refused(String),
    /// The server asks for another proof than a token, or for the token again.
    #[error("the target asks for authentication method {0}, and a token is sent once and in no other way")]
    Method(u32),
    /// The server asked for nothing: then anybody could log in there.
    #[error("the target let the role in without asking for a token")]
    Unasked,
    /// The credential or permit is for another identity.
    #[error("the credential is for another identity")]
    Identity,
    /// The server does not confirm the settings that statements are read by.
    #[error("the target does not report UTF8 and standard_conforming_strings")]
    Unpinned,
    /// Not PostgreSQL's protocol.
    #[error("the target broke the protocol: {0}")]
    Malformed(#[from] Malformed),
}

impl DialError {
    /// The SQLSTATE that the record of the Connect carries.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Refused(code) => code,
            _ => "08006",
        }
    }
}

/// What a login asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    /// Where.
    pub(crate) target: &'a PostgresTarget,
    /// As whom: the role that the target gives to the identity of the permit.
    pub(crate) role: &'a str,
    /// Value for `search_path`.
    pub(crate) search_path: &'a str,
    /// Settings of the client, from closed lists.
    pub(crate) settings: &'a [(String, String)],
    /// For connecting, and again for logging in.
    pub(crate) patience: Duration,
}

/// Connections of this process so far.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// What the server said of itself when it let the login in.
#[derive(Default)]
pub(crate) struct Greeting {
    /// Body of `BackendKeyData`; empty if there was none, or one too long to be one.
    pub(super) cancel_key: Bytes,
    /// `ParameterStatus` messages, in order.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Logs in as the identity of `permit`, which shows that somebody may.
pub(crate) async fn dial(
    login: Login<'_>,
    permit: &Recorded<Permit>,
    credential: Credential,
) -> Result<(Line, Greeting), DialError> {
    let identity = permit.identity();
    if credential.identity() != identity {
        return Err(DialError::Identity);
    }
    let mut stream = within(login.patience, secure(login.target)).await?;
    let mut inlet = Inlet::new();
    let entering = enter(&mut stream, &mut inlet, login, credential);
    let greeting = within(login.patience, entering).await?;
    let pins = Pins::of(greeting.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    if !pins.are_complete() {
        return Err(DialError::Unpinned);
    }
    let line = Line {
        stream,
        inlet,
        outgoing: BytesMut::new(),
        identity,
        pins,
        prepared: Vec::new(),
        statements: Statements::default(),
        cancel_key: greeting.cancel_key.clone(),
        serial: SERIAL.fetch_add(1, Ordering::Relaxed),
    };
    Ok((line, greeting))
}

async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    timeout(patience, step).await.unwrap_or(Err(DialError::Timeout))
}

/// TCP to the first address that answers. Addresses where clouds serve credentials of the machine are passed over:
/// a name that leads there, by an admin's mistake or by somebody else's DNS, must not turn the edge on its host.
async fn connect(target: &PostgresTarget) -> Result<TcpStream, DialError> {
    let mut last = DialError::Address;
    for address in lookup_host((target.host.as_str(), target.port)).await? {
        if serves_credentials(address.ip()) {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// Link-local addresses (IMDS lives at 169.254.169.254, in AWS also at fd00:ec2::254) and Azure's wire server.
fn serves_credentials(address: IpAddr) -> bool {
    const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address == AZURE_WIRE_SERVER,
        IpAddr::V6(address) => address.is_unicast_link_local() || address == AWS_METADATA,
    }
}

/// TCP, and TLS that is verified in full: chain and host.
pub(super) async fn secure(target: &PostgresTarget) -> Result<TlsStream<TcpStream>, DialError> {
    let host = ServerName::try_from(target.host.clone()).map_err(|_| DialError::Host)?;
    let mut tcp = connect(target).await?;
    tcp.set_nodelay(true)?;
    tcp.write_all(&TLS_REQUEST).await?;
    // Exactly one byte: what came behind it in the clear would otherwise pass for something said under TLS.
    if tcp.read_u8().await? != b'S' {
        return Err(DialError::NoTls);
    }
    TlsConnector::from(target.tls.clone()).connect(host, tcp).await.map_err(DialError::Tls)
}

async fn enter(
    stream: &mut TlsStream<TcpStream>,
    inlet: &mut Inlet,
    login: Login<'_>,
    credential: Credential,
) -> Result<Greeting, DialError> {
    let mut parameters = vec![("user", login.role), ("database", &*login.target.database)];
    parameters.extend(login.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    // Last, so that they stand whatever comes before.
    parameters.extend([
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("search_path", login.search_path),
        // A statement whose session is gone must not run on: the server looks every second whether we are there
        // (PostgreSQL 14 and later).
        ("client_connection_check_interval", "1000"),
    ]);
    let mut startup = BytesMut::new();
    Control::Startup(&parameters).encode(&mut startup);
    stream.write_all(&startup).await?;
    stream.flush().await?;
    converse(stream, inlet, credential).await
}

async fn converse(
    stream: &mut TlsStream<TcpStream>,
    inlet: &mut Inlet,
    credential: Credential,
) -> Result<Greeting, DialError> {
    let (mut greeting, mut credential, mut authenticated) = (Greeting::default(), Some(credential), false);
    for _ in 0..MAX_MESSAGES {
        let (kind, body) = next_message(stream, inlet).await?;
        match kind {
            b'R' if !authenticated => match word(&body, 0).ok_or(Malformed::Body)? {
                0 if credential.is_none() => authenticated = true,
                0 => return Err(DialError::Unasked),
                3 => {
                    let credential = credential.take().ok_or(DialError::Method(3))?;
                    stream.write_all(&password(credential)).await?;
                    stream.flush().await?;
                }
                method => return Err(DialError::Method(method)),
            },
            b'E' => return Err(DialError::Refused(backend::error_fields(&body)?.code.to_owned())),
            b'S' if authenticated => {
                let (name, value) = backend::parameter_status(&body)?;
                greeting.parameters.push((name.to_owned(), value.to_owned()));
            }
            b'K' if authenticated => {
                if body.len() <= 4 + MAX_CANCEL_SECRET {
                    greeting.cancel_key = Bytes::copy_from_slice(&body);
                }
            }
            b'N' => {}
            b'Z' if authenticated && Status::of(&body)? == Status::Idle => return Ok(greeting),
            _ => return Err(Malformed::Type.into()),
        }
    }
    Err(Malformed::Length.into())
}

async fn next_message(
    stream: &mut TlsStream<TcpStream>,
    inlet: &mut Inlet,
) -> Result<(u8, Bytes), DialError> {
    loop {
        if let Some(header) = backend::header(&inlet.bytes)? {
            if header.total > MAX_MESSAGE {
                return Err(Malformed::Length.into());
            }
            if inlet.bytes.len() >= header.total {
                let mut message = inlet.bytes.split_to(header.total).freeze();
                message.advance(5);
                return Ok((header.kind, message));
            }
        }
        if !inlet.fill(stream).await? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_serve_credentials_are_never_dialled() {
        for address in
            ["169.254.169.254", "168.63.129.16", "fd00:ec2::254", "fe80::1", "::ffff:169.254.169.254"]
        {
            assert!(serves_credentials(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.4", "168.63.129.17", "::1", "2001:db8::1"] {
            assert!(!serves_credentials(address.parse().unwrap()), "{address}");
        }
    }
}
