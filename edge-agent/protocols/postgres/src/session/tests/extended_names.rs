//! What names mean in a session that has changed it, or when others have.

use super::*;
use agent::messages::{bind, execute, parse, run, sync};
use countersign_model::ApprovalState;

const UPDATE: &str = "update orders set id = $1";
/// What the path is set to at the login.
const LOGIN: &str = r#""$user", "public", "pg_temp""#;

fn looks(world: &World) -> usize {
    world.timeline.containing("pg_my_temp_schema").len()
}

#[tokio::test]
async fn after_a_change_the_target_is_asked_who_looks_names_up_and_by_which_path() {
    for change in ["set search_path = other", "select f()"] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                agent.query("select * from orders").await;
                assert_eq!(world.script.meanings.asked(), "app by pg_catalog, app, public");
                *world.script.outlook.lock().unwrap() = ["0", "robot", "other"];
                agent.query(change).await;
                assert_eq!(looks(&world), 0, "not before somebody needs it");
                let heard = agent.ask(&[run("select * from orders", &[]), sync()]).await;
                assert_eq!(tags(&heard), "12DDDCZ");
                assert_eq!(world.script.meanings.asked(), "robot by pg_catalog, other");
                assert_eq!(looks(&world), 1);
                // What is held would run where names mean something else.
                let heard = agent.ask(&[run(UPDATE, &["1"]), sync()]).await;
                assert_eq!((code(&heard).as_str(), status(&heard)), ("25001", 'I'));
                assert!(world.timeline.containing("asked").is_empty());
                assert_eq!(looks(&world), 1, "nothing has changed since");
                *world.script.outlook.lock().unwrap() = ["0", "app", LOGIN];
                agent.query("reset search_path").await;
                agent.query("select * from orders").await;
                assert_eq!(world.script.meanings.asked(), "app by pg_catalog, app, public");
            })
            .await;
    }
}

/// PostgreSQL says which schemas of a path there are at the moment, and of `"$user"` there is mostly none: what counts is
/// the path, as one of them may come to be.
#[tokio::test]
async fn a_function_that_changed_nothing_stands_in_the_way_of_no_approval() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.query("select f()").await;
            let messages = [run(UPDATE, &["1"]), sync()];
            let (heard, ()) =
                tokio::join!(agent.ask(&messages), held::people(&world, ApprovalState::Approved));
            assert_eq!((tags(&heard).as_str(), looks(&world)), ("12NCZ", 1));
            assert_eq!(world.script.meanings.asked(), "boss by pg_catalog, boss, public");
            agent.query("select * from orders").await;
            assert_eq!(world.script.meanings.asked(), "app by pg_catalog, app, public");
        })
        .await;
}

#[tokio::test]
async fn within_its_transaction_a_function_leaves_names_without_a_meaning() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard =
                agent.ask(&[run("begin", &[]), run("select f()", &[]), run("select 1", &[]), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12C12DC12DCZ", 'T'));
            let heard = agent.ask(&[run("select * from orders", &[]), sync()]).await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("42501", 'E'));
            assert_eq!(looks(&world), 0);
            agent.query("rollback").await;
            assert_eq!(tags(&agent.ask(&[run("select * from orders", &[]), sync()]).await), "12DDDCZ");
            // In a pipeline, too, which is one.
            let heard = agent.ask(&[run("select f()", &[]), run("select * from orders", &[]), sync()]).await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("42501", 'I'));
            let heard = agent.ask(&[run("select f()", &[]), sync(), run("select * from orders", &[])]).await;
            assert_eq!(tags(&heard), "12DCZ");
            assert_eq!(tags(&agent.ask(&[sync()]).await), "12DDDCZ");
        })
        .await;
}

#[tokio::test]
async fn a_change_of_settings_is_looked_at_again_after_each_operation_of_its_transaction() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.query("begin").await;
            agent.query("savepoint a").await;
            *world.script.outlook.lock().unwrap() = ["0", "app", "other"];
            agent.query("set local search_path = other").await;
            agent.query("select * from orders").await;
            assert_eq!(
                (world.script.meanings.asked().as_str(), looks(&world)),
                ("app by pg_catalog, other", 1)
            );
            *world.script.outlook.lock().unwrap() = ["0", "app", "public"];
            agent.query("rollback to a").await;
            let heard = agent
                .ask(&[run("select * from orders", &[]), run("select * from orders", &[]), sync()])
                .await;
            assert_eq!((code(&heard).as_str(), status(&heard)), ("", 'T'));
            assert_eq!(world.script.meanings.asked(), "app by pg_catalog, public");
        })
        .await;
}

#[tokio::test]
async fn with_temporary_objects_names_have_no_meaning_ever_again() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            *world.script.outlook.lock().unwrap() = ["16400", "app", LOGIN];
            agent.query("select f()").await;
            for _ in 0..3 {
                assert_eq!(code(&agent.ask(&[run("select * from orders", &[]), sync()]).await), "42501");
                assert_eq!(code(&agent.query("select * from orders").await), "42501");
                assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            }
            assert_eq!(looks(&world), 1);
            assert!(world.timeline.containing("target app Execute: select * from orders").is_empty());
        })
        .await;
}

/// PostgreSQL reads a prepared statement again when the search path is another one or an object in it has changed. A new
/// table of the same name in an earlier schema is neither: the statement goes on with the one that it was prepared with.
#[tokio::test]
async fn a_statement_whose_names_mean_something_else_now_is_prepared_again_before_it_is_executed() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            // Held, and so permitted to be prepared.
            agent.ask(&[parse("s", UPDATE), sync()]).await;
            let moment = sent(&world).len();
            world.script.meanings.put("orders", "scratch");
            let heard = agent.ask(&[bind("", "s", &["7"]), execute("", 0), sync()]).await;
            assert_eq!(tags(&heard), "2CZ", "what is in scratch is permitted");
            let prepares = ["Parse: ", "Describe: "].map(|what| format!("target app {what}{UPDATE}"));
            let executes = [
                format!("target app Close statement: {UPDATE}"),
                format!("target app Execute: {UPDATE} with [7]"),
            ];
            let sync = || ["target app Sync".to_owned()];
            assert_eq!(sent_since(&world, moment), [&prepares[..], &sync(), &executes, &sync()].concat());
        })
        .await;
}

#[tokio::test]
async fn what_was_prepared_a_moment_ago_is_not_looked_up_again() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let asked = |world: &World| world.timeline.containing("intent catalog").len();
            agent.ask(&[run("select * from orders", &[]), sync()]).await;
            assert_eq!(asked(&world), 1);
            // Something was executed in between, or somebody waited.
            let orders = [parse("s", "select * from orders"), bind("p", "s", &[])].concat();
            agent.ask(&[orders, run("select 1", &[]), execute("p", 0), sync()]).await;
            assert_eq!(asked(&world), 3);
            agent.ask(&[parse("", "select * from orders"), sync()]).await;
            agent.ask(&[bind("", "", &[]), execute("", 0), sync()]).await;
            assert_eq!(asked(&world), 5);
            let once = [bind("", "s", &[]), execute("", 0)].concat();
            agent.ask(&[run("begin", &[]), once.clone(), once.clone(), once.clone(), sync()]).await;
            assert_eq!(asked(&world), 6, "its own locks hold it in place");
        })
        .await;
}
