//! Whole command lines against a control plane in memory, over TLS on the loopback.

mod approvals;
pub(crate) mod control_plane;
pub(crate) mod fixture;

use clap::Parser as _;
use control_plane::{ControlPlane, TOKEN};
use countersign_wire::v1::Session;

use super::*;
use crate::output::tests::Captured;

const SHOP: &str = "\
{kind: Target, name: shop, spec: {zone: dev, postgres: {host: db}}}
---
{kind: Zone, name: dev, spec: {audience: a}}
";

/// Runs a command line and says how it ended and what it printed.
pub(crate) async fn countersign(at: &ControlPlane, line: &str) -> (Result<Exit, Failure>, String) {
    let connection = [
        "countersign".into(),
        "--addr".into(),
        at.addr.clone().into(),
        "--ca".into(),
        at.file("ca.pem").into_os_string(),
        "--token-file".into(),
        at.file("token").into_os_string(),
    ];
    let file = |word: &str| if word == "FILE" { at.file("shop.yaml").into_os_string() } else { word.into() };
    let cli = Cli::try_parse_from(connection.into_iter().chain(line.split(' ').map(file))).expect(line);
    let captured = Captured::default();
    let exit = cli.run(&mut captured.output(cli_format(line))).await;
    (exit, captured.text())
}

fn cli_format(line: &str) -> Format {
    if line.contains("-o json") { Format::Json } else { Format::Table }
}

fn exit_of(result: Result<Exit, Failure>) -> Exit {
    result.unwrap_or_else(|failure| failure.exit())
}

#[tokio::test]
async fn a_token_is_bare_and_asked_for_without_credentials() {
    let control_plane = ControlPlane::start().await;
    std::fs::remove_file(control_plane.file("token")).expect("removed");
    let (exit, printed) = countersign(&control_plane, "token --agent reader --zone dev").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, "token-of-reader-for-dev\n"));
}

#[tokio::test]
async fn apply_goes_by_dependency_and_diff_sees_what_it_would_do() {
    let control_plane = ControlPlane::start().await;
    control_plane.write("shop.yaml", SHOP);
    let (exit, printed) = countersign(&control_plane, "diff -f FILE").await;
    assert_eq!(exit_of(exit), Exit::Failed);
    assert!(
        printed.starts_with("Zone dev created\n  + spec.audience: \"a\"\nTarget shop deferred\n"),
        "{printed}"
    );

    let (exit, printed) = countersign(&control_plane, "apply -f FILE --dry-run").await;
    assert_eq!(
        (exit_of(exit), printed.as_str()),
        (Exit::Done, "Zone dev created (dry run)\nTarget shop deferred (dry run)\n")
    );
    assert_eq!(control_plane.count(), 0);

    let (exit, printed) = countersign(&control_plane, "apply -f FILE").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, "Zone dev created\nTarget shop created\n"));
    let (exit, printed) = countersign(&control_plane, "diff -f FILE").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, ""));

    control_plane.write("shop.yaml", &SHOP.replace("host: db", "host: db2"));
    let (exit, printed) = countersign(&control_plane, "diff -f FILE").await;
    assert_eq!(exit_of(exit), Exit::Failed);
    assert_eq!(
        printed,
        "Target shop updated\n  - spec.postgres.host: \"db\"\n  + spec.postgres.host: \"db2\"\n"
    );
}

#[tokio::test]
async fn nothing_is_applied_if_one_document_is_refused() {
    let control_plane = ControlPlane::start().await;
    // The control plane in memory refuses an empty audience.
    control_plane.write(
        "shop.yaml",
        "{kind: Zone, name: a, spec: {audience: a}}\n---\n{kind: Zone, name: b, spec: {}}\n",
    );
    let (exit, printed) = countersign(&control_plane, "apply -f FILE").await;
    assert_eq!(exit.expect_err("refused").to_string(), "Zone b: no audience [InvalidArgument]");
    assert_eq!((control_plane.count(), printed.as_str()), (0, ""));
}

