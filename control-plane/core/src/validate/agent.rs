//! Agents: who in the tenant is known under which name.

use countersign_model::Name;
use countersign_wire::v1::AgentSpec;

use super::{guid, optional_text, target};
use crate::declared::Declared;

/// People who are sponsors or owners of one agent.
const MAX_OWNERS: usize = 16;

/// One service principal has one name: else the same caller would be decided under two.
pub(super) fn check(name: &Name, spec: AgentSpec, declared: &Declared) -> Result<AgentSpec, String> {
    optional_text("description", &spec.description)?;
    if spec.owners.len() > MAX_OWNERS {
        return Err(format!("owners names more than {MAX_OWNERS} people"));
    }
    let spec = AgentSpec {
        tenant_id: guid("tenantId", &spec.tenant_id)?,
        object_id: guid("objectId", &spec.object_id)?,
        app_id: guid("appId", &spec.app_id)?,
        description: spec.description,
        owners: spec.owners.iter().map(|owner| guid("owners", owner)).collect::<Result<_, _>>()?,
    };
    if let Some(target) = target::of_client(&spec.app_id, declared) {
        return Err(format!("app id {} is the client id of an identity of target {target}", spec.app_id));
    }
    for (other, known) in declared.agents.iter().filter(|(other, _)| *other != name) {
        if known.tenant_id != spec.tenant_id {
            continue;
        }
        if known.object_id == spec.object_id {
            return Err(format!("agent {other} has the same object id"));
        }
        if known.app_id == spec.app_id {
            return Err(format!("agent {other} has the same app id"));
        }
    }
    Ok(spec)
}
