//! An edge's open stream, for whoever carries it.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

use countersign_model::Name;
use countersign_pki::EdgeIdentity;
use countersign_store::StoreError;
use countersign_wire::v1::{self, control_message::Message as Control};
use tokio::sync::mpsc;

use super::Attachment;
use crate::{Core, EdgeError};

/// An edge's open stream; it counts as attached until this is dropped.
#[derive(Debug)]
pub struct Attached {
    pub(super) core: Arc<Core>,
    pub(super) peer: EdgeIdentity,
    pub(super) attachment: Attachment,
    /// What the edge missed before it attached.
    pub(super) missed: VecDeque<Control>,
    pub(super) messages: mpsc::Receiver<Control>,
}

impl Attached {
    /// The edge's zone.
    pub fn zone(&self) -> &Name {
        &self.peer.zone
    }

    /// The next outcome or revocation for the edge; those that it missed come first. Cancel safe.
    pub async fn message(&mut self) -> Control {
        if let Some(missed) = self.missed.pop_front() {
            return missed;
        }
        match self.messages.recv().await {
            Some(message) => message,
            // Not while `attachment` is here: it holds the other end.
            None => std::future::pending().await,
        }
    }

    /// The edge says that what a revocation named is cut. One that nobody waits for is no error.
    pub fn revoked(&self, revocation: u64) {
        self.attachment.confirm(revocation);
    }

    /// Waits until the stream must end, which the edge has no say in: it was deleted, a newer stream of it has
    /// taken the place, it does not read what it is sent, or the certificate with which it came has ended. To be
    /// awaited once.
    pub fn cut(&self) -> impl Future<Output = EdgeError> + Send + use<> {
        let (core, peer, attachment) = (self.core.clone(), self.peer.clone(), self.attachment.clone());
        let left = self.peer.not_after.duration_since(self.core.now()).unwrap_or_default();
        async move {
            if tokio::time::timeout(left, attachment.must_end()).await.is_err() {
                return EdgeError::CertificateEnded;
            }
            if attachment.is_unread() {
                return EdgeError::Unread;
            }
            core.enrolled(&peer).await.err().unwrap_or(EdgeError::NotAttached)
        }
    }

    /// Another lease, if the edge is still enrolled, this process still its attached one, and the certificate with
    /// which it came has not ended since.
    ///
    /// # Errors
    /// [`EdgeError::CertificateEnded`], [`EdgeError::NotEnrolled`], [`EdgeError::NotAttached`]: then the stream is
    /// over.
    pub async fn renew_lease(&self) -> Result<v1::Lease, EdgeError> {
        if self.peer.not_after <= self.core.now() {
            return Err(EdgeError::CertificateEnded);
        }
        self.core.enrolled(&self.peer).await?;
        let expires_at = self.core.lease_end();
        let boot = self.attachment.boot();
        match self.core.parts.store.renew_lease(&self.peer.name, boot, expires_at).await {
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
        self.attachment.end();
        let mut attached = self.core.attached.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer stream of the edge may have taken the place.
        let newest = attached.get(&self.peer.name);
        if newest.is_some_and(|newest| newest.is(&self.attachment)) {
            attached.remove(&self.peer.name);
        }
    }
}
