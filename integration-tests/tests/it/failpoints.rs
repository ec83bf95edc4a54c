//! `kill -9` in the middle of all that matters, in daemons that are started again and that nobody repairs.
//!
//! Every failpoint is armed at once, each for one death. An agent and people go on with their work while the
//! daemons die around them, until each has struck; then what the target has is held against what is on
//! record.

mod evidence;
mod work;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use countersign_runtime::Failpoint;
use serde_json::json;
use tempfile::TempDir;

use self::{
    evidence::Evidence,
    work::{Done, Step},
};
use crate::{
    edge::{Edge, join_token},
    emulator::{app_named, tenant},
    stack::{Stack, control_plane, psql},
    supervised::Supervised,
    target::{Target, Wanted, apply},
};

/// Rounds of work within which every failpoint has to strike. Each round meets several.
const ROUNDS: usize = 16;

/// How long daemons that died take to serve again.
const AGAIN: Duration = Duration::from_secs(40);

#[test]
fn what_is_killed_anywhere_starts_again_by_itself_and_did_nothing_twice_or_unrecorded() {
    let mut world = World::set();
    let mut done = Vec::new();
    for _ in 0..ROUNDS {
        for step in Step::ALL {
            done.push(world.work(step));
        }
        if world.left().is_empty() {
            break;
        }
    }
    // What is archived is archived in its own time.
    wait_until_or(AGAIN, || world.left().is_empty(), || format!("never reached: {:?}", world.left()));
    world.calm_down();
    for step in Step::ALL {
        let last = world.work(step);
        assert!(!last.cut, "nothing is armed any more, and {step:?} fails: {:?}", last.told);
        done.push(last);
    }
    assert_eq!(world.edge.other_ends(), [], "{}", world.log());
    assert_eq!(world.control_plane.other_ends(), [], "{}", world.log());
    let evidence = Evidence::gather(&world, &done);
    assert_eq!(evidence.faults(&done), Vec::<String>::new(), "{}", world.log());
    assert!(evidence.ran_unheard(&done) > 0, "the control: an edge died after the target had written");
    for (what, tampered) in evidence.tampered(&done) {
        assert_ne!(tampered.faults(&done), Vec::<String>::new(), "the control: {what}");
    }
}

#[test]
fn a_failpoint_that_is_not_on_the_list_keeps_a_daemon_from_starting() {
    for daemon in ["countersign-edge", "countersign-control-plane"] {
        let folder = tempfile::tempdir().expect("folder");
        let config = folder.path().join("config.toml");
        fs::write(&config, anybodys_config(daemon, folder.path())).expect("written");
        let started = Command::new("timeout")
            .arg("20")
            .arg(crate::stack::program(daemon))
            .arg("--config")
            .arg(&config)
            .env("COUNTERSIGN_FAILPOINTS", "operation.snet=kill")
            .env("COUNTERSIGN_FAILPOINT_MARKERS", folder.path())
            .output()
            .expect("it runs");
        let said = crate::stack::text(&started.stderr);
        assert_eq!(started.status.code(), Some(1), "{daemon}: {said}");
        assert!(said.contains("operation.snet"), "{daemon}: {said}");
    }
}

/// Settings that are well formed.
fn anybodys_config(daemon: &str, folder: &Path) -> String {
    let folder = folder.display();
    if daemon == "countersign-edge" {
        format!(
            "name = \"nobody\"\nzone = \"dev\"\nstate_dir = \"{folder}/state\"\n\
             [control_plane]\nurl = \"https://localhost:1\"\nca_file = \"{folder}/root.pem\"\n\
             [listeners.postgres]\nlisten = \"127.0.0.1:0\"\ncertificate_file = \"{folder}/edge.pem\"\n\
             key_file = \"{folder}/edge-key.pem\"\n"
        )
    } else {
        format!(
            "deployment = \"dev\"\ndata_dir = \"{folder}/data\"\n\
             admin = {{ listen = \"127.0.0.1:0\", audience = \"11111111-1111-4111-8111-111111111111\" }}\n\
             edge = {{ listen = \"127.0.0.1:0\" }}\n\
             entra = {{ tenant_id = \"22222222-2222-4222-8222-222222222222\" }}\n"
        )
    }
}

/// Target and Entra, which stay, and the daemons, which do not.
struct World {
    /// Entra and the target; its own control plane and edge have no part in this.
    stack: Stack,
    /// The control plane that dies, for clients of it.
    people: Arc<Stack>,
    control_plane: Supervised,
    edge: Supervised,
    settings: Arc<Edge>,
    /// Through the edge, without the password.
    dsn: String,
    markers: TempDir,
    /// Deaths that were counted before somebody was served.
    served_after: usize,
    /// Users of sessions that only looked whether one is served, and whether they were cut.
    looked: Vec<(String, bool)>,
    number: u32,
}

