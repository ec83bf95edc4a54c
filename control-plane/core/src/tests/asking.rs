//! An edge asks for votes.

use countersign_model::{
    Action, ApprovalState, Attachment, Fact, Identity, OperationToSign, Principal, Reason, Resolution,
    Resource,
};

use super::{
    scene::{DANA, DELETE, Scene, outcome},
    *,
};

#[tokio::test]
async fn what_policy_holds_is_asked_about_and_its_outcome_is_what_the_edge_expects() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let question = scene.question();
    let approval = scene.approval(&scene.request(question.clone()).await.unwrap()).await;
    assert_eq!(approval.state(), v1::ApprovalState::Pending);
    let card = approval.card.clone().unwrap();
    assert_eq!((card.statement.as_str(), card.role.as_str()), (DELETE, "shop_approved"));
    assert_eq!((card.attested_by.as_str(), card.identity()), ("edge-1", v1::Identity::Approved));
    assert_eq!(approval.facts[0].resource, "Table shop.public.orders");
    assert_eq!(
        (approval.held.clone(), approval.policies.clone()),
        (approval.facts.clone(), vec!["hold/deletes".into()])
    );
    let need = v1::Requirement { group: "dba".into(), quorum: 1, given: 0 };
    assert_eq!(approval.requirements, [need]);
    assert_eq!(approval.expires_at.unwrap().seconds - approval.created_at.unwrap().seconds, 15 * 60);

    let given = scene.vote(DANA, "dba,other", &approval).await.unwrap();
    assert_eq!((given.state(), given.requirements[0].given), (v1::ApprovalState::Approved, 1));
    assert_eq!(given.votes[0].groups, ["dba"], "only those that were asked for");
    let outcome = outcome(&mut attached, &scene.bench).await;
    assert_eq!((outcome.approval.to_string(), outcome.state), (approval.id, ApprovalState::Approved));
    // The edge puts the same together by itself.
    let principal = Principal::try_from(scene.session.principal.clone().unwrap()).unwrap();
    let orders = Resource::Table { database: "shop".into(), schema: "public".into(), table: "orders".into() };
    let pairs = vec![Fact { action: Action::PostgresDelete, resource: orders }];
    let resolution = Resolution::try_from(question.resolution.unwrap()).unwrap();
    let target = "shop".parse().unwrap();
    let expected = OperationToSign::query(
        &principal,
        &target,
        Identity::Approved,
        (DELETE.as_bytes(), None),
        &resolution,
        &pairs,
        Attachment { session: scene.session.id.parse().unwrap(), nonce: [3; 16] },
    );
    assert!(outcome.digest == expected.digest() && outcome.pairs == pairs);
    let use_for = outcome.use_until.unwrap().duration_since(*scene.bench.now.lock().unwrap()).unwrap();
    assert_eq!(use_for, Duration::from_secs(120));

    let entries = scene.bench.core.parts.store.audit(1, 1000).await.unwrap();
    let said = format!("{entries:?}");
    assert!(said.contains("approval.requested") && said.contains("approval.voted") && said.contains("dba 1"));
    assert!(said.contains("approval.approved"));
    assert!(!said.contains("DELETE") && !said.contains("seen"), "neither what was asked nor why");
}

#[tokio::test]
async fn only_what_the_policies_here_hold_is_asked_about() {
    let scene = Scene::set().await;
    let select = v1::RequestApprovalRequest { statement: "SELECT FROM orders".into(), ..scene.question() };
    assert_eq!(scene.request(select).await, Err(Reason::PolicyChanged), "allowed here, so not held");
    let drop = v1::RequestApprovalRequest { statement: "DROP TABLE orders".into(), ..scene.question() };
    let mut unnamed = drop.clone();
    unnamed.resolution.as_mut().unwrap().names.clear();
    assert_eq!(scene.request(drop).await, Err(Reason::Unresolved), "it has no name that is resolved");
    assert_eq!(scene.request(unnamed).await, Err(Reason::Unparsed));
    scene
        .bench
        .apply(bundle("no", "forbid (principal, action == Action::\"postgres:delete\", resource);"))
        .await
        .unwrap();
    assert_eq!(scene.request(scene.question()).await, Err(Reason::Forbidden));
    scene
        .bench
        .apply(bundle("no", "forbid (principal, action == Action::\"connect\", resource);"))
        .await
        .unwrap();
    assert_eq!(scene.request(scene.question()).await, Err(Reason::Forbidden), "it may not even connect now");
    assert_eq!(scene.bench.audited("approval.refused").await, 5);
    assert_eq!(scene.bench.audited("approval.requested").await, 0);
}

