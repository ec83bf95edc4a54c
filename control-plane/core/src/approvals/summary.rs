//! What stays visible of an approval when it is final, with a MAC: who was asked, for what, and by which policies.

use countersign_model::{ApprovalId, Decision, Fact, Hold, Identity, OperationId, SessionId};
use countersign_pki::ApprovalsKey;
use countersign_recording::RecordedFact;
use countersign_store::SessionRecord;
use countersign_wire::v1;
use prost::Message as _;

use crate::sessions;

const PURPOSE: &str = "approval-summary";

/// What an approval is about, in words.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    /// Everything that the operation touches.
    #[prost(message, repeated, tag = "1")]
    pub(super) facts: Vec<v1::RecordedFact>,
    /// Of it what holds it.
    #[prost(message, repeated, tag = "2")]
    pub(super) held: Vec<v1::RecordedFact>,
    #[prost(string, repeated, tag = "3")]
    pub(super) policies: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) revision: String,
    /// Groups and their quorum; never empty.
    #[prost(message, repeated, tag = "5")]
    pub(super) requirements: Vec<v1::Requirement>,
    #[prost(enumeration = "v1::Identity", tag = "6")]
    identity: i32,
    /// The session as it was opened: who asks, of which target, in which zone, through which edge.
    #[prost(message, optional, tag = "7")]
    session: Option<v1::Session>,
    /// Data classes that come back unmasked for the votes; sorted.
    #[prost(string, repeated, tag = "8")]
    pub(super) unmasks: Vec<String>,
}

/// The same as it lies in the store.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    summary: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    mac: Vec<u8>,
}

/// What a summary belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) approval: ApprovalId,
    pub(super) session: SessionId,
    pub(super) operation: OperationId,
}

impl Summary {
    pub(super) fn new(
        session: &SessionRecord,
        facts: &[Fact],
        hold: &Hold,
        decision: &Decision,
        identity: Identity,
    ) -> Self {
        Self {
            facts: facts.iter().map(in_words).collect(),
            held: hold.pairs.iter().map(in_words).collect(),
            policies: decision.determining.iter().map(|by| by.policy.to_string()).collect(),
            revision: decision.revision.to_string(),
            requirements: hold
                .requirements
                .iter()
                .map(|need| v1::Requirement { group: need.group.to_string(), quorum: need.quorum, given: 0 })
                .collect(),
            identity: v1::Identity::from(identity).into(),
            session: Some(as_opened(session)),
            unmasks: hold.pairs.iter().filter_map(Fact::unmasked).map(ToString::to_string).collect(),
        }
    }

    /// Whether it was asked in this session, and the session is what it was then, but for its end.
    pub(super) fn is_of(&self, session: &SessionRecord) -> bool {
        self.session == Some(as_opened(session))
    }

    /// The identity that the operation is sent as.
    pub(super) fn sent_as(&self) -> Option<Identity> {
        Identity::try_from(self.identity()).ok()
    }

    /// As audit entries name the requirements: "dba 2".
    pub(super) fn requirements_in_words(&self) -> String {
        let words = self.requirements.iter().map(|need| format!("{} {}", need.group, need.quorum));
        words.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn encode_for(&self, ids: Ids, key: &ApprovalsKey) -> Vec<u8> {
        let summary = self.encode_to_vec();
        let mac = with_parts(ids, &summary, |parts| key.mac(PURPOSE, parts)).to_vec();
        Stored { summary, mac }.encode_to_vec()
    }

    /// `None` if it is not exactly what we wrote for these.
    pub(super) fn decode_for(ids: Ids, key: &ApprovalsKey, bytes: &[u8]) -> Option<Self> {
        let Stored { summary, mac } = Stored::decode(bytes).ok()?;
        let ours = with_parts(ids, &summary, |parts| key.verify_mac(PURPOSE, parts, &mac));
        if ours { Self::decode(summary.as_slice()).ok() } else { None }
    }
}

fn with_parts<T>(ids: Ids, summary: &[u8], work: impl FnOnce(&[&[u8]]) -> T) -> T {
    let Ids { approval, session, operation } = ids;
    work(&[approval.as_bytes(), session.as_bytes(), operation.as_bytes(), summary])
}

fn as_opened(session: &SessionRecord) -> v1::Session {
    v1::Session {
        closed_at: None,
        state: v1::SessionState::Open.into(),
        closed_because: String::new(),
        ..sessions::message(session)
    }
}

fn in_words(fact: &Fact) -> v1::RecordedFact {
    let RecordedFact { action, resource } = fact.into();
    v1::RecordedFact { action, resource }
}
