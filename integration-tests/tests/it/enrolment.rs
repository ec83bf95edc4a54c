//! How edges join: once for each token, into its zone, and over mTLS ever after.

use std::process::Command;

use crate::{
    edge::{Edge, certificate, join_token},
    stack::{shared, text},
};

#[test]
fn a_join_token_enrols_one_edge_once() {
    let stack = shared();
    let token = join_token(stack);
    let mut first = Edge::new(stack, "it-edge-1", &token);
    first.start(stack, "it-edge-1");
    let read = first.psql(&stack.token("reader"), "SELECT count(*) FROM customers");
    assert_eq!(read.stdout, "3", "an edge of its own process serves: {read:?}\n{}", first.log());
    drop(first);

    let (joined, log) = Edge::new(stack, "it-edge-2", &token).run();
    assert!(!joined, "a used join token enrolled another edge");
    assert!(!log.contains(&token), "the token is in the log");
    let edges = stack.cli_json(&["edges", "list"]).to_string();
    assert!(!edges.contains("it-edge-2"), "{edges}");
}

#[test]
fn a_made_up_join_token_enrols_nothing() {
    let stack = shared();
    let (joined, _) = Edge::new(stack, "it-edge-3", "made-up").run();
    assert!(!joined);
}

#[test]
fn the_edge_listener_asks_for_a_certificate_of_ours() {
    let stack = shared();
    // A client certificate of somebody else's, and none at all: neither may ask anything but Enrol.
    let folder = tempfile::tempdir().expect("folder");
    let (certificate, key) = certificate(folder.path());
    let mut attempts = Vec::new();
    for with_certificate in [false, true] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2", "--max-time", "10", "--cacert"])
            .arg(&stack.ready.ca)
            .args([
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                "-D",
                "-",
                "-o",
                "/dev/null",
            ])
            // Without a body: the answer comes before any would be read.
            .args(["-X", "POST"])
            .arg(format!("{}/countersign.v1.EdgeService/CloseSession", stack.ready.edge));
        if with_certificate {
            curl.arg("--cert").arg(&certificate).arg("--key").arg(&key);
        }
        let output = curl.output().expect("curl runs");
        attempts.push((
            with_certificate,
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        ));
    }
    let (_, _, without) = &attempts[0];
    assert!(without.contains("grpc-status: 16") || without.contains("grpc-status: 7"), "{attempts:?}");
    let (_, accepted, foreign) = &attempts[1];
    assert!(!accepted || foreign.contains("grpc-status: 16"), "{attempts:?}");
}

#[test]
fn an_edge_that_was_deleted_opens_and_mints_nothing_more() {
    let stack = shared();
    let mut edge = Edge::new(stack, "it-expelled", &join_token(stack));
    edge.start(stack, "it-expelled");
    let token = stack.token("reader");
    assert_eq!(edge.psql(&token, "SELECT 1").stdout, "1");
    let deleted = stack.cli(&["edges", "delete", "it-expelled"]);
    assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    assert_eq!(
        edge.psql(&token, "SELECT 1").code,
        2,
        "its certificate is still valid, and counts for nothing"
    );
    assert_eq!(stack.psql(&token, "SELECT 2").stdout, "2", "the other edge of the zone serves on");
}
