use super::*;
use crate::{Limits, analyse};

fn found(kind: Kind, place: usize, texts: [&str; 4]) -> Found {
    let [schema, name, first, second] = texts.map(str::to_owned);
    Found { kind, place, schema, name, first, second }
}

fn facts(sql: &str, found: &[Found]) -> Result<Vec<String>, Reason> {
    facts_in(Sight::Clear, sql, found)
}

/// The facts as text: `postgres:select public.orders`.
fn facts_in(sight: Sight, sql: &str, found: &[Found]) -> Result<Vec<String>, Reason> {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let inquiry = Inquiry::of(&analysis, &"shop".into(), sight).map_err(|refusal| refusal.reason)?;
    let facts = inquiry.facts(found).map_err(|refusal| refusal.reason)?;
    let mut shown: Vec<_> =
        facts.iter().map(|fact| format!("{} {}", fact.action.as_str(), shown(&fact.resource))).collect();
    shown.sort();
    Ok(shown)
}

fn shown(resource: &Resource) -> String {
    match resource {
        Resource::Target => "target".into(),
        Resource::Database { database } => database.to_string(),
        Resource::Table { schema, table, .. } => format!("{schema}.{table}"),
        Resource::Column { schema, table, column, .. } => format!("{schema}.{table}.{column}"),
        Resource::Function { schema, function, .. } => format!("{schema}.{function}()"),
        Resource::Setting { setting, .. } => setting.to_string(),
        Resource::DataClass { class } => class.to_string(),
    }
}

const BUILT_IN: [&str; 4] = ["pg_catalog", "", "", ""];

#[test]
fn relations_and_written_columns_are_resolved_objects() {
    let orders = found(Kind::Relation, 0, ["sales", "orders", "r", ""]);
    assert_eq!(
        facts("select * from orders", std::slice::from_ref(&orders)).unwrap(),
        ["postgres:select sales.orders"]
    );
    let equals = found(Kind::Operator, 0, BUILT_IN);
    assert_eq!(
        facts("update orders set total = 1 where id = 2", &[orders.clone(), equals]).unwrap(),
        [
            "postgres:select sales.orders",
            "postgres:update sales.orders",
            "postgres:update sales.orders.total"
        ]
    );
    let columns = ["id", "total"].map(|name| found(Kind::Column, 0, ["sales", "orders", name, ""]));
    let whole = [&[orders][..], &columns].concat();
    assert_eq!(
        facts("insert into orders values (1, 2)", &whole).unwrap(),
        [
            "postgres:insert sales.orders",
            "postgres:insert sales.orders.id",
            "postgres:insert sales.orders.total"
        ]
    );
}

#[test]
fn what_does_not_resolve_is_refused() {
    assert_eq!(facts("select * from orders", &[]), Err(Reason::Unresolved));
    let index = found(Kind::Relation, 0, ["public", "orders_pkey", "i", ""]);
    assert_eq!(facts("select * from orders_pkey", &[index]), Err(Reason::Unresolved));
    assert_eq!(facts("select f()", &[]), Err(Reason::Unresolved));
    assert_eq!(facts("select 1 + 1", &[]), Err(Reason::Unresolved));
    assert_eq!(facts("select 'x'::mood", &[]), Err(Reason::Unresolved));
    let other = found(Kind::Relation, 0, ["public", "orders", "r", ""]);
    assert_eq!(facts("select * from elsewhere.public.orders", &[other]), Err(Reason::Unresolved));
}

#[test]
fn functions_count_unless_built_in_and_harmless_alone() {
    let built_in = |name| found(Kind::Function, 0, ["pg_catalog", name, "", ""]);
    assert_eq!(facts("select lower('A')", &[built_in("lower")]).unwrap(), ["postgres:evaluate shop"]);
    assert_eq!(
        facts("select pg_sleep(1)", &[built_in("pg_sleep")]).unwrap(),
        ["postgres:call pg_catalog.pg_sleep()"]
    );
    let shadow = found(Kind::Function, 0, ["public", "lower", "", ""]);
    assert_eq!(
        facts("select lower('A')", &[built_in("lower"), shadow]).unwrap(),
        ["postgres:call public.lower()"]
    );
}

#[test]
fn operators_types_and_attributes_count_as_the_functions_behind_them() {
    let operators = [BUILT_IN, ["public", "+", "public", "plus"]].map(|row| found(Kind::Operator, 0, row));
    assert_eq!(facts("select 1 + 1", &operators).unwrap(), ["postgres:call public.plus()"]);
    let mood = found(Kind::Type, 0, ["public", "mood", "pg_catalog", "enum_in"]);
    assert_eq!(facts("select 'x'::mood", &[mood]).unwrap(), ["postgres:evaluate shop"]);
    let regclass = found(Kind::Type, 0, ["pg_catalog", "regclass", "pg_catalog", "regclassin"]);
    assert_eq!(
        facts("select 'x'::regclass", &[regclass]).unwrap(),
        ["postgres:call pg_catalog.regclassin()"],
        "a type that looks names up tells which objects there are"
    );
    let row = found(Kind::Type, 0, ["hr", "payroll", "", ""]);
    assert_eq!(
        facts("select (null::hr.payroll).*", &[row]).unwrap(),
        ["postgres:select hr.payroll"],
        "a row type shows what its relation is made of"
    );
    let citext = found(Kind::Type, 0, ["public", "citext", "public", "citextin"]);
    assert_eq!(facts("select 'x'::citext", &[citext]).unwrap(), ["postgres:call public.citextin()"]);
    let orders = found(Kind::Relation, 0, ["public", "orders", "r", ""]);
    let attribute = found(Kind::Attribute, 0, ["public", "audit", "", ""]);
    assert_eq!(
        facts("select o.audit from orders o", &[orders, attribute]).unwrap(),
        ["postgres:call public.audit()", "postgres:select public.orders"]
    );
}

