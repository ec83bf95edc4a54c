//! Whom the database sees.

use std::time::Duration;

use serde_json::json;

use crate::{
    emulator,
    stack::{psql, shared, wait_until},
    target::{Target, Wanted, apply, database_port},
    wire::Wire,
};

#[test]
fn where_each_agent_logs_in_as_itself_the_database_sees_it_and_nobody_else_gets_in() {
    let stack = shared();
    let metadata = emulator::app("own-metadata");
    emulator::put_app(stack, &metadata, "target:own:metadata");
    let role = json!({ "clientId": metadata.client_id, "loginRole": "own_metadata" });
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    let made = psql(&administrator, None, "CREATE ROLE own_metadata LOGIN IN ROLE shop_metadata");
    assert_eq!(made.code, 0, "{}", made.stderr);
    crate::target::add_role(stack, "own_metadata", &metadata.object_id);
    let policies =
        include_str!("../../../deploy/examples/shop-policies.cedar").replace("::\"shop", "::\"own");
    let target = json!({
        "zone": stack.ready.edges[0].zone,
        "postgres": {
            "host": "localhost",
            "port": database_port(stack),
            "database": "shop",
            "caPem": std::fs::read_to_string(&stack.ready.ca).expect("readable"),
        },
        "standing": { "agentRoles": { "reader": "shop_reader_own" } },
        "metadata": role,
    });
    apply(
        stack,
        &[
            json!({ "kind": "Target", "name": "own", "spec": target }),
            json!({ "kind": "PolicyBundle", "name": "own", "spec": { "policies": policies } }),
        ],
    );
    let dsn = stack.ready.edge_dsns["shop"].replace("/shop?", "/own?");
    let token = stack.token("reader");
    wait_until("the edge to serve the target", Duration::from_secs(20), || {
        (psql(&dsn, Some(&token), "SELECT 1").stdout == "1").then_some(())
    });
    let mut session = Wire::open(&dsn, &token, &[]);
    assert_eq!(session.value("SELECT session_user").as_deref(), Some("shop_reader_own"));
    assert_eq!(session.value("SELECT count(*) FROM customers").as_deref(), Some("3"));
    let seen = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_reader_own'";
    assert_eq!(psql(&administrator, None, seen).stdout, "1");
    let issued = emulator::get(stack, "/emulator/requests")["issued"].clone();
    let reader = &emulator::app_named(&emulator::tenant(stack), "reader")["client_id"];
    let own = issued.as_array().expect("a list").iter().any(|one| one["client_id"] == *reader);
    assert!(own, "the reader's own registration was minted for: {issued}");

    let refused = Wire::dial(&dsn, &stack.token("writer"), &[]).cut();
    assert!(refused["C"] == "42501" || refused["C"] == "57P03", "{refused}");
}

#[test]
fn where_the_target_says_so_a_vote_gates_the_sessions_own_connection() {
    let stack = shared();
    let spec = json!({ "approved": null, "approvedOn": "APPROVED_ON_SAME_CONNECTION" });
    let wanted = Wanted { spec, standing_writes: true, ..Wanted::default() };
    let target = Target::declare(stack, "gated", &wanted);
    let mut session = target.session();
    assert_eq!(session.value("SELECT session_user").as_deref(), Some("gated_standing"));
    let before = target.issued("standing").len();
    let mut wrote = Vec::new();
    for id in [10, 11] {
        let notice = session
            .held(&format!("INSERT INTO gated (id, status) VALUES ({id}, 'gated') RETURNING connection"));
        assert_eq!(stack.owner(&format!("SELECT count(*) FROM gated WHERE id = {id}")), "0");
        stack.approve("dana", notice["approval_id"].as_str().expect("an id"));
        let answer = session.finish();
        assert_eq!(answer.tags, ["INSERT 0 1"], "{answer:?}");
        wrote.push(answer.rows[0][0].clone());
    }
    assert_eq!(wrote[0], wrote[1], "both ran on the session's one connection");
    assert_eq!(target.issued("standing").len(), before, "nothing was minted for them");
    assert_eq!(target.issued("approved").len(), 0);
    let notice = session.held(&target.update(1, "denied"));
    stack.deny("dana", notice["approval_id"].as_str().expect("an id"));
    assert_eq!(session.finish().refusal().1["decision"], "denied");
    assert_eq!(target.status(1), "new");
}

#[test]
fn a_target_whose_identities_share_a_registration_is_refused() {
    let stack = shared();
    let shown = stack.cli_json(&["targets", "show", "shop"]);
    let mut spec = shown["spec"].clone();
    spec["approved"]["clientId"] = spec["standing"]["clientId"].clone();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("target.yaml");
    let document = json!({ "kind": "Target", "name": "shop", "spec": spec });
    std::fs::write(&file, document.to_string()).expect("written");
    let refused = stack.cli(&["apply", "-f", &file.to_string_lossy()]);
    assert_eq!(refused.status.code(), Some(1), "{}", crate::stack::text(&refused.stderr));
    assert_eq!(stack.cli_json(&["targets", "show", "shop"])["spec"], shown["spec"]);
}
