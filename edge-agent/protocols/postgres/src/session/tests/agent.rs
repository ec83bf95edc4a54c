//! A client that sees every message as it is on the wire.

pub(super) mod messages;

use std::net::SocketAddr;

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::upstream;
use crate::{codec::encode, verify_with};

/// One message of the edge.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

impl Heard {
    /// A field of an `ErrorResponse`; empty if it is not there.
    pub(super) fn field(&self, code: u8) -> String {
        let fields = self.body.split(|&byte| byte == 0);
        let found = fields.into_iter().find(|field| field.first() == Some(&code));
        found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    }
}

pub(super) struct Agent {
    stream: TlsStream<TcpStream>,
    /// Body of `BackendKeyData`.
    pub(super) key: Vec<u8>,
}

impl Agent {
    pub(super) async fn login(edge: SocketAddr) -> Result<Self, Heard> {
        Self::login_as(edge, "good", "shop", "").await
    }

    /// Logs in, or returns the error that the edge sent instead.
    pub(super) async fn login_as(
        edge: SocketAddr,
        token: &str,
        database: &str,
        options: &str,
    ) -> Result<Self, Heard> {
        let mut tcp = TcpStream::connect(edge).await.unwrap();
        tcp.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'S');
        let tls = verify_with(upstream::ca().as_bytes()).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(tls).connect(name, tcp).await.unwrap();
        let mut agent = Self { stream, key: Vec::new() };
        let mut startup = BytesMut::new();
        let parameters = [("user", "ada"), ("database", database), ("options", options)];
        encode::startup(&mut startup, parameters.into_iter());
        agent.raw(&startup).await;
        let asked = agent.hear().await.unwrap();
        if asked.kind == b'E' {
            return Err(asked);
        }
        assert_eq!((asked.kind, asked.body.as_slice()), (b'R', &[0, 0, 0, 3][..]));
        agent.send(b'p', format!("{token}\0").as_bytes()).await;
        let mut last = agent.until_ready().await;
        if let Some(key) = last.iter().find(|message| message.kind == b'K') {
            agent.key.clone_from(&key.body);
        }
        if last.last().unwrap().kind == b'E' { Err(last.pop().unwrap()) } else { Ok(agent) }
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(super) async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut out = BytesMut::new();
        encode::framed(&mut out, kind, |out| out.extend_from_slice(body));
        self.raw(&out).await;
    }

    pub(super) async fn query(&mut self, text: &str) -> Vec<Heard> {
        self.send(b'Q', format!("{text}\0").as_bytes()).await;
        self.until_ready().await
    }

    /// Everything up to `ReadyForQuery` or the end of the connection.
    pub(super) async fn until_ready(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(message) = self.hear().await {
            heard.push(message);
            if heard.last().unwrap().kind == b'Z' {
                break;
            }
        }
        heard
    }

    /// Sends these messages together, and hears everything up to `ReadyForQuery`.
    pub(super) async fn ask(&mut self, messages: &[Vec<u8>]) -> Vec<Heard> {
        self.raw(&messages.concat()).await;
        self.until_ready().await
    }

    /// Sends these messages together, and hears so many.
    pub(super) async fn ask_for(&mut self, messages: &[Vec<u8>], count: usize) -> Vec<Heard> {
        self.raw(&messages.concat()).await;
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(self.hear().await.expect("the edge stays"));
        }
        heard
    }

    pub(super) async fn terminate(mut self) {
        self.send(b'X', b"").await;
    }

    pub(super) async fn hear(&mut self) -> Option<Heard> {
        let kind = self.stream.read_u8().await.ok()?;
        let length = self.stream.read_u32().await.ok()? as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Heard { kind, body })
    }
}

/// Sends bytes without TLS and returns what comes back until the edge closes.
pub(super) async fn plain(edge: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(edge).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    answer
}
