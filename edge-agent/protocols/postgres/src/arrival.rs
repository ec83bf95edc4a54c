//! From a TCP connection to a client that has shown a token: TLS, startup, password. Nothing is believed yet.

use std::{io, sync::Arc};

use bytes::BytesMut;
use countersign_model::{Name, Secret};
use rustls::ServerConfig;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{
    Limits,
    client::{Client, ClientError},
    codec::{
        Malformed,
        encode::{self, ErrorMessage, Severity},
        startup::{self, CancelKey, Opening, StartupPacket},
    },
    inlet::Inlet,
    startup::{Startup, StartupError},
};

/// Requests for encryption before one has to be taken.
const MAX_REQUESTS: usize = 3;

/// A client with its token.
pub(crate) struct Arrival {
    pub(crate) client: Client,
    pub(crate) startup: Startup,
    pub(crate) target: Name,
    pub(crate) token: Secret,
}

/// Who came to have something cancelled, and waits for the end of the connection.
pub(crate) enum Asker {
    /// In the clear, as most clients ask.
    Plain(TcpStream),
    /// Within TLS.
    Secure(Box<Client>),
}

impl Asker {
    /// Ends the connection, which is the answer.
    pub(crate) async fn dismiss(self) {
        match self {
            Self::Plain(mut tcp) => drop(tcp.shutdown().await),
            Self::Secure(client) => client.close(BytesMut::new()).await,
        }
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asker")
    }
}

/// The client went, or was told why it has to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Departed {
    /// It left, or sent what needs no answer.
    #[error("the client left")]
    Left,
    /// It came to have a session's operation cancelled, and wants no answer.
    #[error("the client wants something cancelled")]
    Cancels(CancelKey, Asker),
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// It was sent an error with this code.
    #[error("refused with {0}")]
    Told(&'static str),
}

impl From<ClientError> for Departed {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Left => Self::Left,
            ClientError::Io(error) => Self::Io(error),
            ClientError::Malformed(_) => Self::Told("08P01"),
        }
    }
}

/// Takes a connection as far as its token.
pub(crate) async fn arrive(
    tcp: TcpStream,
    tls: Arc<ServerConfig>,
    limits: &Limits,
) -> Result<Arrival, Departed> {
    tcp.set_nodelay(true)?;
    let tcp = ask_for_tls(tcp).await?;
    let stream = TlsAcceptor::from(tls).accept(tcp).await?;
    let mut client = Client::new(stream, limits.max_query);
    let packet = match client.opening().await {
        Ok(Opening::Startup(packet)) => packet,
        Ok(Opening::Cancel(key)) => return Err(Departed::Cancels(key, Asker::Secure(Box::new(client)))),
        Ok(Opening::Tls | Opening::GssEncryption) => return Err(malformed(client, Malformed::Type).await),
        Err(ClientError::Malformed(error)) => return Err(malformed(client, error).await),
        Err(error) => return Err(error.into()),
    };
    let (startup, target) = match read_startup(packet) {
        Ok(read) => read,
        Err((code, message)) => return Err(tell(client, code, &message).await),
    };
    client.write(&greeting(&startup)).await?;
    match client.password().await {
        Ok(token) => Ok(Arrival { client, startup, target, token }),
        Err(ClientError::Malformed(error)) => Err(malformed(client, error).await),
        Err(error) => Err(error.into()),
    }
}

/// The part before TLS, in which nothing but requests for encryption is understood.
async fn ask_for_tls(mut tcp: TcpStream) -> Result<TcpStream, Departed> {
    let mut inlet = Inlet::new();
    for _ in 0..MAX_REQUESTS {
        let opening = loop {
            match startup::take_opening(&mut inlet.bytes) {
                Ok(Some(opening)) => break opening,
                Ok(None) if inlet.fill(&mut tcp).await? => {}
                Ok(None) => return Err(Departed::Left),
                Err(error) => return tell_plainly(tcp, "08P01", &error.to_string()).await,
            }
        };
        // What a client sends in the clear behind its request could be somebody else's: it must not be taken for
        // what the client says under TLS.
        let request = matches!(opening, Opening::Tls | Opening::GssEncryption);
        if request && !inlet.bytes.is_empty() {
            return tell_plainly(tcp, "08P01", "unencrypted bytes after a request for encryption").await;
        }
        match opening {
            Opening::Tls => {
                tcp.write_all(b"S").await?;
                return Ok(tcp);
            }
            Opening::GssEncryption => tcp.write_all(b"N").await?,
            // In the clear, as most clients send it: the key is worth nothing but this one request.
            Opening::Cancel(key) => return Err(Departed::Cancels(key, Asker::Plain(tcp))),
            Opening::Startup(_) => return tell_plainly(tcp, "28000", "connections have to use TLS").await,
        }
    }
    Err(Departed::Left)
}

fn read_startup(packet: StartupPacket) -> Result<(Startup, Name), (&'static str, String)> {
    let startup = Startup::read(packet).map_err(|error| (code(&error), error.to_string()))?;
    let target = startup.target.parse().map_err(|_| ("3D000", "there is no such target".to_owned()))?;
    Ok((startup, target))
}

fn code(error: &StartupError) -> &'static str {
    match error {
        StartupError::NoUser => "28000",
        StartupError::Wait => "22023",
        StartupError::Options => "42601",
        StartupError::Version
        | StartupError::Setting(_)
        | StartupError::Encoding
        | StartupError::Database
        | StartupError::Auth => "0A000",
    }
}

fn greeting(startup: &Startup) -> BytesMut {
    let mut out = BytesMut::new();
    if startup.newer || !startup.unknown.is_empty() {
        let unknown: Vec<&str> = startup.unknown.iter().map(String::as_str).collect();
        encode::negotiate(&mut out, &unknown);
    }
    encode::ask_password(&mut out);
    out
}

async fn malformed(client: Client, error: Malformed) -> Departed {
    tell(client, "08P01", &error.to_string()).await
}

async fn tell(client: Client, code: &'static str, message: &str) -> Departed {
    client.close(fatal(code, message)).await;
    Departed::Told(code)
}

async fn tell_plainly(mut tcp: TcpStream, code: &'static str, message: &str) -> Result<TcpStream, Departed> {
    tcp.write_all(&fatal(code, message)).await?;
    tcp.shutdown().await?;
    Err(Departed::Told(code))
}

/// An error that ends the connection before there is a session.
pub(crate) fn fatal(code: &str, message: &str) -> BytesMut {
    let mut out = BytesMut::new();
    encode::error(&mut out, &ErrorMessage { severity: Severity::Fatal, code, message, detail: None });
    out
}
