//! What an edge must know: the targets of its own zone, the policies, and the key that recordings are sealed to.

use countersign_model::{Identity, Name};
use countersign_recording::RecordingKey;
use countersign_wire::v1;
use tokio::sync::watch;

use std::sync::Arc;

use crate::{Core, declared::Declared, in_force::InForce, registration::identity_spec};

/// PostgreSQL's port.
const DEFAULT_PORT: u32 = 5432;
/// PostgreSQL's own default, written out so that it is pinned.
const DEFAULT_SEARCH_PATH: &str = "\"$user\", public";

/// The configuration of one zone as it changes.
#[derive(Debug)]
pub struct Configurations {
    zone: Name,
    in_force: watch::Receiver<Arc<InForce>>,
    recording_key: RecordingKey,
}

impl Configurations {
    /// What is in force now.
    pub fn current(&mut self) -> v1::Configuration {
        let in_force = self.in_force.borrow_and_update().clone();
        configuration(&self.zone, &in_force, &self.recording_key)
    }

    /// Waits for a change and returns what is in force then; changes in quick succession come as one. `None` once
    /// the core is gone. Cancellation safe.
    pub async fn changed(&mut self) -> Option<v1::Configuration> {
        self.in_force.changed().await.ok()?;
        Some(self.current())
    }
}

impl Core {
    /// The configuration of a zone, now and at each change.
    pub fn configurations(&self, zone: Name) -> Configurations {
        let recording_key = self.parts.opening_key.recording_key();
        Configurations { zone, in_force: self.in_force.subscribe(), recording_key }
    }
}

fn configuration(zone: &Name, in_force: &InForce, recording_key: &RecordingKey) -> v1::Configuration {
    let of_zone = in_force.declared.targets.iter().filter(|(_, spec)| spec.zone == zone.as_str());
    v1::Configuration {
        targets: of_zone.filter_map(|(name, spec)| target(name, spec, &in_force.declared)).collect(),
        policies: Some(in_force.signed.clone()),
        zone: zone.to_string(),
        recording_key: recording_key.as_bytes().to_vec(),
    }
}

fn target(name: &Name, spec: &v1::TargetSpec, declared: &Declared) -> Option<v1::TargetConfiguration> {
    let postgres = spec.postgres.as_ref()?;
    let identities = [Identity::Standing, Identity::Approved, Identity::Metadata].into_iter();
    let identities = identities.filter_map(|identity| {
        let spec = identity_spec(spec, identity)?;
        Some(v1::IdentityConfiguration {
            identity: v1::Identity::from(identity).into(),
            login_role: spec.login_role.clone(),
            agent_roles: spec.agent_roles.clone(),
        })
    });
    Some(v1::TargetConfiguration {
        name: name.to_string(),
        protocol: "postgres".into(),
        host: postgres.host.clone(),
        port: if postgres.port == 0 { DEFAULT_PORT } else { postgres.port },
        database: postgres.database.clone(),
        ca_pem: postgres.ca_pem.clone(),
        search_path: search_path(postgres).to_owned(),
        identities: identities.collect(),
        approved_on: spec.approved_on,
        classes: classes(name, declared).collect(),
    })
}

/// What of each data class is of this target, without those of which nothing is.
pub(crate) fn classes<'a>(
    target: &'a Name,
    declared: &'a Declared,
) -> impl Iterator<Item = v1::DataClassConfiguration> + 'a {
    declared.classes.iter().filter_map(|(name, spec)| {
        let columns = spec.columns.iter().filter(|column| column.target == target.as_str());
        let columns: Vec<v1::ClassColumn> = columns.map(class_column).collect();
        let looks_here = spec.targets.is_empty() || spec.targets.iter().any(|named| named == target.as_str());
        let detectors = if looks_here { spec.detectors.clone() } else { Vec::new() };
        let there = !columns.is_empty() || !detectors.is_empty();
        there.then(|| v1::DataClassConfiguration { name: name.to_string(), columns, detectors })
    })
}

fn class_column(tagged: &v1::TaggedColumn) -> v1::ClassColumn {
    let v1::TaggedColumn { target: _, schema, relation, column } = tagged.clone();
    v1::ClassColumn { schema, relation, column }
}

/// The search path that a target's sessions are pinned to.
pub(crate) fn search_path(postgres: &v1::PostgresSpec) -> &str {
    match postgres.search_path.as_str() {
        "" => DEFAULT_SEARCH_PATH,
        path => path,
    }
}
