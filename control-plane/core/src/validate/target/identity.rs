//! One upstream identity of a target.

use countersign_model::Name;
use countersign_wire::v1::IdentitySpec;

use super::{
    super::{guid, optional_text, text},
    MAX_NAME,
};

/// Agents that one identity can name.
const MAX_AGENTS: usize = 1_000;

/// Either one registration and role for all, or one role for each agent that is named.
pub(super) fn check(which: &str, spec: IdentitySpec) -> Result<IdentitySpec, String> {
    optional_text(&format!("{which}.resource"), &spec.resource)?;
    if spec.agent_roles.is_empty() {
        role(&format!("{which}.loginRole"), &spec.login_role)?;
        return Ok(IdentitySpec { client_id: guid(&format!("{which}.clientId"), &spec.client_id)?, ..spec });
    }
    if !spec.client_id.is_empty() || !spec.login_role.is_empty() {
        return Err(format!("{which} has agentRoles, so neither clientId nor loginRole"));
    }
    if spec.agent_roles.len() > MAX_AGENTS {
        return Err(format!("{which}.agentRoles names more than {MAX_AGENTS} agents"));
    }
    for (agent, login_role) in &spec.agent_roles {
        agent.parse::<Name>().map_err(|error| format!("{which}.agentRoles: {error}"))?;
        role(&format!("{which}.agentRoles of {agent}"), login_role)?;
    }
    Ok(spec)
}

fn role(field: &str, role: &str) -> Result<(), String> {
    text(field, role)?;
    if role.len() > MAX_NAME { Err(format!("{field} is too long")) } else { Ok(()) }
}
