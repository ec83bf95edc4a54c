//! What statements copy, and what their output columns are.

use super::golden::CASES;
use crate::{Limits, Moves, Output, QualifiedName, Statement, StatementKind, analyse, known_harmless};
use proptest::prelude::*;

fn moves(sql: &str) -> Moves {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    let [statement] = &analysis.statements[..] else { panic!("{sql}") };
    statement.moves.clone()
}

#[test]
fn constants_and_parameters_move_nothing() {
    for sql in [
        "SELECT email, * FROM customers",
        "SELECT (SELECT email FROM c), t FROM t",
        "WITH a AS (SELECT * FROM t) SELECT * FROM a",
        "INSERT INTO t VALUES (1, $1, DEFAULT, now(), NULL, 'x' || 'y', ARRAY[1, 2], $2::int)",
        "INSERT INTO t (a) VALUES (nextval('s')), (gen_random_uuid())",
        "INSERT INTO t DEFAULT VALUES",
        "INSERT INTO t (a) VALUES (1) RETURNING *",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (b) DO NOTHING",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (b) DO UPDATE SET a = 2 WHERE t.c > excluded.c",
        "INSERT INTO t SELECT 1, 'x' FROM c WHERE c.email = 'x' ORDER BY c.name",
        "INSERT INTO t SELECT count(*) FROM c GROUP BY email HAVING max(name) > 'x'",
        "INSERT INTO t SELECT 1 FROM generate_series(1, 10)",
        "INSERT INTO t SELECT 1 FROM (SELECT email FROM c) s",
        "UPDATE t SET a = 'x', b = $1, c = DEFAULT WHERE d = (SELECT e FROM f)",
        "UPDATE t SET (a, b) = (1, $1) FROM c WHERE c.email = t.email RETURNING *",
        "UPDATE t SET a[1] = 2",
        "DELETE FROM t",
        "DELETE FROM t USING c WHERE c.email = t.email AND t.a IN (SELECT * FROM d) RETURNING *",
        "WITH d AS (DELETE FROM t RETURNING email) SELECT email FROM d",
        "MERGE INTO t USING c ON c.email = t.email WHEN MATCHED AND c.a THEN UPDATE SET a = 1 \
         WHEN NOT MATCHED THEN INSERT (a) VALUES ($1)",
        "MERGE INTO t USING c ON c.a = t.a WHEN MATCHED THEN DELETE",
        "CREATE TABLE x AS SELECT 1 AS a",
        "SELECT 1 INTO x FROM c",
        "LOCK TABLE t",
        "BEGIN",
        "SET statement_timeout = 1",
        "SHOW statement_timeout",
        "DISCARD ALL",
        "EXPLAIN ANALYZE UPDATE t SET a = 1",
        "PREPARE p AS UPDATE t SET a = $1",
        "DEALLOCATE p",
    ] {
        assert_eq!(moves(sql), Moves::Nothing, "{sql}");
    }
}

