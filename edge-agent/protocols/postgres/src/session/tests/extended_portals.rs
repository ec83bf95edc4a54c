//! Portals that are executed in portions.

use super::*;
use agent::messages::{bind, close, execute, flush, parse, run, sync};
use countersign_model::ApprovalState;
use held::people;

const ORDERS: &str = "select * from orders";

#[tokio::test]
async fn a_portal_is_continued_until_its_transaction_ends() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let all = [execute("p", 1), execute("p", 1), execute("p", 1), execute("p", 1)].concat();
            let heard = agent.ask(&[parse("s", ORDERS), bind("p", "s", &[]), all, sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("12DsDsDsCZ", 'I'));
            assert_eq!(
                world
                    .timeline
                    .containing("intent fetch standing: select * from orders [postgres:select]")
                    .len(),
                3
            );
            assert_eq!(
                world.timeline.containing("target app Fetch: select * from orders with [] limit 1").len(),
                3
            );
            assert_eq!(code(&agent.ask(&[execute("p", 1), sync()]).await), "34000", "closed by the Sync");

            // Its Sync comes in between.
            let heard = agent.ask_for(&[bind("p", "s", &[]), execute("p", 2), flush()], 4).await;
            assert_eq!(tags(&heard), "2DDs");
            let heard = agent.ask_for(&[execute("p", 2), flush()], 2).await;
            assert_eq!(tags(&heard), "DC");
            assert_eq!(status(&agent.ask(&[sync()]).await), 'I');
            assert_eq!(world.timeline.containing("intent sync standing").len(), 1);
            assert_eq!(code(&agent.ask(&[execute("p", 2), sync()]).await), "34000");

            agent.ask(&[run("begin", &[]), sync()]).await;
            let heard = agent.ask(&[bind("p", "s", &[]), execute("p", 2), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("2DDsZ", 'T'));
            let heard = agent.ask(&[execute("p", 0), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("DCZ", 'T'));
            // PostgreSQL says that there is nothing more. It says nothing of the kind once the transaction has failed, nor of
            // what returns no rows.
            let moment = sent(&world).len();
            let heard = agent.ask(&[execute("p", 0), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("CZ", 'T'));
            let writes =
                [parse("w", "insert into orders (id) values (1)"), bind("w", "w", &[]), execute("w", 0)]
                    .concat();
            let heard = agent.ask(&[writes, execute("w", 0), sync()]).await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12CEZ", "55000", 'E')
            );
            let heard = agent.ask(&[execute("p", 0), sync()]).await;
            assert_eq!((tags(&heard).as_str(), status(&heard)), ("EZ", 'E'));
            let executed =
                sent_since(&world, moment).into_iter().filter(|event| event.contains(" Execute: "));
            assert_eq!(executed.count(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_portal_that_is_done_or_replaced_or_closed_does_not_stay_open_at_the_target() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.ask(&[run("begin", &[]), parse("s", ORDERS), sync()]).await;
            let next = |world: &World, moment| sent_since(world, moment)[0].clone();
            let closes = "target app Close portal: select * from orders";
            // Executed to its end at once, and by a fetch.
            agent.ask(&[bind("p", "s", &[]), execute("p", 9), sync()]).await;
            let moment = sent(&world).len();
            agent.ask(&[bind("q", "s", &[]), execute("q", 2), execute("q", 2), sync()]).await;
            assert_eq!(next(&world, moment), closes);
            let moment = sent(&world).len();
            // The unnamed one is replaced, a named one is closed.
            agent.ask(&[bind("", "s", &[]), execute("", 1), sync()]).await;
            assert_eq!(next(&world, moment), closes);
            let moment = sent(&world).len();
            agent.ask(&[bind("", "s", &[]), execute("", 1), sync()]).await;
            assert_eq!(next(&world, moment), closes);
            agent.ask(&[bind("r", "s", &[]), execute("r", 1), close(b'P', "r"), sync()]).await;
            let moment = sent(&world).len();
            agent.ask(&[run("select 1", &[]), sync()]).await;
            assert_eq!(next(&world, moment), closes);
        })
        .await;
}

#[tokio::test]
async fn more_of_a_portal_is_decided_again_and_fails_with_its_transaction() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let begun = [parse("s", ORDERS), bind("p", "s", &[]), execute("p", 1)].concat();
            let heard = agent.ask(&[begun, run("delete from orders", &[]), execute("p", 1), sync()]).await;
            assert_eq!(
                (tags(&heard).as_str(), code(&heard).as_str(), status(&heard)),
                ("12DsEZ", "42501", 'I')
            );
            assert!(world.timeline.containing("Fetch").is_empty());
            assert_eq!(code(&agent.ask(&[execute("p", 1), sync()]).await), "34000");
        })
        .await;
}

#[tokio::test]
async fn what_was_approved_comes_in_one_portion() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let text = "update orders set id = 1 returning id";
            agent.ask(&[parse("s", text), sync()]).await;
            let messages = [bind("p", "s", &[]), execute("p", 1), flush()];
            let approved = people(&world, ApprovalState::Approved);
            let (heard, ()) = tokio::join!(agent.ask_for(&messages, 4), approved);
            assert_eq!(tags(&heard), "2NDs");
            let heard = agent.ask(&[execute("p", 1), sync()]).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str(), status(&heard)), ("EZ", "0A000", 'I'));
            assert_eq!(sent(&world).last().unwrap(), "target boss Query: countersign refused an operation");
            assert!(world.timeline.containing("Fetch").is_empty());
            agent.ask(&[run("select 1", &[]), sync()]).await;
            assert!(world.timeline.containing("target app Execute: select 1").len() == 1);
        })
        .await;
}
