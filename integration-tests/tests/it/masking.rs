//! What is sensitive comes back masked, whichever way it is asked for, and never gets into a recording.
//!
//! One target with every kind of relation that can have or show a tagged column (`masking/world.sql`). The `writer` may
//! read and write it, call its functions and run code, and see nothing of what is tagged; the `reader` may read it and see
//! the class `contact`. Each question is put to the edge by all of the clients in `via`, which agree about the answer.

mod changes;
mod copies;
mod detectors;
mod errors;
mod held;
mod inside;
mod on_record;
mod portals;
mod relations;
mod roads;
mod rows;
mod sizes;
mod usual;
mod via;

use std::{sync::LazyLock, time::Duration};

use serde_json::{Value, json};

use self::via::{Answer, Answers};
use crate::{
    stack::{psql, shared, wait_until},
    target::{Target, Wanted, apply},
    wire::Wire,
};

/// What all values have in them that have to be masked, but for numbers and the like.
const MARK: &str = "Quokka";
/// The numbers among them.
const NUMBERS: [&str; 2] = ["7310.5", "7311.5"];
/// How long the edge takes at most to hear of a change.
const SOON: Duration = Duration::from_secs(20);

/// Tagged columns by class, as `relation.column`.
const CONTACT: [&str; 12] = [
    "veil_people.mail",
    "veil_parted.mail",
    "veil_split_north.mail",
    "veil_base.mail",
    "veil_deferred.mail",
    "veil_renamed.mail",
    "veil_large.mail",
    "veil_many.mail",
    "veil_replaced.mail",
    "veil_shown.name",
    "veil_branch.code",
    "veil Odd/\"%'.E-Mail ü, \"%\"",
];
const WAGE: [&str; 2] = ["veil_people.wage", "veil_deferred.mail"];
/// The columns of `veil_kinds` that are tagged: all but the first.
const KINDS: &str = "a b c d e f g h m n o p q r s t u v w x y z aa ab ac ad ae af ag ah ai aj";

/// Both agents may look things up, the writer may do anything in the schema, and the reader sees a class.
const POLICIES: &str = "
    permit (principal == Agent::\"writer\", action in Action::\"write\",
            resource in Schema::\"TARGET/shop/public\");
    permit (principal == Agent::\"writer\", action in Action::\"write\",
            resource in Schema::\"TARGET/shop/pg_temp\");
    permit (principal == Agent::\"reader\", action in Action::\"write\",
            resource in Table::\"TARGET/shop/public/veil_free\");
    permit (principal == Agent::\"writer\", action == Action::\"postgres:call\",
            resource in Database::\"TARGET/shop\");
    permit (principal == Agent::\"writer\", action == Action::\"postgres:do\",
            resource == Database::\"TARGET/shop\");
    permit (principal is Agent, action == Action::\"postgres:select\",
            resource in Schema::\"TARGET/shop/pg_catalog\");
    permit (principal is Agent, action == Action::\"postgres:select\",
            resource in Schema::\"TARGET/shop/pg_toast\");
    permit (principal == Agent::\"reader\", action == Action::\"unmask\", resource is DataClass in Target::\"TARGET\")
    when { [\"contact\", \"email\"].contains(resource.name) };";

static VEIL: LazyLock<Target<'static>> = LazyLock::new(|| {
    let stack = shared();
    let target = Target::declare(stack, "veil", &Wanted::default());
    stack.owner(include_str!("masking/world.sql"));
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    let granted = psql(&administrator, None, "GRANT pg_read_all_data TO veil_standing");
    assert_eq!(granted.code, 0, "{}", granted.stderr);
    let kinds = KINDS.split(' ').map(|column| format!("veil_kinds.{column}"));
    tag("veil", "contact", CONTACT.map(str::to_owned).into_iter().chain(kinds));
    tag("veil", "wage", WAGE.map(str::to_owned));
    target.add_policies("veil-more", POLICIES);
    wait_until("tags and policies to act", SOON, || {
        let seen = target.session().query("SELECT mail, wage, veil_peek(id) FROM veil_people WHERE id = 1");
        (row(seen.rows.first()?) == "[contact] | ∅ | [masked]").then_some(())
    });
    target
});

/// Applies a class of tagged columns, as an admin would.
fn tag(target: &str, class: &str, columns: impl IntoIterator<Item = String>) {
    let column = |name: String| -> Value {
        let (relation, column) = name.split_once('.').expect("relation.column");
        json!({ "target": target, "schema": "public", "relation": relation, "column": column })
    };
    let columns: Vec<Value> = columns.into_iter().map(column).collect();
    apply(shared(), &[json!({ "kind": "DataClass", "name": class, "spec": { "columns": columns } })]);
}

/// A session of the reader.
fn reader() -> Wire {
    Wire::open(&VEIL.dsn(), &shared().token("reader"), &[])
}

/// A row as the tables of these tests have it.
fn row(cells: &[Option<String>]) -> String {
    let cells: Vec<&str> = cells.iter().map(|cell| cell.as_deref().unwrap_or("∅")).collect();
    cells.join(" | ")
}

/// A question, and its answer: so many rows, each of which is this.
type Road = (&'static str, usize, &'static str);

/// Puts questions as an agent by every client, and compares.
fn travel(agent: &str, roads: &[Road]) {
    compare(&via::everyone(&VEIL, agent, &statements(roads)), roads, false);
}

/// The same, but for clients that cannot ask these.
fn travel_without(without: &[&str], agent: &str, roads: &[Road]) {
    let mut answers = via::everyone(&VEIL, agent, &statements(roads));
    answers.retain(|client, _| !without.contains(&client.as_str()));
    compare(&answers, roads, false);
}

/// The same of what may be refused as well, because masking what comes back may not be enough.
fn travel_or_be_refused(agent: &str, roads: &[Road]) {
    compare(&via::everyone(&VEIL, agent, &statements(roads)), roads, true);
}

/// The same at the level of the wire alone, where clients make no difference.
fn travel_by_wire(agent: &str, roads: &[Road]) {
    compare(&via::wires(&VEIL, agent, &statements(roads)), roads, false);
}

fn statements(roads: &[Road]) -> Vec<&'static str> {
    roads.iter().map(|(statement, ..)| *statement).collect()
}

fn compare(answers: &Answers, roads: &[Road], may_be_refused: bool) {
    let mut wrong = Vec::new();
    for (client, answers) in answers {
        assert_eq!(answers.len(), roads.len(), "{client}");
        for (answer, (statement, count, expected)) in answers.iter().zip(roads) {
            let is_right = match answer {
                Answer::Rows(rows) => rows.len() == *count && rows.iter().all(|row| row == expected),
                Answer::Error(error) => may_be_refused && error.contains("unmaskable"),
            };
            if !is_right {
                wrong.push(format!("{client}: {statement}: {answer:?} and not {count} × {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fails if a text has a value in it that has to be masked.
fn has_nothing_of_it(what: &str, text: &str) {
    let lower = text.to_lowercase();
    for secret in [&[MARK][..], &NUMBERS].concat() {
        let at = lower.find(&secret.to_lowercase());
        let around = at.map(|at| lower[..at].chars().rev().take(200).collect::<Vec<_>>());
        let around = around.map(|before| before.into_iter().rev().collect::<String>());
        assert!(at.is_none(), "{what} has {secret} in it, after …{}", around.unwrap_or_default());
    }
}
