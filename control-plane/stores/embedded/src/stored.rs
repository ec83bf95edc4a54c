//! Records as they lie in the file: protobuf, so that later versions can add fields. Numbers are never used again.

mod approval;
mod audit;
mod edge;
mod recording;
mod session;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::Name;
use prost::Message;

use crate::tables::Broken;

pub(crate) use approval::{StoredApproval, state_number};
pub(crate) use audit::StoredAuditEntry;
pub(crate) use edge::{StoredBoot, StoredEdge, StoredJoinToken};
pub(crate) use recording::{StoredRecording, StoredSegment};
pub(crate) use session::StoredSession;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredResource {
    #[prost(uint64, tag = "1")]
    pub(crate) version: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) spec: Vec<u8>,
    /// Only the version is kept, to go on counting from.
    #[prost(bool, tag = "3")]
    pub(crate) deleted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredTokenUse {
    #[prost(string, tag = "1")]
    pub(crate) zone: String,
}

/// Nanoseconds since 1970, which fit until 2554.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn instant(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

pub(crate) fn name(text: &str) -> Result<Name, Broken> {
    text.parse().map_err(|_| Broken::corrupt("name"))
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, Broken> {
    text.parse().map_err(|_| Broken::corrupt("id"))
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Broken> {
    bytes.try_into().map_err(|_| Broken::corrupt("key or hash"))
}
