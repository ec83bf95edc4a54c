//! The gate's records in the words of a recording.

use std::sync::Arc;

use countersign_gate as gate;
use countersign_model::{Binding, Determining, Fact, Requirement, SessionFacts};
use countersign_recording as recording;
use countersign_wire::{to_timestamp, v1};

/// Recordings name the protocol with each operation; every session of this edge speaks the same.
const PROTOCOL: &str = "postgres";

/// The first entry of a session's recording. `hash_key` is the key of its hashes, sealed.
pub(crate) fn open(
    session: &SessionFacts,
    client_user: &str,
    edge: &str,
    revision: String,
    hash_key: Vec<u8>,
) -> recording::Entry {
    let session = v1::Session {
        id: session.session.to_string(),
        recording_id: session.recording.to_string(),
        principal: Some((&*session.principal).into()),
        token_id: session.token_id.to_string(),
        zone: session.zone.to_string(),
        target: session.target.to_string(),
        edge: edge.to_owned(),
        client_address: session.client.map(|address| address.to_string()).unwrap_or_default(),
        client_user: client_user.to_owned(),
        opened_at: Some(to_timestamp(std::time::SystemTime::now())),
        deadline: Some(to_timestamp(session.deadline)),
        closed_at: None,
        state: v1::SessionState::Open.into(),
        closed_because: String::new(),
    };
    recording::Entry::Open(Box::new(recording::Open { session, policy_revision: revision, hash_key }))
}

/// Any entry after the first.
pub(crate) fn entry(entry: gate::Entry<'_>) -> recording::Entry {
    match entry {
        gate::Entry::Intent {
            operation,
            kind,
            identity,
            approval,
            preamble,
            shown,
            tag,
            facts,
            policies,
            revision,
        } => recording::Entry::Intent(Box::new(recording::Intent {
            operation,
            approval,
            protocol: PROTOCOL.to_owned(),
            kind: kind.as_str().to_owned(),
            preamble: preamble.iter().map(|step| bytes_of(step.shown())).collect(),
            payload: bytes_of(shown.payload()),
            payload_hmac: Some(tag),
            payload_masked: shown.is_covered(),
            binding: shown.binding().map(|binding| bound(binding, shown.labels())),
            facts: in_words(facts),
            policies: names(policies),
            policy_revision: revision.to_owned(),
            identity: Some(identity),
        })),
        gate::Entry::Hold {
            operation,
            approval,
            kind,
            shown,
            tag,
            facts,
            policies,
            revision,
            requirements,
            expires_at,
        } => recording::Entry::Hold(Box::new(recording::Hold {
            operation,
            approval,
            protocol: PROTOCOL.to_owned(),
            kind: kind.as_str().to_owned(),
            payload: bytes_of(shown.payload()),
            payload_hmac: Some(tag),
            payload_masked: shown.is_covered(),
            binding: shown.binding().map(|binding| bound(binding, shown.labels())),
            facts: in_words(facts),
            policies: names(policies),
            policy_revision: revision.to_owned(),
            requirements: requirements.iter().map(requirement).collect(),
            expires_at,
        })),
        gate::Entry::Refusal { operation, approval, kind, shown, tag, facts, policies, revision, reason } => {
            recording::Entry::Refusal(Box::new(recording::Refusal {
                operation,
                approval,
                protocol: PROTOCOL.to_owned(),
                kind: kind.as_str().to_owned(),
                payload: bytes_of(shown.payload()),
                payload_hmac: Some(tag),
                payload_masked: shown.is_covered(),
                binding: shown.binding().map(|binding| bound(binding, shown.labels())),
                facts: in_words(facts),
                policies: names(policies),
                policy_revision: revision.to_owned(),
                reason: reason.as_str().to_owned(),
            }))
        }
        gate::Entry::Reply { operation, bytes, rows, tag, excerpt } => {
            let recorded = shown_rows(excerpt);
            recording::Entry::Reply(Box::new(recording::Reply {
                operation,
                bytes,
                rows,
                hmac: tag,
                recorded,
            }))
        }
        gate::Entry::Outcome { operation, approval, outcome, completion, bytes, rows, tag, excerpt } => {
            recording::Entry::Outcome(Box::new(recording::Outcome {
                operation,
                approval,
                outcome: outcome_kind(outcome),
                tags: completion.tags.clone(),
                error_code: completion.error_code.clone().unwrap_or_default(),
                reply_bytes: bytes,
                reply_rows: rows,
                reply_hmac: (bytes > 0).then_some(tag),
                recorded: shown_rows(excerpt),
            }))
        }
        gate::Entry::Close { reason, operations, refusals } => recording::Entry::Close(recording::Close {
            reason: reason.as_str().to_owned(),
            operations,
            refusals,
        }),
    }
}

