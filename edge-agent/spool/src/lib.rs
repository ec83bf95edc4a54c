//! The edge's disk: recordings until they are archived.
//!
//! A frame is recorded by one `write` on the session's own thread, or, at the level `fsync`, once a group commit
//! has put it on stable storage. Whole segments are announced to an uploader, which packs them, and deleted once the
//! archive has the same bytes. There is never a gap: what cannot be written is refused, and a session whose disk has failed
//! records nothing more. [`Spool::open`] closes what a crash left open.

mod account;
mod commit;
mod error;
mod layout;
mod ledger;
mod plans;
mod recipient;
mod recovery;
mod session;
mod spool;

#[cfg(test)]
mod tests;

pub use account::{Level, Limits};
pub use error::{AcknowledgeError, AppendError, SpoolError};
pub use plans::{AssembleError, Packed, SpooledPack};
pub use recovery::Recovered;
pub use session::{SessionSpool, Written};
pub use spool::{Boot, Config, FinishedSegment, Opened, Spool};
