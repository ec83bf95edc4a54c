//! The walk against the parser's own dump of the same tree: no name that stands in the tree may be missing from
//! the facts of a statement that counts as understood.

use super::golden::CASES;
use crate::{Limits, Statement, analyse};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The names in the dump after each `field`: of a list of strings, the last.
fn dumped(dump: &str, field: &str) -> BTreeSet<String> {
    let field = format!(" {field}: ");
    let after = dump.split(field.as_str()).skip(1);
    after
        .filter_map(|rest| {
            let end = if rest.starts_with('[') { rest.find(']')? } else { rest.find(',')? };
            let (_, name) = rest[..end].rsplit_once("Some(\"")?;
            Some(name.split('"').next()?.to_owned())
        })
        .collect()
}

fn assert_complete(sql: &str) {
    // Names that the dump would escape are not worth unescaping here.
    if sql.contains(['"', '\\', ']', '\'']) || !sql.is_ascii() {
        return;
    }
    let Ok(analysis) = analyse(sql.as_bytes(), &Limits::default()) else { return };
    let tree = pg_raw_parse::parse(sql).unwrap();
    for (statement, node) in analysis.statements.iter().zip(tree.stmts()) {
        if statement.unparsed.is_none() {
            assert_statement_complete(sql, statement, &format!("{node:?}"));
        }
    }
}

fn assert_statement_complete(sql: &str, statement: &Statement, dump: &str) {
    let relations: BTreeSet<_> = statement.relations.iter().map(|r| r.name.name.clone()).collect();
    let functions: BTreeSet<_> = statement.functions.iter().map(|f| f.name.clone()).collect();
    let types: BTreeSet<_> = statement.types.iter().map(|t| t.name.clone()).collect();
    let common = dumped(dump, "ctename");
    for name in dumped(dump, "relname") {
        assert!(relations.contains(&name) || common.contains(&name), "relation {name} of {sql}");
    }
    for name in dumped(dump, "funcname") {
        assert!(functions.contains(&name), "function {name} of {sql}");
    }
    for name in dumped(dump, "names") {
        assert!(types.contains(&name), "type {name} of {sql}");
    }
}

fn statements() -> Vec<String> {
    CASES.lines().filter_map(|l| l.strip_prefix("> ")).map(|l| l.replace('\'', "$$")).collect()
}

#[test]
fn the_dump_shows_what_the_check_looks_for() {
    let tree = pg_raw_parse::parse("WITH c AS (SELECT 1) SELECT s.f(x::a.b) FROM t").unwrap();
    let dump = format!("{:?}", tree.stmts().next().unwrap());
    for (field, name) in [("ctename", "c"), ("relname", "t"), ("funcname", "f"), ("names", "b")] {
        assert_eq!(dumped(&dump, field), BTreeSet::from([name.to_owned()]), "{field} in {dump}");
    }
}

#[test]
fn no_name_of_the_golden_statements_is_missing() {
    for sql in statements() {
        assert_complete(&sql);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pieces of one statement, cut at blanks and brackets, put into another.
    #[test]
    fn no_name_of_a_spliced_statement_is_missing(
        host in any::<prop::sample::Index>(),
        guest in any::<prop::sample::Index>(),
        cuts in any::<[prop::sample::Index; 4]>(),
        wrap in any::<bool>(),
    ) {
        let all = statements();
        let words = |sql: &String| -> Vec<String> {
            let spaced = sql.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
            spaced.split_whitespace().map(str::to_owned).collect()
        };
        let (mut host, guest) = (words(host.get(&all[..])), words(guest.get(&all[..])));
        let range = |a: prop::sample::Index, b: prop::sample::Index, len: usize| {
            let (a, b) = (a.index(len + 1), b.index(len + 1));
            a.min(b)..a.max(b)
        };
        // Half of the time a whole statement in brackets takes the place of one word: that often parses.
        let (hole, piece) = if wrap {
            let at = cuts[0].index(host.len());
            (at..at + 1, [vec!["(".to_owned()], guest, vec![")".to_owned()]].concat())
        } else {
            let taken = range(cuts[2], cuts[3], guest.len());
            (range(cuts[0], cuts[1], host.len()), guest[taken].to_vec())
        };
        host.splice(hole, piece);
        assert_complete(&host.join(" "));
    }
}
