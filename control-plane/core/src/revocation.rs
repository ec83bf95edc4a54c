//! Ending sessions by an admin's will: closed here first, so that nothing is minted for them and an edge that
//! comes back hears of it; then cut at their edges, which confirm it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_model::{Name, PrincipalKind};
use countersign_store::{BootId, EdgeRecord, SessionRecord, StoreError};
use countersign_wire::{to_timestamp, v1};

use crate::{Admin, Core, core::to_its_end, sessions};

/// How long an edge has to confirm that sessions are cut. It takes a moment if it is there at all.
pub(crate) const CONFIRMATION: Duration = Duration::from_secs(3);
/// Longest text of a person's that is taken, in characters.
pub(crate) const MAX_REASON: usize = 1_000;

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is no such session or approval.
    #[error("there is no such session or approval")]
    NotFound,
    /// A field is malformed; the text names it.
    #[error("{0}")]
    Malformed(&'static str),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(StoreError),
}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            error => Self::Store(error),
        }
    }
}

impl Core {
    /// Ends a session at once, whatever it is doing, and says whether its edge has confirmed that. One that is
    /// closed is told to its edge again. Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn kill_session(
        self: &Arc<Self>,
        admin: &Admin,
        id: &str,
        reason: &str,
    ) -> Result<(v1::Session, v1::Revocation), RevokeError> {
        check_reason(reason).map_err(RevokeError::Malformed)?;
        let id = id.parse().map_err(|_| RevokeError::NotFound)?;
        let (core, actor, reason) = (self.clone(), admin.actor.clone(), reason.to_owned());
        to_its_end(async move {
            let session = core.parts.store.session(id).await?;
            core.audit(&actor, "session.killed", &id.to_string(), &[("reason", &reason)]).await?;
            let revocation = core.cut(std::slice::from_ref(&session), "killed").await?;
            Ok((sessions::message(&core.parts.store.session(id).await?), revocation))
        })
        .await
    }

    /// The open sessions of an agent, acting for itself or for a person.
    pub(crate) async fn sessions_of_agent(
        &self,
        agent: &v1::AgentSpec,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let is_its = |session: &SessionRecord| {
            let principal = &session.principal;
            let id = match principal.kind {
                PrincipalKind::Agent => *principal.object_id == *agent.object_id,
                // A person's that was opened before the application was an agent's, too.
                PrincipalKind::AgentForUser | PrincipalKind::User => {
                    principal.app_id.as_deref() == Some(agent.app_id.as_str())
                }
            };
            id && *principal.tenant_id == *agent.tenant_id
        };
        let mut sessions = Vec::new();
        for edge in self.parts.store.edges().await? {
            let open = self.parts.store.open_sessions(&edge.name, None).await?;
            sessions.extend(open.into_iter().filter(is_its));
        }
        Ok(sessions)
    }

    /// Closes sessions, for one of which an edge may still have connections open, and has them cut.
    pub(crate) async fn cut(
        &self,
        sessions: &[SessionRecord],
        why: &str,
    ) -> Result<v1::Revocation, StoreError> {
        let open = sessions.iter().filter(|session| session.closed_at.is_none());
        let mut count = 0_u32;
        for session in open {
            self.end_session(session, why).await?;
            count = count.saturating_add(1);
        }
        let mut processes: BTreeMap<(&Name, BootId), Vec<String>> = BTreeMap::new();
        for session in sessions.iter().filter(|session| !sessions::ended_at_edge(session)) {
            processes.entry((&session.edge, session.boot_id)).or_default().push(session.id.to_string());
        }
        let told: Vec<_> = processes
            .into_iter()
            .map(|((edge, boot), ids)| {
                let attachment = self.attachment(edge, boot);
                (edge, boot, attachment.map(|attachment| attachment.revoke(ids, false)))
            })
            .collect();
        let until = tokio::time::Instant::now() + CONFIRMATION;
        let mut cut_by = None;
        for (edge, boot, revoking) in told {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let confirmed = match revoking {
                Some(revoking) => revoking.confirmed(left).await,
                None => false,
            };
            if !confirmed {
                cut_by = cut_by.max(Some(self.lease_of(edge, boot).await?));
            }
        }
        Ok(v1::Revocation { confirmed: cut_by.is_none(), cut_by: cut_by.map(to_timestamp), sessions: count })
    }

    /// Until when a process may act alone, at the most.
    async fn lease_of(&self, edge: &Name, boot: BootId) -> Result<SystemTime, StoreError> {
        let is_it = |edge: &EdgeRecord| edge.boot.as_ref().is_some_and(|now| now.boot_id == boot);
        match self.parts.store.edge(edge).await {
            Ok(edge) if is_it(&edge) => Ok(edge.lease_expires_at.unwrap_or_else(|| self.now())),
            // The edge was deleted, or another process has taken this one's place: what lease it had is not kept.
            Ok(_) | Err(StoreError::NotFound) => Ok(self.lease_end()),
            Err(error) => Err(error),
        }
    }
}

/// What a person gives as the reason: bounded, and nothing in it that a terminal would obey.
pub(crate) fn check_reason(reason: &str) -> Result<(), &'static str> {
    // A character has at most four bytes: a long text is not counted through.
    if reason.len() > 4 * MAX_REASON || reason.chars().count() > MAX_REASON {
        return Err("reason has more than 1,000 characters");
    }
    if reason.chars().any(|c| c.is_control() && c != '\n') {
        return Err("reason holds a control character");
    }
    Ok(())
}