/// A parameter that has a label is recorded as that, and so is one that is NULL: absence says something, too.
fn bound(binding: &Binding, labels: &[Option<Arc<str>>]) -> recording::RecordedBinding {
    let mut recorded = recording::RecordedBinding::from(binding);
    for (parameter, label) in recorded.parameters.iter_mut().zip(labels) {
        if let Some(label) = label {
            parameter.value = recording::RecordedValue::Masked(label.to_string());
        }
    }
    recorded
}

fn shown_rows(excerpt: &gate::Excerpt) -> recording::RecordedRows {
    let column = |column: &gate::ShownColumn| recording::RecordedColumn {
        name: column.name.clone(),
        type_oid: column.type_id,
        format: column.format,
        masked: column.label.as_deref().unwrap_or_default().to_owned(),
    };
    recording::RecordedRows {
        columns: excerpt.columns.iter().map(column).collect(),
        data: bytes_of(&excerpt.data),
        count: excerpt.rows,
    }
}

fn outcome_kind(outcome: gate::Outcome) -> recording::OutcomeKind {
    match outcome {
        gate::Outcome::Done => recording::OutcomeKind::Done,
        gate::Outcome::Failed => recording::OutcomeKind::Failed,
        gate::Outcome::NotSent => recording::OutcomeKind::NotSent,
        gate::Outcome::Unknown => recording::OutcomeKind::Unknown,
    }
}

fn in_words(facts: &[Fact]) -> Vec<recording::RecordedFact> {
    facts.iter().map(Into::into).collect()
}

fn names(policies: &[Determining]) -> Vec<String> {
    policies.iter().map(|determining| determining.policy.to_string()).collect()
}

fn bytes_of(bytes: &[u8]) -> recording::Payload {
    recording::Payload(bytes.to_vec())
}

fn requirement(requirement: &Requirement) -> String {
    format!("{} {}", requirement.group, requirement.quorum)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use countersign_model::{
        Action, ApprovalId, Binding, Identity, OperationId, Parameter, Reason, Resource,
    };

    use super::*;

    #[test]
    fn what_becomes_of_a_held_operation_names_its_approval() {
        let (operation, approval) = (OperationId::generate(), ApprovalId::generate());
        let facts = [Fact { action: Action::Connect, resource: Resource::Target }];
        let policies = [Determining { policy: "shop/0".into() }];
        let (kind, revision, tag) = (gate::OperationKind::Query, "abc", [7; 32]);
        let (facts, policies) = (&facts[..], &policies[..]);
        let parameter = Parameter { resolved_type: 23, value: Some("1".into()), ..Parameter::default() };
        let bound = Binding { parameters: vec![parameter], row_limit: 7, ..Binding::default() };
        let shown =
            &gate::Shown::covered("DELETE FROM orders".into(), Some(bound), vec![Some("[email]".into())]);
        let requirements = &[
            Requirement { group: "dba".into(), quorum: 2 },
            Requirement { group: "owners".into(), quorum: 1 },
        ];
        let expires_at = SystemTime::UNIX_EPOCH;
        let hold = entry(gate::Entry::Hold {
            operation,
            approval,
            kind,
            shown,
            tag,
            facts,
            policies,
            revision,
            requirements,
            expires_at,
        });
        let recording::Entry::Hold(held) = &hold else { panic!("{hold:?}") };
        assert_eq!(held.requirements, ["dba 2", "owners 1"]);
        assert_eq!((&held.payload.0[..], held.expires_at), (&b"DELETE FROM orders"[..], expires_at));
        assert_eq!((held.payload_masked, held.payload_hmac), (true, Some(tag)));
        let bound = held.binding.clone().expect("bound");
        assert_eq!(bound.parameters[0].value, recording::RecordedValue::Masked("[email]".into()));

        let (identity, reason) = (Identity::Approved, Reason::ApprovalDenied);
        let (outcome, completion) = (gate::Outcome::Done, &gate::Completion::default());
        for used in [Some(approval), None] {
            let intent = entry(gate::Entry::Intent {
                operation,
                kind,
                identity,
                approval: used,
                preamble: &[],
                shown,
                tag,
                facts,
                policies,
                revision,
            });
            let refusal = entry(gate::Entry::Refusal {
                operation,
                approval: used,
                kind,
                shown,
                tag,
                facts,
                policies,
                revision,
                reason,
            });
            let recording::Entry::Intent(sent) = &intent else { panic!("{intent:?}") };
            let recording::Entry::Refusal(refused) = &refusal else { panic!("{refusal:?}") };
            assert_eq!((sent.binding.as_ref(), refused.binding.as_ref()), (Some(&bound), Some(&bound)));
            let (bytes, rows, excerpt) = (0, 0, &gate::Excerpt::default());
            let outcome = entry(gate::Entry::Outcome {
                operation,
                approval: used,
                outcome,
                completion,
                bytes,
                rows,
                tag,
                excerpt,
            });
            for entry in [intent, refusal, outcome] {
                assert_eq!((entry.operation(), entry.approval()), (Some(operation), used));
            }
        }
        assert_eq!((hold.operation(), hold.approval()), (Some(operation), Some(approval)));
    }
}
