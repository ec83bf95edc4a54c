//! A configuration message, checked before anything of it is in force.

use std::{collections::HashMap, sync::Arc};

use countersign_model::{Identity, Name};
use countersign_pki::{Domain, verify};
use countersign_policy::{CompileError, CompiledPolicies};
use countersign_wire::v1;
use prost::Message as _;

use crate::{
    Membership,
    in_force::{Configuration, Target},
};

/// Why a configuration is not taken; the one in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfiguration {
    /// It is for another zone than the edge's own.
    #[error("the configuration is for another zone")]
    Zone,
    /// There is no policy set in it.
    #[error("the configuration has no policy set")]
    PoliciesMissing,
    /// The deployment's key did not sign the policy set.
    #[error("the signature of the policy set does not verify")]
    Signature,
    /// The policy set is not a protobuf message.
    #[error("the policy set is malformed")]
    Malformed,
    /// The revision is not that of the bundles.
    #[error("the revision of the policy set is not that of its bundles")]
    Revision,
    /// The policies do not compile here.
    #[error("the policies do not compile: {0}")]
    Compile(#[from] CompileError),
    /// A target has a malformed name, port or identity.
    #[error("target {0:?} is malformed")]
    Target(String),
}

/// Checks and compiles a configuration for the edge `membership`.
pub(crate) fn configuration(
    wire: v1::Configuration,
    membership: &Membership,
) -> Result<Configuration, InvalidConfiguration> {
    if wire.zone != membership.zone.as_str() {
        return Err(InvalidConfiguration::Zone);
    }
    let signed = wire.policies.ok_or(InvalidConfiguration::PoliciesMissing)?;
    let (policies, generation) = policies(&signed, &membership.deployment_key)?;
    let targets = wire.targets.into_iter().map(target).collect::<Result<HashMap<_, _>, _>>()?;
    Ok(Configuration { targets, policies, generation })
}

fn policies(
    signed: &v1::SignedPolicySet,
    deployment_key: &[u8; 32],
) -> Result<(CompiledPolicies, u64), InvalidConfiguration> {
    verify(deployment_key, Domain::PolicySet, &signed.policy_set, &signed.signature)
        .map_err(|_| InvalidConfiguration::Signature)?;
    let set =
        v1::PolicySet::decode(signed.policy_set.as_slice()).map_err(|_| InvalidConfiguration::Malformed)?;
    let bundles: Vec<(&str, &str)> =
        set.bundles.iter().map(|bundle| (bundle.name.as_str(), bundle.policies.as_str())).collect();
    if countersign_policy::revision(&bundles) != set.revision {
        return Err(InvalidConfiguration::Revision);
    }
    Ok((CompiledPolicies::compile(&set.revision, &bundles)?, set.generation))
}

fn target(wire: v1::TargetConfiguration) -> Result<(Name, Arc<Target>), InvalidConfiguration> {
    let malformed = || InvalidConfiguration::Target(wire.name.clone());
    let name: Name = wire.name.parse().map_err(|_| malformed())?;
    let mut login_roles = HashMap::new();
    for identity in &wire.identities {
        let key = Identity::try_from(identity.identity()).map_err(|_| malformed())?;
        login_roles.insert(key, identity.login_role.clone());
    }
    let port = u16::try_from(wire.port).ok().filter(|port| *port != 0).ok_or_else(malformed)?;
    let target = Target {
        protocol: wire.protocol,
        host: wire.host,
        port,
        database: wire.database,
        ca_pem: wire.ca_pem,
        search_path: wire.search_path,
        login_roles,
    };
    Ok((name, Arc::new(target)))
}
