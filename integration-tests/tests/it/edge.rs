//! An edge as its operator runs it: the real `countersign-edge`, in a process of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use tempfile::TempDir;

use crate::stack::{Psql, Stack, bound_to_us, free_port, program, psql, text, wait_until};

/// Settings of an edge of the stack's zone, and everything that they name.
pub(crate) struct Edge {
    folder: TempDir,
    config: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// A one-time token for an edge of the stack's zone.
pub(crate) fn join_token(stack: &Stack) -> String {
    let made = stack.cli_json(&["edges", "join-token", "--zone", &stack.ready.edges[0].zone]);
    made["joinToken"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

impl Edge {
    /// An edge that has not started yet.
    pub(crate) fn new(stack: &Stack, name: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (certificate, key) = certificate(folder.path());
        let token_file = folder.path().join("join-token");
        fs::write(&token_file, token).expect("written");
        let port = free_port();
        let config = folder.path().join("edge.toml");
        let text = format!(
            "name = \"{name}\"\nzone = \"{}\"\nstate_dir = \"{}\"\n\
             [control_plane]\nurl = \"{}\"\nca_file = \"{}\"\njoin_token_file = \"{}\"\n\
             [listeners.postgres]\nlisten = \"127.0.0.1:{port}\"\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n",
            stack.ready.edges[0].zone,
            folder.path().join("state").display(),
            stack.ready.edge,
            stack.ready.ca.display(),
            token_file.display(),
            certificate.display(),
            key.display(),
        );
        fs::write(&config, text).expect("written");
        Self { folder, config, port, child: None }
    }

    /// Starts it and waits until the control plane says that it is attached, and it knows that itself.
    pub(crate) fn start(&mut self, stack: &Stack, name: &str) {
        self.child = Some(self.command().spawn().expect("countersign-edge starts"));
        wait_until("the edge to attach", Duration::from_secs(20), || {
            let edges = stack.cli_json(&["edges", "list"]);
            let ours = |edge: &serde_json::Value| edge["name"] == name && edge["attached"] == true;
            edges["items"].as_array()?.iter().any(ours).then_some(())
        });
        wait_until("the edge to be configured", Duration::from_secs(20), || {
            let refused = self.psql("no token", "SELECT 1");
            (!refused.stderr.contains("the control plane does not answer")).then_some(())
        });
    }

    /// The command that starts it. Its processes write one log, one after another.
    pub(crate) fn command(&self) -> Command {
        let log = fs::File::options().append(true).create(true).open(self.folder.path().join("log"));
        let mut command = bound_to_us(&program("countersign-edge"));
        let log = log.expect("log");
        command.arg("--config").arg(&self.config).stdout(log.try_clone().expect("log")).stderr(log);
        command
    }

    /// Everything that it keeps, and its log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Pulls the plug of the process that [`Edge::start`] started.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs it to its end, which must come by itself: whether it succeeded, and its log.
    pub(crate) fn run(&self) -> (bool, String) {
        let output = Command::new("timeout")
            .arg("30")
            .arg(program("countersign-edge"))
            .arg("--config")
            .arg(&self.config)
            .output()
            .expect("countersign-edge runs");
        (output.status.success(), text(&output.stderr))
    }

    /// Through this edge, without the password.
    pub(crate) fn dsn(&self) -> String {
        let root = self.folder.path().join("listener.pem");
        format!(
            "postgresql://it@localhost:{}/shop?sslmode=verify-full&sslrootcert={}",
            self.port,
            root.display()
        )
    }

    /// psql through this edge.
    pub(crate) fn psql(&self, token: &str, sql: &str) -> Psql {
        psql(&self.dsn(), Some(token), sql)
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A certificate that nobody else vouches for, and its key, as files.
pub(crate) fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let (certificate, key) = (folder.join("listener.pem"), folder.join("listener-key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
    (certificate, key)
}
