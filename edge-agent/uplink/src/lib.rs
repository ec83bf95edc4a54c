//! The gate's ports over gRPC: sessions and credentials from the control plane, policy from what it sent, recordings
//! into the spool and from there to the archive.
//!
//! The edge dials out and nothing dials in. What the control plane sends is checked before it is in force, and what is
//! in force ends with the lease.

mod approvals;
mod attach;
mod authority;
mod channel;
mod configure;
mod enrol;
mod entry;
mod in_force;
mod membership;
mod outcomes;
mod parked;
mod recent;
mod recorder;
mod refusals;
mod revocations;
mod running;
mod upload;

#[cfg(test)]
mod fake;

pub use authority::ControlPlane;
pub use configure::InvalidConfiguration;
pub use enrol::{EnrolError, Joining, enrol};
pub use in_force::{ApprovedOn, Configuration, InForce, LoginRole, Target};
pub use membership::{Membership, MembershipError};
pub use recorder::{SpoolJournal, SpoolRecorder};
pub use running::{Settings, Uplink, UplinkError};
