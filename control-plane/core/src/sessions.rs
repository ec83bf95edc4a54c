//! Sessions: who is let in, through which edge, to what, and until when.

mod message;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_entra::{TokenError, ValidatedToken};
use countersign_model::{Name, Reason, RecordingId, Secret, SessionId};
use countersign_pki::EdgeIdentity;
use countersign_runtime::{Failpoint, failpoint};
use countersign_store::{SessionRecord, StoreError, TokenUse};
use countersign_wire::v1;
use tracing::{info, warn};

use crate::{Core, EdgeError, OpenRefused, ReadError, core::to_its_end, edges::boot_id, listing};

pub(crate) use message::{facts, message};

/// Longest session if the target does not say.
const DEFAULT_SESSION: Duration = Duration::from_secs(3600);
/// Why a session is closed whose process said so, in three ways: nothing of it is left to be cut.
const CLOSED_BY_EDGE: &str = "closed by edge";
pub(crate) const RECORDING_COMPLETE: &str = "recording complete";
pub(crate) const EDGE_RESTARTED: &str = "edge restarted";
/// Longest user name that is kept, in bytes.
const MAX_CLIENT_USER: usize = 256;

/// What an edge says of a caller.
#[derive(Debug)]
pub struct OpenRequest {
    /// The caller's token, for this one call.
    pub token: Secret,
    /// The target that was asked for, as the caller spelled it.
    pub target: String,
    /// IP address as text; empty if unknown.
    pub client_address: String,
    /// Free text.
    pub client_user: String,
    /// The edge's process.
    pub boot_id: Vec<u8>,
}

impl Core {
    /// Verifies the caller and opens a session with its recording.
    ///
    /// # Errors
    /// [`OpenRefused`]. What it says of the token goes to the log here and not to the edge.
    pub async fn open_session(
        self: &Arc<Self>,
        peer: &EdgeIdentity,
        request: OpenRequest,
    ) -> Result<v1::Session, OpenRefused> {
        let boot = self.attached_boot(peer, &request.boot_id).await?;
        let client_address = address(&request.client_address)?;
        let in_force = self.in_force.borrow().clone();
        let zone =
            in_force.declared.zones.get(&peer.zone).ok_or(OpenRefused::Refused(Reason::UnknownTarget))?;
        let token = self.verify(&request.token, &zone.audience).await?;
        drop(request.token);
        self.check_zone_of(&token, peer).await?;
        let target: Name = request.target.parse().map_err(|_| OpenRefused::Refused(Reason::UnknownTarget))?;
        let spec = in_force.target(&peer.zone, &target).ok_or(OpenRefused::Refused(Reason::UnknownTarget))?;
        let opened_at = self.now();
        let deadline = deadline(&token, spec, opened_at)?;
        let session = SessionRecord {
            id: SessionId::generate(),
            recording: RecordingId::generate(),
            principal: in_force.known(token.principal()),
            token_id: token.token_id.to_string(),
            zone: peer.zone.clone(),
            target,
            edge: peer.name.clone(),
            boot_id: boot,
            client_address,
            client_user: printable(&request.client_user),
            opened_at,
            deadline,
            closed_at: None,
            closed_because: String::new(),
        };
        let (core, peer) = (self.clone(), peer.clone());
        to_its_end(async move { core.begin_session(&peer, session).await }).await
    }

    async fn begin_session(
        &self,
        peer: &EdgeIdentity,
        session: SessionRecord,
    ) -> Result<v1::Session, OpenRefused> {
        self.parts.store.open_session(session.clone()).await?;
        failpoint(Failpoint::SessionStored);
        let principal = format!("{}/{}", session.principal.tenant_id, session.principal.object_id);
        let (id, target, edge) = (session.id.to_string(), session.target.as_str(), session.edge.as_str());
        let detail = [("target", target), ("edge", edge), ("token_id", session.token_id.as_str())];
        self.audit(&principal, "session.opened", &id, &detail).await?;
        // Deleted meanwhile, its sessions were closed before this one was there.
        if let Err(error) = self.enrolled(peer).await {
            self.end_session(&session, "edge deleted").await?;
            return Err(error.into());
        }
        // So is an agent: a session is found by whoever deletes, or finds here that its agent is gone.
        if self.in_force.borrow().agent(&session.principal) != session.principal.agent {
            self.end_session(&session, "agent deleted").await?;
            return Err(OpenRefused::Refused(Reason::NotPermitted));
        }
        failpoint(Failpoint::SessionOpened);
        info!(session = %session.id, %principal, target, edge, "session opened");
        Ok(message(&session))
    }

    /// Ends a session of this edge. Again is no error.
    ///
    /// # Errors
    /// [`EdgeError::UnknownSession`] if it is none of this edge's.
    pub async fn close_session(&self, peer: &EdgeIdentity, session: &str) -> Result<(), EdgeError> {
        let session = self.session_of(peer, session).await?;
        if session.closed_at.is_none() {
            self.end_session(&session, CLOSED_BY_EDGE).await?;
        }
        Ok(())
    }

