//! No input panics, aborts, recurses or takes long.

use crate::{Analysis, Limits, Refused, analyse};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// The stack of a tokio worker thread.
const STACK: usize = 2 << 20;

/// Analyses on a thread of its own, so that an overflow shows (as an abort of the whole test run).
fn on_small_stack(sql: String) -> Result<Analysis, Refused> {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(move || analyse(sql.as_bytes(), &Limits::default())).unwrap().join().unwrap()
}

#[test]
fn long_chains_fit_a_workers_stack() {
    let n = 9_000;
    for (name, sql) in [
        ("+", format!("SELECT 1{}", "+1".repeat(n))),
        ("AND", format!("SELECT 1 WHERE true{}", " AND true".repeat(n / 2))),
        ("OR", format!("SELECT 1 WHERE a{}", " OR a=1".repeat(n / 3))),
        ("UNION", format!("SELECT 1{}", " UNION SELECT 1,2".repeat(n / 2))),
        ("::", format!("SELECT 1{}", "::int".repeat(n / 3))),
        ("IS NULL", format!("SELECT 1{}", " ISNULL".repeat(n))),
        ("NOT", format!("SELECT {} true", "NOT ".repeat(n))),
        ("JOIN", format!("SELECT 1 FROM a{}", " NATURAL JOIN b".repeat(n / 3))),
        ("parentheses", format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n))),
        ("sub-selects", format!("{}1{}", "SELECT (".repeat(n / 5), ")".repeat(n / 5))),
        ("calls", format!("SELECT {}1{}", "f(".repeat(n / 3), ")".repeat(n / 3))),
        ("arrays", format!("SELECT ARRAY{}1{}", "[".repeat(n / 2), "]".repeat(n / 2))),
        ("CASE", format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(n / 8), " END".repeat(n / 8))),
        ("WITH", format!("{}SELECT 1{}", "WITH a AS (".repeat(n / 8), ") SELECT 1".repeat(n / 8))),
        ("writing WITH", {
            let depth = 200;
            let close = ") DELETE FROM t RETURNING 1".repeat(depth);
            format!("{}SELECT 1{close}", "WITH a AS (".repeat(depth))
        }),
        ("+ in WITH", format!("WITH d AS (UPDATE t SET a = 1{} RETURNING 1) TABLE d", "+1".repeat(n))),
        ("OR in MERGE", {
            let on = format!("a{}", " OR a=1".repeat(n / 3));
            format!("MERGE INTO t USING u ON {on} WHEN MATCHED THEN DELETE")
        }),
        ("+ in PREPARE", format!("PREPARE p AS DELETE FROM t WHERE 0 < 1{}", "+1".repeat(n))),
        ("+ in EXECUTE", format!("EXECUTE p(1{})", "+1".repeat(n))),
        ("+ in EXPLAIN", format!("EXPLAIN ANALYZE SELECT 1{} INTO x", "+1".repeat(n))),
        ("UNION with INTO", format!("SELECT 1 INTO x{}", " UNION SELECT 1".repeat(n / 2))),
        ("UNION FOR UPDATE", format!("SELECT 1{} FOR UPDATE", " UNION SELECT 1".repeat(n / 2))),
        ("indirection", format!("SELECT a{}", ".b".repeat(n))),
        ("line comments", format!("SELECT {} 1", "--\n".repeat(n))),
        ("block comments", format!("SELECT {} 1", "/**/ ".repeat(n))),
        // Paths on which the C parser itself recurses over an expression.
        ("location", format!("(SELECT 1 ORDER BY 1) ORDER BY 1{}", "+1".repeat(n))),
        ("copy", format!("CREATE FUNCTION f() RETURNS TABLE(x numeric(1{})) AS ''", "+1".repeat(n))),
        ("compare", {
            let t = format!("VARIADIC numeric(1{})", "+1".repeat(n / 2));
            format!("DROP AGGREGATE f({t} ORDER BY {t})")
        }),
    ] {
        let outcome = on_small_stack(sql);
        let fine = match (&outcome, name) {
            (Err(Refused::Syntax { .. }), "location") => true,
            // The parser's own stack of 10,000 symbols ends before.
            (Err(Refused::TooDeep), "calls" | "sub-selects" | "CASE" | "WITH") => true,
            (Ok(analysis), _) => analysis.statements.len() == 1,
            _ => false,
        };
        assert!(fine, "{name}: {outcome:?}");
    }
}

