//! Join tokens, edges and every process of theirs that attached.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_model::Name;
use countersign_store::{
    BootId, EdgeBoot, EdgeCertificate, EdgeRecord, Edges, EnrolError, JoinToken, NewEdge, StoreError,
};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredBoot, StoredEdge, StoredJoinToken},
    tables::{self, BOOTS, Broken, EDGES, Fault, JOIN_TOKENS},
};

#[async_trait]
impl Edges for EmbeddedStore {
    async fn add_join_token(&self, token: JoinToken) -> Result<(), StoreError> {
        self.writer
            .write(move |transaction| {
                let mut tokens = transaction.open_table(JOIN_TOKENS)?;
                if tokens.get(&token.sha256)?.is_some() {
                    return Err(Fault::Refused(StoreError::Conflict));
                }
                Ok(tables::put(&mut tokens, &token.sha256, &StoredJoinToken::from(&token))?)
            })
            .await
    }

    async fn join_token(&self, sha256: [u8; 32], now: SystemTime) -> Result<JoinToken, StoreError> {
        self.read(move |transaction| {
            let token = valid_token(&transaction.open_table(JOIN_TOKENS)?, sha256, now)?;
            token.ok_or(Fault::Refused(StoreError::NotFound))
        })
        .await
    }

    async fn enrol(
        &self,
        token_sha256: [u8; 32],
        edge: NewEdge,
        now: SystemTime,
    ) -> Result<EdgeRecord, EnrolError> {
        self.writer.write(move |transaction| enrol(transaction, token_sha256, edge, now)).await
    }

    async fn replace_certificate(
        &self,
        name: &Name,
        held_spki_sha256: [u8; 32],
        certificate: EdgeCertificate,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer
            .write(move |transaction| {
                change(transaction, &name, |edge| {
                    if edge.certificate.spki_sha256 != held_spki_sha256 {
                        return Err(StoreError::Conflict);
                    }
                    edge.certificate = certificate;
                    Ok(())
                })
            })
            .await
    }

    async fn record_boot(
        &self,
        name: &Name,
        boot: EdgeBoot,
        lease_expires_at: SystemTime,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer
            .write(move |transaction| {
                let mut boots = transaction.open_table(BOOTS)?;
                let key = (name.as_str(), &boot.boot_id);
                let known: Option<StoredBoot> = tables::get(&boots, key)?;
                let known = known.map(EdgeBoot::try_from).transpose()?;
                if known.is_some_and(|known| known.recording_key != boot.recording_key) {
                    return Err(Fault::Refused(StoreError::Conflict));
                }
                change(transaction, &name, |edge| {
                    edge.boot = Some(boot.clone());
                    edge.lease_expires_at = Some(lease_expires_at);
                    Ok(())
                })?;
                Ok(tables::put(&mut boots, key, &StoredBoot::from(&boot))?)
            })
            .await
    }

    async fn boot(&self, name: &Name, boot: BootId) -> Result<EdgeBoot, StoreError> {
        let name = name.clone();
        self.read(move |transaction| {
            let stored: Option<StoredBoot> =
                tables::get(&transaction.open_table(BOOTS)?, (name.as_str(), &boot))?;
            Ok(stored.ok_or(Fault::Refused(StoreError::NotFound))?.try_into()?)
        })
        .await
    }

