//! Why a store did not do what it was asked.

/// What a caller can react to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing is there under this key.
    #[error("not found")]
    NotFound,
    /// What is there is not what the caller expected; nothing was changed.
    #[error("conflict")]
    Conflict,
    /// The store failed. Whether the write happened is unknown. The text is for the log, not for callers.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// A failure of the store itself, with its cause for the log.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        Self::Unavailable(cause.to_string())
    }
}
