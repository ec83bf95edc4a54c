//! A strict stand-in for Entra ID, and the verifier that lets PostgreSQL accept its tokens.
//!
//! For development and tests only: `/emulator/…` issues any token to anybody, so both listeners are bound to loopback
//! or not at all. It shares no code with the control plane or the edge, because it judges them: where they misread
//! Entra, it must not misread with them. It never takes a client secret.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub mod config;
pub mod development;
pub mod directory;
mod discovery;
mod faults;
mod federation;
mod guid;
mod issue;
mod jwt;
mod keys;
mod ldap;
mod requests;
mod server;
mod state;
mod strict_json;
mod test_api;
#[cfg(test)]
mod testing;
mod token_endpoint;

pub use crate::config::{Config, TlsFiles};
pub use crate::directory::{Directory, DirectoryError};
pub use crate::federation::IssuerKeysError;
pub use crate::guid::{Guid, NotAGuid};
pub use crate::issue::{IssueError, PUBLIC_CLIENT, TokenKind, TokenRequest};
pub use crate::keys::{CONSUMERS, FOREIGN_TENANT, KeyError};
pub use crate::server::TlsError;

use crate::keys::KeyRing;
use crate::state::State;

/// The way to start one; any number may run in a process.
pub struct Emulator;

/// A running emulator. Dropping it stops both listeners and all their connections.
pub struct Running {
    /// `scheme://host:port`, the authority of every URL and issuer; no slash at the end.
    pub url: String,
    /// Where the LDAP verifier listens, if it does.
    pub ldap: Option<SocketAddr>,
    state: Arc<State>,
    listeners: Vec<AbortOnDropHandle<()>>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The test API and plain LDAP are for this machine alone.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The directory could not exist.
    #[error("directory: {0}")]
    Directory(#[from] DirectoryError),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate of the listener.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The roots for federated issuers.
    #[error(transparent)]
    Issuers(#[from] IssuerKeysError),
    /// A listener.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Emulator {
    /// Makes the keys, binds the listeners and serves. Once this returns, both answer.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let addresses = [Some(config.listen), config.ldap_listen];
        if let Some(address) = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback()) {
            return Err(StartError::NotLoopback(address));
        }
        config.directory.check()?;
        let tls = config.tls.as_ref().map(server::acceptor).transpose()?;
        let issuers = federation::IssuerKeys::new(&config.trust_roots)?;
        let keys = tokio::task::spawn_blocking(KeyRing::generate).await.map_err(KeyError::stopped)??;

        let (http, address) = listen(config.listen).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}:{}", config.public_host, address.port());
        let state = Arc::new(State::new(url.clone(), config.directory, keys, issuers));

        let mut listeners = vec![spawn(server::accept(http, tls, server::routes(Arc::clone(&state))))];
        let mut ldap = None;
        if let Some(address) = config.ldap_listen {
            let (listener, address) = listen(address).await?;
            listeners.push(spawn(ldap::accept(listener, Arc::clone(&state))));
            ldap = Some(address);
        }
        Ok(Running { url, ldap, state, listeners })
    }
}

impl Running {
    /// An access token as the test API's `POST /emulator/tokens` makes it, with a fresh `uti`.
    pub fn issue(&self, request: &TokenRequest) -> Result<String, IssueError> {
        issue::on_request(&self.state, request)
    }

    /// The directory as it is now.
    pub fn directory(&self) -> Arc<Directory> {
        self.state.directory()
    }

    /// Changes the directory: all of it or, if the change fails or makes an impossible directory, nothing.
    pub fn edit<R>(
        &self,
        change: impl FnOnce(&mut Directory) -> Result<R, DirectoryError>,
    ) -> Result<R, DirectoryError> {
        self.state.edit(change)
    }

    /// Stops and waits until the ports are free again.
    pub async fn shutdown(self) {
        for listener in self.listeners {
            listener.abort();
            // The one outcome is "cancelled": accept loops do not end by themselves.
            let _ = listener.await;
        }
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    Ok((listener, bound))
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
