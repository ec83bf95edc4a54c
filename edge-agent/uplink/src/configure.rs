//! A configuration message, checked before anything of it is in force.
//!
//! A malformed target is left out, which closes it; a fault anywhere else refuses the configuration as a whole.

use std::{collections::HashMap, sync::Arc};

use countersign_model::{Identity, Name};
use countersign_pki::{Domain, verify};
use countersign_policy::{CompileError, CompiledPolicies};
use countersign_wire::v1;
use prost::Message as _;
use tracing::error;

use crate::{
    Membership,
    in_force::{Configuration, Target},
};

/// Why a configuration is not taken. The one in force stays so until the lease ends, which is not extended then.
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
    /// It is older than the one in force.
    #[error("generation {0} is older than the one in force")]
    Older(u64),
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
    Ok(Configuration { targets: targets(wire.targets), policies, generation })
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

/// The targets that are well formed. New policies must not wait for the others, and sessions to those are refused.
fn targets(wire: Vec<v1::TargetConfiguration>) -> HashMap<Name, Arc<Target>> {
    let well_formed = |wire: v1::TargetConfiguration| {
        let name = wire.name.clone();
        let target = target(wire);
        if target.is_none() {
            error!(target = ?name, "a target's name, port or identity is malformed; sessions to it are refused");
        }
        target
    };
    wire.into_iter().filter_map(well_formed).collect()
}

fn target(wire: v1::TargetConfiguration) -> Option<(Name, Arc<Target>)> {
    let name: Name = wire.name.parse().ok()?;
    let mut login_roles = HashMap::new();
    for identity in &wire.identities {
        login_roles.insert(Identity::try_from(identity.identity()).ok()?, identity.login_role.clone());
    }
    let target = Target {
        protocol: wire.protocol,
        host: wire.host,
        port: u16::try_from(wire.port).ok().filter(|port| *port != 0)?,
        database: wire.database,
        ca_pem: wire.ca_pem,
        search_path: wire.search_path,
        login_roles,
    };
    Some((name, Arc::new(target)))
}
