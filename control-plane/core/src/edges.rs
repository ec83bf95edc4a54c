//! Edges while they are attached: who they are, and until when they may act alone.

mod attached;
mod attachment;
mod hello;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use countersign_model::{Name, SessionId};
use countersign_pki::EdgeIdentity;
use countersign_store::{BootId, EdgeRecord, SessionRecord, StoreError};
use countersign_wire::{
    to_timestamp,
    v1::{self, control_message::Message as Control},
};
use tracing::{info, warn};

use crate::{
    Admin, Core, EdgeError, ResourceError, core::to_its_end, revocation::CONFIRMATION,
    sessions::EDGE_RESTARTED,
};

pub use attached::Attached;
pub(crate) use attachment::Attachment;
pub use hello::Hello;
pub(crate) use hello::boot_id;

impl Core {
    /// Makes the process that says hello its edge's attached one, with its first lease. Sessions of earlier
    /// processes of the edge ended with them and are closed. What it missed while it was not attached is said
    /// first.
    ///
    /// # Errors
    /// [`EdgeError`]; `Malformed` if this boot id is known with another key.
    pub async fn attach(
        self: &Arc<Self>,
        peer: EdgeIdentity,
        hello: Hello,
    ) -> Result<(Attached, v1::Lease), EdgeError> {
        self.enrolled(&peer).await?;
        let Hello { boot, open_sessions } = hello;
        let (boot_id, expires_at) = (boot.boot_id, self.lease_end());
        match self.parts.store.record_boot(&peer.name, boot, expires_at).await {
            Err(StoreError::Conflict) => {
                return Err(EdgeError::Malformed("this boot has another recording key"));
            }
            recorded => recorded?,
        }
        self.close_sessions_of_earlier_boots(&peer.name, boot_id).await?;
        // From here on it is told what happens, so what happened before is looked up after.
        let mut attached = self.remember(peer, boot_id);
        // Deleted meanwhile, it would not have been found among the attached.
        self.enrolled(&attached.peer).await?;
        attached.missed = self.missed(&attached, &open_sessions).await?;
        info!(edge = %attached.peer.name, zone = %attached.peer.zone, "attached");
        Ok((attached, self.lease(expires_at)))
    }

    /// Counts the stream as the edge's, and has an earlier one cut.
    fn remember(self: &Arc<Self>, peer: EdgeIdentity, boot: BootId) -> Attached {
        let (attachment, messages) = Attachment::new(boot);
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = attached.insert(peer.name.clone(), attachment.clone()) {
            earlier.cut();
        }
        Attached { core: self.clone(), peer, attachment, missed: VecDeque::new(), messages }
    }

    /// The end of sessions that the process still has and that are closed here, and what became of the approvals
    /// of those that are open.
    async fn missed(
        &self,
        attached: &Attached,
        open_there: &[SessionId],
    ) -> Result<VecDeque<Control>, EdgeError> {
        let boot = attached.attachment.boot();
        let open_here = self.parts.store.open_sessions(&attached.peer.name, Some(boot)).await?;
        let known: HashSet<SessionId> = open_here.iter().map(|session| session.id).collect();
        let ended: Vec<String> =
            open_there.iter().filter(|id| !known.contains(id)).map(ToString::to_string).collect();
        let mut missed = VecDeque::new();
        if !ended.is_empty() {
            warn!(edge = %attached.peer.name, sessions = ended.len(), "an edge has sessions that were ended");
            // Nobody waits for this one to be confirmed; those that somebody waits for count from 1.
            missed.push_back(Control::Revoke(v1::Revoke {
                revocation_id: 0,
                session_ids: ended,
                all: false,
            }));
        }
        for session in open_here {
            missed.extend(self.outcomes_of(session.id).await?.into_iter().map(Control::Outcome));
        }
        Ok(missed)
    }

    /// The open stream of a process, if it is attached here.
    pub(crate) fn attachment(&self, edge: &Name, boot: BootId) -> Option<Attachment> {
        let attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        attached.get(edge).filter(|attachment| attachment.boot() == boot).cloned()
    }

    /// Shuts an edge out: its certificate is worth nothing from now on, its sessions are closed and, if it is
    /// attached, cut before its stream is. What an edge that does not answer may do alone ends with its lease. The
    /// name can be enrolled anew. Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`] if no such edge is enrolled, [`ResourceError::Invalid`] for a malformed name.
    pub async fn delete_edge(
        self: &Arc<Self>,
        admin: &Admin,
        name: &str,
    ) -> Result<v1::Revocation, ResourceError> {
        let name: Name = name
            .parse()
            .map_err(|error: countersign_model::NameError| ResourceError::Invalid(error.to_string()))?;
        let (core, admin) = (self.clone(), admin.clone());
        to_its_end(async move { core.delete_edge_now(&admin, &name).await }).await
    }

    async fn delete_edge_now(&self, admin: &Admin, name: &Name) -> Result<v1::Revocation, ResourceError> {
        let edge = self.parts.store.edge(name).await;
        let deleted = self.parts.store.delete_edge(name).await;
        if deleted.is_ok() {
            warn!(edge = %name, admin = admin.actor, "an edge was deleted");
            self.audit(&admin.actor, "edge.deleted", name.as_str(), &[]).await?;
        }
        let attachment = self.attached.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let sessions = self.close_sessions_of_deleted(name, &deleted).await;
        let confirmed = match &attachment {
            Some(attachment) => attachment.revoke(Vec::new(), true).confirmed(CONFIRMATION).await,
            None => false,
        };
        if let Some(attachment) = attachment {
            attachment.cut();
            let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
            if attached.get(name).is_some_and(|newest| newest.is(&attachment)) {
                attached.remove(name);
            }
        }
        deleted?;
        let lease_end = edge?.lease_expires_at;
        // One that never had a lease has nothing to cut.
        let cut_by = lease_end.filter(|_| !confirmed).map(to_timestamp);
        Ok(v1::Revocation { confirmed: cut_by.is_none(), cut_by, sessions: sessions? })
    }

    /// Also if it was gone: an earlier call may not have come as far as this. Returns how many there were.
    async fn close_sessions_of_deleted(
        &self,
        name: &Name,
        deleted: &Result<(), StoreError>,
    ) -> Result<u32, StoreError> {
        if !matches!(deleted, Ok(()) | Err(StoreError::NotFound)) {
            return Ok(0);
        }
        let sessions: Vec<SessionRecord> = self.parts.store.open_sessions(name, None).await?;
        for session in &sessions {
            self.end_session(session, "edge deleted").await?;
        }
        Ok(u32::try_from(sessions.len()).unwrap_or(u32::MAX))
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

    /// The record of the edge that a verified certificate names, if it is one of ours. Zone included: an edge
    /// never moves, so a certificate for another zone is no certificate of this edge. Nor is one with another key
    /// than the newest: it was given to somebody who had the name before.
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
                self.end_session(&session, EDGE_RESTARTED).await?;
            }
        }
        Ok(())
    }

    pub(crate) fn lease_end(&self) -> SystemTime {
        self.now() + self.parts.settings.lease
    }

    pub(crate) fn lease(&self, expires_at: SystemTime) -> v1::Lease {
        let valid_for: Duration = self.parts.settings.lease;
        v1::Lease { expires_at: Some(to_timestamp(expires_at)), valid_for: valid_for.try_into().ok() }
    }
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
