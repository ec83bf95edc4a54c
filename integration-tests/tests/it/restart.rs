//! What survives: everything that was acknowledged.

use std::time::Duration;

use serde_json::json;

use crate::{
    edge::{Edge, join_token},
    emulator::{app_named, tenant},
    stack::{Stack, shared, wait_until},
    target::{Target, Wanted, apply},
};

#[test]
fn a_killed_stack_comes_back_with_everything_it_acknowledged() {
    let folder = tempfile::Builder::new().prefix("countersign-it-").tempdir_in("/tmp").expect("folder");
    let data_dir = folder.path().join("data");
    let mut first = Stack::start_in(&data_dir);
    let token = first.token("reader");
    assert_eq!(first.psql(&token, "SELECT 1").code, 0);
    let yaml = folder.path().join("agent.yaml");
    std::fs::write(
        &yaml,
        "kind: Agent\nname: latecomer\nspec:\n  tenantId: 11111111-1111-4111-8111-111111111111\n  \
         objectId: 22222222-2222-4222-8222-222222222222\n  appId: 33333333-3333-4333-8333-333333333333\n",
    )
    .expect("written");
    let applied = first.cli(&["apply", "-f", &yaml.to_string_lossy()]);
    assert!(applied.status.success(), "{}", crate::stack::text(&applied.stderr));
    let sessions =
        |stack: &Stack| stack.cli_json(&["sessions", "list"])["items"].as_array().map_or(0, Vec::len);
    let before = sessions(&first);
    assert!(before >= 1);
    first.kill();

    let mut second = Stack::start_in(&data_dir);
    let agents = second.cli_json(&["agents", "list"]).to_string();
    assert!(agents.contains("latecomer"), "{agents}");
    assert!(sessions(&second) >= before);
    assert_eq!(second.psql(&second.token("reader"), "SELECT 2").stdout, "2");
    wait_until("the killed stack's recordings", Duration::from_secs(30), || {
        let list = second.cli_json(&["recordings", "list"]);
        let items = list["items"].as_array()?.clone();
        (items.len() > before && items.iter().all(|item| item["sealed"] == true)).then_some(())
    });
    assert_eq!(second.stop(), Some(0), "{}", second.log());
}

#[test]
fn what_waits_for_people_outlives_a_restart_of_the_control_plane() {
    let mut beside = shared().control_plane_beside();
    let tenant = tenant(&beside);
    let writer = app_named(&tenant, "writer");
    let agent =
        json!({ "tenantId": tenant["id"], "objectId": writer["object_id"], "appId": writer["client_id"] });
    let zone = json!({ "audience": app_named(&tenant, "gateway")["client_id"] });
    apply(
        &beside,
        &[
            json!({ "kind": "Zone", "name": beside.ready.edges[0].zone, "spec": zone }),
            json!({ "kind": "Agent", "name": "writer", "spec": agent }),
        ],
    );
    let mut edge = Edge::new(&beside, "it-beside", &join_token(&beside));
    edge.start(&beside, "it-beside");
    beside.ready.edge_dsns.insert("shop".to_owned(), edge.dsn());
    let target = Target::declare(&beside, "lasting", &Wanted::default());
    let (mut one, mut other) = (target.session(), target.session());
    let first = one.held(&target.update(1, "after the restart"))["approval_id"].clone();
    let second = other.held(&target.update(2, "before the restart"))["approval_id"].clone();
    let (first, second) = (first.as_str().expect("an id"), second.as_str().expect("an id"));

    // The edge sleeps while one of them is approved, so that it learns of it from the next process.
    edge.signal("-STOP");
    beside.approve("omar", second);
    drop(target);
    beside.restart();
    edge.signal("-CONT");
    let status = |id: u32| beside.owner(&format!("SELECT status FROM lasting WHERE id = {id}"));
    assert_eq!(other.finish().tags, ["UPDATE 1"], "what was approved runs");
    assert_eq!(beside.approval(first)["state"], "APPROVAL_STATE_PENDING");
    assert_eq!(status(1), "new");
    beside.approve("dana", first);
    assert_eq!(one.finish().tags, ["UPDATE 1"]);
    assert_eq!((status(1).as_str(), status(2).as_str()), ("after the restart", "before the restart"));
    for id in [first, second] {
        beside.settled(id, "CONSUMED");
    }
}
