//! The driver between a real TLS client and a scripted target, over loopback, with ports in memory. Everything that
//! happens is written to one timeline, so that the tests can say what came before what.

mod agent;
mod cancelling;
mod extended;
mod extended_bounds;
mod extended_held;
mod extended_names;
mod extended_pipeline;
mod extended_portals;
mod held;
mod ports;
mod upstream;

use super::*;
use agent::{Agent, Heard};
use ports::{FakePorts, Timeline};
use upstream::Script;

/// One edge, one target, one timeline.
struct World {
    timeline: Timeline,
    ports: Arc<FakePorts>,
    script: Script,
    limits: Limits,
    cancels: Arc<Cancels>,
}

impl World {
    fn new() -> Self {
        let timeline = Timeline::default();
        let ports = Arc::new(FakePorts::new(timeline.clone()));
        let limits = Limits { grace: std::time::Duration::from_millis(50), ..Limits::default() };
        Self { timeline, ports, script: Script::default(), limits, cancels: Arc::default() }
    }

    /// Runs `story` with the address of the edge and the switch that ends its sessions.
    async fn tell<F: Future<Output = ()>>(
        self,
        story: impl FnOnce(Arc<World>, std::net::SocketAddr, watch::Sender<Option<CloseReason>>) -> F,
    ) {
        let world = Arc::new(self);
        let local = tokio::task::LocalSet::new();
        let told = local.run_until(async {
            let target = upstream::start(world.script.clone(), world.timeline.clone()).await;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (switch, ending) = watch::channel(None);
            let edge = world.clone();
            tokio::task::spawn_local(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let (edge, target, ending) =
                        (edge.clone(), upstream::Only(target.clone()), ending.clone());
                    tokio::task::spawn_local(async move {
                        let tls = upstream::server_config();
                        serve(tcp, tls, edge.ports.clone(), &target, &edge.limits, &edge.cancels, ending)
                            .await;
                    });
                }
            });
            story(world.clone(), address, switch.clone()).await;
            drop(switch);
        });
        timeout(std::time::Duration::from_secs(20), told).await.expect("the story ends");
    }
}

/// What the sessions' own connections to the target were sent.
fn sent(world: &World) -> Vec<String> {
    let is_own = |event: &String| event.starts_with("target app ") || event.starts_with("target boss ");
    world.timeline.all().into_iter().filter(is_own).collect()
}

/// Since a moment, which is a number of events.
fn sent_since(world: &World, moment: usize) -> Vec<String> {
    sent(world).split_off(moment)
}

fn tags(heard: &[Heard]) -> String {
    heard.iter().map(|message| char::from(message.kind)).collect()
}

/// SQLSTATE of the error among what was heard; empty without one.
fn code(heard: &[Heard]) -> String {
    heard.iter().find(|message| message.kind == b'E').map(|error| error.field(b'C')).unwrap_or_default()
}

/// Status of the `ReadyForQuery` that comes last.
fn status(heard: &[Heard]) -> char {
    let last = heard.last().filter(|message| message.kind == b'Z');
    last.map_or('-', |ready| char::from(ready.body[0]))
}

#[tokio::test]
async fn a_statement_is_recorded_then_sent_then_recorded_then_answered() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.query("select * from orders").await;
            assert_eq!(tags(&heard), "TDDDCZ");
            agent.terminate().await;
            world.timeline.wait_for("close client").await;
            assert_eq!(
                world.timeline.all(),
                [
                    "open",
                    "intent connect standing",
                    "mint standing",
                    "target login app token-standing over TLS",
                    "outcome Done tags=[] rows=0",
                    "intent catalog metadata",
                    "mint metadata",
                    "target login meta token-metadata over TLS",
                    "target Parse",
                    "outcome Done tags=[\"SELECT 1\"] rows=1",
                    "intent query standing: select * from orders [postgres:select]",
                    "target app Query: select * from orders",
                    "outcome Done tags=[\"SELECT 3\"] rows=3",
                    "close client",
                ]
            );
        })
        .await;
}

