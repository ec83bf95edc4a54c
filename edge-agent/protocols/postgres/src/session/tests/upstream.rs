//! A target that follows a script: it speaks enough of the protocol to be logged in to and asked.

mod catalog;
mod extended;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicU8},
};

use bytes::{BufMut, BytesMut};
use countersign_model::Name;
use countersign_sql::SearchPath;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::ports::Timeline;
use crate::{
    ApprovedOn, LoginRole, PostgresTarget, Roles, TargetDirectory,
    codec::encode::{self, ErrorMessage, Severity, framed},
    verify_with,
};
pub(super) use catalog::Meanings;
use extended::Extended;
pub(super) use extended::{Extra, Otherwise};

/// How the target behaves.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) tls: bool,
    /// Authentication method that it asks for.
    pub(super) method: u32,
    pub(super) ask_twice: bool,
    pub(super) refuse: bool,
    pub(super) encoding: &'static str,
    pub(super) approved_on: ApprovedOn,
    /// What the target says of the isolation of a transaction.
    pub(super) isolation: &'static str,
    /// The definition of `orders`, as 32 times this byte.
    pub(super) definition: Arc<AtomicU8>,
    /// What names mean, and by whom and which path they were asked for last.
    pub(super) meanings: Meanings,
    /// What it says when it is asked as whom and by which path names are looked up: the schema of temporary objects, the
    /// role, the setting of the path.
    pub(super) outlook: Arc<Mutex<[&'static str; 3]>>,
    /// To one user it describes statements in another way.
    pub(super) otherwise: Option<(&'static str, Otherwise)>,
    /// What it says without being asked.
    pub(super) extra: Option<Extra>,
    /// What was written fails at the Sync that commits it.
    pub(super) deferred_error: bool,
    /// Connections by the key to cancel what they run.
    pub(super) cancels: Arc<Mutex<HashMap<u64, Running>>>,
}

/// What runs on a connection: whose it is, and how it hears that it is cancelled.
pub(super) struct Running {
    user: String,
    cancelled: Arc<Notify>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tls: true,
            method: 3,
            ask_twice: false,
            refuse: false,
            encoding: "UTF8",
            approved_on: ApprovedOn::OwnConnection,
            isolation: "read committed",
            definition: Arc::default(),
            meanings: Meanings::default(),
            outlook: Arc::new(Mutex::new(["0", "app", r#""$user", "public", "pg_temp""#])),
            otherwise: None,
            extra: None,
            deferred_error: false,
            cancels: Arc::default(),
        }
    }
}

/// A directory with one target, `shop`.
pub(super) struct Only(pub(super) Arc<PostgresTarget>);

impl TargetDirectory for Only {
    fn find(&self, name: &Name) -> Option<Arc<PostgresTarget>> {
        (name.as_str() == "shop").then(|| self.0.clone())
    }
}

static KEY: OnceLock<(String, Vec<u8>, Vec<u8>)> = OnceLock::new();

fn key() -> &'static (String, Vec<u8>, Vec<u8>) {
    KEY.get_or_init(|| {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (key.cert.pem(), key.cert.der().to_vec(), key.signing_key.serialize_der())
    })
}

/// The certificate of both the edge and the target, which is its own CA.
pub(super) fn ca() -> &'static str {
    &key().0
}

pub(super) fn server_config() -> Arc<ServerConfig> {
    let (_, certificate, private) = key();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(private.clone()));
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate.clone().into()], private).unwrap())
}

pub(super) async fn start(script: Script, timeline: Timeline) -> Arc<PostgresTarget> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = script.clone();
    tokio::task::spawn_local(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::task::spawn_local(converse(tcp, accepting.clone(), timeline.clone()));
        }
    });
    Arc::new(PostgresTarget {
        host: "localhost".into(),
        port,
        database: "shop".into(),
        tls: verify_with(ca().as_bytes()).unwrap(),
        search_path: SearchPath::default(),
        roles: Roles {
            standing: LoginRole::One("app".into()),
            metadata: LoginRole::One("meta".into()),
            approved: Some(LoginRole::One("boss".into())),
        },
        approved_on: script.approved_on,
        classes: Arc::default(),
    })
}

