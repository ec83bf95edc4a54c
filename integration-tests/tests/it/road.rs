//! The road of an operation, walked by psql against a real PostgreSQL.

use std::time::Duration;

use serde_json::json;

use crate::stack::{Stack, psql, shared, wait_until};

#[test]
fn a_permitted_read_comes_back_as_the_database_gives_it() {
    let stack = shared();
    let token = stack.token("reader");
    let through = stack.psql(&token, "SELECT id, name FROM customers ORDER BY id");
    assert_eq!(through.code, 0, "{}", through.stderr);
    assert_eq!(through.stdout, stack.owner("SELECT id, name FROM customers ORDER BY id"));
    assert!(through.stdout.contains("Ada Example"));
}

#[test]
fn an_approved_write_runs_once() {
    let stack = shared();
    let token = stack.token("writer");
    let count = || stack.owner("SELECT count(*) FROM orders WHERE status = 'it-once'");
    assert_eq!(count(), "0");
    let insert = "INSERT INTO orders (customer_id, total, status) VALUES (1, 1, 'it-once')";
    let written = stack.psql_approved(&token, insert);
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert_eq!(count(), "1");
    let removed = stack.psql_approved(&token, "DELETE FROM orders WHERE status = 'it-once'");
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(count(), "0");
}

#[test]
fn what_policy_does_not_permit_is_refused_with_a_reason_and_the_session_goes_on() {
    let stack = shared();
    let token = stack.token("reader");
    for (sql, reason) in [
        ("INSERT INTO orders (customer_id, total) VALUES (1, 1)", "not_permitted"),
        ("UPDATE orders SET total = 0 WHERE id = 1", "not_permitted"),
        ("SELECT * FROM hr.payroll", "not_permitted"),
        ("SELECT pg_sleep(0)", "not_permitted"),
        ("SELECT * FROM no_such_table", "unresolved"),
    ] {
        let refused = stack.psql(&token, sql);
        assert_eq!(refused.sqlstate(), Some("42501"), "{sql}: {refused:?}");
        let detail = refused.detail();
        assert_eq!(detail["decision"], "denied", "{sql}");
        assert_eq!(detail["reason"], reason, "{sql}");
        assert!(detail["session_id"].as_str().is_some_and(|id| id.starts_with("se_")), "{detail}");
    }
    let goes_on = psql_script(stack, &token, &["SELECT * FROM hr.payroll", "SELECT 41 + 1"]);
    assert!(goes_on.stdout.ends_with("42"), "{goes_on:?}");
}

#[test]
fn a_statement_that_cannot_be_understood_is_refused() {
    let stack = shared();
    let token = stack.token("writer");
    let syntax = stack.psql(&token, "SELEC 1");
    assert_eq!(syntax.sqlstate(), Some("42601"), "{syntax:?}");
    for sql in [
        "CREATE TEMP VIEW customers AS SELECT * FROM hr.payroll",
        "CREATE TABLE loot AS SELECT * FROM hr.payroll",
        "SELECT * INTO loot FROM hr.payroll",
        "DO $$ BEGIN DELETE FROM orders; END $$",
        "SET search_path TO hr, public",
        "SET standard_conforming_strings TO off",
        "SET ROLE shop_metadata",
        "SET SESSION AUTHORIZATION shop_metadata",
        "PREPARE p AS DELETE FROM orders",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM hr.payroll",
        "LISTEN anything",
        "LOCK TABLE orders",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "GRANT ALL ON orders TO PUBLIC",
        "ALTER SYSTEM SET log_statement = 'all'",
    ] {
        let refused = stack.psql(&token, sql);
        assert_eq!(refused.sqlstate(), Some("42501"), "{sql}: {refused:?}");
    }
    for sql in ["COPY orders TO STDOUT", "COPY orders FROM PROGRAM 'id'", "SELECT 1; COPY orders TO STDOUT"] {
        let refused = stack.psql(&token, sql);
        assert_eq!(refused.sqlstate(), Some("0A000"), "{sql}: {refused:?}");
    }
    assert_eq!(stack.owner("SELECT count(*) > 0 FROM orders"), "t");
}