#[tokio::test]
async fn a_refused_statement_puts_nothing_on_the_wire() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.query("delete from orders").await;
            assert_eq!(tags(&heard), "EZ");
            assert_eq!(heard[0].field(b'C'), "42501");
            assert_eq!(heard[0].field(b'S'), "ERROR");
            let detail = heard[0].field(b'D');
            assert!(
                detail.starts_with(r#"{"decision":"denied","reason":"not_permitted","session_id":"se_"#),
                "{detail}"
            );
            assert!(!detail.contains("null"), "{detail}");
            for (text, code) in [
                ("selec 1", "42601"),
                ("select * from elsewhere.x.y", "42501"),
                ("copy t from stdin", "0A000"),
            ] {
                let heard = agent.query(text).await;
                assert_eq!((tags(&heard).as_str(), heard[0].field(b'C').as_str()), ("EZ", code), "{text}");
            }
            let long = format!("select '{}'", "x".repeat(2 << 20));
            assert_eq!(agent.query(&long).await[0].field(b'C'), "54000");
            assert_eq!(tags(&agent.query("select 1").await), "TDCZ");
            let sent = world.timeline.containing(" Query: ");
            assert_eq!(sent, ["target app Query: select 1"]);
            assert_eq!(world.timeline.containing("refusal").len(), 5);
        })
        .await;
}

#[tokio::test]
async fn a_refusal_inside_a_transaction_fails_it_on_the_target_too() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            assert_eq!(agent.query("begin").await.last().unwrap().body, b"T");
            let heard = agent.query("delete from orders").await;
            assert_eq!(tags(&heard), "EZ");
            assert_eq!(heard[1].body, b"E");
            assert_eq!(heard[0].field(b'C'), "42501");
            // The client was told of its BEGIN at once; the target hears of it with what fails it. Once failed, nothing
            // more has to be sent to keep it so.
            assert_eq!(agent.query("delete from orders").await[1].body, b"E");
            let sent = world.timeline.containing(" Query: ");
            assert_eq!(
                sent,
                ["target app Query: begin", "target app Query: countersign refused an operation"]
            );
        })
        .await;
}

#[tokio::test]
async fn a_large_result_comes_in_recorded_batches() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            let heard = agent.query("select 'big'").await;
            assert_eq!(heard.iter().filter(|message| message.kind == b'D').count(), 3000);
            let batches = world.timeline.containing("reply");
            assert!(batches.len() > 3, "{batches:?}");
            assert_eq!(
                world.timeline.containing("outcome").last().unwrap(),
                "outcome Done tags=[\"SELECT 3000\"] rows=3000"
            );
        })
        .await;
}

#[tokio::test]
async fn a_target_that_leaves_is_reported_by_when_it_left() {
    for text in ["select 'die'", "select 'fatal'", "select 'copy'"] {
        World::new()
            .tell(|world, edge, _switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                let heard = agent.query(text).await;
                let last = heard.last().unwrap();
                assert_eq!(
                    (last.field(b'S').as_str(), last.field(b'C').as_str()),
                    ("FATAL", "08007"),
                    "{text}"
                );
                assert!(last.field(b'D').contains(r#""decision":"unknown","reason":"unanswered""#));
                world.timeline.wait_for("close target").await;
                assert_eq!(world.timeline.containing("outcome Unknown").len(), 1);
            })
            .await;
    }
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            assert_eq!(tags(&agent.query("select 'last'").await), "TDCZ");
            assert_eq!(agent.until_ready().await.last().unwrap().field(b'C'), "08006");
            world.timeline.wait_for("close target").await;
            assert!(world.timeline.containing("outcome Unknown").is_empty());
        })
        .await;
}