#[tokio::test]
async fn a_resolution_that_the_text_cannot_mean_is_refused() {
    let scene = Scene::set().await;
    let with = async |change: &dyn Fn(&mut v1::Resolution)| {
        let mut question = scene.question();
        change(question.resolution.as_mut().unwrap());
        scene.request(question).await.unwrap_err()
    };
    assert_eq!(with(&|r| r.names[0].name = "archive".into()).await, Reason::Unresolved);
    assert_eq!(with(&|r| r.names[0].place = 1).await, Reason::Unresolved);
    assert_eq!(with(&|r| r.names[0].kind = v1::NameKind::Function.into()).await, Reason::Unresolved);
    assert_eq!(with(&|r| r.names.clear()).await, Reason::Unresolved);
    assert_eq!(with(&|r| r.names[0].schema = "private".into()).await, Reason::Unresolved, "not on the path");
    assert_eq!(with(&|r| r.database = "other".into()).await, Reason::PolicyChanged);
    assert_eq!(with(&|r| r.role = "shop_reader".into()).await, Reason::PolicyChanged);
    assert_eq!(with(&|r| drop(r.search_path.pop())).await, Reason::PolicyChanged);
    for step in [
        "DELETE FROM orders",
        "SELECT 1",
        "COMMIT",
        "SET lock_timeout = 1",
        "SHOW timezone",
        "",
        "BEGIN; SELECT 1",
        "SET LOCAL search_path = private",
        "SET LOCAL ROLE shop_owner",
        "SET LOCAL SESSION AUTHORIZATION shop_owner",
    ] {
        assert_eq!(with(&|r| r.preamble = vec![step.into()]).await, Reason::Unparsed, "{step}");
    }
    assert_eq!(with(&|r| r.preamble = vec!["(".into()]).await, Reason::Unparsable);
    let mut question = scene.question();
    question.resolution.as_mut().unwrap().preamble = [
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "SAVEPOINT a",
        "SET LOCAL lock_timeout = 1",
        "SET transaction_read_only = off",
        "ROLLBACK TO a",
    ]
    .map(str::to_owned)
    .to_vec();
    let id = scene.request(question).await.unwrap();
    assert_eq!(scene.approval(&id).await.card.unwrap().preamble.len(), 5);
}

