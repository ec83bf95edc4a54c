//! What every long-lived process needs: waiting longer after each failure, being asked to stop, stopping in
//! good order, and dying where a test wants it to.

mod backoff;
mod drain;
mod failpoint;
mod patience;
mod termination;

pub use backoff::Backoff;
pub use drain::{Blocker, Drain, Watch};
pub use failpoint::{ArmError, Failpoint, arm_failpoints, failpoint};
pub use patience::{LOCK_PATIENCE, retry_while};
pub use termination::Termination;