/// What is told of rows is told in time that grows with the text.
#[test]
fn wide_queries_take_no_long_time() {
    let list = |n: usize, of: &dyn Fn(usize) -> String| (0..n).map(of).collect::<Vec<_>>().join(", ");
    let n = 4_000;
    let computed = list(n, &|i| format!("a{i} + b{i}"));
    let aliased = list(n, &|i| format!("a{i} + b{i} as c{i}"));
    let keys = list(n, &|i| format!("c{i}"));
    let tests: String = (0..n / 2).map(|i| format!(" or c{i} = {i}")).collect();
    let bare = list(n, &|i| format!("a{i}"));
    let arm = list(50, &|i| format!("a{i} + b{i} as c{i}"));
    for (name, sql) in [
        ("unnamed and sorted", format!("SELECT {computed} FROM t ORDER BY {keys}")),
        ("aliased and sorted", format!("SELECT {aliased} FROM t ORDER BY {keys}")),
        ("derived and tested", format!("SELECT 1 FROM (SELECT {aliased} FROM t) s WHERE a{tests}")),
        ("one of many", format!("SELECT 1 FROM (SELECT concat({bare}), {computed} FROM t) s WHERE a{tests}")),
        (
            "many arms",
            format!("SELECT 1 FROM (SELECT {arm}{}) s", format!(" UNION ALL SELECT {arm}").repeat(100)),
        ),
        (
            "sorted arms",
            format!("SELECT {aliased} UNION ALL SELECT {bare} UNION ALL SELECT {bare} ORDER BY {keys}"),
        ),
        (
            "nested",
            (0..300)
                .fold(format!("SELECT {bare} FROM t"), |inner, i| format!("SELECT (SELECT a{i}, ({inner})"))
                + &")".repeat(300),
        ),
        ("one column", format!("SELECT 1 WHERE a = 1{}", " OR (a = 2 AND b = 1)".repeat(1_000))),
    ] {
        let start = Instant::now();
        let outcome = on_small_stack(sql);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn longer_chains_are_refused_before_the_parser_sees_them() {
    let n = 100_000;
    let union_with_commas = " UNION SELECT 1,2".repeat(20_000);
    for (name, sql) in [
        ("+", format!("SELECT 1{}", "+1".repeat(n))),
        ("UNION", format!("SELECT 1{union_with_commas}")),
        ("::", format!("SELECT 1{}", "::int".repeat(n))),
        ("parentheses", format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n))),
        ("open parentheses", format!("SELECT {}", "(".repeat(n))),
        (
            "brackets and chains",
            format!("SELECT {}1{}", "(".repeat(500), "+1+1+1+1+1+1+1+1+1+1)+1+1+1+1+1+1+1+1+1+1".repeat(500)),
        ),
        ("sub-selects", format!("{}1{}", "SELECT (".repeat(n), ")".repeat(n))),
        ("AND", format!("SELECT 1 WHERE true{}", " AND true".repeat(n))),
        ("+ in WITH", format!("WITH d AS (DELETE FROM t WHERE 0 < 1{}) SELECT 1", "+1".repeat(n))),
        ("+ in EXECUTE", format!("EXECUTE p(1{})", "+1".repeat(n))),
        ("line comments", format!("SELECT {} 1", "--\n".repeat(n))),
        ("location", format!("(SELECT 1 ORDER BY 1) ORDER BY 1{}", "+1".repeat(n))),
        ("location in strings", format!("(SELECT 1 ORDER BY 1) ORDER BY E'a\\''{}", "||'1'".repeat(n))),
        ("continued string", format!("(SELECT 1 ORDER BY 1) ORDER BY E'a'\n'\\''{}", "||'1'".repeat(n))),
        ("copy", format!("CREATE FUNCTION f() RETURNS TABLE(x numeric(1{})) AS ''", "+1".repeat(n))),
    ] {
        assert_eq!(on_small_stack(sql), Err(Refused::TooDeep), "{name}");
    }
}

#[test]
fn shapes_that_take_the_parser_quadratic_time_are_refused() {
    for sql in [
        format!("SELECT {}1", "+".repeat(200)),
        format!("SELECT {}1", "*/".repeat(1_000)),
        format!("SELECT {}1", "/**/".repeat(1_000)),
        format!("SELECT {}1", "/*".repeat(1_000)),
        format!("SELECT {}1", "+/**/".repeat(1_000)),
        format!("CREATE SCHEMA s {}", "CREATE GLOBAL TEMP TABLE a() ".repeat(1_000)),
    ] {
        assert_eq!(on_small_stack(sql), Err(Refused::TooSlow));
    }
    // What people write stays readable.
    for sql in [
        format!("/*{}*/ SELECT 1", "*".repeat(5_000)),
        format!("--{}\nSELECT 1", "-".repeat(5_000)),
        format!("SELECT '{}'", "=/*".repeat(5_000)),
        "/* a *//* b */ SELECT 1 /* c */".to_owned(),
    ] {
        assert!(on_small_stack(sql).is_ok());
    }
}

