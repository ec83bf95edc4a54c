//! The product as its users get it: the real `countersign-dev`, the real `countersign`, real clients.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tempfile::TempDir;

/// The first line that `countersign-dev --json` prints, once everything answers.
#[derive(Debug, Clone, Deserialize)]
#[allow(dead_code, reason = "the line is a contract: every field of it must be there, read or not")]
pub(crate) struct Ready {
    pub(crate) ready: bool,
    pub(crate) admin: String,
    pub(crate) edge: String,
    pub(crate) console: String,
    pub(crate) entra: String,
    pub(crate) ca: PathBuf,
    pub(crate) edges: Vec<ReadyEdge>,
    pub(crate) admin_token_file: PathBuf,
    pub(crate) approver_token_files: BTreeMap<String, PathBuf>,
    pub(crate) target_dsns: BTreeMap<String, String>,
    pub(crate) edge_dsns: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[allow(dead_code, reason = "part of the same contract: every field must be there, read or not")]
pub(crate) struct ReadyEdge {
    pub(crate) zone: String,
    pub(crate) listeners: BTreeMap<String, String>,
}

/// One running stack. Killed when dropped.
pub(crate) struct Stack {
    pub(crate) ready: Ready,
    pub(crate) data_dir: PathBuf,
    child: Child,
    /// Admin address of the development server that makes tokens.
    tokens: String,
    /// Removed with the stack, if the folder is its own.
    owned: Option<TempDir>,
}

/// The stack that tests share which neither break nor restart it.
pub(crate) fn shared() -> &'static Stack {
    static SHARED: LazyLock<Stack> = LazyLock::new(Stack::start);
    &SHARED
}

/// Serialises the tests that turn the shared emulator's knobs (keys, faults).
pub(crate) static EMULATOR_KNOBS: Mutex<()> = Mutex::new(());

/// A program of the build under test.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    test.ancestors().nth(2).expect("target/<profile>/deps/<test>").join(name)
}

/// A program of the clients that `integration-tests/run` installs beside the build.
pub(crate) fn client(name: &str) -> PathBuf {
    clients().join("bin").join(name)
}

/// The folder of those clients.
pub(crate) fn clients() -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let clients = test.ancestors().nth(3).expect("target/<profile>/deps/<test>").join("clients");
    assert!(clients.exists(), "{} is missing: run integration-tests/run once", clients.display());
    clients
}

