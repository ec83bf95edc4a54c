//! Statements of the extended query protocol that policy decides alone: prepared, executed, refused, closed.

use super::*;
use agent::messages::{bind, close, describe, execute, parse, run, sync};
use upstream::Extra;

#[tokio::test]
async fn a_statement_is_prepared_when_it_is_decided_and_executed_when_it_is_decided_again() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let text = "select * from orders where id = $1";
            let heard = agent.ask(&[parse("s", text), describe(b'S', "s"), sync()]).await;
            assert_eq!(tags(&heard), "1tTZ");
            assert_eq!(heard[1].body, [0, 1, 0, 0, 0, 23]);
            let heard = agent.ask(&[bind("", "s", &["7"]), describe(b'P', ""), execute("", 0), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("2TDDDCZ", 'I'));
            agent.terminate().await;
            world.timeline.wait_for("close client").await;
            let told = world.timeline.all();
            let told: Vec<_> =
                told.iter().filter(|event| !event.contains("catalog") && !event.contains("meta")).collect();
            assert_eq!(
                told[5..],
                [
                    "target Parse",
                    "outcome Done tags=[\"SELECT 2\"] rows=2",
                    "intent prepare standing: select * from orders where id = $1 [postgres:select]",
                    "target app Parse: select * from orders where id = $1",
                    "target app Describe: select * from orders where id = $1",
                    "target app Sync",
                    "outcome Done tags=[] rows=0",
                    "outcome Done tags=[\"SELECT 2\"] rows=2",
                    "intent query standing: select * from orders where id = $1 [postgres:select] with [7]",
                    "target app Execute: select * from orders where id = $1 with [7]",
                    // The client's Sync had come: it goes with the execution, and is none of its own.
                    "target app Sync",
                    "outcome Done tags=[\"SELECT 3\"] rows=3",
                    "close client",
                ]
            );
        })
        .await;
}

#[tokio::test]
async fn what_is_denied_is_not_even_prepared() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            for (text, expected) in [
                ("delete from orders where id = $1", "42501"),
                ("select * from elsewhere.x.y", "42501"),
                ("copy orders from stdin", "0A000"),
                ("selec 1", "42601"),
                ("select 1; select 2", "42601"),
            ] {
                let heard = agent.ask(&[run(text, &["1"]), sync()]).await;
                assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), ("EZ", expected), "{text}");
            }
            assert!(sent(&world).is_empty(), "{:?}", sent(&world));
            assert_eq!(world.timeline.containing("refusal").len(), 4);
            assert!(world.timeline.containing("intent prepare").is_empty());
            assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
        })
        .await;
}

#[tokio::test]
async fn what_the_target_refuses_to_prepare_is_told_in_its_words() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let failing = || [run("select missing from orders", &[]), run("select 1", &[]), sync()];
            // Outside of a transaction, in one that the target does not know yet, and in one that it does.
            let heard = agent.ask(&failing()).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str(), status(&heard)), ("EZ", "42P01", 'I'));
            agent.query("begin").await;
            let heard = agent.ask(&failing()).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str(), status(&heard)), ("EZ", "42P01", 'E'));
            assert_eq!(
                sent_since(&world, 3),
                [
                    "target app Sync",
                    "target app Query: begin",
                    "target app Query: countersign refused an operation"
                ]
            );
            assert_eq!(status(&agent.query("rollback").await), 'I');
            agent.query("begin").await;
            agent.query("select * from orders").await;
            let moment = sent(&world).len();
            let heard = agent.ask(&failing()).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str(), status(&heard)), ("EZ", "42P01", 'E'));
            assert_eq!(
                sent_since(&world, moment),
                ["target app Parse: select missing from orders", "target app Sync"]
            );
            let heard = agent.ask(&[run("select 1", &[]), sync()]).await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("25P02", 'E'));
            assert_eq!(status(&agent.ask(&[run("rollback", &[]), sync()]).await), 'I');
            // Behind other operations it takes them with it.
            let moment = sent(&world).len();
            let heard =
                agent.ask(&[run("insert into orders (id) values (1)", &[]), failing().concat()]).await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12CEZ", "42P01", 'I')
            );
            let last =
                ["target app Parse: select missing from orders", "target app Flush", "target app Sync"];
            assert_eq!(sent_since(&world, moment + 6), last);
        })
        .await;
}

#[tokio::test]
async fn what_is_closed_or_replaced_is_closed_at_the_target_too() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.ask(&[parse("a", "select 1"), sync()]).await;
            agent.ask(&[parse("b", "select 1"), sync()]).await;
            // Prepared anew each time: the one before is closed with the next thing that is sent.
            assert_eq!(world.timeline.containing("app Parse").len(), 2);
            assert!(world.timeline.containing("Close").is_empty());
            // Nothing is sent for its own sake, and what has the same bytes is still in use.
            assert_eq!(tags(&agent.ask(&[close(b'S', "a"), close(b'S', "none"), sync()]).await), "33Z");
            let moment = sent(&world).len();
            assert_eq!(tags(&agent.ask(&[bind("", "b", &[]), execute("", 0), sync()]).await), "2DCZ");
            assert_eq!(
                sent_since(&world, moment),
                [
                    "target app Close statement: select 1",
                    "target app Execute: select 1 with []",
                    "target app Sync"
                ]
            );
            agent.ask(&[close(b'S', "b"), sync()]).await;
            let moment = sent(&world).len();
            agent.ask(&[run("select 2", &[]), sync()]).await;
            assert_eq!(
                sent_since(&world, moment)[..2],
                ["target app Close statement: select 1", "target app Parse: select 2"]
            );
            let moment = sent(&world).len();
            agent.ask(&[run("select 3", &[]), sync()]).await;
            assert_eq!(
                sent_since(&world, moment)[..2],
                ["target app Close statement: select 2", "target app Parse: select 3"]
            );
            assert_eq!(code(&agent.ask(&[bind("", "b", &[]), sync()]).await), "26000");
        })
        .await;
}