    /// One session.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn get_session(&self, id: &str) -> Result<v1::Session, ReadError> {
        let id = id.parse().map_err(|_| ReadError::NotFound)?;
        Ok(message(&self.parts.store.session(id).await?))
    }

    /// A page of sessions, newest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list_sessions(&self, size: u32, token: &str) -> Result<v1::ListSessionsResponse, ReadError> {
        let (before, limit) = listing::page(size, token)?;
        let page = self.parts.store.sessions(before, limit).await?;
        let sessions = page.items.iter().map(message).collect();
        Ok(v1::ListSessionsResponse { sessions, next_page_token: listing::token(page.next) })
    }

    /// Closes sessions that are past their deadline, or whose edge is past its lease and has cut them. To be called now
    /// and then; returns how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn close_overdue_sessions(&self) -> Result<u64, StoreError> {
        let (now, mut closed) = (self.now(), 0);
        for edge in self.parts.store.edges().await? {
            let leased = edge.lease_expires_at.is_some_and(|end| now < end);
            for session in self.parts.store.open_sessions(&edge.name, None).await? {
                let why = match (leased, now < session.deadline) {
                    (_, false) => "deadline",
                    (false, true) => "edge lost",
                    (true, true) => continue,
                };
                self.end_session(&session, why).await?;
                closed += 1;
            }
        }
        Ok(closed)
    }

    /// The session, if it was opened by this edge in its zone, whichever process of it.
    pub(crate) async fn session_of(&self, peer: &EdgeIdentity, id: &str) -> Result<SessionRecord, EdgeError> {
        self.enrolled(peer).await?;
        let id = id.parse().map_err(|_| EdgeError::UnknownSession)?;
        match self.parts.store.session(id).await {
            Ok(session) if session.edge == peer.name && session.zone == peer.zone => Ok(session),
            // That it exists elsewhere is none of this edge's business.
            Ok(_) | Err(StoreError::NotFound) => Err(EdgeError::UnknownSession),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes a session, whoever says so, and with it the approvals that it waits for.
    pub(crate) async fn end_session(&self, session: &SessionRecord, why: &str) -> Result<(), StoreError> {
        self.parts.store.close_session(session.id, self.now(), why).await?;
        self.audit(session.edge.as_str(), "session.closed", &session.id.to_string(), &[("why", why)]).await?;
        failpoint(Failpoint::SessionClosed);
        self.cancel_approvals_of(session).await
    }

    /// The edge's attached process, if that is the one that asks and its lease has not run out.
    pub(crate) async fn attached_boot(
        &self,
        peer: &EdgeIdentity,
        boot: &[u8],
    ) -> Result<[u8; 16], EdgeError> {
        let edge = self.enrolled(peer).await?;
        let boot = boot_id(boot)?;
        let attached = edge.boot.is_some_and(|attached| attached.boot_id == boot);
        let leased = edge.lease_expires_at.is_some_and(|end| self.now() < end);
        if attached && leased { Ok(boot) } else { Err(EdgeError::NotAttached) }
    }

    async fn verify(&self, token: &Secret, audience: &str) -> Result<ValidatedToken, OpenRefused> {
        match self.parts.tokens.validate(token.expose(), audience, self.now()).await {
            // The validator has compared it; the deployment's own word stands beside it all the same.
            Ok(token) if token.tenant_id == self.parts.settings.tenant_id => Ok(token),
            Ok(_) => Err(refused(TokenError::Tenant)),
            Err(TokenError::KeysUnavailable) => Err(OpenRefused::Unavailable),
            Err(error) => Err(refused(error)),
        }
    }

    /// A token that shows up in a second zone was passed on or stolen, or the zones share an audience on purpose.
    async fn check_zone_of(&self, token: &ValidatedToken, peer: &EdgeIdentity) -> Result<(), OpenRefused> {
        let store = &self.parts.store;
        let noted =
            store.note_token_use(&token.tenant_id, &token.token_id, &peer.zone, token.expires_at).await?;
        let TokenUse::OtherZone { first } = noted else { return Ok(()) };
        warn!(token_id = %token.token_id, first = %first, second = %peer.zone, "a token was used in a second zone");
        let principal = format!("{}/{}", token.tenant_id, token.object_id);
        let detail = [("first_zone", first.as_str()), ("second_zone", peer.zone.as_str())];
        self.audit(&principal, "alarm.token_in_second_zone", &token.token_id, &detail).await?;
        if self.parts.settings.one_zone_per_token {
            Err(OpenRefused::Refused(Reason::TokenRefused))
        } else {
            Ok(())
        }
    }
}

/// Whether the edge itself has ended the session.
pub(crate) fn ended_at_edge(session: &SessionRecord) -> bool {
    let ends = [CLOSED_BY_EDGE, RECORDING_COMPLETE, EDGE_RESTARTED];
    session.closed_at.is_some() && ends.contains(&session.closed_because.as_str())
}

/// The earlier of the token's own end and the target's longest session.
fn deadline(
    token: &ValidatedToken,
    spec: &v1::TargetSpec,
    now: SystemTime,
) -> Result<SystemTime, OpenRefused> {
    let longest = match spec.max_session {
        Some(longest) => Duration::try_from(longest).unwrap_or(DEFAULT_SESSION),
        None => DEFAULT_SESSION,
    };
    let deadline = token.expires_at.min(now + longest);
    // The validator allows some skew; a session that would be over at once is none.
    if now < deadline { Ok(deadline) } else { Err(refused(TokenError::Expired)) }
}

fn refused(error: TokenError) -> OpenRefused {
    info!(kind = error.as_str(), "token refused");
    OpenRefused::Refused(Reason::TokenRefused)
}

fn address(text: &str) -> Result<Option<IpAddr>, EdgeError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| EdgeError::Malformed("client_address is no IP address")),
    }
}

/// Free text from a stranger: bounded, and nothing in it that a terminal would obey.
fn printable(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if kept.len() + c.len_utf8() > MAX_CLIENT_USER {
            break;
        }
        kept.push(c);
    }
    kept
}
