//! `session.proto`: principals, identities, sessions.

use std::{net::IpAddr, sync::Arc};

use countersign_model::{Identity, Name, Principal, PrincipalKind, SessionFacts};

use crate::{from_timestamp, v1};

/// How a session, principal or identity on the wire can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSession {
    /// `id` or `recording_id` is not an id of its kind.
    #[error("the session or recording id is malformed")]
    Id,
    /// There is no principal.
    #[error("the principal is missing")]
    PrincipalMissing,
    /// The kind of the principal is unspecified or unknown.
    #[error("the kind of principal is unknown")]
    PrincipalKind,
    /// Tenant or object id is empty.
    #[error("the principal has no tenant or object id")]
    PrincipalKey,
    /// The agent, zone or target is not a name.
    #[error("a name is malformed")]
    Name,
    /// The client address is given and is no IP address.
    #[error("the client address is malformed")]
    ClientAddress,
    /// The deadline is missing or out of range.
    #[error("the deadline is missing or out of range")]
    Deadline,
    /// The identity is unspecified or unknown.
    #[error("the identity is unknown")]
    Identity,
}

impl From<&Principal> for v1::Principal {
    fn from(principal: &Principal) -> Self {
        let kind = match principal.kind {
            PrincipalKind::Agent => v1::PrincipalKind::Agent,
            PrincipalKind::User => v1::PrincipalKind::User,
            PrincipalKind::AgentForUser => v1::PrincipalKind::AgentForUser,
        };
        Self {
            tenant_id: principal.tenant_id.to_string(),
            object_id: principal.object_id.to_string(),
            app_id: principal.app_id.as_deref().unwrap_or_default().to_owned(),
            kind: kind.into(),
            agent: principal.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            roles: principal.roles.clone(),
        }
    }
}

impl TryFrom<v1::Principal> for Principal {
    type Error = InvalidSession;

    fn try_from(wire: v1::Principal) -> Result<Self, InvalidSession> {
        let kind = match wire.kind() {
            v1::PrincipalKind::Unspecified => return Err(InvalidSession::PrincipalKind),
            v1::PrincipalKind::Agent => PrincipalKind::Agent,
            v1::PrincipalKind::User => PrincipalKind::User,
            v1::PrincipalKind::AgentForUser => PrincipalKind::AgentForUser,
        };
        if wire.tenant_id.is_empty() || wire.object_id.is_empty() {
            return Err(InvalidSession::PrincipalKey);
        }
        Ok(Self {
            tenant_id: wire.tenant_id.into(),
            object_id: wire.object_id.into(),
            app_id: non_empty(wire.app_id),
            kind,
            agent: match wire.agent.as_str() {
                "" => None,
                name => Some(name.parse().map_err(|_| InvalidSession::Name)?),
            },
            roles: wire.roles,
        })
    }
}

impl From<Identity> for v1::Identity {
    fn from(identity: Identity) -> Self {
        match identity {
            Identity::Standing => Self::Standing,
            Identity::Approved => Self::Approved,
            Identity::Metadata => Self::Metadata,
        }
    }
}

impl TryFrom<v1::Identity> for Identity {
    type Error = InvalidSession;

    fn try_from(wire: v1::Identity) -> Result<Self, InvalidSession> {
        match wire {
            v1::Identity::Unspecified => Err(InvalidSession::Identity),
            v1::Identity::Standing => Ok(Self::Standing),
            v1::Identity::Approved => Ok(Self::Approved),
            v1::Identity::Metadata => Ok(Self::Metadata),
        }
    }
}

impl TryFrom<v1::Session> for SessionFacts {
    type Error = InvalidSession;

    fn try_from(wire: v1::Session) -> Result<Self, InvalidSession> {
        let name = |text: &str| text.parse::<Name>().map_err(|_| InvalidSession::Name);
        let client = match wire.client_address.as_str() {
            "" => None,
            text => Some(text.parse::<IpAddr>().map_err(|_| InvalidSession::ClientAddress)?),
        };
        Ok(Self {
            session: wire.id.parse().map_err(|_| InvalidSession::Id)?,
            recording: wire.recording_id.parse().map_err(|_| InvalidSession::Id)?,
            principal: Arc::new(wire.principal.ok_or(InvalidSession::PrincipalMissing)?.try_into()?),
            token_id: wire.token_id.into(),
            zone: name(&wire.zone)?,
            target: name(&wire.target)?,
            client,
            deadline: from_timestamp(wire.deadline.as_ref()).map_err(|_| InvalidSession::Deadline)?,
        })
    }
}

fn non_empty(text: String) -> Option<Arc<str>> {
    if text.is_empty() { None } else { Some(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal() -> Principal {
        Principal {
            tenant_id: "t".into(),
            object_id: "o".into(),
            app_id: Some("a".into()),
            kind: PrincipalKind::Agent,
            agent: "reader".parse().ok(),
            roles: vec!["dba".into()],
        }
    }

    #[test]
    fn principals_round_trip() {
        assert_eq!(Principal::try_from(v1::Principal::from(&principal())), Ok(principal()));
    }

    #[test]
    fn each_malformed_field_has_its_name() {
        let good = v1::Principal::from(&principal());
        let with = |change: fn(&mut v1::Principal)| {
            let mut wire = good.clone();
            change(&mut wire);
            Principal::try_from(wire).expect_err("malformed")
        };
        assert_eq!(with(|p| p.kind = 0), InvalidSession::PrincipalKind);
        assert_eq!(with(|p| p.object_id.clear()), InvalidSession::PrincipalKey);
        assert_eq!(with(|p| p.agent = "../x".into()), InvalidSession::Name);
    }
}
