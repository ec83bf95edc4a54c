//! A name that comes to mean something else between the moment in which it was decided and the one in which it is used.

use std::{sync::LazyLock, time::Duration};

use serde_json::json;

use crate::{
    stack::{shared, wait_until},
    target::{Target, Wanted},
    wire::{Wire, says},
};

/// A target whose writer may make tables of its own in a schema that comes before the others.
static SHADOW: LazyLock<Target<'static>> = LazyLock::new(|| {
    let target = Target::declare(shared(), "shadow", &Wanted { standing_writes: true, ..Wanted::default() });
    shared().owner(
        "CREATE SCHEMA shadow_first;
         GRANT USAGE, CREATE ON SCHEMA shadow_first TO shadow_standing;
         GRANT USAGE ON SCHEMA shadow_first TO shadow_metadata, shadow_approved",
    );
    target.add_policies(
        "shadow-more",
        "permit (principal == Agent::\"writer\",
                 action in [Action::\"postgres:select\", Action::\"postgres:create\", Action::\"postgres:update\"],
                 resource in Schema::\"TARGET/shop/shadow_first\");
         permit (principal == Agent::\"writer\", action == Action::\"postgres:set\",
                 resource == Setting::\"TARGET/shop/search_path\");",
    );
    wait_until("the permits to act", Duration::from_secs(20), || {
        target.session().query("SET search_path TO public").errors.is_empty().then_some(())
    });
    target
});

/// A session that looks names up in the schema of its own first.
fn session() -> Wire {
    let mut session = SHADOW.session();
    assert!(session.query("SET search_path TO shadow_first, public").errors.is_empty());
    session
}

fn drop_shadow() {
    shared().owner("DROP TABLE IF EXISTS shadow_first.shadow");
}

#[test]
fn what_is_named_runs_on_what_it_was_decided_on() {
    let target = &*SHADOW;
    drop_shadow();
    let update = "UPDATE shadow SET status = $1 WHERE id = 1";
    let mut session = session();
    // Its execution would be held: so it may be prepared, and the target has found the table that is held.
    session.put(&[json!(["parse", "p", update]), json!(["sync"])]);
    assert!(session.finish().errors.is_empty());
    let by_sql = session.query("PREPARE q AS SELECT status FROM shadow WHERE id = 1");
    assert!(by_sql.errors.is_empty(), "{by_sql:?}");
    let made = session.query("CREATE TABLE shadow_first.shadow AS SELECT 1 AS id, 'mine'::text AS status");
    assert!(made.errors.is_empty(), "{made:?}");

    session.put(&[json!(["bind", "", "p", ["smuggled"]]), json!(["execute", "", 0]), json!(["sync"])]);
    let answer = session.finish();
    assert_eq!((answer.tags.as_slice(), answer.errors.as_slice()), (&["UPDATE 1".to_owned()][..], &[][..]));
    assert_eq!(target.status(1), "new", "the table that is held was written without a vote");
    assert_eq!(session.value("SELECT status FROM shadow_first.shadow").as_deref(), Some("smuggled"));
    assert!(target.open_approvals().is_empty());
    assert_eq!(session.query("EXECUTE q").refused(), says("42501", "denied", "object_changed"));
    drop_shadow();
}

#[test]
fn a_schema_that_comes_to_be_later_is_searched_by_both() {
    let target = &*SHADOW;
    let mut session = target.session();
    assert!(session.query("SET search_path TO shadow_later, public").errors.is_empty());
    let read = "SELECT status FROM shadow WHERE id = 2";
    assert_eq!(session.value(read).as_deref(), Some("new"));
    shared().owner(
        "CREATE SCHEMA shadow_later; GRANT USAGE ON SCHEMA shadow_later TO shadow_standing, shadow_metadata;
         CREATE TABLE shadow_later.shadow AS SELECT 2 AS id, 'secret'::text AS status;
         GRANT SELECT ON shadow_later.shadow TO shadow_standing",
    );
    assert_eq!(session.query(read).refused(), says("42501", "denied", "not_permitted"));
}

#[test]
fn what_was_prepared_elsewhere_under_the_same_name_is_not_executed() {
    let target = &*SHADOW;
    let mut session = target.session();
    assert!(session.query("PREPARE e AS SELECT 1").errors.is_empty());
    assert!(session.query("BEGIN").errors.is_empty());
    let notice = session.held(&target.update(3, "approved"));
    shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
    assert!(session.finish().errors.is_empty());
    let prepared = session.query("PREPARE e AS SELECT status FROM shadow");
    assert!(prepared.errors.is_empty(), "{prepared:?}");
    assert_eq!(session.query("EXECUTE e").refused(), says("42501", "denied", "unparsed"));
    assert_eq!(session.query("ROLLBACK").status, "I");
    assert_eq!(session.value("EXECUTE e").as_deref(), Some("1"), "here it is what it was");
}

#[test]
fn a_declared_type_tells_nothing_that_the_text_may_not_ask() {
    let target = &*SHADOW;
    let row_type = shared().owner("SELECT 'hr.payroll'::regtype::oid");
    let row_type: u32 = row_type.parse().expect("an oid");
    // regproc, regclass, regtype, regrole, regclass[], the rows of a table.
    for declared in [24, 2205, 2206, 4096, 2210, row_type] {
        let mut session = target.session();
        session.put(&[
            json!(["parse", "", "SELECT $1::text", [declared]]),
            json!(["bind", "", "", ["10"]]),
            json!(["execute", "", 0]),
            json!(["sync"]),
        ]);
        let answer = session.finish();
        assert_eq!(answer.refused(), says("42501", "denied", "unresolved"), "{declared}");
        assert!(answer.rows.is_empty());
        session.put(&[
            json!(["parse", "", "SELECT $1::text", [23]]),
            json!(["bind", "", "", ["10"]]),
            json!(["execute", "", 0]),
            json!(["sync"]),
        ]);
        assert_eq!(session.finish().rows, [[Some("10".to_owned())]], "the control");
    }
}

#[test]
fn what_may_be_held_may_be_held_after_a_call_and_after_a_change_that_was_taken_back() {
    let target = &*SHADOW;
    let mut session = session();
    assert!(session.query("RESET search_path").errors.is_empty());
    let notice = session.held(&target.update(4, "held"));
    shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    assert_eq!(target.status(4), "held");
}

#[test]
fn what_a_write_calls_by_a_default_or_a_domain_is_looked_at_again() {
    let target = Target::declare(shared(), "called", &Wanted::default());
    shared().owner(
        "CREATE FUNCTION called_default() RETURNS text LANGUAGE sql AS $$ SELECT 'first' $$;
         CREATE FUNCTION called_check(text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
         CREATE DOMAIN called_domain AS text CHECK (called_check(VALUE));
         ALTER TABLE called ADD COLUMN made text DEFAULT called_default(), ADD COLUMN kept called_domain",
    );
    for change in [
        "CREATE OR REPLACE FUNCTION called_default() RETURNS text LANGUAGE sql AS $$ SELECT 'other' $$",
        "CREATE OR REPLACE FUNCTION called_check(text) RETURNS boolean LANGUAGE sql AS $$ SELECT $1 <> 'x' $$",
        "ALTER DOMAIN called_domain ADD CHECK (VALUE <> 'y')",
    ] {
        let mut session = target.session();
        let notice = session.held("INSERT INTO called (id, status) VALUES (20, 'called')");
        shared().owner(change);
        shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
        assert_eq!(session.finish().refused(), says("42501", "superseded", "object_changed"), "{change}");
    }
    assert_eq!(shared().owner("SELECT count(*) FROM called WHERE id = 20"), "0");
}