#[tokio::test]
async fn a_deallocate_of_such_a_statement_is_answered_here() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            for by_query in [true, false] {
                agent.ask(&[parse("s", "select 1"), sync()]).await;
                let heard = match by_query {
                    true => agent.query("deallocate s").await,
                    false => agent.ask(&[run("deallocate s", &[]), sync()]).await,
                };
                assert_eq!(tags(&heard), if by_query { "CZ" } else { "12CZ" });
                assert_eq!(code(&agent.ask(&[bind("", "s", &[]), sync()]).await), "26000");
            }
            let ran = |event: &String| event.contains(" Query: ") || event.contains(" Execute: ");
            assert!(!sent(&world).iter().any(ran), "{:?}", sent(&world));
            // In a transaction that has failed it is refused, like everything else.
            agent.ask(&[parse("s", "select 1"), sync()]).await;
            agent.query("begin").await;
            agent.query("delete from orders").await;
            agent.query("deallocate s").await;
            assert_eq!(sent(&world).last().unwrap(), "target app Query: deallocate s");
            agent.query("rollback").await;
            assert_eq!(tags(&agent.ask(&[bind("", "s", &[]), sync()]).await), "2Z");
            // All of them are the target's to drop, and then nothing of them is left here either.
            agent.query("deallocate all").await;
            assert_eq!(code(&agent.ask(&[bind("", "s", &[]), sync()]).await), "26000");
        })
        .await;
}

#[tokio::test]
async fn what_was_prepared_by_sql_is_executed_for_as_long_as_it_is_there() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            assert_eq!(code(&agent.query("execute p (1)").await), "42501", "it is not known what that does");
            agent.query("prepare p (int) as select * from orders where id = $1").await;
            agent.query("execute p (1)").await;
            let heard = agent.ask(&[run("execute p (2)", &[]), sync()]).await;
            assert_eq!(tags(&heard), "12DCZ");
            let intents = world.timeline.containing("execute p (");
            assert!(
                intents[1].starts_with("intent query standing: execute p (1) [postgres:select]"),
                "{intents:?}"
            );
            assert!(
                world.timeline.containing("execute p (2) [postgres:select] with []").len() == 1,
                "{intents:?}"
            );
            agent.query("deallocate p").await;
            assert_eq!(sent(&world).last().unwrap(), "target app Query: deallocate p");
            assert_eq!(code(&agent.query("execute p (1)").await), "42501");
        })
        .await;
}

#[tokio::test]
async fn control_of_transactions_and_nothing_at_all_are_described_and_executed() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let whole = |text: &str| {
                [
                    parse("", text),
                    describe(b'S', ""),
                    bind("", "", &[]),
                    describe(b'P', ""),
                    execute("", 0),
                    sync(),
                ]
            };
            let heard = agent.ask(&whole("")).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("1tn2nIZ", 'I'));
            for (text, expected) in [("begin", 'T'), ("savepoint a", 'T'), ("commit", 'I')] {
                let heard = agent.ask(&whole(text)).await;
                assert_eq!((tags(&heard).as_str(), status(&heard)), ("1tn2nCZ", expected), "{text}");
            }
            let all = sent(&world);
            assert_eq!(
                all[all.len() - 3..],
                ["target app Query: begin", "target app Query: savepoint a", "target app Query: commit"]
            );
        })
        .await;
}

#[tokio::test]
async fn what_was_not_asked_for_ends_the_session_and_answers_nothing_else() {
    for (extra, messages, expected, outcome) in [
        (Extra::Within, vec![run("select 1", &[]), sync()], ("12E", "08007"), "Unknown"),
        (Extra::Behind, vec![run("select 1", &[]), sync()], ("12DCE", "08007"), "Unknown"),
        (Extra::Behind, vec![run("select 1", &[]), run("select 2", &[]), sync()], ("12DCE", "08006"), "Done"),
        (Extra::BehindReady, vec![run("select 1", &[]), sync()], ("1E", "08006"), "Done"),
    ] {
        World { script: Script { extra: Some(extra), ..Script::default() }, ..World::new() }
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard = agent.ask(&messages).await;
                assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), expected);
                world.timeline.wait_for("close target").await;
                let outcome = format!("outcome {outcome}");
                assert!(world.timeline.containing("outcome").last().unwrap().starts_with(&outcome));
                assert!(world.timeline.containing("select 2").is_empty());
            })
            .await;
    }
}
