//! Approvals, with indexes by state, by session, and of the pending ones by who asks.

use std::ops::Bound;

use async_trait::async_trait;
use countersign_model::{ApprovalId, ApprovalState, SessionId};
use countersign_store::{ApprovalRecord, Approvals, Page, StoreError};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredApproval, state_number},
    tables::{self, APPROVAL_STATES, APPROVALS, Broken, Fault, Id, PENDING_APPROVALS, SESSION_APPROVALS},
};

/// Below and above every id.
const FIRST: &[u8; 16] = &[0; 16];
const LAST: &[u8; 16] = &[0xff; 16];

#[async_trait]
impl Approvals for EmbeddedStore {
    async fn create_approval(&self, approval: ApprovalRecord, most_pending: usize) -> Result<(), StoreError> {
        self.writer.write(move |transaction| create(transaction, &approval, most_pending)).await
    }

    async fn approval(&self, id: ApprovalId) -> Result<ApprovalRecord, StoreError> {
        self.read(move |transaction| find(&transaction.open_table(APPROVALS)?, id)).await
    }

    async fn replace_approval(&self, approval: ApprovalRecord) -> Result<(), StoreError> {
        self.writer.write(move |transaction| replace(transaction, &approval)).await
    }

    async fn approvals(
        &self,
        states: &[ApprovalState],
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Page<ApprovalRecord, ApprovalId>, StoreError> {
        let wanted = |state: &ApprovalState| states.is_empty() || states.contains(state);
        let states: Vec<_> = ApprovalState::ALL.into_iter().filter(wanted).collect();
        self.read(move |transaction| {
            let most = Page::<ApprovalRecord, ApprovalId>::size(limit) + 1;
            let mut ids = newest(transaction, &states, before, most)?;
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.truncate(most);
            let found = load(transaction, &ids)?;
            Ok(Page::from_overfull(found, limit, |approval| approval.id))
        })
        .await
    }

    async fn open_approvals(&self) -> Result<Vec<ApprovalRecord>, StoreError> {
        let open: Vec<_> = ApprovalState::ALL.into_iter().filter(|state| !state.is_final()).collect();
        self.read(move |transaction| {
            let mut ids = newest(transaction, &open, None, usize::MAX)?;
            ids.sort_unstable();
            Ok(load(transaction, &ids)?)
        })
        .await
    }

    async fn approvals_of(&self, session: SessionId) -> Result<Vec<ApprovalRecord>, StoreError> {
        self.read(move |transaction| {
            let index = transaction.open_table(SESSION_APPROVALS)?;
            let mut ids = Vec::new();
            for entry in index.range((session.as_bytes(), FIRST)..=(session.as_bytes(), LAST))? {
                ids.push(*entry?.0.value().1);
            }
            Ok(load(transaction, &ids)?)
        })
        .await
    }
}

fn create(
    transaction: &WriteTransaction,
    approval: &ApprovalRecord,
    most_pending: usize,
) -> Result<(), Fault> {
    let known = transaction.open_table(APPROVALS)?.get(approval.id.as_bytes())?.is_some();
    if known || pending(transaction, &approval.asker, most_pending)? >= most_pending {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    Ok(insert(transaction, approval)?)
}

fn replace(transaction: &WriteTransaction, approval: &ApprovalRecord) -> Result<(), Fault> {
    let replaced = find(&transaction.open_table(APPROVALS)?, approval.id)?;
    if replaced.version.checked_add(1) != Some(approval.version) {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    remove_from_indexes(transaction, &replaced)?;
    Ok(insert(transaction, approval)?)
}

/// How many pending approvals `asker` has; stops counting at `most`.
fn pending(transaction: &WriteTransaction, asker: &str, most: usize) -> Result<usize, Broken> {
    let index = transaction.open_table(PENDING_APPROVALS)?;
    let mut count = 0;
    for entry in index.range((asker, FIRST)..=(asker, LAST))?.take(most) {
        entry?;
        count += 1;
    }
    Ok(count)
}

fn insert(transaction: &WriteTransaction, approval: &ApprovalRecord) -> Result<(), Broken> {
    let id = approval.id.as_bytes();
    tables::put(&mut transaction.open_table(APPROVALS)?, id, &StoredApproval::from(approval))?;
    transaction.open_table(APPROVAL_STATES)?.insert((state_number(approval.state), id), ())?;
    transaction.open_table(SESSION_APPROVALS)?.insert((approval.session.as_bytes(), id), ())?;
    if approval.state == ApprovalState::Pending {
        transaction.open_table(PENDING_APPROVALS)?.insert((approval.asker.as_str(), id), ())?;
    }
    Ok(())
}

fn remove_from_indexes(transaction: &WriteTransaction, approval: &ApprovalRecord) -> Result<(), Broken> {
    let id = approval.id.as_bytes();
    transaction.open_table(APPROVAL_STATES)?.remove((state_number(approval.state), id))?;
    transaction.open_table(SESSION_APPROVALS)?.remove((approval.session.as_bytes(), id))?;
    transaction.open_table(PENDING_APPROVALS)?.remove((approval.asker.as_str(), id))?;
    Ok(())
}

/// Ids of the newest approvals before `before`: up to `most` of each state.
fn newest(
    transaction: &ReadTransaction,
    states: &[ApprovalState],
    before: Option<ApprovalId>,
    most: usize,
) -> Result<Vec<[u8; 16]>, Broken> {
    let index = transaction.open_table(APPROVAL_STATES)?;
    let mut ids = Vec::new();
    for state in states.iter().map(|state| state_number(*state)) {
        let from = Bound::Included((state, FIRST));
        let to = match &before {
            Some(id) => Bound::Excluded((state, id.as_bytes())),
            None => Bound::Included((state, LAST)),
        };
        for entry in index.range::<(u8, &[u8; 16])>((from, to))?.rev().take(most) {
            ids.push(*entry?.0.value().1);
        }
    }
    Ok(ids)
}

/// The approvals of these ids, in their order.
fn load(transaction: &ReadTransaction, ids: &[[u8; 16]]) -> Result<Vec<ApprovalRecord>, Broken> {
    let approvals = transaction.open_table(APPROVALS)?;
    let one = |id: &[u8; 16]| {
        let stored: Option<StoredApproval> = tables::get(&approvals, id)?;
        stored.ok_or_else(|| Broken::corrupt("index"))?.try_into()
    };
    ids.iter().map(one).collect()
}

fn find(approvals: &impl ReadableTable<Id, &'static [u8]>, id: ApprovalId) -> Result<ApprovalRecord, Fault> {
    let stored: Option<StoredApproval> = tables::get(approvals, id.as_bytes())?;
    Ok(stored.ok_or(Fault::Refused(StoreError::NotFound))?.try_into()?)
}
