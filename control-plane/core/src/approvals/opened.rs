//! An approval as it came from the store, with everything in it verified.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use countersign_model::{ApprovalId, ApprovalOutcome, ApprovalState, OperationDigest};
use countersign_pki::{ApprovalsKey, Domain, SealError, verify};
use countersign_store::{ApprovalRecord, SessionRecord, VoteRecord};
use countersign_wire::v1;
use prost::Message as _;

use super::{
    asked::Asked,
    summary::{Ids, Summary},
};

const VOTE: &str = "approval-vote";
const FINGERPRINT: &str = "fingerprint";

/// What the store holds of an approval is not what was put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an approval was altered in the store")]
pub(super) struct Altered;

/// An approval that was not altered.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) record: ApprovalRecord,
    /// The session that asks, as it was when it asked, but for its end.
    pub(super) session: SessionRecord,
    pub(super) summary: Summary,
    /// What is asked; `None` once it is final.
    pub(super) asked: Option<Asked>,
    /// What was signed last, and the same read; `None` while it is pending, or where it ended unread.
    pub(super) outcome: Option<(v1::SignedApprovalOutcome, ApprovalOutcome)>,
    /// The votes that are ours. Others are as if they were not there.
    pub(super) votes: Vec<VoteRecord>,
}

impl Opened {
    /// Verifies all of a record and of its session: by the key for approvals, and by the deployment's public key.
    pub(super) fn open(
        record: ApprovalRecord,
        session: SessionRecord,
        key: &ApprovalsKey,
        public: &[u8; 32],
    ) -> Result<Self, Altered> {
        let ids = ids(&record);
        let summary = Summary::decode_for(ids, key, &record.summary).ok_or(Altered)?;
        let asked = match &record.sealed {
            _ if record.state.is_final() => None,
            None => return Err(Altered),
            Some(sealed) => Some(open_asked(&record, key, sealed).ok_or(Altered)?),
        };
        if !summary.is_of(&session) || asked.as_ref().is_some_and(|asked| !asked.is_of(&session)) {
            return Err(Altered);
        }
        let outcome = match &record.outcome {
            _ if record.state == ApprovalState::Pending => None,
            None => None,
            Some(sealed) => Some(open_outcome(&record, key, public, sealed).ok_or(Altered)?),
        };
        // Whoever writes `approved` beside a record has not approved it.
        let must_be_signed = matches!(record.state, ApprovalState::Approved | ApprovalState::Consumed);
        if must_be_signed && outcome.is_none() {
            return Err(Altered);
        }
        if let (Some(asked), Some((_, outcome))) = (&asked, &outcome)
            && (outcome.digest != asked.digest || outcome.pairs != asked.pairs)
        {
            return Err(Altered);
        }
        let mut opened = Self { record, session, summary, asked, outcome, votes: Vec::new() };
        opened.votes = opened.votes_of_ours(key);
        Ok(opened)
    }

    /// What was voted on; `None` where it ended unread.
    pub(super) fn digest(&self) -> Option<OperationDigest> {
        let asked = self.asked.as_ref().map(|asked| asked.digest);
        asked.or_else(|| self.outcome.as_ref().map(|(_, outcome)| outcome.digest))
    }

    /// People who voted for it and count for `need`.
    pub(super) fn given(&self, need: &v1::Requirement) -> u32 {
        given(&self.votes, need)
    }

    fn votes_of_ours(&self, key: &ApprovalsKey) -> Vec<VoteRecord> {
        let Some(digest) = self.digest() else { return Vec::new() };
        let ours = |vote: &&VoteRecord| {
            with_parts(self.record.id, &digest, vote, |parts| key.verify_mac(VOTE, parts, &vote.mac))
        };
        self.record.votes.iter().filter(ours).cloned().collect()
    }
}

/// Whether every requirement is met, each by itself.
pub(super) fn are_met<'a>(
    votes: &[VoteRecord],
    needs: impl IntoIterator<Item = &'a v1::Requirement>,
) -> bool {
    needs.into_iter().all(|need| given(votes, need) >= need.quorum)
}

