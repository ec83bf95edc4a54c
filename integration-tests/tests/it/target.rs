//! A target of a test's own: the stack's database by roles, app registrations and policies that no other test uses.
//! So what is counted and what is changed is the test's alone.

use std::{collections::BTreeMap, fs, sync::Mutex, time::Duration};

use serde_json::{Value, json};

use crate::{
    emulator,
    stack::{Stack, psql, text, wait_until},
    wire::Wire,
};

/// The example's policies, from which those of a target are made.
const POLICIES: &str = include_str!("../../../deploy/examples/shop-policies.cedar");
/// Grants change rows that all targets share, which PostgreSQL refuses to do twice at once: one target at a time.
static DECLARING: Mutex<()> = Mutex::new(());

/// Declared, and served by the stack's edge.
pub(crate) struct Target<'s> {
    pub(crate) stack: &'s Stack,
    pub(crate) name: String,
    /// Client ids by identity.
    clients: BTreeMap<&'static str, String>,
}

/// How it differs from the shop.
pub(crate) struct Wanted<'a> {
    /// Where its database is; the stack's own unless told.
    pub(crate) port: Option<u16>,
    /// Fields of the spec, in the place of those that it has.
    pub(crate) spec: Value,
    /// Distinct people that an approval needs.
    pub(crate) quorum: u32,
    /// Who may write.
    pub(crate) writer: &'a str,
    /// The standing role may write as well.
    pub(crate) standing_writes: bool,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { port: None, spec: json!({}), quorum: 1, writer: "writer", standing_writes: false }
    }
}

impl<'s> Target<'s> {
    /// Declares a target with a table of the same name, in which rows 1 to 9 are `new`.
    pub(crate) fn declare(stack: &'s Stack, name: &str, wanted: &Wanted<'_>) -> Self {
        let declaring = DECLARING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        prepare_database(stack, name, wanted.standing_writes);
        let clients = register(stack, name);
        let target = Self { stack, name: name.to_owned(), clients };
        target.apply(wanted);
        drop(declaring);
        let token = stack.token(wanted.writer);
        wait_until("the edge to serve the target", Duration::from_secs(20), || {
            (psql(&target.dsn(), Some(&token), "SELECT 1").stdout == "1").then_some(())
        });
        target
    }

    /// Makes a table beside its own, `<name>_free`, in which row 1 is, which the writer may change without a vote; and
    /// lets it sleep.
    pub(crate) fn with_free_table(self) -> Self {
        let name = &self.name;
        self.stack.owner(&format!(
            "CREATE TABLE {name}_free (id integer PRIMARY KEY, note text);
             INSERT INTO {name}_free VALUES (1, 'there');
             GRANT SELECT, INSERT, UPDATE, DELETE ON {name}_free TO {name}_standing, {name}_approved"
        ));
        self.add_policies(
            &format!("{name}-free"),
            "permit (
               principal == Agent::\"writer\",
               action in [Action::\"postgres:insert\", Action::\"postgres:update\", Action::\"postgres:delete\"],
               resource in Table::\"TARGET/shop/public/TARGET_free\"
             );
             permit (
               principal == Agent::\"writer\",
               action == Action::\"postgres:call\",
               resource == Function::\"TARGET/shop/pg_catalog/pg_sleep\"
             );",
        );
        let token = self.stack.token("writer");
        wait_until("the permit to act", Duration::from_secs(20), || {
            (psql(&self.dsn(), Some(&token), "SELECT pg_sleep(0)").code == 0).then_some(())
        });
        self
    }

    /// Through the edge, without the password.
    pub(crate) fn dsn(&self) -> String {
        self.stack.ready.edge_dsns["shop"].replace("/shop?", &format!("/{}?", self.name))
    }

    /// A session of the writer.
    pub(crate) fn session(&self) -> Wire {
        self.session_with(&[])
    }

    /// The same with parameters of its startup.
    pub(crate) fn session_with(&self, options: &[&str]) -> Wire {
        Wire::open(&self.dsn(), &self.stack.token("writer"), options)
    }

    /// An UPDATE that has to be approved: of one row of the table, to a status.
    pub(crate) fn update(&self, id: u32, status: &str) -> String {
        format!("UPDATE {} SET status = '{status}' WHERE id = {id}", self.name)
    }

    /// The status of a row, past the edge.
    pub(crate) fn status(&self, id: u32) -> String {
        self.stack.owner(&format!("SELECT status FROM {} WHERE id = {id}", self.name))
    }

    /// When tokens were issued for one of its identities, in milliseconds since 1970.
    pub(crate) fn issued(&self, identity: &str) -> Vec<u64> {
        let log = emulator::get(self.stack, "/emulator/requests");
        let issued = log["issued"].as_array().unwrap_or_else(|| panic!("{log}")).iter();
        issued
            .filter(|token| token["client_id"] == self.clients[identity].as_str())
            .map(|token| token["at_ms"].as_u64().expect("a time"))
            .collect()
    }

