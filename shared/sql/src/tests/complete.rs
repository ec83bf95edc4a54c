//! The walk against the parser's own dump of the same tree: no name that stands in the tree may be missing from
//! the facts of a statement that counts as understood.

use super::golden::CASES;
use crate::{Access, Limits, RelationUse, Statement, StatementKind, UnparsedReason, analyse};
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
        // Of an EXECUTE everything that stands in the text is known.
        if matches!(statement.unparsed, None | Some(UnparsedReason::Execute)) {
            assert_statement_complete(sql, statement, &format!("{node:?}"));
        }
    }
}

/// Without the names of FOR UPDATE OF, which are those of FROM.
fn without_locked(dump: &str) -> String {
    let (head, tail) = dump.split_once("locked_rels: [").unwrap_or((dump, ""));
    let rests = tail.split("locked_rels: [").filter_map(|rest| rest.split_once(']'));
    rests.fold(head.to_owned(), |kept, (_, rest)| kept + rest)
}

/// Whatever modifies a relation in the tree modifies it in the facts: by its own name, whatever common table
/// expressions are called, and with its kind.
fn assert_modifications_complete(sql: &str, statement: &Statement, dump: &str) {
    for (node, access, kind) in [
        ("InsertStmt {", Access::Insert, StatementKind::Insert),
        ("UpdateStmt {", Access::Update, StatementKind::Update),
        ("DeleteStmt {", Access::Delete, StatementKind::Delete),
        ("MergeStmt {", Access::Read, StatementKind::Merge),
    ] {
        for rest in dump.split(node).skip(1) {
            let (_, name) = rest.split_once("relname: Some(\"").unwrap();
            let target = name.split('"').next().unwrap();
            let modified = |r: &RelationUse| r.access == access && r.name.name == target;
            assert!(statement.relations.iter().any(modified), "{access:?} of {target} in {sql}");
            assert!(statement.kinds.contains(&kind), "{kind} in {sql}");
        }
    }
}

fn assert_statement_complete(sql: &str, statement: &Statement, dump: &str) {
    let dump = &without_locked(dump);
    assert_modifications_complete(sql, statement, dump);
    let mut relations: BTreeSet<_> = statement.relations.iter().map(|r| r.name.name.clone()).collect();
    relations.extend(statement.creates.iter().map(|made| made.name.clone()));
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
fn what_for_update_names_is_looked_for_in_from() {
    let tree = pg_raw_parse::parse("SELECT 1 FROM t FOR SHARE OF x, y FOR UPDATE OF z FOR UPDATE").unwrap();
    let dump = format!("{:?}", tree.stmts().next().unwrap());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(dumped(&dump, "relname"), names(&["t", "x", "y", "z"]));
    assert_eq!(dumped(&without_locked(&dump), "relname"), names(&["t"]));
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