#[tokio::test]
async fn lists_follow_their_pages() {
    let control_plane = ControlPlane::start().await;
    let zones: Vec<String> =
        (0..5).map(|n| format!("{{kind: Zone, name: z{n}, spec: {{audience: a}}}}")).collect();
    control_plane.write("shop.yaml", &zones.join("\n---\n"));
    countersign(&control_plane, "apply -f FILE").await.0.expect("applied");
    let (_, printed) = countersign(&control_plane, "zones list -o json").await;
    let json: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    let names: Vec<_> =
        json["items"].as_array().expect("items").iter().filter_map(|i| i["name"].as_str()).collect();
    assert_eq!(names, ["z0", "z1", "z2", "z3", "z4"]);
    let (_, printed) = countersign(&control_plane, "get zone z3 -o json").await;
    let json: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(json, serde_json::json!({"kind": "Zone", "name": "z3", "spec": {"audience": "a"}}));
}

#[tokio::test]
async fn the_exit_code_tells_denied_from_failed() {
    let control_plane = ControlPlane::start().await;
    assert_eq!(exit_of(countersign(&control_plane, "zones show none").await.0), Exit::Failed);
    control_plane.write("token", "a-wrong-token");
    let failure = countersign(&control_plane, "zones list").await.0.expect_err("denied");
    assert_eq!(failure.exit(), Exit::Denied);
    assert!(!failure.to_string().contains("a-wrong-token") && !failure.to_string().contains(TOKEN));
}

#[tokio::test]
async fn another_root_is_not_believed() {
    let (control_plane, other) = (ControlPlane::start().await, ControlPlane::start().await);
    std::fs::copy(other.file("ca.pem"), control_plane.file("ca.pem")).expect("copied");
    let failure = countersign(&control_plane, "zones list").await.0.expect_err("refused");
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(failure.to_string().starts_with("cannot reach the control plane: "), "{failure}");
}

#[tokio::test]
async fn what_was_revoked_is_confirmed_or_not() {
    let control_plane = ControlPlane::start().await;
    let session = |id: &str, zone: &str| Session { id: id.into(), zone: zone.into(), ..Session::default() };
    control_plane.has_session(session("se_1", "dev"));
    control_plane.has_session(session("se_2", "away"));
    let (exit, printed) = countersign(&control_plane, "sessions kill se_1 --reason oops").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, "confirmed\n"));
    let (_, printed) = countersign(&control_plane, "sessions show se_1").await;
    assert!(printed.contains("closed because  killed: oops\n"), "{printed}");

    let (exit, printed) = countersign(&control_plane, "sessions kill se_2").await;
    assert_eq!(exit_of(exit), Exit::TimedOut);
    assert_eq!(printed, "unconfirmed, cut by 2023-11-14T22:13:20Z\n");
    let (exit, printed) = countersign(&control_plane, "sessions kill se_2 -o json").await;
    let json: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(exit_of(exit), Exit::TimedOut);
    assert_eq!(json.pointer("/revocation/cutBy"), Some(&"2023-11-14T22:13:20Z".into()));
    assert_eq!(exit_of(countersign(&control_plane, "sessions kill se_3").await.0), Exit::Failed);
}

#[tokio::test]
async fn a_resource_is_deleted_and_an_agents_sessions_with_it() {
    let control_plane = ControlPlane::start().await;
    control_plane.write(
        "shop.yaml",
        "{kind: Zone, name: dev, spec: {audience: a}}\n---\n{kind: Agent, name: reader, spec: {}}\n",
    );
    countersign(&control_plane, "apply -f FILE").await.0.expect("applied");
    let (exit, printed) = countersign(&control_plane, "agents delete reader").await;
    assert_eq!(exit_of(exit), Exit::TimedOut);
    assert_eq!(printed, "Agent reader deleted\nunconfirmed, cut by 2023-11-14T22:13:20Z\n");
    let (exit, printed) = countersign(&control_plane, "zones delete dev").await;
    assert_eq!((exit_of(exit), printed.as_str()), (Exit::Done, "Zone dev deleted\n"));
    assert_eq!(control_plane.count(), 0);
    assert_eq!(exit_of(countersign(&control_plane, "zones delete dev").await.0), Exit::Failed);
}
