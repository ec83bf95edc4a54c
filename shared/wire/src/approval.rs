//! `approval.proto`: resolutions, and the outcomes of approvals.

use std::sync::Arc;

use countersign_model::{
    Action, ApprovalOutcome, ApprovalState, Fact, Name, NameKind, ObjectClass, ObjectVersion,
    OperationDigest, Resolution, ResolvedName, Resource,
};

use crate::{from_timestamp, to_timestamp, v1};

/// Data classes that one resolution may have.
pub const MAX_CLASSES: usize = 256;

/// How a resolution or an outcome on the wire can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApproval {
    /// An id is not one of its kind.
    #[error("an id is malformed")]
    Id,
    /// The state is unspecified or unknown.
    #[error("the state is unknown")]
    State,
    /// The digest or a definition has another length than 32 bytes.
    #[error("a hash must have 32 bytes")]
    Hash,
    /// The instant is out of range.
    #[error("an instant is out of range")]
    Instant,
    /// A pair names no action or no resource.
    #[error("a touched pair is unknown")]
    Pair,
    /// The kind of a resolved name is unspecified or unknown.
    #[error("the kind of a name is unknown")]
    NameKind,
    /// The class of an object is unspecified or unknown.
    #[error("the class of an object is unknown")]
    ObjectClass,
    /// Data classes are too many, not sorted, there twice, or not names.
    #[error("data classes must be names, sorted, without repetition, and at most {MAX_CLASSES}")]
    DataClasses,
}

impl From<ApprovalState> for v1::ApprovalState {
    fn from(state: ApprovalState) -> Self {
        match state {
            ApprovalState::Pending => Self::Pending,
            ApprovalState::Approved => Self::Approved,
            ApprovalState::Denied => Self::Denied,
            ApprovalState::Expired => Self::Expired,
            ApprovalState::Cancelled => Self::Cancelled,
            ApprovalState::Superseded => Self::Superseded,
            ApprovalState::Consumed => Self::Consumed,
        }
    }
}

impl TryFrom<v1::ApprovalState> for ApprovalState {
    type Error = InvalidApproval;

    fn try_from(wire: v1::ApprovalState) -> Result<Self, InvalidApproval> {
        match wire {
            v1::ApprovalState::Unspecified => Err(InvalidApproval::State),
            v1::ApprovalState::Pending => Ok(Self::Pending),
            v1::ApprovalState::Approved => Ok(Self::Approved),
            v1::ApprovalState::Denied => Ok(Self::Denied),
            v1::ApprovalState::Expired => Ok(Self::Expired),
            v1::ApprovalState::Cancelled => Ok(Self::Cancelled),
            v1::ApprovalState::Superseded => Ok(Self::Superseded),
            v1::ApprovalState::Consumed => Ok(Self::Consumed),
        }
    }
}

