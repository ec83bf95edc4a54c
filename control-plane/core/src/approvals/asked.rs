//! What is asked, as it lies sealed in the store: everything that a vote and a use of the approval bind to.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use countersign_model::{
    Attachment, Fact, Name, OperationDigest, OperationId, OperationToSign, Principal, SessionId,
};
use countersign_store::SessionRecord;
use countersign_wire::{from_timestamp, to_timestamp, v1};
use prost::Message as _;

use super::question::Question;

/// An operation that people are asked about.
pub(super) struct Asked {
    pub(super) question: Question,
    /// The pairs that hold it.
    pub(super) pairs: Vec<Fact>,
    /// What people vote on.
    pub(super) digest: OperationDigest,
    pub(super) session: SessionId,
    pub(super) operation: OperationId,
    /// Who asks, as they were then.
    pub(super) principal: Principal,
    /// Object ids of the agent's sponsor and owners, as they were then.
    pub(super) owners: Vec<String>,
    /// End of the time for voting.
    pub(super) expires_at: SystemTime,
    /// How long it may wait to be sent once it is approved.
    pub(super) use_ttl: Duration,
    /// End of the session.
    pub(super) deadline: SystemTime,
}

impl Asked {
    /// The digest of exactly this, asked by this caller of this target.
    pub(super) fn digest_for(&self, principal: &Principal, target: &Name) -> OperationDigest {
        self.question.digest(principal, target, self.session, &self.pairs)
    }

    /// Whether the session is the one that asks, by the same caller of the same target.
    pub(super) fn is_of(&self, session: &SessionRecord) -> bool {
        let SessionRecord { id, principal, target, .. } = session;
        self.session == *id
            && self.principal == *principal
            && self.digest_for(principal, target) == self.digest
    }

    /// Until when it may be used if it is approved at `now`.
    pub(super) fn use_until(&self, now: SystemTime) -> SystemTime {
        now.checked_add(self.use_ttl).map_or(self.deadline, |end| end.min(self.deadline))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Question { statement, binding, resolution, identity, nonce } = &self.question;
        let stored = Stored {
            statement: statement.clone(),
            binding: binding.as_ref().map(Into::into),
            resolution: Some(resolution.into()),
            identity: v1::Identity::from(*identity).into(),
            nonce: nonce.to_vec(),
            pairs: self.pairs.iter().map(Into::into).collect(),
            digest: self.digest.as_bytes().to_vec(),
            session: self.session.to_string(),
            operation: self.operation.to_string(),
            principal: Some((&self.principal).into()),
            owners: self.owners.clone(),
            expires_at: Some(to_timestamp(self.expires_at)),
            use_ttl_seconds: self.use_ttl.as_secs(),
            deadline: Some(to_timestamp(self.deadline)),
        };
        stored.encode_to_vec()
    }

    /// `None` if it is nothing that [`encode`](Self::encode) made.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored = Stored::decode(bytes).ok()?;
        let identity = v1::Identity::try_from(stored.identity).ok()?.try_into().ok()?;
        Some(Self {
            question: Question {
                statement: stored.statement,
                binding: stored.binding.map(TryInto::try_into).transpose().ok()?,
                resolution: stored.resolution?.try_into().ok()?,
                identity,
                nonce: stored.nonce.as_slice().try_into().ok()?,
            },
            pairs: stored.pairs.iter().map(TryInto::try_into).collect::<Result<_, _>>().ok()?,
            digest: OperationDigest::from_bytes(stored.digest.as_slice().try_into().ok()?),
            session: stored.session.parse().ok()?,
            operation: stored.operation.parse().ok()?,
            principal: stored.principal?.try_into().ok()?,
            owners: stored.owners,
            expires_at: from_timestamp(stored.expires_at.as_ref()).ok()?,
            use_ttl: Duration::from_secs(stored.use_ttl_seconds),
            deadline: from_timestamp(stored.deadline.as_ref()).ok()?,
        })
    }
}

impl Question {
    /// The digest of the operation, asked by this caller of this target in this session, with these pairs to
    /// approve.
    pub(super) fn digest(
        &self,
        principal: &Principal,
        target: &Name,
        session: SessionId,
        pairs: &[Fact],
    ) -> OperationDigest {
        let attached = Attachment { session, nonce: self.nonce };
        let Self { statement, binding, resolution, identity, .. } = self;
        let what = (statement.as_slice(), binding.as_ref());
        OperationToSign::query(principal, target, *identity, what, resolution, pairs, attached).digest()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked(redacted)")
    }
}

/// The same as it is sealed. Nobody but the control plane reads it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    statement: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    resolution: Option<v1::Resolution>,
    #[prost(enumeration = "v1::Identity", tag = "3")]
    identity: i32,
    #[prost(bytes = "vec", tag = "4")]
    nonce: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    pairs: Vec<v1::TouchedPair>,
    #[prost(bytes = "vec", tag = "6")]
    digest: Vec<u8>,
    #[prost(string, tag = "7")]
    session: String,
    #[prost(string, tag = "8")]
    operation: String,
    #[prost(message, optional, tag = "9")]
    principal: Option<v1::Principal>,
    #[prost(string, repeated, tag = "10")]
    owners: Vec<String>,
    #[prost(message, optional, tag = "11")]
    expires_at: Option<prost_types::Timestamp>,
    #[prost(uint64, tag = "12")]
    use_ttl_seconds: u64,
    #[prost(message, optional, tag = "13")]
    deadline: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "14")]
    binding: Option<v1::Binding>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(redacted)")
    }
}
