//! What is fixed for the whole of a session and enters its decisions.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use crate::{Name, Principal, RecordingId, SessionId};

/// Which upstream identity of a target a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// For what policy allows alone; minted when Connect is permitted.
    Standing,
    /// For one approved operation and the rest of its transaction.
    Approved,
    /// The edge's own reader of catalogs.
    Metadata,
}

impl Identity {
    /// The word used in configuration, subjects and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Approved => "approved",
            Self::Metadata => "metadata",
        }
    }
}

/// The facts of a session; the same for each of its operations.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// The session.
    pub session: SessionId,
    /// Its recording.
    pub recording: RecordingId,
    /// Who calls.
    pub principal: Arc<Principal>,
    /// `uti` of the caller's token: identifies the token without being it.
    pub token_id: Arc<str>,
    /// Zone of the edge that serves the session.
    pub zone: Name,
    /// The target that the session is for.
    pub target: Name,
    /// Address of the client as the edge saw it.
    pub client: Option<IpAddr>,
    /// Absolute end of the session, whatever it is doing then.
    pub deadline: SystemTime,
}
