//! Who votes, on what, and what it does.

use countersign_model::{ApprovalState, Reason};

use super::{
    scene::{DANA, HOLD, OMAR, Scene},
    *,
};

fn refused(voted: Result<v1::Approval, ApprovalError>) -> VoteRefused {
    match voted {
        Err(ApprovalError::Vote(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

fn owned_by(owners: &[&str]) -> v1::Resource {
    let Some(Spec::Agent(spec)) = reader().spec else { panic!() };
    let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
    resource("Agent", "reader", Spec::Agent(v1::AgentSpec { owners, ..spec }))
}

#[tokio::test]
async fn nobody_approves_their_own() {
    let scene = Scene::set().await;
    scene.bench.apply(owned_by(&[&DANA.to_uppercase()])).await.unwrap();
    let approval = scene.asked().await;
    assert_eq!(refused(scene.vote(DANA, "dba", &approval).await), VoteRefused::Own, "the owner");
    let admin = scene.vote(DANA, "dba,countersign.admin", &approval).await;
    assert_eq!(refused(admin), VoteRefused::Own, "admins included");
    let dana = scene.bench.caller("user", DANA, "dba").await;
    assert_eq!(refused(scene.vote_as(&dana, &approval, false).await), VoteRefused::Own);
    scene.bench.apply(owned_by(&[OMAR])).await.unwrap();
    assert_eq!(refused(scene.vote(OMAR, "dba", &approval).await), VoteRefused::Own, "owner by now");
    assert_eq!(
        refused(scene.vote(DANA, "dba", &approval).await),
        VoteRefused::Own,
        "owner when it was asked"
    );
    assert_eq!(refused(scene.vote(READER, "dba", &approval).await), VoteRefused::Own, "the subject itself");
    let third = scene.vote(STANDING, "dba", &approval).await.unwrap();
    assert_eq!(third.state(), v1::ApprovalState::Approved);

    // An agent that acts for a person: that person asks.
    let token = format!("gateway/for-user/{DANA}/u-7/7200/dba");
    let session = scene.edge.open(&scene.bench, &token, "shop").await.unwrap();
    let scene = Scene { session, ..scene };
    scene.bench.apply(reader()).await.unwrap();
    let approval = scene.asked().await;
    assert_eq!(refused(scene.vote(DANA, "dba", &approval).await), VoteRefused::Own, "the user behind");
    scene.vote(OMAR, "dba", &approval).await.unwrap();
}

#[tokio::test]
async fn only_people_vote_and_only_those_who_are_asked() {
    let scene = Scene::set().await;
    let approval = scene.asked().await;
    let agent = scene.bench.caller("agent", OMAR, "dba").await;
    assert_eq!(refused(scene.vote_as(&agent, &approval, true).await), VoteRefused::NotAPerson);
    let admin = scene.bench.caller("user", OMAR, "countersign.admin").await;
    assert_eq!(refused(scene.vote_as(&admin, &approval, true).await), VoteRefused::NotAsked);
    for (kind, roles) in
        [("user", "dbas"), ("user", ""), ("for-user", "dba"), ("for-user", "countersign.admin")]
    {
        let stranger = scene.bench.caller(kind, OMAR, roles).await;
        let voted = scene.vote_as(&stranger, &approval, true).await;
        assert!(matches!(voted, Err(ApprovalError::NotFound)), "{kind} {roles}: {voted:?}");
        let seen = scene.bench.core.get_approval(&stranger, &approval.id).await;
        assert!(matches!(seen, Err(ApprovalError::NotFound)));
        let listed = scene.bench.core.list_approvals(&stranger, &v1::ListApprovalsRequest::default()).await;
        assert_eq!(listed.unwrap().approvals, []);
    }
    let dana = scene.bench.caller("user", DANA, "dba").await;
    let listed = scene.bench.core.list_approvals(&dana, &v1::ListApprovalsRequest::default()).await.unwrap();
    assert_eq!(listed.approvals, std::slice::from_ref(&approval));
    let unknown = v1::Approval { id: countersign_model::ApprovalId::generate().to_string(), ..approval };
    assert!(matches!(scene.vote_as(&dana, &unknown, true).await, Err(ApprovalError::NotFound)));
}

#[tokio::test]
async fn a_person_through_an_agents_application_is_that_agent() {
    let scene = Scene::set().await;
    scene.bench.apply(owned_by(&[OMAR])).await.unwrap();
    let approval = scene.asked().await;
    let by_agent = scene.bench.caller("user-by-agent", DANA, "dba,countersign.admin").await;
    assert_eq!(by_agent.admin(), Err(NoAdmin::ActsForAnother));
    let voted = scene.vote_as(&by_agent, &approval, true).await;
    assert!(matches!(voted, Err(ApprovalError::NotFound)), "{voted:?}");
    let seen = scene.bench.core.get_approval(&by_agent, &approval.id).await;
    assert!(matches!(seen, Err(ApprovalError::NotFound)), "{seen:?}");

    let token = format!("gateway/user-by-agent/{DANA}/u-7/7200/dba");
    let session = scene.edge.open(&scene.bench, &token, "shop").await.unwrap();
    let principal = session.principal.clone().unwrap();
    assert_eq!((principal.kind(), principal.agent.as_str()), (v1::PrincipalKind::AgentForUser, "reader"));
    let scene = Scene { session, ..scene };
    let approval = scene.asked().await;
    assert_eq!(refused(scene.vote(OMAR, "dba", &approval).await), VoteRefused::Own, "the agent's owner");
    assert_eq!(refused(scene.vote(DANA, "dba", &approval).await), VoteRefused::Own, "the person behind");
    scene.vote(STANDING, "dba", &approval).await.unwrap();
}

#[tokio::test]
async fn a_token_alone_votes_only_where_the_deployment_says_so() {
    let bench = Bench::set_to(|settings| settings.allow_token_votes = false).await.furnish().await;
    let scene = Scene::on(bench, HOLD).await;
    let approval = scene.asked().await;
    assert_eq!(refused(scene.vote(DANA, "dba", &approval).await), VoteRefused::TokenAlone);
    assert_eq!(scene.approval(&approval.id).await, approval);
}

#[tokio::test]
async fn one_vote_against_is_final() {
    let scene =
        Scene::on(Bench::furnished(false).await, &HOLD.replace("\"dba\")", "\"dba\") @quorum(\"2\")")).await;
    let approval = scene.asked().await;
    scene.vote(DANA, "dba", &approval).await.unwrap();
    let omar = scene.bench.caller("user", OMAR, "dba").await;
    let denied = scene.vote_as(&omar, &approval, false).await.unwrap();
    assert_eq!((denied.state(), denied.votes.len()), (v1::ApprovalState::Denied, 2));
    let late = refused(scene.vote(STANDING, "dba", &approval).await);
    assert_eq!(late, VoteRefused::NotPending(ApprovalState::Denied));
    assert_eq!(scene.consume(&approval).await, Err(Reason::ApprovalDenied));
    assert_eq!(scene.bench.audited("approval.denied").await, 1);
}

#[tokio::test]
async fn each_requirement_is_met_by_itself() {
    let policies = format!(
        "{} @approvers(\"sec\") forbid (principal, action == Action::\"postgres:delete\", resource)
         unless {{ context.approved }};",
        HOLD.replace("\"dba\")", "\"dba\") @quorum(\"2\")")
    );
    let scene = Scene::on(Bench::furnished(false).await, &policies).await;
    let approval = scene.asked().await;
    let both = scene.vote(DANA, "dba,sec", &approval).await.unwrap();
    let given = |approval: &v1::Approval| {
        approval.requirements.iter().map(|need| (need.group.clone(), need.given)).collect::<Vec<_>>()
    };
    assert_eq!(given(&both), [("dba".to_owned(), 1), ("sec".to_owned(), 1)]);
    assert_eq!(both.state(), v1::ApprovalState::Pending);
    assert_eq!(refused(scene.vote(DANA, "dba", &approval).await), VoteRefused::AlreadyVoted);
    let third = scene.vote(STANDING, "sec", &approval).await.unwrap();
    assert_eq!(third.state(), v1::ApprovalState::Pending, "two of sec are not two of dba");
    let last = scene.vote(OMAR, "dba", &approval).await.unwrap();
    assert_eq!((given(&last)[0].1, last.state()), (2, v1::ApprovalState::Approved));
}

#[tokio::test]
async fn votes_that_come_at_once_all_count() {
    let scene =
        Scene::on(Bench::furnished(false).await, &HOLD.replace("\"dba\")", "\"dba\") @quorum(\"3\")")).await;
    let approval = scene.asked().await;
    let voted = tokio::join!(
        scene.vote(DANA, "dba", &approval),
        scene.vote(OMAR, "dba", &approval),
        scene.vote(STANDING, "dba", &approval),
    );
    assert!(voted.0.is_ok() && voted.1.is_ok() && voted.2.is_ok(), "{voted:?}");
    let approval = scene.approval(&approval.id).await;
    assert_eq!((approval.state(), approval.votes.len()), (v1::ApprovalState::Approved, 3));
    assert_eq!(scene.bench.audited("approval.approved").await, 1);
}

#[tokio::test]
async fn a_vote_binds_to_what_was_shown() {
    let scene = Scene::set().await;
    let (first, second) = (scene.asked().await, scene.asked().await);
    assert_ne!(first.fingerprint, second.fingerprint, "the same text twice is asked for twice");
    let swapped = v1::Approval { fingerprint: second.fingerprint, ..first.clone() };
    assert_eq!(refused(scene.vote(DANA, "dba", &swapped).await), VoteRefused::OtherOperation);
    let none = v1::Approval { fingerprint: String::new(), ..first.clone() };
    assert_eq!(refused(scene.vote(DANA, "dba", &none).await), VoteRefused::OtherOperation);
    scene.vote(DANA, "dba", &first).await.unwrap();
}

#[tokio::test]
async fn a_reason_is_short_and_plain() {
    let scene = Scene::set().await;
    let approval = scene.asked().await;
    let dana = scene.bench.caller("user", DANA, "dba").await;
    for reason in ["x".repeat(1_001), "\u{1b}[2J".to_owned()] {
        let request = v1::VoteRequest {
            id: approval.id.clone(),
            fingerprint: approval.fingerprint.clone(),
            approve: true,
            reason,
        };
        let voted = scene.bench.core.vote(&dana, request).await;
        assert!(matches!(voted, Err(ApprovalError::Malformed(_))), "{voted:?}");
    }
}

#[tokio::test]
async fn approvals_are_listed_in_pages_newest_first() {
    let scene = Scene::set().await;
    let (first, second, third) = (scene.asked().await, scene.asked().await, scene.asked().await);
    scene.vote(DANA, "dba", &second).await.unwrap();
    let dana = scene.bench.caller("user", DANA, "dba").await;
    let list = async |states: &[v1::ApprovalState], page_size: u32, page_token: &str| {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let request = v1::ListApprovalsRequest { states, page_size, page_token: page_token.into() };
        scene.bench.core.list_approvals(&dana, &request).await
    };
    let page = list(&[], 2, "").await.unwrap();
    let ids =
        |page: &v1::ListApprovalsResponse| page.approvals.iter().map(|a| a.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&page), [third.id.clone(), second.id.clone()]);
    let rest = list(&[], 2, &page.next_page_token).await.unwrap();
    assert_eq!((ids(&rest), rest.next_page_token.as_str()), (vec![first.id.clone()], ""));
    let pending = list(&[v1::ApprovalState::Pending], 0, "").await.unwrap();
    assert_eq!(ids(&pending), [third.id, first.id]);
    assert!(matches!(list(&[], 0, "x").await, Err(ApprovalError::Page(_))));
    assert!(matches!(list(&[v1::ApprovalState::Unspecified], 0, "").await, Err(ApprovalError::Malformed(_))));
}
