//! Edges: how they joined, which key they hold, which process of theirs is attached.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_model::Name;

use crate::StoreError;

/// One process of an edge: 16 random bytes that it chose at start.
pub type BootId = [u8; 16];

/// The right to enrol one edge once. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the token. It has 128 random bits or more, so that a plain hash hides it.
    pub sha256: [u8; 32],
    /// The zone that it admits to.
    pub zone: Name,
    /// From then on it is refused.
    pub expires_at: SystemTime,
}

/// The certificate that an edge holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCertificate {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of its SubjectPublicKeyInfo in DER.
    pub spki_sha256: [u8; 32],
    /// Its end.
    pub not_after: SystemTime,
}

/// What an edge process said about itself when it attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeBoot {
    /// The process.
    pub boot_id: BootId,
    /// Ed25519 public key with which it signs segments.
    pub recording_key: [u8; 32],
    /// Software version.
    pub version: String,
}

/// An edge that is about to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEdge {
    /// Unique in the deployment.
    pub name: Name,
    /// Must be the zone of the join token.
    pub zone: Name,
    /// The first certificate.
    pub certificate: EdgeCertificate,
}

/// An enrolled edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeRecord {
    /// Unique in the deployment.
    pub name: Name,
    /// Its zone, for good.
    pub zone: Name,
    /// When it joined.
    pub enrolled_at: SystemTime,
    /// The newest certificate that it was given.
    pub certificate: EdgeCertificate,
    /// The process that attached last; `None` if none ever did.
    pub boot: Option<EdgeBoot>,
    /// Until when that process may act alone; `None` if none ever attached.
    pub lease_expires_at: Option<SystemTime>,
}

/// Why an edge was not enrolled; the token stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// Unknown, used, or expired: which of them is nobody's business.
    #[error("the join token is not valid")]
    Token,
    /// The token was made for another zone.
    #[error("the join token is for another zone")]
    Zone,
    /// An edge of this name is enrolled.
    #[error("an edge of this name exists")]
    NameTaken,
    /// The store's own reasons.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Join tokens and enrolled edges.
#[async_trait]
pub trait Edges: Send + Sync {
    /// Remembers a token. [`StoreError::Conflict`] if its hash is known.
    async fn add_join_token(&self, token: JoinToken) -> Result<(), StoreError>;

    /// Looks a token up without using it, so that a certificate can be made for its zone. [`StoreError::NotFound`] if
    /// it is unknown, used, or expired at `now`.
    async fn join_token(&self, sha256: [u8; 32], now: SystemTime) -> Result<JoinToken, StoreError>;

    /// Uses up the token and enrols the edge, both or neither; of two uses of one token one wins.
    async fn enrol(
        &self,
        token_sha256: [u8; 32],
        edge: NewEdge,
        now: SystemTime,
    ) -> Result<EdgeRecord, EnrolError>;

    /// Puts a new certificate in the place of the one whose key is `held_spki_sha256`. [`StoreError::Conflict`] if the
    /// edge's newest certificate has another key.
    async fn replace_certificate(
        &self,
        name: &Name,
        held_spki_sha256: [u8; 32],
        certificate: EdgeCertificate,
    ) -> Result<(), StoreError>;

    /// Makes a process the edge's attached one, with its first lease. Again with equal values is no error;
    /// [`StoreError::Conflict`] if this boot is known with another recording key.
    async fn record_boot(
        &self,
        name: &Name,
        boot: EdgeBoot,
        lease_expires_at: SystemTime,
    ) -> Result<(), StoreError>;

    /// Any process of the edge that ever attached, or [`StoreError::NotFound`]: segments of an earlier process arrive
    /// after a restart.
    async fn boot(&self, name: &Name, boot: BootId) -> Result<EdgeBoot, StoreError>;

    /// Whether any process of the edge that ever attached announced this recording key: a segment that one process
    /// left and the next one closed may be uploaded by a third.
    async fn knows_recording_key(&self, name: &Name, key: [u8; 32]) -> Result<bool, StoreError>;

    /// Moves the end of the lease; never back. [`StoreError::Conflict`] if another process attached since.
    async fn renew_lease(&self, name: &Name, boot: BootId, expires_at: SystemTime) -> Result<(), StoreError>;

    /// Removes an edge, or [`StoreError::NotFound`]; from then on its name is free. Its processes and their keys stay
    /// known: an edge that is enrolled under the name may upload what the former one left.
    async fn delete_edge(&self, name: &Name) -> Result<(), StoreError>;

    /// One edge, or [`StoreError::NotFound`].
    async fn edge(&self, name: &Name) -> Result<EdgeRecord, StoreError>;

    /// All edges in order of name.
    async fn edges(&self) -> Result<Vec<EdgeRecord>, StoreError>;
}
