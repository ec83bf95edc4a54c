//! Operations that wait for people, and the transactions around them.

use std::sync::atomic::Ordering;

use countersign_model::ApprovalState;

use super::*;
use crate::ApprovedOn;

pub(super) const UPDATE: &str = "update orders set id = 1";

/// Waits until people are asked, and has them decide.
pub(super) async fn people(world: &World, state: ApprovalState) {
    let asked = world.timeline.containing("hold ").len();
    while world.timeline.containing("hold ").len() <= asked {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    world.ports.decide(state);
}

/// A query that is held, and what people decide of it.
async fn decided(world: &World, agent: &mut Agent, text: &str, state: ApprovalState) -> Vec<Heard> {
    let (heard, ()) = tokio::join!(agent.query(text), people(world, state));
    heard
}

fn queries(world: &World) -> Vec<String> {
    world.timeline.containing(" Query: ")
}

#[tokio::test]
async fn a_held_operation_is_sent_once_and_as_approved() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            assert_eq!(tags(&heard), "NTDCZ");
            assert_eq!((heard[0].field(b'S'), heard[0].field(b'C')), ("NOTICE".into(), "01000".into()));
            let detail = heard[0].field(b'D');
            assert!(
                detail.starts_with(r#"{"decision":"pending","reason":"approval_pending","approval_id":"ap_"#),
                "{detail}"
            );
            assert_eq!(tags(&agent.query("select 1").await), "TDCZ");
            agent.terminate().await;
            world.timeline.wait_for("close client").await;
            let all = world.timeline.all();
            let from = all.iter().position(|event| event.starts_with("asked")).unwrap();
            let told: Vec<_> = all[from..].iter().filter(|event| !event.contains("catalog")).collect();
            assert_eq!(
                told.iter().filter(|event| !event.starts_with("outcome")).collect::<Vec<_>>(),
                [
                    "asked update orders set id = 1 as boss after [] with []",
                    "hold update orders set id = 1",
                    "intent query approved: update orders set id = 1 [postgres:update]",
                    "consumed",
                    "mint approved",
                    "target login boss token-approved over TLS",
                    "target boss Query: update orders set id = 1",
                    "intent query standing: select 1 [postgres:evaluate]",
                    "target app Query: select 1",
                    "close client",
                ]
                .iter()
                .collect::<Vec<_>>()
            );
        })
        .await;
}

#[tokio::test]
async fn what_people_do_not_approve_never_reaches_the_target() {
    for (state, decision, reason) in [
        (ApprovalState::Denied, "denied", "approval_denied"),
        (ApprovalState::Expired, "expired", "approval_expired"),
        (ApprovalState::Cancelled, "cancelled", "approval_cancelled"),
        (ApprovalState::Superseded, "superseded", "policy_changed"),
        (ApprovalState::Consumed, "denied", "approval_used"),
    ] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard = decided(&world, &mut agent, UPDATE, state).await;
                assert_eq!(tags(&heard), "NEZ");
                assert_eq!(heard[1].field(b'C'), "42501");
                let said = format!(r#"{{"decision":"{decision}","reason":"{reason}","approval_id":"ap_"#);
                assert!(heard[1].field(b'D').starts_with(&said), "{}", heard[1].field(b'D'));
                assert_eq!(tags(&agent.query("select 1").await), "TDCZ", "the session goes on");
                assert_eq!(queries(&world), ["target app Query: select 1"]);
                assert!(world.timeline.containing("mint approved").is_empty());
            })
            .await;
    }
}

#[tokio::test]
async fn an_object_that_changes_while_people_think_voids_what_they_say() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let (heard, ()) = tokio::join!(agent.query(UPDATE), async {
                while world.timeline.containing("hold ").is_empty() {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                world.script.definition.store(7, Ordering::Relaxed);
                world.ports.decide(ApprovalState::Approved);
            });
            assert!(heard[1].field(b'D').contains(r#""decision":"superseded","reason":"object_changed""#));
            assert!(queries(&world).is_empty());
            assert_eq!(world.timeline.containing("withdrawn"), ["withdrawn Superseded object_changed"]);
        })
        .await;
}

