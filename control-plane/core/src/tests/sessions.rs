use countersign_model::{Identity, OperationId, Reason};

use super::*;

async fn refused(edge: &Edge, bench: &Bench, token: &str, target: &str) -> Reason {
    match edge.open(bench, token, target).await {
        Err(OpenRefused::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

async fn mint(edge: &Edge, bench: &Bench, session: &str, identity: Identity) -> Result<Minted, MintRefusal> {
    let operation = OperationId::generate().to_string();
    bench.core.mint_credential(&edge.peer, session, identity, &operation, "").await
}

fn reason(minted: Result<Minted, MintRefusal>) -> (Reason, Option<Duration>) {
    match minted {
        Err(MintRefusal::Refused { reason, retry_after }) => (reason, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_says_who_where_and_until_when() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    let principal = session.principal.clone().unwrap();
    assert_eq!((principal.agent.as_str(), principal.object_id.as_str()), ("reader", READER));
    assert_eq!(
        (session.zone.as_str(), session.edge.as_str(), session.token_id.as_str()),
        ("dev", "edge-1", "u-1")
    );
    assert_eq!(session.client_user, "anything\u{fffd}[2J");
    let life = session.deadline.unwrap().seconds - session.opened_at.unwrap().seconds;
    assert_eq!(life, 3600, "the target's default is shorter than the token's life");
    assert_eq!(bench.core.get_session(&session.id).await.unwrap(), session);
    assert_eq!(bench.core.list_sessions(0, "").await.unwrap().sessions, std::slice::from_ref(&session));

    let short = edge.open(&bench, &format!("gateway/agent/{READER}/u-2/60/x"), "shop").await.unwrap();
    assert_eq!(short.deadline.unwrap().seconds - short.opened_at.unwrap().seconds, 60);

    bench.core.close_session(&edge.peer, &session.id).await.unwrap();
    bench.core.close_session(&edge.peer, &session.id).await.unwrap();
    assert_eq!(bench.core.get_session(&session.id).await.unwrap().state(), v1::SessionState::Closed);
    assert_eq!(bench.audited("session.closed").await, 1);
    assert!(bench.core.list_sessions(0, "nonsense").await.is_err());
}

#[tokio::test]
async fn agents_are_matched_by_what_their_tokens_show() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let agent_of = async |kind: &str, oid: &str| {
        let token = format!("gateway/{kind}/{oid}/u-{kind}/60/x");
        edge.open(&bench, &token, "shop").await.unwrap().principal.unwrap().agent
    };
    assert_eq!(agent_of("agent", READER).await, "reader");
    assert_eq!(agent_of("agent", METADATA).await, "", "not registered");
    assert_eq!(agent_of("for-user", METADATA).await, "reader", "by its application");
    assert_eq!(agent_of("user", READER).await, "", "a person is no agent");
}

#[tokio::test]
async fn what_does_not_verify_or_exist_is_refused() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    assert_eq!(refused(&edge, &bench, "forged", "shop").await, Reason::TokenRefused);
    assert_eq!(
        refused(&edge, &bench, &token("u").replace("gateway", "graph"), "shop").await,
        Reason::TokenRefused
    );
    assert_eq!(
        refused(&edge, &bench, &format!("gateway/agent/{READER}/u/0/x"), "shop").await,
        Reason::TokenRefused
    );
    assert_eq!(refused(&edge, &bench, &token("u"), "other").await, Reason::UnknownTarget);
    assert_eq!(refused(&edge, &bench, &token("u"), "../x").await, Reason::UnknownTarget);
    assert_eq!(
        refused(&edge, &bench, "forged", "other").await,
        Reason::TokenRefused,
        "targets are not told to strangers"
    );
    assert!(matches!(edge.open(&bench, "outage", "shop").await, Err(OpenRefused::Unavailable)));
    let elsewhere = bench.edge("prod", "edge-2").await;
    assert_eq!(refused(&elsewhere, &bench, &token("v"), "shop").await, Reason::UnknownTarget);
}

#[tokio::test]
async fn an_edge_without_a_lease_opens_nothing() {
    let bench = Bench::furnished(false).await;
    let mut edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    bench.pass(Duration::from_secs(300));
    let late = edge.open(&bench, &token("u"), "shop").await;
    assert!(matches!(late, Err(OpenRefused::Edge(EdgeError::NotAttached))));
    assert!(matches!(
        mint(&edge, &bench, &session.id, Identity::Standing).await,
        Err(MintRefusal::Edge(EdgeError::NotAttached))
    ));
    edge.attach(&bench).await;
    edge.boot = [1; 16];
    let unknown = edge.open(&bench, &token("u"), "shop").await;
    assert!(matches!(unknown, Err(OpenRefused::Edge(EdgeError::NotAttached))));
}

#[tokio::test]
async fn a_token_in_a_second_zone_is_an_alarm_and_a_refusal_where_asked_for() {
    for one_zone in [false, true] {
        let bench = Bench::furnished(one_zone).await;
        let (dev, prod) = (bench.edge("dev", "edge-1").await, bench.edge("prod", "edge-2").await);
        dev.open_shop(&bench).await;
        dev.open_shop(&bench).await;
        assert_eq!(bench.audited("alarm.token_in_second_zone").await, 0);
        let expected = if one_zone { Reason::TokenRefused } else { Reason::UnknownTarget };
        assert_eq!(refused(&prod, &bench, &token("u-1"), "shop").await, expected);
        assert_eq!(bench.audited("alarm.token_in_second_zone").await, 1);
    }
}

#[tokio::test]
async fn credentials_are_minted_under_fixed_subjects_for_one_session() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    assert_eq!(mint(&edge, &bench, &session.id, Identity::Standing).await.unwrap().token.expose(), "minted");
    mint(&edge, &bench, &session.id, Identity::Metadata).await.unwrap();
    let resource = "https://ossrdbms-aad.database.windows.net".to_owned();
    let expected = [
        (STANDING.into(), "cs:acme:target:shop:standing".into(), resource.clone()),
        (METADATA.into(), "cs:acme:target:shop:metadata".into(), resource),
    ];
    assert_eq!(*bench.entra.asked.lock().unwrap(), expected);
    assert_eq!(bench.audited("credential.minted").await, 2);
    let unnamed = mint(&edge, &bench, &session.id, Identity::Approved).await;
    assert!(matches!(unnamed, Err(MintRefusal::Edge(EdgeError::Malformed(_)))), "{unnamed:?}");

    let other = bench.edge("dev", "edge-2").await;
    let foreign = mint(&other, &bench, &session.id, Identity::Standing).await;
    assert!(matches!(foreign, Err(MintRefusal::Edge(EdgeError::UnknownSession))));
    bench.core.close_session(&edge.peer, &session.id).await.unwrap();
    let closed = reason(mint(&edge, &bench, &session.id, Identity::Standing).await);
    assert_eq!(closed.0, Reason::DeadlinePassed);
}

#[tokio::test]
async fn policies_of_now_decide_the_mint_and_so_does_the_deadline() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    let stranger = edge.open(&bench, &format!("gateway/agent/{METADATA}/u-9/7200/x"), "shop").await.unwrap();
    assert_eq!(reason(mint(&edge, &bench, &stranger.id, Identity::Metadata).await).0, Reason::NotPermitted);
    bench
        .apply(bundle("stop", "forbid (principal, action == Action::\"connect\", resource);"))
        .await
        .unwrap();
    assert_eq!(reason(mint(&edge, &bench, &session.id, Identity::Standing).await).0, Reason::Forbidden);
    let admin = bench.admin().await;
    bench.core.delete(&admin, "PolicyBundle", "stop").await.unwrap();
    mint(&edge, &bench, &session.id, Identity::Standing).await.unwrap();
    bench.pass(HOUR);
    edge.attach(&bench).await;
    assert_eq!(reason(mint(&edge, &bench, &session.id, Identity::Standing).await).0, Reason::DeadlinePassed);
    assert_eq!(bench.entra.asked.lock().unwrap().len(), 1, "Entra is not asked for what is refused");
}

#[tokio::test]
async fn an_agent_is_minted_for_under_the_name_that_it_has_now() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    mint(&edge, &bench, &session.id, Identity::Standing).await.unwrap();
    let admin = bench.admin().await;
    let Some(Spec::Agent(spec)) = reader().spec else { panic!() };
    let somebody_else = v1::AgentSpec { object_id: METADATA.into(), ..spec };
    bench.apply(resource("Agent", "reader", Spec::Agent(somebody_else))).await.unwrap();
    assert_eq!(reason(mint(&edge, &bench, &session.id, Identity::Standing).await).0, Reason::NotPermitted);
    bench.apply(reader()).await.unwrap();
    mint(&edge, &bench, &session.id, Identity::Standing).await.unwrap();
    bench.core.delete(&admin, "Agent", "reader").await.unwrap();
    assert_eq!(reason(mint(&edge, &bench, &session.id, Identity::Standing).await).0, Reason::DeadlinePassed);
}

