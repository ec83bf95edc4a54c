//! What a policy says about itself: the closed list of annotations, and what each may hold.
//!
//! An annotation that nobody reads is a promise that nobody keeps (`@approver` for `@approvers`), so unknown ones
//! are refused.

use cedar_policy::{Effect, Policy};
use countersign_model::Requirement;

/// Longest app role that Entra allows, in bytes.
const MAX_GROUP_BYTES: usize = 120;
/// Longest `@id`, in bytes.
const MAX_ID_BYTES: usize = 64;
/// Most people that one requirement can ask for.
const MAX_QUORUM: u32 = 10;

/// What is wrong with the annotations of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationFault {
    /// There is no such annotation.
    #[error("@{0} is unknown; known are @id, @description, @approvers and @quorum")]
    Unknown(String),
    /// Not an id.
    #[error("@id takes 1 to 64 characters of a-z, A-Z, 0-9, '-', '_' and '.'")]
    Id,
    /// Not an app role.
    #[error("@approvers takes one app role: 1 to 120 printable ASCII characters without a space")]
    Approvers,
    /// Not a number of people.
    #[error("@quorum takes a number from 1 to 10")]
    Quorum,
    /// A quorum of nobody.
    #[error("@quorum needs @approvers beside it")]
    QuorumAlone,
    /// People lift a forbid; a permit has nothing to lift.
    #[error("@approvers belongs on a forbid")]
    ApproversOnPermit,
}

/// Refuses every annotation that is not known.
pub(crate) fn check_names(policy: &Policy) -> Result<(), AnnotationFault> {
    policy
        .annotations()
        .find(|(name, _)| !matches!(*name, "id" | "description" | "approvers" | "quorum"))
        .map_or(Ok(()), |(name, _)| Err(AnnotationFault::Unknown(name.to_owned())))
}

/// The policy's own id, if it gives one.
pub(crate) fn id(policy: &Policy) -> Result<Option<&str>, AnnotationFault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match policy.annotation("id") {
        Some(id) if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(allowed) => {
            Err(AnnotationFault::Id)
        }
        id => Ok(id),
    }
}

/// Who can lift the policy, if it is a forbid that can be lifted. One person suffices unless it says otherwise.
pub(crate) fn requirement(policy: &Policy) -> Result<Option<Requirement>, AnnotationFault> {
    let quorum = policy.annotation("quorum").map(parse_quorum).transpose()?;
    let Some(group) = policy.annotation("approvers") else {
        return if quorum.is_some() { Err(AnnotationFault::QuorumAlone) } else { Ok(None) };
    };
    if group.is_empty() || group.len() > MAX_GROUP_BYTES || !group.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(AnnotationFault::Approvers);
    }
    if policy.effect() == Effect::Permit {
        return Err(AnnotationFault::ApproversOnPermit);
    }
    Ok(Some(Requirement { group: group.into(), quorum: quorum.unwrap_or(1) }))
}

/// One spelling per number: no sign, no leading zero.
fn parse_quorum(text: &str) -> Result<u32, AnnotationFault> {
    text.parse()
        .ok()
        .filter(|n: &u32| (1..=MAX_QUORUM).contains(n) && n.to_string() == text)
        .ok_or(AnnotationFault::Quorum)
}
