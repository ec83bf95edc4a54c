//! Approvals and votes as they lie in the file.

use countersign_model::ApprovalState;
use countersign_store::{ApprovalRecord, VoteRecord};
use prost::Message;

use super::{exactly, id, instant, name, nanos};
use crate::tables::Broken;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredApproval {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint32, tag = "2")]
    state: u32,
    #[prost(uint64, tag = "3")]
    version: u64,
    #[prost(string, tag = "4")]
    session: String,
    #[prost(string, tag = "5")]
    operation: String,
    #[prost(string, tag = "6")]
    edge: String,
    #[prost(bytes = "vec", tag = "7")]
    boot_id: Vec<u8>,
    #[prost(string, tag = "8")]
    asker: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    sealed: Option<Vec<u8>>,
    #[prost(bytes = "vec", tag = "10")]
    summary: Vec<u8>,
    #[prost(string, tag = "11")]
    fingerprint: String,
    #[prost(uint64, tag = "12")]
    created_at: u64,
    #[prost(uint64, tag = "13")]
    expires_at: u64,
    #[prost(uint64, optional, tag = "14")]
    use_until: Option<u64>,
    #[prost(uint64, optional, tag = "15")]
    ended_at: Option<u64>,
    #[prost(message, repeated, tag = "16")]
    votes: Vec<StoredVote>,
    #[prost(bytes = "vec", optional, tag = "17")]
    outcome: Option<Vec<u8>>,
    #[prost(bool, tag = "18")]
    minted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredVote {
    #[prost(string, tag = "1")]
    voter: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "3")]
    approve: bool,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(uint64, tag = "5")]
    at: u64,
    #[prost(string, repeated, tag = "6")]
    groups: Vec<String>,
    #[prost(bytes = "vec", tag = "7")]
    mac: Vec<u8>,
}

/// The number of a state in the file; never changes.
pub(crate) fn state_number(state: ApprovalState) -> u8 {
    match state {
        ApprovalState::Pending => 1,
        ApprovalState::Approved => 2,
        ApprovalState::Denied => 3,
        ApprovalState::Expired => 4,
        ApprovalState::Cancelled => 5,
        ApprovalState::Superseded => 6,
        ApprovalState::Consumed => 7,
    }
}

fn state(number: u32) -> Result<ApprovalState, Broken> {
    let state = ApprovalState::ALL.into_iter().find(|state| u32::from(state_number(*state)) == number);
    state.ok_or_else(|| Broken::corrupt("state of an approval"))
}

impl From<&ApprovalRecord> for StoredApproval {
    fn from(approval: &ApprovalRecord) -> Self {
        Self {
            id: approval.id.to_string(),
            state: state_number(approval.state).into(),
            version: approval.version,
            session: approval.session.to_string(),
            operation: approval.operation.to_string(),
            edge: approval.edge.to_string(),
            boot_id: approval.boot_id.to_vec(),
            asker: approval.asker.clone(),
            sealed: approval.sealed.clone(),
            summary: approval.summary.clone(),
            fingerprint: approval.fingerprint.clone(),
            created_at: nanos(approval.created_at),
            expires_at: nanos(approval.expires_at),
            use_until: approval.use_until.map(nanos),
            ended_at: approval.ended_at.map(nanos),
            votes: approval.votes.iter().map(Into::into).collect(),
            outcome: approval.outcome.clone(),
            minted: approval.minted,
        }
    }
}

impl TryFrom<StoredApproval> for ApprovalRecord {
    type Error = Broken;

    fn try_from(stored: StoredApproval) -> Result<Self, Broken> {
        Ok(Self {
            id: id(&stored.id)?,
            state: state(stored.state)?,
            version: stored.version,
            session: id(&stored.session)?,
            operation: id(&stored.operation)?,
            edge: name(&stored.edge)?,
            boot_id: exactly(stored.boot_id)?,
            asker: stored.asker,
            sealed: stored.sealed,
            summary: stored.summary,
            fingerprint: stored.fingerprint,
            created_at: instant(stored.created_at),
            expires_at: instant(stored.expires_at),
            use_until: stored.use_until.map(instant),
            ended_at: stored.ended_at.map(instant),
            votes: stored.votes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            outcome: stored.outcome,
            minted: stored.minted,
        })
    }
}

impl From<&VoteRecord> for StoredVote {
    fn from(vote: &VoteRecord) -> Self {
        Self {
            voter: vote.voter.clone(),
            name: vote.name.clone(),
            approve: vote.approve,
            reason: vote.reason.clone(),
            at: nanos(vote.at),
            groups: vote.groups.clone(),
            mac: vote.mac.to_vec(),
        }
    }
}

impl TryFrom<StoredVote> for VoteRecord {
    type Error = Broken;

    fn try_from(stored: StoredVote) -> Result<Self, Broken> {
        Ok(Self {
            voter: stored.voter,
            name: stored.name,
            approve: stored.approve,
            reason: stored.reason,
            at: instant(stored.at),
            groups: stored.groups,
            mac: exactly(stored.mac)?,
        })
    }
}
