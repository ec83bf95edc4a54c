//! Sessions as they lie in the file.

use countersign_model::{Name, Principal, PrincipalKind};
use countersign_store::SessionRecord;
use prost::Message;

use super::{exactly, id, instant, name, nanos};
use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredSession {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    recording: String,
    #[prost(string, tag = "3")]
    tenant_id: String,
    #[prost(string, tag = "4")]
    object_id: String,
    #[prost(string, optional, tag = "5")]
    app_id: Option<String>,
    #[prost(uint32, tag = "6")]
    kind: u32,
    #[prost(string, optional, tag = "7")]
    agent: Option<String>,
    #[prost(string, repeated, tag = "8")]
    roles: Vec<String>,
    #[prost(string, tag = "9")]
    token_id: String,
    #[prost(string, tag = "10")]
    zone: String,
    #[prost(string, tag = "11")]
    target: String,
    #[prost(string, tag = "12")]
    edge: String,
    #[prost(bytes = "vec", tag = "13")]
    boot_id: Vec<u8>,
    #[prost(string, optional, tag = "14")]
    client_address: Option<String>,
    #[prost(string, tag = "15")]
    client_user: String,
    #[prost(uint64, tag = "16")]
    opened_at: u64,
    #[prost(uint64, tag = "17")]
    deadline: u64,
    #[prost(uint64, optional, tag = "18")]
    closed_at: Option<u64>,
    #[prost(string, tag = "19")]
    closed_because: String,
}

impl From<&SessionRecord> for StoredSession {
    fn from(session: &SessionRecord) -> Self {
        let principal = &session.principal;
        Self {
            id: session.id.to_string(),
            recording: session.recording.to_string(),
            tenant_id: principal.tenant_id.to_string(),
            object_id: principal.object_id.to_string(),
            app_id: principal.app_id.as_ref().map(ToString::to_string),
            kind: match principal.kind {
                PrincipalKind::Agent => 1,
                PrincipalKind::User => 2,
                PrincipalKind::AgentForUser => 3,
            },
            agent: principal.agent.as_ref().map(Name::to_string),
            roles: principal.roles.clone(),
            token_id: session.token_id.clone(),
            zone: session.zone.to_string(),
            target: session.target.to_string(),
            edge: session.edge.to_string(),
            boot_id: session.boot_id.to_vec(),
            client_address: session.client_address.map(|address| address.to_string()),
            client_user: session.client_user.clone(),
            opened_at: nanos(session.opened_at),
            deadline: nanos(session.deadline),
            closed_at: session.closed_at.map(nanos),
            closed_because: session.closed_because.clone(),
        }
    }
}

impl TryFrom<StoredSession> for SessionRecord {
    type Error = Broken;

    fn try_from(stored: StoredSession) -> Result<Self, Broken> {
        let principal = Principal {
            tenant_id: stored.tenant_id.into(),
            object_id: stored.object_id.into(),
            app_id: stored.app_id.map(Into::into),
            kind: match stored.kind {
                1 => PrincipalKind::Agent,
                2 => PrincipalKind::User,
                3 => PrincipalKind::AgentForUser,
                _ => return Err(Broken::corrupt("kind of principal")),
            },
            agent: stored.agent.as_deref().map(name).transpose()?,
            roles: stored.roles,
        };
        let client_address = stored.client_address.map(|text| text.parse());
        Ok(Self {
            id: id(&stored.id)?,
            recording: id(&stored.recording)?,
            principal,
            token_id: stored.token_id,
            zone: name(&stored.zone)?,
            target: name(&stored.target)?,
            edge: name(&stored.edge)?,
            boot_id: exactly(stored.boot_id)?,
            client_address: client_address.transpose().map_err(|_| Broken::corrupt("address"))?,
            client_user: stored.client_user,
            opened_at: instant(stored.opened_at),
            deadline: instant(stored.deadline),
            closed_at: stored.closed_at.map(instant),
            closed_because: stored.closed_because,
        })
    }
}
