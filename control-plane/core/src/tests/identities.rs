//! As whom sessions are logged in: what admins may declare of it, and what is minted.

use std::collections::HashMap;

use countersign_model::{Identity, OperationId, Reason};

use super::*;

fn per_agent(roles: &[(&str, &str)]) -> Option<v1::IdentitySpec> {
    let agent_roles: HashMap<_, _> =
        roles.iter().map(|(agent, role)| ((*agent).to_owned(), (*role).to_owned())).collect();
    Some(v1::IdentitySpec { agent_roles, ..Default::default() })
}

async fn fault(bench: &Bench, change: impl FnOnce(&mut v1::TargetSpec)) -> String {
    let mut spec = shop_spec();
    change(&mut spec);
    match bench.apply(resource("Target", "shop", Spec::Target(spec))).await {
        Err(ResourceError::Invalid(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn identities_that_would_be_one_or_none_are_refused() {
    let bench = Bench::furnished(false).await;
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let same = i32::from(v1::ApprovedOn::SameConnection);
    let has = |fault: String, word: &str| assert!(fault.contains(word), "{fault}");
    has(fault(&bench, |s| s.approved_on = same).await, "no use");
    has(fault(&bench, |s| s.approved_on = 9).await, "approvedOn");
    has(fault(&bench, |s| s.approved.as_mut().unwrap().client_id = STANDING.into()).await, "of their own");
    has(fault(&bench, |s| s.approved.as_mut().unwrap().login_role.clear()).await, "approved.loginRole");
    has(fault(&bench, |s| s.pending_ttl = seconds(0)).await, "pendingTtl");
    has(fault(&bench, |s| s.pending_ttl = seconds(24 * 3600 + 1)).await, "pendingTtl");
    has(fault(&bench, |s| s.use_ttl = seconds(3601)).await, "useTtl");
    has(fault(&bench, |s| s.use_ttl = Some(prost_types::Duration { seconds: 1, nanos: 5 })).await, "useTtl");
    has(fault(&bench, |s| s.metadata = per_agent(&[("reader", "r")])).await, "metadata");
    let both = fault(&bench, |s| {
        s.standing = per_agent(&[("reader", "r")]);
        s.approved = per_agent(&[("reader", "w")]);
    });
    has(both.await, "one registration");
    has(
        fault(&bench, |s| {
            s.standing.as_mut().unwrap().agent_roles = per_agent(&[("a", "r")]).unwrap().agent_roles
        })
        .await,
        "neither",
    );
    has(fault(&bench, |s| s.standing = per_agent(&[("No!", "r")])).await, "name");
    has(fault(&bench, |s| s.standing = per_agent(&[("reader", "")])).await, "missing");
    let many: Vec<String> = (0..1_001).map(|n| format!("a{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "r")).collect();
    has(fault(&bench, |s| s.standing = per_agent(&many)).await, "more than 1000");
    has(fault(&bench, |s| s.postgres.as_mut().unwrap().search_path = "a,".into()).await, "searchPath");
}

#[tokio::test]
async fn an_agents_registration_is_no_targets_and_its_owners_are_people() {
    let bench = Bench::furnished(false).await;
    let taken = fault(&bench, |s| s.approved.as_mut().unwrap().client_id = READER_APP.into()).await;
    assert!(taken.contains("agent reader"), "{taken}");
    let Some(Spec::Agent(spec)) = reader().spec else { panic!() };
    let agent = |change: fn(&mut v1::AgentSpec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        bench.apply(resource("Agent", "reader", Spec::Agent(spec)))
    };
    let invalid = |result| match result {
        Err(ResourceError::Invalid(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert!(invalid(agent(|a| a.app_id = APPROVED.to_uppercase()).await).contains("target shop"));
    assert!(invalid(agent(|a| a.app_id = CLIENT.to_uppercase()).await).contains("sign in"));
    assert!(invalid(agent(|a| a.owners = vec!["dana".into()]).await).contains("GUID"));
    assert!(invalid(agent(|a| a.owners = vec![READER.into(); 17]).await).contains("16"));
    agent(|a| a.owners = vec![READER.to_uppercase(); 16]).await.unwrap();
    let Some(Spec::Agent(stored)) = bench.core.get("Agent", "reader").await.unwrap().spec else { panic!() };
    assert_eq!(stored.owners[0], READER);
}

#[tokio::test]
async fn what_says_the_same_is_unchanged_in_whatever_order() {
    let bench = Bench::furnished(false).await;
    let names: Vec<String> = (0..20).map(|n| format!("agent-{n}")).collect();
    let roles: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "r")).collect();
    // Each map has an order of its own.
    let target = || {
        let spec = v1::TargetSpec { standing: per_agent(&roles), ..shop_spec() };
        resource("Target", "shop", Spec::Target(spec))
    };
    assert_eq!(bench.apply(target()).await.unwrap(), v1::Change::Updated);
    for _ in 0..5 {
        assert_eq!(bench.apply(target()).await.unwrap(), v1::Change::Unchanged);
        let foreseen = bench.core.apply(&bench.admin().await, target(), true).await.unwrap();
        assert_eq!(foreseen.1, v1::Change::Unchanged);
    }
}

#[tokio::test]
async fn an_agent_may_be_logged_in_by_its_own_registration() {
    let bench = Bench::furnished(false).await;
    let spec = v1::TargetSpec { standing: per_agent(&[("reader", "shop_reader")]), ..shop_spec() };
    bench.apply(resource("Target", "shop", Spec::Target(spec))).await.unwrap();
    let identities =
        bench.core.configurations("dev".parse().unwrap()).current().targets[0].identities.clone();
    assert_eq!(identities[0].agent_roles["reader"], "shop_reader");
    assert_eq!(
        (identities[1].identity(), identities[1].login_role.as_str()),
        (v1::Identity::Approved, "shop_approved")
    );

    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    let operation = OperationId::generate().to_string();
    let mint = async |session: &v1::Session| {
        bench.core.mint_credential(&edge.peer, &session.id, Identity::Standing, &operation, "").await
    };
    mint(&session).await.unwrap();
    let (client, subject, _) = bench.entra.asked.lock().unwrap()[0].clone();
    assert_eq!((client.as_str(), subject), (READER_APP, format!("cs:acme:agent:{READER_APP}")));

    let everybody = "permit (principal, action == Action::\"connect\", resource);";
    bench.apply(bundle("base", everybody)).await.unwrap();
    let unnamed = edge.open(&bench, &format!("gateway/agent/{METADATA}/u-2/60/x"), "shop").await.unwrap();
    let refused = mint(&unnamed).await;
    assert!(matches!(refused, Err(MintRefusal::Refused { reason: Reason::MintFailed, .. })), "{refused:?}");
    assert_eq!(bench.entra.asked.lock().unwrap().len(), 1);
}
