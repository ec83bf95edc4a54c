//! What a session does to what it names, and what means the same in any sight.

use super::*;

fn clouds_of(sql: &str, found: &[Found]) -> Clouds {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let inquiry = Inquiry::of(&analysis, &"shop".into(), Sight::Clear).unwrap();
    clouds(&inquiry.on_path(&["public".into()]).facts(found).unwrap())
}

#[test]
fn what_names_nothing_means_the_same_in_any_sight() {
    for sql in [
        "",
        "select 1",
        "select current_user, 'a', $1, true and null is null",
        "values (1), (2)",
        "begin",
        "commit",
        "rollback to a",
        "set timezone = 'UTC'",
        "set search_path = x",
        "reset all",
        "show all",
        "explain select 1",
        "prepare p as select 1",
        "deallocate p",
        "discard temp",
        "do $$ $$",
    ] {
        let facts = facts_in(Sight::Clouded, sql, &[]).unwrap();
        assert!(!facts.contains(&"unparsed shop".to_owned()), "{sql}: {facts:?}");
    }
}

#[test]
fn whatever_names_something_is_unparsed_in_a_clouded_sight() {
    let table = ["public", "t", "r", ""];
    for (sql, found) in [
        ("table t", &[found(Kind::Relation, 0, table)][..]),
        ("table public.t", &[found(Kind::Relation, 0, table)]),
        ("lock t", &[found(Kind::Relation, 0, table)]),
        ("select count(*)", &[]),
        ("select 1 + 1", &[]),
        ("select 1::int", &[]),
        ("select ('a').b", &[]),
        ("select 'a' collate \"C\"", &[]),
        ("call p()", &[]),
        ("prepare p as table t", &[]),
        ("create table public.x as select 1", &[]),
        ("select 1 into x", &[]),
        ("execute p", &[]),
        ("truncate t", &[]),
        ("set row_security = off", &[]),
        ("select 1; table t", &[]),
        // The session may read such a text otherwise than we do.
        ("select '\\', $$'; delete from t; --$$", &[]),
        ("select 'é'", &[]),
        ("-- é", &[]),
    ] {
        let facts = facts_in(Sight::Clouded, sql, found).unwrap();
        assert!(facts.contains(&"unparsed shop".to_owned()), "{sql}: {facts:?}");
    }
}

#[test]
fn an_execute_is_unparsed_in_a_clouded_sight_whatever_it_executes() {
    let limits = Limits::default();
    let prepared = analyse(b"prepare p as select 1", &limits).unwrap();
    let execute = analyse(b"execute p", &limits).unwrap().executing(&prepared.statements[0]);
    let facts = |sight| Inquiry::of(&execute, &"shop".into(), sight).unwrap().facts(&[]).unwrap();
    let unparsed = |facts: Vec<Fact>| facts.iter().any(|fact| fact.action == Action::Unparsed);
    assert!(!unparsed(facts(Sight::Clear)));
    assert!(unparsed(facts(Sight::Clouded)));
}

#[test]
fn a_statement_clouds_the_sight_for_those_behind_it_in_the_string() {
    let table = found(Kind::Relation, 0, ["public", "t", "r", ""]);
    let set_config = found(Kind::Function, 0, ["pg_catalog", "set_config", "", ""]);
    for first in [
        "set search_path = x",
        "set role x",
        "reset all",
        "do $$ $$",
        "create table public.x as select 1",
        "select set_config('search_path', 'x', false)",
    ] {
        let names = [table.clone(), set_config.clone()];
        let behind = facts(&format!("{first}; table t"), &names).unwrap();
        assert!(behind.contains(&"unparsed shop".to_owned()), "{first}: {behind:?}");
        let before = facts(&format!("table t; {first}; commit"), &names).unwrap();
        assert!(!before.contains(&"unparsed shop".to_owned()), "{first}: {before:?}");
    }
}

#[test]
fn what_a_pool_sends_to_give_a_session_back_is_understood() {
    let unlock = found(Kind::Function, 0, ["pg_catalog", "pg_advisory_unlock_all", "", ""]);
    let asyncpg = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;";
    assert_eq!(
        facts(asyncpg, std::slice::from_ref(&unlock)).unwrap(),
        ["postgres:evaluate shop", "postgres:set all"]
    );
    let of_settings = Clouds { settings: true, ..Clouds::default() };
    assert_eq!(clouds_of(asyncpg, &[unlock]), of_settings);
}

#[test]
fn a_cloud_says_what_would_clear_it() {
    let nothing = Clouds::default();
    let [for_good, until_commit, settings] = [
        Clouds { for_good: true, ..nothing },
        Clouds { until_commit: true, ..nothing },
        Clouds { settings: true, ..nothing },
    ];
    for (sql, expected) in [
        ("select 1; commit; set timezone = 'UTC'; show search_path; close all", nothing),
        ("do $$ $$", for_good),
        ("truncate t", for_good),
        ("create temp table x as select 1", for_good),
        ("select 1 into pg_temp_3.x", for_good),
        ("create table x as select 1", until_commit),
        ("select 1 into s.x", until_commit),
        ("set search_path = x", settings),
        ("set local schema 'x'", settings),
        ("reset role", settings),
        ("set session authorization default", settings),
        ("discard all", settings),
        ("create table x as select 1; set role x", Clouds { until_commit: true, ..settings }),
    ] {
        let clouds = clouds_of(sql, &[]);
        assert_eq!(clouds, expected, "{sql}");
        assert_eq!(clouds.any(), expected != nothing, "{sql}");
    }
    assert!(!nothing.any());
}
