//! Statements that are to be taken for others: by the way their text is read, by what their names mean, or by what a
//! read does besides.

use std::sync::LazyLock;

use crate::{
    stack::shared,
    target::{Target, Wanted},
    wire::{Wire, says},
};

/// A target whose writer may do much that changes what later statements mean.
static SMUGGLE: LazyLock<Target<'static>> = LazyLock::new(|| {
    let target = Target::declare(shared(), "smuggle", &Wanted::default());
    shared().owner(
        "CREATE FUNCTION smuggle_shadow() RETURNS int LANGUAGE plpgsql AS
           $$ BEGIN CREATE TEMP VIEW smuggle AS SELECT 1 AS id, 'shadow' AS status; RETURN 1; END $$;
         CREATE FUNCTION smuggle_path(text) RETURNS text LANGUAGE sql AS
           $$ SELECT set_config('search_path', $1, false) $$;
         CREATE FUNCTION smuggle_harmless() RETURNS int LANGUAGE sql AS $$ SELECT 7 $$;
         CREATE SCHEMA smuggle_other;
         CREATE TABLE smuggle_other.smuggle (id int, status text);
         INSERT INTO smuggle_other.smuggle VALUES (1, 'other');
         GRANT TEMPORARY ON DATABASE shop TO smuggle_standing;
         GRANT USAGE ON SCHEMA smuggle_other TO smuggle_standing, smuggle_metadata;
         GRANT SELECT ON smuggle_other.smuggle TO smuggle_standing",
    );
    target.add_policies(
        "smuggle-more",
        "permit (principal == Agent::\"writer\", action == Action::\"postgres:call\",
                 resource in Schema::\"TARGET/shop/public\");
         permit (principal == Agent::\"writer\", action == Action::\"postgres:call\",
                 resource == Function::\"TARGET/shop/pg_catalog/set_config\");
         permit (principal == Agent::\"writer\", action == Action::\"postgres:set\",
                 resource == Setting::\"TARGET/shop/search_path\");",
    );
    crate::stack::wait_until("the permits to act", std::time::Duration::from_secs(20), || {
        target.session().query("SELECT smuggle_harmless()").errors.is_empty().then_some(())
    });
    target
});

const READ: &str = "SELECT status FROM smuggle WHERE id = 1";

fn refused(session: &mut Wire, sql: &str, reason: &str) {
    let answer = session.query(sql);
    assert_eq!(answer.refused(), says("42501", "denied", reason), "{sql}");
}

#[test]
fn backslashes_do_not_open_a_string_that_was_read_as_closed() {
    let target = &*SMUGGLE;
    for setting in ["standard_conforming_strings", "client_encoding"] {
        let value = if setting == "client_encoding" { "SJIS" } else { "off" };
        let mut session = target.session();
        let answer = session.query(&format!("SELECT set_config('{setting}', '{value}', false)"));
        let error = answer.errors.last().unwrap_or_else(|| panic!("{setting}: {answer:?}"));
        assert_eq!(
            (error["C"].as_str(), answer.status.as_str()),
            (Some("08007"), ""),
            "{setting}: the session is over"
        );
    }
    let smuggled = "SELECT '\\'; UPDATE smuggle SET status = $$smuggled$$ WHERE id = 2; --'";
    let mut session = target.session();
    let answer =
        session.query(&format!("SELECT set_config('standard_conforming_strings', 'off', false); {smuggled}"));
    assert_eq!(answer.refused(), says("42501", "denied", "unparsed"));
    assert_eq!(target.status(2), "new");
    assert!(session.query("SELECT '\\'").errors.is_empty(), "alone it is a string as any other");
}

#[test]
fn a_temporary_view_does_not_stand_in_for_a_table() {
    let target = &*SMUGGLE;
    let mut session = target.session();
    assert_eq!(session.value(READ).as_deref(), Some("new"));
    refused(&mut session, &format!("SELECT smuggle_shadow(); {READ}"), "unparsed");
    assert!(session.query("BEGIN").errors.is_empty());
    let called = session.query("SELECT smuggle_shadow()");
    assert!(called.errors.is_empty(), "the call itself is permitted: {called:?}");
    refused(&mut session, READ, "unparsed");
    assert_eq!(session.query("ROLLBACK").status, "I", "what names nothing means what it always does");
    assert!(session.query("SELECT smuggle_shadow()").errors.is_empty());
    refused(&mut session, READ, "unparsed");
    refused(&mut session, &target.update(3, "shadowed"), "unparsed");
    assert_eq!(target.session().value(READ).as_deref(), Some("new"), "another session sees the table");
}

