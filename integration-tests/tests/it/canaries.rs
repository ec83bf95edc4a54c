//! No token in any sink: what was shown, minted and asserted on the road is looked for wherever something is
//! kept or said, with every log at its most talkative.

mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use self::scan::{Found, Scanner};
use crate::{
    edge::{Edge, join_token},
    emulator,
    people::Waiting,
    stack::{Psql, Stack, psql, text, wait_until},
    supervised::Supervised,
};

/// What every sink is searched for, by what it is.
#[derive(Default)]
struct Canaries(BTreeMap<String, String>);

impl Canaries {
    fn add(&mut self, what: &str, text: &str) -> String {
        self.0.insert(format!("{what} {}", self.0.len()), text.to_owned());
        text.to_owned()
    }

    fn scanner(&self) -> Scanner {
        let mut scanner = Scanner::default();
        for (what, text) in &self.0 {
            scanner.add(what, text);
        }
        scanner
    }
}

#[test]
fn the_scan_finds_what_was_hidden_from_it_however_it_was_written() {
    let signature: String =
        (0..342).map(|n| char::from(b"abcdefghijklmnopqrstuvwxyz-_"[n * n % 28])).collect();
    let hidden = format!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSIsInV0aSI6ImNhbmFyeSJ9.{signature}");
    let other =
        format!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSIsInV0aSI6Im90aGVyIn0.{}", "q".repeat(342));
    let folder = tempfile::tempdir().expect("folder");
    let planted = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/plant.py"))
        .arg(&hidden)
        .arg(folder.path())
        .status()
        .expect("python runs");
    assert!(planted.success());
    let packed = zstd::bulk::compress(hidden.as_bytes(), 3).expect("packed");
    fs::write(folder.path().join("zstd"), [b"before", packed.as_slice(), b"after"].concat())
        .expect("written");
    let names: BTreeSet<String> = fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 19, "{names:?}");

    let mut scanner = Scanner::default();
    scanner.add("hidden", &hidden);
    let (found, _) = scanner.scan_folder(folder.path(), &[]);
    let mut missed = names.clone();
    missed.retain(|name| !found.iter().any(|found| found.sink.contains(&format!("/{name}"))));
    assert_eq!(missed, BTreeSet::new());
    let allowed = [folder.path().join("raw")];
    let (found, _) = scanner.scan_folder(folder.path(), &allowed);
    assert!(!found.iter().any(|found| found.sink.ends_with("/raw")), "what is allowed is passed over");

    let mut scanner = Scanner::default();
    scanner.add("other", &other);
    assert_eq!(
        scanner.scan_folder(folder.path(), &[]).0,
        BTreeSet::new(),
        "the control: nothing else is found"
    );
}

#[test]
fn no_token_is_in_any_sink() {
    let stack = Stack::start_logging("trace");
    let mut canaries = Canaries::default();
    let mut said = Vec::new();
    people_and_agents(&stack, &mut canaries, &mut said);
    let joined = an_edge_joins(&stack, &mut canaries, &mut said);
    refused(&stack, &mut canaries, &mut said);
    exchanged(&stack, &mut canaries);
    said.push(("the ready line".to_owned(), format!("{:?}", stack.ready).into_bytes()));
    on_record(&stack, &mut said);

    let scanner = canaries.scanner();
    let mut found = BTreeSet::new();
    for (sink, bytes) in &said {
        found.extend(scanner.scan(sink, bytes));
    }
    let tokens = stack.data_dir.join("tokens");
    let (kept, size) = scanner.scan_folder(
        &stack.data_dir,
        // The development stack's own: it hands these people their tokens in files.
        &["admin", "dana", "omar"].map(|person| tokens.join(person)),
    );
    found.extend(kept);
    // The admin's own: the token is given to the edge in this file.
    let (kept, _) = scanner.scan_folder(joined.folder(), &[joined.folder().join("join-token")]);
    found.extend(kept);
    found.extend(
        scanner.scan("the log of the stack", &fs::read(stack.data_dir.with_extension("log")).expect("log")),
    );
    assert!(stack.log().contains("\"TRACE\""), "the control: the log is at its most talkative");
    assert!(size > 1_000_000, "the control: {size} bytes were looked at");
    let (control, _) = scanner.scan_folder(&tokens, &[]);
    let people: BTreeSet<_> = control.iter().map(|found| &found.sink).collect();
    assert_eq!(people.len(), 3, "the control: what is allowed would be found");
    report(&found);
}

fn report(found: &BTreeSet<Found>) {
    let mut lines: Vec<String> =
        found.iter().map(|Found { sink, of, way }| format!("{of}, {way}, in {sink}")).collect();
    lines.truncate(40);
    assert!(found.is_empty(), "{} tokens in sinks:\n{}", found.len(), lines.join("\n"));
}

