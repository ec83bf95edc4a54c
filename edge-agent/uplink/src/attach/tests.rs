use countersign_pki::{DeploymentKey, Domain};
use countersign_wire::v1::control_message::Message;
use prost::Message as _;
use tonic::Code;

use super::*;
use crate::membership::tests::membership;

struct Bench {
    key: DeploymentKey,
    membership: Membership,
    in_force: InForce,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let key = DeploymentKey::load_or_create(&folder.path().join("key.pem")).expect("key");
        let membership = Membership { deployment_key: key.public(), ..membership() };
        Self { key, membership, in_force: InForce::default() }
    }

    fn configuration(&self, generation: u64, policies: &str) -> v1::Configuration {
        let bundles = vec![v1::policy_set::Bundle { name: "shop".into(), policies: policies.into() }];
        let revision = countersign_policy::revision(&[("shop", policies)]);
        let set = v1::PolicySet { revision, generation, bundles, ..Default::default() }.encode_to_vec();
        let signature = self.key.sign(Domain::PolicySet, &set).to_vec();
        v1::Configuration {
            targets: vec![target("shop", 5432)],
            policies: Some(v1::SignedPolicySet { policy_set: set, signature }),
            zone: "dev".into(),
        }
    }

    fn stream(&self) -> Stream<'_> {
        Stream::begin(&self.membership, &self.in_force)
    }

    fn generation(&self) -> Option<u64> {
        self.in_force.configuration().map(|configuration| configuration.generation)
    }
}

const PERMIT: &str = "permit(principal, action, resource);";

fn target(name: &str, port: u32) -> v1::TargetConfiguration {
    v1::TargetConfiguration { name: name.into(), protocol: "postgres".into(), port, ..Default::default() }
}

fn configured(configuration: v1::Configuration) -> v1::ControlMessage {
    v1::ControlMessage { message: Some(Message::Configuration(configuration)) }
}

fn lease() -> v1::ControlMessage {
    let valid_for = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    v1::ControlMessage { message: Some(Message::Lease(v1::Lease { valid_for, ..Default::default() })) }
}

#[test]
fn a_lease_counts_after_the_streams_own_configuration() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    assert_eq!(stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken"), Heard::Other);
    assert_eq!(bench.generation(), None, "no lease yet");
    assert_eq!(stream.hear(lease()).expect("taken"), Heard::Lease);
    assert_eq!(bench.generation(), Some(3));
    assert_eq!(stream.hear(lease()).expect_err("not asked for").code(), Code::Internal);

    // The same process on its next stream: the lease that it has is not prolonged by one that brings no policies.
    let ends = bench.in_force.lease_ends();
    let mut stream = bench.stream();
    assert_eq!(stream.hear(lease()).expect_err("too early").code(), Code::FailedPrecondition);
    assert_eq!(bench.in_force.lease_ends(), ends);
}

#[test]
fn an_edge_that_refuses_its_configuration_gets_no_lease() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
    stream.hear(lease()).expect("taken");
    let ends = bench.in_force.lease_ends();

    let mut unsigned = bench.configuration(4, PERMIT);
    unsigned.policies.as_mut().expect("there").signature[0] ^= 1;
    let mut foreign = bench.configuration(4, PERMIT);
    foreign.zone = "prod".into();
    for (what, refused) in [
        ("signature", unsigned),
        ("zone", foreign),
        ("policies", bench.configuration(4, "permit(principal")),
        ("generation", bench.configuration(2, PERMIT)),
    ] {
        let mut stream = bench.stream();
        stream.hear(configured(bench.configuration(3, PERMIT))).expect("taken");
        let status = stream.hear(configured(refused)).expect_err(what);
        assert_eq!(status.code(), Code::FailedPrecondition, "{what}");
        assert_eq!(stream.hear(lease()).expect_err(what).code(), Code::FailedPrecondition, "{what}");
        assert_eq!((bench.generation(), bench.in_force.lease_ends()), (Some(3), ends), "{what}");
    }
}

#[test]
fn a_malformed_target_does_not_hold_up_the_policies() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    let mut configuration = bench.configuration(1, PERMIT);
    configuration.targets.extend([target("no port", 5432), target("portless", 0), target("other", 5433)]);
    stream.hear(configured(configuration)).expect("taken");
    stream.hear(lease()).expect("taken");
    let in_force = bench.in_force.configuration().expect("in force");
    let mut names: Vec<&str> = in_force.targets.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!((in_force.generation, names), (1, vec!["other", "shop"]));
}