#[test]
fn each_bound_has_its_own_refusal() {
    let limits = Limits { bytes: 100, tokens: 10, depth: 20, nodes: 5, statements: 2 };
    let refused = |sql: &str| analyse(sql.as_bytes(), &limits).unwrap_err();
    assert_eq!(refused(&" ".repeat(101)), Refused::TooLong { limit: 100 });
    assert_eq!(refused("SELECT 1,2,3,4,5,6"), Refused::TooManyTokens { limit: 10 });
    assert_eq!(refused(&"--\n".repeat(21)), Refused::TooDeep);
    assert_eq!(refused("SELECT 1, 2, 3, 4"), Refused::TooManyNodes { limit: 5 });
    assert_eq!(refused("END;END;END"), Refused::TooManyStatements { limit: 2 });
    assert!(analyse(b"SELECT 1, 2", &limits).is_ok());
    assert!(analyse(&[b' '; 100], &limits).is_ok());
    for nested in [
        "WITH d AS (DELETE FROM t WHERE a + b > c) SELECT 1",
        "MERGE INTO t USING u ON a WHEN MATCHED AND b THEN UPDATE SET c = d",
        "PREPARE p AS SELECT 1, 2, 3",
        "EXECUTE p(1, 2, 3, 4, 5)",
        "CALL p(1, 2, 3, 4, 5)",
        "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1, 2, 3",
    ] {
        let few = Limits { nodes: 5, ..Limits::default() };
        assert_eq!(analyse(nested.as_bytes(), &few), Err(Refused::TooManyNodes { limit: 5 }), "{nested}");
    }
    let whole = Limits { nodes: 5, ..Limits::default() };
    let both = analyse(b"SELECT 1, 2; SELECT 1, 2", &whole);
    assert_eq!(
        both,
        Err(Refused::TooManyNodes { limit: 5 }),
        "the budget is the text's, not the statement's"
    );
}

#[test]
fn texts_that_are_no_text_are_refused() {
    let analyse = |text: &[u8]| analyse(text, &Limits::default());
    let nothing = Analysis { statements: Vec::new(), reads_alike: true };
    assert_eq!(analyse(b""), Ok(nothing.clone()));
    assert_eq!(analyse(b" \t\r\n\x0b\x0c;--"), Ok(nothing));
    assert_eq!(analyse(b"SELECT 1\0; DROP TABLE t"), Err(Refused::ZeroByte { position: 8 }));
    assert_eq!(analyse(b"SELECT '\xff'"), Err(Refused::NotUtf8 { position: 8 }));
    assert_eq!(analyse(b"SELECT '\xed\xa0\x80'"), Err(Refused::NotUtf8 { position: 8 }));
    for escaped in [r"SELECT E'\xff'", r"SELECT E'\x00'", r"SELECT U&'\D800'", r#"TABLE U&"\0000""#] {
        assert!(matches!(analyse(escaped.as_bytes()), Err(Refused::Syntax { .. })), "{escaped}");
    }
}

#[test]
fn the_parsers_words_are_for_the_client_and_short() {
    let sql = format!("SELECT 'hunter2{}", "é".repeat(10_000));
    let refused = analyse(sql.as_bytes(), &Limits::default()).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    let Refused::Syntax { message } = refused else { panic!("{refused:?}") };
    assert!(message.for_client().starts_with("unterminated quoted string"));
    assert!(message.for_client().chars().count() <= 200);
}

#[test]
fn one_assignment_source_is_walked_once_for_all_its_columns() {
    let columns: Vec<_> = (0..1_000).map(|i| format!("c{i}")).collect();
    let source = format!("SELECT 1{}", ",1".repeat(999));
    let sql = format!("UPDATE t SET ({}) = ({source})", columns.join(","));
    let limits = Limits { nodes: 10_000, ..Limits::default() };
    assert!(analyse(sql.as_bytes(), &limits).is_ok());
}

