//! Edges while they are attached: who they are, and until when they may act alone.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use countersign_model::Name;
use countersign_pki::EdgeIdentity;
use countersign_store::{BootId, EdgeBoot, EdgeRecord, StoreError};
use countersign_wire::{to_timestamp, v1};
use tracing::info;

use crate::{Core, EdgeError};

/// Longest software version that is kept, in bytes.
const MAX_VERSION: usize = 64;

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    boot: EdgeBoot,
}

impl TryFrom<v1::Hello> for Hello {
    type Error = EdgeError;

    fn try_from(wire: v1::Hello) -> Result<Self, EdgeError> {
        let boot_id = boot_id(&wire.boot_id)?;
        let recording_key = <[u8; 32]>::try_from(wire.recording_key.as_slice())
            .map_err(|_| EdgeError::Malformed("recording_key must have 32 bytes"))?;
        if wire.version.len() > MAX_VERSION || wire.version.chars().any(char::is_control) {
            return Err(EdgeError::Malformed("version is too long or not printable"));
        }
        Ok(Self { boot: EdgeBoot { boot_id, recording_key, version: wire.version } })
    }
}

/// An edge's open stream; it counts as attached until this is dropped.
#[derive(Debug)]
pub struct Attached {
    core: Arc<Core>,
    peer: EdgeIdentity,
    boot: BootId,
}

impl Attached {
    /// The edge's zone.
    pub fn zone(&self) -> &Name {
        &self.peer.zone
    }

    /// Another lease, if the edge is still enrolled and this process still its attached one.
    ///
    /// # Errors
    /// [`EdgeError::NotEnrolled`], [`EdgeError::NotAttached`]: then the stream is over.
    pub async fn renew_lease(&self) -> Result<v1::Lease, EdgeError> {
        self.core.enrolled(&self.peer).await?;
        let expires_at = self.core.lease_end();
        match self.core.parts.store.renew_lease(&self.peer.name, self.boot, expires_at).await {
            Err(StoreError::Conflict) => Err(EdgeError::NotAttached),
            Err(StoreError::NotFound) => Err(EdgeError::NotEnrolled),
            renewed => {
                renewed?;
                Ok(self.core.lease(expires_at))
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut attached = self.core.attached.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer stream of the edge may have taken the place.
        if attached.get(&self.peer.name) == Some(&self.boot) {
            attached.remove(&self.peer.name);
        }
    }
}

impl Core {
    /// Makes the process that says hello its edge's attached one, with its first lease. Sessions of earlier processes
    /// of the edge ended with them and are closed.
    ///
    /// # Errors
    /// [`EdgeError`]; `Malformed` if this boot id is known with another key.
    pub async fn attach(
        self: &Arc<Self>,
        peer: EdgeIdentity,
        hello: Hello,
    ) -> Result<(Attached, v1::Lease), EdgeError> {
        self.enrolled(&peer).await?;
        let (boot, expires_at) = (hello.boot.boot_id, self.lease_end());
        match self.parts.store.record_boot(&peer.name, hello.boot, expires_at).await {
            Err(StoreError::Conflict) => {
                return Err(EdgeError::Malformed("this boot has another recording key"));
            }
            recorded => recorded?,
        }
        self.close_sessions_of_earlier_boots(&peer.name, boot).await?;
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.name.clone(), boot);
        info!(edge = %peer.name, zone = %peer.zone, "attached");
        Ok((Attached { core: self.clone(), peer, boot }, self.lease(expires_at)))
    }

    /// All enrolled edges, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_edges(&self) -> Result<Vec<v1::Edge>, StoreError> {
        let edges = self.parts.store.edges().await?;
        let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(edges.into_iter().map(|edge| message(&edge, attached.contains_key(&edge.name))).collect())
    }

    /// The record of the edge that a verified certificate names, if it is one of ours. Zone included: an edge never
    /// moves, so a certificate for another zone is no certificate of this edge.
    pub(crate) async fn enrolled(&self, peer: &EdgeIdentity) -> Result<EdgeRecord, EdgeError> {
        if peer.deployment != *self.deployment() {
            return Err(EdgeError::NotEnrolled);
        }
        match self.parts.store.edge(&peer.name).await {
            Ok(edge) if edge.zone == peer.zone => Ok(edge),
            Ok(_) | Err(StoreError::NotFound) => Err(EdgeError::NotEnrolled),
            Err(error) => Err(error.into()),
        }
    }

    async fn close_sessions_of_earlier_boots(&self, edge: &Name, boot: BootId) -> Result<(), EdgeError> {
        for session in self.parts.store.open_sessions(edge, None).await? {
            if session.boot_id != boot {
                self.end_session(&session, "edge restarted").await?;
            }
        }
        Ok(())
    }

    fn lease_end(&self) -> SystemTime {
        self.now() + self.parts.settings.lease
    }

    fn lease(&self, expires_at: SystemTime) -> v1::Lease {
        let valid_for: Duration = self.parts.settings.lease;
        v1::Lease { expires_at: Some(to_timestamp(expires_at)), valid_for: valid_for.try_into().ok() }
    }
}

/// The sixteen bytes that name a process.
pub(crate) fn boot_id(bytes: &[u8]) -> Result<BootId, EdgeError> {
    BootId::try_from(bytes).map_err(|_| EdgeError::Malformed("boot_id must have 16 bytes"))
}

fn message(edge: &EdgeRecord, attached: bool) -> v1::Edge {
    v1::Edge {
        name: edge.name.to_string(),
        zone: edge.zone.to_string(),
        enrolled_at: Some(to_timestamp(edge.enrolled_at)),
        lease_expires_at: edge.lease_expires_at.map(to_timestamp),
        version: edge.boot.as_ref().map(|boot| boot.version.clone()).unwrap_or_default(),
        attached,
    }
}
