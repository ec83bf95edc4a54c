//! Edges while they are attached: who they are, and until when they may act alone.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use countersign_model::Name;
use countersign_pki::EdgeIdentity;
use countersign_store::{BootId, EdgeBoot, EdgeRecord, StoreError};
use countersign_wire::{to_timestamp, v1};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{Admin, Core, EdgeError, ResourceError, core::to_its_end};

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
    attachment: Attachment,
}

/// The open stream of an edge, as the core knows it.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    boot: BootId,
    /// Told once, when the stream must end.
    cut: Arc<Notify>,
}

impl Attached {
    /// The edge's zone.
    pub fn zone(&self) -> &Name {
        &self.peer.zone
    }

    /// Waits until the stream must end, which the edge has no say in: it was deleted, a newer stream of it has taken the
    /// place, or the certificate with which it came has ended. To be awaited once.
    pub fn cut(&self) -> impl Future<Output = EdgeError> + Send + use<> {
        let (core, peer, cut) = (self.core.clone(), self.peer.clone(), self.attachment.cut.clone());
        let left = self.peer.not_after.duration_since(self.core.now()).unwrap_or_default();
        async move {
            if tokio::time::timeout(left, cut.notified()).await.is_err() {
                return EdgeError::CertificateEnded;
            }
            core.enrolled(&peer).await.err().unwrap_or(EdgeError::NotAttached)
        }
    }

    /// Another lease, if the edge is still enrolled, this process still its attached one, and the certificate with which
    /// it came has not ended since.
    ///
    /// # Errors
    /// [`EdgeError::CertificateEnded`], [`EdgeError::NotEnrolled`], [`EdgeError::NotAttached`]: then the stream is over.
    pub async fn renew_lease(&self) -> Result<v1::Lease, EdgeError> {
        if self.peer.not_after <= self.core.now() {
            return Err(EdgeError::CertificateEnded);
        }
        self.core.enrolled(&self.peer).await?;
        let expires_at = self.core.lease_end();
        match self.core.parts.store.renew_lease(&self.peer.name, self.attachment.boot, expires_at).await {
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
        let newest = attached.get(&self.peer.name);
        if newest.is_some_and(|newest| Arc::ptr_eq(&newest.cut, &self.attachment.cut)) {
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
        let attached = self.remember(peer, boot);
        // Deleted meanwhile, it would not have been found among the attached.
        self.enrolled(&attached.peer).await?;
        info!(edge = %attached.peer.name, zone = %attached.peer.zone, "attached");
        Ok((attached, self.lease(expires_at)))
    }

    /// Counts the stream as the edge's, and has an earlier one cut.
    fn remember(self: &Arc<Self>, peer: EdgeIdentity, boot: BootId) -> Attached {
        let attachment = Attachment { boot, cut: Arc::default() };
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = attached.insert(peer.name.clone(), attachment.clone()) {
            earlier.cut.notify_one();
        }
        Attached { core: self.clone(), peer, attachment }
    }

    /// Shuts an edge out: its certificate is worth nothing from now on, its stream ends at once, its sessions are
    /// closed. What it may do alone ends with its lease. The name can be enrolled anew. Dropping the future does not
    /// stop it.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] if no such edge is enrolled, [`ResourceError::Invalid`] for a malformed name.
    pub async fn delete_edge(self: &Arc<Self>, admin: &Admin, name: &str) -> Result<(), ResourceError> {
        let name: Name = name
            .parse()
            .map_err(|error: countersign_model::NameError| ResourceError::Invalid(error.to_string()))?;
        let (core, admin) = (self.clone(), admin.clone());
        to_its_end(async move { core.delete_edge_now(&admin, &name).await }).await
    }

    async fn delete_edge_now(&self, admin: &Admin, name: &Name) -> Result<(), ResourceError> {
        let deleted = self.parts.store.delete_edge(name).await;
        let attachment = self.attached.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(attachment) = attachment {
            attachment.cut.notify_one();
        }
        if deleted.is_ok() {
            warn!(edge = %name, admin = admin.actor, "an edge was deleted");
            self.audit(&admin.actor, "edge.deleted", name.as_str(), &[]).await?;
        }
        // Also if it was gone: an earlier call may not have come as far as this.
        if matches!(deleted, Ok(()) | Err(StoreError::NotFound)) {
            for session in self.parts.store.open_sessions(name, None).await? {
                self.end_session(&session, "edge deleted").await?;
            }
        }
        Ok(deleted?)
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
    /// moves, so a certificate for another zone is no certificate of this edge. Nor is one with another key than the
    /// newest: it was given to somebody who had the name before.
    pub(crate) async fn enrolled(&self, peer: &EdgeIdentity) -> Result<EdgeRecord, EdgeError> {
        if peer.deployment != *self.deployment() {
            return Err(EdgeError::NotEnrolled);
        }
        match self.parts.store.edge(&peer.name).await {
            Ok(edge) if edge.zone == peer.zone && edge.certificate.spki_sha256 == peer.spki_sha256 => {
                Ok(edge)
            }
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
