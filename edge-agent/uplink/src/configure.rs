//! A configuration message, checked before anything of it is in force.
//!
//! A malformed target is left out, which closes it; a fault anywhere else refuses the configuration as a whole.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use countersign_model::{DataClass, Identity, Name};
use countersign_pki::{Domain, verify};
use countersign_policy::{CompileError, CompiledPolicies};
use countersign_recording::RecordingKey;
use countersign_spool::SpoolError;
use countersign_wire::v1;
use prost::Message as _;
use tracing::error;

use crate::{
    Membership,
    in_force::{ApprovedOn, Configuration, LoginRole, Target},
};

/// Agents that have a login role of their own at one target.
const MAX_AGENT_ROLES: usize = 10_000;
/// Data classes that one target may have values of: as many as a resolution may attest.
const MAX_CLASSES: usize = countersign_wire::MAX_CLASSES;
/// Longest name of a role in bytes: PostgreSQL cuts longer ones (`NAMEDATALEN` less one), and then means another.
const MAX_ROLE: usize = 63;

/// Why a configuration is not taken. The one in force stays so until the lease ends, which is not extended then.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfiguration {
    /// It is for another zone than the edge's own.
    #[error("the configuration is for another zone")]
    Zone,
    /// It names no key that recordings are sealed to.
    #[error("the configuration has no key that recordings are sealed to")]
    RecordingKey,
    /// That key cannot be kept, so that a start without a connection would not know it.
    #[error("the key that recordings are sealed to cannot be kept: {0}")]
    KeepKey(#[from] SpoolError),
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
    let recording_key = wire.recording_key.as_slice().try_into();
    let recording_key =
        recording_key.map(RecordingKey::from_bytes).map_err(|_| InvalidConfiguration::RecordingKey)?;
    let signed = wire.policies.ok_or(InvalidConfiguration::PoliciesMissing)?;
    let (policies, generation) = policies(&signed, &membership.deployment_key)?;
    Ok(Configuration { targets: targets(wire.targets), policies, generation, recording_key })
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
            error!(target = ?name, "a target's name, port, identity, role or data class is malformed; sessions to it are refused");
        }
        target
    };
    wire.into_iter().filter_map(well_formed).collect()
}

fn target(wire: v1::TargetConfiguration) -> Option<(Name, Arc<Target>)> {
    let name: Name = wire.name.parse().ok()?;
    let approved_on = match v1::ApprovedOn::try_from(wire.approved_on).ok()? {
        v1::ApprovedOn::Unspecified => ApprovedOn::OwnConnection,
        v1::ApprovedOn::SameConnection => ApprovedOn::SameConnection,
    };
    let mut login_roles = HashMap::new();
    for identity in wire.identities {
        match login_roles.entry(Identity::try_from(identity.identity()).ok()?) {
            Entry::Vacant(place) => place.insert(login_role(identity)?),
            Entry::Occupied(_) => return None,
        };
    }
    let target = Target {
        protocol: wire.protocol,
        host: wire.host,
        port: u16::try_from(wire.port).ok().filter(|port| *port != 0)?,
        database: wire.database,
        ca_pem: wire.ca_pem,
        search_path: wire.search_path,
        login_roles,
        approved_on,
        classes: classes(wire.classes)?,
    };
    Some((name, Arc::new(target)))
}

/// Sorted by name. A class that is not understood closes the target: what it names would come back as it is.
fn classes(wire: Vec<v1::DataClassConfiguration>) -> Option<Arc<[DataClass]>> {
    if wire.len() > MAX_CLASSES {
        return None;
    }
    let mut classes: Vec<DataClass> =
        wire.into_iter().map(TryInto::try_into).collect::<Result<_, _>>().ok()?;
    classes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    classes.is_sorted_by(|a, b| a.name < b.name).then(|| classes.into())
}

/// One role or a role for each agent, never both.
fn login_role(wire: v1::IdentityConfiguration) -> Option<LoginRole> {
    let v1::IdentityConfiguration { login_role, agent_roles, .. } = wire;
    if agent_roles.is_empty() {
        return role(login_role).map(LoginRole::One);
    }
    if !login_role.is_empty() || agent_roles.len() > MAX_AGENT_ROLES {
        return None;
    }
    let named = |(agent, name): (String, String)| Some((agent.parse().ok()?, role(name)?));
    agent_roles.into_iter().map(named).collect::<Option<_>>().map(LoginRole::PerAgent)
}