#[tokio::test]
async fn a_client_may_stop_waiting_in_three_ways() {
    // It leaves.
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.send(b'Q', format!("{UPDATE}\0").as_bytes()).await;
            world.timeline.wait_for("hold update orders set id = 1").await;
            drop(agent);
            world.timeline.wait_for("close client").await;
            assert_eq!(world.timeline.containing("withdrawn"), ["withdrawn Cancelled approval_cancelled"]);
            world.ports.decide(ApprovalState::Approved);
            assert!(queries(&world).is_empty());
        })
        .await;
    // It said before how long it would wait.
    World::new()
        .tell(|world, edge, _switch| async move {
            let options = "-c countersign.wait=20ms";
            let mut agent = Agent::login_as(edge, "good", "shop", options).await.unwrap();
            let heard = agent.query(UPDATE).await;
            assert_eq!((tags(&heard).as_str(), heard[1].field(b'C').as_str()), ("NEZ", "42501"));
            assert!(heard[1].field(b'D').contains(r#""decision":"pending","reason":"approval_pending""#));
            assert_eq!(tags(&agent.query("select 1").await), "TDCZ");
            assert_eq!(world.timeline.containing("withdrawn"), ["withdrawn Cancelled approval_pending"]);
        })
        .await;
    // It asks for the operation to be cancelled, on another connection.
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.send(b'Q', format!("{UPDATE}\0").as_bytes()).await;
            world.timeline.wait_for("hold update orders set id = 1").await;
            let request = [&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &agent.key].concat();
            assert!(agent::plain(edge, &request).await.is_empty(), "it is never answered");
            let heard = agent.until_ready().await;
            assert_eq!((tags(&heard).as_str(), heard[1].field(b'C').as_str()), ("NEZ", "57014"));
            assert!(heard[1].field(b'D').contains(r#""decision":"cancelled","reason":"cancelled""#));
            assert_eq!(tags(&agent.query("select 1").await), "TDCZ");
        })
        .await;
}

#[tokio::test]
async fn a_killed_session_is_cut_whatever_it_does() {
    for text in [None, Some(UPDATE), Some("select 'hang'")] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                if let Some(text) = text {
                    agent.send(b'Q', format!("{text}\0").as_bytes()).await;
                    let busy = if text == UPDATE {
                        "hold update orders set id = 1".to_owned()
                    } else {
                        format!("target app Query: {text}")
                    };
                    world.timeline.wait_for(&busy).await;
                }
                world.ports.kill();
                let last = agent.until_ready().await.pop().unwrap();
                assert_eq!((last.field(b'S').as_str(), last.field(b'C').as_str()), ("FATAL", "57P01"));
                assert!(last.field(b'D').contains(r#""reason":"session_killed""#), "{}", last.field(b'D'));
                world.timeline.wait_for("close killed").await;
            })
            .await;
    }
}

#[tokio::test]
async fn a_transaction_that_begins_with_what_is_held_runs_there_whole() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            assert_eq!(tags(&agent.query("begin").await), "CZ");
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            assert_eq!((tags(&heard).as_str(), heard.last().unwrap().body.as_slice()), ("NTDCZ", &b"T"[..]));
            assert_eq!(tags(&agent.query("select * from orders").await), "TDDDCZ");
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            assert_eq!(tags(&heard), "NTDCZ", "a further one needs its own vote");
            assert_eq!(agent.query("commit").await.last().unwrap().body, b"I");
            assert_eq!(tags(&agent.query("select 1").await), "TDCZ");
            assert_eq!(
                queries(&world),
                [
                    "target boss Query: begin",
                    "target boss Query: update orders set id = 1",
                    "target boss Query: select * from orders",
                    "target boss Query: update orders set id = 1",
                    "target boss Query: commit",
                    "target app Query: select 1",
                ]
            );
            assert_eq!(world.timeline.containing("mint approved").len(), 1, "and no new login");
            assert_eq!(world.timeline.containing("consumed").len(), 2);
        })
        .await;
}

