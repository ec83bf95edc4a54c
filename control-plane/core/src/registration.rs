//! Which app registration a session is logged in to its target by, and as which role.

use countersign_model::{Identity, Name};
use countersign_wire::v1;

use crate::in_force::InForce;

/// A registration that mints for one caller, one target and one identity of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registration<'a> {
    /// Client id.
    pub(crate) client_id: &'a str,
    /// Subject that its federated credential trusts us for.
    pub(crate) subject: String,
    /// Role that its token logs in as.
    pub(crate) login_role: &'a str,
    /// What its token is for; empty for the default.
    pub(crate) resource: &'a str,
}

/// The identity of a target, if it has it.
pub(crate) fn identity_spec(target: &v1::TargetSpec, identity: Identity) -> Option<&v1::IdentitySpec> {
    match identity {
        Identity::Standing => target.standing.as_ref(),
        Identity::Approved => target.approved.as_ref(),
        Identity::Metadata => target.metadata.as_ref(),
    }
}

/// The registration by which `agent` is logged in to a target. None where the target has no such identity, or
/// where each agent has a registration of its own and this one is not named.
pub(crate) fn registration<'a>(
    in_force: &'a InForce,
    deployment: &Name,
    target: (&Name, &'a v1::TargetSpec),
    identity: Identity,
    agent: Option<&Name>,
) -> Option<Registration<'a>> {
    let spec = identity_spec(target.1, identity)?;
    let resource = spec.resource.as_str();
    if spec.agent_roles.is_empty() {
        let subject = format!("cs:{deployment}:target:{}:{}", target.0, identity.as_str());
        return Some(Registration {
            client_id: &spec.client_id,
            subject,
            login_role: &spec.login_role,
            resource,
        });
    }
    let agent = agent?;
    let login_role = spec.agent_roles.get(agent.as_str())?;
    let app_id = &in_force.declared.agents.get(agent)?.app_id;
    let subject = format!("cs:{deployment}:agent:{app_id}");
    Some(Registration { client_id: app_id, subject, login_role, resource })
}
