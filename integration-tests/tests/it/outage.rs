//! The closed default: what an edge does when its control plane does not answer.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    edge::{Edge, join_token},
    stack::{Stack, wait_until},
};

#[test]
fn an_edge_without_its_control_plane_opens_nothing_and_cuts_everything_at_the_end_of_its_lease() {
    let stack = Stack::start_with("lease_seconds = 6\n");
    let mut edge = Edge::new(&stack, "it-outage", &join_token(&stack));
    edge.start(&stack, "it-outage");
    let token = stack.token("reader");
    let mut session = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "VERBOSITY=verbose"])
        .args(["-d", &edge.dsn()])
        .env("PGPASSWORD", &token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut ask = session.stdin.take().expect("piped");
    let mut answers = BufReader::new(session.stdout.take().expect("piped")).lines();
    // Names are looked up on a connection that the first question dials: after it the session needs nobody.
    ask.write_all(b"SELECT count(*) FROM customers;\n").expect("written");
    assert_eq!(answers.next().expect("a line").expect("text"), "3");

    stack.freeze();
    ask.write_all(b"SELECT 'while it is away', count(*) FROM orders;\n").expect("written");
    let answer = answers.next().expect("a line").expect("text");
    assert_eq!(answer, "while it is away|4", "what policy allows alone goes on while the lease holds");

    let ended = wait_until("the session to be cut", Duration::from_secs(20), || {
        let _ = ask.write_all(b"SELECT 1;\n");
        session.try_wait().expect("waited")
    });
    assert!(!ended.success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut session.stderr.take().expect("piped"), &mut said).expect("text");
    assert!(said.contains("57P01"), "{said}");

    let refused = edge.psql(&token, "SELECT 1");
    assert_eq!(refused.code, 2, "{refused:?}");

    stack.thaw();
    wait_until("the edge to serve again", Duration::from_secs(60), || {
        (edge.psql(&stack.token("reader"), "SELECT 'back'").stdout == "back").then_some(())
    });
}