#[test]
fn columns_move_where_their_values_are_written() {
    for (sql, columns) in [
        ("INSERT INTO t SELECT email FROM c", "email"),
        (
            "INSERT INTO t (a, b) SELECT c.name, lower(s.c.email) FROM s.c WHERE c.id = 1 ORDER BY c.phone",
            "email name",
        ),
        ("INSERT INTO t SELECT a FROM c UNION SELECT b FROM d EXCEPT (SELECT e FROM f ORDER BY g)", "a b e"),
        ("INSERT INTO t SELECT o.a FROM c AS o JOIN d USING (id) LEFT JOIN e ON e.x = o.y", "a"),
        ("INSERT INTO t SELECT a FROM (c JOIN d ON true) AS j", "a"),
        (
            "INSERT INTO t SELECT max(a ORDER BY b) FILTER (WHERE d), lag(e) OVER (ORDER BY f), g FROM c",
            "a b d e f g",
        ),
        (
            "INSERT INTO t SELECT CASE WHEN a THEN b END, d::text, ARRAY[e], ROW(f), (g).h, i[j] FROM c",
            "a b d e f g i j",
        ),
        ("INSERT INTO t SELECT DISTINCT ON (b) a FROM c LIMIT 5", "a"),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (b) DO UPDATE SET a = excluded.a || t.d", "a d"),
        ("UPDATE t SET a = b", "b"),
        ("UPDATE t SET a = a + 1 WHERE c = d", "a"),
        ("UPDATE t SET a = c.email FROM c WHERE c.id = t.id", "email"),
        ("UPDATE t SET (a, b) = ROW(d, 1), e[f] = 1", "d f"),
        ("UPDATE t SET a = b WHERE c IN (SELECT d FROM e)", "b"),
        ("UPDATE t SET a = \"Email\"", "Email"),
        (
            "MERGE INTO t USING c ON c.x = t.x WHEN MATCHED AND c.y THEN UPDATE SET a = c.b \
          WHEN NOT MATCHED THEN INSERT (d, e) VALUES (c.f, 1)",
            "b f",
        ),
        ("CREATE TABLE x AS SELECT email AS e FROM c", "email"),
        ("SELECT email INTO x FROM c", "email"),
        ("SELECT a INTO x FROM c UNION SELECT b FROM d", "a b"),
        ("EXPLAIN INSERT INTO t SELECT email FROM c", "email"),
        ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT email FROM c", "email"),
        ("PREPARE p AS INSERT INTO t SELECT email FROM c", "email"),
    ] {
        let columns = columns.split(' ').map(str::to_owned).collect();
        assert_eq!(moves(sql), Moves::Columns(columns), "{sql}");
    }
}

#[test]
fn what_no_name_describes_moves_anything() {
    for sql in [
        "INSERT INTO t SELECT * FROM c",
        "INSERT INTO t TABLE c",
        "INSERT INTO t SELECT c.* FROM c",
        "INSERT INTO t SELECT ROW(c.*) FROM c",
        "INSERT INTO t SELECT c FROM c",
        "INSERT INTO t SELECT s.c FROM s.c",
        "INSERT INTO t SELECT o::text FROM c AS o",
        "INSERT INTO t SELECT row_to_json(o) FROM c o",
        "INSERT INTO t SELECT j FROM (c JOIN d ON true) AS j",
        "INSERT INTO t SELECT j.x FROM (c JOIN d USING (a)) AS j (x)",
        "INSERT INTO t SELECT o.x FROM c AS o (x)",
        "INSERT INTO t SELECT (c).email FROM c",
        "INSERT INTO t SELECT (f(c)).email FROM c",
        "INSERT INTO t SELECT (a).* FROM c",
        "INSERT INTO t SELECT c.to_json FROM c",
        "INSERT INTO t SELECT email(c) FROM c",
        "INSERT INTO t SELECT f(1)",
        "INSERT INTO t VALUES (public.lower('x'))",
        "INSERT INTO t VALUES (query_to_xml('SELECT 1', true, true, ''))",
        "INSERT INTO t SELECT 1 OPERATOR(evil.+) 2",
        "INSERT INTO t VALUES ((SELECT email FROM c))",
        "INSERT INTO t VALUES (ARRAY(SELECT email FROM c))",
        "INSERT INTO t SELECT x FROM (SELECT email AS x FROM c) s",
        "INSERT INTO t SELECT s FROM (SELECT email AS x FROM c) s",
        "INSERT INTO t SELECT x FROM json_each('{}') AS f (x, y)",
        "INSERT INTO t SELECT f FROM unnest($1) AS f",
        "INSERT INTO t SELECT x FROM (VALUES (f(1))) v (x)",
        "INSERT INTO t SELECT x FROM (VALUES (1) LIMIT (SELECT 1)) v (x)",
        "INSERT INTO t SELECT v FROM (VALUES (1)) v (x)",
        "INSERT INTO t SELECT x FROM (VALUES (1)) v (x), (SELECT email AS x FROM c) s",
        "WITH w AS (SELECT email AS x FROM c) INSERT INTO t SELECT x FROM w",
        "WITH w AS (DELETE FROM c RETURNING email AS x) INSERT INTO t SELECT x FROM w",
        "WITH w AS (SELECT email AS x FROM c), i AS (INSERT INTO t SELECT x FROM w RETURNING 1) SELECT 1",
        "WITH i AS (INSERT INTO t SELECT * FROM c RETURNING 1) SELECT 1 FROM i",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = excluded",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = t::text",
        "UPDATE t SET a = t",
        "UPDATE t AS o SET a = o",
        "UPDATE t SET a = (SELECT email FROM c)",
        "UPDATE t SET (a, b) = (SELECT email, name FROM c)",
        "UPDATE t SET a = (b).email FROM c b",
        "UPDATE t SET a = EXISTS (SELECT 1 FROM c WHERE email = 'x')",
        "UPDATE t SET a = s.x FROM (SELECT email AS x FROM c) s",
        "MERGE INTO t USING (SELECT email AS x FROM c) s ON true WHEN MATCHED THEN UPDATE SET a = s.x",
        "MERGE INTO t USING c ON true WHEN NOT MATCHED THEN INSERT VALUES (c)",
        "CREATE TABLE x AS TABLE c",
        "CREATE TABLE x AS SELECT c FROM c",
        "SELECT * INTO x FROM c",
        "SELECT 1 INTO x UNION SELECT (SELECT email FROM c)",
        "EXPLAIN ANALYZE INSERT INTO t SELECT * FROM c",
        "PREPARE p AS INSERT INTO t SELECT * FROM c",
        "DO $$x$$",
        "CALL p()",
        "EXECUTE p",
        "COPY t FROM STDIN",
        "CREATE MATERIALIZED VIEW v AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "SELECT xmlelement(name x)",
    ] {
        assert_eq!(moves(sql), Moves::Anything, "{sql}");
    }
}

