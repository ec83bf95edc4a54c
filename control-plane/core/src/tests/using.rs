//! What becomes of an approval: used, out of time, given up, gone with its session.

use countersign_model::{ApprovalState, Identity, OperationId, Reason};

use super::{
    scene::{DANA, HOLD, Scene, outcome},
    *,
};

#[tokio::test]
async fn an_approval_is_used_once() {
    let scene = Scene::set().await;
    let pending = scene.asked().await;
    assert_eq!(scene.consume(&pending).await, Err(Reason::ApprovalPending));
    let approval = scene.vote(DANA, "dba", &pending).await.unwrap();
    let early = scene.mint(&approval).await;
    assert!(
        matches!(early, Err(MintRefusal::Refused { reason: Reason::ApprovalUnavailable, .. })),
        "{early:?}"
    );

    let other = OperationId::generate().to_string();
    assert_eq!(scene.consume_for(&approval, &other).await, Err(Reason::ApprovalUsed));
    let second = scene.edge.open_shop(&scene.bench).await;
    let request = v1::ConsumeApprovalRequest {
        session_id: second.id.clone(),
        approval_id: approval.id.clone(),
        operation_id: approval.operation_id.clone(),
    };
    let foreign = scene.bench.core.consume_approval(&scene.edge.peer, request).await;
    assert!(matches!(foreign, Err(ApprovalRefusal::Refused(Reason::ApprovalUsed))), "{foreign:?}");

    let (a, b, c) =
        tokio::join!(scene.consume(&approval), scene.consume(&approval), scene.consume(&approval));
    let used = [a, b, c];
    assert_eq!(used.iter().filter(|used| used.is_ok()).count(), 1, "{used:?}");
    assert_eq!(used.iter().filter(|used| **used == Err(Reason::ApprovalUsed)).count(), 2, "{used:?}");
    assert_eq!(scene.bench.audited("approval.consumed").await, 1);

    let core = &scene.bench.core;
    let (operation, id) = (approval.operation_id.as_str(), approval.id.as_str());
    let foreign = core.mint_credential(&scene.edge.peer, &second.id, Identity::Approved, operation, id).await;
    assert!(matches!(foreign, Err(MintRefusal::Refused { reason: Reason::ApprovalUsed, .. })));
    scene.mint(&approval).await.unwrap();
    assert_eq!(scene.bench.entra.asked.lock().unwrap()[0].1, "cs:acme:target:shop:approved");
    let again = scene.mint(&approval).await;
    assert!(matches!(again, Err(MintRefusal::Refused { reason: Reason::ApprovalUsed, .. })), "{again:?}");
}

#[tokio::test]
async fn a_failed_mint_is_not_tried_again() {
    let scene = Scene::set().await;
    let approval = scene.approved().await;
    scene.consume(&approval).await.unwrap();
    *scene.bench.entra.fails_with.lock().unwrap() = Some(MintError::Transient);
    let failed = scene.mint(&approval).await;
    assert!(matches!(failed, Err(MintRefusal::Refused { reason: Reason::MintFailed, retry_after: None })));
    *scene.bench.entra.fails_with.lock().unwrap() = None;
    let again = scene.mint(&approval).await;
    assert!(matches!(again, Err(MintRefusal::Refused { reason: Reason::ApprovalUsed, .. })));
}

#[tokio::test]
async fn policy_that_changed_voids_an_approval() {
    for (stricter, voided) in [
        // Nobody of this group was asked.
        (HOLD.replace("dba", "sec"), true),
        (HOLD.replace("\"dba\")", "\"dba\") @quorum(\"2\")"), true),
        (HOLD.replace("@approvers(\"dba\")", "").replace("unless { context.approved }", ""), true),
        // What is allowed by itself needs no vote any more, and what is held as before has it.
        ("permit (principal == Agent::\"reader\", action, resource);".into(), false),
        (format!("{HOLD} forbid (principal, action == Action::\"postgres:insert\", resource);"), false),
    ] {
        let scene = Scene::set().await;
        let mut attached = scene.edge.attach(&scene.bench).await;
        let approval = scene.approved().await;
        assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Approved);
        scene.bench.apply(bundle("hold", &stricter)).await.unwrap();
        let used = scene.consume(&approval).await;
        assert_eq!(used, if voided { Err(Reason::PolicyChanged) } else { Ok(()) }, "{stricter}");
        let state = outcome(&mut attached, &scene.bench).await.state;
        assert_eq!(state, if voided { ApprovalState::Superseded } else { ApprovalState::Consumed });
        if voided {
            assert_eq!(scene.consume(&approval).await, Err(Reason::PolicyChanged));
        }
    }
}