#[tokio::test]
async fn a_transaction_that_only_read_moves_over_before_anybody_is_asked() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.query("set timezone = 'UTC'").await;
            agent.query("begin").await;
            agent.query("savepoint a").await;
            agent.query("set local lock_timeout = 5").await;
            agent.query("select * from orders").await;
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            assert_eq!((tags(&heard).as_str(), heard.last().unwrap().body.as_slice()), ("NTDCZ", &b"T"[..]));
            agent.query("rollback").await;
            let all = world.timeline.all();
            let place = |text: &str| all.iter().position(|event| event.starts_with(text)).unwrap();
            assert!(place("target app Query: ROLLBACK") < place("asked"), "{all:?}");
            assert_eq!(
                world.timeline.containing("asked"),
                ["asked update orders set id = 1 as boss after [\"begin\", \"savepoint a\", \"set local \
                  lock_timeout = 5\"] with [(\"timezone\", \"UTC\")]"]
            );
            assert_eq!(
                queries(&world).split_off(6),
                [
                    "target app Query: ROLLBACK",
                    "target boss Query: begin",
                    "target boss Query: savepoint a",
                    "target boss Query: set local lock_timeout = 5",
                    "target boss Query: update orders set id = 1",
                    "target boss Query: rollback",
                ]
            );
        })
        .await;
}

#[tokio::test]
async fn a_denial_leaves_the_transaction_failed() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.query("begin").await;
            agent.query("select * from orders").await;
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Denied).await;
            assert_eq!((tags(&heard).as_str(), heard.last().unwrap().body.as_slice()), ("NEZ", &b"E"[..]));
            assert_eq!(
                queries(&world).split_off(2),
                [
                    "target app Query: SHOW transaction_isolation",
                    "target app Query: ROLLBACK",
                    "target app Query: begin",
                    "target app Query: countersign refused an operation",
                ]
            );
            assert_eq!(agent.query("rollback").await.last().unwrap().body, b"I");
        })
        .await;
}

#[tokio::test]
async fn what_cannot_be_carried_over_is_refused_before_anybody_is_asked() {
    let refused = |setup: &'static [&'static str], script: Script| async move {
        World { script, ..World::new() }
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                for text in setup {
                    agent.query(text).await;
                }
                let heard = agent.query(UPDATE).await;
                let error = heard.iter().find(|message| message.kind == b'E').unwrap();
                assert_eq!(error.field(b'C'), "25001", "{setup:?}");
                assert!(error.field(b'D').contains(r#""reason":"session_state""#));
                assert!(world.timeline.containing("asked").is_empty(), "{setup:?}");
            })
            .await;
    };
    let isolated = Script { isolation: "repeatable read", ..Script::default() };
    refused(&["begin", "select * from orders"], isolated).await;
    refused(&["begin", "insert into orders (id) values (1)"], Script::default()).await;
    refused(&["begin", "set lock_timeout = 5"], Script::default()).await;
    refused(&["begin; select 1"], Script::default()).await;
}

#[tokio::test]
async fn on_the_same_connection_the_vote_alone_counts() {
    let script = Script { approved_on: ApprovedOn::SameConnection, ..Script::default() };
    World { script, ..World::new() }
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            assert_eq!(tags(&heard), "NTDCZ");
            assert_eq!(queries(&world), ["target app Query: update orders set id = 1"]);
            assert!(world.timeline.containing("mint approved").is_empty());
        })
        .await;
}

#[tokio::test]
async fn without_its_credential_an_approved_operation_is_not_sent() {
    World::new()
        .tell(|world, edge, _switch| async move {
            world.ports.no_mint.store(true, Ordering::Relaxed);
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = decided(&world, &mut agent, UPDATE, ApprovalState::Approved).await;
            let last = heard.last().unwrap();
            assert_eq!((last.field(b'S').as_str(), last.field(b'C').as_str()), ("FATAL", "08006"));
            world.timeline.wait_for("outcome NotSent tags=[] rows=0").await;
            assert!(queries(&world).is_empty());
        })
        .await;
}

#[tokio::test]
async fn a_transaction_of_nothing_never_reaches_the_target() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            for (text, status) in
                [("begin", b"T"), ("commit", b"I"), ("start transaction", b"T"), ("rollback", b"I")]
            {
                let heard = agent.query(text).await;
                assert_eq!((tags(&heard).as_str(), heard[1].body.as_slice()), ("CZ", &status[..]), "{text}");
                assert_eq!(heard[0].body, format!("{}\0", text.to_uppercase()).as_bytes());
            }
            assert!(queries(&world).is_empty());
        })
        .await;
}
