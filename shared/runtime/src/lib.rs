//! What every long-lived process needs: waiting longer after each failure, being asked to stop, and stopping in good
//! order.

mod backoff;
mod drain;
mod patience;
mod termination;

pub use backoff::Backoff;
pub use drain::{Blocker, Drain, Watch};
pub use patience::{LOCK_PATIENCE, retry_while};
pub use termination::Termination;
