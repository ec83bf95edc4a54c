//! What every long-lived process needs: waiting longer after each failure, and stopping in good order.

mod backoff;
mod drain;

pub use backoff::Backoff;
pub use drain::{Blocker, Drain, Watch};
