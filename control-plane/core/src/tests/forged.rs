//! What somebody achieves who can write to the store: nothing.

use countersign_model::{ApprovalState, OperationId, Reason};
use countersign_pki::DeploymentKey;
use countersign_store::{ApprovalRecord, VoteRecord};
use prost::Message as _;

use super::{
    scene::{DANA, HOLD, OMAR, Scene},
    *,
};

impl Scene {
    /// Changes what the store holds.
    async fn forge(&self, id: &str, change: impl FnOnce(&mut ApprovalRecord)) {
        let mut record = self.record(id).await;
        record.version += 1;
        change(&mut record);
        self.bench.core.parts.store.replace_approval(record).await.unwrap();
    }

    /// Whether it is used in spite of what was done to it; by then it has ended.
    pub(super) async fn is_used(&self, approval: &v1::Approval) -> bool {
        let request = v1::ConsumeApprovalRequest {
            session_id: self.session.id.clone(),
            approval_id: approval.id.clone(),
            operation_id: approval.operation_id.clone(),
        };
        self.bench.core.consume_approval(&self.edge.peer, request).await.is_ok()
    }
}

#[tokio::test]
async fn a_forged_vote_in_the_store_does_not_count() {
    let scene =
        Scene::on(Bench::furnished(false).await, &HOLD.replace("\"dba\")", "\"dba\") @quorum(\"2\")")).await;
    let (approval, other) = (scene.asked().await, scene.asked().await);
    // A real vote of hers, on something else.
    scene.vote(OMAR, "dba", &other).await.unwrap();
    let elsewhere = scene.record(&other.id).await.votes.remove(0);
    let forged = VoteRecord {
        voter: format!("{TENANT}/{STANDING}"),
        name: "x".into(),
        approve: true,
        reason: String::new(),
        at: *scene.bench.now.lock().unwrap(),
        groups: vec!["dba".into()],
        mac: [0; 32],
    };
    scene.forge(&approval.id, |record| record.votes = vec![forged, elsewhere]).await;
    let seen = scene.approval(&approval.id).await;
    assert_eq!((seen.votes.len(), seen.requirements[0].given), (0, 0));
    let one = scene.vote(DANA, "dba", &approval).await.unwrap();
    assert_eq!((one.state(), one.votes.len()), (v1::ApprovalState::Pending, 1));
    assert_eq!(scene.record(&approval.id).await.votes.len(), 1, "what is not ours is left behind");
    // Nor does a real one that was changed.
    scene.forge(&approval.id, |record| record.votes[0].groups.push("sec".into())).await;
    assert_eq!(scene.approval(&approval.id).await.votes, []);
    let two = scene.vote(OMAR, "dba", &approval).await.unwrap();
    assert_eq!(two.state(), v1::ApprovalState::Pending);
}

#[tokio::test]
async fn a_forged_outcome_in_the_store_approves_nothing() {
    let scene = Scene::set().await;
    let later = *scene.bench.now.lock().unwrap() + HOUR;
    let as_approved = |record: &mut ApprovalRecord| {
        record.state = ApprovalState::Approved;
        record.use_until = Some(later);
    };
    // The state alone.
    let bare = scene.asked().await;
    scene.forge(&bare.id, as_approved).await;
    assert!(!scene.is_used(&bare).await);
    assert_eq!(scene.record(&bare.id).await.state, ApprovalState::Cancelled, "it is ended");
    assert_eq!(scene.bench.audited("alarm.approval_altered").await, 1);

    // The outcome of another approval.
    let (real, asked) = (scene.approved().await, scene.asked().await);
    let outcome = scene.record(&real.id).await.outcome;
    let moved = outcome.clone();
    scene.forge(&asked.id, |record| (as_approved(record), record.outcome = moved).0).await;
    assert!(!scene.is_used(&asked).await);

    // One that somebody signed who is not the deployment, though they can seal.
    let asked = scene.asked().await;
    let thief = DeploymentKey::load_or_create(&scene.bench.folder.path().join("thief.pem")).unwrap();
    let key = &scene.bench.core.parts.approvals_key;
    let opened = key.open(format!("{}/outcome", real.id).as_bytes(), &outcome.unwrap()).unwrap();
    let signed = v1::SignedApprovalOutcome::decode(opened.as_slice()).unwrap();
    let mut forged = v1::ApprovalOutcome::decode(signed.outcome.as_slice()).unwrap();
    forged.approval_id.clone_from(&asked.id);
    forged.operation_id.clone_from(&asked.operation_id);
    let encoded = forged.encode_to_vec();
    let signature = thief.sign(countersign_pki::Domain::ApprovalOutcome, &encoded).to_vec();
    let forged = v1::SignedApprovalOutcome { outcome: encoded, signature }.encode_to_vec();
    let sealed = key.seal(format!("{}/outcome", asked.id).as_bytes(), &forged).unwrap();
    scene.forge(&asked.id, |record| (as_approved(record), record.outcome = Some(sealed)).0).await;
    assert!(!scene.is_used(&asked).await);

    assert!(scene.is_used(&real).await, "the real one is still good");
}

