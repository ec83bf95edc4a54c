//! Of covered texts: no data is left in them, and they mean what the others meant.

use super::golden::CASES;
use crate::{Limits, Statement, analyse, cover_literals, covered::cover};
use proptest::prelude::*;

#[test]
fn literals_and_comments_are_covered() {
    for (text, covered) in [
        ("", ""),
        (" \t\n;", " \t\n;"),
        ("SELECT 'a', \"b\", c", "SELECT '?', \"b\", c"),
        ("SELECT 'it''s', ''", "SELECT '?', '?'"),
        ("SELECT 'a\\', b", "SELECT '?', b"),
        ("SELECT E'a\\'b', e'\\\\', f", "SELECT '?', '?', f"),
        ("SELECT E'a''b\\''", "SELECT '?'"),
        ("SELECT fooE'x'", "SELECT fooE'?'"),
        ("SELECT B'01', x'1F', N'n', U&'d\\0061', u&'a'", "SELECT '?', '?', N'?', '?', '?'"),
        ("SELECT U&'d!0061' UESCAPE '!', 1", "SELECT '?', '?'"),
        ("SELECT U&'d!0061'\n--c\nuescape\n'!' x", "SELECT '?' x"),
        ("SELECT U&\"d!0061\" UESCAPE '!' FROM t", "SELECT U&\"d!0061\" UESCAPE '!' FROM t"),
        ("SELECT U&\"d\" UESCAPE 'secret'", "SELECT U&\"d\" UESCAPE '?'"),
        ("SELECT u&E'a', U&$$a$$, u&1", "SELECT u& '?', U& '?', u& '?'"),
        ("SELECT U & 'a', U&b, uescape 'x'", "SELECT U & '?', U&b, uescape '?'"),
        ("SELECT 'a'\n  'b' 'c'", "SELECT '?' '?'"),
        ("SELECT 'a' -- c\n 'b', E'a'--\n'\\'b', d", "SELECT '?', '?', d"),
        ("SELECT E'a' '\\', b", "SELECT '?' '?', b"),
        ("SELECT $$a$b$$, $t$ $$ $u$ $t$, $1, $12", "SELECT '?', '?', $1, $12"),
        ("SELECT $é$a$é$, a$b$c, $1$x$ y $x$", "SELECT '?', a$b$c, $1'?'"),
        ("SELECT $a, $ b", "SELECT $a, $ b"),
        (
            "SELECT 1, 1.5, .5, 5., 1e10, 1.5E-3, 1e+3, 0x1F, 0o17, 0b1, 1_000",
            "SELECT '?', '?', '?', '?', '?', '?', '?', '?', '?', '?', '?'",
        ),
        ("SELECT 1-2, 0x1e-5, a1, t.a2, a[1:2], x.y", "SELECT '?'-'?', '?'-'?', a1, t.a2, a['?':'?'], x.y"),
        ("SELECT a --secret\nFROM t -- more", "SELECT a --…\nFROM t --…"),
        ("SELECT/*s*/a+/*s /*s*/ s*/b*/**/c//**/d", "SELECT/*…*/a+/*…*/b*/*…*/c//*…*/d"),
        ("SELECT u&1, e.1, 'a'E'b', E'a'1", "SELECT u& '?', e '?', '?' '?', '?' '?'"),
        ("SELECT a@--x'\n-1", "SELECT a@--…\n-'?'"),
        (
            "SELECT \"a'b\", \"a\"\"b\", \"--\", '--', '/*', 1",
            "SELECT \"a'b\", \"a\"\"b\", \"--\", '?', '?', '?'",
        ),
        ("LIMIT 10 OFFSET ALL; DO $$x$$", "LIMIT '?' OFFSET ALL; DO '?'"),
        ("SELECT ünïcode, 'ä' FROM \"é\"", "SELECT ünïcode, '?' FROM \"é\""),
        ("SELECT ?| ARRAY['a'] @> '{}'::jsonb", "SELECT ?| ARRAY['?'] @> '?'::jsonb"),
    ] {
        assert_eq!(cover_literals(text.as_bytes(), "?").as_deref(), Some(covered), "{text}");
    }
    assert_eq!(cover_literals(b"'a'", "it's").as_deref(), Some("'it''s'"));
}

#[test]
fn nothing_is_shown_of_what_does_not_end() {
    for text in [
        "'a",
        "'a''",
        "E'a\\'",
        "E'\\",
        "\"a",
        "\"a\"\"",
        "U&\"a",
        "U&'a",
        "U&'a' uescape '",
        "U&\"a\" uescape '",
        "/* a",
        "/* /* */",
        "/*/",
        "$$a",
        "$a$b$",
        "$a$ $A$",
        "'a'\n'b",
        "'a' --\n'b",
        "B'",
        "x'1",
        "SELECT 1 \0",
    ] {
        assert_eq!(cover_literals(text.as_bytes(), "?"), None, "{text}");
    }
    assert_eq!(cover_literals(b"SELECT '\xff'", "?"), None);
}

