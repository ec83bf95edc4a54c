//! A session at the level of the wire, by `clients/session.py`: every message of the edge, when it comes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use serde_json::{Value, json};

use crate::stack::Stack;

/// Longest that an awaited message takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open session. Its client is killed when this is dropped.
pub(crate) struct Wire {
    client: Child,
    ask: ChildStdin,
    messages: Receiver<Value>,
}

/// Everything that came up to `ReadyForQuery`, or to the end of the connection.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) tags: Vec<String>,
    pub(crate) errors: Vec<Value>,
    pub(crate) notices: Vec<Value>,
    /// `I`, `T` or `E`; empty if the connection ended.
    pub(crate) status: String,
}

impl Wire {
    /// Logs in with a token; `dsn` is one of the stack's edge, without the password.
    pub(crate) fn open(dsn: &str, token: &str, options: &[&str]) -> Self {
        let mut wire = Self::dial(dsn, token, options);
        let login = wire.finish();
        assert_eq!(login.status, "I", "{login:?}");
        wire
    }

    /// The same without waiting for the login to succeed.
    pub(crate) fn dial(dsn: &str, token: &str, options: &[&str]) -> Self {
        let mut command = client();
        command
            .args(arguments(dsn))
            .args(options.iter().map(|option| format!("--option={option}")))
            .env("PASSWORD", token);
        Self::run(command)
    }

    /// Asks for GSSAPI encryption before TLS, as clients with a ticket do; then logs in.
    pub(crate) fn open_after_gss(dsn: &str, token: &str) -> Self {
        let mut command = client();
        command.args(arguments(dsn)).arg("--gss").env("PASSWORD", token);
        let mut wire = Self::run(command);
        assert_eq!(wire.finish().status, "I");
        wire
    }

    /// A session with the stack's PostgreSQL itself, past the edge, as the owner of the database.
    pub(crate) fn direct(stack: &Stack) -> Self {
        let dsn = &stack.ready.target_dsns["shop"];
        let value = |name: &str| {
            let (_, rest) =
                dsn.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {dsn}"));
            rest.split('&').next().unwrap_or_default()
        };
        let mut command = client();
        command.arg(format!("--socket={}/.s.PGSQL.{}", value("host"), value("port"))).args([
            "--database",
            "shop",
            "--user",
            value("user"),
        ]);
        let mut wire = Self::run(command);
        assert_eq!(wire.finish().status, "I");
        wire
    }