#[test]
fn nothing_is_called_by_attribute_notation() {
    let stack = shared();
    let token = stack.token("reader");
    stack.owner(
        "CREATE OR REPLACE FUNCTION leak(text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM hr.payroll';
         CREATE OR REPLACE FUNCTION json_object(int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM hr.payroll'",
    );
    for sql in [
        "SELECT ('SELECT to_tsvector(''simple'', employee) FROM hr.payroll'::text).ts_stat",
        "SELECT v.ts_stat FROM unnest(ARRAY['SELECT to_tsvector(employee) FROM hr.payroll'::text]) v",
        "SELECT (0.5::float8).pg_sleep",
        "SELECT (42::bigint).pg_advisory_lock",
        "SELECT (1).pg_terminate_backend",
        "SELECT (-1).lo_creat",
        "SELECT ('x'::text).leak",
        "SELECT v.leak FROM (VALUES ('x'::text)) AS t(v)",
        "SELECT json_object(1)",
        "SELECT ('hr').regnamespace",
        "SELECT (10::oid).regrole",
        "SELECT ('{hr.payroll}')._regclass",
        "SELECT format_type(1259, NULL)",
        "SELECT 'hr.payroll'::regtype",
        "SELECT 'hr.payroll'::regclass",
        "SELECT (NULL::hr.payroll).*",
        "EXPLAIN VERBOSE SELECT * FROM customers",
    ] {
        let refused = stack.psql(&token, sql);
        assert_eq!(refused.sqlstate(), Some("42501"), "{sql}: {refused:?}");
    }
    let columns =
        stack.psql(&token, "SELECT c.name, o.id FROM customers c JOIN orders o ON o.customer_id = c.id");
    assert_eq!(columns.code, 0, "columns that are called like functions can be read: {columns:?}");
}

#[test]
fn a_function_that_could_change_what_names_mean_ends_the_trust_in_them() {
    let stack = Stack::start();
    let token = stack.token("reader");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("calls.yaml");
    let policy = "kind: PolicyBundle\nname: calls\nspec:\n  policies: |\n    \
                  permit (principal, action == Action::\"postgres:call\", resource);\n";
    std::fs::write(&file, policy).expect("written");
    assert!(stack.cli(&["apply", "-f", &file.to_string_lossy()]).status.success());
    stack.owner("CREATE TABLE IF NOT EXISTS public.payroll (employee text, salary integer)");
    wait_until("the permit to act", Duration::from_secs(10), || {
        (stack.psql(&token, "SELECT pg_sleep(0)").code == 0).then_some(())
    });
    for call in [
        "SELECT set_config('search_path', 'hr', false)",
        "SELECT count(*) FROM ts_stat('SELECT NULL::tsvector')",
        "SELECT query_to_xml('SELECT set_config(''search_path'', ''hr'', false)', true, true, '')",
    ] {
        let script = psql_script(&stack, &token, &[call, "SELECT * FROM payroll"]);
        assert!(!script.stdout.contains("100000"), "{call}: {script:?}");
        assert!(script.stderr.contains("42501"), "{call}: {script:?}");
    }
}

#[test]
fn one_forbidden_statement_refuses_the_whole_string() {
    let stack = shared();
    let token = stack.token("writer");
    let before = stack.owner("SELECT count(*) FROM orders");
    for sql in [
        "INSERT INTO orders (customer_id, total) VALUES (1, 1); SELECT * FROM hr.payroll",
        "SELECT 1; DELETE FROM orders",
        "SELECT 1; -- a comment\n/* and one /* more */ */ DROP TABLE orders",
    ] {
        let refused = stack.psql(&token, sql);
        assert_eq!(refused.sqlstate(), Some("42501"), "{sql}: {refused:?}");
        assert!(refused.stdout.is_empty(), "{sql}: {refused:?}");
    }
    assert_eq!(stack.owner("SELECT count(*) FROM orders"), before);
}

#[test]
fn a_delete_of_everything_is_forbidden_and_one_with_a_predicate_is_not() {
    let stack = shared();
    let token = stack.token("writer");
    let refused = stack.psql(&token, "DELETE FROM orders");
    assert_eq!(refused.detail()["reason"], "forbidden", "{refused:?}");
    assert_eq!(stack.psql_approved(&token, "DELETE FROM orders WHERE id = -1").code, 0);
}

#[test]
fn a_refusal_inside_a_transaction_fails_it_in_the_database_too() {
    let stack = shared();
    let token = stack.token("writer");
    let script = stack.psql_script_approved(
        &token,
        &[
            "BEGIN",
            "INSERT INTO orders (customer_id, total, status) VALUES (1, 1, 'it-half')",
            "SELECT * FROM hr.payroll",
            "SELECT 1",
            "COMMIT",
            "SELECT 'after'",
        ],
    );
    assert!(script.stderr.contains("25P02"), "{script:?}");
    assert!(script.stdout.contains("after"), "{script:?}");
    assert_eq!(stack.owner("SELECT count(*) FROM orders WHERE status = 'it-half'"), "0");
}

#[test]
fn a_savepoint_survives_a_refusal_as_it_survives_an_error() {
    let stack = shared();
    let token = stack.token("writer");
    let script = stack.psql_script_approved(
        &token,
        &[
            "BEGIN",
            "INSERT INTO orders (customer_id, total, status) VALUES (1, 1, 'it-save')",
            "SAVEPOINT here",
            "SELECT * FROM hr.payroll",
            "ROLLBACK TO here",
            "COMMIT",
        ],
    );
    assert_eq!(stack.owner("SELECT count(*) FROM orders WHERE status = 'it-save'"), "1", "{script:?}");
    assert_eq!(stack.psql_approved(&token, "DELETE FROM orders WHERE status = 'it-save'").code, 0);
}

#[test]
fn a_stranger_with_a_genuine_token_may_not_connect() {
    let stack = shared();
    let refused = stack.login_once("shop", &stack.token("stranger"));
    assert_eq!((&refused["S"], &refused["C"]), (&json!("FATAL"), &json!("42501")), "{refused}");
    let detail: serde_json::Value =
        serde_json::from_str(refused["D"].as_str().expect("DETAIL")).expect("JSON");
    assert_eq!((&detail["decision"], &detail["reason"]), (&json!("denied"), &json!("not_permitted")));
}

#[test]
fn an_unknown_target_and_a_named_database_are_refused() {
    let stack = shared();
    let token = stack.token("reader");
    let unknown = stack.login_once("nowhere", &token);
    assert_eq!(unknown["S"], "FATAL", "{unknown}");
    assert!(unknown.get("ready").is_none());
    assert_eq!(stack.login_once("shop/postgres", &token)["C"], "0A000");
}

#[test]
fn a_connection_without_tls_is_refused() {
    let stack = shared();
    let plain = stack.ready.edge_dsns["shop"].replace("verify-full", "disable");
    assert!(plain.contains("sslmode=disable"), "{plain}");
    let refused = psql(&plain, Some(&stack.token("reader")), "SELECT 1");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("TLS") || refused.stderr.contains("SSL"), "{refused:?}");
}

