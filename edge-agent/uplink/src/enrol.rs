//! Joining a deployment with a one-time token, and staying in it with new certificates.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_model::{Name, Secret};
use countersign_pki::{EdgeKey, KeyFileError};
use countersign_wire::v1;
use tonic::{Response, Status, transport};
use tracing::{info, warn};

use crate::{Membership, MembershipError, channel, channel::Link};

/// Why an edge could not join.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The control plane said no, or did not answer.
    #[error("the control plane refused the enrolment: {} ({:?})", .0.message(), .0.code())]
    Refused(Box<Status>),
    /// The URL or a certificate is malformed.
    #[error("the control plane's URL or root is malformed: {0}")]
    Transport(#[from] transport::Error),
    /// The answer or the file.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The deployment enrolled it in another zone or under another name than it is configured for.
    #[error(
        "the deployment enrolled this edge as {edge} in zone {zone}, which is not what it is configured for"
    )]
    OtherName {
        /// The name it got.
        edge: Name,
        /// The zone it got.
        zone: Name,
    },
}

/// What an edge needs to join.
#[derive(Debug)]
pub struct Joining {
    /// The edge listener of the control plane.
    pub url: String,
    /// PEM of the deployment's root, brought by the admin: before enrolment nothing else says whom to trust.
    pub root_pem: String,
    /// The name that it wants.
    pub edge: Name,
    /// The zone that it is configured for.
    pub zone: Name,
    /// One-time token.
    pub join_token: Secret,
}

/// The control plane answers within this, or the question is lost.
const ANSWER: Duration = Duration::from_secs(30);

/// Trades the join token for a certificate and keeps it in `path`. The token serves once: if the answer to it is lost,
/// the admin has to remove the edge and make a new one.
pub async fn enrol(joining: Joining, path: &std::path::Path) -> Result<Membership, EnrolError> {
    let key = EdgeKey::generate()?;
    let channel = channel::without_certificate(&joining.url, &joining.root_pem)?;
    let request = v1::EnrolRequest {
        join_token: joining.join_token.expose().to_owned(),
        csr: key.csr_der()?,
        edge: joining.edge.to_string(),
    };
    let mut client = v1::edge_service_client::EdgeServiceClient::new(channel);
    let response = answered(ANSWER, client.enrol(request)).await?;
    let deployment_key = response
        .deployment_key
        .try_into()
        .map_err(|_| MembershipError::Malformed("the deployment's key is not 32 bytes"))?;
    let membership = Membership::new(
        Secret::new(key.to_pem().to_string()),
        to_pem(&response.certificate_chain),
        // The root that the admin brought, not the one in the answer: an answer cannot widen what is trusted.
        joining.root_pem,
        deployment_key,
    )?;
    if membership.edge != joining.edge || membership.zone != joining.zone {
        return Err(EnrolError::OtherName { edge: membership.edge, zone: membership.zone });
    }
    membership.save(path)?;
    info!(edge = %membership.edge, zone = %membership.zone, "enrolled");
    Ok(membership)
}

/// Renews the certificate when two thirds of what was left of it have passed, for as long as the edge runs.
pub(crate) async fn keep_renewed(link: Link, url: String, mut membership: Arc<Membership>, path: PathBuf) {
    loop {
        tokio::time::sleep(until_renewal(membership.not_after, SystemTime::now())).await;
        match renew(&link, &membership).await {
            Ok(renewed) => {
                if let Err(error) = renewed.save(&path) {
                    warn!(%error, "the renewed certificate could not be kept; it serves until a restart");
                }
                match link.replace(&url, &renewed) {
                    Ok(()) => membership = Arc::new(renewed),
                    Err(error) => warn!(%error, "the renewed certificate cannot be used"),
                }
            }
            Err(error) => warn!(%error, "the certificate was not renewed; trying again"),
        }
    }
}

async fn renew(link: &Link, membership: &Membership) -> Result<Membership, EnrolError> {
    // The key stays: an edge that dies between answer and file can then still renew with what it has.
    let request = v1::RenewRequest { csr: membership.key()?.csr_der()? };
    let response = answered(ANSWER, link.edge_service().renew(request)).await?;
    let renewed = Membership::new(
        Secret::new(membership.key_pem.expose().to_owned()),
        to_pem(&response.certificate_chain),
        membership.root_pem.clone(),
        membership.deployment_key,
    )?;
    if renewed.edge == membership.edge && renewed.zone == membership.zone {
        Ok(renewed)
    } else {
        Err(EnrolError::OtherName { edge: renewed.edge, zone: renewed.zone })
    }
}

/// What a call answers in time.
async fn answered<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, EnrolError> {
    let answer = tokio::time::timeout(limit, call).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
    answer.map(Response::into_inner).map_err(|status| EnrolError::Refused(Box::new(status)))
}

/// Never under a minute: a certificate near its end is asked for again and again, but not in a tight loop.
fn until_renewal(not_after: SystemTime, now: SystemTime) -> Duration {
    let left = not_after.duration_since(now).unwrap_or_default();
    (left * 2 / 3).max(Duration::from_secs(60))
}

/// DER certificates as PEM, in the order given.
pub(crate) fn to_pem(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| countersign_pki::to_pem("CERTIFICATE", der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_without_an_answer_ends() {
        let never = std::future::pending::<Result<Response<()>, Status>>();
        let refused = answered(Duration::from_millis(10), never).await;
        let Err(EnrolError::Refused(status)) = refused else { panic!("{refused:?}") };
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        answered(ANSWER, async { Ok(Response::new(())) }).await.expect("an answer");
    }
}
