//! Tables that are made and locked, and code that runs.

use super::*;

fn on_path(sql: &str, path: &[&str], found: &[Found]) -> Result<Vec<String>, Reason> {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let path: Vec<_> = path.iter().map(ToString::to_string).collect();
    let inquiry = Inquiry::of(&analysis, &"shop".into(), Sight::Clear).unwrap().on_path(&path);
    let facts = inquiry.facts(found).map_err(|refusal| refusal.reason)?;
    Ok(facts.iter().map(|fact| format!("{} {}", fact.action.as_str(), shown(&fact.resource))).collect())
}

#[test]
fn a_table_is_made_where_it_is_written_or_anywhere_on_the_path() {
    let path = ["pg_catalog", "ada", "public"];
    let made = |sql: &str| on_path(sql, &path, &[]);
    assert_eq!(made("create table hr.x as select 1").unwrap(), ["postgres:create hr.x"]);
    assert_eq!(made("create table shop.hr.x as select 1").unwrap(), ["postgres:create hr.x"]);
    assert_eq!(made("select 1 into x").unwrap(), ["postgres:create ada.x", "postgres:create public.x"]);
    for temporary in [
        "create temp table x as select 1",
        "select 1 into temp x",
        "select 1 into pg_temp.x",
        "create table pg_temp_7.x as select 1",
        "create temp table hr.x as select 1",
    ] {
        assert_eq!(made(temporary).unwrap(), ["postgres:create pg_temp.x"], "{temporary}");
    }
    assert_eq!(made("create table elsewhere.hr.x as select 1"), Err(Reason::Unresolved));
    assert_eq!(on_path("select 1 into x", &["pg_catalog"], &[]), Err(Reason::Unresolved));
    assert_eq!(facts("select 1 into x", &[]), Err(Reason::Unresolved), "nobody said what the path is");
    assert_eq!(facts("select 1 into hr.x", &[]).unwrap(), ["postgres:create hr.x"]);
}

#[test]
fn what_a_table_is_made_of_is_read() {
    let orders = found(Kind::Relation, 0, ["sales", "orders", "r", ""]);
    let both = ["postgres:select sales.orders", "postgres:create hr.x"];
    for sql in [
        "create table hr.x as select * from orders",
        "select * into hr.x from orders",
        "explain analyze create table hr.x as select * from orders",
    ] {
        assert_eq!(on_path(sql, &[], std::slice::from_ref(&orders)).unwrap(), both, "{sql}");
    }
}

#[test]
fn locks_are_pairs_of_their_own() {
    let orders = found(Kind::Relation, 0, ["sales", "orders", "r", ""]);
    let orders = std::slice::from_ref(&orders);
    assert_eq!(
        facts("select * from orders for update", orders).unwrap(),
        ["postgres:lock sales.orders", "postgres:select sales.orders"]
    );
    assert_eq!(facts("lock table orders", orders).unwrap(), ["postgres:lock sales.orders"]);
    assert_eq!(facts("lock table orders", &[]), Err(Reason::Unresolved));
}

#[test]
fn code_is_a_pair_of_its_own() {
    assert_eq!(facts("do $$ begin null; end $$", &[]).unwrap(), ["postgres:do shop"]);
    let refund = found(Kind::Function, 0, ["public", "refund", "", ""]);
    assert_eq!(facts("call refund()", &[refund]).unwrap(), ["postgres:call public.refund()"]);
    let lower = found(Kind::Function, 0, ["pg_catalog", "lower", "", ""]);
    assert_eq!(
        facts("call lower('A')", &[lower]).unwrap(),
        ["postgres:call pg_catalog.lower()"],
        "a procedure is not the harmless function of its name"
    );
}

#[test]
fn what_runs_within_another_statement_counts() {
    let orders = found(Kind::Relation, 0, ["sales", "orders", "r", ""]);
    let context = |sql: &str| context(&analyse(sql.as_bytes(), &Limits::default()).unwrap(), false);
    for (sql, kinds) in [
        ("with d as (delete from orders) select 1", &["delete", "select"][..]),
        ("explain analyze delete from orders", &["delete", "explain"]),
        ("explain delete from orders", &["delete", "explain"]),
        ("prepare p as delete from orders", &["delete", "prepare"]),
    ] {
        let facts = facts(sql, std::slice::from_ref(&orders)).unwrap();
        assert!(facts.contains(&"postgres:delete sales.orders".to_owned()), "{sql}: {facts:?}");
        assert_eq!(context(sql).statement_kinds, kinds, "{sql}");
        assert!(!context(sql).all_writes_have_predicate, "{sql}");
    }
    assert_eq!(context("select 1 into x").statement_kinds, ["create_table_as", "select"]);
}
