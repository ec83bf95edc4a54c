//! HTTP for the emulator: routes, TLS, and an accept loop whose connections end with it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::state::State;
use crate::{discovery, test_api, token_endpoint};

/// Time for the TLS handshake, and for the head of each request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The files of the listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not readable as PEM.
    #[error("TLS files: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Certificate and key do not fit together.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Everything that is served.
pub(crate) fn routes(state: Arc<State>) -> Router {
    Router::new()
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery::v2))
        .route("/{tenant}/.well-known/openid-configuration", get(discovery::v1))
        .route("/{tenant}/discovery/v2.0/keys", get(discovery::keys))
        .route("/{tenant}/discovery/keys", get(discovery::keys))
        .route(
            "/{tenant}/oauth2/v2.0/token",
            any(token_endpoint::token).layer(DefaultBodyLimit::max(token_endpoint::MAX_BODY)),
        )
        .nest("/emulator", test_api::routes())
        .with_state(state)
}

/// HTTP/1.1 and HTTP/2 over TLS 1.2 and 1.3.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts until dropped; dropping it drops every connection too.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, routes: Router) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, tls.clone(), routes.clone()));
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, routes: Router) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return speak_http(stream, routes).await;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak_http(stream, routes).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn speak_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE);
    let service = TowerToHyperService::new(routes);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection");
    }
}
