//! The connection to the control plane: one HTTP/2 connection over mTLS, replaced when the certificate is.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use countersign_wire::v1::edge_service_client::EdgeServiceClient;
use tonic::{
    Request,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity},
};

use crate::Membership;

/// A configuration carries all policies of the deployment.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A shared handle on the newest connection. Connects when first used, and again by itself.
#[derive(Clone)]
pub(crate) struct Link {
    channel: Arc<ArcSwap<Channel>>,
}

impl Link {
    /// A connection to `url` as the edge that `membership` names.
    pub(crate) fn new(url: &str, membership: &Membership) -> Result<Self, Error> {
        Ok(Self { channel: Arc::new(ArcSwap::from_pointee(channel(url, membership)?)) })
    }

    /// A connection that is there already.
    #[cfg(test)]
    pub(crate) fn over(channel: Channel) -> Self {
        Self { channel: Arc::new(ArcSwap::from_pointee(channel)) }
    }

    /// Goes on with another certificate. Calls under way end on the old connection.
    pub(crate) fn replace(&self, url: &str, membership: &Membership) -> Result<(), Error> {
        self.channel.store(Arc::new(channel(url, membership)?));
        Ok(())
    }

    /// A client of the edge listener.
    pub(crate) fn edge_service(&self) -> EdgeServiceClient<Channel> {
        let channel = Channel::clone(&self.channel.load());
        EdgeServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
    }
}

/// A call that is given up after `timeout`.
pub(crate) fn bounded<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

fn channel(url: &str, membership: &Membership) -> Result<Channel, Error> {
    let identity = Identity::from_pem(&membership.chain_pem, membership.key_pem.expose());
    let tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&membership.root_pem)).identity(identity);
    Ok(endpoint(url)?.tls_config(tls)?.connect_lazy())
}

/// Server TLS alone: for enrolment, when there is no certificate yet.
pub(crate) fn without_certificate(url: &str, root_pem: &str) -> Result<Channel, Error> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root_pem));
    Ok(endpoint(url)?.tls_config(tls)?.connect_lazy())
}

fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true))
}