/// Any failure means that the edge hung up, which is its right.
async fn converse(mut tcp: TcpStream, script: Script, timeline: Timeline) {
    let mut request = [0; 8];
    if tcp.read_exact(&mut request).await.is_err() || request != *b"\0\0\0\x08\x04\xd2\x16\x2f" {
        return timeline.add("target got something else than an SSLRequest");
    }
    let answer = if script.tls { b"S" } else { b"N" };
    let _ = tcp.write_all(answer).await;
    if !script.tls {
        let mut more = Vec::new();
        if tcp.read_to_end(&mut more).await.unwrap_or(0) > 0 {
            timeline.add("target got bytes in the clear: token-standing");
        }
        return;
    }
    let Ok(stream) = TlsAcceptor::from(server_config()).accept(tcp).await else { return };
    let (cancelled, extended) = (Arc::default(), Extended::default());
    let _ = Target { stream, script, timeline, status: b'I', user: String::new(), cancelled, extended }
        .serve()
        .await;
}

struct Target {
    stream: TlsStream<TcpStream>,
    script: Script,
    timeline: Timeline,
    status: u8,
    /// Who logged in.
    user: String,
    /// Somebody wants to have cancelled what runs here.
    cancelled: Arc<Notify>,
    extended: Extended,
}

impl Target {
    async fn serve(&mut self) -> std::io::Result<()> {
        let length = self.stream.read_u32().await? as usize;
        let mut startup = vec![0; length - 4];
        self.stream.read_exact(&mut startup).await?;
        if startup.starts_with(&80_877_102_u32.to_be_bytes()) {
            self.cancel(&startup[4..]);
            return self.stream.shutdown().await;
        }
        let words: Vec<_> = startup[4..].split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
        let user = words[1].to_string();
        self.user.clone_from(&user);
        if !self.log_in(&user).await? {
            return Ok(());
        }
        loop {
            let (kind, body) = self.next().await?;
            let text = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(&body)).into_owned();
            let out = match kind {
                b'Q' => {
                    self.timeline.add(format!("target {} Query: {text}", self.user));
                    self.query(&text)
                }
                b'X' => return Ok(()),
                _ => self.extended(kind, &body),
            };
            let Some(out) = out else { return Ok(()) };
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            if text == "select 'fatal'" || text == "select 'last'" {
                return self.stream.shutdown().await;
            }
        }
    }

    async fn log_in(&mut self, user: &str) -> std::io::Result<bool> {
        for _ in 0..1 + u8::from(self.script.ask_twice) {
            let mut out = BytesMut::new();
            framed(&mut out, b'R', |out| out.put_u32(self.script.method));
            if self.script.method != 0 {
                self.stream.write_all(&out).await?;
                let (_, body) = self.message().await?;
                let token = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(&body)).into_owned();
                self.timeline.add(format!("target login {user} {token} over TLS"));
            }
        }
        let mut out = BytesMut::new();
        if self.script.refuse {
            let (severity, code, message) = (Severity::Fatal, "28P01", "no");
            encode::error(&mut out, &ErrorMessage { severity, code, message, detail: None });
        } else {
            encode::authenticated(&mut out);
            encode::parameter_status(&mut out, "client_encoding", self.script.encoding);
            encode::parameter_status(&mut out, "server_encoding", "UTF8");
            encode::parameter_status(&mut out, "standard_conforming_strings", "on");
            let mut cancels = self.script.cancels.lock().unwrap();
            let key = 7 + cancels.len() as u64;
            cancels.insert(key, Running { user: user.to_owned(), cancelled: self.cancelled.clone() });
            framed(&mut out, b'K', |out| out.put_u64(key));
            framed(&mut out, b'Z', |out| out.put_u8(b'I'));
        }
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        Ok(!self.script.refuse)
    }

    /// The next message; what hangs is answered when it is cancelled.
    async fn next(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        if self.extended.hangs {
            // Nothing else comes before that, so that no message is cut.
            self.cancelled.notified().await;
            let out = self.answer_cancelled();
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
        }
        self.message().await
    }

    fn cancel(&self, key: &[u8]) {
        let key = u64::from_be_bytes(key.try_into().unwrap());
        let cancels = self.script.cancels.lock().unwrap();
        let running = cancels.get(&key).expect("a key that was given");
        self.timeline.add(format!("target cancels what {} runs", running.user));
        running.cancelled.notify_one();
    }

    async fn message(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let kind = self.stream.read_u8().await?;
        let length = self.stream.read_u32().await? as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await?;
        Ok((kind, body))
    }

    /// The reply; `None` hangs up.
    fn query(&mut self, text: &str) -> Option<BytesMut> {
        let mut out = BytesMut::new();
        match text {
            "begin" | "begin; select 1" => {
                self.status = b'T';
                framed(&mut out, b'C', |out| out.put_slice(b"BEGIN\0"));
            }
            "rollback" | "ROLLBACK" | "commit" => {
                self.status = b'I';
                self.extended.transaction_ended();
                let tag = format!("{}\0", text.to_uppercase());
                framed(&mut out, b'C', |out| out.put_slice(tag.as_bytes()));
            }
            "SHOW transaction_isolation" => {
                rows_of(&mut out, &["transaction_isolation"]);
                row(&mut out, &[self.script.isolation]);
                framed(&mut out, b'C', |out| out.put_slice(b"SHOW\0"));
            }
            "countersign refused an operation" => {
                // Outside of a transaction that was begun it ends what a pipeline has done.
                self.status = if self.status == b'I' { b'I' } else { b'E' };
                self.extended.transaction_ended();
                let (severity, code, message) = (Severity::Error, "42601", "syntax error");
                encode::error(&mut out, &ErrorMessage { severity, code, message, detail: None });
            }
            "select 'hang'" => {
                self.extended.query_hangs();
                return Some(out);
            }
            text if text.starts_with("SELECT pg_catalog.pg_my_temp_schema()") => {
                rows_of(&mut out, &["temporary", "role", "path"]);
                row(&mut out, &*self.script.outlook.lock().unwrap());
                framed(&mut out, b'C', |out| out.put_slice(b"SELECT 1\0"));
            }
            "savepoint a" => framed(&mut out, b'C', |out| out.put_slice(b"SAVEPOINT\0")),
            "select 'die'" => return None,
            "select 'fatal'" => {
                let (severity, code, message) = (Severity::Fatal, "57P01", "bye");
                encode::error(&mut out, &ErrorMessage { severity, code, message, detail: None });
                return Some(out);
            }
            "select 'copy'" => {
                framed(&mut out, b'G', |out| out.put_slice(&[0, 0, 0]));
                return Some(out);
            }
            "select 'big'" => rows(&mut out, 3000),
            "select * from orders" => rows(&mut out, 3),
            _ => rows(&mut out, 1),
        }
        framed(&mut out, b'Z', |out| out.put_u8(self.status));
        Some(out)
    }
}

fn rows(out: &mut BytesMut, count: usize) {
    rows_of(out, &["id"]);
    for _ in 0..count {
        row(out, &["x".repeat(100).as_str()]);
    }
    framed(out, b'C', |out| out.put_slice(format!("SELECT {count}\0").as_bytes()));
}

/// `RowDescription`, all columns of no type.
fn rows_of(out: &mut BytesMut, columns: &[&str]) {
    framed(out, b'T', |out| {
        out.put_u16(columns.len() as u16);
        for column in columns {
            out.put_slice(column.as_bytes());
            out.put_slice(&[0; 19]);
        }
    });
}

fn row(out: &mut BytesMut, values: &[&str]) {
    framed(out, b'D', |out| {
        out.put_u16(values.len() as u16);
        for value in values {
            out.put_u32(value.len() as u32);
            out.put_slice(value.as_bytes());
        }
    });
}