    async fn knows_recording_key(&self, name: &Name, key: [u8; 32]) -> Result<bool, StoreError> {
        let name = name.clone();
        self.read(move |transaction| {
            let boots = transaction.open_table(BOOTS)?;
            let (first, last) = ([0; 16], [0xff; 16]);
            for entry in boots.range((name.as_str(), &first)..=(name.as_str(), &last))? {
                let (_, record) = entry?;
                let boot = EdgeBoot::try_from(tables::decode::<StoredBoot>(record.value())?)?;
                if boot.recording_key == key {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    async fn renew_lease(&self, name: &Name, boot: BootId, expires_at: SystemTime) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer
            .write(move |transaction| {
                change(transaction, &name, |edge| {
                    if edge.boot.as_ref().is_none_or(|attached| attached.boot_id != boot) {
                        return Err(StoreError::Conflict);
                    }
                    edge.lease_expires_at = edge.lease_expires_at.max(Some(expires_at));
                    Ok(())
                })
            })
            .await
    }

    async fn delete_edge(&self, name: &Name) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer
            .write(move |transaction| {
                let removed = transaction.open_table(EDGES)?.remove(name.as_str())?.is_some();
                if removed { Ok(()) } else { Err(Fault::Refused(StoreError::NotFound)) }
            })
            .await
    }

    async fn edge(&self, name: &Name) -> Result<EdgeRecord, StoreError> {
        let name = name.clone();
        self.read(move |transaction| {
            let edge = find(&transaction.open_table(EDGES)?, &name)?;
            edge.ok_or(Fault::Refused(StoreError::NotFound))
        })
        .await
    }

    async fn edges(&self) -> Result<Vec<EdgeRecord>, StoreError> {
        self.read(|transaction| {
            let mut found = Vec::new();
            for entry in transaction.open_table(EDGES)?.iter()? {
                found.push(tables::decode::<StoredEdge>(entry?.1.value())?.try_into()?);
            }
            Ok(found)
        })
        .await
    }
}

/// Removes join tokens that expired before `now`; returns how many.
pub(crate) fn purge(transaction: &WriteTransaction, now: SystemTime) -> Result<u64, Broken> {
    let mut tokens = transaction.open_table(JOIN_TOKENS)?;
    let mut expired = Vec::new();
    for entry in tokens.iter()? {
        let (key, record) = entry?;
        let token = tables::decode::<StoredJoinToken>(record.value())?.into_token(*key.value())?;
        if token.expires_at < now {
            expired.push(token.sha256);
        }
    }
    for sha256 in &expired {
        tokens.remove(sha256)?;
    }
    Ok(expired.len() as u64)
}

fn enrol(
    transaction: &WriteTransaction,
    token_sha256: [u8; 32],
    edge: NewEdge,
    now: SystemTime,
) -> Result<EdgeRecord, Fault<EnrolError>> {
    let mut tokens = transaction.open_table(JOIN_TOKENS)?;
    let mut edges = transaction.open_table(EDGES)?;
    let token = valid_token(&tokens, token_sha256, now)?.ok_or(Fault::Refused(EnrolError::Token))?;
    if token.zone != edge.zone {
        return Err(Fault::Refused(EnrolError::Zone));
    }
    if edges.get(edge.name.as_str())?.is_some() {
        return Err(Fault::Refused(EnrolError::NameTaken));
    }
    let record = EdgeRecord {
        name: edge.name,
        zone: edge.zone,
        enrolled_at: now,
        certificate: edge.certificate,
        boot: None,
        lease_expires_at: None,
    };
    tokens.remove(&token_sha256)?;
    tables::put(&mut edges, record.name.as_str(), &StoredEdge::from(&record))?;
    Ok(record)
}

fn valid_token(
    tokens: &impl ReadableTable<&'static [u8; 32], &'static [u8]>,
    sha256: [u8; 32],
    now: SystemTime,
) -> Result<Option<JoinToken>, Broken> {
    let stored: Option<StoredJoinToken> = tables::get(tokens, &sha256)?;
    let token = stored.map(|stored| stored.into_token(sha256)).transpose()?;
    Ok(token.filter(|token| now < token.expires_at))
}

/// Changes an edge, or refuses before anything is written.
fn change(
    transaction: &WriteTransaction,
    name: &Name,
    change: impl FnOnce(&mut EdgeRecord) -> Result<(), StoreError>,
) -> Result<(), Fault> {
    let mut edges = transaction.open_table(EDGES)?;
    let mut edge = find(&edges, name)?.ok_or(Fault::Refused(StoreError::NotFound))?;
    change(&mut edge).map_err(Fault::Refused)?;
    Ok(tables::put(&mut edges, name.as_str(), &StoredEdge::from(&edge))?)
}

fn find(
    edges: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &Name,
) -> Result<Option<EdgeRecord>, Broken> {
    tables::get::<_, StoredEdge>(edges, name.as_str())?.map(TryInto::try_into).transpose()
}