#[test]
fn names_are_looked_up_by_the_path_that_the_session_has() {
    let target = &*SMUGGLE;
    for change in ["SELECT public.smuggle_path('smuggle_other')", "SET search_path TO smuggle_other"] {
        let mut session = target.session();
        assert!(session.query(change).errors.is_empty(), "{change}");
        refused(&mut session, READ, "not_permitted");
        let back = session.query("RESET search_path");
        assert!(back.errors.is_empty(), "{back:?}");
        assert_eq!(session.value(READ).as_deref(), Some("new"), "{change}");

        assert!(session.query("BEGIN").errors.is_empty());
        assert!(session.query("SAVEPOINT before").errors.is_empty());
        assert!(
            session.query(&change.replace("SET search", "SET LOCAL search")).errors.is_empty(),
            "{change}"
        );
        let reason = if change.starts_with("SET") { "not_permitted" } else { "unparsed" };
        refused(&mut session, READ, reason);
        assert!(session.query("ROLLBACK TO before").errors.is_empty());
        if change.starts_with("SET") {
            assert_eq!(session.value(READ).as_deref(), Some("new"), "the savepoint has the path of before");
        }
        assert_eq!(session.query("ROLLBACK").status, "I");
        assert_eq!(session.value(READ).as_deref(), Some("new"), "{change}");
    }
}

#[test]
fn what_is_held_needs_the_path_of_the_login() {
    let target = &*SMUGGLE;
    let mut session = target.session();
    assert!(session.query("SET search_path TO public, smuggle_other").errors.is_empty());
    let answer = session.query(&target.update(4, "elsewhere"));
    assert_eq!(answer.refused(), says("25001", "denied", "session_state"));
    assert!(session.query("RESET search_path").errors.is_empty());
    let notice = session.held(&target.update(4, "here"));
    shared().approve("dana", notice["approval_id"].as_str().expect("an id"));
    assert_eq!(session.finish().tags, ["UPDATE 1"]);
    assert_eq!(target.status(4), "here");
}

#[test]
fn what_only_looks_like_a_read_is_decided_as_what_it_does() {
    let (stack, target) = (shared(), &*SMUGGLE);
    let reader = stack.token("reader");
    for sql in [
        "WITH gone AS (DELETE FROM smuggle WHERE id = 5 RETURNING *) SELECT * FROM gone",
        "SELECT * FROM smuggle WHERE id IN (SELECT 1) AND EXISTS (SELECT smuggle_harmless())",
        "EXPLAIN ANALYZE UPDATE smuggle SET status = 'explained' WHERE id = 5",
        "EXPLAIN (ANALYZE off) UPDATE smuggle SET status = 'explained' WHERE id = 5",
        "SELECT * INTO smuggle_loot FROM smuggle",
        "CREATE TABLE smuggle_loot AS SELECT * FROM smuggle",
        "SELECT * FROM smuggle WHERE id = 5 FOR UPDATE",
        "PREPARE p AS UPDATE smuggle SET status = 'prepared' WHERE id = 5",
        "DO $$ BEGIN UPDATE smuggle SET status = 'done' WHERE id = 5; END $$",
        "CALL smuggle_harmless()",
        "TABLE smuggle_other.smuggle",
        "SELECT (smuggle).smuggle_path FROM smuggle",
    ] {
        let answer = Wire::open(&target.dsn(), &reader, &[]).query(sql);
        let (code, detail) = answer.refusal();
        assert_eq!((code, detail["decision"].as_str()), ("42501", Some("denied")), "{sql}: {answer:?}");
    }
    let mut session = target.session();
    for sql in [
        "WITH changed AS (UPDATE smuggle SET status = 'hidden' WHERE id = 5 RETURNING id) SELECT * FROM changed",
        "EXPLAIN ANALYZE UPDATE smuggle SET status = 'hidden' WHERE id = 5",
    ] {
        let notice = session.held(sql);
        stack.deny("dana", notice["approval_id"].as_str().expect("an id"));
        assert_eq!(session.finish().refused(), says("42501", "denied", "approval_denied"), "{sql}");
    }
    assert_eq!(target.status(5), "new");
}

#[test]
fn ten_thousand_terms_end_no_session() {
    let target = &*SMUGGLE;
    let mut neighbour = target.session();
    let mut session = target.session();
    for (first, term) in
        [("SELECT 1", "+1"), ("SELECT 1 WHERE true", " AND true"), ("SELECT 1", " UNION SELECT 1")]
    {
        let answer = session.query(&(first.to_owned() + &term.repeat(10_000)));
        let code = answer.errors.first().and_then(|error| error["C"].as_str()).unwrap_or("none");
        assert!(["54000", "54001", "none"].contains(&code), "{term}: {answer:?}");
        assert_eq!(answer.status, "I", "{term}");
    }
    let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(session.query(&nested).refused().0, "54000");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(neighbour.value("SELECT 1").as_deref(), Some("1"));
}
