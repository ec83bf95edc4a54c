//! How approvals end that nobody votes on or uses: withdrawn by their edge, gone with their session, out of time.

use std::sync::Arc;

use countersign_model::{ApprovalId, ApprovalState, SessionId};
use countersign_pki::EdgeIdentity;
use countersign_store::{ApprovalRecord, SessionRecord, StoreError};
use countersign_wire::v1;

use super::{
    change::{By, Next},
    opened::Opened,
};
use crate::{Core, EdgeError, core::to_its_end};

/// Longest word for why nobody waits any more, in bytes.
const MAX_WORD: usize = 64;

impl Core {
    /// An edge says that nobody waits for an approval any more. One that has ended is no error. Dropping the
    /// future does not stop it.
    ///
    /// # Errors
    /// [`EdgeError::UnknownApproval`] if there is no such approval of this session, [`EdgeError::Malformed`].
    pub async fn cancel_approval(
        self: &Arc<Self>,
        peer: &EdgeIdentity,
        request: v1::CancelApprovalRequest,
    ) -> Result<(), EdgeError> {
        let state = match request.state() {
            v1::ApprovalState::Cancelled => ApprovalState::Cancelled,
            v1::ApprovalState::Superseded => ApprovalState::Superseded,
            _ => return Err(EdgeError::Malformed("state must be cancelled or superseded")),
        };
        if request.reason.len() > MAX_WORD || !request.reason.bytes().all(is_of_a_word) {
            return Err(EdgeError::Malformed("reason must be a snake_case word"));
        }
        let session = self.session_of(peer, &request.session_id).await?;
        let id: ApprovalId = request.approval_id.parse().map_err(|_| EdgeError::UnknownApproval)?;
        let record = match self.parts.store.approval(id).await {
            Ok(record) if record.session == session.id => record,
            Ok(_) | Err(StoreError::NotFound) => return Err(EdgeError::UnknownApproval),
            Err(error) => return Err(error.into()),
        };
        let (core, edge) = (self.clone(), peer.name.clone());
        to_its_end(async move {
            let by = By { actor: edge.as_str(), why: &request.reason };
            Ok(core.end_approval(record, state, by).await?)
        })
        .await
    }

    /// Ends what has run out of time, for voting or for use, and what a death of this process left behind of a
    /// session that is closed. To be called every second; returns how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn expire_approvals(&self) -> Result<u64, StoreError> {
        let (now, mut expired) = (self.now(), 0);
        for record in self.parts.store.open_approvals().await? {
            let end = match record.state {
                ApprovalState::Pending => Some(record.expires_at),
                _ => record.use_until,
            };
            if end.is_none_or(|end| end <= now) {
                let seen = record.state;
                self.expire(record, seen).await?;
                expired += 1;
            } else if self.is_closed(record.session).await {
                self.end_approval(record, ApprovalState::Cancelled, self.by_itself("session ended")).await?;
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// Whether a session is known to be closed.
    async fn is_closed(&self, session: SessionId) -> bool {
        self.parts.store.session(session).await.is_ok_and(|session| session.closed_at.is_some())
    }

    /// The session has ended, and with it everything that it waited for.
    pub(crate) async fn cancel_approvals_of(&self, session: &SessionRecord) -> Result<(), StoreError> {
        for record in self.parts.store.approvals_of(session.id).await? {
            self.end_approval(record, ApprovalState::Cancelled, self.by_itself("session ended")).await?;
        }
        Ok(())
    }

    /// What became of a session's approvals, for an edge that may have missed it.
    pub(crate) async fn outcomes_of(
        &self,
        session: SessionId,
    ) -> Result<Vec<v1::SignedApprovalOutcome>, StoreError> {
        let records = self.parts.store.approvals_of(session).await?;
        let mut outcomes = Vec::new();
        for record in records {
            let outcome = self.open(record).await?.ok().and_then(|opened| opened.outcome);
            outcomes.extend(outcome.map(|(signed, _)| signed));
        }
        Ok(outcomes)
    }

    /// Ends an approval, whatever state it is in; one that has ended stays as it is. One that was altered ends
    /// too.
    pub(super) async fn end_approval(
        &self,
        record: ApprovalRecord,
        state: ApprovalState,
        by: By<'_>,
    ) -> Result<(), StoreError> {
        self.end_if(record, state, by, |now| !now.is_final()).await
    }

    /// The time that an approval in the state `of` has is over. One that was approved at this very moment has its
    /// time for use before it.
    pub(crate) async fn expire(&self, record: ApprovalRecord, of: ApprovalState) -> Result<(), StoreError> {
        let by = self.by_itself("out of time");
        self.end_if(record, ApprovalState::Expired, by, |now| now == of).await
    }

    async fn end_if(
        &self,
        record: ApprovalRecord,
        state: ApprovalState,
        by: By<'_>,
        ends: impl Fn(ApprovalState) -> bool,
    ) -> Result<(), StoreError> {
        let id = record.id;
        if !ends(record.state) {
            return Ok(());
        }
        if self.open(record.clone()).await?.is_err() {
            return self.discard(record, state).await;
        }
        let step =
            |opened: &Opened| Ok::<_, StoreError>(ends(opened.record.state).then(|| Next::state(state)));
        self.change(id, by, step).await.map(drop)
    }

    /// Done by nobody but the control plane.
    fn by_itself<'a>(&'a self, why: &'a str) -> By<'a> {
        By { actor: self.deployment().as_str(), why }
    }
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}
