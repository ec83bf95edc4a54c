//! Ordinary clients of the extended query protocol: what works with PostgreSQL itself works through the edge.
//!
//! Each runs named scenarios (`clients/`), which were seen to give the same against a PostgreSQL without an edge, but
//! for what is refused and what waits for people.

mod asyncpg;
mod node_postgres;
mod psycopg;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    stack::{client, clients, shared},
    target::{Target, Wanted},
};

/// Longest that a client is silent.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a hold refuses with when somebody says no.
const DENIED: (&str, &str, &str) = ("42501", "denied", "approval_denied");

/// Rows that fill the server's send buffer come at once; then it runs for long. The scripts have the same.
pub(crate) const SLOW: &str =
    "SELECT repeat('x', 9000) FROM generate_series(1, 3) UNION ALL SELECT pg_sleep(60)::text";

/// A client that judges.
#[derive(Debug, Clone, Copy)]
enum Judge {
    Psycopg,
    Asyncpg,
    NodePostgres,
}

/// Its script, running.
struct Running {
    child: Child,
    said: Receiver<Value>,
}

impl Judge {
    /// A target for it alone, with a table that may be written without a vote beside the one that may not.
    fn target(self) -> Target<'static> {
        let name = match self {
            Self::Psycopg => "psycopg",
            Self::Asyncpg => "asyncpg",
            Self::NodePostgres => "node",
        };
        Target::declare(shared(), name, &Wanted::default()).with_free_table()
    }

    fn command(self) -> Command {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
        let python = |script| {
            let mut command = Command::new(client("python"));
            command.arg(format!("{scripts}/{script}"));
            command
        };
        match self {
            Self::Psycopg => python("psycopg_client.py"),
            Self::Asyncpg => python("asyncpg_client.py"),
            Self::NodePostgres => {
                let mut command = Command::new("node");
                command.arg("--no-deprecation").arg(format!("{scripts}/node/client.mjs"));
                command.env("NODE_JUDGES", clients().join("node"));
                command
            }
        }
    }

    /// Starts scenarios of it as the writer.
    fn start(self, target: &Target<'_>, scenarios: &[&str]) -> Running {
        let mut child = self
            .command()
            .arg(target.dsn())
            .args(scenarios)
            .env("PGPASSWORD", target.stack.token("writer"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?} does not run: {error}"));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, said }
    }

    /// What one scenario saw in which nothing waits.
    fn saw(self, target: &Target<'_>, scenario: &str) -> Value {
        self.start(target, &[scenario]).finish(scenario)
    }
}

impl Running {
    fn next(&self) -> Value {
        self.said.recv_timeout(PATIENCE).expect("the script says something before it ends")
    }

    /// The approval that it waits for.
    fn held(&self) -> String {
        let line = self.next();
        assert_eq!(line["notice"]["decision"], "pending", "nothing is held: {line}");
        line["notice"]["approval_id"].as_str().expect("an id").to_owned()
    }

    /// What a scenario saw.
    fn finish(mut self, scenario: &str) -> Value {
        let line = self.next();
        assert!(line.get("notice").is_none(), "{scenario} waits for people: {line}");
        assert!(self.child.wait().expect("waited").success());
        line[scenario].clone()
    }

    /// Has dana approve what it waits for: what it saw then.
    fn approved(self, scenario: &str) -> Value {
        shared().approve("dana", &self.held());
        self.finish(scenario)
    }

    /// Has dana deny it.
    fn denied(self, scenario: &str) -> Value {
        shared().deny("dana", &self.held());
        self.finish(scenario)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How PostgreSQL writes the values that the scripts bind.
pub(crate) fn written() -> Value {
    json!({
        "int2": "-32768",
        "int4": "2147483647",
        "int8": "-9223372036854775808",
        "float8": "0.1",
        "numeric": "-12345678901234567890.01234567890",
        "text": "it's „Größe“ \u{202e}数据 😀\n\\",
        "bytea": "\\x0001275cff",
        "bool": "true",
        "timestamptz": "2024-02-29 12:34:56.789012+00",
        "date": "1999-12-31",
        "uuid": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
        "jsonb": "{\"a\": [1, null, \"ü\"]}",
        "int4[]": "{1,NULL,-3}",
        "text[]": "{\"a,b\",NULL,\"\\\"\",\"\"}",
        "null": [null, null],
    })
}

/// A held write shows its parameters, runs once with exactly these when it is approved, and not at all when it is denied.
/// `parameters` are their types and their bytes as this client sends them, in base64. Returns what was shown.
fn held_write(judge: Judge, target: &Target<'_>, parameters: [(u32, &str); 3]) -> Value {
    let running = judge.start(target, &["hold=1"]);
    let id = running.held();
    let shown = shared().approval(&id);
    let expected = parameters.map(|(of_type, value)| (json!(of_type), json!(value)));
    assert_eq!(bound(&shown), expected, "{shown}");
    shared().approve("dana", &id);
    let result = json!([["it's ü", "2024-02-29 12:34:56.789012+00"]]);
    assert_eq!(running.finish("hold=1"), json!({ "result": result, "goes_on": 42 }));
    assert_eq!(target.status(1), "it's ü");

    let saw = judge.start(target, &["hold=2"]).denied("hold=2");
    assert_eq!(saw, json!({ "result": refusal(DENIED), "goes_on": 42 }));
    assert_eq!(target.status(2), "new");
    shown
}

/// A refusal as the scripts show it.
fn refusal((sqlstate, decision, reason): (&str, &str, &str)) -> Value {
    json!({ "sqlstate": sqlstate, "decision": decision, "reason": reason })
}

/// What goes wrong in the scripts, and what is said about it. PostgreSQL itself says 42P01 where the table is unknown.
pub(crate) fn failures() -> [(&'static str, Value); 5] {
    let refused = |reason| refusal(("42501", "denied", reason));
    [
        ("division", json!({ "sqlstate": "22012" })),
        ("syntax", refusal(("42601", "denied", "unparsable"))),
        ("unknown", refused("unresolved")),
        ("unique", json!({ "sqlstate": "23505" })),
        ("refused", refused("not_permitted")),
    ]
}

/// A refusal of a feature, which may be said in two ways.
fn refused_feature(saw: &Value) -> bool {
    [&json!("0A000"), &json!("42501")].contains(&&saw["sqlstate"])
}

/// What the card of an approval says is bound, as pairs of type and value; nothing for NULL.
pub(crate) fn bound(approval: &Value) -> Vec<(Value, Value)> {
    let parameters = approval["card"]["parameters"].as_array().unwrap_or_else(|| panic!("{approval}")).iter();
    parameters.map(|parameter| (parameter["type"].clone(), parameter["value"].clone())).collect()
}
