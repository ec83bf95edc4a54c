//! The road of an operation: decided, recorded, permitted, sent, answered, recorded again.
//!
//! ```text
//! Operation ─ Session::admit ─▶ Recorded<Permit> ─ release ─▶ bytes for the wire, and an InFlight
//!                └─▶ Holdable ─ Session::hold ─▶ Held ─ people ─ Session::release ─▶ Recorded<Permit>
//! Batch ─ InFlight::mask ─▶ Masked<Batch> ─ Session::reply / finish ─▶ Recorded<Masked<Batch>> ─▶ bytes for the client
//! ```
//!
//! Each arrow consumes its left side and only this crate makes its right side, so a driver cannot send what was
//! not permitted, cannot send anything twice, and cannot answer with what was not masked and recorded. The files in
//! `tests/ui` are programs that try, and do not compile. What the gate needs of the world is in [`ports`].

mod detected;
mod entry;
mod hold;
mod operation;
mod permit;
pub mod ports;
mod redact;
mod reply;
mod session;
mod shown;

pub use entry::{CloseReason, Completion, Entry, Outcome};
pub use hold::{Again, Held, Holdable};
pub use operation::{Operation, OperationKind, Step};
pub use permit::{InFlight, Permit, Recorded, Released};
pub use reply::{Batch, Duty, Excerpt, Masked, Masker, ShownColumn, Views};
pub use session::{Admission, OpenRequest, Session};
pub use shown::Shown;
