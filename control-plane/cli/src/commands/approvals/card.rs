//! The card: everything that a voter has to know, in an order in which it can be read. Lines that begin at the
//! left edge are ours. What a caller wrote is escaped and stands to the right of a label of ours or, the
//! statement, behind bars, so that nothing in it can look like a part of the card or like a second one.

use countersign_model::Identity;
use countersign_wire::v1::{Approval, Card, Principal, PrincipalKind, Session, Vote};

use crate::{
    escape::cautions,
    failure::Failure,
    output::{Output, instant},
    parameter::Bound,
};

use super::state_word;

/// Properties of an approval by the labels under which they are printed; a label may be there more than once.
type Properties = Vec<(&'static str, String)>;

/// The lines of a card that rest on the edge's word. Database, role and search path the control plane has compared
/// with those of the target.
const ATTESTED: &str = "held, touches (what the names mean), before it, setting, transaction";
/// And of what would be unmasked, which classes it touches.
const ATTESTED_CLASSES: &str = ", unmasks (which classes it touches)";
/// And of its parameters, what the target takes them for.
const ATTESTED_TYPES: &str = ", parameter (which type it has)";

/// Prints the card of an approval; of a final one, what is left of it.
pub(super) fn print(approval: &Approval, out: &mut Output) -> Result<(), Failure> {
    let mut properties = progress(approval);
    properties.extend(caller(approval));
    properties.extend(place(approval));
    properties.extend(decision(approval));
    let Some(card) = &approval.card else {
        out.properties(&properties)?;
        return out.line("what was asked is not shown: it is deleted when an approval is final");
    };
    properties.extend(surroundings(card));
    out.properties(&properties)?;
    statement(card, out)?;
    let edge = if card.attested_by.is_empty() { "the edge" } else { &card.attested_by };
    let classes = if approval.unmasks.is_empty() { "" } else { ATTESTED_CLASSES };
    let types = if card.parameters.is_empty() { "" } else { ATTESTED_TYPES };
    out.hanging(
        "attested by  ",
        &format!("{edge}, and not read from the statement: {ATTESTED}{classes}{types}"),
    )
}

/// How far it has come.
fn progress(approval: &Approval) -> Properties {
    let mut properties = vec![
        ("approval", approval.id.clone()),
        ("state", state_word(approval).to_owned()),
        ("fingerprint", approval.fingerprint.clone()),
        ("asked at", instant(approval.created_at.as_ref())),
        ("vote by", instant(approval.expires_at.as_ref())),
        ("use by", instant(approval.use_until.as_ref())),
        ("ended at", instant(approval.ended_at.as_ref())),
    ];
    properties.extend(
        approval.requirements.iter().map(|needed| {
            ("needs", format!("{}, {} of {} given", needed.group, needed.given, needed.quorum))
        }),
    );
    properties.extend(
        approval.votes.iter().map(|vote| (if vote.approve { "voted yes" } else { "voted no" }, voted(vote))),
    );
    properties
}

fn voted(vote: &Vote) -> String {
    let groups =
        if vote.groups.is_empty() { String::new() } else { format!(" as {}", vote.groups.join(", ")) };
    let reason = if vote.reason.is_empty() { String::new() } else { format!(": {}", vote.reason) };
    format!("{} ({}){groups} at {}{reason}", vote.name, vote.voter, instant(vote.at.as_ref()))
}

/// Who asks.
fn caller(approval: &Approval) -> Properties {
    let session = approval.session.clone().unwrap_or_default();
    let principal = session.principal.clone().unwrap_or_default();
    vec![
        (
            "agent",
            if principal.agent.is_empty() { "not registered".to_owned() } else { principal.agent.clone() },
        ),
        ("kind", kind(&principal).to_owned()),
        ("object id", principal.object_id),
        ("tenant", principal.tenant_id),
        ("app id", principal.app_id),
        ("session", session.id.clone()),
        ("operation", approval.operation_id.clone()),
        ("client", client(&session)),
    ]
}

fn kind(principal: &Principal) -> &'static str {
    match principal.kind() {
        PrincipalKind::Unspecified | PrincipalKind::Agent => "",
        PrincipalKind::User => "a person",
        PrincipalKind::AgentForUser => "an agent on behalf of the person with this object id",
    }
}

fn client(session: &Session) -> String {
    let address = if session.client_address.is_empty() { "unknown address" } else { &session.client_address };
    if session.client_user.is_empty() {
        address.to_owned()
    } else {
        format!("{address}, calls itself {}", session.client_user)
    }
}

/// Where it would run, and as whom.
fn place(approval: &Approval) -> Properties {
    let session = approval.session.clone().unwrap_or_default();
    let mut properties = vec![("target", session.target), ("zone", session.zone)];
    if let Some(card) = &approval.card {
        properties.extend([
            ("protocol", card.protocol.clone()),
            ("database", card.database.clone()),
            ("role", card.role.clone()),
            ("identity", Identity::try_from(card.identity()).map_or("unknown", Identity::as_str).to_owned()),
        ]);
    }
    properties
}

/// What would come back unmasked, what it touches, the pairs that hold it first, and which policies decided.
fn decision(approval: &Approval) -> Properties {
    let others = approval.facts.iter().filter(|fact| !approval.held.contains(fact));
    let held = approval.held.iter().map(|fact| ("held", fact));
    let touched = held
        .chain(others.map(|fact| ("touches", fact)))
        .map(|(label, fact)| (label, format!("{}  {}", fact.action, fact.resource)));
    std::iter::once(("unmasks", approval.unmasks.join(", ")))
        .chain(touched)
        .chain([("policies", approval.policies.join(", ")), ("revision", approval.policy_revision.clone())])
        .collect()
}

/// What else decides what the statement does.
fn surroundings(card: &Card) -> Properties {
    let before = card.preamble.iter().map(|statement| ("before it", statement.clone()));
    let settings = card.settings.iter().map(|one| ("setting", format!("{} = {}", one.name, one.value)));
    let transaction = if card.in_transaction { "inside one that is open" } else { "none is open" };
    before
        .chain(settings)
        .chain([("search path", card.search_path.join(", ")), ("transaction", transaction.to_owned())])
        .collect()
}

fn statement(card: &Card, out: &mut Output) -> Result<(), Failure> {
    let text = &card.statement;
    let lines = text.split('\n').count();
    out.hanging(
        "statement    ",
        &format!("{} bytes, {lines} lines{}", text.len(), cautions(text.as_bytes())),
    )?;
    out.block(text.as_bytes())?;
    Bound::from(card).print(|word| format!("{word:11}  "), out)
}

#[cfg(test)]
mod tests;