impl World {
    fn set() -> Self {
        let stack = Stack::start();
        let mut beside = stack.control_plane_beside();
        declare(&beside);
        let mut edge = Edge::new(&beside, "it-failing", &join_token(&beside));
        edge.start(&beside, "it-failing");
        beside.ready.edge_dsns.insert("shop".to_owned(), edge.dsn());
        let target = Target::declare(&beside, "failing", &Wanted::default()).with_free_table();
        let dsn = target.dsn();
        // What is written twice has to show.
        beside.owner("ALTER TABLE failing DROP CONSTRAINT failing_pkey");
        beside.owner("ALTER TABLE failing_free DROP CONSTRAINT failing_free_pkey");

        edge.kill();
        beside.kill();
        let markers = tempfile::tempdir().expect("folder");
        let (settings, data_dir) = (Arc::new(edge), beside.data_dir.clone());
        let folder = markers.path().to_owned();
        let control_plane = Supervised::start(move || armed(control_plane(&data_dir), &folder));
        let (folder, of_edge) = (markers.path().to_owned(), settings.clone());
        let edge = Supervised::start(move || armed(of_edge.command(), &folder));
        let mut world = Self {
            stack,
            people: Arc::new(beside),
            control_plane,
            edge,
            settings,
            dsn,
            markers,
            served_after: 0,
            looked: Vec::new(),
            number: 0,
        };
        world.calm_down();
        world
    }

    /// A step, after which somebody is served again. What fails has to have died.
    fn work(&mut self, step: Step) -> Done {
        self.number += 1;
        let (before, edge_before) = (self.deaths(), self.edge.deaths());
        let mut done = step.take(self, self.number);
        if done.cut {
            let served_after = self.served_after;
            let died = || self.deaths() > served_after;
            let told = done.told.clone();
            wait_until_or(Duration::from_secs(5), died, || {
                format!("{step:?} failed though nothing died: {told:?}\n{}", self.log())
            });
            self.calm_down();
        } else {
            self.served_after = before;
        }
        done.edge_died = self.edge.deaths() > edge_before;
        done
    }

    /// Waits until a session is served.
    fn calm_down(&mut self) {
        let token = self.stack.token("writer");
        let until = std::time::Instant::now() + AGAIN;
        loop {
            self.number += 1;
            let before = self.deaths();
            let user = format!("look-{}", self.number);
            let dsn = self.dsn.replace("//it@", &format!("//{user}@"));
            // No statement: what strikes there is to strike in the middle of a write.
            let served = psql(&dsn, Some(&token), "\\q");
            self.looked.push((user, served.code != 0));
            if served.code == 0 {
                self.served_after = before;
                return;
            }
            let late = std::time::Instant::now() >= until;
            assert!(!late, "nobody is served again: {served:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn deaths(&self) -> usize {
        self.edge.deaths() + self.control_plane.deaths()
    }

    /// Failpoints that have not struck.
    fn left(&self) -> Vec<&'static str> {
        let names = Failpoint::ALL.iter().map(|point| point.name());
        names.filter(|name| !self.marker(name).exists()).collect()
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.markers.path().join(name)
    }

    /// What has struck, in order, and the ends of the logs.
    fn log(&self) -> String {
        let when = |name: &str| fs::metadata(self.marker(name)).and_then(|marker| marker.modified()).ok();
        let mut struck: Vec<_> =
            Failpoint::ALL.iter().filter_map(|point| Some((when(point.name())?, point.name()))).collect();
        struck.sort();
        let struck: Vec<_> = struck.into_iter().map(|(_, name)| name).collect();
        let tail = |log: String| log.lines().rev().take(40).collect::<Vec<_>>().join("\n");
        let (edge, control_plane) = (tail(self.settings.log()), tail(self.people.log()));
        format!("struck: {struck:?}\nedge, last first:\n{edge}\ncontrol plane, last first:\n{control_plane}")
    }
}

/// Zone and agent of the story.
fn declare(beside: &Stack) {
    let tenant = tenant(beside);
    let writer = app_named(&tenant, "writer");
    let agent =
        json!({ "tenantId": tenant["id"], "objectId": writer["object_id"], "appId": writer["client_id"] });
    let zone = json!({ "audience": app_named(&tenant, "gateway")["client_id"] });
    apply(
        beside,
        &[
            json!({ "kind": "Zone", "name": beside.ready.edges[0].zone, "spec": zone }),
            json!({ "kind": "Agent", "name": "writer", "spec": agent }),
        ],
    );
}

/// Every failpoint, for one death each.
fn armed(mut command: Command, markers: &Path) -> Command {
    let points: Vec<String> = Failpoint::ALL.iter().map(|point| format!("{}=kill", point.name())).collect();
    command.env("COUNTERSIGN_FAILPOINTS", points.join(",")).env("COUNTERSIGN_FAILPOINT_MARKERS", markers);
    command
}

/// Waits until it is so; says why not in the end.
fn wait_until_or(limit: Duration, is_so: impl Fn() -> bool, why: impl Fn() -> String) {
    let until = std::time::Instant::now() + limit;
    while !is_so() {
        assert!(std::time::Instant::now() < until, "{}", why());
        std::thread::sleep(Duration::from_millis(50));
    }
}
