//! Ways in which a text might hide what it touches. Each test is named after the promise that would break.

use super::golden::render;
use crate::{Access, Limits, StatementKind, analyse};

fn facts(sql: &str) -> String {
    render(sql.as_bytes()).trim_end().to_owned()
}

/// Whether the statement reads `secret`, or is refused a meaning altogether.
fn sees_secret(sql: &str) -> bool {
    let Ok(analysis) = analyse(sql.as_bytes(), &Limits::default()) else { return true };
    analysis.statements.iter().any(|s| {
        s.unparsed.is_some()
            || s.relations
                .iter()
                .any(|r| r.access == Access::Read && r.name.name == "secret" && r.name.schema.is_none())
    })
}

#[test]
fn a_relation_is_seen_wherever_a_subquery_may_stand() {
    let places = [
        "SELECT (TABLE secret)",
        "SELECT 1 WHERE EXISTS (TABLE secret)",
        "SELECT 1 FROM t JOIN u ON (SELECT true FROM secret)",
        "SELECT 1 GROUP BY (SELECT x FROM secret)",
        "SELECT 1 GROUP BY GROUPING SETS (((SELECT x FROM secret)))",
        "SELECT GROUPING((SELECT x FROM secret))",
        "SELECT 1 HAVING (SELECT true FROM secret)",
        "SELECT 1 ORDER BY (SELECT x FROM secret)",
        "SELECT 1 LIMIT (SELECT x FROM secret)",
        "SELECT 1 OFFSET (SELECT x FROM secret)",
        "SELECT 1 FETCH FIRST (SELECT x FROM secret) ROWS ONLY",
        "SELECT DISTINCT ON ((SELECT x FROM secret)) 1",
        "SELECT sum(x) OVER (PARTITION BY (SELECT x FROM secret)) FROM t",
        "SELECT sum(x) OVER (ORDER BY (SELECT x FROM secret)) FROM t",
        "SELECT sum(x) OVER (ORDER BY a ROWS (SELECT x FROM secret) PRECEDING) FROM t",
        "SELECT sum(x) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND (SELECT x FROM secret) FOLLOWING) FROM t",
        "SELECT sum(x) OVER w FROM t WINDOW w AS (PARTITION BY (SELECT x FROM secret))",
        "SELECT sum(x) FILTER (WHERE (SELECT true FROM secret)) FROM t",
        "SELECT array_agg(x ORDER BY (SELECT x FROM secret)) FROM t",
        "SELECT percentile_cont((SELECT x FROM secret)) WITHIN GROUP (ORDER BY a) FROM t",
        "SELECT mode() WITHIN GROUP (ORDER BY (SELECT x FROM secret)) FROM t",
        "SELECT f(a => (SELECT x FROM secret))",
        "SELECT CASE (SELECT x FROM secret) WHEN 1 THEN 2 END",
        "SELECT CASE WHEN true THEN (SELECT x FROM secret) END",
        "SELECT CASE WHEN true THEN 1 ELSE (SELECT x FROM secret) END",
        "SELECT coalesce((SELECT x FROM secret)), greatest(1)",
        "SELECT least(1, (SELECT x FROM secret))",
        "SELECT nullif(1, (SELECT x FROM secret))",
        "SELECT ROW(1, (SELECT x FROM secret)) IN (VALUES (1, 2))",
        "SELECT (1, (SELECT x FROM secret)) = (1, 2)",
        "SELECT ARRAY[1, (SELECT x FROM secret)]",
        "SELECT ARRAY(SELECT x FROM secret)",
        "SELECT a[(SELECT x FROM secret)] FROM t",
        "SELECT a[1:(SELECT x FROM secret)] FROM t",
        "SELECT ((SELECT s FROM secret s)).*",
        "SELECT (SELECT x FROM secret)::text COLLATE \"C\"",
        "SELECT (SELECT x FROM secret) IS NULL, (SELECT true) IS TRUE",
        "SELECT NOT (SELECT x FROM secret)",
        "SELECT (SELECT x FROM secret) IS NOT TRUE",
        "SELECT 1 BETWEEN 0 AND (SELECT x FROM secret)",
        "SELECT 1 IN (1, (SELECT x FROM secret))",
        "SELECT 1 IN (SELECT x FROM secret)",
        "SELECT 1 = ANY (SELECT x FROM secret)",
        "SELECT (SELECT x FROM secret) = ANY (SELECT 1)",
        "SELECT 'a' LIKE 'b' ESCAPE (SELECT x FROM secret)",
        "SELECT extract(year FROM (SELECT x FROM secret))",
        "SELECT now() AT TIME ZONE (SELECT x FROM secret)",
        "SELECT f(VARIADIC (SELECT x FROM secret))",
        "SELECT * FROM f((SELECT x FROM secret))",
        "SELECT * FROM ROWS FROM (f((SELECT x FROM secret))) WITH ORDINALITY",
        "SELECT * FROM t TABLESAMPLE system ((SELECT x FROM secret))",
        "SELECT * FROM t TABLESAMPLE system (1) REPEATABLE ((SELECT x FROM secret))",
        "SELECT * FROM secret TABLESAMPLE system (1)",
        "SELECT * FROM LATERAL (SELECT * FROM secret) s",
        "SELECT * FROM ((SELECT 1) UNION (TABLE secret)) s",
        "SELECT * FROM (t CROSS JOIN (u CROSS JOIN secret)) j",
        "VALUES (1), ((SELECT x FROM secret))",
        "SELECT 1 UNION ALL (SELECT 1 EXCEPT TABLE secret)",
        "WITH a AS (TABLE secret) SELECT 1",
        "WITH RECURSIVE a AS (SELECT 1 UNION TABLE secret) SELECT 1",
        "WITH a AS (WITH b AS (TABLE secret) SELECT 1) SELECT 1",
        "WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y TO (SELECT 1 FROM secret) DEFAULT 2 USING z SELECT 1",
        "SELECT * FROM xmltable('/x' PASSING (SELECT x FROM secret) COLUMNS a int)",
        "SELECT json_query((SELECT x FROM secret), '$')",
        "SELECT xmlconcat((SELECT x FROM secret))",
        "INSERT INTO t TABLE secret",
        "INSERT INTO t VALUES ((SELECT x FROM secret))",
        "INSERT INTO t (a[(SELECT x FROM secret)]) VALUES (1)",
        "INSERT INTO t VALUES (1) RETURNING (SELECT x FROM secret)",
        "INSERT INTO t VALUES (1) ON CONFLICT ((SELECT x FROM secret)) DO NOTHING",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE (SELECT true FROM secret) DO NOTHING",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = (SELECT x FROM secret)",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET (a, b) = (SELECT x, y FROM secret)",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1 WHERE (SELECT true FROM secret)",
        "UPDATE t SET a = (SELECT x FROM secret)",
        "UPDATE t SET a[(SELECT x FROM secret)] = 1",
        "UPDATE t SET (a, b) = (SELECT x, y FROM secret)",
        "UPDATE t SET (a, b) = ROW(1, (SELECT x FROM secret))",
        "UPDATE t SET a = 1 FROM secret",
        "UPDATE t SET a = 1 WHERE EXISTS (TABLE secret)",
        "UPDATE t SET a = 1 RETURNING (SELECT x FROM secret)",
        "DELETE FROM t USING secret",
        "DELETE FROM t WHERE EXISTS (TABLE secret)",
        "DELETE FROM t RETURNING (SELECT x FROM secret)",
        "EXPLAIN SELECT * FROM secret",
        "SELECT 1; SELECT 1; TABLE secret",
        "SELECT x::numeric((SELECT 1 FROM secret)) FROM t",
    ];
    for sql in places {
        assert!(sees_secret(sql), "{sql}: {}", facts(sql));
    }
}