#[test]
fn the_target_lets_nobody_in_over_the_network_without_the_token_of_its_role() {
    let stack = shared();
    for role in ["shop_standing", "shop_approved", "shop_metadata", "shop_reader_own"] {
        let direct = direct_over_tcp(stack, role);
        for password in [stack.token("reader"), stack.token("writer"), "guess".to_owned()] {
            let refused = psql(&direct, Some(&password), "SELECT 1");
            assert_eq!(refused.code, 2, "{role}: {refused:?}");
        }
        assert!(!psql(&direct, None, "SELECT 1").stderr.is_empty());
    }
}

#[test]
fn what_policy_allows_alone_cannot_write_in_the_database_either() {
    let stack = shared();
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    for (role, written) in [("shop_standing", false), ("shop_metadata", false), ("shop_approved", true)] {
        let sql =
            format!("BEGIN; SET LOCAL ROLE {role}; UPDATE orders SET total = total WHERE id = 1; ROLLBACK");
        let tried = psql(&administrator, None, &sql);
        assert_eq!(tried.code == 0, written, "{role}: {tried:?}");
        assert!(written || tried.stderr.contains("permission denied"), "{role}: {tried:?}");
    }
}

#[test]
fn the_caller_never_sees_the_credential_and_the_target_never_the_callers_token() {
    let stack = shared();
    let token = stack.token("reader");
    let who = stack.psql(&token, "SELECT current_user, session_user");
    assert_eq!(who.stdout, "shop_standing|shop_standing", "{who:?}");
    let settings = stack.psql(&token, "SHOW search_path");
    assert_eq!(settings.code, 0, "{settings:?}");
}

