//! Hostile clients of the extended query protocol: garbage, and as much of everything as they can.

use super::*;
use agent::messages::{bind, close, execute, flush, parse, run, sync};

#[tokio::test]
async fn garbage_ends_its_own_session_alone() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut good = Agent::login(edge).await.unwrap();
            good.ask_for(&[parse("s", "select 1"), flush()], 1).await;
            for (kind, body) in [
                (b'P', &b"s\0select 1\0\xff\xff"[..]),
                (b'P', b"s\0select 1"),
                (b'B', b"\0s\0\0\0\xff\xff"),
                (b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\xf0\0\0"),
                (b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
                (b'D', b"Xs\0"),
                (b'D', b""),
                (b'E', b"p\0\0\0"),
                (b'C', b"S"),
                (b'H', b"x"),
                (b'S', b"x"),
                (b'p', b"again\0"),
            ] {
                let mut bad = Agent::login(edge).await.unwrap();
                bad.send(kind, body).await;
                let last = bad.until_ready().await.pop().unwrap();
                assert_eq!(
                    (last.field(b'S').as_str(), last.field(b'C').as_str()),
                    ("FATAL", "08P01"),
                    "{kind} {body:?}"
                );
            }
            assert_eq!(tags(&good.ask(&[bind("", "s", &[]), execute("", 0), sync()]).await), "2DCZ");
            assert_eq!(world.timeline.containing("close client").len(), 12);
        })
        .await;
}

#[tokio::test]
async fn what_is_too_long_is_dropped_as_it_comes_and_skipped_to_its_sync() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            // What looks like a Sync within it is none.
            let long = format!("select '{}'", "S\u{1}\u{1}\u{1}\u{4}".repeat(300_000));
            let heard = agent.ask(&[parse("", &long), run("select 1", &[]), sync()]).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), ("EZ", "54000"));
            let mut call = vec![b'F'];
            call.extend((4 + (2_u32 << 20)).to_be_bytes());
            call.extend(vec![0; 2 << 20]);
            let heard = agent.ask(&[call]).await;
            assert_eq!((tags(&heard).as_str(), code(&heard).as_str()), ("EZ", "54000"), "a call has no Sync");
            assert_eq!(tags(&agent.ask(&[run("select 1", &[]), sync()]).await), "12DCZ");
            assert_eq!(world.timeline.containing("refusal OverLimit").len(), 2);
        })
        .await;
}

#[tokio::test]
async fn a_session_keeps_a_thousand_statements_and_256_portals() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let statements: Vec<_> =
                (0..1000).map(|number| parse(&format!("s{number}"), &format!("select {number}"))).collect();
            for some in statements.chunks(100) {
                let heard = agent.ask(&[some.concat(), sync()]).await;
                assert_eq!(heard.len(), 101);
            }
            assert_eq!(code(&agent.ask(&[parse("more", "select 1"), sync()]).await), "54000");
            assert_eq!(
                tags(&agent.ask(&[close(b'S', "s7"), parse("more", "select 1"), sync()]).await),
                "31Z"
            );
            let portals: Vec<_> = (0..256).map(|number| bind(&format!("p{number}"), "s1", &[])).collect();
            let heard = agent.ask(&[portals.concat(), bind("more", "s1", &[]), sync()]).await;
            assert_eq!((heard.len(), code(&heard).as_str()), (258, "54000"));
            assert_eq!(
                tags(&agent.ask(&[bind("more", "s1", &[]), execute("more", 0), sync()]).await),
                "2DCZ"
            );
            assert_eq!(world.timeline.containing("app Parse").len(), 1001);
        })
        .await;
}

#[tokio::test]
async fn a_portal_that_outlives_its_statement_leaves_nothing_at_the_target() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            for number in 0..50 {
                let text = format!("select {number}");
                let orphan =
                    [parse("s", &text), bind("p", "s", &[]), close(b'S', "s"), execute("p", 0), sync()];
                assert_eq!(tags(&agent.ask(&orphan).await), "123DCZ");
            }
            let (prepared, closed) = (
                world.timeline.containing("app Parse").len(),
                world.timeline.containing("app Close statement").len(),
            );
            assert_eq!((prepared, closed), (100, 99), "the last goes with what is sent next");
        })
        .await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_pipeline_ends_it() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.ask_for(&[run("insert into orders (id) values (1)", &[]), flush()], 3).await;
            drop(agent);
            world.timeline.wait_for("close client").await;
            assert!(world.timeline.containing("intent sync").is_empty(), "nothing commits it");
            assert_eq!(sent(&world).last().unwrap(), "target app Flush");
        })
        .await;
}
