use countersign_pki::{Domain, verify};
use prost::Message as _;

use super::*;

fn invalid(result: Result<v1::Change, ResourceError>) -> String {
    match result {
        Err(ResourceError::Invalid(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn changes_are_told_apart_and_audited() {
    let bench = Bench::empty().await;
    assert_eq!(bench.apply(zone_named("dev")).await.unwrap(), v1::Change::Created);
    assert_eq!(bench.apply(zone_named("dev")).await.unwrap(), v1::Change::Unchanged);
    let other = Spec::Zone(v1::ZoneSpec { audience: "other".into() });
    let admin = bench.admin().await;
    let (seen, change) =
        bench.core.apply(&admin, resource("Zone", "dev", other.clone()), true).await.unwrap();
    assert_eq!((seen.version, change), (1, v1::Change::Updated));
    assert_eq!(bench.core.get("Zone", "dev").await.unwrap().version, 1, "a dry run changes nothing");
    assert_eq!(bench.apply(resource("Zone", "dev", other)).await.unwrap(), v1::Change::Updated);
    let listed = bench.core.list("Zone", 0, "").await.unwrap();
    assert_eq!((listed.resources.len(), listed.resources[0].version), (1, 2));
    assert_eq!(bench.audited("resource.applied").await, 3);
    bench.core.delete(&admin, "Zone", "dev").await.unwrap();
    assert!(matches!(bench.core.get("Zone", "dev").await, Err(ResourceError::NotFound)));
    assert!(matches!(bench.core.delete(&admin, "Zone", "dev").await, Err(ResourceError::NotFound)));
}

#[tokio::test]
async fn targets_that_could_not_work_or_must_not_are_refused() {
    let bench = Bench::empty().await;
    let missing = bench.apply(shop()).await;
    assert!(matches!(&missing, Err(ResourceError::Missing(what)) if what.contains("no zone")), "{missing:?}");
    bench.apply(zone_named("dev")).await.unwrap();
    bench.apply(shop()).await.unwrap();
    let with = async |change: fn(&mut v1::TargetSpec)| {
        let mut spec = shop_spec();
        change(&mut spec);
        invalid(bench.apply(resource("Target", "other", Spec::Target(spec))).await)
    };
    assert!(
        with(|s| s.postgres.as_mut().unwrap().host = "169.254.169.254".into()).await.contains("metadata")
    );
    assert!(with(|s| s.postgres.as_mut().unwrap().port = 65_536).await.contains("port"));
    assert!(with(|s| s.postgres.as_mut().unwrap().database.clear()).await.contains("database"));
    assert!(with(|s| s.postgres.as_mut().unwrap().ca_pem = "x".into()).await.contains("certificate"));
    assert!(with(|s| s.postgres = None).await.contains("postgres"));
    assert!(with(|s| s.standing = None).await.contains("standing"));
    assert!(
        with(|s| s.metadata.as_mut().unwrap().client_id = STANDING.to_uppercase())
            .await
            .contains("of their own")
    );
    assert!(with(|s| s.metadata.as_mut().unwrap().login_role.clear()).await.contains("loginRole"));
    assert!(with(|s| s.standing.as_mut().unwrap().client_id = "x".into()).await.contains("GUID"));
    assert!(
        with(|s| s.max_session = Some(prost_types::Duration { seconds: 0, nanos: 0 }))
            .await
            .contains("maxSession")
    );
}

#[tokio::test]
async fn an_agent_has_one_name_and_its_guids_one_spelling() {
    let bench = Bench::empty().await;
    let upper = v1::AgentSpec {
        tenant_id: TENANT.into(),
        object_id: "ABCDEFAB-2222-4222-8222-222222222222".into(),
        app_id: READER_APP.into(),
        description: String::new(),
        owners: Vec::new(),
    };
    bench.apply(resource("Agent", "one", Spec::Agent(upper.clone()))).await.unwrap();
    let Some(Spec::Agent(stored)) = bench.core.get("Agent", "one").await.unwrap().spec else { panic!() };
    assert_eq!(stored.object_id, "abcdefab-2222-4222-8222-222222222222");
    assert_eq!(
        bench.apply(resource("Agent", "one", Spec::Agent(stored))).await.unwrap(),
        v1::Change::Unchanged
    );
    let fault = invalid(bench.apply(resource("Agent", "two", Spec::Agent(upper))).await);
    assert!(fault.contains("agent one"), "{fault}");
}

#[tokio::test]
async fn bundles_are_compiled_together_and_a_faulty_one_changes_nothing() {
    let bench = Bench::furnished(false).await;
    let before = bench.core.get("PolicyBundle", "base").await.unwrap();
    for faulty in [
        "permit (",
        "permit (principal, action, resource) when { context.approved };",
        "permit (principal == Person::\"x\", action, resource);",
    ] {
        invalid(bench.apply(bundle("base", faulty)).await);
    }
    assert_eq!(bench.core.get("PolicyBundle", "base").await.unwrap(), before);
    assert!(matches!(
        bench.apply(v1::Resource { kind: "Zone".into(), ..bundle("x", PERMIT) }).await,
        Err(ResourceError::Invalid(_))
    ));
    assert!(
        invalid(bench.apply(v1::Resource { name: "../x".into(), ..bundle("x", PERMIT) }).await)
            .contains("name")
    );
}

#[tokio::test]
async fn a_zone_that_is_used_stays() {
    let bench = Bench::furnished(false).await;
    let admin = bench.admin().await;
    bench.edge("prod", "edge-1").await;
    for zone in ["dev", "prod"] {
        assert!(
            matches!(bench.core.delete(&admin, "Zone", zone).await, Err(ResourceError::InUse(_))),
            "{zone}"
        );
    }
}

#[tokio::test]
async fn edges_hear_of_changes_in_their_own_zone_signed_and_counted() {
    let bench = Bench::furnished(false).await;
    let mut dev = bench.core.configurations("dev".parse().unwrap());
    let mut prod = bench.core.configurations("prod".parse().unwrap());
    let configuration = dev.current();
    assert_eq!(prod.current().targets, []);
    let target = &configuration.targets[0];
    assert_eq!((target.name.as_str(), target.port, target.protocol.as_str()), ("shop", 5432, "postgres"));
    assert_eq!(target.identities.len(), 3);
    let opened = |configuration: v1::Configuration| {
        let signed = configuration.policies.unwrap();
        let key = bench.core.parts.deployment_key.public();
        verify(&key, Domain::PolicySet, &signed.policy_set, &signed.signature).unwrap();
        v1::PolicySet::decode(signed.policy_set.as_slice()).unwrap()
    };
    let first = opened(configuration);
    bench.apply(bundle("extra", "forbid (principal, action, resource);")).await.unwrap();
    let second = opened(dev.changed().await.unwrap());
    assert_eq!(second.generation, first.generation + 1);
    assert_ne!(second.revision, first.revision);
    assert_eq!(second.bundles.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["base", "extra"]);
}

#[tokio::test]
async fn admins_need_a_role() {
    let bench = Bench::empty().await;
    let caller = async |roles: &str| bench.caller("user", "o", roles).await.admin();
    assert!(caller("countersign.admin").await.unwrap().may(AdminRole::Admin));
    let auditor = caller("countersign.auditor").await.unwrap();
    assert!(auditor.may(AdminRole::Auditor) && !auditor.may(AdminRole::Admin));
    assert_eq!(caller("dba").await, Err(NoAdmin::NoRole));
    assert_eq!(caller("countersign.administrator").await, Err(NoAdmin::NoRole));
    let elsewhere = bench.core.caller("gateway/user/o/u/60/countersign.admin").await;
    assert_eq!(elsewhere, Err(NoAdmin::Token(TokenError::Audience)));
}

#[tokio::test]
async fn an_agent_may_be_an_admin_but_not_in_a_persons_name() {
    let bench = Bench::empty().await;
    let kind = async |kind: &str| bench.caller(kind, "o", "countersign.admin").await.admin();
    assert!(kind("agent").await.unwrap().may(AdminRole::Admin));
    assert_eq!(kind("for-user").await, Err(NoAdmin::ActsForAnother));
}

#[tokio::test]
async fn no_zone_takes_tokens_that_admins_use() {
    let bench = Bench::empty().await;
    let zone =
        |audience: &str| resource("Zone", "dev", Spec::Zone(v1::ZoneSpec { audience: audience.into() }));
    for audience in ["admin", "ADMIN"] {
        assert!(invalid(bench.apply(zone(audience)).await).contains("admin side"), "{audience}");
    }
    bench.apply(zone("administration")).await.unwrap();
}

#[tokio::test]
async fn a_registration_serves_one_target() {
    let bench = Bench::furnished(false).await;
    let mut spec = v1::TargetSpec { approved: None, ..shop_spec() };
    spec.standing.as_mut().unwrap().client_id = READER.into();
    let other = |spec: &v1::TargetSpec| resource("Target", "other", Spec::Target(spec.clone()));
    assert!(invalid(bench.apply(other(&spec)).await).contains("target shop"), "metadata is shop's");
    spec.metadata.as_mut().unwrap().client_id = STANDING.to_uppercase();
    assert!(invalid(bench.apply(other(&spec)).await).contains("target shop"), "shop's in the other place");
    spec.metadata = None;
    bench.apply(other(&spec)).await.unwrap();
    bench.apply(shop()).await.unwrap();
}

#[tokio::test]
async fn a_change_whose_caller_has_gone_comes_into_force_and_is_audited() {
    let bench = Bench::empty().await;
    let admin = bench.admin().await;
    let known = || bench.core.in_force.borrow().declared.zones.len();
    // Polled once and dropped, as hyper does with a handler whose stream is reset.
    let _ = tokio::time::timeout(Duration::ZERO, bench.apply(zone_named("dev"))).await;
    until(async || known() == 1 && bench.audited("resource.applied").await == 1).await;
    let _ = tokio::time::timeout(Duration::ZERO, bench.core.delete(&admin, "Zone", "dev")).await;
    until(async || known() == 0 && bench.audited("resource.deleted").await == 1).await;
}

#[tokio::test]
async fn a_change_that_is_sent_again_puts_in_force_what_the_first_left() {
    let bench = Bench::empty().await;
    let (admin, store) = (bench.admin().await, bench.core.parts.store.clone());
    let zones = || bench.core.in_force.borrow().declared.zones.len();
    let spec = crate::declared::encode(&zone_named("dev").spec.unwrap());
    let (kind, name) = (countersign_store::ResourceKind::Zone, "dev".parse().unwrap());
    store.put_resource(kind, &name, spec, countersign_store::Expected::Any).await.unwrap();
    assert_eq!(zones(), 0, "as if the process had failed after the store took it");
    assert_eq!(bench.apply(zone_named("dev")).await.unwrap(), v1::Change::Unchanged);
    assert_eq!(zones(), 1);
    store.delete_resource(kind, &name, countersign_store::Expected::Any).await.unwrap();
    assert!(matches!(bench.core.delete(&admin, "Zone", "dev").await, Err(ResourceError::NotFound)));
    assert_eq!(zones(), 0);
}
