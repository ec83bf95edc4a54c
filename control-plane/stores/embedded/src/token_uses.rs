//! First zones of tokens, with an index by expiry.

use std::time::SystemTime;

use async_trait::async_trait;
use countersign_model::Name;
use countersign_store::{StoreError, TokenUse, TokenUses};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredTokenUse, name, nanos},
    tables::{self, Broken, Fault, TOKEN_EXPIRIES, TOKEN_USES},
};

#[async_trait]
impl TokenUses for EmbeddedStore {
    async fn note_token_use(
        &self,
        tenant_id: &str,
        token_id: &str,
        zone: &Name,
        expires_at: SystemTime,
    ) -> Result<TokenUse, StoreError> {
        let (tenant_id, token_id, zone) = (tenant_id.to_owned(), token_id.to_owned(), zone.clone());
        self.writer
            .write(move |transaction| note(transaction, &tenant_id, &token_id, &zone, expires_at))
            .await
    }
}

/// Removes notes of tokens that expired before `now`; returns how many.
pub(crate) fn purge(transaction: &WriteTransaction, now: SystemTime) -> Result<u64, Broken> {
    let mut uses = transaction.open_table(TOKEN_USES)?;
    let mut expiries = transaction.open_table(TOKEN_EXPIRIES)?;
    let mut expired = 0;
    while let Some((expires_at, tenant, token)) = first(&expiries)? {
        if expires_at >= nanos(now) {
            break;
        }
        uses.remove((tenant.as_str(), token.as_str()))?;
        expiries.remove((expires_at, tenant.as_str(), token.as_str()))?;
        expired += 1;
    }
    Ok(expired)
}

fn first(
    expiries: &impl ReadableTable<(u64, &'static str, &'static str), ()>,
) -> Result<Option<(u64, String, String)>, Broken> {
    Ok(expiries.first()?.map(|(key, _)| {
        let (expires_at, tenant, token) = key.value();
        (expires_at, tenant.to_owned(), token.to_owned())
    }))
}

fn note(
    transaction: &WriteTransaction,
    tenant_id: &str,
    token_id: &str,
    zone: &Name,
    expires_at: SystemTime,
) -> Result<TokenUse, Fault> {
    let mut uses = transaction.open_table(TOKEN_USES)?;
    let known: Option<StoredTokenUse> = tables::get(&uses, (tenant_id, token_id))?;
    if let Some(known) = known {
        let first = name(&known.zone)?;
        return Ok(if first == *zone { TokenUse::SameZone } else { TokenUse::OtherZone { first } });
    }
    tables::put(&mut uses, (tenant_id, token_id), &StoredTokenUse { zone: zone.to_string() })?;
    transaction.open_table(TOKEN_EXPIRIES)?.insert((nanos(expires_at), tenant_id, token_id), ())?;
    Ok(TokenUse::First)
}