#[test]
fn long_texts_take_linear_time() {
    for pattern in [
        "'a'\n",
        "'a'\n--c\n ",
        "$a$",
        "$a",
        "/*",
        "*/",
        "/**/",
        "--\n",
        "'",
        "1",
        "1.",
        "e'\\",
        "U&'a' ",
        "\"",
        "\n",
        "(",
    ] {
        let text = pattern.repeat((4 << 20) / pattern.len());
        cover_literals(text.as_bytes(), "?");
        cover_literals(format!("{text}'").as_bytes(), "?");
    }
}

/// What the statement says without its literals.
fn meaning(statement: &Statement) -> Statement {
    Statement { span: 0..0, settings: Vec::new(), unparsed: None, ..statement.clone() }
}

#[test]
fn golden_statements_mean_the_same_when_covered() {
    let mut compared = 0;
    for block in CASES.split("\n\n") {
        let lines: Vec<_> = block.lines().filter_map(|l| l.strip_prefix("> ")).collect();
        let sql = lines.join("\n");
        let Ok(original) = analyse(sql.as_bytes(), &Limits::default()) else { continue };
        let covered = cover(sql.as_bytes(), "'?'", "7").unwrap();
        let again = analyse(covered.as_bytes(), &Limits::default());
        let again = again.unwrap_or_else(|refused| panic!("{refused:?}: {covered} of {sql}"));
        assert_eq!(original.statements.len(), again.statements.len(), "{covered}");
        for (one, other) in original.statements.iter().zip(&again.statements) {
            if one.unparsed == other.unparsed {
                assert_eq!(meaning(one), meaning(other), "{covered}");
                compared += 1;
            } else {
                assert_eq!(one.kinds, other.kinds, "{covered}");
            }
        }
    }
    assert!(compared > 300, "only {compared} statements were compared");
}

/// What the parser reads as a string is a placeholder, or a word of the grammar that it makes one of
/// (`extract(year …)`).
#[test]
fn the_parser_finds_no_other_string_in_golden_statements() {
    let mut placeholders = 0;
    for sql in CASES.lines().filter_map(|l| l.strip_prefix("> ")) {
        let Some(covered) = cover(sql.as_bytes(), "'?'", "7") else { continue };
        let Ok(tree) = pg_raw_parse::parse(&covered) else { continue };
        for dump in tree.stmts().map(|statement| format!("{statement:?}")) {
            assert!(!dump.contains("Some(Float("), "{covered}");
            for constant in dump.split("Some(String(\"").skip(1) {
                let value = constant.split('"').next().unwrap();
                placeholders += usize::from(value == "?");
                assert!(
                    value == "?" || covered.to_lowercase().contains(&value.to_lowercase()),
                    "{value} of {covered}"
                );
            }
        }
    }
    assert!(placeholders > 40, "only {placeholders} were seen");
}

/// A part of a statement, and whether it is data.
fn part() -> impl Strategy<Value = (String, bool)> {
    let data = prop::sample::select(
        &[
            "'SECRET'",
            "'it''s SECRET'",
            "E'\\'SECRET'",
            "e'SECRET\\\\'",
            "$$SECRET$$",
            "$t$'SECRET$$$t$",
            "B'5432101'",
            "X'5432101'",
            "U&'SECRET'",
            "U&'SECRET' UESCAPE '!'",
            "5432101",
            "5432.101e-5",
            ".5432101",
            "0x5432101",
            "/*SECRET*/",
            "/*/*SECRET*/'*/",
            "--SECRET'\n",
            "'a'\n'SECRET'",
            "E'a'\n'\\'SECRET'",
            "N'SECRET'",
        ][..],
    );
    let other = prop::sample::select(
        &[
            "SELECT", "\"id'\"", "a", "t.b", "(", ")", ",", "+", "$1", "::", "e", "u&\"x\"", "é", "-", "*",
            "/", ";", "&",
        ][..],
    );
    prop_oneof![data.prop_map(|d| (d.to_owned(), true)), other.prop_map(|o| (o.to_owned(), false))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_data_is_left(parts in prop::collection::vec(part(), 0..12)) {
        let text: Vec<_> = parts.iter().map(|(text, _)| text.as_str()).collect();
        let covered = cover_literals(text.join(" ").as_bytes(), "?").unwrap();
        prop_assert!(!covered.contains("SECRET") && !covered.contains("5432"), "{covered}");
        for (other, _) in parts.iter().filter(|(_, is_data)| !is_data) {
            prop_assert!(covered.contains(other.as_str()), "{other} in {covered}");
        }
    }

    #[test]
    fn any_bytes_will_do(text in prop::collection::vec(any::<u8>(), 0..100)) {
        cover_literals(&text, "?");
    }

    /// Covering a covered text changes nothing. Line breaks would join strings that were apart.
    #[test]
    fn covered_texts_are_covered(text in "[-'\"$/*eEuU&+.a1 \\\\é]{0,40}") {
        if let Some(covered) = cover_literals(text.as_bytes(), "?") {
            let again = cover_literals(covered.as_bytes(), "?");
            prop_assert_eq!(again.as_deref(), Some(covered.as_str()), "of {}", text);
        }
    }
}
