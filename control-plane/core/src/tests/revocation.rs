//! Ending sessions by an admin's will.

use countersign_model::{ApprovalState, Identity, OperationId, Reason};
use countersign_wire::v1::control_message::Message as Control;

use super::{
    scene::{DANA, Scene, heard, outcome},
    *,
};

/// An edge that does as it is told, and what it was told.
fn obedient(mut attached: Attached) -> tokio::task::JoinHandle<v1::Revoke> {
    tokio::spawn(async move {
        loop {
            if let Control::Revoke(revoke) = heard(&mut attached).await {
                attached.revoked(revoke.revocation_id);
                return revoke;
            }
        }
    })
}

#[tokio::test]
async fn a_killed_session_is_cut_and_its_edge_confirms_it() {
    let scene = Scene::set().await;
    let other = scene.edge.open_shop(&scene.bench).await;
    let pending = scene.asked().await;
    let told = obedient(scene.edge.attach(&scene.bench).await);
    let admin = scene.bench.admin().await;
    let core = &scene.bench.core;
    let (session, revocation) = core.kill_session(&admin, &scene.session.id, "suspicious").await.unwrap();
    assert_eq!((session.state(), session.closed_because.as_str()), (v1::SessionState::Closed, "killed"));
    assert_eq!(revocation, v1::Revocation { confirmed: true, cut_by: None, sessions: 1 });
    let revoke = told.await.unwrap();
    assert!(revoke.session_ids == [scene.session.id.clone()] && !revoke.all, "{revoke:?}");
    assert_eq!(core.get_session(&other.id).await.unwrap().state(), v1::SessionState::Open);
    assert_eq!(scene.approval(&pending.id).await.state(), v1::ApprovalState::Cancelled);
    assert_eq!(scene.bench.audited("session.killed").await, 1);
    let operation = OperationId::generate().to_string();
    let minted =
        core.mint_credential(&scene.edge.peer, &scene.session.id, Identity::Standing, &operation, "").await;
    assert!(matches!(minted, Err(MintRefusal::Refused { reason: Reason::DeadlinePassed, .. })), "{minted:?}");
}

#[tokio::test]
async fn a_revocation_that_nobody_confirms_says_by_when_it_acts() {
    let scene = Scene::set().await;
    let (admin, core) = (scene.bench.admin().await, &scene.bench.core);
    let lease_end = scene.bench.now.lock().unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs() + 300;
    // The edge is away.
    let (_, away) = core.kill_session(&admin, &scene.session.id, "").await.unwrap();
    assert!(!away.confirmed && away.sessions == 1, "{away:?}");
    assert_eq!(away.cut_by.unwrap().seconds.unsigned_abs(), lease_end);

    // It comes back, and hears of it before anything else.
    let mut attached = scene.edge.attach_with(&scene.bench, &[&scene.session.id]).await;
    let Control::Revoke(revoke) = heard(&mut attached).await else { panic!() };
    assert_eq!(revoke.session_ids, std::slice::from_ref(&scene.session.id));
    attached.revoked(revoke.revocation_id);

    // Asked again, the edge confirms what was not confirmed.
    let told = obedient(attached);
    let (_, again) = core.kill_session(&admin, &scene.session.id, "").await.unwrap();
    assert_eq!(again, v1::Revocation { confirmed: true, cut_by: None, sessions: 0 });
    told.await.unwrap();

    // It is there and does not answer.
    let session = scene.edge.open_shop(&scene.bench).await;
    let silent = scene.edge.attach(&scene.bench).await;
    let (_, hangs) = core.kill_session(&admin, &session.id, "").await.unwrap();
    assert!(!hangs.confirmed && hangs.cut_by.is_some(), "{hangs:?}");
    drop(silent);
}

#[tokio::test]
async fn a_stream_that_ends_confirms_nothing() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let leaves = tokio::spawn(async move {
        let Control::Revoke(_) = heard(&mut attached).await else { panic!() };
    });
    let admin = scene.bench.admin().await;
    let killed = scene.bench.core.kill_session(&admin, &scene.session.id, "");
    let (_, revocation) = tokio::time::timeout(Duration::from_secs(2), killed).await.unwrap().unwrap();
    assert!(!revocation.confirmed, "{revocation:?}");
    leaves.await.unwrap();
}

