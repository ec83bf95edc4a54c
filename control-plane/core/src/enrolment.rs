//! How a process becomes an edge, and stays one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_model::{Name, Secret};
use countersign_pki::{CaError, EDGE_VALIDITY, EdgeIdentity, IssuedEdge};
use countersign_store::{EdgeCertificate, EnrolError, JoinToken, NewEdge, StoreError};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::{Admin, Core, EdgeError, EnrolRefused, ResourceError, core::to_its_end};

/// Longest life of a join token.
pub const MAX_JOIN_TTL: Duration = Duration::from_secs(24 * 3600);
/// Life of a join token if the admin does not say.
const DEFAULT_JOIN_TTL: Duration = Duration::from_secs(3600);
/// Longest join token that is looked at; ours have 43 characters.
const MAX_JOIN_TOKEN: usize = 128;

/// What an edge is given when it joins.
#[derive(Debug)]
pub struct Enrolled {
    /// DER, leaf first.
    pub certificate_chain: Vec<Vec<u8>>,
    /// DER of the deployment's root.
    pub root: Vec<u8>,
    /// The deployment's Ed25519 public key.
    pub deployment_key: [u8; 32],
    /// The zone it joined.
    pub zone: Name,
}

impl Core {
    /// A token with which one edge can join a zone, once. Only its hash is kept.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] if there is no such zone, [`ResourceError::Invalid`] for a malformed name or a life
    /// over [`MAX_JOIN_TTL`].
    pub async fn create_join_token(
        self: &Arc<Self>,
        admin: &Admin,
        zone: &str,
        ttl: Option<Duration>,
    ) -> Result<(Secret, SystemTime), ResourceError> {
        let zone: Name = zone
            .parse()
            .map_err(|error: countersign_model::NameError| ResourceError::Invalid(error.to_string()))?;
        if !self.in_force.borrow().declared.zones.contains_key(&zone) {
            return Err(ResourceError::NotFound);
        }
        let ttl = ttl.unwrap_or(DEFAULT_JOIN_TTL);
        if ttl.is_zero() || ttl > MAX_JOIN_TTL {
            return Err(ResourceError::Invalid("ttl must be between a second and 24 hours".into()));
        }
        let mut bytes = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| ResourceError::Store(StoreError::unavailable(error)))?;
        let token = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        let expires_at = self.now() + ttl;
        let kept = JoinToken { sha256: hash(token.expose()), zone: zone.clone(), expires_at };
        let (core, actor) = (self.clone(), admin.actor.clone());
        let kept = async move {
            core.parts.store.add_join_token(kept).await?;
            core.audit(&actor, "edge.join_token_created", zone.as_str(), &[]).await
        };
        to_its_end(kept).await.map_err(ResourceError::from)?;
        Ok((token, expires_at))
    }

    /// Uses up a join token for a certificate.
    ///
    /// # Errors
    /// [`EnrolRefused`]; the token is used up only if the edge was enrolled.
    pub async fn enrol(
        self: &Arc<Self>,
        join_token: &str,
        csr: &[u8],
        edge: &str,
    ) -> Result<Enrolled, EnrolRefused> {
        if join_token.len() > MAX_JOIN_TOKEN {
            return Err(EnrolRefused::Token);
        }
        let name: Name = edge
            .parse()
            .map_err(|error: countersign_model::NameError| EnrolRefused::Malformed(error.to_string()))?;
        let (token, now) = (hash(join_token), self.now());
        let zone = self.parts.store.join_token(token, now).await.map_err(EnrolError::from)?.zone;
        if !self.in_force.borrow().declared.zones.contains_key(&zone) {
            return Err(EnrolRefused::Token);
        }
        let issued = self.parts.ca.issue_edge(csr, &zone, &name, now, EDGE_VALIDITY)?;
        let new = NewEdge { name, zone: zone.clone(), certificate: certificate(&issued) };
        let core = self.clone();
        let enrolled = async move {
            let edge = core.parts.store.enrol(token, new, now).await?;
            core.audit(edge.name.as_str(), "edge.enrolled", edge.zone.as_str(), &[]).await?;
            Ok(())
        };
        to_its_end::<(), EnrolError>(enrolled).await?;
        Ok(Enrolled {
            certificate_chain: der(&issued),
            root: self.parts.ca.root_der().to_vec(),
            deployment_key: self.parts.deployment_key.public(),
            zone,
        })
    }

    /// A new certificate for the edge that the present one names. Zone and name are the certificate's, whatever the
    /// request says, and the key must be: an edge keeps it for as long as it is enrolled, so that what was stolen once
    /// cannot be exchanged for what the thief alone has.
    ///
    /// # Errors
    /// [`EdgeError`]; `Malformed` if the request cannot be taken, or is for another key. Dropping the future does not
    /// stop it.
    pub async fn renew(self: &Arc<Self>, peer: &EdgeIdentity, csr: &[u8]) -> Result<Vec<Vec<u8>>, EdgeError> {
        self.enrolled(peer).await?;
        let issued = match self.parts.ca.issue_edge(csr, &peer.zone, &peer.name, self.now(), EDGE_VALIDITY) {
            Err(CaError::Csr(fault)) => return Err(EdgeError::Malformed(fault)),
            issued => issued?,
        };
        if issued.identity.spki_sha256 != peer.spki_sha256 {
            warn!(edge = %peer.name, "an edge asked to renew for another key");
            return Err(EdgeError::Malformed("the key must be that of the present certificate"));
        }
        let (core, peer) = (self.clone(), peer.clone());
        to_its_end(async move {
            let (store, certificate) = (&core.parts.store, certificate(&issued));
            match store.replace_certificate(&peer.name, peer.spki_sha256, certificate).await {
                Err(StoreError::Conflict) => {
                    // Deleted at this moment, and enrolled anew with another key.
                    warn!(edge = %peer.name, "an edge asked to renew whose name another one has by now");
                    return Err(EdgeError::NotEnrolled);
                }
                replaced => replaced?,
            }
            core.audit(peer.name.as_str(), "edge.renewed", peer.zone.as_str(), &[]).await?;
            Ok(der(&issued))
        })
        .await
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn certificate(issued: &IssuedEdge) -> EdgeCertificate {
    EdgeCertificate {
        serial: issued.serial.to_vec(),
        spki_sha256: issued.identity.spki_sha256,
        not_after: issued.identity.not_after,
    }
}

fn der(issued: &IssuedEdge) -> Vec<Vec<u8>> {
    issued.chain.iter().map(|certificate| certificate.to_vec()).collect()
}

impl From<EnrolError> for EnrolRefused {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Token | EnrolError::Zone | EnrolError::Store(StoreError::NotFound) => Self::Token,
            EnrolError::NameTaken => Self::NameTaken,
            EnrolError::Store(error) => Self::Ourselves(error.to_string()),
        }
    }
}

impl From<CaError> for EnrolRefused {
    fn from(error: CaError) -> Self {
        match error {
            CaError::Csr(fault) => Self::Malformed(fault.to_owned()),
            error => Self::Ourselves(error.to_string()),
        }
    }
}
