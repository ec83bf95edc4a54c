//! The audit log: entries by sequence.

use async_trait::async_trait;
use countersign_store::{AUDIT_GENESIS, Audit, AuditEntry, AuditEvent, MAX_PAGE, StoreError};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::StoredAuditEntry,
    tables::{self, AUDIT, Broken, Fault},
};

#[async_trait]
impl Audit for EmbeddedStore {
    async fn append_audit(&self, event: AuditEvent) -> Result<u64, StoreError> {
        self.writer.write(move |transaction| append(transaction, event)).await
    }

    async fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |transaction| {
            let audit = transaction.open_table(AUDIT)?;
            let mut found = Vec::new();
            for entry in audit.range(from..)?.take(limit.min(MAX_PAGE)) {
                found.push(decode(entry?.1.value())?);
            }
            Ok(found)
        })
        .await
    }
}

fn append(transaction: &WriteTransaction, event: AuditEvent) -> Result<u64, Fault> {
    let mut audit = transaction.open_table(AUDIT)?;
    let last = audit.last()?.map(|(_, record)| decode(record.value())).transpose()?;
    let (last, previous) = last.map_or((0, AUDIT_GENESIS), |entry| (entry.sequence, entry.hash));
    let entry = AuditEntry::chained(last.saturating_add(1), previous, event);
    tables::put(&mut audit, entry.sequence, &StoredAuditEntry::from(&entry))?;
    Ok(entry.sequence)
}

fn decode(record: &[u8]) -> Result<AuditEntry, Broken> {
    tables::decode::<StoredAuditEntry>(record)?.try_into()
}
