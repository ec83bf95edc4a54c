//! What crosses a process boundary: the generated protobuf types, and their conversion to and from the model.
//!
//! Generated types stop here: callers convert on arrival with `TryFrom` and get a named error for every
//! malformed field. There is one conversion file per `.proto`. Clients and servers are behind feature `rpc`.

mod approval;
mod binding;
mod class;
mod redact;
mod session;
mod time;

pub use approval::{InvalidApproval, MAX_CLASSES};
pub use binding::InvalidBinding;
pub use class::{InvalidClass, MAX_COLUMNS};
pub use session::InvalidSession;
pub use time::{InvalidTimestamp, from_timestamp, to_timestamp};

/// The generated types of package `countersign.v1`, documented in `proto/`.
#[allow(missing_docs, reason = "generated; the documentation is in the .proto files")]
#[allow(unreachable_pub, reason = "generated")]
#[allow(clippy::allow_attributes_without_reason, reason = "generated")]
#[allow(clippy::large_enum_variant, reason = "generated; one message at a time")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.rs"));
}

/// The encoded `FileDescriptorSet` of everything in `proto/`: for reflection and for proto-JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
