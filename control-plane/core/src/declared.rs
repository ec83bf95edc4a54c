//! Everything that admins declared, decoded: the one form against which a change is validated.

use std::collections::BTreeMap;

use countersign_model::Name;
use countersign_store::{Resource, ResourceKind, Snapshot};
use countersign_wire::v1::{self, resource::Spec};
use prost::Message as _;

/// A stored spec that does not decode.
#[derive(Debug, thiserror::Error)]
#[error("an invalid {} {name}: {fault}", kind.as_str())]
pub struct InvalidSpec {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub fault: String,
}

/// All resources, by kind and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Declared {
    /// The store's count of changes.
    pub(crate) generation: u64,
    pub(crate) zones: BTreeMap<Name, v1::ZoneSpec>,
    pub(crate) targets: BTreeMap<Name, v1::TargetSpec>,
    pub(crate) classes: BTreeMap<Name, v1::DataClassSpec>,
    pub(crate) agents: BTreeMap<Name, v1::AgentSpec>,
    pub(crate) bundles: BTreeMap<Name, v1::PolicyBundleSpec>,
}

impl Declared {
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, InvalidSpec> {
        let mut declared = Self { generation: snapshot.generation, ..Self::default() };
        for resource in &snapshot.resources {
            let spec = decode(resource).ok_or_else(|| InvalidSpec {
                kind: resource.kind,
                name: resource.name.to_string(),
                fault: "its spec does not decode".into(),
            })?;
            declared.put(resource.name.clone(), spec);
        }
        Ok(declared)
    }

    /// No zone may have the admin side's audience.
    pub(crate) fn check_audiences(&self, admin_audience: &str) -> Result<(), InvalidSpec> {
        let shared = |(_, spec): &(&Name, &v1::ZoneSpec)| spec.audience.eq_ignore_ascii_case(admin_audience);
        match self.zones.iter().find(shared) {
            None => Ok(()),
            Some((name, _)) => Err(InvalidSpec {
                kind: ResourceKind::Zone,
                name: name.to_string(),
                fault: "its audience is the admin side's".into(),
            }),
        }
    }

    pub(crate) fn put(&mut self, name: Name, spec: Spec) {
        match spec {
            Spec::Zone(spec) => drop(self.zones.insert(name, spec)),
            Spec::Target(spec) => drop(self.targets.insert(name, spec)),
            Spec::DataClass(spec) => drop(self.classes.insert(name, spec)),
            Spec::Agent(spec) => drop(self.agents.insert(name, spec)),
            Spec::PolicyBundle(spec) => drop(self.bundles.insert(name, spec)),
        }
    }
}

/// The kind that a spec is of.
pub(crate) fn kind_of(spec: &Spec) -> ResourceKind {
    match spec {
        Spec::Zone(_) => ResourceKind::Zone,
        Spec::Target(_) => ResourceKind::Target,
        Spec::DataClass(_) => ResourceKind::DataClass,
        Spec::Agent(_) => ResourceKind::Agent,
        Spec::PolicyBundle(_) => ResourceKind::PolicyBundle,
    }
}

/// A spec as it is stored.
pub(crate) fn encode(spec: &Spec) -> Vec<u8> {
    match spec {
        Spec::Zone(spec) => spec.encode_to_vec(),
        Spec::Target(spec) => spec.encode_to_vec(),
        Spec::DataClass(spec) => spec.encode_to_vec(),
        Spec::Agent(spec) => spec.encode_to_vec(),
        Spec::PolicyBundle(spec) => spec.encode_to_vec(),
    }
}

/// A stored spec.
pub(crate) fn decode(resource: &Resource) -> Option<Spec> {
    decode_as(resource.kind, &resource.spec)
}

/// A stored spec of that kind.
pub(crate) fn decode_as(kind: ResourceKind, bytes: &[u8]) -> Option<Spec> {
    let spec = match kind {
        ResourceKind::Zone => Spec::Zone(v1::ZoneSpec::decode(bytes).ok()?),
        ResourceKind::Target => Spec::Target(v1::TargetSpec::decode(bytes).ok()?),
        ResourceKind::DataClass => Spec::DataClass(v1::DataClassSpec::decode(bytes).ok()?),
        ResourceKind::Agent => Spec::Agent(v1::AgentSpec::decode(bytes).ok()?),
        ResourceKind::PolicyBundle => Spec::PolicyBundle(v1::PolicyBundleSpec::decode(bytes).ok()?),
    };
    Some(spec)
}

/// A resource as admins see it.
pub(crate) fn message(kind: ResourceKind, name: &Name, spec: Spec, version: u64) -> v1::Resource {
    v1::Resource { kind: kind.as_str().to_owned(), name: name.to_string(), spec: Some(spec), version }
}
