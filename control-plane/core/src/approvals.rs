//! Requests for people's votes, from the question to its end.
//!
//! Nothing that the store says of an approval is believed by itself: what is asked lies sealed in it, what stays
//! visible, the session that asks included, and every vote carry a MAC, and outcomes are signed. So whoever can write
//! to the store can neither read what is asked, nor show people somebody else who asks it, nor approve it. Every
//! change is one compare-and-swap; of several that race, one wins and the others look again.

mod asked;
mod binding;
mod change;
mod consume;
mod ending;
mod message;
mod opened;
mod parsers;
mod question;
mod read;
mod request;
mod summary;
mod vote;
mod watch;

use countersign_model::Reason;
use countersign_store::StoreError;

use crate::{EdgeError, PageError};

pub use vote::VoteRefused;
pub(crate) use watch::QUEUED as WATCH_QUEUE;
pub use watch::{WatchEnded, Watching};

/// Why an edge may not have what it asked of approvals.
#[derive(Debug)]
pub enum ApprovalRefusal {
    /// The session may not have it, or people did not give it: the word is for the edge.
    Refused(Reason),
    /// The edge's doing.
    Edge(EdgeError),
}

impl<E: Into<EdgeError>> From<E> for ApprovalRefusal {
    fn from(error: E) -> Self {
        Self::Edge(error.into())
    }
}

/// Why somebody on the admin side did not get what they asked of approvals.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is none, or none that the caller may see.
    #[error("there is no such approval")]
    NotFound,
    /// A field is malformed; the text names it.
    #[error("{0}")]
    Malformed(&'static str),
    /// The page token is none of ours.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The vote does not count; the text is for the voter.
    #[error(transparent)]
    Vote(#[from] VoteRefused),
    /// The store failed, or what it holds was altered.
    #[error("the store failed: {0}")]
    Store(StoreError),
}

impl From<StoreError> for ApprovalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            error => Self::Store(error),
        }
    }
}