/// The whole road: a read, a denial, a write that is approved and one that is not.
fn people_and_agents(stack: &Stack, canaries: &mut Canaries, said: &mut Vec<(String, Vec<u8>)>) {
    let reader = canaries.add("a caller's token", &stack.token("reader"));
    let writer = canaries.add("a caller's token", &stack.token("writer"));
    for (person, file) in &stack.ready.approver_token_files {
        canaries.add(&format!("{person}'s token"), fs::read_to_string(file).expect("readable").trim());
    }
    canaries.add(
        "the admin's token",
        fs::read_to_string(&stack.ready.admin_token_file).expect("readable").trim(),
    );
    let dana = canaries.add("a voter's token", &stack.user_token("dana"));
    let omar = canaries.add("a voter's token", &stack.user_token("omar"));

    let mut told = |what: &str, psql: Psql| {
        said.push((what.to_owned(), [psql.stdout, psql.stderr].concat().into_bytes()));
    };
    told("a read", stack.psql(&reader, "SELECT count(*) FROM customers"));
    told("a denial", stack.psql(&reader, "DELETE FROM orders"));
    let dsn = &stack.ready.edge_dsns["shop"];
    for (voter, verb) in [(&dana, "approve"), (&omar, "deny")] {
        let mut waiting = Waiting::start(dsn, &writer, Some("UPDATE orders SET total = 7.50 WHERE id = 3"));
        let id = waiting.held();
        for format in ["json", "table"] {
            let shown = stack.cli_with(voter, &["-o", format, "approvals", "show", &id]);
            assert!(shown.status.success(), "{}", text(&shown.stderr));
            said.push(("a card".to_owned(), shown.stdout));
        }
        let voted = stack.cli_with(voter, &["approvals", verb, &id, "--reason", "because"]);
        assert!(voted.status.success(), "{}", text(&voted.stderr));
        said.push(("a vote".to_owned(), [voted.stdout, voted.stderr].concat()));
        let psql = waiting.finish();
        said.push(("what waited".to_owned(), [psql.stdout, psql.stderr].concat().into_bytes()));
    }
}

/// An edge that is enrolled by a token of its own.
fn an_edge_joins(
    stack: &Stack,
    canaries: &mut Canaries,
    said: &mut Vec<(String, Vec<u8>)>,
) -> std::sync::Arc<Edge> {
    let token = canaries.add("a join token", &join_token(stack));
    let reader = canaries.add("a caller's token", &stack.token("reader"));
    let edge = std::sync::Arc::new(Edge::new(stack, "it-canary", &token));
    let settings = edge.clone();
    let supervised = Supervised::start(move || {
        let mut command = settings.command();
        command.env("COUNTERSIGN_LOG", "trace");
        command
    });
    let mut last = String::new();
    let served = wait_until("the edge to serve", Duration::from_secs(40), || {
        let psql = psql(&edge.dsn(), Some(&reader), "SELECT count(*) FROM customers");
        last.clone_from(&psql.stderr);
        (psql.code == 0).then_some(psql)
    });
    said.push(("a read by the other edge".to_owned(), served.stdout.into_bytes()));
    said.push(("its refusals".to_owned(), last.into_bytes()));
    drop(supervised);
    // Used already, and refused.
    let (joined, log) = Edge::new(stack, "it-canary-2", &token).run();
    assert!(!joined);
    said.push(("an edge that may not join".to_owned(), log.into_bytes()));
    edge
}

/// Tokens that are refused, everywhere that they can be shown.
fn refused(stack: &Stack, canaries: &mut Canaries, said: &mut Vec<(String, Vec<u8>)>) {
    let audience = emulator::app_named(&emulator::tenant(stack), "gateway")["client_id"].clone();
    let expired = json!({ "kind": "agent", "subject": "reader", "audience": audience, "expires_in": -7200,
        "not_before_in": -10_800 });
    let tokens = [
        canaries.add("an expired token", &emulator::token(stack, &expired)),
        canaries.add("a person's token", &stack.user_token("dana")),
        canaries.add("an altered token", &stack.token("reader").replacen(".ey", ".eX", 1)),
    ];
    for token in &tokens {
        let psql = stack.psql(token, "SELECT 1");
        assert_ne!(psql.code, 0);
        said.push(("a refused login".to_owned(), psql.stderr.into_bytes()));
    }
    let agent = canaries.add("an agent's token", &stack.token("reader"));
    for token in tokens.iter().chain([&agent]) {
        let output = stack.cli_with(token, &["agents", "list"]);
        said.push(("a refused call".to_owned(), [output.stdout, output.stderr].concat()));
    }
}

/// What the control plane showed to Entra, and what it got.
fn exchanged(stack: &Stack, canaries: &mut Canaries) {
    let log = emulator::get(stack, "/emulator/exchanged");
    let exchanged = log["exchanged"].as_array().unwrap_or_else(|| panic!("{log}"));
    assert!(exchanged.len() > 5, "the control: {} tokens were minted", exchanged.len());
    for one in exchanged {
        canaries.add("an assertion", one["client_assertion"].as_str().expect("text"));
        canaries.add("a minted token", one["access_token"].as_str().expect("text"));
    }
}

/// Everything that the command line shows, once every recording is whole.
fn on_record(stack: &Stack, said: &mut Vec<(String, Vec<u8>)>) {
    let recordings = wait_until("sealed recordings", Duration::from_secs(60), || {
        let all = stack.cli_json(&["recordings", "list"])["items"].as_array()?.clone();
        let is_left = |one: &Value| one["sealed"] != true && one["segments"].as_u64().unwrap_or(0) > 0;
        (!all.iter().any(is_left)).then_some(all)
    });
    assert!(recordings.len() >= 5, "the control: {} recordings", recordings.len());
    for recording in &recordings {
        let id = recording["id"].as_str().expect("an id");
        if recording["sealed"] == true {
            for format in ["json", "table"] {
                let replayed = stack.cli(&["-o", format, "recordings", "replay", id]);
                assert!(replayed.status.success(), "{}", text(&replayed.stderr));
                said.push((format!("the replay of {id}"), replayed.stdout));
            }
        }
    }
    for noun in ["targets", "agents", "zones", "policies", "edges", "sessions", "recordings", "approvals"] {
        let listed = stack.cli(&["-o", "json", noun, "list"]);
        assert!(listed.status.success(), "{}", text(&listed.stderr));
        said.push((format!("the list of {noun}"), listed.stdout));
    }
}
