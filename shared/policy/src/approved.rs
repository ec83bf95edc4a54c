//! Where a policy may speak of `context.approved`: in one place, in one form.
//!
//! Approval must lift exactly the forbid that asked for it. So a policy's syntax tree (not its text) is walked, and
//! every mention of `context` must be the left side of a plain attribute access or test; the attribute `approved`
//! is allowed only as the whole body of one `unless` of a forbid that names its approvers. A `context` that is
//! compared, put into a set or record, or chosen by an `if` could carry `approved` unseen and is refused.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicyToJsonError};
use serde_json::{Map, Value};

/// What is wrong with a policy's use of `context`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovedFault {
    /// In a permit.
    #[error("context.approved has no place in a permit: an approval lifts a forbid and grants nothing")]
    InPermit,
    /// In a `when`, in a larger expression, or behind `has`.
    #[error("context.approved may appear only as `unless {{ context.approved }}`, alone in its clause")]
    Elsewhere,
    /// More than one such clause.
    #[error("`unless {{ context.approved }}` may appear only once")]
    Twice,
    /// The clause without the annotation.
    #[error("`unless {{ context.approved }}` needs @approvers(\"group\") on the same policy")]
    WithoutApprovers,
    /// The annotation without the clause.
    #[error("@approvers needs `unless {{ context.approved }}` in the same policy")]
    WithoutClause,
    /// `context` as a whole value.
    #[error("context may be used only as `context.attribute` or `context has attribute`")]
    WholeContext,
    /// The syntax tree could not be had or read.
    #[error("the policy's syntax tree cannot be read: {0}")]
    Unreadable(String),
}

/// Checks one policy, and returns the attributes of `context` that it mentions.
pub(crate) fn check(policy: &Policy, has_approvers: bool) -> Result<BTreeSet<String>, ApprovedFault> {
    let tree = policy.to_json().map_err(|e: PolicyToJsonError| ApprovedFault::Unreadable(e.to_string()))?;
    let clauses = tree
        .get("conditions")
        .and_then(Value::as_array)
        .ok_or_else(|| ApprovedFault::Unreadable("no conditions".to_owned()))?;
    let (lifting, other): (Vec<_>, Vec<_>) = clauses.iter().partition(|clause| is_lifting(clause));
    let mentioned = mentions(&other)?;
    match (policy.effect(), lifting.len(), has_approvers) {
        _ if mentioned.contains("approved") && policy.effect() == Effect::Permit => {
            Err(ApprovedFault::InPermit)
        }
        _ if mentioned.contains("approved") => Err(ApprovedFault::Elsewhere),
        (Effect::Permit, 1.., _) => Err(ApprovedFault::InPermit),
        (Effect::Forbid, 2.., _) => Err(ApprovedFault::Twice),
        (Effect::Forbid, 1, false) => Err(ApprovedFault::WithoutApprovers),
        (_, 0, true) => Err(ApprovedFault::WithoutClause),
        _ => Ok(mentioned),
    }
}

/// Whether the clause is exactly `unless { context.approved }`.
fn is_lifting(clause: &Value) -> bool {
    let unless = clause.get("kind").and_then(Value::as_str) == Some("unless");
    let body = clause.get("body").and_then(Value::as_object).and_then(sole_entry);
    unless
        && body.is_some_and(|(operator, operands)| {
            operator == "." && attribute_of_context(operator, operands) == Some("approved")
        })
}

/// The attributes of `context` mentioned anywhere in the clauses. The walk has its own stack: a tree as deep as the
/// parser lets through must not exhaust ours.
fn mentions(clauses: &[&Value]) -> Result<BTreeSet<String>, ApprovedFault> {
    let mut mentioned = BTreeSet::new();
    let mut rest: Vec<&Value> = clauses.to_vec();
    while let Some(node) = rest.pop() {
        match node {
            Value::Array(items) => rest.extend(items),
            Value::Object(object) => match sole_entry(object) {
                Some(("Var", Value::String(name))) if name == "context" => {
                    return Err(ApprovedFault::WholeContext);
                }
                Some((operator, operands)) => match attribute_of_context(operator, operands) {
                    Some(attribute) => drop(mentioned.insert(attribute.to_owned())),
                    None => rest.push(operands),
                },
                None => rest.extend(object.values()),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(mentioned)
}

/// The attribute in `context.attribute`, `context["attribute"]` (the same tree) and `context has attribute`. Of
/// `context has a.b` it is `a`; `b` belongs to the value of `a`.
fn attribute_of_context<'a>(operator: &str, operands: &'a Value) -> Option<&'a str> {
    let operands = operands.as_object()?;
    let left = operands.get("left")?.as_object().and_then(sole_entry)?;
    if !matches!(operator, "." | "has") || operands.len() != 2 || !is_context(left) {
        return None;
    }
    match operands.get("attr")? {
        Value::String(attribute) => Some(attribute),
        Value::Array(path) => path.first().and_then(Value::as_str),
        _ => None,
    }
}

fn is_context((operator, operand): (&str, &Value)) -> bool {
    operator == "Var" && operand.as_str() == Some("context")
}

/// The one entry of an object that has one: every expression is such an object.
fn sole_entry(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    entries.next().filter(|_| object.len() == 1).map(|(key, value)| (key.as_str(), value))
}
