//! The way to the control plane: where it is, whom to trust, and what we show it.
//!
//! TLS only, and only roots that the user named: a bearer token goes over this connection. The token is read from
//! a file or the environment, never from the command line, where every process of the machine could read it.

use std::{
    env,
    fs::File,
    future::Future,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign_model::Secret;
use countersign_wire::v1::{
    approval_service_client::ApprovalServiceClient, development_service_client::DevelopmentServiceClient,
    edge_admin_service_client::EdgeAdminServiceClient, recording_service_client::RecordingServiceClient,
    resource_service_client::ResourceServiceClient, session_service_client::SessionServiceClient,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::failure::Failure;

/// TCP and TLS together.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// One unary call.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The longest file with a token or roots that is read, in bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// The longest message that is taken, in bytes: a page of resources or of approvals, or a segment.
const LONGEST_MESSAGE: usize = 64 << 20;
/// While something is awaited, the control plane is asked this often whether it is still there.
const STILL_THERE: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const SAYS_SO_WITHIN: Duration = Duration::from_secs(20);

/// Where the control plane is and who asks; the same for every command.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The control plane's admin address: an https URL.
    #[arg(long, global = true, value_name = "URL", env = "COUNTERSIGN_ADDR")]
    addr: Option<String>,
    /// PEM file with the roots that its certificate must chain to.
    #[arg(long, global = true, value_name = "PATH", env = "COUNTERSIGN_CA")]
    ca: Option<PathBuf>,
    /// File with the token to show; without one, the token in COUNTERSIGN_TOKEN is shown.
    #[arg(long, global = true, value_name = "PATH", env = "COUNTERSIGN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// Whether we know where the control plane is.
    pub(crate) fn has_address(&self) -> bool {
        self.address().is_some()
    }

    /// Connects, to show the token with each call.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let channel = self.channel().await?;
        Ok(Connection { channel, bearer: Bearer::new(self.token()?)? })
    }

    /// Connects to show nothing.
    pub(crate) async fn connect_as_nobody(&self) -> Result<Connection, Failure> {
        Ok(Connection { channel: self.channel().await?, bearer: Bearer::default() })
    }

    fn address(&self) -> Option<&str> {
        self.addr.as_deref().filter(|addr| !addr.is_empty())
    }

    async fn channel(&self) -> Result<Channel, Failure> {
        let addr = self
            .address()
            .ok_or_else(|| Failure::usage("where is the control plane? Set --addr or COUNTERSIGN_ADDR"))?;
        if !addr.starts_with("https://") {
            return Err(Failure::usage("the control plane's address must begin with https://"));
        }
        let ca = self
            .ca
            .as_deref()
            .filter(|path| !path.as_os_str().is_empty())
            .ok_or_else(|| Failure::usage("which roots are trusted? Set --ca or COUNTERSIGN_CA"))?;
        let roots = Certificate::from_pem(read_short(ca)?);
        let endpoint = Endpoint::from_shared(addr.to_owned())
            .map_err(|_| Failure::usage("the control plane's address is not a URL"))?
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(STILL_THERE)
            .keep_alive_timeout(SAYS_SO_WITHIN)
            .tls_config(ClientTlsConfig::new().ca_certificate(roots))?;
        tokio::time::timeout(CONNECT_WITHIN, endpoint.connect())
            .await
            .map_err(|_| Failure::timed_out("cannot reach the control plane: it does not answer"))?
            .map_err(Failure::from)
    }

    /// The token to show; a file goes before the environment.
    fn token(&self) -> Result<Option<Secret>, Failure> {
        let text = match self.token_file.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Some(read_short(path)?),
            None => env::var("COUNTERSIGN_TOKEN").ok(),
        };
        Ok(text.map(|text| Secret::new(text.trim().to_owned())).filter(|token| !token.expose().is_empty()))
    }
}

/// A connection to the control plane.
pub(crate) struct Connection {
    channel: Channel,
    bearer: Bearer,
}

