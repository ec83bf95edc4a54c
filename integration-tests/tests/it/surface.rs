//! What outsiders rely on: the ready line, the admin API's reflection and health, the issuer, the layout.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::stack::{client, shared, text};

#[test]
fn the_ready_line_says_what_it_must() {
    let ready = &shared().ready;
    assert!(ready.admin.starts_with("https://") && ready.edge.starts_with("https://"));
    assert!(ready.entra.starts_with("https://") && ready.console.starts_with("https://"));
    assert!(ready.ca.exists() && ready.admin_token_file.exists());
    assert_eq!(ready.approver_token_files.keys().collect::<Vec<_>>(), ["dana", "omar"]);
    assert!(ready.edges[0].listeners["postgres"].starts_with("127.0.0.1:"));
    assert!(ready.edge_dsns["shop"].contains("sslmode=verify-full"), "{:?}", ready.edge_dsns);
    assert!(!ready.target_dsns["shop"].contains("password"));
}

#[test]
fn every_url_verifies_under_the_printed_root() {
    let ready = &shared().ready;
    for url in [
        format!("{}/.well-known/openid-configuration", ready.admin),
        format!("{}/emulator/requests", ready.entra.trim_end_matches('/')),
    ] {
        for host in ["localhost", "127.0.0.1"] {
            let url = url.replace("localhost", host);
            let output = Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--max-time", "10", "--cacert"])
                .arg(&ready.ca)
                .arg(&url)
                .output()
                .expect("curl runs");
            assert!(output.status.success(), "{url}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn the_issuer_publishes_what_entra_needs_and_no_more() {
    let ready = &shared().ready;
    let get = |url: &str| -> serde_json::Value {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "10", "--cacert"])
            .arg(&ready.ca)
            .arg(url)
            .output()
            .expect("curl runs");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let discovery = get(&format!("{}/.well-known/openid-configuration", ready.admin));
    assert_eq!(discovery["id_token_signing_alg_values_supported"], serde_json::json!(["RS256"]));
    let keys = get(discovery["jwks_uri"].as_str().expect("URL"));
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["use"], &key["alg"]), (&"RSA".into(), &"sig".into(), &"RS256".into()));
    assert!(key.get("d").is_none() && key.get("p").is_none(), "a private part is published");
}

#[test]
fn a_client_that_knows_only_reflection_finds_its_way() {
    let stack = shared();
    let address = stack.ready.admin.trim_start_matches("https://");
    let grpcurl = |arguments: &[&str]| {
        let output = Command::new(client("grpcurl"))
            .args(["-cacert", &stack.ready.ca.to_string_lossy()])
            .args(arguments)
            .output()
            .expect("grpcurl runs");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (listed, services) = grpcurl(&[address, "list"]);
    assert!(listed, "{services}");
    for service in [
        "countersign.v1.ResourceService",
        "countersign.v1.RecordingService",
        "countersign.v1.ApprovalService",
        "grpc.health.v1.Health",
    ] {
        assert!(services.contains(service), "{service} is not in {services}");
    }
    assert!(!services.contains("EdgeService"), "the edges' service is on the admin listener: {services}");
    let (healthy, status) = grpcurl(&[address, "grpc.health.v1.Health/Check"]);
    assert!(healthy && status.contains("SERVING"), "{status}");
    let (open, refused) = grpcurl(&[address, "countersign.v1.SessionService/ListSessions"]);
    assert!(!open && refused.contains("Unauthenticated"), "{refused}");
}

#[test]
fn crates_point_downwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("root");
    let tree = |package: &str| -> BTreeSet<String> {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "-p",
                package,
            ])
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let listed = text(&output.stdout);
        listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let edge = tree("countersign-edge");
    for heavy in ["redis", "object_store", "openidconnect", "redb", "axum", "reqwest", "jsonwebtoken"] {
        assert!(!edge.contains(heavy), "the edge brings {heavy}");
    }
    for above in ["countersign-core", "countersign-store", "countersign-entra", "countersign-archive"] {
        assert!(!edge.contains(above), "the edge brings {above}");
    }
    let emulator = tree("countersign-entra-emulator");
    let ours: Vec<_> = emulator.iter().filter(|name| name.starts_with("countersign-")).collect();
    assert_eq!(ours, ["countersign-entra-emulator"], "the emulator shares code with what it judges");
    let postgres = tree("countersign-postgres");
    for transport in ["tonic", "prost", "cedar-policy"] {
        assert!(!postgres.contains(transport), "the protocol brings {transport}");
    }
    let model = tree("countersign-model");
    for heavy in ["tokio", "tonic", "serde"] {
        assert!(!model.contains(heavy), "the model brings {heavy}");
    }
    let everything = tree("countersign-dev");
    for second in ["ring", "openssl-sys", "native-tls"] {
        assert!(!everything.contains(second), "a second TLS stack: {second}");
    }
}

#[test]
fn every_noun_lists_and_shows() {
    let stack = shared();
    stack.psql(&stack.token("reader"), "SELECT 1");
    stack.psql_approved(&stack.token("writer"), "DELETE FROM orders WHERE id = -2");
    let name = |item: &serde_json::Value| {
        let name = item["name"].as_str().or(item["id"].as_str());
        name.unwrap_or_else(|| panic!("neither name nor id: {item}")).to_owned()
    };
    for noun in ["targets", "agents", "zones", "policies", "edges", "sessions", "recordings", "approvals"] {
        let listed = stack.cli_json(&[noun, "list"]);
        let first = listed["items"].get(0).unwrap_or_else(|| panic!("no {noun}: {listed}"));
        let shown = stack.cli_json(&[noun, "show", &name(first)]);
        assert_eq!(name(&shown), name(first), "{noun}");
        let nothing = stack.cli(&[noun, "show", "not-there"]);
        assert_eq!(nothing.status.code(), Some(1), "{noun}: {}", text(&nothing.stderr));
    }
    let usage = stack.cli(&["no-such-noun"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn another_implementation_computes_the_same_digests() {
    let judge = |vectors: Option<&Path>| {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/digest.py")).args(vectors);
        let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python runs");
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (agrees, said) = judge(None);
    assert!(agrees, "{said}");
    // The control: a vector that is changed anywhere is noticed.
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/model/src/digest/vectors.json");
    let published = std::fs::read_to_string(published).expect("readable");
    let folder = tempfile::tempdir().expect("folder");
    let changed = folder.path().join("vectors.json");
    std::fs::write(&changed, published.replacen("shop", "shoq", 1)).expect("written");
    assert_ne!(std::fs::read_to_string(&changed).expect("readable"), published);
    let (agrees, said) = judge(Some(&changed));
    assert!(!agrees, "{said}");
}
