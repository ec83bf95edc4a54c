//! What survives: everything that was acknowledged.

use std::time::Duration;

use crate::stack::{Stack, wait_until};

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
