//! Entries to and from `recording.proto`; each malformed field has a named error.

mod rows;
mod words;

use std::time::SystemTime;

use countersign_model::Durability;
use countersign_wire::{from_timestamp, to_timestamp, v1, v1::frame_body::Body};

use crate::{
    RecordedBinding, RecordedFact,
    entry::{
        Close, Entry, Frame, FrameKind, Hold, Intent, Open, Outcome, OutcomeKind, Payload, Refusal, Reply,
        SealedFrame,
    },
    seal::SEALED_KEY,
};
use rows::{recorded, recorded_columns};
use words::{durability_to_wire, identity, kind_to_wire, optional_id, outcome, outcome_to_wire, required_id};

pub(crate) use words::{durability, kind};

/// How a stored frame can be malformed although its bytes are where they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// The body was not sealed under the segment's content key for this frame.
    #[error("the body does not open")]
    Seal,
    /// The body is no zstd frame of a permitted size, or holds no `FrameBody`.
    #[error("the body cannot be read")]
    Body,
    /// The kind is unspecified or unknown, or is not that of the body.
    #[error("the kind of frame is unknown or is not that of its body")]
    Kind,
    /// The time is missing or out of range.
    #[error("the time is missing or out of range")]
    At,
    /// The operation or approval id is missing or malformed.
    #[error("an id is missing or malformed")]
    Id,
    /// The outcome is missing or unknown.
    #[error("the outcome is missing or unknown")]
    Outcome,
    /// The durability is unspecified or unknown.
    #[error("the durability is unknown")]
    Durability,
    /// An HMAC is not 32 bytes long, or a sealed hash key is longer than one is.
    #[error("a hash or its key has the wrong length")]
    Hash,
    /// The identity is unknown.
    #[error("the identity is unknown")]
    Identity,
    /// A format of what a statement is executed with is unknown, what is NULL or masked has a value, or there is more of
    /// it than the protocol can count.
    #[error("what a statement is executed with is malformed")]
    Binding,
    /// The end of the time for voting is missing or out of range.
    #[error("the end of the time for voting is missing or out of range")]
    ExpiresAt,
    /// Recorded rows are no whole DataRow messages, are not as many as is said, or have malformed columns.
    #[error("the recorded rows are malformed")]
    Rows,
    /// The session of an open frame is missing.
    #[error("the session is missing")]
    Session,
}

pub(crate) fn header(
    sequence: u64,
    at: SystemTime,
    durability: Durability,
    entry: &Entry,
) -> v1::FrameHeader {
    v1::FrameHeader {
        sequence,
        kind: kind_to_wire(entry.kind()).into(),
        at: Some(to_timestamp(at)),
        operation_id: entry.operation().map(|id| id.to_string()).unwrap_or_default(),
        approval_id: entry.approval().map(|id| id.to_string()).unwrap_or_default(),
        outcome: entry.outcome().map_or(v1::Outcome::Unspecified, outcome_to_wire).into(),
        durability: durability_to_wire(durability).into(),
    }
}

pub(crate) fn frame(header: &v1::FrameHeader, body: v1::FrameBody) -> Result<Frame, InvalidFrame> {
    let entry = entry(header, body.body.ok_or(InvalidFrame::Body)?)?;
    if kind(header) != Some(entry.kind()) {
        return Err(InvalidFrame::Kind);
    }
    Ok(Frame {
        sequence: header.sequence,
        at: from_timestamp(header.at.as_ref()).map_err(|_| InvalidFrame::At)?,
        durability: durability(header).ok_or(InvalidFrame::Durability)?,
        entry,
    })
}

/// What stands in the clear, checked as strictly as with the body.
pub(crate) fn sealed_frame(header: &v1::FrameHeader) -> Result<SealedFrame, InvalidFrame> {
    let kind = kind(header).ok_or(InvalidFrame::Kind)?;
    let of_operation = !matches!(kind, FrameKind::Open | FrameKind::Close);
    let names_approval =
        matches!(kind, FrameKind::Intent | FrameKind::Refusal | FrameKind::Outcome | FrameKind::Hold);
    let approval = if names_approval { optional_id(&header.approval_id)? } else { None };
    if kind == FrameKind::Hold && approval.is_none() {
        return Err(InvalidFrame::Id);
    }
    let outcome = match kind {
        FrameKind::Outcome | FrameKind::Refusal => Some(outcome(header)?),
        _ => None,
    };
    if kind == FrameKind::Refusal && outcome != Some(OutcomeKind::Refused) {
        return Err(InvalidFrame::Outcome);
    }
    Ok(SealedFrame {
        sequence: header.sequence,
        at: from_timestamp(header.at.as_ref()).map_err(|_| InvalidFrame::At)?,
        durability: durability(header).ok_or(InvalidFrame::Durability)?,
        kind,
        operation: of_operation.then(|| required_id(&header.operation_id)).transpose()?,
        approval,
        outcome,
    })
}

