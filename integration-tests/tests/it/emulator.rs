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

/// `PUT` to the test interface.
pub(crate) fn put(stack: &Stack, path: &str, body: &serde_json::Value) {
    call(stack, "PUT", path, Some(body));
}

/// An app registration that the story does not have.
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) client_id: String,
    pub(crate) object_id: String,
}

/// A new one.
pub(crate) fn app(name: &str) -> App {
    let id = || uuid::Uuid::new_v4().to_string();
    App { name: name.to_owned(), client_id: id(), object_id: id() }
}

/// Registers it, trusting one subject of the control plane's issuer.
pub(crate) fn put_app(stack: &Stack, app: &App, subject: &str) {
    let trusted = serde_json::json!({
        "name": "countersign",
        "issuer": stack.ready.admin,
        "subject": format!("cs:dev:{subject}"),
        "audience": "api://AzureADTokenExchange",
    });
    let registration = serde_json::json!({
        "client_id": app.client_id,
        "object_id": app.object_id,
        "name": app.name,
        "federated_credentials": [trusted],
    });
    put(stack, "/emulator/apps", &serde_json::json!({ "app": registration }));
}

/// A token as the test interface makes them.
pub(crate) fn token(stack: &Stack, request: &serde_json::Value) -> String {
    let answer = post(stack, "/emulator/tokens", request);
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The story's tenant.
pub(crate) fn tenant(stack: &Stack) -> serde_json::Value {
    get(stack, "/emulator/directory")["tenants"][0].clone()
}

/// An app registration of a tenant, by its name.
pub(crate) fn app_named(tenant: &serde_json::Value, name: &str) -> serde_json::Value {
    let mut apps = tenant["apps"].as_array().expect("apps").iter();
    apps.find(|app| app["name"] == name).unwrap_or_else(|| panic!("no {name}: {tenant}")).clone()
}
