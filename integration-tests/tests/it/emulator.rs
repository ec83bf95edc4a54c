//! The knobs of the stack's Entra emulator.

use std::{fs, process::Command};

use crate::stack::{Stack, client, text};

/// A blocking HTTPS call to the emulator's test interface, by curl: it knows nothing of us.
fn call(stack: &Stack, method: &str, path: &str, body: Option<&serde_json::Value>) -> serde_json::Value {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "30", "--cacert"])
        .arg(&stack.ready.ca)
        .args(["-X", method])
        .arg(format!("{}{path}", stack.ready.entra.trim_end_matches('/')));
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let output = command.output().expect("curl runs");
    assert!(output.status.success(), "{method} {path}: {}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// `POST` to the test interface.
pub(crate) fn post(stack: &Stack, path: &str, body: &serde_json::Value) -> serde_json::Value {
    call(stack, "POST", path, Some(body))
}

/// `GET` from the emulator.
pub(crate) fn get(stack: &Stack, path: &str) -> serde_json::Value {
    call(stack, "GET", path, None)
}

/// The forgeries of `clients/forge.py` over a genuine token.
pub(crate) fn forgeries(stack: &Stack, genuine: &str) -> serde_json::Map<String, serde_json::Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/forge.py");
    assert!(fs::exists(script).expect("readable"));
    let output = Command::new(client("python"))
        .arg(script)
        .args(["--entra", &stack.ready.entra, "--ca"])
        .arg(&stack.ready.ca)
        .env("GENUINE", genuine)
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