#[tokio::test]
async fn sessions_that_their_edge_has_closed_need_no_confirmation() {
    let scene = Scene::set().await;
    let (admin, core) = (scene.bench.admin().await, &scene.bench.core);
    core.close_session(&scene.edge.peer, &scene.session.id).await.unwrap();
    let (session, revocation) = core.kill_session(&admin, &scene.session.id, "").await.unwrap();
    assert_eq!(revocation, v1::Revocation { confirmed: true, cut_by: None, sessions: 0 });
    assert_eq!(session.closed_because, "closed by edge");
    let unknown = countersign_model::SessionId::generate().to_string();
    assert!(matches!(core.kill_session(&admin, &unknown, "").await, Err(RevokeError::NotFound)));
    let long = core.kill_session(&admin, &unknown, &"x".repeat(1_001)).await;
    assert!(matches!(long, Err(RevokeError::Malformed(_))));
}

#[tokio::test]
async fn an_approval_is_taken_back_whatever_became_of_it() {
    let scene = Scene::set().await;
    let (admin, core) = (scene.bench.admin().await, &scene.bench.core);
    let mut attached = scene.edge.attach(&scene.bench).await;
    let (pending, approved, used) = (scene.asked().await, scene.approved().await, scene.approved().await);
    scene.consume(&used).await.unwrap();
    for _ in 0..3 {
        outcome(&mut attached, &scene.bench).await;
    }
    for approval in [&pending, &approved] {
        let (revoked, revocation) = core.revoke_approval(&admin, &approval.id, "no").await.unwrap();
        assert_eq!((revoked.state(), revocation), (v1::ApprovalState::Cancelled, None));
        assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Cancelled);
    }
    assert_eq!(scene.consume(&approved).await, Err(Reason::ApprovalCancelled));
    assert!(scene.vote(DANA, "dba", &pending).await.is_err());
    let told = obedient(attached);
    let (revoked, revocation) = core.revoke_approval(&admin, &used.id, "no").await.unwrap();
    assert_eq!((revoked.state(), revocation.unwrap().confirmed), (v1::ApprovalState::Consumed, true));
    assert_eq!(told.await.unwrap().session_ids, std::slice::from_ref(&scene.session.id));
    let session = core.get_session(&scene.session.id).await.unwrap();
    assert_eq!(session.closed_because, "approval revoked");
    let unknown = countersign_model::ApprovalId::generate().to_string();
    assert!(matches!(core.revoke_approval(&admin, &unknown, "").await, Err(RevokeError::NotFound)));
    assert_eq!(scene.bench.audited("approval.revoked").await, 3);
}

#[tokio::test]
async fn an_agent_that_is_deleted_loses_its_sessions() {
    let scene = Scene::set().await;
    let (bench, edge) = (&scene.bench, &scene.edge);
    let behind = edge.open(bench, &format!("gateway/for-user/{DANA}/u-2/60/x"), "shop").await.unwrap();
    let other = edge.open(bench, &format!("gateway/agent/{METADATA}/u-3/60/x"), "shop").await.unwrap();
    let told = obedient(edge.attach(bench).await);
    let revocation = bench.core.delete(&bench.admin().await, "Agent", "reader").await.unwrap().unwrap();
    assert_eq!(revocation, v1::Revocation { confirmed: true, cut_by: None, sessions: 2 });
    let (mut revoked, mut expected) =
        (told.await.unwrap().session_ids, vec![scene.session.id.clone(), behind.id.clone()]);
    revoked.sort();
    expected.sort();
    assert_eq!(revoked, expected);
    for (session, state) in [
        (&scene.session, v1::SessionState::Closed),
        (&behind, v1::SessionState::Closed),
        (&other, v1::SessionState::Open),
    ] {
        assert_eq!(bench.core.get_session(&session.id).await.unwrap().state(), state);
    }
    let zone = bench.core.delete(&bench.admin().await, "Zone", "prod").await.unwrap();
    assert_eq!(zone, None, "nothing else has sessions");
}