#[test]
fn an_execute_moves_what_was_prepared() {
    let read = |sql: &str| analyse(sql.as_bytes(), &Limits::default()).unwrap();
    for (prepared, moved) in [
        ("PREPARE p AS UPDATE t SET a = $1", Moves::Nothing),
        ("PREPARE p AS UPDATE t SET a = b", Moves::Columns(vec!["b".to_owned()])),
        ("PREPARE p AS INSERT INTO t TABLE c", Moves::Anything),
        ("PREPARE q AS SELECT 1", Moves::Anything),
    ] {
        let merged = read("EXECUTE p(1)").executing(&read(prepared).statements[0]);
        assert_eq!(merged.statements[0].moves, moved, "{prepared}");
    }
    for (execute, prepared, moved) in [
        ("EXECUTE p(f())", "PREPARE p AS UPDATE t SET a = $1", Moves::Anything),
        ("EXECUTE p(lower($1))", "PREPARE p AS UPDATE t SET a = $1", Moves::Nothing),
        ("EXECUTE p(f())", "PREPARE p AS SELECT $1", Moves::Nothing),
    ] {
        let merged = read(execute).executing(&read(prepared).statements[0]);
        assert_eq!(merged.statements[0].moves, moved, "{execute} of {prepared}");
    }
    let merged = read("EXECUTE p").executing(&read("PREPARE p AS SELECT count(*), a FROM t").statements[0]);
    assert_eq!(merged.statements[0].outputs, [Output::Count, Output::Other]);
}

/// Whether it calls, or may call, anything that is not known to be harmless.
fn acts(statement: &Statement) -> bool {
    let built_in = |name: &QualifiedName| name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    !statement.functions.iter().all(|name| built_in(name) && known_harmless(&name.name))
        || !statement.operators.iter().all(built_in)
        || !statement.attributes.is_empty()
}

/// Golden statements: what neither writes nor hands anything to unknown code moves nothing.
#[test]
fn what_writes_nothing_moves_nothing() {
    use StatementKind::{Call, CreateTableAs, Do, Insert, Merge, Update};
    for sql in CASES.lines().filter_map(|l| l.strip_prefix("> ")) {
        let Ok(analysis) = analyse(sql.as_bytes(), &Limits::default()) else { continue };
        for statement in analysis.statements {
            let writes = [Call, CreateTableAs, Do, Insert, Merge, Update];
            if statement.unparsed.is_some() {
                assert_eq!(statement.moves, Moves::Anything, "{sql}");
            } else if !statement.kinds.iter().any(|kind| writes.contains(kind)) && !acts(&statement) {
                assert_eq!(statement.moves, Moves::Nothing, "{sql}");
            }
        }
    }
}