#[tokio::test]
async fn a_session_whose_caller_has_gone_is_audited() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let mut opening = Box::pin(edge.open_shop(&bench));
    while bench.core.list_sessions(0, "").await.unwrap().sessions.is_empty() {
        // One step, and time for the store to take it before the next one.
        let _ = tokio::time::timeout(Duration::ZERO, &mut opening).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    drop(opening);
    until(async || bench.audited("session.opened").await == 1).await;
}

#[tokio::test]
async fn a_failed_mint_says_whether_to_try_again() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(&bench).await;
    let wait = Duration::from_secs(30);
    for (error, retry) in [
        (MintError::Throttled { retry_after: wait }, Some(wait)),
        (MintError::Transient, Some(Duration::from_secs(1))),
        (MintError::Answer, None),
    ] {
        *bench.entra.fails_with.lock().unwrap() = Some(error);
        let refused = reason(mint(&edge, &bench, &session.id, Identity::Standing).await);
        assert_eq!(refused, (Reason::MintFailed, retry));
    }
}

#[tokio::test]
async fn sessions_end_by_deadline_and_lease_without_being_told() {
    let bench = Bench::furnished(false).await;
    let edge = bench.edge("dev", "edge-1").await;
    edge.open(&bench, &format!("gateway/agent/{READER}/u-2/60/x"), "shop").await.unwrap();
    edge.open_shop(&bench).await;
    assert_eq!(bench.core.close_overdue_sessions().await.unwrap(), 0);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.core.close_overdue_sessions().await.unwrap(), 1, "its token ended");
    bench.pass(Duration::from_secs(240));
    assert_eq!(bench.core.close_overdue_sessions().await.unwrap(), 1, "the lease ended");
    assert_eq!(bench.core.close_overdue_sessions().await.unwrap(), 0);
}
