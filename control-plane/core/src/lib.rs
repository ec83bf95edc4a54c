//! The use cases of the control plane, over its ports: store, archive, Entra, keys.
//!
//! No gRPC and no HTTP in here: callers are identified before they come ([`Caller`] by a token, an edge by its
//! verified certificate), and every use case says in a small error whose fault it was. What is done is audited.

mod admin;
mod approvals;
mod configuration;
mod core;
mod credentials;
mod declared;
mod edges;
mod enrolment;
mod error;
mod in_force;
mod ingest;
mod issuer;
mod listing;
mod ports;
mod recordings;
mod registration;
mod resources;
mod revocation;
mod sessions;
mod validate;

pub use admin::{Admin, AdminRole, Caller, NoAdmin};
pub use approvals::{ApprovalError, ApprovalRefusal, VoteRefused, WatchEnded, Watching};
pub use configuration::Configurations;
pub use core::{Clock, Core, Parts, Settings, StartError};
pub use credentials::MintRefusal;
pub use edges::{Attached, Hello};
pub use enrolment::{Enrolled, MAX_JOIN_TTL};
pub use error::{EdgeError, EnrolRefused, IngestError, OpenRefused, ResourceError};
pub use ingest::{PackTaken, PackUpload, SegmentTaken};
pub use issuer::Issuer;
pub use listing::PageError;
pub use ports::{Minting, Tokens};
pub use recordings::{ArchivedRecording, ReadError, SegmentPlace};
pub use revocation::RevokeError;
pub use sessions::OpenRequest;

#[cfg(test)]
mod tests;
