//! What is in force at this edge: targets, policies, lease. One immutable snapshot, swapped as a whole.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use countersign_gate::ports::Decider;
use countersign_model::{
    DataClass, Decision, Fact, Identity, Name, Obligations, OperationContext, Reason, SessionFacts, Verdict,
};
use countersign_policy::CompiledPolicies;
use countersign_recording::RecordingKey;

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
    pub login_roles: HashMap<Identity, LoginRole>,
    /// Where an approved operation runs.
    pub approved_on: ApprovedOn,
    /// The data classes that it has values of, sorted by name.
    pub classes: Arc<[DataClass]>,
}

/// As whom an identity logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRole {
    /// The same role, whoever calls.
    One(String),
    /// A role for each agent, by the name that it is registered under; others have none.
    PerAgent(HashMap<Name, String>),
}

/// Where an approved operation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovedOn {
    /// On a connection of its own, as the approved identity.
    OwnConnection,
    /// On the session's standing connection.
    SameConnection,
}

/// One revision of everything that the control plane told this edge.
pub struct Configuration {
    /// Targets by name.
    pub targets: HashMap<Name, Arc<Target>>,
    /// Verified against the deployment's key and compiled.
    pub policies: CompiledPolicies,
    /// Of the policy set; never goes back.
    pub generation: u64,
    /// What recordings are sealed to.
    pub recording_key: RecordingKey,
}

/// Where the edge's threads find the newest configuration and the lease.
#[derive(Default)]
pub struct InForce {
    configuration: ArcSwapOption<Configuration>,
    /// The lease ends here on the monotonic clock: a wall clock that is set back must not lengthen it.
    lease_ends: ArcSwapOption<Instant>,
    /// When the edge was shut out last.
    shut_out: ArcSwapOption<Instant>,
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
        let newer = self.is_newer(&configuration);
        if newer {
            self.configuration.store(Some(Arc::new(configuration)));
        }
        newer
    }

    /// Whether [`Self::replace`] would take it now.
    pub(crate) fn is_newer(&self, configuration: &Configuration) -> bool {
        let current = self.configuration.load();
        current.as_ref().is_none_or(|current| current.generation <= configuration.generation)
    }

    /// Ends the lease at once. One that was asked for before does not count any more.
    pub(crate) fn end_lease(&self) {
        let now = Arc::new(Instant::now());
        self.shut_out.store(Some(now.clone()));
        if self.lease_holds() {
            self.lease_ends.store(Some(now));
        }
    }

    /// Takes a lease of `valid_for` from `asked_at`, the instant of our question: the answer's way must not
    /// lengthen it.
    pub(crate) fn extend_lease(&self, asked_at: Instant, valid_for: Duration) {
        if self.shut_out.load().as_deref().is_some_and(|shut_out| asked_at <= *shut_out) {
            return;
        }
        if let Some(end) = asked_at.checked_add(valid_for) {
            self.lease_ends.store(Some(Arc::new(end)));
        }
    }
}

impl Decider for InForce {
    /// With no policy in force this is Deny.
    fn decide_approved(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        approved: &[Fact],
    ) -> Decision {
        match self.configuration() {
            Some(configuration) => {
                let now = SystemTime::now();
                configuration.policies.decide_approved(session, facts, context, approved, now)
            }
            None => Decision {
                verdict: Verdict::Deny(Reason::NoPolicy),
                obligations: Obligations::default(),
                determining: Vec::new(),
                revision: "".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_model::{Action, Resource};

    use super::*;
    use crate::authority::tests::facts;

    const HELD: &str = r#"
        permit(principal, action, resource);
        @approvers("dba") forbid(principal, action == Action::"postgres:delete", resource)
            unless { context.approved };
    "#;

    fn in_force() -> InForce {
        let bundles = [("shop", HELD)];
        let policies = CompiledPolicies::compile(&countersign_policy::revision(&bundles), &bundles);
        let policies = policies.expect("compiled");
        let in_force = InForce::default();
        in_force.replace(Configuration {
            targets: HashMap::new(),
            policies,
            generation: 1,
            recording_key: RecordingKey::from_bytes([9; 32]),
        });
        in_force
    }

    fn delete() -> [Fact; 1] {
        let resource =
            Resource::Table { database: "shop".into(), schema: "public".into(), table: "orders".into() };
        [Fact { action: Action::PostgresDelete, resource }]
    }

    #[test]
    fn approved_pairs_lift_what_holds_them_while_the_lease_does() {
        let (in_force, session, context) = (in_force(), facts(), OperationContext::default());
        let decide =
            |approved: &[Fact]| in_force.decide_approved(&session, &delete(), &context, approved).verdict;
        assert_eq!(decide(&delete()), Verdict::Deny(Reason::NoPolicy));
        in_force.extend_lease(Instant::now(), Duration::from_secs(60));
        assert_eq!(decide(&delete()), Verdict::Allow);
        assert!(matches!(decide(&[]), Verdict::Hold(_)));
        let unaided = in_force.decide(&session, &delete(), &context).verdict;
        assert!(matches!(unaided, Verdict::Hold(hold) if hold.pairs == delete()));
        in_force.end_lease();
        assert_eq!(decide(&delete()), Verdict::Deny(Reason::NoPolicy));
    }

    #[test]
    fn a_lease_that_was_asked_for_before_the_edge_was_shut_out_does_not_count() {
        let in_force = in_force();
        let asked_at = Instant::now();
        in_force.end_lease();
        assert_eq!(in_force.lease_ends(), None, "there was none");
        in_force.extend_lease(asked_at, Duration::from_secs(60));
        assert!(!in_force.lease_holds());
        in_force.extend_lease(Instant::now() + Duration::from_nanos(1), Duration::from_secs(60));
        assert!(in_force.lease_holds());
    }
}