/// What a client of ours is built over.
pub(crate) type Authenticated = InterceptedService<Channel, Bearer>;

impl Connection {
    fn service(&self) -> Authenticated {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// Zones, targets, agents and policy bundles.
    pub(crate) fn resources(&self) -> ResourceServiceClient<Authenticated> {
        ResourceServiceClient::new(self.service()).max_decoding_message_size(LONGEST_MESSAGE)
    }

    /// Sessions.
    pub(crate) fn sessions(&self) -> SessionServiceClient<Authenticated> {
        SessionServiceClient::new(self.service()).max_decoding_message_size(LONGEST_MESSAGE)
    }

    /// Approvals.
    pub(crate) fn approvals(&self) -> ApprovalServiceClient<Authenticated> {
        ApprovalServiceClient::new(self.service()).max_decoding_message_size(LONGEST_MESSAGE)
    }

    /// Recordings.
    pub(crate) fn recordings(&self) -> RecordingServiceClient<Authenticated> {
        RecordingServiceClient::new(self.service()).max_decoding_message_size(LONGEST_MESSAGE)
    }

    /// Edges.
    pub(crate) fn edges(&self) -> EdgeAdminServiceClient<Authenticated> {
        EdgeAdminServiceClient::new(self.service()).max_decoding_message_size(LONGEST_MESSAGE)
    }

    /// Test tokens; of the development server alone.
    pub(crate) fn development(&self) -> DevelopmentServiceClient<Authenticated> {
        DevelopmentServiceClient::new(self.service())
    }
}

/// Waits for one answer, and says so if it does not come.
pub(crate) async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_WITHIN, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Failure::timed_out("the control plane has not answered in time")),
    }
}

/// Everything that a list has. `ask` gets the token of a page, and answers what is on it and the token of the
/// next.
pub(crate) async fn all_pages<T>(
    ask: impl AsyncFn(String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    let mut page_token = String::new();
    loop {
        let (page, next) = ask(page_token).await?;
        items.extend(page);
        if next.is_empty() {
            return Ok(items);
        }
        page_token = next;
    }
}

/// Adds the caller's token to each call.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn new(token: Option<Secret>) -> Result<Self, Failure> {
        let Some(token) = token else {
            eprintln!("warning: no token is set (--token-file, COUNTERSIGN_TOKEN_FILE or COUNTERSIGN_TOKEN)");
            return Ok(Self(None));
        };
        // The parser's error could quote the token: it is not shown.
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
            .parse()
            .map_err(|_| Failure::usage("the token has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Reads a small text file whole.
fn read_short(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::from_file("read", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn args(addr: &str) -> ConnectionArgs {
        ConnectionArgs { addr: Some(addr.to_owned()), ..ConnectionArgs::default() }
    }

    #[tokio::test]
    async fn an_address_without_tls_or_roots_is_refused() {
        for addr in ["", "http://127.0.0.1:1", "https://127.0.0.1:1"] {
            let failure = args(addr).connect_as_nobody().await.err().expect("refused");
            assert_eq!(failure.exit(), Exit::Usage, "{addr}");
        }
        assert!(!args("").has_address());
    }

    #[test]
    fn a_token_is_trimmed_sent_and_never_shown() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let args = ConnectionArgs { token_file: Some(file.path().to_owned()), ..ConnectionArgs::default() };
        let mut bearer = Bearer::new(args.token().expect("read")).expect("a token");
        let request = bearer.call(Request::new(())).expect("a request");
        let value = request.metadata().get("authorization").expect("set");
        assert_eq!(value.to_str().ok(), Some("Bearer hunter2"));
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn a_malformed_token_is_refused_without_showing_it() {
        let failure = Bearer::new(Some(Secret::new("hunter2\nx".into()))).err().expect("refused");
        assert!(!failure.to_string().contains("hunter2"));
    }
}