#[tokio::test]
async fn an_agent_that_is_deleted_loses_what_people_opened_through_it() {
    let scene = Scene::set().await;
    let (bench, edge) = (&scene.bench, &scene.edge);
    let admin = bench.admin().await;
    bench.core.delete(&admin, "Agent", "reader").await.unwrap();
    let token = format!("gateway/user-by-agent/{DANA}/u-2/7200/x");
    let before = edge.open(bench, &token, "shop").await.unwrap();
    assert_eq!(before.principal.as_ref().unwrap().kind(), v1::PrincipalKind::User, "an ordinary application");
    let mint = async || {
        let operation = OperationId::generate().to_string();
        bench.core.mint_credential(&edge.peer, &before.id, Identity::Standing, &operation, "").await
    };
    assert!(matches!(mint().await, Err(MintRefusal::Refused { reason: Reason::NotPermitted, .. })));
    bench.apply(reader()).await.unwrap();
    mint().await.unwrap();
    let through = edge.open(bench, &token, "shop").await.unwrap();
    let own = edge.open(bench, &format!("gateway/user/{DANA}/u-3/7200/x"), "shop").await.unwrap();
    bench.core.delete(&admin, "Agent", "reader").await.unwrap();
    for (session, state) in [
        (&before, v1::SessionState::Closed),
        (&through, v1::SessionState::Closed),
        (&own, v1::SessionState::Open),
    ] {
        assert_eq!(bench.core.get_session(&session.id).await.unwrap().state(), state);
    }
}

#[tokio::test]
async fn a_deleted_edge_confirms_before_it_is_cut() {
    let scene = Scene::set().await;
    let attached = scene.edge.attach(&scene.bench).await;
    let cut = attached.cut();
    let told = obedient(attached);
    let admin = scene.bench.admin().await;
    let revocation = scene.bench.core.delete_edge(&admin, "edge-1").await.unwrap();
    assert_eq!(revocation, v1::Revocation { confirmed: true, cut_by: None, sessions: 1 });
    let revoke = told.await.unwrap();
    assert!(revoke.all && revoke.session_ids.is_empty(), "{revoke:?}");
    assert!(matches!(cut.await, EdgeError::NotEnrolled));
    let never = scene.bench.core.create_join_token(&admin, "dev", None).await.unwrap().0;
    let key = EdgeKey::generate().unwrap();
    scene.bench.core.enrol(never.expose(), &key.csr_der().unwrap(), "edge-9").await.unwrap();
    let revocation = scene.bench.core.delete_edge(&admin, "edge-9").await.unwrap();
    assert!(revocation.confirmed, "it never had a lease");
}

#[tokio::test]
async fn an_edge_that_does_not_read_is_cut() {
    let scene = Scene::set().await;
    let attached = scene.edge.attach(&scene.bench).await;
    let cut = attached.cut();
    let attachment = scene.bench.core.attachment(&"edge-1".parse().unwrap(), scene.edge.boot).unwrap();
    for _ in 0..=256 {
        attachment.push(Control::Outcome(v1::SignedApprovalOutcome::default()));
    }
    assert!(matches!(cut.await, EdgeError::Unread));
}

#[tokio::test]
async fn a_process_says_which_sessions_it_has_within_bounds() {
    let hello = |open_sessions: Vec<String>| {
        let hello = v1::Hello {
            boot_id: vec![1; 16],
            version: "1".into(),
            recording_key: vec![1; 32],
            open_sessions,
        };
        Hello::try_from(hello)
    };
    let id = countersign_model::SessionId::generate().to_string();
    assert!(hello(vec![id.clone(); 4096]).is_ok());
    assert!(matches!(hello(vec![id; 4097]), Err(EdgeError::Malformed(_))));
    assert!(matches!(hello(vec!["se_x".into()]), Err(EdgeError::Malformed(_))));
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach_with(&scene.bench, &[&scene.session.id]).await;
    assert!(
        tokio::time::timeout(Duration::ZERO, attached.message()).await.is_err(),
        "it is open here as well"
    );
}
