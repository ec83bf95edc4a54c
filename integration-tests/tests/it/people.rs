//! People, and what they do about approvals: by the command line, as they would.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

use crate::stack::{Psql, Stack, client, program, text, wait_until};

/// How long an approval takes at most to get into a state that it is bound for.
const SOON: Duration = Duration::from_secs(20);

impl Stack {
    /// The command line with a token.
    pub(crate) fn cli_with(&self, token: &str, arguments: &[&str]) -> Output {
        Command::new(program("countersign"))
            .args(arguments)
            .env("COUNTERSIGN_ADDR", &self.ready.admin)
            .env("COUNTERSIGN_CA", &self.ready.ca)
            .env_remove("COUNTERSIGN_TOKEN_FILE")
            .env("COUNTERSIGN_TOKEN", token)
            .output()
            .expect("countersign runs")
    }

    /// The command line of a person.
    pub(crate) fn cli_as(&self, user: &str, arguments: &[&str]) -> Output {
        self.cli_with(&self.user_token(user), arguments)
    }

    /// A vote that has to be taken.
    pub(crate) fn approve(&self, user: &str, approval: &str) {
        let voted = self.cli_as(user, &["approvals", "approve", approval, "--reason", "looks right"]);
        assert!(voted.status.success(), "{user}: {}", text(&voted.stderr));
    }

    /// A vote against, that has to be taken.
    pub(crate) fn deny(&self, user: &str, approval: &str) {
        let voted = self.cli_as(user, &["approvals", "deny", approval, "--reason", "not today"]);
        assert!(voted.status.success(), "{user}: {}", text(&voted.stderr));
    }

    /// An approval as admins see it.
    pub(crate) fn approval(&self, id: &str) -> Value {
        self.cli_json(&["approvals", "show", id])
    }

    /// Waits until an approval is in a state, and gives it back.
    pub(crate) fn settled(&self, id: &str, state: &str) -> Value {
        let state = format!("APPROVAL_STATE_{state}");
        let mut last = Value::Null;
        wait_until(&format!("{id} to become {state}"), SOON, || {
            last = self.approval(id);
            (last["state"] == state.as_str()).then(|| last.clone())
        })
    }

    /// A call of the admin API by a client that knows only its reflection: whether it succeeded, and what it said.
    pub(crate) fn grpc(&self, token: &str, method: &str, request: &Value) -> (bool, String) {
        let output = Command::new(client("grpcurl"))
            .args(["-cacert", &self.ready.ca.to_string_lossy()])
            .args(["-expand-headers", "-H", "authorization: Bearer ${TOKEN}"])
            .args(["-d", &request.to_string()])
            .args([self.ready.admin.trim_start_matches("https://"), &format!("countersign.v1.{method}")])
            .env("TOKEN", token)
            .output()
            .expect("grpcurl runs");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    /// psql through the edge; whatever of it is held, dana approves.
    pub(crate) fn psql_approved(&self, token: &str, sql: &str) -> Psql {
        let mut waiting = Waiting::start(&self.ready.edge_dsns["shop"], token, Some(sql));
        waiting.approve_all(self);
        waiting.finish()
    }

    /// The same for lines that each are a query, in one session that goes on after errors.
    pub(crate) fn psql_script_approved(&self, token: &str, lines: &[&str]) -> Psql {
        let mut waiting = Waiting::start(&self.ready.edge_dsns["shop"], token, None);
        let mut stdin = waiting.child.stdin.take().expect("piped");
        for line in lines {
            stdin.write_all(format!("{line};\n").as_bytes()).expect("written");
        }
        drop(stdin);
        waiting.approve_all(self);
        waiting.finish()
    }
}

/// A psql that runs, and perhaps waits for people.
pub(crate) struct Waiting {
    pub(crate) child: Child,
    said: Receiver<String>,
    heard: String,
}

impl Waiting {
    /// Starts psql on a statement, or on what will be written to it.
    pub(crate) fn start(dsn: &str, token: &str, sql: Option<&str>) -> Self {
        let mut command = Command::new("psql");
        command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "-v",
                "VERBOSITY=verbose",
                "-d",
                dsn,
            ])
            .env("PGPASSWORD", token)
            .env("PGCONNECT_TIMEOUT", "20")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match sql {
            Some(sql) => command.args(["-c", sql]).stdin(Stdio::null()),
            None => command.stdin(Stdio::piped()),
        };
        let mut child = command.spawn().expect("psql runs");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (say, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { child, said, heard: String::new() }
    }

    /// Waits for a notice that something is held: its DETAIL, or nothing if psql ended.
    pub(crate) fn notice(&mut self) -> Option<Value> {
        let mut of_notice = false;
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(60)).ok()?;
            self.heard += &line;
            self.heard.push('\n');
            if let Some(detail) = line.strip_prefix("DETAIL:").filter(|_| of_notice) {
                return Some(serde_json::from_str(detail.trim()).expect("JSON"));
            }
            of_notice = line.starts_with("NOTICE:") || (of_notice && !line.starts_with("ERROR:"));
        }
    }

    /// The id of the approval that it waits for.
    pub(crate) fn held(&mut self) -> String {
        let notice = self.notice().unwrap_or_else(|| panic!("nothing is held: {}", self.heard));
        notice["approval_id"].as_str().unwrap_or_else(|| panic!("{notice}")).to_owned()
    }

    fn approve_all(&mut self, stack: &Stack) {
        let mut approved = BTreeSet::new();
        while let Some(notice) = self.notice() {
            let approval = notice["approval_id"].as_str().unwrap_or_else(|| panic!("{notice}")).to_owned();
            if approved.insert(approval.clone()) {
                stack.approve("dana", &approval);
            }
        }
    }

    /// Sends a signal to psql.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Psql {
        let mut stdout = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        let code = self.child.wait().expect("waited").code().unwrap_or(-1);
        while let Ok(line) = self.said.recv() {
            self.heard += &line;
            self.heard.push('\n');
        }
        Psql { code, stdout: stdout.trim().to_owned(), stderr: self.heard.clone() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
