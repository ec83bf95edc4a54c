//! Statements of the extended query protocol that wait for people.

use super::*;
use agent::messages::{bind, describe, execute, flush, parse, run, sync};
use countersign_model::ApprovalState;
use held::people;
use upstream::Otherwise;

const UPDATE: &str = "update orders set id = $1";
const INSERT: &str = "insert into orders (id) values ($1)";

/// Messages of which one is held, and what people decide of it.
async fn decided(world: &World, agent: &mut Agent, messages: &[Vec<u8>], state: ApprovalState) -> Vec<Heard> {
    let (heard, ()) = tokio::join!(agent.ask(messages), people(world, state));
    heard
}

#[tokio::test]
async fn what_is_held_is_prepared_and_nothing_else_until_people_agree() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.ask(&[parse("s", UPDATE), describe(b'S', "s"), sync()]).await;
            assert_eq!(tags(&heard), "1tnZ");
            let prepared =
                ["target app Parse: ", "target app Describe: "].map(|what| format!("{what}{UPDATE}"));
            let prepared = [&prepared[..], &["target app Sync".to_owned()]].concat();
            assert_eq!(sent(&world), prepared);
            let asking = async {
                world.timeline.wait_for(&format!("hold {UPDATE} with [7]")).await;
                assert_eq!(sent(&world), prepared, "nothing before the vote");
                world.ports.decide(ApprovalState::Approved);
            };
            let messages = [bind("", "s", &["7"]), execute("", 0), sync()];
            let (heard, ()) = tokio::join!(agent.ask(&messages), asking);
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("2NCZ", 'I'));
            assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            agent.terminate().await;
            world.timeline.wait_for("close client").await;
            let all = world.timeline.all();
            let from = all.iter().position(|event| event.starts_with("asked")).unwrap();
            let told: Vec<_> = all[from..]
                .iter()
                .filter(|event| !event.contains("catalog") && !event.starts_with("outcome"))
                .collect();
            let expected = [
                "asked update orders set id = $1 as boss after [] with []",
                "hold update orders set id = $1 with [7]",
                // The rest of the definitions is asked for on a question of its own.
                "intent query approved: update orders set id = $1 [postgres:update] with [7]",
                "consumed",
                "mint approved",
                "target login boss token-approved over TLS",
                "target boss Parse: update orders set id = $1",
                "target boss Describe: update orders set id = $1",
                "target boss Sync",
                "target boss Execute: update orders set id = $1 with [7]",
                "target boss Sync",
                "intent prepare standing: select 1 [postgres:evaluate]",
            ];
            assert_eq!(told[..expected.len()], expected.iter().collect::<Vec<_>>());
            assert_eq!(world.timeline.containing("with [7]").len(), 3, "held, intended, executed once");
        })
        .await;
}

#[tokio::test]
async fn what_people_do_not_approve_is_not_executed() {
    for state in [ApprovalState::Denied, ApprovalState::Expired] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard =
                    decided(&world, &mut agent, &[run(UPDATE, &["7"]), run("select 1", &[]), sync()], state)
                        .await;
                assert_eq!(
                    (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                    ("12NEZ", "42501", 'I')
                );
                assert_eq!(sent(&world).len(), 3);
                let heard =
                    decided(&world, &mut agent, &[run("begin", &[]), run(UPDATE, &["7"]), sync()], state)
                        .await;
                assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C12NEZ", 'E'));
                let ran = |event: &String| event.contains("Execute") || event.starts_with("target boss");
                assert!(!sent(&world).iter().any(ran), "{:?}", sent(&world));
            })
            .await;
    }
}

#[tokio::test]
async fn a_pipeline_that_only_read_goes_on_where_it_is_approved_until_its_sync() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let late = [parse("late", "select 'late'"), bind("late", "late", &[])].concat();
            let messages = [
                late,
                run("select * from orders", &[]),
                run(UPDATE, &["7"]),
                execute("late", 0),
                run(INSERT, &["8"]),
                flush(),
            ];
            let (heard, ()) =
                tokio::join!(agent.ask_for(&messages, 16), people(&world, ApprovalState::Approved));
            assert_eq!(tags(&heard), "1212DDDC12NCDC12C"[..16].to_owned());
            let heard = agent.ask(&[sync()]).await;
            assert_eq!(status(&heard), 'I');
            agent.ask(&[run("select 1", &[]), sync()]).await;
            let aside = ["Parse", "Describe", "Close"];
            let ran = sent(&world).into_iter().filter(|event| !aside.iter().any(|word| event.contains(word)));
            let ran: Vec<_> = ran.collect();
            assert_eq!(
                ran,
                [
                    "target app Sync",
                    "target app Sync",
                    "target app Execute: select * from orders with []",
                    "target app Flush",
                    "target app Flush",
                    "target app Sync",
                    "target app Query: SHOW transaction_isolation",
                    "target boss Sync",
                    "target boss Execute: update orders set id = $1 with [7]",
                    "target boss Flush",
                    "target boss Flush",
                    "target boss Execute: select 'late' with []",
                    "target boss Flush",
                    "target boss Flush",
                    "target boss Execute: insert into orders (id) values ($1) with [8]",
                    "target boss Flush",
                    "target boss Sync",
                    "target app Sync",
                    "target app Execute: select 1 with []",
                    "target app Sync",
                ]
            );
            assert_eq!(world.timeline.containing("intent sync"), ["intent sync approved"]);
            let all = world.timeline.all();
            let place = |text: &str| all.iter().position(|event| event.starts_with(text)).unwrap();
            assert!(
                place("target app Query: SHOW") < place("asked"),
                "nothing of it blocks the other connection"
            );
        })
        .await;
}