#[tokio::test]
async fn the_edge_ends_sessions_idle_or_busy() {
    for text in [None, Some("select 'hang'")] {
        World::new()
            .tell(|world, edge, switch| async move {
                let mut agent = Agent::login(edge).await.unwrap();
                if let Some(text) = text {
                    agent.send(b'Q', format!("{text}\0").as_bytes()).await;
                    world.timeline.wait_for("target app Query: select 'hang'").await;
                }
                switch.send_replace(Some(CloseReason::Drain));
                let last = agent.until_ready().await.pop().unwrap();
                assert_eq!((last.field(b'S').as_str(), last.field(b'C').as_str()), ("FATAL", "57P01"));
                // What was sent may have run: the client must not hear that it was denied.
                let decision =
                    if text.is_some() { "\"decision\":\"unknown\"" } else { "\"decision\":\"denied\"" };
                assert!(last.field(b'D').contains(decision), "{}", last.field(b'D'));
                world.timeline.wait_for("close drain").await;
                assert_eq!(world.timeline.containing("outcome Unknown").len(), usize::from(text.is_some()));
            })
            .await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_operation() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut agent = Agent::login(edge).await.unwrap();
            agent.send(b'Q', b"select 'hang'\0").await;
            world.timeline.wait_for("target app Query: select 'hang'").await;
            drop(agent);
            world.timeline.wait_for("close client").await;
            assert_eq!(world.timeline.containing("outcome Unknown").len(), 1);
        })
        .await;
}

#[tokio::test]
async fn logins_fail_with_their_codes() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let login = |token, database, options| Agent::login_as(edge, token, database, options);
            for (token, database, options, code) in [
                ("bad", "shop", "", "28000"),
                ("good", "Not A Name", "", "3D000"),
                ("good", "unknown", "", "3D000"),
                ("good", "shop/other", "", "0A000"),
                ("good", "shop", "-c search_path=x", "0A000"),
                ("good", "shop", "-c countersign.auth=oauthbearer", "0A000"),
            ] {
                let last = login(token, database, options).await.err().unwrap();
                assert_eq!(last.field(b'C'), code, "{database} {options}");
                assert_eq!(last.field(b'S'), "FATAL");
            }
            let refused = login("bad", "shop", "").await.err().unwrap();
            assert_eq!(refused.field(b'D'), "", "a refused token is told nothing");
            assert!(world.timeline.containing("target").is_empty());
        })
        .await;
}

#[tokio::test]
async fn a_token_goes_only_to_a_target_that_asks_for_it_and_says_what_it_must() {
    for (script, reason) in [
        (Script { tls: false, ..Script::default() }, "no TLS"),
        (Script { method: 5, ..Script::default() }, "md5"),
        (Script { method: 10, ..Script::default() }, "SCRAM"),
        (Script { method: 0, ..Script::default() }, "asks for nothing"),
        (Script { ask_twice: true, ..Script::default() }, "asks twice"),
        (Script { refuse: true, ..Script::default() }, "refuses"),
        (Script { encoding: "LATIN1", ..Script::default() }, "another encoding"),
    ] {
        let sends = usize::from(script.method == 3 && script.tls);
        World { script, ..World::new() }
            .tell(|world, edge, _switch| async move {
                let last = Agent::login(edge).await.err().unwrap();
                assert_eq!(last.field(b'C'), "57P03", "{reason}");
                assert_eq!(world.timeline.containing("token-standing").len(), sends, "{reason}");
                assert_eq!(world.timeline.containing("outcome Failed").len(), 1, "{reason}");
                assert!(world.timeline.containing("close target").len() == 1, "{reason}");
            })
            .await;
    }
}

#[tokio::test]
async fn garbage_ends_the_session_and_no_other() {
    World::new()
        .tell(|world, edge, _switch| async move {
            let mut good = Agent::login(edge).await.unwrap();
            let mut bad = Agent::login(edge).await.unwrap();
            bad.raw(b"\xff\xff\xff\xff\xff\xff\xff\xff").await;
            assert_eq!(bad.until_ready().await.last().unwrap().field(b'C'), "08P01");
            agent::plain(edge, b"GET / HTTP/1.1\r\n\r\n").await;
            let behind = agent::plain(edge, b"\0\0\0\x08\x04\xd2\x16\x2fsmuggled").await;
            assert!(behind.starts_with(b"E"), "bytes behind an SSLRequest are refused");
            let startup = agent::plain(edge, b"\0\0\0\x12\0\x03\0\0user\0ada\0\0").await;
            assert!(startup.windows(5).any(|window| window == b"28000"));
            assert_eq!(tags(&good.query("select 1").await), "TDCZ");
            assert_eq!(world.timeline.containing("close").len(), 1);
        })
        .await;
}