    /// Its approvals that are not final.
    pub(crate) fn open_approvals(&self) -> Vec<Value> {
        let open = ["APPROVAL_STATE_PENDING", "APPROVAL_STATE_APPROVED"];
        self.approvals()
            .into_iter()
            .filter(|approval| open.iter().any(|state| approval["state"] == *state))
            .collect()
    }

    /// All its approvals, newest first.
    pub(crate) fn approvals(&self) -> Vec<Value> {
        let list = self.stack.cli_json(&["approvals", "list"]);
        let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}")).iter();
        items.filter(|approval| approval["session"]["target"] == self.name.as_str()).cloned().collect()
    }

    /// Applies target and policies.
    fn apply(&self, wanted: &Wanted<'_>) {
        let name = &self.name;
        let identity = |identity| json!({ "clientId": self.clients[identity], "loginRole": format!("{name}_{identity}") });
        let port = wanted.port.unwrap_or_else(|| database_port(self.stack));
        let mut spec = json!({
            "zone": self.stack.ready.edges[0].zone,
            "postgres": {
                "host": "localhost",
                "port": port,
                "database": "shop",
                "caPem": fs::read_to_string(&self.stack.ready.ca).expect("readable"),
            },
            "standing": identity("standing"),
            "metadata": identity("metadata"),
            "approved": identity("approved"),
        });
        for (field, value) in wanted.spec.as_object().expect("an object") {
            spec[field] = value.clone();
        }
        // A field that is null is one that is not set.
        spec.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let policies = POLICIES
            .replace("::\"shop", &format!("::\"{name}"))
            .replace("/orders\"", &format!("/{name}\""))
            .replace("Agent::\"writer\"", &format!("Agent::\"{}\"", wanted.writer))
            .replace("@quorum(\"1\")", &format!("@quorum(\"{}\")", wanted.quorum));
        apply(
            self.stack,
            &[
                json!({ "kind": "Target", "name": name, "spec": spec }),
                json!({ "kind": "PolicyBundle", "name": name, "spec": { "policies": policies } }),
            ],
        );
    }

    /// Puts policies beside its own; `TARGET` in them is its name.
    pub(crate) fn add_policies(&self, bundle: &str, policies: &str) {
        let policies = policies.replace("TARGET", &self.name);
        apply(
            self.stack,
            &[json!({ "kind": "PolicyBundle", "name": bundle, "spec": { "policies": policies } })],
        );
    }
}

/// Applies resources, which have to be taken.
pub(crate) fn apply(stack: &Stack, resources: &[Value]) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("resources.yaml");
    // JSON is YAML.
    let documents: Vec<String> = resources.iter().map(ToString::to_string).collect();
    fs::write(&file, documents.join("\n---\n")).expect("written");
    let output = stack.cli(&["apply", "-f", &file.to_string_lossy()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The database's own port.
pub(crate) fn database_port(stack: &Stack) -> u16 {
    stack.owner("SHOW port").parse().expect("a port")
}

/// Roles that may log in, and a table that shows who wrote each row and by which connection.
fn prepare_database(stack: &Stack, name: &str, standing_writes: bool) {
    let writers = if standing_writes {
        format!("{name}_approved, {name}_standing")
    } else {
        format!("{name}_approved")
    };
    let sql = format!(
        "CREATE ROLE {name}_standing LOGIN; CREATE ROLE {name}_metadata LOGIN; CREATE ROLE {name}_approved LOGIN;
         GRANT CONNECT ON DATABASE shop TO {name}_standing, {name}_metadata, {name}_approved;
         CREATE TABLE {name} (id integer PRIMARY KEY, status text, at timestamptz,
             who text DEFAULT session_user, connection integer DEFAULT pg_backend_pid());
         ALTER TABLE {name} OWNER TO shop_owner;
         INSERT INTO {name} SELECT id, 'new' FROM generate_series(1, 9) AS id;
         GRANT SELECT ON {name} TO {name}_standing, {name}_approved;
         GRANT INSERT, UPDATE, DELETE ON {name} TO {writers}"
    );
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    let made = psql(&administrator, None, &sql);
    assert_eq!(made.code, 0, "{}", made.stderr);
}

/// An app registration for each identity, trusting its own subject, and the role that its tokens log in as.
fn register(stack: &Stack, name: &str) -> BTreeMap<&'static str, String> {
    let clients = ["standing", "metadata", "approved"].map(|identity| {
        let app = emulator::app(&format!("{name}-{identity}"));
        emulator::put_app(stack, &app, &format!("target:{name}:{identity}"));
        add_role(stack, &format!("{name}_{identity}"), &app.object_id);
        (identity, app.client_id)
    });
    clients.into()
}

/// Lets the tokens of a service principal log in as a role.
pub(crate) fn add_role(stack: &Stack, role: &str, object_id: &str) {
    static ROLES: Mutex<()> = Mutex::new(());
    let _roles = ROLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut roles = emulator::get(stack, "/emulator/postgres-roles")["roles"].clone();
    roles[role] = object_id.into();
    emulator::put(stack, "/emulator/postgres-roles", &json!({ "roles": roles }));
}
