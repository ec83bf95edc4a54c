//! No app registration serves two purposes: a token for one of them would be let in at the other.

use countersign_model::Name;
use countersign_wire::v1::TargetSpec;

use crate::declared::Declared;

/// Each identity of the target has a registration that no other identity and no agent has.
pub(super) fn check(name: &Name, spec: &TargetSpec, declared: &Declared) -> Result<(), String> {
    let mut own: Vec<&str> = clients(spec).collect();
    own.sort_unstable();
    if own.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err("the identities of a target must have client ids of their own".into());
    }
    for client in own {
        let others = declared.targets.iter().filter(|(other, _)| *other != name);
        if let Some(other) = with_client(client, others) {
            return Err(format!("client id {client} is that of an identity of target {other}"));
        }
        if let Some((agent, _)) = declared.agents.iter().find(|(_, agent)| agent.app_id == client) {
            return Err(format!("client id {client} is the app id of agent {agent}"));
        }
    }
    Ok(())
}

/// The target that has this registration.
pub(in crate::validate) fn of_client<'a>(client: &str, declared: &'a Declared) -> Option<&'a Name> {
    with_client(client, declared.targets.iter())
}

fn with_client<'a>(
    client: &str,
    mut targets: impl Iterator<Item = (&'a Name, &'a TargetSpec)>,
) -> Option<&'a Name> {
    targets.find(|(_, spec)| clients(spec).any(|known| known == client)).map(|(name, _)| name)
}

/// Those of agents stand with the agents.
fn clients(spec: &TargetSpec) -> impl Iterator<Item = &str> {
    let identities = spec.standing.iter().chain(&spec.approved).chain(&spec.metadata);
    identities.map(|identity| identity.client_id.as_str()).filter(|client| !client.is_empty())
}