pub(crate) fn body(entry: &Entry) -> v1::FrameBody {
    let body = match entry {
        Entry::Open(open) => Body::Open(v1::OpenFrame {
            session: Some(open.session.clone()),
            policy_revision: open.policy_revision.clone(),
            hash_key: open.hash_key.clone(),
        }),
        Entry::Intent(intent) => Body::Intent(intent_to_wire(intent)),
        Entry::Hold(hold) => Body::Hold(hold_to_wire(hold)),
        Entry::Refusal(refusal) => Body::Refusal(refusal_to_wire(refusal)),
        Entry::Reply(reply) => Body::Reply(v1::ReplyFrame {
            bytes: reply.bytes,
            rows: reply.rows,
            hmac: reply.hmac.to_vec(),
            columns: recorded_columns(&reply.recorded),
            row_data: reply.recorded.data.0.clone(),
            rows_recorded: reply.recorded.count,
        }),
        Entry::Outcome(outcome) => Body::Outcome(outcome_frame_to_wire(outcome)),
        Entry::Close(close) => Body::Close(v1::CloseFrame {
            reason: close.reason.clone(),
            operations: close.operations,
            refusals: close.refusals,
        }),
    };
    v1::FrameBody { body: Some(body) }
}

fn intent_to_wire(intent: &Intent) -> v1::IntentFrame {
    v1::IntentFrame {
        protocol: intent.protocol.clone(),
        kind: intent.kind.clone(),
        payload: intent.payload.0.clone(),
        facts: facts_to_wire(&intent.facts),
        policies: intent.policies.clone(),
        policy_revision: intent.policy_revision.clone(),
        identity: intent.identity.map_or(v1::Identity::Unspecified, v1::Identity::from).into(),
        preamble: intent.preamble.iter().map(|step| step.0.clone()).collect(),
        binding: intent.binding.as_ref().map(Into::into),
        payload_hmac: hash_to_wire(intent.payload_hmac),
        payload_masked: intent.payload_masked,
    }
}

fn hold_to_wire(hold: &Hold) -> v1::HoldFrame {
    v1::HoldFrame {
        protocol: hold.protocol.clone(),
        kind: hold.kind.clone(),
        payload: hold.payload.0.clone(),
        facts: facts_to_wire(&hold.facts),
        policies: hold.policies.clone(),
        policy_revision: hold.policy_revision.clone(),
        requirements: hold.requirements.clone(),
        expires_at: Some(to_timestamp(hold.expires_at)),
        binding: hold.binding.as_ref().map(Into::into),
        payload_hmac: hash_to_wire(hold.payload_hmac),
        payload_masked: hold.payload_masked,
    }
}

fn refusal_to_wire(refusal: &Refusal) -> v1::RefusalFrame {
    v1::RefusalFrame {
        protocol: refusal.protocol.clone(),
        kind: refusal.kind.clone(),
        payload: refusal.payload.0.clone(),
        facts: facts_to_wire(&refusal.facts),
        policies: refusal.policies.clone(),
        policy_revision: refusal.policy_revision.clone(),
        reason: refusal.reason.clone(),
        binding: refusal.binding.as_ref().map(Into::into),
        payload_hmac: hash_to_wire(refusal.payload_hmac),
        payload_masked: refusal.payload_masked,
    }
}

fn outcome_frame_to_wire(outcome: &Outcome) -> v1::OutcomeFrame {
    v1::OutcomeFrame {
        tags: outcome.tags.clone(),
        error_code: outcome.error_code.clone(),
        reply_bytes: outcome.reply_bytes,
        reply_rows: outcome.reply_rows,
        reply_hmac: hash_to_wire(outcome.reply_hmac),
        columns: recorded_columns(&outcome.recorded),
        row_data: outcome.recorded.data.0.clone(),
        rows_recorded: outcome.recorded.count,
    }
}

fn entry(header: &v1::FrameHeader, body: Body) -> Result<Entry, InvalidFrame> {
    Ok(match body {
        Body::Open(open) => Entry::Open(Box::new(Open {
            session: open.session.ok_or(InvalidFrame::Session)?,
            policy_revision: open.policy_revision,
            hash_key: bounded_hash_key(open.hash_key)?,
        })),
        Body::Intent(intent) => Entry::Intent(Box::new(intent_from_wire(header, intent)?)),
        Body::Hold(hold) => Entry::Hold(Box::new(hold_from_wire(header, hold)?)),
        Body::Refusal(refusal) => Entry::Refusal(Box::new(refusal_from_wire(header, refusal)?)),
        Body::Reply(reply) => Entry::Reply(Box::new(Reply {
            operation: required_id(&header.operation_id)?,
            bytes: reply.bytes,
            rows: reply.rows,
            hmac: reply.hmac.try_into().map_err(|_| InvalidFrame::Hash)?,
            recorded: recorded(reply.columns, reply.row_data, reply.rows_recorded, reply.rows)?,
        })),
        Body::Outcome(outcome) => Entry::Outcome(Box::new(outcome_from_wire(header, outcome)?)),
        Body::Close(close) => Entry::Close(Close {
            reason: close.reason,
            operations: close.operations,
            refusals: close.refusals,
        }),
    })
}