impl From<&Fact> for v1::TouchedPair {
    fn from(fact: &Fact) -> Self {
        Self {
            action: fact.action.as_str().to_owned(),
            kind: fact.resource.kind().to_owned(),
            path: fact.resource.path().into_iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<&v1::TouchedPair> for Fact {
    type Error = InvalidApproval;

    fn try_from(wire: &v1::TouchedPair) -> Result<Self, InvalidApproval> {
        let path: Vec<&str> = wire.path.iter().map(String::as_str).collect();
        let action = Action::from_id(&wire.action).ok_or(InvalidApproval::Pair)?;
        let resource = Resource::of(&wire.kind, &path).ok_or(InvalidApproval::Pair)?;
        Ok(Self { action, resource })
    }
}

impl From<&ApprovalOutcome> for v1::ApprovalOutcome {
    fn from(outcome: &ApprovalOutcome) -> Self {
        Self {
            approval_id: outcome.approval.to_string(),
            session_id: outcome.session.to_string(),
            operation_id: outcome.operation.to_string(),
            digest: outcome.digest.as_bytes().to_vec(),
            state: v1::ApprovalState::from(outcome.state).into(),
            pairs: outcome.pairs.iter().map(Into::into).collect(),
            use_until: outcome.use_until.map(to_timestamp),
        }
    }
}

impl TryFrom<v1::ApprovalOutcome> for ApprovalOutcome {
    type Error = InvalidApproval;

    fn try_from(wire: v1::ApprovalOutcome) -> Result<Self, InvalidApproval> {
        let state = ApprovalState::try_from(wire.state())?;
        if state == ApprovalState::Pending {
            return Err(InvalidApproval::State);
        }
        let use_until = match &wire.use_until {
            None => None,
            some => Some(from_timestamp(some.as_ref()).map_err(|_| InvalidApproval::Instant)?),
        };
        Ok(Self {
            approval: wire.approval_id.parse().map_err(|_| InvalidApproval::Id)?,
            session: wire.session_id.parse().map_err(|_| InvalidApproval::Id)?,
            operation: wire.operation_id.parse().map_err(|_| InvalidApproval::Id)?,
            digest: OperationDigest::from_bytes(hash(&wire.digest)?),
            state,
            pairs: wire.pairs.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            use_until,
        })
    }
}

impl From<&Resolution> for v1::Resolution {
    fn from(resolution: &Resolution) -> Self {
        let setting =
            |(name, value): &(String, String)| v1::Setting { name: name.clone(), value: value.clone() };
        Self {
            database: resolution.database.to_string(),
            role: resolution.role.to_string(),
            search_path: resolution.search_path.clone(),
            settings: resolution.settings.iter().map(setting).collect(),
            names: resolution.names.iter().map(Into::into).collect(),
            objects: resolution.objects.iter().map(Into::into).collect(),
            in_transaction: resolution.in_transaction,
            preamble: resolution.preamble.clone(),
            classes: resolution.classes.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::Resolution> for Resolution {
    type Error = InvalidApproval;

    fn try_from(wire: v1::Resolution) -> Result<Self, InvalidApproval> {
        Ok(Self {
            database: wire.database.into(),
            role: wire.role.into(),
            search_path: wire.search_path,
            settings: wire.settings.into_iter().map(|setting| (setting.name, setting.value)).collect(),
            names: wire.names.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            objects: wire.objects.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            in_transaction: wire.in_transaction,
            preamble: wire.preamble,
            classes: classes(wire.classes)?,
        })
    }
}

impl From<&ResolvedName> for v1::ResolvedName {
    fn from(name: &ResolvedName) -> Self {
        let kind = match name.kind {
            NameKind::Relation => v1::NameKind::Relation,
            NameKind::Column => v1::NameKind::Column,
            NameKind::Function => v1::NameKind::Function,
            NameKind::Attribute => v1::NameKind::Attribute,
            NameKind::Operator => v1::NameKind::Operator,
            NameKind::Type => v1::NameKind::Type,
        };
        Self {
            kind: kind.into(),
            place: u32::try_from(name.place).unwrap_or(u32::MAX),
            schema: name.schema.clone(),
            name: name.name.clone(),
            first: name.first.clone(),
            second: name.second.clone(),
        }
    }
}

impl TryFrom<v1::ResolvedName> for ResolvedName {
    type Error = InvalidApproval;

    fn try_from(wire: v1::ResolvedName) -> Result<Self, InvalidApproval> {
        let kind = match wire.kind() {
            v1::NameKind::Unspecified => return Err(InvalidApproval::NameKind),
            v1::NameKind::Relation => NameKind::Relation,
            v1::NameKind::Column => NameKind::Column,
            v1::NameKind::Function => NameKind::Function,
            v1::NameKind::Attribute => NameKind::Attribute,
            v1::NameKind::Operator => NameKind::Operator,
            v1::NameKind::Type => NameKind::Type,
        };
        let place = wire.place as usize;
        let v1::ResolvedName { schema, name, first, second, .. } = wire;
        Ok(Self { kind, place, schema, name, first, second })
    }
}

impl From<&ObjectVersion> for v1::ObjectVersion {
    fn from(object: &ObjectVersion) -> Self {
        let class = match object.class {
            ObjectClass::Relation => v1::ObjectClass::Relation,
            ObjectClass::Function => v1::ObjectClass::Function,
        };
        Self { class: class.into(), oid: object.oid, definition: object.definition.to_vec() }
    }
}

impl TryFrom<&v1::ObjectVersion> for ObjectVersion {
    type Error = InvalidApproval;

    fn try_from(wire: &v1::ObjectVersion) -> Result<Self, InvalidApproval> {
        let class = match wire.class() {
            v1::ObjectClass::Unspecified => return Err(InvalidApproval::ObjectClass),
            v1::ObjectClass::Relation => ObjectClass::Relation,
            v1::ObjectClass::Function => ObjectClass::Function,
        };
        Ok(Self { class, oid: wire.oid, definition: hash(&wire.definition)? })
    }
}

fn classes(wire: Vec<String>) -> Result<Vec<Arc<str>>, InvalidApproval> {
    let named = wire.iter().all(|class| class.parse::<Name>().is_ok());
    if wire.len() <= MAX_CLASSES && named && wire.is_sorted_by(|a, b| a < b) {
        Ok(wire.into_iter().map(Arc::from).collect())
    } else {
        Err(InvalidApproval::DataClasses)
    }
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], InvalidApproval> {
    bytes.try_into().map_err(|_| InvalidApproval::Hash)
}

#[cfg(test)]
mod tests;
