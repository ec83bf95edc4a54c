//! An approval as approvers see it.

use countersign_model::{Binding, Parameter};
use countersign_wire::{to_timestamp, v1};

use super::{asked::Asked, opened::Opened, question::Question};
use crate::{Core, approvals::opened::fingerprint, sessions};

impl Core {
    /// The message; the card is in it while it is not final.
    pub(super) fn approval_message(&self, opened: &Opened) -> v1::Approval {
        let Opened { record, session, summary, asked, votes, .. } = opened;
        let fingerprint = match opened.digest() {
            Some(digest) => fingerprint(record.id, &digest, &self.parts.approvals_key),
            None => record.fingerprint.clone(),
        };
        let requirements = summary.requirements.iter();
        let requirements =
            requirements.map(|need| v1::Requirement { given: opened.given(need), ..need.clone() });
        v1::Approval {
            id: record.id.to_string(),
            state: v1::ApprovalState::from(record.state).into(),
            session: Some(sessions::message(session)),
            operation_id: record.operation.to_string(),
            fingerprint,
            card: asked.as_ref().map(|asked| card(asked, session.edge.as_str())),
            requirements: requirements.collect(),
            votes: votes.iter().map(vote).collect(),
            created_at: Some(to_timestamp(record.created_at)),
            expires_at: Some(to_timestamp(record.expires_at)),
            use_until: record.use_until.map(to_timestamp),
            ended_at: record.ended_at.map(to_timestamp),
            facts: summary.facts.clone(),
            held: summary.held.clone(),
            policies: summary.policies.clone(),
            policy_revision: summary.revision.clone(),
            version: record.version,
            unmasks: summary.unmasks.clone(),
        }
    }
}

/// Rendered from the bytes that will be sent and what the edge attests beside them.
fn card(asked: &Asked, edge: &str) -> v1::Card {
    let Question { statement, binding, resolution, identity, .. } = &asked.question;
    let Binding { parameters, result_formats, row_limit } = Binding::or_none(binding.as_ref());
    let attested = v1::Resolution::from(resolution);
    v1::Card {
        protocol: "postgres".into(),
        // It was parsed, which nothing but UTF-8 is.
        statement: String::from_utf8_lossy(statement).into_owned(),
        parameters: parameters.iter().map(parameter).collect(),
        attested_by: edge.to_owned(),
        database: attested.database,
        role: attested.role,
        identity: v1::Identity::from(*identity).into(),
        search_path: attested.search_path,
        settings: attested.settings,
        in_transaction: attested.in_transaction,
        preamble: attested.preamble,
        row_limit: *row_limit,
        result_formats: result_formats.iter().map(|format| u32::from(*format)).collect(),
    }
}

fn parameter(parameter: &Parameter) -> v1::CardParameter {
    let v1::BoundParameter { declared_type, resolved_type, format, value, is_null, .. } = parameter.into();
    v1::CardParameter { r#type: resolved_type, format, value, is_null, declared_type }
}

fn vote(vote: &countersign_store::VoteRecord) -> v1::Vote {
    v1::Vote {
        voter: vote.voter.clone(),
        name: vote.name.clone(),
        approve: vote.approve,
        reason: vote.reason.clone(),
        at: Some(to_timestamp(vote.at)),
        groups: vote.groups.clone(),
    }
}