fn intent_from_wire(header: &v1::FrameHeader, wire: v1::IntentFrame) -> Result<Intent, InvalidFrame> {
    let identity = match wire.identity {
        0 => None,
        other => Some(identity(other)?),
    };
    Ok(Intent {
        operation: required_id(&header.operation_id)?,
        approval: optional_id(&header.approval_id)?,
        protocol: wire.protocol,
        kind: wire.kind,
        preamble: wire.preamble.into_iter().map(Payload).collect(),
        payload: Payload(wire.payload),
        payload_hmac: hash(wire.payload_hmac)?,
        payload_masked: wire.payload_masked,
        binding: binding(wire.binding)?,
        facts: facts_from_wire(wire.facts),
        policies: wire.policies,
        policy_revision: wire.policy_revision,
        identity,
    })
}

fn hold_from_wire(header: &v1::FrameHeader, wire: v1::HoldFrame) -> Result<Hold, InvalidFrame> {
    Ok(Hold {
        operation: required_id(&header.operation_id)?,
        approval: required_id(&header.approval_id)?,
        protocol: wire.protocol,
        kind: wire.kind,
        payload: Payload(wire.payload),
        payload_hmac: hash(wire.payload_hmac)?,
        payload_masked: wire.payload_masked,
        binding: binding(wire.binding)?,
        facts: facts_from_wire(wire.facts),
        policies: wire.policies,
        policy_revision: wire.policy_revision,
        requirements: wire.requirements,
        expires_at: from_timestamp(wire.expires_at.as_ref()).map_err(|_| InvalidFrame::ExpiresAt)?,
    })
}

fn refusal_from_wire(header: &v1::FrameHeader, wire: v1::RefusalFrame) -> Result<Refusal, InvalidFrame> {
    if outcome(header)? != OutcomeKind::Refused {
        return Err(InvalidFrame::Outcome);
    }
    Ok(Refusal {
        operation: required_id(&header.operation_id)?,
        approval: optional_id(&header.approval_id)?,
        protocol: wire.protocol,
        kind: wire.kind,
        payload: Payload(wire.payload),
        payload_hmac: hash(wire.payload_hmac)?,
        payload_masked: wire.payload_masked,
        binding: binding(wire.binding)?,
        facts: facts_from_wire(wire.facts),
        policies: wire.policies,
        policy_revision: wire.policy_revision,
        reason: wire.reason,
    })
}

fn outcome_from_wire(header: &v1::FrameHeader, wire: v1::OutcomeFrame) -> Result<Outcome, InvalidFrame> {
    Ok(Outcome {
        operation: required_id(&header.operation_id)?,
        approval: optional_id(&header.approval_id)?,
        outcome: outcome(header)?,
        tags: wire.tags,
        error_code: wire.error_code,
        reply_bytes: wire.reply_bytes,
        reply_rows: wire.reply_rows,
        reply_hmac: hash(wire.reply_hmac)?,
        recorded: recorded(wire.columns, wire.row_data, wire.rows_recorded, wire.reply_rows)?,
    })
}

fn binding(wire: Option<v1::Binding>) -> Result<Option<RecordedBinding>, InvalidFrame> {
    wire.map(|wire| RecordedBinding::from_wire(wire).ok_or(InvalidFrame::Binding)).transpose()
}

/// Empty stands for none.
fn hash(wire: Vec<u8>) -> Result<Option<[u8; 32]>, InvalidFrame> {
    if wire.is_empty() {
        return Ok(None);
    }
    wire.try_into().map(Some).map_err(|_| InvalidFrame::Hash)
}

fn hash_to_wire(hash: Option<[u8; 32]>) -> Vec<u8> {
    hash.map(Vec::from).unwrap_or_default()
}

/// Whether it opens is asked by whoever may open it.
fn bounded_hash_key(sealed: Vec<u8>) -> Result<Vec<u8>, InvalidFrame> {
    if sealed.is_empty() || sealed.len() == SEALED_KEY { Ok(sealed) } else { Err(InvalidFrame::Hash) }
}

fn facts_to_wire(facts: &[RecordedFact]) -> Vec<v1::RecordedFact> {
    let wire = |fact: &RecordedFact| v1::RecordedFact {
        action: fact.action.clone(),
        resource: fact.resource.clone(),
    };
    facts.iter().map(wire).collect()
}

fn facts_from_wire(facts: Vec<v1::RecordedFact>) -> Vec<RecordedFact> {
    facts.into_iter().map(|fact| RecordedFact { action: fact.action, resource: fact.resource }).collect()
}

#[cfg(test)]
mod tests;
