//! Several operations before one Sync, which are one transaction.

use super::*;
use agent::messages::{flush, query, run, sync};

const INSERT: &str = "insert into orders (id) values ($1)";

#[tokio::test]
async fn what_comes_before_one_sync_is_committed_by_it() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.ask_for(&[run(INSERT, &["1"]), run(INSERT, &["2"]), flush()], 6).await;
            assert_eq!(tags(&heard), "12C12C");
            assert_eq!(
                (status(&agent.ask(&[sync()]).await), status(&agent.ask(&[sync()]).await)),
                ('I', 'I')
            );
            let told = world.timeline.all();
            let from = told.iter().position(|event| event.starts_with("intent prepare")).unwrap();
            let told: Vec<_> =
                told[from..].iter().filter(|event| !event.starts_with("intent catalog")).collect();
            let told: Vec<_> = told
                .into_iter()
                .filter(|event| *event != "outcome Done tags=[\"SELECT 1\"] rows=1")
                .collect();
            let insert = |number| {
                [
                    format!("intent query standing: {INSERT} [postgres:insert] with [{number}]"),
                    format!("target app Execute: {INSERT} with [{number}]"),
                    "target app Flush".to_owned(),
                    "outcome Done tags=[\"INSERT 0 1\"] rows=0".to_owned(),
                ]
            };
            let prepare = |tail: &str| {
                [
                    format!("intent prepare standing: {INSERT} [postgres:insert]"),
                    format!("target app Parse: {INSERT}"),
                    format!("target app Describe: {INSERT}"),
                    format!("target app {tail}"),
                    "outcome Done tags=[] rows=0".to_owned(),
                ]
            };
            let mut expected = [&prepare("Sync")[..], &insert(1)].concat();
            // The unnamed statement is replaced.
            let mut again = prepare("Flush").to_vec();
            again.insert(1, format!("target app Close statement: {INSERT}"));
            expected.extend(again);
            expected.extend(insert(2));
            expected.extend(
                ["intent sync standing", "target app Sync", "outcome Done tags=[] rows=0"].map(String::from),
            );
            assert_eq!(told, expected.iter().collect::<Vec<_>>());
        })
        .await;
}

#[tokio::test]
async fn an_error_at_the_sync_reaches_the_client_and_the_record() {
    for buffered in [true, false] {
        World { script: Script { deferred_error: true, ..Script::default() }, ..World::new() }
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard = match buffered {
                    true => agent.ask(&[run(INSERT, &["1"]), run(INSERT, &["2"]), sync()]).await.split_off(6),
                    false => {
                        agent.ask_for(&[run(INSERT, &["1"]), run(INSERT, &["2"]), flush()], 6).await;
                        agent.ask(&[sync()]).await
                    }
                };
                assert_eq!(
                    (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                    ("EZ", "23503", 'I')
                );
                let failed = world.timeline.containing("outcome Failed");
                let expected = if buffered {
                    "outcome Failed tags=[\"INSERT 0 1\"] rows=0"
                } else {
                    "outcome Failed tags=[] rows=0"
                };
                assert_eq!(failed, [expected]);
                assert_eq!(world.timeline.containing("intent sync").len(), usize::from(!buffered));
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            })
            .await;
    }
}

#[tokio::test]
async fn an_error_of_the_target_skips_what_follows() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent
                .ask(&[
                    run(INSERT, &["1"]),
                    run("select 1/0", &[]),
                    run(INSERT, &["2"]),
                    query("select 1"),
                    sync(),
                ])
                .await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12C12EZ", "22012", 'I')
            );
            assert_eq!(
                sent(&world)[sent(&world).len() - 3..],
                ["target app Execute: select 1/0 with []", "target app Flush", "target app Sync"]
            );
            assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            // In a transaction of the client, too.
            agent.ask(&[run("begin", &[]), sync()]).await;
            let heard = agent.ask(&[run("select 1/0", &[]), run(INSERT, &["2"]), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12EZ", 'E'));
            assert_eq!(status(&agent.ask(&[run("rollback", &[]), sync()]).await), 'I');
            assert!(world.timeline.containing("with [2]").is_empty());
        })
        .await;
}

#[tokio::test]
async fn a_refusal_fails_what_was_executed_before_it_at_the_target_first() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let refused = [run("delete from orders", &[]), run("select 1", &[]), sync()].concat();
            let heard = agent.ask(&[run(INSERT, &["1"]), refused.clone()]).await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12CEZ", "42501", 'I')
            );
            let fails = "target app Query: countersign refused an operation";
            assert_eq!(sent(&world).last().unwrap(), fails);
            assert!(world.timeline.containing("intent sync").is_empty());
            assert_eq!(tags(&agent.ask(&[sync()]).await), "Z", "the one before was answered once");

            let heard = agent.ask(&[run("begin", &[]), run(INSERT, &["1"]), refused]).await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12C12CEZ", "42501", 'E')
            );
            assert_eq!(sent(&world).last().unwrap(), fails);
            let heard = agent.ask(&[run("select 1", &[]), sync()]).await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("25P02", 'E'));
            let heard = agent.ask(&[run("rollback", &[]), run("select 1", &[]), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C12DCZ", 'I'));
        })
        .await;
}

#[tokio::test]
async fn a_transaction_begins_in_front_of_a_pipeline_or_not_at_all() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.ask(&[run(INSERT, &["1"]), run("begin", &[]), sync()]).await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("25001", 'I'));
            let moment = sent(&world).len();
            let heard = agent
                .ask(&[
                    run("begin", &[]),
                    run(INSERT, &["1"]),
                    run(INSERT, &["2"]),
                    run("commit", &[]),
                    sync(),
                ])
                .await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C12C12C12CZ", 'I'));
            let ran: Vec<_> = sent_since(&world, moment)
                .into_iter()
                .filter(|event| event.contains("Query") || event.contains("Execute"))
                .collect();
            assert_eq!(
                ran,
                [
                    "target app Query: begin".to_owned(),
                    format!("target app Execute: {INSERT} with [1]"),
                    format!("target app Execute: {INSERT} with [2]"),
                    "target app Query: commit".to_owned(),
                ]
            );
        })
        .await;
}

#[tokio::test]
async fn a_query_ends_what_has_no_sync() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.ask(&[run(INSERT, &["1"]), query("select * from orders")]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12CTDDDCZ", 'I'));
            assert_eq!(tags(&agent.ask(&[sync()]).await), "Z");
            assert!(world.timeline.containing("intent sync").is_empty());
            let heard = agent.ask(&[run(INSERT, &["1"]), query("delete from orders")]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12CEZ", 'I'));
            assert_eq!(sent(&world).last().unwrap(), "target app Query: countersign refused an operation");
        })
        .await;
}