fn given(votes: &[VoteRecord], need: &v1::Requirement) -> u32 {
    let counts = |vote: &&VoteRecord| vote.approve && vote.groups.contains(&need.group);
    let people: BTreeSet<&str> = votes.iter().filter(counts).map(|vote| vote.voter.as_str()).collect();
    u32::try_from(people.len()).unwrap_or(u32::MAX)
}

/// The vote with its MAC.
pub(super) fn sign_vote(
    id: ApprovalId,
    digest: &OperationDigest,
    vote: VoteRecord,
    key: &ApprovalsKey,
) -> VoteRecord {
    let mac = with_parts(id, digest, &vote, |parts| key.mac(VOTE, parts));
    VoteRecord { mac, ..vote }
}

/// What a vote names to show what it is for: lower-case hex.
pub(super) fn fingerprint(id: ApprovalId, digest: &OperationDigest, key: &ApprovalsKey) -> String {
    let mac = key.mac(FINGERPRINT, &[id.to_string().as_bytes(), digest.as_bytes()]);
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seals what is asked, for the approval of that id.
pub(super) fn seal_asked(id: ApprovalId, asked: &Asked, key: &ApprovalsKey) -> Result<Vec<u8>, SealError> {
    key.seal(id.to_string().as_bytes(), &asked.encode())
}

/// Seals a signed outcome, which holds the digest: nothing that is stored shows it.
pub(super) fn seal_outcome(
    id: ApprovalId,
    outcome: &v1::SignedApprovalOutcome,
    key: &ApprovalsKey,
) -> Result<Vec<u8>, SealError> {
    key.seal(&outcome_aad(id), &outcome.encode_to_vec())
}

pub(super) fn ids(record: &ApprovalRecord) -> Ids {
    Ids { approval: record.id, session: record.session, operation: record.operation }
}

fn open_asked(record: &ApprovalRecord, key: &ApprovalsKey, sealed: &[u8]) -> Option<Asked> {
    let opened = key.open(record.id.to_string().as_bytes(), sealed).ok()?;
    let asked = Asked::decode(&opened)?;
    let same = asked.session == record.session && asked.operation == record.operation;
    same.then_some(asked)
}

fn open_outcome(
    record: &ApprovalRecord,
    key: &ApprovalsKey,
    public: &[u8; 32],
    sealed: &[u8],
) -> Option<(v1::SignedApprovalOutcome, ApprovalOutcome)> {
    let opened = key.open(&outcome_aad(record.id), sealed).ok()?;
    let signed = v1::SignedApprovalOutcome::decode(opened.as_slice()).ok()?;
    verify(public, Domain::ApprovalOutcome, &signed.outcome, &signed.signature).ok()?;
    let outcome = v1::ApprovalOutcome::decode(signed.outcome.as_slice()).ok()?;
    let outcome = ApprovalOutcome::try_from(outcome).ok()?;
    let same = outcome.approval == record.id
        && outcome.session == record.session
        && outcome.operation == record.operation
        && outcome.state == record.state;
    same.then_some((signed, outcome))
}

fn outcome_aad(id: ApprovalId) -> Vec<u8> {
    format!("{id}/outcome").into_bytes()
}

fn with_parts<T>(
    id: ApprovalId,
    digest: &OperationDigest,
    vote: &VoteRecord,
    work: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let id = id.to_string();
    let at = nanoseconds(vote.at).to_be_bytes();
    let approve = [u8::from(vote.approve)];
    let mut parts: Vec<&[u8]> = vec![
        id.as_bytes(),
        digest.as_bytes(),
        vote.voter.as_bytes(),
        vote.name.as_bytes(),
        &approve,
        vote.reason.as_bytes(),
        &at,
    ];
    parts.extend(vote.groups.iter().map(String::as_bytes));
    work(&parts)
}

/// Since the Unix epoch, as the store keeps them.
fn nanoseconds(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}