#[test]
fn many_threads_may_parse_and_end() {
    // More than the 1,024 keys that a process has for the parser's state.
    for batch in 0..110 {
        let threads: Vec<_> = (0..10)
            .map(|i| {
                std::thread::spawn(move || {
                    analyse(format!("SELECT {batch}+{i}").as_bytes(), &Limits::default())
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().unwrap().is_ok());
        }
    }
}

#[test]
fn the_largest_texts_take_less_than_a_second() {
    let rows = |n| "(1,'x'),".repeat(n) + "(1,'x')";
    for sql in [
        format!("INSERT INTO t VALUES {}", rows(40_000)),
        format!("SELECT '{}'", "x".repeat(1_000_000)),
        format!("SELECT 1{}", ",1".repeat(130_000)),
        format!("SELECT 1{}", ",f(x)".repeat(50_000)),
        format!("SELECT {}1", "+ ".repeat(9_000)),
        format!(
            "SELECT 1{}",
            ",1 +++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++1".repeat(3_500)
        ),
        format!("SELECT 1{}", ",1 /**//**//**//**//**//**//**//**/".repeat(20_000)),
        format!("{}SELECT 1", "WITH ".to_owned() + &vec!["a AS (TABLE b)"; 30_000].join(",") + " "),
    ] {
        let start = Instant::now();
        let outcome = on_small_stack(sql);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} {outcome:?}", start.elapsed());
    }
}

/// Pieces of SQL that lie at the edges of the scanner and the grammar.
const PIECES: &[&str] = &[
    "SELECT",
    "INSERT INTO t",
    "UPDATE t SET",
    "DELETE FROM",
    "VALUES",
    "TABLE",
    "FROM",
    "WHERE",
    "WITH",
    "RECURSIVE",
    "a AS (",
    "AS",
    "a",
    "t.b",
    "(t).c",
    "\"Q.q\"",
    "U&\"\\0061\"",
    "UESCAPE",
    "'!'",
    "'s'",
    "E'\\''",
    "E'",
    "U&'\\0041'",
    "$1",
    "$$",
    "$a$",
    "$",
    "1",
    "1.5",
    "1e",
    "0x1F",
    "1_0",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ".",
    "*",
    "=",
    "+",
    "-",
    "::",
    ":",
    ":=",
    "=>",
    "<>",
    "||",
    "@",
    "~",
    "/*",
    "*/",
    "--",
    "\n",
    "/**/",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS NULL",
    "BETWEEN",
    "LIKE",
    "ESCAPE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "int",
    "ARRAY",
    "ROW",
    "EXISTS",
    "ANY",
    "ALL",
    "UNION",
    "EXCEPT",
    "JOIN",
    "ON",
    "USING",
    "LATERAL",
    "NATURAL",
    "TABLESAMPLE",
    "system",
    "GROUP BY",
    "GROUPING SETS",
    "HAVING",
    "WINDOW",
    "OVER",
    "PARTITION BY",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "FETCH FIRST",
    "ROWS ONLY",
    "FOR UPDATE",
    "FOR SHARE OF",
    "RETURNING",
    "ON CONFLICT",
    "DO UPDATE SET",
    "DO NOTHING",
    "DEFAULT",
    "EXPLAIN",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "SET",
    "SHOW",
    "TIME ZONE",
    "INTERVAL",
    "TIMESTAMP",
    "EXTRACT",
    "COLLATE",
    "INTO",
    "GLOBAL",
    "TEMP",
    "CREATE",
    "FUNCTION",
    "DROP",
    "f(",
    "count(*)",
    "FILTER",
    "WITHIN GROUP",
    "NULLS",
    "FORMAT",
    "JSON",
    "XMLTABLE",
    "MERGE INTO t USING",
    "WHEN MATCHED",
    "PREPARE p AS",
    "EXECUTE p",
    "DEALLOCATE",
    "DISCARD",
    "CALL",
    "LOCK",
    "TABLE x AS",
    "COPY",
    "é",
    "\u{2028}",
    "\u{feff}",
    "\\",
    "{",
    "?",
    "#",
    "`",
    "%",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_an_outcome(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_ne!(analyse(&bytes, &Limits::default()), Err(Refused::Internal));
    }

    #[test]
    fn any_text_has_an_outcome(text in "\\PC{0,200}") {
        prop_assert_ne!(analyse(text.as_bytes(), &Limits::default()), Err(Refused::Internal));
    }

    #[test]
    fn any_pieces_of_sql_have_a_quick_outcome(
        head in 0..12_usize,
        picks in proptest::collection::vec(0..PIECES.len(), 0..40),
        blank in prop_oneof![Just(" "), Just(""), Just("\n")],
    ) {
        let words: Vec<_> = std::iter::once(head).chain(picks).map(|i| PIECES[i]).collect();
        let sql = words.join(blank);
        let start = Instant::now();
        let outcome = analyse(sql.as_bytes(), &Limits::default());
        prop_assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        prop_assert_ne!(&outcome, &Err(Refused::Internal), "{}", sql);
        for statement in outcome.map(|a| a.statements).unwrap_or_default() {
            prop_assert!(sql.get(statement.span).is_some());
        }
    }
}
