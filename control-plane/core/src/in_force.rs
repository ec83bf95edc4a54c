//! What is in force: everything declared, its policies compiled and signed. Immutable, replaced whole.

use std::{collections::HashMap, fmt, sync::Arc, time::SystemTime};

use countersign_model::{Name, Principal, PrincipalKind};
use countersign_pki::{DeploymentKey, Domain};
use countersign_policy::{CompileError, CompiledPolicies, revision};
use countersign_store::ResourceKind;
use countersign_wire::{to_timestamp, v1};
use prost::Message as _;

use crate::declared::{Declared, InvalidSpec};

/// One state of the deployment's declarations.
pub(crate) struct InForce {
    pub(crate) declared: Declared,
    pub(crate) policies: Arc<CompiledPolicies>,
    pub(crate) signed: v1::SignedPolicySet,
    agents_by_object: HashMap<(String, String), Name>,
    agents_by_app: HashMap<(String, String), Name>,
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce").field("generation", &self.declared.generation).finish_non_exhaustive()
    }
}

impl InForce {
    /// Compiles, unless `before` has the same policies, and signs.
    pub(crate) fn build(
        declared: Declared,
        before: Option<&Self>,
        key: &DeploymentKey,
        now: SystemTime,
    ) -> Result<Self, InvalidSpec> {
        let policies = match before {
            Some(before) if before.declared.bundles == declared.bundles => before.policies.clone(),
            _ => Arc::new(compile(&declared).map_err(|error| InvalidSpec {
                kind: ResourceKind::PolicyBundle,
                name: "set".into(),
                fault: error.to_string(),
            })?),
        };
        let by = |id: fn(&v1::AgentSpec) -> &String| {
            let key = |spec: &v1::AgentSpec| (spec.tenant_id.clone(), id(spec).clone());
            declared.agents.iter().map(|(name, spec)| (key(spec), name.clone())).collect()
        };
        Ok(Self {
            signed: sign(&declared, policies.revision(), key, now),
            agents_by_object: by(|spec| &spec.object_id),
            agents_by_app: by(|spec| &spec.app_id),
            policies,
            declared,
        })
    }

    /// A caller as it is known here. Whoever has a person's token through the application of a registered agent is that
    /// agent, acting for the person, also where Entra knows the application as an ordinary one and does not say so.
    pub(crate) fn known(&self, principal: Principal) -> Principal {
        let agent = self.agent(&principal);
        let kind = match principal.kind {
            PrincipalKind::User if agent.is_some() => PrincipalKind::AgentForUser,
            kind => kind,
        };
        Principal { agent, kind, ..principal }
    }

    /// The name under which a caller is registered. An agent is known by its service principal; one that acts for a
    /// person shows only its application, the subject being the person.
    pub(crate) fn agent(&self, principal: &Principal) -> Option<Name> {
        let tenant = principal.tenant_id.to_string();
        match principal.kind {
            PrincipalKind::Agent => {
                self.agents_by_object.get(&(tenant, principal.object_id.to_string())).cloned()
            }
            PrincipalKind::AgentForUser | PrincipalKind::User => {
                let app = principal.app_id.as_deref()?;
                self.agents_by_app.get(&(tenant, app.to_owned())).cloned()
            }
        }
    }

    /// A target, if it is in that zone.
    pub(crate) fn target(&self, zone: &Name, name: &Name) -> Option<&v1::TargetSpec> {
        self.declared.targets.get(name).filter(|spec| spec.zone == zone.as_str())
    }
}

/// All bundles as one set.
pub(crate) fn compile(declared: &Declared) -> Result<CompiledPolicies, CompileError> {
    let bundles: Vec<(&str, &str)> =
        declared.bundles.iter().map(|(name, spec)| (name.as_str(), spec.policies.as_str())).collect();
    CompiledPolicies::compile(&revision(&bundles), &bundles)
}

fn sign(declared: &Declared, revision: &str, key: &DeploymentKey, now: SystemTime) -> v1::SignedPolicySet {
    // A BTreeMap of names: sorted by name, as the message asks.
    let bundles = declared.bundles.iter().map(|(name, spec)| v1::policy_set::Bundle {
        name: name.to_string(),
        policies: spec.policies.clone(),
    });
    let set = v1::PolicySet {
        revision: revision.to_owned(),
        generation: declared.generation,
        issued_at: Some(to_timestamp(now)),
        bundles: bundles.collect(),
    };
    let policy_set = set.encode_to_vec();
    let signature = key.sign(Domain::PolicySet, &policy_set).to_vec();
    v1::SignedPolicySet { policy_set, signature }
}