#[test]
fn a_large_result_arrives_whole() {
    let stack = shared();
    let token = stack.token("reader");
    let rows = "FROM orders a, orders b, orders c, orders d";
    let expected = stack.owner(&format!("SELECT count(*) {rows}"));
    let through = stack.psql(&token, &format!("SELECT repeat(a.status, 10000), b.id {rows}"));
    assert_eq!(through.code, 0, "{}", through.stderr);
    assert_eq!(through.stdout.lines().count().to_string(), expected);
    assert!(through.stdout.len() > 5_000_000, "{} bytes", through.stdout.len());
}

#[test]
fn many_sessions_at_once_are_each_served() {
    let stack = shared();
    let token = stack.token("reader");
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..12)
            .map(|number| {
                let token = &token;
                scope.spawn(move || stack.psql(token, &format!("SELECT {number} * 2")).stdout)
            })
            .collect();
        for (number, session) in sessions.into_iter().enumerate() {
            assert_eq!(session.join().expect("joined"), (number * 2).to_string());
        }
    });
}

#[test]
fn the_target_going_away_ends_the_session_and_says_so() {
    let stack = Stack::start();
    let token = stack.token("reader");
    assert_eq!(stack.psql(&token, "SELECT 1").code, 0);
    // An administrator of the database ends the sessions of the standing role while one waits between statements.
    let administrator = stack.ready.target_dsns["shop"].replace("user=shop_owner", "user=postgres");
    let session = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| psql_script(&stack, &token, &["SELECT 1", "\\! sleep 3", "SELECT 2"]));
        wait_until("the session to show", Duration::from_secs(10), || {
            let live = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_standing'";
            (psql(&administrator, None, live).stdout != "0").then_some(())
        });
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop_standing'";
        assert_eq!(psql(&administrator, None, end).code, 0);
        waiting.join().expect("joined")
    });
    assert!(!session.stdout.contains('2'), "{session:?}");
    assert_eq!(stack.psql(&token, "SELECT 3").stdout, "3", "a new session is served");
}

/// Each line in its own query, in one session, going on after errors.
fn psql_script(stack: &Stack, token: &str, lines: &[&str]) -> crate::stack::Psql {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut child = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "VERBOSITY=verbose"])
        .args(["-d", &stack.ready.edge_dsns["shop"]])
        .env("PGPASSWORD", token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut stdin = child.stdin.take().expect("piped");
    for line in lines {
        let end = if line.starts_with('\\') { "\n" } else { ";\n" };
        stdin.write_all(format!("{line}{end}").as_bytes()).expect("written");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("psql ends");
    crate::stack::Psql {
        code: output.status.code().unwrap_or(-1),
        stdout: crate::stack::text(&output.stdout).trim().to_owned(),
        stderr: crate::stack::text(&output.stderr),
    }
}

/// The target's own TCP port, past the edge.
fn direct_over_tcp(stack: &Stack, role: &str) -> String {
    let port = stack.owner("SHOW port");
    format!(
        "postgresql://{role}@127.0.0.1:{port}/shop?sslmode=verify-full&sslrootcert={}",
        stack.ready.ca.display()
    )
}