#[test]
fn a_common_table_hides_a_relation_only_in_its_own_scope() {
    for (sql, seen) in [
        ("WITH secret AS (SELECT 1) TABLE secret", false),
        ("WITH secret AS (TABLE secret) TABLE secret", true),
        ("WITH RECURSIVE secret AS (TABLE secret) TABLE secret", false),
        ("SELECT (WITH secret AS (SELECT 1) SELECT 1) FROM secret", true),
        ("SELECT 1 FROM secret WHERE x IN (WITH secret AS (SELECT 1) TABLE secret)", true),
        ("(WITH secret AS (SELECT 1) TABLE secret) UNION TABLE secret", true),
        ("TABLE secret UNION (WITH secret AS (SELECT 1) TABLE secret)", true),
        ("WITH a AS (TABLE secret), secret AS (SELECT 1) TABLE a", true),
        ("WITH RECURSIVE a AS (TABLE secret), secret AS (SELECT 1) TABLE a", false),
        ("WITH a AS (WITH secret AS (SELECT 1) TABLE secret) TABLE secret", true),
        ("WITH \"SECRET\" AS (SELECT 1) TABLE secret", true),
        ("WITH \"secret\" AS (SELECT 1) TABLE SECRET", false),
        ("SELECT 1 AS secret FROM t AS secret, secret", true),
        ("SELECT 1 FROM t AS secret", false),
    ] {
        assert_eq!(sees_secret(sql), seen, "{sql}: {}", facts(sql));
    }
    assert_eq!(facts("WITH t AS (SELECT 1) TABLE public.t"), "select; read public.t");
    assert_eq!(facts("WITH t AS (SELECT 1) DELETE FROM t"), "delete; delete t; no where");
}

