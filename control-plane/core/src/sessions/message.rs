//! A session in the words of others: of admins and of policy.

use std::sync::Arc;

use countersign_model::SessionFacts;
use countersign_store::SessionRecord;
use countersign_wire::{to_timestamp, v1};

use crate::in_force::InForce;

/// As admins and edges see it.
pub(crate) fn message(session: &SessionRecord) -> v1::Session {
    let state = match session.closed_at {
        None => v1::SessionState::Open,
        Some(_) => v1::SessionState::Closed,
    };
    v1::Session {
        id: session.id.to_string(),
        recording_id: session.recording.to_string(),
        principal: Some((&session.principal).into()),
        token_id: session.token_id.clone(),
        zone: session.zone.to_string(),
        target: session.target.to_string(),
        edge: session.edge.to_string(),
        client_address: session.client_address.map(|address| address.to_string()).unwrap_or_default(),
        client_user: session.client_user.clone(),
        opened_at: Some(to_timestamp(session.opened_at)),
        deadline: Some(to_timestamp(session.deadline)),
        closed_at: session.closed_at.map(to_timestamp),
        state: state.into(),
        closed_because: session.closed_because.clone(),
    }
}

/// As policy sees it now: with the caller as it is known in what is in force, which is not always as it was known when
/// the session was opened.
pub(crate) fn facts(session: &SessionRecord, in_force: &InForce) -> SessionFacts {
    SessionFacts {
        session: session.id,
        recording: session.recording,
        principal: Arc::new(in_force.known(session.principal.clone())),
        token_id: session.token_id.as_str().into(),
        zone: session.zone.clone(),
        target: session.target.clone(),
        client: session.client_address,
        deadline: session.deadline,
    }
}
