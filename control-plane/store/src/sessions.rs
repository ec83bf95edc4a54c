//! Sessions: who used which target through which edge, and until when.

use std::{net::IpAddr, time::SystemTime};

use async_trait::async_trait;
use countersign_model::{Name, Principal, RecordingId, SessionId};

use crate::{BootId, Page, StoreError};

/// A session as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub id: SessionId,
    /// Its recording.
    pub recording: RecordingId,
    /// The verified caller.
    pub principal: Principal,
    /// `uti` of the caller's token.
    pub token_id: String,
    /// Zone of the edge.
    pub zone: Name,
    /// The target.
    pub target: Name,
    /// The edge that serves it.
    pub edge: Name,
    /// The process of that edge.
    pub boot_id: BootId,
    /// Address of the client as the edge saw it.
    pub client_address: Option<IpAddr>,
    /// The user name that the client gave: free text, never an identity.
    pub client_user: String,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// Its absolute end.
    pub deadline: SystemTime,
    /// When it was closed; `None` while it is open.
    pub closed_at: Option<SystemTime>,
    /// Why it was closed; empty while it is open.
    pub closed_because: String,
}

/// Sessions, open and closed.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Remembers a session, and its empty recording in the same step. [`StoreError::Conflict`] if either id is known.
    async fn open_session(&self, session: SessionRecord) -> Result<(), StoreError>;

    /// One session, or [`StoreError::NotFound`].
    async fn session(&self, id: SessionId) -> Result<SessionRecord, StoreError>;

    /// Closes a session and returns it. Of several closes the first counts and the others return what it left.
    async fn close_session(
        &self,
        id: SessionId,
        at: SystemTime,
        why: &str,
    ) -> Result<SessionRecord, StoreError>;

    /// Newest first (by the time in the id), from the first older than `before`.
    async fn sessions(
        &self,
        before: Option<SessionId>,
        limit: usize,
    ) -> Result<Page<SessionRecord, SessionId>, StoreError>;

    /// The open sessions of an edge, or of one process of it, in no given order.
    async fn open_sessions(
        &self,
        edge: &Name,
        boot: Option<BootId>,
    ) -> Result<Vec<SessionRecord>, StoreError>;
}