/// A command that the kernel kills when the thread that started it ends, however it ends.
pub(crate) fn bound_to_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Stack {
    /// A stack with a data folder of its own.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with settings of its own.
    pub(crate) fn start_with(config: &str) -> Self {
        Self::start_of_its_own(config, None)
    }

    /// The same with a log of everything that a filter lets through.
    pub(crate) fn start_logging(filter: &str) -> Self {
        Self::start_of_its_own("", Some(filter))
    }

    fn start_of_its_own(config: &str, log: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-it-").tempdir_in("/tmp").expect("folder");
        fs::write(folder.path().join("data.toml"), config).expect("written");
        let mut stack = Self::start_over(&folder.path().join("data"), log);
        stack.owned = Some(folder);
        stack
    }

    /// A stack over a data folder that may have been used before, with the settings beside it, if there are any.
    pub(crate) fn start_in(data_dir: &Path) -> Self {
        Self::start_over(data_dir, None)
    }

    fn start_over(data_dir: &Path, log: Option<&str>) -> Self {
        // A thread of its own that never ends: the kernel ties the stack's life to the thread that started it.
        let (started, is_started) = std::sync::mpsc::channel();
        let (folder, log) = (data_dir.to_owned(), log.map(str::to_owned));
        std::thread::spawn(move || {
            let mut command = bound_to_us(&program("countersign-dev"));
            command.arg("--data-dir").arg(&folder).arg("--json");
            let config = folder.with_extension("toml");
            if config.exists() {
                command.arg("--config").arg(config);
            }
            command.envs(log.map(|filter| ("COUNTERSIGN_LOG", filter)));
            let child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(folder.with_extension("log")).expect("log"))
                .spawn()
                .expect("countersign-dev starts");
            started.send(child).expect("received");
            loop {
                std::thread::park();
            }
        });
        let mut child = is_started.recv().expect("started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let ready: Ready = serde_json::from_str(&line).unwrap_or_else(|error| {
            let log = fs::read_to_string(data_dir.with_extension("log")).unwrap_or_default();
            panic!("the first line is not the ready line ({error}): {line:?}\n{log}")
        });
        assert!(ready.ready);
        let tokens = ready.admin.clone();
        Self { ready, data_dir: data_dir.to_owned(), child, tokens, owned: None }
    }

    /// A control plane in a process of its own beside this stack: with its certificate authority, Entra and database,
    /// and without an edge. [`Stack::restart`] starts it again.
    pub(crate) fn control_plane_beside(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-it-").tempdir_in("/tmp").expect("folder");
        let data_dir = folder.path().join("control-plane");
        let authority = self.data_dir.join("control-plane/ca");
        let copied = Command::new("cp").arg("-a").arg(&authority).arg(folder.path()).status().expect("cp");
        assert!(copied.success());
        fs::create_dir(&data_dir).expect("made");
        fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).expect("mode");
        fs::rename(folder.path().join("ca"), data_dir.join("ca")).expect("moved");
        let (admin, edge) = (free_port(), free_port());
        let tenant = crate::emulator::tenant(self);
        let admin_api = crate::emulator::app_named(&tenant, "admin-api");
        let settings = format!(
            "deployment = \"dev\"\ndata_dir = \"{}\"\nallow_token_votes = true\n\
             admin = {{ listen = \"127.0.0.1:{admin}\", audience = {} }}\n\
             edge = {{ listen = \"127.0.0.1:{edge}\" }}\n\
             entra = {{ authority = \"{}\", tenant_id = {}, ca_file = \"{}\" }}\n",
            data_dir.display(),
            admin_api["client_id"],
            self.ready.entra,
            tenant["id"],
            self.ready.ca.display(),
        );
        fs::write(data_dir.with_extension("toml"), settings).expect("written");
        let ready = Ready {
            admin: format!("https://localhost:{admin}"),
            edge: format!("https://localhost:{edge}"),
            edge_dsns: BTreeMap::new(),
            ..self.ready.clone()
        };
        let child = start_control_plane(&data_dir);
        let beside = Self { ready, data_dir, child, tokens: self.tokens.clone(), owned: Some(folder) };
        beside.answers();
        beside
    }

    /// Pulls the plug of a control plane of its own process, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = start_control_plane(&self.data_dir);
        self.answers();
    }

    fn answers(&self) {
        wait_until("the control plane to answer", Duration::from_secs(20), || {
            self.cli(&["zones", "list"]).status.success().then_some(())
        });
    }

    /// Stops it as an operator does, and gives back its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        wait_until("countersign-dev to end", Duration::from_secs(30), || self.child.try_wait().ok().flatten())
            .code()
    }

    /// Pulls the plug.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        let _ = self.child.wait();
    }

    /// Its control plane stops answering, without closing anything; its PostgreSQL goes on.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// It goes on where it was.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data_dir.with_extension("log")).unwrap_or_default()
    }

    /// A fresh token of an agent of the story, as its user would get it.
    pub(crate) fn token(&self, agent: &str) -> String {
        self.token_of(&["--agent", agent])
    }

    /// A fresh token of a person for the admin side.
    pub(crate) fn user_token(&self, user: &str) -> String {
        self.token_of(&["--user", user])
    }

    fn token_of(&self, whom: &[&str]) -> String {
        let output = self.cli_at(&self.tokens, &[&["token"], whom].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// The command line, with the admin's credentials.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_at(&self.ready.admin, arguments)
    }

    fn cli_at(&self, address: &str, arguments: &[&str]) -> Output {
        Command::new(program("countersign"))
            .args(arguments)
            .env("COUNTERSIGN_ADDR", address)
            .env("COUNTERSIGN_CA", &self.ready.ca)
            .env("COUNTERSIGN_TOKEN_FILE", &self.ready.admin_token_file)
            .env_remove("COUNTERSIGN_TOKEN")
            .output()
            .expect("countersign runs")
    }

    /// The same, asserting success and reading its JSON.
    pub(crate) fn cli_json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.cli(&[&["-o", "json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// psql through the edge, with a token as its password.
    pub(crate) fn psql(&self, token: &str, sql: &str) -> Psql {
        psql(&self.ready.edge_dsns["shop"], Some(token), sql)
    }

    /// Logs in at the level of the wire, once for each password, and returns what the edge answered to each.
    pub(crate) fn login(&self, database: &str, passwords: &serde_json::Value) -> serde_json::Value {
        let (host, port) = self.ready.edges[0].listeners["postgres"].split_once(':').expect("host:port");
        let mut child = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/login.py"))
            .args(["--host", host, "--port", port, "--database", database, "--ca"])
            .arg(&self.ready.ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, passwords.to_string().as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("python ends");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The same with one token.
    pub(crate) fn login_once(&self, database: &str, token: &str) -> serde_json::Value {
        self.login(database, &serde_json::json!({ "once": token }))["once"].clone()
    }

    /// psql as the owner of the database, past the edge.
    pub(crate) fn owner(&self, sql: &str) -> String {
        let psql = psql(&self.ready.target_dsns["shop"], None, sql);
        assert_eq!(psql.code, 0, "{}", psql.stderr);
        psql.stdout
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.owned.take());
    }
}

/// A control plane by the settings beside its data folder.
fn start_control_plane(data_dir: &Path) -> Child {
    control_plane(data_dir).spawn().expect("countersign-control-plane starts")
}

/// The command that starts it. Its processes write one log, one after another.
pub(crate) fn control_plane(data_dir: &Path) -> Command {
    let log = fs::File::options().append(true).create(true).open(data_dir.with_extension("log"));
    let mut command = bound_to_us(&program("countersign-control-plane"));
    command
        .arg("--config")
        .arg(data_dir.with_extension("toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("log"));
    command
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
    taken.expect("a free port").port()
}

/// What psql printed.
#[derive(Debug)]
pub(crate) struct Psql {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Psql {
    /// The SQLSTATE of the first error that psql showed.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        let (_, rest) = self.stderr.split_once("ERROR:").or_else(|| self.stderr.split_once("FATAL:"))?;
        rest.trim_start().split(':').next()
    }

    /// The DETAIL of the first error, which is JSON.
    pub(crate) fn detail(&self) -> serde_json::Value {
        let error = self.stderr.split_once("ERROR:").or_else(|| self.stderr.split_once("FATAL:"));
        let (_, rest) = error
            .and_then(|(_, error)| error.split_once("DETAIL:"))
            .unwrap_or_else(|| panic!("no DETAIL: {}", self.stderr));
        let line = rest.lines().next().expect("a line");
        serde_json::from_str(line.trim()).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// psql on any connection string. SQL goes in as one simple query.
pub(crate) fn psql(dsn: &str, password: Option<&str>, sql: &str) -> Psql {
    let mut command = Command::new("psql");
    command
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "VERBOSITY=verbose"])
        .args(["-d", dsn, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "20")
        .env_remove("PGPASSWORD")
        .stdin(Stdio::null());
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    let output = command.output().expect("psql runs");
    Psql {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout).trim().to_owned(),
        stderr: text(&output.stderr),
    }
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asks again and again until there is an answer.
pub(crate) fn wait_until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