fn role(name: String) -> Option<String> {
    let is_name = (1..=MAX_ROLE).contains(&name.len()) && !name.contains('\0');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(identities: Vec<v1::IdentityConfiguration>) -> v1::TargetConfiguration {
        v1::TargetConfiguration { name: "shop".into(), port: 5432, identities, ..Default::default() }
    }

    fn identity(login_role: &str, agent_roles: &[(&str, &str)]) -> v1::IdentityConfiguration {
        let agent_roles =
            agent_roles.iter().map(|(agent, role)| ((*agent).to_owned(), (*role).to_owned())).collect();
        let identity = v1::Identity::Approved.into();
        v1::IdentityConfiguration { identity, login_role: login_role.to_owned(), agent_roles }
    }

    fn read(identity: v1::IdentityConfiguration) -> Option<LoginRole> {
        target(wire(vec![identity]))?.1.login_roles.get(&Identity::Approved).cloned()
    }

    #[test]
    fn an_identity_has_one_role_or_a_role_for_each_agent() {
        assert_eq!(read(identity("shop_rw", &[])), Some(LoginRole::One("shop_rw".into())));
        let roles = [("reader", "shop_r"), ("writer", "shop_rw")];
        let expected = roles.map(|(agent, role)| (agent.parse().expect("name"), role.to_owned()));
        assert_eq!(read(identity("", &roles)), Some(LoginRole::PerAgent(expected.into())));
        for (what, refused) in [
            ("both", identity("shop_rw", &roles)),
            ("neither", identity("", &[])),
            ("no name of an agent", identity("", &[("no name", "shop_r")])),
            ("no role", identity("", &[("reader", "")])),
            ("a role that PostgreSQL would cut", identity(&"r".repeat(MAX_ROLE + 1), &[])),
            ("a role that a C string would cut", identity("shop_r\0w", &[])),
        ] {
            assert_eq!(read(refused), None, "{what}");
        }
        assert!(read(identity(&"r".repeat(MAX_ROLE), &[])).is_some());
    }

    #[test]
    fn agents_with_roles_are_bounded() {
        let agents = |count: usize| {
            let agent_roles = (0..count).map(|number| (format!("a{number}"), "r".to_owned())).collect();
            v1::IdentityConfiguration { agent_roles, ..identity("", &[]) }
        };
        assert!(read(agents(MAX_AGENT_ROLES)).is_some());
        assert_eq!(read(agents(MAX_AGENT_ROLES + 1)), None);
    }

    #[test]
    fn a_data_class_that_is_not_understood_closes_the_target() {
        let class = |name: &str, detectors: &[i32]| v1::DataClassConfiguration {
            name: name.into(),
            columns: Vec::new(),
            detectors: detectors.to_vec(),
        };
        let read = |classes: Vec<v1::DataClassConfiguration>| {
            let wire = v1::TargetConfiguration { classes, ..wire(Vec::new()) };
            target(wire).map(|(_, target)| target.classes.clone())
        };
        let found = read(vec![class("email", &[1]), class("card", &[2])]).expect("two classes");
        let named: Vec<&str> = found.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(named, ["card", "email"]);
        assert_eq!(read(Vec::new()).as_deref(), Some(&[][..]));
        for (what, refused) in [
            ("a detector of a later version", vec![class("email", &[1, 99])]),
            ("no detector", vec![class("email", &[0])]),
            ("nothing to look for", vec![class("email", &[])]),
            ("no name", vec![class("E mail", &[1])]),
            ("the same name twice", vec![class("email", &[1]), class("email", &[2])]),
        ] {
            assert_eq!(read(refused), None, "{what}");
        }
        let many = |count: usize| (0..count).map(|at| class(&format!("c{at}"), &[1])).collect();
        assert!(read(many(MAX_CLASSES)).is_some());
        assert_eq!(read(many(MAX_CLASSES + 1)), None);
    }

    #[test]
    fn an_identity_counts_once_and_a_place_that_is_not_known_is_refused() {
        assert!(target(wire(vec![identity("a", &[]), identity("b", &[])])).is_none());
        let on = |approved_on: i32| {
            let wire = v1::TargetConfiguration { approved_on, ..wire(Vec::new()) };
            target(wire).map(|(_, target)| target.approved_on)
        };
        assert_eq!(on(v1::ApprovedOn::Unspecified.into()), Some(ApprovedOn::OwnConnection));
        assert_eq!(on(v1::ApprovedOn::SameConnection.into()), Some(ApprovedOn::SameConnection));
        assert_eq!(on(99), None);
    }
}