/// Expressions of X.
#[rustfmt::skip]
const SHAPES: [&str; 28] = [
    "X", "X + 1", "lower(X)", "coalesce(NULL, X)", "CASE WHEN true THEN X END", "(X)::text", "ARRAY[X]",
    "ROW(1, X)", "X IS NULL", "NOT X", "X IN (1, 2)", "1 IN (2, X)", "X BETWEEN 1 AND 2", "greatest(1, X)",
    "X COLLATE \"C\"", "nullif(X, 1)", "X[1]", "a[X]", "max(X) FILTER (WHERE true)",
    "count(*) FILTER (WHERE X)", "sum(1) OVER (ORDER BY X)", "format('%s', VARIADIC X)",
    "make_date(year => X)", "X AT TIME ZONE 'UTC'", "extract(year FROM X)", "(X, 1) = (2, 3)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY X)", "grouping(X)",
];

/// Statements that write Y.
const HOSTS: [&str; 10] = [
    "INSERT INTO t SELECT 1, Y FROM c",
    "INSERT INTO t SELECT 1 UNION SELECT Y FROM c",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = Y",
    "UPDATE t SET a = Y",
    "UPDATE t SET (a, b) = ROW(1, Y)",
    "MERGE INTO t USING c ON true WHEN NOT MATCHED THEN INSERT VALUES (1, Y)",
    "CREATE TABLE x AS SELECT Y FROM c",
    "SELECT 1, Y INTO x FROM c",
    "WITH i AS (INSERT INTO t SELECT Y FROM c RETURNING 1) SELECT 1",
    "EXPLAIN UPDATE t SET a = Y",
];

proptest! {
    /// A column of what is read is never lost, whatever is computed of it.
    #[test]
    fn columns_in_written_expressions_are_seen(
        shape in prop::sample::select(&SHAPES[..]),
        other in prop::sample::select(&["X", "lower(X)", "ROW(X, 2)", "X || 'y'"][..]),
        host in prop::sample::select(&HOSTS[..]),
    ) {
        let written = shape.replace('X', &other.replace('X', "c.secret"));
        let sql = host.replace('Y', &written);
        if let Ok(analysis) = analyse(sql.as_bytes(), &Limits::default()) {
            let seen = match &analysis.statements[0].moves {
                Moves::Nothing => false,
                Moves::Columns(names) => names.iter().any(|name| name == "secret"),
                Moves::Anything => true,
            };
            prop_assert!(seen, "{sql}");
        }
    }
}

#[test]
fn outputs_are_counts_stars_and_others() {
    for (sql, outputs) in [
        ("SELECT count(*), count(a) AS n, count(DISTINCT a), count(*) FILTER (WHERE b) FROM t", "cccc"),
        ("SELECT pg_catalog.count(*), \"count\"(*), COUNT (1) FROM t GROUP BY a", "ccc"),
        ("SELECT count(*) OVER (), count(a) OVER w FROM t WINDOW w AS ()", "oo"),
        ("SELECT count(*) + 0, (count(*))::text, max(a), count, a, 1 FROM t", "oooook"),
        ("SELECT s.count(*), d.pg_catalog.count(*), count(), count(a, b), count(VARIADIC a)", "ooooo"),
        ("SELECT \"Count\"(a) FROM t", "o"),
        ("SELECT (count(*)), coalesce(count(*), 0), ARRAY[count(*)] FROM t", "coo"),
        ("SELECT *, t.*, s.t.*, (a).*, t FROM t", "sssso"),
        ("TABLE t", "s"),
        ("WITH w AS (SELECT 1) SELECT count(*), a FROM w", "co"),
        ("SELECT count(*) FROM t UNION SELECT a FROM t", ""),
        ("(SELECT count(*) FROM t)", "c"),
        ("SELECT count(*) INTO x FROM t", ""),
        ("VALUES (1)", ""),
        ("SELECT", ""),
        ("EXPLAIN SELECT count(*) FROM t", ""),
        ("DELETE FROM t RETURNING *", ""),
        ("CREATE TABLE x AS SELECT count(*) FROM t", ""),
        ("SELECT xmlelement(name x), count(*)", ""),
    ] {
        let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
        let letters = analysis.statements[0].outputs.iter().map(|output| match output {
            Output::Count => 'c',
            Output::Star => 's',
            Output::Constant => 'k',
            Output::Other => 'o',
        });
        assert_eq!(letters.collect::<String>(), outputs, "{sql}");
    }
}