#[test]
fn what_an_attribute_may_cast_to_counts_as_the_cast_would() {
    let cast = |row| found(Kind::Attribute, 0, row);
    let regrole = cast(["pg_catalog", "regrole", "pg_catalog", "regrolein"]);
    assert_eq!(facts("select ('a').regrole", &[regrole]).unwrap(), ["postgres:call pg_catalog.regrolein()"]);
    let ltree = cast(["public", "ltree", "public", "ltree_in"]);
    assert_eq!(facts("select ('a').ltree", &[ltree]).unwrap(), ["postgres:call public.ltree_in()"]);
    let date = cast(["pg_catalog", "date", "pg_catalog", "date_in"]);
    assert_eq!(facts("select ('today').date", &[date]).unwrap(), ["postgres:evaluate shop"]);
}

#[test]
fn what_an_attribute_may_call_counts_wherever_it_comes_from() {
    let built_in = |name| found(Kind::Attribute, 0, ["pg_catalog", name, "", ""]);
    let ts_stat = "select ('select 1'::text).ts_stat";
    let text = found(Kind::Type, 0, ["pg_catalog", "text", "pg_catalog", "textin"]);
    assert_eq!(facts(ts_stat, &[text, built_in("ts_stat")]).unwrap(), ["postgres:call pg_catalog.ts_stat()"]);
    let customers = || found(Kind::Relation, 0, ["public", "customers", "r", ""]);
    assert_eq!(
        facts("select c.name from customers c", &[customers(), built_in("name")]).unwrap(),
        ["postgres:select public.customers"],
        "a column that is called like a harmless function can be read"
    );
}

#[test]
fn sessions_and_emptiness_have_facts_too() {
    assert_eq!(facts("begin", &[]).unwrap(), ["postgres:transaction shop"]);
    assert_eq!(facts("set statement_timeout = 5", &[]).unwrap(), ["postgres:set statement_timeout"]);
    assert_eq!(facts("show TimeZone", &[]).unwrap(), ["postgres:show timezone"]);
    assert_eq!(facts("", &[]).unwrap(), ["postgres:evaluate shop"]);
    assert_eq!(
        facts("select 1; begin", &[]).unwrap(),
        ["postgres:evaluate shop", "postgres:transaction shop"]
    );
    let orders = found(Kind::Relation, 0, ["public", "orders", "r", ""]);
    let twice = facts("select * from orders; select * from orders", &[orders]);
    assert_eq!(twice.unwrap(), ["postgres:select public.orders"]);
    assert_eq!(facts("set search_path = x", &[]).unwrap(), ["postgres:set search_path"]);
    assert_eq!(facts("reset role", &[]).unwrap(), ["postgres:set role"]);
    assert_eq!(facts("set row_security = off", &[]).unwrap(), ["unparsed shop"]);
    for gives_back in ["close all", "unlisten *", "deallocate all", "discard temp"] {
        assert_eq!(facts(gives_back, &[]).unwrap(), ["postgres:evaluate shop"], "{gives_back}");
    }
    assert_eq!(facts("discard all", &[]).unwrap(), ["postgres:set all"]);
    assert_eq!(facts("execute p", &[]).unwrap(), ["unparsed shop"]);
}

#[test]
fn a_clouded_session_stays_unparsed() {
    assert_eq!(
        facts_in(Sight::Clouded, "select f()", &[]).unwrap(),
        ["postgres:evaluate shop", "unparsed shop"]
    );
    assert_eq!(
        facts("create temp table t (); select * from t", &[]).unwrap(),
        ["postgres:evaluate shop", "unparsed shop"]
    );
    let clouds = |sql: &str, found: &[Found]| {
        let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
        let inquiry = Inquiry::of(&analysis, &"shop".into(), Sight::Clear).unwrap();
        sight_after(Sight::Clear, &inquiry.facts(found).unwrap())
    };
    assert_eq!(clouds("create table t ()", &[]), Sight::Clouded);
    let set_config = found(Kind::Function, 0, ["pg_catalog", "set_config", "", ""]);
    assert_eq!(clouds("select set_config('search_path', 'x', false)", &[set_config]), Sight::Clouded);
    let ts_stat = found(Kind::Function, 0, ["pg_catalog", "ts_stat", "", ""]);
    assert_eq!(clouds("select ts_stat('select 1')", &[ts_stat]), Sight::Clouded, "it runs SQL given as text");
    let nextval = |schema| found(Kind::Function, 0, [schema, "nextval", "", ""]);
    assert_eq!(clouds("select nextval('s')", &[nextval("pg_catalog")]), Sight::Clear);
    assert_eq!(clouds("select nextval('s')", &[nextval("public")]), Sight::Clouded);
    assert_eq!(clouds("select 1", &[]), Sight::Clear);
}

mod session;
mod tables;

#[test]
fn context_counts_what_is_not_understood_as_unbounded() {
    let context = |sql: &str| context(&analyse(sql.as_bytes(), &Limits::default()).unwrap(), false);
    assert!(context("delete from t where true; select 1").all_writes_have_predicate);
    assert!(!context("delete from t").all_writes_have_predicate);
    assert!(!context("truncate t").all_writes_have_predicate);
    assert_eq!(context("select 1; begin; select 2").statement_kinds, ["begin", "select"]);
    assert_eq!(context("select 1; begin; select 2").statement_count, 3);
}
