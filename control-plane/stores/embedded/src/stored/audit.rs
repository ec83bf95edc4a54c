//! Entries of the audit log as they lie in the file.

use countersign_store::{AuditEntry, AuditEvent};
use prost::Message;

use super::{exactly, instant, nanos};
use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredAuditEntry {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(string, tag = "3")]
    actor: String,
    #[prost(string, tag = "4")]
    action: String,
    #[prost(string, tag = "5")]
    subject: String,
    #[prost(message, repeated, tag = "6")]
    detail: Vec<StoredDetail>,
    #[prost(bytes = "vec", tag = "7")]
    previous: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredDetail {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl From<&AuditEntry> for StoredAuditEntry {
    fn from(entry: &AuditEntry) -> Self {
        let detail = entry.event.detail.iter();
        Self {
            sequence: entry.sequence,
            at: nanos(entry.event.at),
            actor: entry.event.actor.clone(),
            action: entry.event.action.clone(),
            subject: entry.event.subject.clone(),
            detail: detail
                .map(|(key, value)| StoredDetail { key: key.clone(), value: value.clone() })
                .collect(),
            previous: entry.previous.to_vec(),
            hash: entry.hash.to_vec(),
        }
    }
}

impl TryFrom<StoredAuditEntry> for AuditEntry {
    type Error = Broken;

    fn try_from(stored: StoredAuditEntry) -> Result<Self, Broken> {
        let event = AuditEvent {
            at: instant(stored.at),
            actor: stored.actor,
            action: stored.action,
            subject: stored.subject,
            detail: stored.detail.into_iter().map(|detail| (detail.key, detail.value)).collect(),
        };
        Ok(Self {
            sequence: stored.sequence,
            event,
            previous: exactly(stored.previous)?,
            hash: exactly(stored.hash)?,
        })
    }
}
