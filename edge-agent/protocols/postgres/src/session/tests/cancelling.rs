//! Requests to cancel: passed on while an operation runs, and heard before it is sent.

use super::*;
use agent::messages::{run, sync};
use countersign_model::ApprovalState;
use held::{UPDATE, people};

use crate::codec::startup::CancelKey;

fn key(agent: &Agent) -> CancelKey {
    let word = |at: usize| u32::from_be_bytes(agent.key[at..at + 4].try_into().unwrap());
    CancelKey { process: word(0), secret: word(4) }
}

#[tokio::test]
async fn an_operation_that_runs_is_cancelled_at_the_target() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            for (message, begun, expected) in [
                (run("select 'hang'", &[]), "target app Execute: select 'hang' with []", "12EZ"),
                (agent::messages::query("select 'hang'"), "target app Query: select 'hang'", "EZ"),
            ] {
                let is_query = message[0] == b'Q';
                agent.raw(&message).await;
                if !is_query {
                    agent.raw(&sync()).await;
                }
                world.timeline.wait_for(begun).await;
                let request = [&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &agent.key].concat();
                assert!(agent::plain(edge, &request).await.is_empty(), "it is never answered");
                let heard = agent.until_ready().await;
                assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), (expected, "57014"));
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ", "and no other");
            }
            assert_eq!(world.timeline.containing("cancels"), vec!["target cancels what app runs"; 2]);
            assert_eq!(world.timeline.containing("outcome Failed").len(), 2);
        })
        .await;
}

#[tokio::test]
async fn what_is_asked_twice_does_not_hit_what_comes_behind() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let both = [run("select 'hang'", &[]), sync(), run("select 1", &[]), sync()];
            agent.raw(&both.concat()).await;
            world.timeline.wait_for("target app Execute: select 'hang' with []").await;
            tokio::join!(world.cancels.cancel(key(&agent)), world.cancels.cancel(key(&agent)));
            assert_eq!(tags(&agent.until_ready().await), "12EZ");
            assert_eq!(tags(&agent.until_ready().await), "12DCZ");
            assert_eq!(world.timeline.containing("cancels").len(), 1);
            // One that comes while nothing runs is forgotten.
            world.cancels.cancel(key(&agent)).await;
            assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
        })
        .await;
}

#[tokio::test]
async fn what_is_cancelled_before_it_is_sent_is_not_sent() {
    for messages in [[run(UPDATE, &[]), sync()].concat(), agent::messages::query(UPDATE)] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let (cancels, key) = (world.cancels.clone(), key(&agent));
                *world.ports.on_consume.lock().unwrap() = Some(Box::new(move || {
                    let cancels = cancels.clone();
                    tokio::task::spawn_local(async move { cancels.cancel(key).await });
                }));
                let messages = [messages];
                let (heard, ()) = tokio::join!(agent.ask(&messages), people(&world, ApprovalState::Approved));
                assert_eq!((code(&heard).as_str(), status(&heard)), ("57014", 'I'));
                assert!(
                    sent(&world).iter().all(|event| event.starts_with("target app ")),
                    "{:?}",
                    sent(&world)
                );
                assert_eq!(world.timeline.containing("outcome NotSent").len(), 1);
                assert!(world.timeline.containing("cancels").is_empty());
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
                assert_eq!(sent(&world)[sent(&world).len() - 2], "target app Execute: select 1 with []");
            })
            .await;
    }
}