#[test]
fn comments_hide_nothing() {
    assert_eq!(facts("SELECT/**/x/* FROM t */FROM/*--*/secret--;DROP TABLE t\n;"), "select; read secret");
    assert_eq!(facts("/* /* */ SELECT 1; */ TABLE secret"), "select; read secret");
    assert_eq!(facts("-- \rTABLE secret"), "select; read secret");
    assert_eq!(facts("SELECT 1 --\u{2028}; TABLE t"), "select");
    assert_eq!(facts("SELECT '/*' FROM secret WHERE '*/' = ''"), "select; read secret; op =");
    // Stricter than the server, which would read these.
    assert_eq!(facts("SELECT 1 NOT /**/ IN (2)"), "refused: the text is not of PostgreSQL's grammar");
    assert_eq!(facts("SELECT 'a' --\n'b'"), "refused: the text is not of PostgreSQL's grammar");
    assert_eq!(facts("SELECT 1 /*; DROP TABLE t"), "refused: the text is not of PostgreSQL's grammar");
}

#[test]
fn strings_hide_nothing() {
    assert_eq!(facts(r"SELECT '\' FROM secret --'"), "select; read secret");
    assert_eq!(facts(r"SELECT E'\' FROM t --' FROM secret"), "select; read secret");
    assert_eq!(facts(r"SELECT e'a'\n'\' FROM t"), "refused: the text is not of PostgreSQL's grammar");
    assert_eq!(facts("SELECT E'a'\n'\\' FROM t --' FROM secret"), "select; read secret");
    assert_eq!(facts("SELECT $a$ $b$ FROM t $$ $a$ FROM secret"), "select; read secret");
    assert_eq!(facts("SELECT $$'$$ FROM secret --'"), "select; read secret");
    assert_eq!(facts("SELECT a$$ FROM secret --$$"), "select; read secret");
    assert_eq!(facts("SELECT '' '' FROM t"), "refused: the text is not of PostgreSQL's grammar");
    assert_eq!(facts("SELECT 'a''' FROM secret --'"), "select; read secret");
    assert_eq!(facts("SELECT U&'\\0027 FROM t' FROM secret"), "select; read secret");
    assert_eq!(facts("SELECT B'1', X'1F', N'x' FROM secret"), "select; read secret; type pg_catalog.bpchar");
}

