//! Which edge calls: what its certificate, verified by the TLS layer, says.

use std::time::SystemTime;

use countersign_pki::EdgeIdentity;
use tonic::{Request, Status};
use tracing::info;

/// The identity, or a refusal: every method but enrolment begins with this.
pub(super) fn peer<T>(request: &Request<T>) -> Result<EdgeIdentity, Status> {
    let certificates = request.peer_certs().unwrap_or_default();
    let leaf =
        certificates.first().ok_or_else(|| Status::unauthenticated("a client certificate is needed"))?;
    let identity = EdgeIdentity::from_certificate_der(leaf).map_err(|error| {
        info!(%error, "a client certificate names no edge");
        Status::unauthenticated("the certificate names no edge")
    })?;
    // Verified when the connection was made, which may have been long ago.
    if SystemTime::now() < identity.not_after {
        Ok(identity)
    } else {
        Err(Status::unauthenticated("the certificate has expired"))
    }
}