#[tokio::test]
async fn a_target_that_changed_voids_an_approval() {
    type Change = fn(&mut v1::TargetSpec);
    let changes: [(Change, bool); 6] = [
        (|shop| shop.approved.as_mut().unwrap().login_role = "shop_owner".into(), true),
        (|shop| shop.postgres.as_mut().unwrap().database = "archive".into(), true),
        (|shop| shop.postgres.as_mut().unwrap().search_path = "private".into(), true),
        (|shop| (shop.approved, shop.approved_on) = (None, v1::ApprovedOn::SameConnection.into()), true),
        (|shop| shop.approved = None, true),
        (|shop| shop.standing.as_mut().unwrap().login_role = "shop_guest".into(), false),
    ];
    for (at, (change, voided)) in changes.into_iter().enumerate() {
        let scene = Scene::set().await;
        let mut attached = scene.edge.attach(&scene.bench).await;
        let approval = scene.approved().await;
        assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Approved);
        let mut changed = shop_spec();
        change(&mut changed);
        scene.bench.apply(resource("Target", "shop", Spec::Target(changed))).await.unwrap();
        let used = scene.consume(&approval).await;
        assert_eq!(used, if voided { Err(Reason::PolicyChanged) } else { Ok(()) }, "{at}");
        let state = outcome(&mut attached, &scene.bench).await.state;
        assert_eq!(state, if voided { ApprovalState::Superseded } else { ApprovalState::Consumed }, "{at}");
    }
}

#[tokio::test]
async fn an_edge_hears_of_a_change_once_it_is_audited() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let approval = scene.asked().await;
    let heard = async {
        outcome(&mut attached, &scene.bench).await;
        scene.bench.audited("approval.approved").await
    };
    let (voted, audited) = tokio::join!(scene.vote(DANA, "dba", &approval), heard);
    assert_eq!((voted.unwrap().state(), audited), (v1::ApprovalState::Approved, 1));
}

#[tokio::test]
async fn an_approval_that_a_crash_left_open_ends_after_its_session() {
    let scene = Scene::set().await;
    let approval = scene.asked().await;
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 0, "the control: it is waited for");
    // The first of the steps in which a session ends, and no other.
    let store = &scene.bench.core.parts.store;
    let session = scene.session.id.parse().unwrap();
    store.close_session(session, scene.bench.core.now(), "edge restarted").await.unwrap();
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 1);
    assert_eq!(scene.approval(&approval.id).await.state(), v1::ApprovalState::Cancelled);
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 0);
}

#[tokio::test]
async fn an_approval_expires() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let (asked, second) = (scene.asked().await, scene.asked().await);
    scene.vote(DANA, "dba", &second).await.unwrap();
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Approved);
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 0);
    scene.bench.pass(Duration::from_secs(120));
    assert_eq!(scene.consume(&second).await, Err(Reason::ApprovalExpired), "before anybody has swept");
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Expired);
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 0);

    let third = scene.approved().await;
    outcome(&mut attached, &scene.bench).await;
    scene.bench.pass(Duration::from_secs(120));
    assert_eq!(scene.bench.core.expire_approvals().await.unwrap(), 1);
    assert_eq!(scene.approval(&third.id).await.state(), v1::ApprovalState::Expired);
    outcome(&mut attached, &scene.bench).await;

    scene.bench.pass(Duration::from_secs(15 * 60 - 240));
    let late = scene.vote(DANA, "dba", &asked).await;
    assert!(matches!(late, Err(ApprovalError::Vote(VoteRefused::Expired))), "{late:?}");
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Expired);
    let later = scene.vote(DANA, "dba", &asked).await;
    let expired = VoteRefused::NotPending(ApprovalState::Expired);
    assert!(matches!(later, Err(ApprovalError::Vote(refused)) if refused == expired));
}

#[tokio::test]
async fn what_is_approved_at_the_last_moment_has_its_time_for_use() {
    let scene = Scene::set().await;
    let approval = scene.asked().await;
    let seen = scene.record(&approval.id).await;
    scene.vote(DANA, "dba", &approval).await.unwrap();
    // The sweep has read it before the vote and writes after it.
    scene.bench.core.expire(seen, ApprovalState::Pending).await.unwrap();
    assert_eq!(scene.consume(&approval).await, Ok(()));
}

#[tokio::test]
async fn neither_votes_nor_use_outlast_the_session() {
    let scene = Scene::set().await;
    let long = v1::TargetSpec {
        pending_ttl: Some(prost_types::Duration { seconds: 24 * 3600, nanos: 0 }),
        use_ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        ..shop_spec()
    };
    scene.bench.apply(resource("Target", "shop", Spec::Target(long))).await.unwrap();
    let approval = scene.approved().await;
    assert_eq!(approval.expires_at, scene.session.deadline);
    assert_eq!(approval.use_until, scene.session.deadline);
}