    fn run(mut command: Command) -> Self {
        let mut client = command.spawn().expect("python runs");
        let ask = client.stdin.take().expect("piped");
        let lines = BufReader::new(client.stdout.take().expect("piped")).lines();
        let (heard, messages) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let message = serde_json::from_str(&line).expect("JSON");
                if heard.send(message).is_err() {
                    return;
                }
            }
        });
        Self { client, ask, messages }
    }

    /// Sends a query and does not wait.
    pub(crate) fn send(&mut self, sql: &str) {
        self.command(&json!({ "query": sql }));
    }

    /// Sends messages, each as `clients/session.py` names it with its fields, in one write, and does not wait.
    pub(crate) fn put(&mut self, messages: &[Value]) {
        self.command(&json!({ "send": messages }));
    }

    /// Asks, on a connection of its own, that what runs be cancelled.
    pub(crate) fn cancel(&mut self) {
        self.command(&json!({ "cancel": true }));
    }

    /// Breaks the connection without a word.
    pub(crate) fn reset(&mut self) {
        self.command(&json!({ "reset": true }));
        let _ = self.client.wait();
    }

    fn command(&mut self, command: &Value) {
        self.ask.write_all(format!("{command}\n").as_bytes()).expect("written");
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Value {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// The next message, if one comes in time.
    pub(crate) fn next_within(&mut self, limit: Duration) -> Option<Value> {
        match self.messages.recv_timeout(limit) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(json!({ "kind": "closed" })),
        }
    }

    /// Whatever comes up to the next `ReadyForQuery`.
    pub(crate) fn finish(&mut self) -> Answer {
        let mut answer = Answer::default();
        loop {
            let message = self.next();
            let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            match message["kind"].as_str().expect("kind") {
                "row" => {
                    let values = message["values"].as_array().expect("values").iter();
                    answer.rows.push(values.map(|value| value.as_str().map(str::to_owned)).collect());
                }
                "complete" => answer.tags.push(text("tag")),
                "error" => answer.errors.push(message),
                "notice" => answer.notices.push(message),
                "ready" => {
                    answer.status = text("status");
                    return answer;
                }
                "closed" => return answer,
                "parsed" | "bound" | "shut" | "parameters" | "columns" | "nothing" | "suspended"
                | "empty" => {}
                other => panic!("a message of kind {other}"),
            }
        }
    }

    /// Sends a query and waits for its end.
    pub(crate) fn query(&mut self, sql: &str) -> Answer {
        self.send(sql);
        self.finish()
    }

    /// Sends a query that has to succeed; its first value, if it has one.
    pub(crate) fn value(&mut self, sql: &str) -> Option<String> {
        let answer = self.query(sql);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        answer.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten()
    }

    /// Sends a query that people have to be asked about, and waits until they are: the DETAIL of the notice.
    pub(crate) fn held(&mut self, sql: &str) -> Value {
        self.send(sql);
        self.notice()
    }

    /// The DETAIL of the notice that must come next.
    pub(crate) fn notice(&mut self) -> Value {
        let notice = self.next();
        assert_eq!(
            (&notice["kind"], &notice["S"], &notice["C"]),
            (&json!("notice"), &json!("NOTICE"), &json!("01000")),
            "{notice}"
        );
        detail(&notice)
    }

    /// Waits for the end of the connection, and gives back the error that said so. What waited for people may be
    /// refused before it, because its approval went first.
    pub(crate) fn cut(&mut self) -> Value {
        let mut answer = self.finish();
        if answer.status == "I" && !answer.errors.is_empty() {
            assert_eq!(answer.refused(), says("42501", "cancelled", "approval_cancelled"));
            answer = self.finish();
        }
        assert_eq!(answer.status, "", "the connection has to end: {answer:?}");
        let last = answer.errors.last().unwrap_or_else(|| panic!("it ended without a word: {answer:?}"));
        assert_eq!(last["S"], "FATAL", "{last}");
        last.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

impl Answer {
    /// The SQLSTATE and DETAIL of the one error.
    pub(crate) fn refusal(&self) -> (&str, Value) {
        let [error] = self.errors.as_slice() else { panic!("not one error: {self:?}") };
        (error["C"].as_str().expect("SQLSTATE"), detail(error))
    }

    /// SQLSTATE, decision and reason of the one error.
    pub(crate) fn refused(&self) -> (String, String, String) {
        let (code, detail) = self.refusal();
        let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        (code.to_owned(), text("decision"), text("reason"))
    }
}

/// The client, not yet told where to.
fn client() -> Command {
    let mut command = Command::new("python3");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/session.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Where to, from one of the stack's connection strings.
fn arguments(dsn: &str) -> [&str; 8] {
    let rest = dsn.split_once('@').expect("user@").1;
    let (place, rest) = rest.split_once('/').expect("host:port/target");
    let (host, port) = place.split_once(':').expect("host:port");
    let (target, parameters) = rest.split_once('?').expect("parameters");
    let root = parameters.split_once("sslrootcert=").expect("a root").1;
    ["--host", host, "--port", port, "--database", target, "--ca", root]
}

/// A message in short: its kind and what distinguishes it.
pub(crate) fn short(message: &Value) -> String {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let list = |name: &str| message[name].as_array().unwrap_or_else(|| panic!("no {name}: {message}")).iter();
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words: Vec<String> = match text("kind") {
        "row" => list("values").map(word).collect(),
        "parameters" => list("types").map(word).collect(),
        "columns" => list("columns")
            .map(|column| format!("{}:{}:{}", word(&column[0]), column[1], column[2]))
            .collect(),
        "complete" => vec![text("tag").to_owned()],
        "ready" => vec![text("status").to_owned()],
        "error" | "notice" => vec![text("C").to_owned()],
        _ => Vec::new(),
    };
    [&[text("kind").to_owned()][..], &words].concat().join(" ")
}

/// DETAIL, which is JSON.
pub(crate) fn detail(message: &Value) -> Value {
    let text = message["D"].as_str().unwrap_or_else(|| panic!("no DETAIL: {message}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a refusal has to say, to be compared with [`Answer::refused`].
pub(crate) fn says(code: &str, decision: &str, reason: &str) -> (String, String, String) {
    (code.to_owned(), decision.to_owned(), reason.to_owned())
}
