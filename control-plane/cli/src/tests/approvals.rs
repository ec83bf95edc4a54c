//! `approvals`, whole command lines.

use countersign_wire::v1::{Approval, ApprovalState};
use serde_json::Value;

use super::{control_plane::ControlPlane, fixture::approval, *};

async fn with(approvals: impl IntoIterator<Item = Approval>) -> ControlPlane {
    let control_plane = ControlPlane::start().await;
    approvals.into_iter().for_each(|approval| control_plane.approvals.has(approval));
    control_plane
}

fn in_state(id: &str, state: ApprovalState) -> Approval {
    Approval { id: id.into(), state: state.into(), ..approval() }
}

#[tokio::test]
async fn a_vote_shows_the_card_and_is_bound_to_it() {
    let control_plane = with([approval()]).await;
    let (exit, printed) = countersign(&control_plane, "approvals approve ap_1 --reason fine").await;
    assert_eq!(exit_of(exit), Exit::Done);
    assert!(printed.contains("\n    | DELETE FROM orders\n    | WHERE id = 1\n"), "{printed}");
    assert!(printed.ends_with("\nap_1 approved\n"), "{printed}");
    let votes = control_plane.approvals.votes();
    let [vote] = votes.as_slice() else { panic!("{votes:?}") };
    assert_eq!((vote.id.as_str(), vote.fingerprint.as_str()), ("ap_1", "00ff"));
    assert_eq!((vote.approve, vote.reason.as_str()), (true, "fine"));
}

#[tokio::test]
async fn a_denial_as_json_is_the_approval_alone() {
    let control_plane = with([approval()]).await;
    let (exit, printed) = countersign(&control_plane, "approvals deny ap_1 -o json").await;
    assert_eq!(exit_of(exit), Exit::Done);
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(json["state"], "APPROVAL_STATE_DENIED");
    assert!(!control_plane.approvals.votes().iter().any(|vote| vote.approve));
}

#[tokio::test]
async fn a_vote_for_what_was_shown_earlier_is_for_nothing_else() {
    let control_plane = with([approval()]).await;
    let line = "approvals approve ap_1 --fingerprint ffff";
    let failure = countersign(&control_plane, line).await.0.expect_err("refused");
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(control_plane.approvals.votes().is_empty());
    let line = "approvals approve ap_1 --fingerprint 00FF";
    assert_eq!(exit_of(countersign(&control_plane, line).await.0), Exit::Done);
}

#[tokio::test]
async fn there_is_no_vote_for_what_is_not_shown() {
    let control_plane = with([Approval { card: None, ..approval() }]).await;
    let failure = countersign(&control_plane, "approvals approve ap_1").await.0.expect_err("refused");
    assert_eq!((failure.exit(), failure.code()), (Exit::Failed, None));
    assert!(control_plane.approvals.votes().is_empty());
    assert_eq!(exit_of(countersign(&control_plane, "approvals deny ap_1").await.0), Exit::Done);
}

#[tokio::test]
async fn the_exit_code_tells_who_may_not_from_what_cannot() {
    let mut own = Approval { id: "ap_2".into(), ..approval() };
    if let Some(principal) = own.session.as_mut().and_then(|session| session.principal.as_mut()) {
        principal.agent = "ada".into();
    }
    let expired = Approval { card: None, ..in_state("ap_3", ApprovalState::Expired) };
    let control_plane = with([own, expired]).await;
    for (line, exit) in [
        ("approvals approve ap_2", Exit::Denied),
        ("approvals deny ap_2", Exit::Denied),
        ("approvals approve ap_3", Exit::Failed),
        ("approvals approve ap_4", Exit::Failed),
        ("approvals show ap_4", Exit::Failed),
        ("approvals revoke ap_4", Exit::Failed),
    ] {
        let ended = countersign(&control_plane, line).await.0.expect_err(line);
        assert_eq!(ended.exit(), exit, "{line}: {ended}");
    }
    assert!(control_plane.approvals.votes().is_empty());
}

#[tokio::test]
async fn what_was_not_used_is_cancelled_and_what_was_used_ends_its_session() {
    let control_plane =
        with([in_state("ap_1", ApprovalState::Approved), in_state("ap_2", ApprovalState::Consumed)]).await;
    let (exit, printed) = countersign(&control_plane, "approvals revoke ap_1 --reason no").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, "ap_1 cancelled\n"));
    let (exit, printed) = countersign(&control_plane, "approvals revoke ap_2").await;
    assert_eq!(exit_of(exit), Exit::TimedOut);
    assert_eq!(printed, "ap_2 consumed\nunconfirmed, cut by 2023-11-14T22:13:20Z\n");
    let (_, printed) = countersign(&control_plane, "approvals revoke ap_2 -o json").await;
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(json.pointer("/approval/id"), Some(&"ap_2".into()));
    assert!(json.pointer("/revocation/cutBy").is_some());
}

#[tokio::test]
async fn a_list_has_the_states_that_were_asked_for_on_all_its_pages() {
    let states = [
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Denied,
        ApprovalState::Pending,
        ApprovalState::Pending,
    ];
    let approvals = states.into_iter().enumerate().map(|(at, state)| in_state(&format!("ap_{at}"), state));
    let control_plane = with(approvals).await;
    let listed = async |line: &str| {
        let (exit, printed) = countersign(&control_plane, line).await;
        assert_eq!(exit_of(exit), Exit::Done);
        let json: Value = serde_json::from_str(&printed).expect("JSON");
        let items = json["items"].as_array().expect("items");
        items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(listed("approvals list -o json").await, ["ap_0", "ap_1", "ap_2", "ap_3", "ap_4"]);
    assert_eq!(
        listed("approvals list --state pending,approved -o json").await,
        ["ap_0", "ap_1", "ap_3", "ap_4"]
    );
    assert_eq!(listed("approvals list --state consumed -o json").await, Vec::<String>::new());
}

#[tokio::test]
async fn to_show_as_json_is_the_message_with_the_statement_exactly() {
    let mut hostile = approval();
    let statement = "SELECT '\u{202e}\u{1b}[2J\u{9b}'\r\n\t-- \u{200b}";
    if let Some(card) = hostile.card.as_mut() {
        card.statement = statement.into();
    }
    let control_plane = with([hostile]).await;
    let (_, printed) = countersign(&control_plane, "approvals show ap_1 -o json").await;
    assert!(printed.chars().all(|c| c == '\n' || matches!(c, ' '..='~')), "{printed}");
    let json: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(json.pointer("/card/statement"), Some(&statement.into()));
    assert_eq!((&json["fingerprint"], &json["state"]), (&"00ff".into(), &"APPROVAL_STATE_PENDING".into()));
}

#[tokio::test]
async fn to_watch_is_a_line_each_until_the_control_plane_is_lost() {
    let control_plane = with([approval(), in_state("ap_2", ApprovalState::Denied)]).await;
    let (exit, printed) = countersign(&control_plane, "approvals watch -o json").await;
    assert_eq!(exit.expect_err("lost").exit(), Exit::Failed);
    let ids: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].clone())
        .collect();
    assert_eq!(ids, ["ap_1", "ap_2"]);
    control_plane.write("token", "a-wrong-token");
    let (exit, _) = countersign(&control_plane, "approvals watch").await;
    assert_eq!(exit.expect_err("refused").exit(), Exit::Denied);
}