#[tokio::test]
async fn what_is_too_much_or_malformed_is_refused_before_it_is_read() {
    let scene = Scene::set().await;
    let long = v1::RequestApprovalRequest { statement: vec![b' '; (1 << 20) + 1], ..scene.question() };
    assert_eq!(scene.request(long).await, Err(Reason::OverLimit));
    let with = async |change: &dyn Fn(&mut v1::Resolution)| {
        let mut question = scene.question();
        change(question.resolution.as_mut().unwrap());
        scene.bench.core.request_approval(&scene.edge.peer, question).await.unwrap_err()
    };
    let setting = |name: &str, value: &str| v1::Setting { name: name.into(), value: value.into() };
    type Change<'a> = &'a dyn Fn(&mut v1::Resolution);
    let over: [Change<'_>; 8] = [
        &|r| r.names = vec![r.names[0].clone(); 16_385],
        &|r| r.objects = vec![r.objects[0].clone(); 4_097],
        &|r| r.settings = vec![setting("a", "b"); 65],
        &|r| r.settings = vec![setting(&"a".repeat(64), "b")],
        &|r| r.settings = vec![setting("a", &"b".repeat(1_025))],
        &|r| r.preamble = vec!["BEGIN".into(); 257],
        &|r| r.preamble = vec![" ".repeat(65 * 1024)],
        &|r| r.names[0].schema = "s".repeat(256),
    ];
    for (at, change) in over.into_iter().enumerate() {
        let refused = with(change).await;
        assert!(matches!(refused, ApprovalRefusal::Refused(Reason::OverLimit)), "{at}: {refused:?}");
    }
    let malformed: [Change<'_>; 4] = [
        &|r| r.objects[0].definition.truncate(31),
        &|r| r.names[0].kind = 0,
        &|r| r.settings = vec![setting("b", ""), setting("a", "")],
        &|r| r.settings = vec![setting("a", ""), setting("a", "x")],
    ];
    for (at, change) in malformed.into_iter().enumerate() {
        let refused = with(change).await;
        assert!(matches!(refused, ApprovalRefusal::Edge(EdgeError::Malformed(_))), "{at}: {refused:?}");
    }
    let nonce = v1::RequestApprovalRequest { nonce: vec![1; 15], ..scene.question() };
    let refused = scene.bench.core.request_approval(&scene.edge.peer, nonce).await;
    assert!(matches!(refused, Err(ApprovalRefusal::Edge(EdgeError::Malformed(_)))));
}

#[tokio::test]
async fn an_edge_asks_for_its_own_open_sessions_as_the_identity_of_the_target() {
    let scene = Scene::set().await;
    let standing = v1::RequestApprovalRequest { identity: v1::Identity::Standing.into(), ..scene.question() };
    assert_eq!(scene.request(standing.clone()).await, Err(Reason::ApprovalUnavailable));
    let other = scene.bench.edge("dev", "edge-2").await;
    let foreign = scene.bench.core.request_approval(&other.peer, scene.question()).await;
    assert!(matches!(foreign, Err(ApprovalRefusal::Edge(EdgeError::UnknownSession))));

    let same = v1::TargetSpec {
        approved: None,
        approved_on: v1::ApprovedOn::SameConnection.into(),
        pending_ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..shop_spec()
    };
    scene.bench.apply(resource("Target", "shop", Spec::Target(same))).await.unwrap();
    assert_eq!(scene.request(scene.question()).await, Err(Reason::ApprovalUnavailable));
    assert_eq!(
        scene.request(standing.clone()).await,
        Err(Reason::PolicyChanged),
        "as the approved role still"
    );
    let mut standing = standing;
    let resolution = standing.resolution.as_mut().unwrap();
    resolution.role = "shop_reader".into();
    resolution.search_path[1] = "shop_reader".into();
    let approval = scene.approval(&scene.request(standing).await.unwrap()).await;
    assert_eq!(approval.expires_at.unwrap().seconds - approval.created_at.unwrap().seconds, 60);
    scene.vote(DANA, "dba", &approval).await.unwrap();
    scene.consume(&approval).await.unwrap();
    assert!(matches!(
        scene.mint(&approval).await,
        Err(MintRefusal::Refused { reason: Reason::MintFailed, .. })
    ));
    // The target has an approved identity again; what was approved was for the other.
    scene.bench.apply(shop()).await.unwrap();
    assert!(matches!(
        scene.mint(&approval).await,
        Err(MintRefusal::Refused { reason: Reason::ApprovalUsed, .. })
    ));

    scene.bench.core.close_session(&scene.edge.peer, &scene.session.id).await.unwrap();
    assert_eq!(scene.request(scene.question()).await, Err(Reason::DeadlinePassed));
    scene.bench.pass(Duration::from_secs(300));
    let late = scene.bench.core.request_approval(&scene.edge.peer, scene.question()).await;
    assert!(matches!(late, Err(ApprovalRefusal::Edge(EdgeError::NotAttached))));
}

#[tokio::test]
async fn one_principal_waits_for_few_approvals_at_a_time() {
    let scene = Scene::set().await;
    for _ in 0..16 {
        scene.request(scene.question()).await.unwrap();
    }
    assert_eq!(scene.request(scene.question()).await, Err(Reason::OverLimit));
}
