//! Watching approvals.

use super::{
    scene::{DANA, Scene},
    *,
};

async fn next(watching: &mut Watching) -> v1::Approval {
    tokio::time::timeout(Duration::from_secs(10), watching.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_watcher_sees_what_is_open_and_then_what_changes() {
    let scene = Scene::set().await;
    let (gone, first) = (scene.approved().await, scene.asked().await);
    scene.consume(&gone).await.unwrap();
    let dana = scene.bench.caller("user", DANA, "dba").await;
    let mut watching = scene.bench.core.watch_approvals(dana).await.unwrap();
    assert_eq!(next(&mut watching).await, first, "what is final is not shown at first");
    let approved = scene.vote(DANA, "dba", &first).await.unwrap();
    assert_eq!(next(&mut watching).await, approved);
    let second = scene.asked().await;
    assert_eq!(next(&mut watching).await, second);
    scene.consume(&first).await.unwrap();
    let consumed = next(&mut watching).await;
    assert_eq!((consumed.state(), consumed.card.is_some()), (v1::ApprovalState::Consumed, false));
    assert_eq!(consumed.id, first.id);
    assert!(tokio::time::timeout(Duration::from_millis(1), watching.next()).await.is_err(), "nothing twice");
}

#[tokio::test]
async fn a_watcher_sees_nothing_that_it_is_not_asked_for() {
    let scene = Scene::set().await;
    scene.asked().await;
    let stranger = scene.bench.caller("user", DANA, "sec").await;
    let auditor = scene.bench.caller("agent", DANA, "countersign.auditor").await;
    let mut blind = scene.bench.core.watch_approvals(stranger).await.unwrap();
    let mut all = scene.bench.core.watch_approvals(auditor).await.unwrap();
    scene.asked().await;
    next(&mut all).await;
    next(&mut all).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), blind.next()).await.is_err());
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told() {
    let scene = Scene::set().await;
    let dana = scene.bench.caller("user", DANA, "dba").await;
    assert_eq!(
        scene.bench.core.watch_approvals(dana.clone()).await.unwrap().time_left(),
        Duration::from_secs(60)
    );
    let mut watching = scene.bench.core.watch_approvals(dana).await.unwrap();
    let id = scene.asked().await.id.parse().unwrap();
    for _ in 0..=crate::approvals::WATCH_QUEUE {
        scene.bench.core.approval_changes.send(id).unwrap();
    }
    assert!(matches!(watching.next().await, Err(WatchEnded::Behind)));
}