#[tokio::test]
async fn what_was_asked_is_gone_when_it_is_over() {
    let scene = Scene::set().await;
    let approval = scene.asked().await;
    let sealed = scene.record(&approval.id).await.sealed.unwrap();
    assert!(!sealed.windows(6).any(|part| part == b"orders"));
    let dana = scene.bench.caller("user", DANA, "dba").await;
    let denied = scene.vote_as(&dana, &approval, false).await.unwrap();
    let record = scene.record(&approval.id).await;
    assert!(record.sealed.is_none() && denied.card.is_none());
    let outcome = record.outcome.unwrap();
    assert!(!outcome.windows(3).any(|part| part == b"ap_"), "nor does the digest lie open");
    assert_eq!((denied.facts, denied.fingerprint), (approval.facts, approval.fingerprint), "what is left");
    assert_eq!(denied.votes.len(), 1);
}

#[tokio::test]
async fn an_edge_gives_up_what_it_asked_for() {
    let scene = Scene::set().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let cancel = async |approval: &v1::Approval, session: &str, state: v1::ApprovalState, reason: &str| {
        let request = v1::CancelApprovalRequest {
            session_id: session.to_owned(),
            approval_id: approval.id.clone(),
            reason: reason.to_owned(),
            state: state.into(),
        };
        scene.bench.core.cancel_approval(&scene.edge.peer, request).await
    };
    let (pending, approved) = (scene.asked().await, scene.approved().await);
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Approved);
    let (cancelled, superseded) = (v1::ApprovalState::Cancelled, v1::ApprovalState::Superseded);
    let second = scene.edge.open_shop(&scene.bench).await;
    assert!(matches!(cancel(&pending, &second.id, cancelled, "gone").await, Err(EdgeError::UnknownApproval)));
    let session = &scene.session.id;
    assert!(matches!(
        cancel(&pending, session, v1::ApprovalState::Consumed, "gone").await,
        Err(EdgeError::Malformed(_))
    ));
    assert!(matches!(cancel(&pending, session, cancelled, "a text").await, Err(EdgeError::Malformed(_))));
    cancel(&pending, session, cancelled, "client_gone").await.unwrap();
    cancel(&approved, session, superseded, "object_changed").await.unwrap();
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Cancelled);
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Superseded);
    cancel(&approved, session, cancelled, "again").await.unwrap();
    assert_eq!(scene.approval(&approved.id).await.state(), v1::ApprovalState::Superseded);
    assert_eq!(scene.consume(&approved).await, Err(Reason::PolicyChanged));
    assert_eq!(scene.consume(&pending).await, Err(Reason::ApprovalCancelled));
}

#[tokio::test]
async fn a_session_s_approvals_end_with_it() {
    let scene = Scene::set().await;
    let (pending, approved) = (scene.asked().await, scene.approved().await);
    scene.bench.core.close_session(&scene.edge.peer, &scene.session.id).await.unwrap();
    for approval in [&pending, &approved] {
        assert_eq!(scene.approval(&approval.id).await.state(), v1::ApprovalState::Cancelled);
    }
    assert_eq!(scene.bench.audited("approval.cancelled").await, 2);
    assert_eq!(scene.consume(&approved).await, Err(Reason::DeadlinePassed));
}

#[tokio::test]
async fn an_edge_that_was_away_hears_what_it_missed() {
    let scene = Scene::set().await;
    let (approved, denied) = (scene.approved().await, scene.asked().await);
    let dana = scene.bench.caller("user", DANA, "dba").await;
    scene.vote_as(&dana, &denied, false).await.unwrap();
    scene.asked().await;
    let mut attached = scene.edge.attach(&scene.bench).await;
    let first = outcome(&mut attached, &scene.bench).await;
    let second = outcome(&mut attached, &scene.bench).await;
    assert_eq!((first.approval.to_string(), first.state), (approved.id.clone(), ApprovalState::Approved));
    assert_eq!((second.approval.to_string(), second.state), (denied.id, ApprovalState::Denied));
    assert!(tokio::time::timeout(Duration::ZERO, attached.message()).await.is_err(), "the pending one waits");
    scene.consume(&approved).await.unwrap();
    assert_eq!(outcome(&mut attached, &scene.bench).await.state, ApprovalState::Consumed);
}

#[tokio::test]
async fn what_waits_outlives_a_restart() {
    let scene = Scene::set().await;
    let (pending, approved) = (scene.asked().await, scene.approved().await);
    let Scene { bench, edge, session } = scene;
    let scene = Scene { bench: bench.restart().await, edge, session };
    let mut attached = scene.edge.attach(&scene.bench).await;
    assert_eq!(outcome(&mut attached, &scene.bench).await.approval.to_string(), approved.id);
    assert_eq!(scene.approval(&pending.id).await, pending);
    scene.vote(DANA, "dba", &pending).await.unwrap();
    scene.consume(&pending).await.unwrap();
    scene.consume(&approved).await.unwrap();
}
