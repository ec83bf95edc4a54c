//! How edges join: once for each token, into its zone, and over mTLS ever after.

use std::{fs, process::Command, time::Duration};

use crate::stack::{Stack, bound_to_us, program, shared, text, wait_until};

fn join_token(stack: &Stack, zone: &str) -> String {
    let made = stack.cli_json(&["edges", "join-token", "--zone", zone]);
    made["joinToken"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// An edge's settings over the stack's control plane, with the stack's own listener certificate.
fn edge_config(
    stack: &Stack,
    folder: &std::path::Path,
    name: &str,
    zone: &str,
    token: &str,
) -> std::path::PathBuf {
    let (certificate, key) = listener_certificate(folder);
    let token_file = folder.join("join-token");
    fs::write(&token_file, token).expect("written");
    let config = folder.join("edge.toml");
    let text = format!(
        "name = \"{name}\"\nzone = \"{zone}\"\nstate_dir = \"{}\"\n\
         [control_plane]\nurl = \"{}\"\nca_file = \"{}\"\njoin_token_file = \"{}\"\n\
         [listeners.postgres]\nlisten = \"127.0.0.1:0\"\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n",
        folder.join("state").display(),
        stack.ready.edge,
        stack.ready.ca.display(),
        token_file.display(),
        certificate.display(),
        key.display(),
    );
    fs::write(&config, text).expect("written");
    config
}

fn listener_certificate(folder: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let (certificate, key) = (folder.join("listener.pem"), folder.join("listener-key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
    (certificate, key)
}

#[test]
fn a_join_token_enrols_one_edge_once() {
    let stack = shared();
    let zone = &stack.ready.edges[0].zone;
    let token = join_token(stack, zone);
    let folder = tempfile::tempdir().expect("folder");
    let config = edge_config(stack, folder.path(), "it-edge-1", zone, &token);
    let mut edge = bound_to_us(&program("countersign-edge"))
        .arg("--config")
        .arg(&config)
        .stderr(fs::File::create(folder.path().join("log")).expect("log"))
        .spawn()
        .expect("countersign-edge starts");
    wait_until("the edge to attach", Duration::from_secs(20), || {
        let edges = stack.cli_json(&["edges", "list"]);
        edges["items"]
            .as_array()?
            .iter()
            .any(|edge| edge["name"] == "it-edge-1" && edge["attached"] == true)
            .then_some(())
    });
    let _ = edge.kill();
    let _ = edge.wait();

    let other = tempfile::tempdir().expect("folder");
    let config = edge_config(stack, other.path(), "it-edge-2", zone, &token);
    let refused =
        Command::new(program("countersign-edge")).arg("--config").arg(&config).output().expect("runs");
    assert!(!refused.status.success(), "a used join token enrolled another edge");
    assert!(!text(&refused.stderr).contains(&token), "the token is in the log");
    let edges = stack.cli_json(&["edges", "list"]).to_string();
    assert!(!edges.contains("it-edge-2"), "{edges}");
}

#[test]
fn a_made_up_join_token_enrols_nothing() {
    let stack = shared();
    let folder = tempfile::tempdir().expect("folder");
    let config = edge_config(stack, folder.path(), "it-edge-3", &stack.ready.edges[0].zone, "made-up");
    let refused =
        Command::new(program("countersign-edge")).arg("--config").arg(&config).output().expect("runs");
    assert!(!refused.status.success());
}

#[test]
fn the_edge_listener_asks_for_a_certificate_of_ours() {
    let stack = shared();
    // A client certificate of somebody else's, and none at all: neither may ask anything but Enrol.
    let folder = tempfile::tempdir().expect("folder");
    let (certificate, key) = listener_certificate(folder.path());
    // An empty message as gRPC frames it: not compressed, of length 0.
    let message = folder.path().join("message");
    fs::write(&message, [0; 5]).expect("written");
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
            .arg("--data-binary")
            .arg(format!("@{}", message.display()))
            .arg(format!("{}/countersign.v1.EdgeService/CloseSession", stack.ready.edge));
        if with_certificate {
            curl.arg("--cert").arg(&certificate).arg("--key").arg(&key);
        }
        let output = curl.output().expect("curl runs");
        attempts.push((with_certificate, output.status.success(), text(&output.stdout)));
    }
    let (_, _, without) = &attempts[0];
    assert!(without.contains("grpc-status: 16") || without.contains("grpc-status: 7"), "{attempts:?}");
    let (_, accepted, foreign) = &attempts[1];
    assert!(!accepted || foreign.contains("grpc-status: 16"), "{attempts:?}");
}
