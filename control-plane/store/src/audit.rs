//! The audit log of this node: a gap-free sequence in which each entry holds the hash of the one before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::StoreError;

/// What stands for the hash before the first entry.
pub const AUDIT_GENESIS: [u8; 32] = [0; 32];

const DOMAIN: &[u8] = b"countersign/audit/v1\0";

/// Something that happened, before it has its place in the log. Never holds a token, a parameter or a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When; nanoseconds count, and times before 1970 are kept as 1970.
    pub at: SystemTime,
    /// Who did it, or for whom it was done.
    pub actor: String,
    /// What was done: a stable dotted word.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// More, in the order given.
    pub detail: Vec<(String, String)>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts from 1 without a gap.
    pub sequence: u64,
    /// What happened.
    pub event: AuditEvent,
    /// Hash of the entry before; [`AUDIT_GENESIS`] for the first.
    pub previous: [u8; 32],
    /// SHA-256 over a domain, the sequence, `previous` and the event, each text with its length before it.
    pub hash: [u8; 32],
}

impl AuditEntry {
    /// The entry that follows the one with `previous` as its hash.
    pub fn chained(sequence: u64, previous: [u8; 32], mut event: AuditEvent) -> Self {
        event.at = UNIX_EPOCH + since_epoch(event.at);
        let hash = link(sequence, &previous, &event);
        Self { sequence, event, previous, hash }
    }
}

/// Where a log does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// An entry is missing, or entries are out of order.
    #[error("audit entry {expected} is missing")]
    Missing {
        /// The sequence that should stand there.
        expected: u64,
    },
    /// The entry does not follow from the one before.
    #[error("audit entry {sequence} does not continue the chain")]
    Broken {
        /// Its sequence.
        sequence: u64,
    },
    /// The entry is not what was hashed.
    #[error("audit entry {sequence} was changed")]
    Changed {
        /// Its sequence.
        sequence: u64,
    },
}

/// Checks that `entries` are whole, unchanged and in order after the entry `(sequence, hash)`, which is
/// `(0, AUDIT_GENESIS)` for a log from its beginning. Returns sequence and hash of the last one, to go on from.
/// A tail that was cut off does not show here; compare the result with what is known of the head.
pub fn verify_chain(
    (mut sequence, mut hash): (u64, [u8; 32]),
    entries: &[AuditEntry],
) -> Result<(u64, [u8; 32]), ChainFault> {
    for entry in entries {
        let expected = sequence.saturating_add(1);
        if entry.sequence != expected {
            return Err(ChainFault::Missing { expected });
        }
        if entry.previous != hash {
            return Err(ChainFault::Broken { sequence: expected });
        }
        if entry.hash != link(entry.sequence, &entry.previous, &entry.event) {
            return Err(ChainFault::Changed { sequence: expected });
        }
        (sequence, hash) = (expected, entry.hash);
    }
    Ok((sequence, hash))
}

/// The audit log of this node.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Appends and returns the sequence.
    async fn append_audit(&self, event: AuditEvent) -> Result<u64, StoreError>;

    /// Entries from sequence `from` on, in order, at most `limit` ([`crate::MAX_PAGE`] at the most).
    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
}

fn link(sequence: u64, previous: &[u8; 32], event: &AuditEvent) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(sequence.to_be_bytes());
    hash.update(previous);
    hash.update(since_epoch(event.at).as_nanos().to_be_bytes());
    for text in [&event.actor, &event.action, &event.subject] {
        update_text(&mut hash, text);
    }
    hash.update((event.detail.len() as u64).to_be_bytes());
    for (key, value) in &event.detail {
        update_text(&mut hash, key);
        update_text(&mut hash, value);
    }
    hash.finalize().into()
}

fn update_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> AuditEntry {
        let event = AuditEvent {
            at: UNIX_EPOCH + Duration::from_nanos(1_900_000_000_000_000_001),
            actor: "ab".into(),
            action: "c".into(),
            subject: "d".into(),
            detail: vec![("e".into(), "f".into())],
        };
        AuditEntry::chained(1, AUDIT_GENESIS, event)
    }

    #[test]
    fn every_field_is_under_the_hash() {
        let changes: [fn(&mut AuditEntry); 8] = [
            |e| e.event.at += Duration::from_nanos(1),
            |e| e.event.actor.push('x'),
            |e| e.event.action.push('x'),
            |e| e.event.subject.push('x'),
            |e| e.event.detail[0].0.push('x'),
            |e| e.event.detail[0].1.push('x'),
            |e| e.event.detail.clear(),
            |e| e.hash[31] ^= 1,
        ];
        assert!(verify_chain((0, AUDIT_GENESIS), &[entry()]).is_ok());
        for (n, change) in changes.into_iter().enumerate() {
            let mut changed = entry();
            change(&mut changed);
            let verified = verify_chain((0, AUDIT_GENESIS), &[changed]);
            assert_eq!(verified, Err(ChainFault::Changed { sequence: 1 }), "change {n}");
        }
    }

    #[test]
    fn letters_do_not_move_between_fields() {
        let mut moved = entry();
        (moved.event.actor, moved.event.action) = ("a".into(), "bc".into());
        assert!(verify_chain((0, AUDIT_GENESIS), &[moved]).is_err());
    }
}
