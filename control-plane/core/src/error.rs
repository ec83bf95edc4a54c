//! Why a use case refused, split by whose fault it is. Store and archive errors are ours and only logged in detail.

use countersign_archive::ArchiveError;
use countersign_model::Reason;
use countersign_pki::CaError;
use countersign_recording::{InvalidPack, SegmentError};
use countersign_store::StoreError;

/// Why an admin's change or question about resources was refused.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The resource does not validate; the text is for the admin.
    #[error("{0}")]
    Invalid(String),
    /// The resource refers to one that is not there; the text is for the admin.
    #[error("{0}")]
    Missing(String),
    /// There is no such resource.
    #[error("there is no such resource")]
    NotFound,
    /// Something else depends on it; the text is for the admin.
    #[error("{0}")]
    InUse(String),
    /// Somebody else changed it at the same moment.
    #[error("the resource was changed by somebody else; try again")]
    Conflict,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(StoreError),
}

impl From<StoreError> for ResourceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Conflict => Self::Conflict,
            error @ StoreError::Unavailable(_) => Self::Store(error),
        }
    }
}

/// Why an edge's call was refused.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The certificate names no edge that is enrolled in this deployment and zone.
    #[error("the certificate is not one of an enrolled edge")]
    NotEnrolled,
    /// The certificate was good when the stream began and has ended since.
    #[error("the certificate has ended")]
    CertificateEnded,
    /// Another process of this edge attached since, or this one never did.
    #[error("this process is not the attached one of its edge")]
    NotAttached,
    /// The edge does not read what it is sent.
    #[error("this process does not read its stream")]
    Unread,
    /// A field is malformed; the text names it.
    #[error("{0}")]
    Malformed(&'static str),
    /// There is no such session of this edge.
    #[error("there is no such session of this edge")]
    UnknownSession,
    /// There is no such approval of this session.
    #[error("there is no such approval of this session")]
    UnknownApproval,
    /// The certificate could not be made.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// Why an edge was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolRefused {
    /// The token is unknown, used, expired, or for a zone that is gone.
    #[error("the join token is not valid")]
    Token,
    /// An edge of this name is enrolled.
    #[error("an edge of this name exists")]
    NameTaken,
    /// The name or the request is malformed.
    #[error("{0}")]
    Malformed(String),
    /// Our own keys or store failed.
    #[error("{0}")]
    Ourselves(String),
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRefused {
    /// The caller's or policy's doing: the word goes to the edge.
    #[error("{0}")]
    Refused(Reason),
    /// Tokens cannot be verified now. Nobody is let in.
    #[error("tokens cannot be verified now")]
    Unavailable,
    /// The edge's doing.
    #[error(transparent)]
    Edge(#[from] EdgeError),
}

impl From<StoreError> for OpenRefused {
    fn from(error: StoreError) -> Self {
        Self::Edge(error.into())
    }
}

/// Why a pack or one of its segments was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The edge may not upload it, or never will.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// It is not what a pack must be.
    #[error(transparent)]
    Pack(#[from] InvalidPack),
    /// It is not what a segment must be.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// It is not what the upload says that it is, or not of this edge's keys.
    #[error("{0}")]
    Foreign(&'static str),
    /// It does not continue the recording: segments before it are missing.
    #[error("segment {expected} is the next one")]
    Gap {
        /// The number that is next.
        expected: u32,
    },
    /// Other bytes have this number, or the recording is complete.
    #[error("{0}")]
    Taken(&'static str),
    /// The archive failed.
    #[error("the archive failed: {0}")]
    Archive(ArchiveError),
}

impl IngestError {
    /// The word for what was refused, which will not pass by itself; `None` if it is not about what was sent.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Edge(EdgeError::UnknownSession) => Some("unknown_session"),
            Self::Pack(_) | Self::Segment(_) | Self::Edge(EdgeError::Malformed(_)) => Some("malformed"),
            Self::Foreign(_) => Some("foreign"),
            Self::Gap { .. } => Some("gap"),
            Self::Taken(_) => Some("taken"),
            Self::Edge(_) | Self::Archive(_) => None,
        }
    }
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        Self::Edge(error.into())
    }
}

impl From<ArchiveError> for IngestError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Conflict => Self::Taken("other bytes have this number in the archive"),
            error => Self::Archive(error),
        }
    }
}
