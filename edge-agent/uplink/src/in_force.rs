//! What is in force at this edge: targets, policies, lease. One immutable snapshot, swapped as a whole.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use countersign_gate::ports::Decider;
use countersign_model::{
    Decision, Fact, Identity, Name, Obligations, OperationContext, Reason, SessionFacts, Verdict,
};
use countersign_policy::CompiledPolicies;

/// A target of this edge's zone, as the control plane configures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Protocol word: `postgres`.
    pub protocol: String,
    /// Host name or address; also the name that its certificate must carry.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database that sessions reach.
    pub database: String,
    /// PEM roots that its certificate must chain to.
    pub ca_pem: String,
    /// Search path pinned at login.
    pub search_path: String,
    /// Role that each identity logs in as.
    pub login_roles: HashMap<Identity, String>,
}

/// One revision of everything that the control plane told this edge.
pub struct Configuration {
    /// Targets by name.
    pub targets: HashMap<Name, Arc<Target>>,
    /// Verified against the deployment's key and compiled.
    pub policies: CompiledPolicies,
    /// Of the policy set; never goes back.
    pub generation: u64,
}

/// Where the edge's threads find the newest configuration and the lease.
#[derive(Default)]
pub struct InForce {
    configuration: ArcSwapOption<Configuration>,
    /// The lease ends here on the monotonic clock: a wall clock that is set back must not lengthen it.
    lease_ends: ArcSwapOption<Instant>,
}

impl InForce {
    /// The newest configuration while the lease holds. `None` means that nothing may be decided here: the closed
    /// default of an edge that has lost its control plane.
    pub fn configuration(&self) -> Option<Arc<Configuration>> {
        self.lease_holds().then(|| self.configuration.load_full()).flatten()
    }

    /// The end of the lease, if there is one.
    pub fn lease_ends(&self) -> Option<Instant> {
        self.lease_ends.load().as_deref().copied()
    }

    /// Whether the edge may act without hearing from the control plane.
    pub fn lease_holds(&self) -> bool {
        self.lease_ends().is_some_and(|end| Instant::now() < end)
    }

    /// Takes a configuration and says true, unless one of a later generation is in force: policies never go back. A
    /// control plane that was restored from an older state is therefore refused, and this edge closes when its lease
    /// ends, until the generation has caught up or the edge is started anew.
    pub(crate) fn replace(&self, configuration: Configuration) -> bool {
        let current = self.configuration.load();
        let newer = current.as_ref().is_none_or(|current| current.generation <= configuration.generation);
        if newer {
            self.configuration.store(Some(Arc::new(configuration)));
        }
        newer
    }

    /// Takes a lease of `valid_for` from `asked_at`, the instant of our question: the answer's way must not
    /// lengthen it.
    pub(crate) fn extend_lease(&self, asked_at: Instant, valid_for: Duration) {
        if let Some(end) = asked_at.checked_add(valid_for) {
            self.lease_ends.store(Some(Arc::new(end)));
        }
    }
}

impl Decider for InForce {
    /// With no policy in force this is Deny.
    fn decide(&self, session: &SessionFacts, facts: &[Fact], context: &OperationContext) -> Decision {
        match self.configuration() {
            Some(configuration) => configuration.policies.decide(session, facts, context, SystemTime::now()),
            None => Decision {
                verdict: Verdict::Deny(Reason::NoPolicy),
                obligations: Obligations::default(),
                determining: Vec::new(),
                revision: "".into(),
            },
        }
    }
}