#[tokio::test]
async fn what_cannot_be_carried_over_is_refused_before_anybody_is_asked() {
    let write = vec![run(INSERT, &["1"])];
    let open = vec![parse("s", "select * from orders"), bind("p", "s", &[]), execute("p", 1)];
    let isolated = Script { isolation: "serializable", ..Script::default() };
    for (script, before, fails) in [
        (Script::default(), write, true),
        (Script::default(), open, true),
        (isolated, vec![run("select * from orders", &[])], false),
    ] {
        World { script, ..World::new() }
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard =
                    agent.ask(&[before.concat(), run(UPDATE, &["7"]), run("select 1", &[]), sync()]).await;
                assert_eq!((code(&heard).as_str(), status(&heard)), ("25001", 'I'));
                assert!(world.timeline.containing("asked").is_empty());
                let failed = world.timeline.containing("countersign refused an operation").len();
                assert_eq!(
                    failed,
                    usize::from(fails),
                    "what was done is given up; what was read has been told"
                );
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            })
            .await;
    }
}

#[tokio::test]
async fn a_statement_that_is_another_one_there_is_not_executed() {
    for otherwise in [Otherwise::Parameters, Otherwise::Columns, Otherwise::Refuses] {
        for begun in [false, true] {
            World {
                script: Script { otherwise: Some(("boss", otherwise)), ..Script::default() },
                ..World::new()
            }
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                if begun {
                    agent.ask(&[run("begin", &[]), sync()]).await;
                }
                let text = "update orders set id = $1 returning id";
                let heard =
                    decided(&world, &mut agent, &[run(text, &["7"]), sync()], ApprovalState::Approved).await;
                assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), ("12NEZ", "42501"));
                assert_eq!(status(&heard), if begun { 'E' } else { 'I' });
                let detail = heard[3].field(b'D');
                assert!(
                    detail.starts_with(
                        r#"{"decision":"superseded","reason":"object_changed","approval_id":"ap_"#
                    ),
                    "{detail}"
                );
                assert!(world.timeline.containing("Execute").is_empty());
                assert_eq!(world.timeline.containing("consumed").len(), 1);
                assert_eq!(world.timeline.containing("outcome NotSent").len(), 1);
                if begun {
                    assert_eq!(status(&agent.query("rollback").await), 'I');
                }
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
                assert_eq!(sent(&world)[sent(&world).len() - 2], "target app Execute: select 1 with []");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_target_that_leaves_before_it_has_prepared_leaves_it_on_record_as_not_sent() {
    World {
        script: Script { otherwise: Some(("boss", Otherwise::Leaves)), ..Script::default() },
        ..World::new()
    }
    .tell(|world, edge, _switch| async move {
        let mut agent = Agent::login(edge).await.unwrap();
        let heard =
            decided(&world, &mut agent, &[run(UPDATE, &["7"]), sync()], ApprovalState::Approved).await;
        assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), ("12NE", "08006"));
        world.timeline.wait_for("close target").await;
        assert_eq!(world.timeline.containing("outcome NotSent").len(), 1);
        assert!(world.timeline.containing("Execute").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_what_is_held_comes_back_to_its_statements() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.query("prepare p as select 1").await;
            agent.ask(&[parse("u", UPDATE), parse("s", "select 'both'"), sync()]).await;
            let held = [run("begin", &[]), bind("", "u", &["7"]), execute("", 0), sync()];
            let heard = decided(&world, &mut agent, &held, ApprovalState::Approved).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C2NCZ", 'T'));
            // A second one needs a vote and nothing else; what is prepared here is known here alone.
            let held = [bind("", "u", &["8"]), execute("", 0), sync()];
            decided(&world, &mut agent, &held, ApprovalState::Approved).await;
            assert_eq!(world.timeline.containing("boss Parse: update").len(), 1);
            let there = [parse("there", "select 'there'"), bind("", "there", &[]), execute("", 0)].concat();
            let heard = agent.ask(&[bind("", "s", &[]), execute("", 0), there, sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("2DC12DCZ", 'T'));
            assert_eq!(code(&agent.query("execute p").await), "42501", "that is on the other connection");
            let heard = agent
                .ask(&[
                    run("rollback", &[]),
                    bind("", "there", &[]),
                    execute("", 0),
                    bind("", "s", &[]),
                    execute("", 0),
                    sync(),
                ])
                .await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C2DC2DCZ", 'I'));
            let parsed = |text: &str| world.timeline.containing(text).len();
            assert_eq!((parsed("app Parse: select 'there'"), parsed("boss Parse: select 'there'")), (1, 1));
            assert_eq!((parsed("app Parse: select 'both'"), parsed("boss Parse: select 'both'")), (1, 1));
            assert_eq!(tags(&agent.query("execute p").await), "TDCZ");
        })
        .await;
}
