//! Who calls.

use std::sync::Arc;

use crate::Name;

/// What kind of caller a token proves.
///
/// Source: `idtyp` and the facet claims of Microsoft Entra access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// Non-human: a service principal, managed identity or agent identity acting for itself.
    Agent,
    /// A person by an ordinary client.
    User,
    /// An agent acting on behalf of a person: both.
    AgentForUser,
}

/// A verified caller: `(tenant, subject, actor)` and what the token and the registry say about it.
///
/// The key is `(tenant_id, object_id)`; names and roles are attributes and never identify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Entra tenant (`tid`), a lower-case GUID.
    pub tenant_id: Arc<str>,
    /// Object id of the subject (`oid`), a lower-case GUID.
    pub object_id: Arc<str>,
    /// The calling application (`azp`), a lower-case GUID.
    pub app_id: Option<Arc<str>>,
    /// Human or not.
    pub kind: PrincipalKind,
    /// The name under which an admin registered this agent; `None` for everybody else.
    pub agent: Option<Name>,
    /// App roles in the token.
    pub roles: Vec<String>,
}