#[test]
fn names_are_decoded_folded_and_never_split_at_dots_in_quotes() {
    assert_eq!(facts("TABLE SeCrEt"), "select; read secret");
    assert_eq!(facts("TABLE \"SeCrEt\""), "select; read \"SeCrEt\"");
    assert_eq!(facts("TABLE \"public.secret\""), "select; read \"public.secret\"");
    assert_eq!(facts("TABLE public . /**/ \"a\"\"b\""), "select; read public.\"a\"\"b\"");
    assert_eq!(facts(r#"TABLE U&"\0073ecret""#), "select; read secret");
    assert_eq!(facts(r#"TABLE U&"s!0065cret" UESCAPE '!'"#), "select; read secret");
    assert_eq!(facts(r#"TABLE u&"\+000073ecret""#), "select; read secret");
    assert_eq!(facts(r#"SELECT U&"\0070g_sleep"(1)"#), "select; fn pg_sleep");
    // PostgreSQL cuts at 63 bytes, on a character; what it looks up is what is reported.
    let long = "é".repeat(40);
    assert_eq!(facts(&format!("TABLE {long}")), format!("select; read \"{}\"", "é".repeat(31)));
    assert_eq!(facts("TABLE É"), "select; read \"É\"");
}

#[test]
fn statements_that_write_do_not_pass_as_reads() {
    for sql in [
        "SELECT * FROM (WITH d AS (DELETE FROM secret RETURNING *) SELECT * FROM d) s",
        "SELECT (WITH d AS (DELETE FROM secret RETURNING *) SELECT 1 FROM d)",
        "SELECT 1 FROM t ORDER BY (WITH d AS (UPDATE secret SET a = 1 RETURNING *) SELECT 1 FROM d)",
        "VALUES ((WITH d AS (DELETE FROM secret RETURNING 1) TABLE d))",
        "SELECT 1 UNION (WITH d AS (DELETE FROM secret RETURNING 1) TABLE d)",
        "WITH a AS (WITH d AS (INSERT INTO secret VALUES (1) RETURNING *) SELECT * FROM d) SELECT 1",
        "WITH a AS (WITH b AS (WITH c AS (DELETE FROM secret) SELECT 1) SELECT 1) SELECT 1",
        "WITH RECURSIVE a AS (DELETE FROM secret RETURNING 1) SELECT 1",
        "WITH secret AS (SELECT 1) INSERT INTO secret TABLE secret",
        "WITH secret AS (SELECT 1), d AS (DELETE FROM secret RETURNING *) SELECT * FROM secret",
        "WITH RECURSIVE secret AS (SELECT 1), d AS (UPDATE secret SET a = 1) TABLE secret",
        "WITH d AS (INSERT INTO t WITH e AS (DELETE FROM secret RETURNING *) TABLE e) SELECT 1",
        "WITH d AS (UPDATE t SET a = (WITH e AS (DELETE FROM secret RETURNING 1) TABLE e)) SELECT 1",
        "WITH d AS (DELETE FROM t RETURNING (WITH e AS (DELETE FROM secret RETURNING 1) TABLE e)) SELECT 1",
        "WITH d AS (MERGE INTO secret USING t ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1",
        "UPDATE t SET a = 1 WHERE b IN (WITH d AS (DELETE FROM secret RETURNING 1) TABLE d)",
        "MERGE INTO secret USING t ON true WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "MERGE INTO t USING (WITH d AS (DELETE FROM secret RETURNING 1) TABLE d) s ON true WHEN MATCHED THEN DELETE",
        "EXPLAIN (ANALYZE) DELETE FROM secret",
        "EXPLAIN (ANALYZE false) DELETE FROM secret",
        "EXPLAIN (ANALYZE false, ANALYZE) DELETE FROM secret",
        "EXPLAIN (analyse) UPDATE secret SET a = 1",
        "EXPLAIN ANALYSE INSERT INTO secret VALUES (1)",
        "EXPLAIN ANALYZE WITH d AS (DELETE FROM secret RETURNING *) SELECT 1",
        "EXPLAIN WITH d AS (DELETE FROM secret RETURNING *) SELECT 1",
        "EXPLAIN ANALYZE CREATE TABLE x AS WITH d AS (DELETE FROM secret RETURNING *) TABLE d",
        "CREATE TABLE x AS WITH d AS (DELETE FROM secret RETURNING *) TABLE d",
        "WITH d AS (DELETE FROM secret RETURNING *) SELECT * INTO x FROM d",
        "PREPARE p AS DELETE FROM secret",
        "PREPARE p AS WITH d AS (DELETE FROM secret RETURNING *) TABLE d",
        "CALL p((WITH d AS (DELETE FROM secret RETURNING 1) TABLE d))",
        "DECLARE c CURSOR FOR WITH d AS (DELETE FROM secret RETURNING 1) TABLE d",
        "COPY (DELETE FROM secret RETURNING 1) TO STDOUT",
        "CREATE VIEW v AS WITH d AS (DELETE FROM secret RETURNING 1) TABLE d",
        "WITH d AS (DELETE FROM ONLY secret *) SELECT 1",
    ] {
        assert!(writes_secret(sql), "{sql}: {}", facts(sql));
    }
    for (sql, made) in [
        ("SELECT 1 INTO t", "t"),
        ("SELECT * INTO TEMP t FROM u", "t"),
        ("WITH a AS (SELECT 1) SELECT * INTO t FROM a", "t"),
        ("(WITH a AS (SELECT 1) SELECT * INTO t FROM a) UNION SELECT 1", "t"),
        ("EXPLAIN ANALYZE SELECT 1 INTO t", "t"),
    ] {
        assert!(facts(sql).contains(&format!("creates {made}")), "{sql}: {}", facts(sql));
        assert!(facts(sql).contains("create_table_as"), "{sql}: {}", facts(sql));
    }
    assert!(facts("SELECT * FROM secret FOR UPDATE").contains("lock secret"));
}

/// Whether the statement modifies `secret`, says so by its kinds and says that it is not told which rows; or is refused
/// a meaning altogether.
fn writes_secret(sql: &str) -> bool {
    let Ok(analysis) = analyse(sql.as_bytes(), &Limits::default()) else { return true };
    let [statement] = &analysis.statements[..] else { panic!("{analysis:?}") };
    let written = |access| {
        let name = |r: &crate::RelationUse| r.name.name == "secret" && r.name.schema.is_none();
        statement.relations.iter().any(|r| r.access == access && name(r))
    };
    let kinds = |kind| statement.kinds.contains(&kind);
    let merge = kinds(StatementKind::Merge);
    statement.unparsed.is_some()
        || (written(Access::Insert) && kinds(StatementKind::Insert))
        || (written(Access::Update) && kinds(StatementKind::Update) && statement.has_predicate == Some(false))
        || (written(Access::Delete)
            && kinds(StatementKind::Delete)
            && (merge || statement.has_predicate == Some(false)))
}

#[test]
fn one_write_without_a_predicate_is_not_hidden_by_others() {
    let bounded = |sql: &str| {
        let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
        crate::context(&analysis, false).all_writes_have_predicate
    };
    for sql in [
        "WITH d AS (DELETE FROM t) SELECT 1",
        "WITH d AS (DELETE FROM t), e AS (DELETE FROM u WHERE a) UPDATE v SET a = 1 WHERE b",
        "WITH e AS (DELETE FROM u WHERE a), d AS (DELETE FROM t) UPDATE v SET a = 1 WHERE b",
        "WITH e AS (DELETE FROM u WHERE a) UPDATE v SET a = 1",
        "WITH e AS (WITH d AS (UPDATE t SET a = 1) DELETE FROM u WHERE a) DELETE FROM v WHERE b",
        "MERGE INTO t USING (WITH d AS (DELETE FROM u RETURNING 1) TABLE d) s ON true WHEN MATCHED THEN DELETE",
        "SELECT 1 WHERE EXISTS (WITH d AS (DELETE FROM t RETURNING 1) SELECT 1 FROM d WHERE true)",
        "EXPLAIN ANALYZE DELETE FROM t",
        "PREPARE p AS DELETE FROM t",
        "CREATE TABLE x AS WITH d AS (DELETE FROM t RETURNING 1) TABLE d",
        "DELETE FROM t WHERE a; DELETE FROM t",
        "DO $$ begin delete from t where true; end $$",
        "EXECUTE p",
    ] {
        assert!(!bounded(sql), "{sql}");
    }
    for sql in [
        "WITH d AS (DELETE FROM t WHERE a) UPDATE u SET a = 1 WHERE b",
        "WITH i AS (INSERT INTO t VALUES (1)) SELECT 1",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "SELECT * INTO x FROM t",
    ] {
        assert!(bounded(sql), "{sql}");
    }
}

#[test]
fn names_of_the_gateways_own_statements_are_not_for_others() {
    for sql in [
        "PREPARE countersign_1 AS SELECT 1",
        "PREPARE CounterSign AS SELECT 1",
        "PREPARE \"countersign 1\" AS SELECT 1",
        "PREPARE U&\"\\0063ountersign\" AS SELECT 1",
        "EXECUTE countersign_1",
        "EXECUTE Countersign_1(1)",
        "DEALLOCATE countersign_1",
        "DEALLOCATE PREPARE \"countersign_1\"",
        "CLOSE countersign_1",
        "EXPLAIN ANALYZE EXECUTE countersign_1",
        "CREATE TABLE x AS EXECUTE countersign_1",
        "FETCH ALL FROM countersign_1",
    ] {
        assert!(facts(sql).contains("unparsed"), "{sql}: {}", facts(sql));
    }
}

#[test]
fn a_prepared_statement_is_not_executed_unseen() {
    for sql in [
        "EXECUTE p",
        "EXPLAIN EXECUTE p",
        "EXPLAIN ANALYZE EXECUTE p",
        "CREATE TABLE x AS EXECUTE p",
        "CREATE TEMP TABLE x AS EXECUTE p",
        "EXPLAIN ANALYZE CREATE TABLE x AS EXECUTE p",
        "SELECT 1; EXECUTE p",
        "PREPARE p AS DELETE FROM t; SELECT 1",
        "PREPARE p AS EXECUTE q",
        "PREPARE p AS SELECT 1 INTO x",
        "DEALLOCATE p; SELECT 1",
        "DISCARD ALL; SELECT 1",
    ] {
        let analysis = analyse(sql.as_bytes(), &Limits::default());
        let unseen = |s: &crate::Statement| s.unparsed.is_some();
        assert!(analysis.map_or(true, |a| a.statements.iter().any(unseen)), "{sql}: {}", facts(sql));
    }
}

#[test]
fn every_statement_of_a_string_is_reported_with_its_own_text() {
    let sql = " SELECT 'a;b' ;; DELETE FROM t; /* x; */ SELECT $$;$$ -- ;\n; ";
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let texts: Vec<_> = analysis.statements.iter().map(|s| sql[s.span.clone()].trim()).collect();
    assert_eq!(texts, ["SELECT 'a;b'", "DELETE FROM t", "SELECT $$;$$ -- ;"]);
}

#[test]
fn functions_are_seen_wherever_they_are_called() {
    let sql = "SELECT f1(1) FILTER (WHERE f2()) OVER (PARTITION BY f3() ORDER BY f4() ROWS f5() PRECEDING), \
         CASE f6() WHEN f7() THEN f8() ELSE f9() END, ARRAY[f10()], x[f11()], ROW(f12()), coalesce(f13()), \
         (f14()).y, f15() IS NULL, f16()::int, f17() COLLATE \"C\", f18(z => f19()) \
         FROM f20() AS a JOIN f21() AS b ON f22() TABLESAMPLE_ALIAS_IS_NOT_ALLOWED";
    assert_eq!(facts(sql), "refused: the text is not of PostgreSQL's grammar");
    let sql = sql.replace(" TABLESAMPLE_ALIAS_IS_NOT_ALLOWED", "")
        + " , t TABLESAMPLE f23(f24()) REPEATABLE (f25()) \
         WHERE f26() GROUP BY f27() HAVING f28() WINDOW w AS (ORDER BY f29()) ORDER BY f30() LIMIT f31() OFFSET f32()";
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let [statement] = &analysis.statements[..] else { panic!("{analysis:?}") };
    assert_eq!(statement.unparsed, None);
    let mut seen: Vec<u32> = statement.functions.iter().map(|f| f.name[1..].parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=32).collect::<Vec<_>>());
}

#[test]
fn operators_and_casts_of_other_schemas_keep_their_schema() {
    assert_eq!(facts("SELECT 1 OPERATOR(evil.=) 2"), "select; op evil.=");
    assert_eq!(facts("SELECT OPERATOR(evil.-) 2"), "select; op evil.-");
    assert_eq!(facts("SELECT 1 OPERATOR(evil.=) ANY (SELECT 1)"), "select; op evil.=");
    assert_eq!(facts("SELECT 1 OPERATOR(evil.=) ALL (ARRAY[1])"), "select; op evil.=");
    assert_eq!(facts("SELECT 1 ORDER BY 1 USING OPERATOR(evil.<)"), "select; op evil.<");
    assert_eq!(facts("SELECT 'x'::evil.t, evil.t 'x', CAST('x' AS evil.t[])"), "select; type evil.t");
    assert_eq!(facts("SELECT x COLLATE evil.c FROM t"), "select; read t; collate evil.c");
}
