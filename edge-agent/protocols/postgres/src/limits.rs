//! Bounds of a session, in one place.

use std::time::Duration;

/// Bounds and patience. The defaults suit a database that people work with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the connection to the token, in which a client is nobody yet.
    pub login: Duration,
    /// For connecting to a target, and again for logging in there.
    pub dial: Duration,
    /// For one question to the catalog, and for failing a transaction.
    pub catalog: Duration,
    /// What a running operation is given when the session has to end.
    pub grace: Duration,
    /// Largest message of a client, in bytes: a longer query is refused and dropped as it comes.
    pub max_query: usize,
    /// Largest single message of a target, in bytes: a larger one ends the session.
    pub max_message: usize,
    /// What the parser of statements may use.
    pub sql: countersign_sql::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(30),
            dial: Duration::from_secs(10),
            catalog: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            max_query: 1024 * 1024,
            max_message: 16 * 1024 * 1024,
            sql: countersign_sql::Limits::default(),
        }
    }
}