#[tokio::test]
async fn what_was_approved_cannot_be_exchanged_or_stretched() {
    let scene = Scene::set().await;
    let (approved, other) = (scene.approved().await, scene.asked().await);
    let sealed = scene.record(&other.id).await.sealed;
    scene.forge(&approved.id, |record| record.sealed = sealed).await;
    assert!(!scene.is_used(&approved).await);

    let approved = scene.approved().await;
    let operation = OperationId::generate();
    scene.forge(&approved.id, |record| record.operation = operation).await;
    let moved = v1::Approval { operation_id: operation.to_string(), ..approved };
    assert!(!scene.is_used(&moved).await);

    let approved = scene.approved().await;
    let later = *scene.bench.now.lock().unwrap() + HOUR;
    scene.forge(&approved.id, |record| record.use_until = Some(later)).await;
    let asked = scene.asked().await;
    scene.forge(&asked.id, |record| record.expires_at = later).await;
    scene.bench.pass(Duration::from_secs(120));
    assert_eq!(scene.consume(&approved).await, Err(Reason::ApprovalExpired), "by what was signed");
    scene.bench.pass(Duration::from_secs(15 * 60 - 120));
    let late = scene.vote(DANA, "dba", &asked).await;
    assert!(matches!(late, Err(ApprovalError::Vote(VoteRefused::Expired))), "{late:?}");
}

#[tokio::test]
async fn a_forged_requirement_lets_nobody_in() {
    let scene = Scene::set().await;
    let stranger = scene.bench.caller("user", OMAR, "all").await;
    // Another word in the same place, which still reads as a summary; and a real summary of something else.
    let asked = scene.asked().await;
    let mut weaker = scene.record(&asked.id).await.summary;
    let at = weaker.windows(3).position(|part| part == b"dba").unwrap();
    weaker[at..at + 3].copy_from_slice(b"all");
    scene.bench.apply(bundle("hold", &HOLD.replace("dba", "all"))).await.unwrap();
    let elsewhere = scene.record(&scene.asked().await.id).await.summary;
    scene.bench.apply(bundle("hold", HOLD)).await.unwrap();
    for (approval, summary) in [(asked, weaker), (scene.asked().await, elsewhere)] {
        scene.forge(&approval.id, |record| record.summary = summary).await;
        let all = v1::ListApprovalsRequest::default();
        let listed = scene.bench.core.list_approvals(&stranger, &all).await.unwrap();
        assert!(listed.approvals.iter().all(|listed| listed.id != approval.id), "{listed:?}");
        assert!(matches!(scene.vote_as(&stranger, &approval, true).await, Err(ApprovalError::Store(_))));
        assert_eq!(scene.record(&approval.id).await.state, ApprovalState::Cancelled);
    }
}

#[tokio::test]
async fn a_forged_use_mints_nothing() {
    let scene = Scene::set().await;
    for approval in [scene.asked().await, scene.approved().await] {
        scene.forge(&approval.id, |record| record.state = ApprovalState::Consumed).await;
        let minted = scene.mint(&approval).await;
        assert!(minted.is_err(), "{minted:?}");
    }
    assert_eq!(scene.bench.entra.asked.lock().unwrap().len(), 0);
}
