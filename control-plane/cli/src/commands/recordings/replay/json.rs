//! Frames for programs.

use std::borrow::Cow;

use countersign_model::{Durability, Identity};
use countersign_recording::{
    Entry, Frame, Payload, RecordedBinding, RecordedFact, RecordedRows, SealedFrame,
};
use countersign_wire::{to_timestamp, v1};
use serde_json::{Map, Value, json};

use super::rows::{Columns, columns_to_json};
use crate::{escape::hex, failure::Failure, proto_json::to_json};

/// A frame as an object: its header, then what its entry says, under the names of `recording.proto`. `payload` is
/// text; bytes that are no UTF-8 become U+FFFD, and `payloadHex` then has them all. `binding` is the message of that
/// name: its values are base64. `rows` are lists of values in the order of the `columns` that were named last.
pub(super) fn frame(frame: &Frame, columns: &Columns) -> Result<Value, Failure> {
    let entry = &frame.entry;
    let mut object = header(&SealedFrame {
        sequence: frame.sequence,
        at: frame.at,
        durability: frame.durability,
        kind: entry.kind(),
        operation: entry.operation(),
        approval: entry.approval(),
        outcome: entry.outcome(),
    });
    let Value::Object(said) = self::entry(entry, columns)? else { return Ok(Value::Object(object)) };
    object.extend(said);
    Ok(Value::Object(object))
}

/// A frame that cannot be opened: its header, and `sealed`.
pub(super) fn sealed_frame(frame: &SealedFrame) -> Value {
    let mut object = header(frame);
    object.insert("sealed".into(), true.into());
    Value::Object(object)
}

fn header(frame: &SealedFrame) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("sequence".into(), frame.sequence.into());
    object.insert("kind".into(), frame.kind.as_str().into());
    object.insert("at".into(), to_timestamp(frame.at).to_string().into());
    object.insert("durability".into(), durability_word(frame.durability).into());
    insert_some(&mut object, "operationId", frame.operation);
    insert_some(&mut object, "approvalId", frame.approval);
    insert_some(&mut object, "outcome", frame.outcome.map(|outcome| outcome.as_str()));
    object
}

fn entry(entry: &Entry, columns: &Columns) -> Result<Value, Failure> {
    Ok(match entry {
        Entry::Open(open) => {
            json!({"session": to_json(&open.session)?, "policyRevision": open.policy_revision})
        }
        Entry::Intent(intent) => operation(
            (&intent.payload, intent.payload_hmac, intent.payload_masked),
            intent.binding.as_ref(),
            json!({
                "protocol": intent.protocol,
                "operationKind": intent.kind,
                "facts": facts(&intent.facts),
                "policies": intent.policies,
                "policyRevision": intent.policy_revision,
                "identity": intent.identity.map(Identity::as_str),
                "preamble": intent.preamble.iter().map(text).collect::<Vec<_>>(),
            }),
        )?,
        Entry::Hold(hold) => operation(
            (&hold.payload, hold.payload_hmac, hold.payload_masked),
            hold.binding.as_ref(),
            json!({
                "protocol": hold.protocol,
                "operationKind": hold.kind,
                "facts": facts(&hold.facts),
                "policies": hold.policies,
                "policyRevision": hold.policy_revision,
                "requirements": hold.requirements,
                "expiresAt": to_timestamp(hold.expires_at).to_string(),
            }),
        )?,
        Entry::Refusal(refusal) => operation(
            (&refusal.payload, refusal.payload_hmac, refusal.payload_masked),
            refusal.binding.as_ref(),
            json!({
                "protocol": refusal.protocol,
                "operationKind": refusal.kind,
                "facts": facts(&refusal.facts),
                "policies": refusal.policies,
                "policyRevision": refusal.policy_revision,
                "reason": refusal.reason,
            }),
        )?,
        Entry::Reply(reply) => with_rows(
            json!({"rowCount": reply.rows, "bytes": reply.bytes, "hmac": hex(&reply.hmac)}),
            &reply.recorded,
            columns,
        ),
        Entry::Outcome(outcome) => with_rows(
            json!({
                "tags": outcome.tags,
                "errorCode": outcome.error_code,
                "replyRows": outcome.reply_rows,
                "replyBytes": outcome.reply_bytes,
                "replyHmac": outcome.reply_hmac.map(|hash| hex(&hash)),
            }),
            &outcome.recorded,
            columns,
        ),
        Entry::Close(close) => {
            json!({"reason": close.reason, "operations": close.operations, "refusals": close.refusals})
        }
    })
}

/// What an entry says of an operation, with what was asked for, its HMAC, and whether values in it are masked.
fn operation(
    (payload, hmac, masked): (&Payload, Option<[u8; 32]>, bool),
    binding: Option<&RecordedBinding>,
    mut said: Value,
) -> Result<Value, Failure> {
    if let Value::Object(object) = &mut said {
        let text = text(payload);
        if text.as_bytes() != payload.0.as_slice() {
            object.insert("payloadHex".into(), hex(&payload.0).into());
        }
        object.insert("payload".into(), text.into());
        object.insert("payloadMasked".into(), masked.into());
        insert_some(object, "payloadHmac", hmac.map(|hash| hex(&hash)));
        if let Some(binding) = binding {
            object.insert("binding".into(), to_json(&v1::Binding::from(binding))?);
        }
    }
    Ok(said)
}

fn with_rows(mut said: Value, recorded: &RecordedRows, columns: &Columns) -> Value {
    if let Value::Object(object) = &mut said {
        object.insert("columns".into(), columns_to_json(&recorded.columns));
        object.insert("rows".into(), columns.to_json(recorded));
        object.insert("rowsRecorded".into(), recorded.count.into());
    }
    said
}

fn text(payload: &Payload) -> Cow<'_, str> {
    String::from_utf8_lossy(&payload.0)
}

fn facts(facts: &[RecordedFact]) -> Value {
    facts.iter().map(|fact| json!({"action": fact.action, "resource": fact.resource})).collect()
}

fn insert_some(object: &mut Map<String, Value>, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.to_string().into());
    }
}

fn durability_word(durability: Durability) -> &'static str {
    match durability {
        Durability::PageCache => "page-cache",
        Durability::Fsync => "fsync",
    }
}
