//! Prepared statements by SQL: PREPARE, EXECUTE and DEALLOCATE.
//!
//! What EXECUTE does stands in another text. It counts as not understood until whoever keeps the prepared statements of
//! the session has said which one it is, so that nobody can forget to. PostgreSQL reads that text anew whenever the
//! search path is another one or an object in it has changed, so its names are resolved at each execution.

use crate::grammar::{Node, nodes};
use crate::read::no_into;
use crate::walk::{Stop, Walker, gives_no_rows};
use crate::{Analysis, Exposure, Moves, Statement, StatementKind, UnparsedReason, exposure, output};
use std::collections::BTreeSet;

type Done = Result<(), Stop>;

/// Names that begin like this are those of the gateway's own prepared statements and portals at the server.
const OURS: &str = "countersign";

/// A statement that PREPARE gives a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The name.
    pub name: String,
    /// The highest `$n` in it, 0 if there is none: a parameter of EXECUTE, not of the message.
    pub highest_parameter: u32,
}

/// Prepared statements that are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deallocated {
    /// The one of that name.
    One(String),
    /// All of the session, those of the extended protocol too.
    All,
}

impl Analysis {
    /// The facts of this EXECUTE, if `prepared` is the PREPARE that made what it executes: those of its arguments and
    /// those of the prepared statement. Anything else comes back as it is, so an EXECUTE stays unparsed.
    ///
    /// The caller sees to it that the PREPARE succeeded in this session and that nothing has dropped it since.
    #[must_use]
    pub fn executing(&self, prepared: &Statement) -> Self {
        let merged = match self.statements.as_slice() {
            [execute] => execution(execute, prepared),
            _ => None,
        };
        match merged {
            Some(merged) => Self { statements: vec![merged], reads_alike: self.reads_alike },
            None => self.clone(),
        }
    }
}

fn execution(execute: &Statement, prepared: &Statement) -> Option<Statement> {
    let named = execute.executes.is_some()
        && execute.executes.as_ref() == prepared.prepares.as_ref().map(|prepared| &prepared.name);
    if !named || prepared.unparsed.is_some() || execute.unparsed != Some(UnparsedReason::Execute) {
        return None;
    }
    let mut merged = Statement {
        unparsed: None,
        relations: union(&execute.relations, &prepared.relations),
        functions: union(&execute.functions, &prepared.functions),
        attributes: union(&execute.attributes, &prepared.attributes),
        operators: union(&execute.operators, &prepared.operators),
        types: union(&execute.types, &prepared.types),
        collations: union(&execute.collations, &prepared.collations),
        has_predicate: prepared.has_predicate,
        moves: moves(execute, prepared),
        exposes: prepared.exposes.clone(),
        outputs: prepared.outputs.clone(),
        ..execute.clone()
    };
    merged.add_kinds(prepared.kinds.iter().copied().filter(|kind| *kind != StatementKind::Prepare));
    Some(merged)
}

/// Arguments are constants and what functions give.
fn moves(execute: &Statement, prepared: &Statement) -> Moves {
    use StatementKind::{Insert, Merge, Update};
    let writes = prepared.kinds.iter().any(|kind| matches!(kind, Insert | Update | Merge));
    if writes && !execute.functions.iter().all(gives_no_rows) {
        return Moves::Anything;
    }
    prepared.moves.clone()
}

fn union<T: Clone + Ord>(one: &[T], other: &[T]) -> Vec<T> {
    one.iter().chain(other).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether statements of the kind are understood only where there is no other in the text: what they do to the prepared
/// statements of the session can then be told from the outcome of the whole.
pub(crate) fn stands_alone(kind: StatementKind) -> bool {
    use StatementKind::{Deallocate, Discard, Execute, Prepare};
    matches!(kind, Prepare | Execute | Deallocate | Discard)
}

/// A statement or portal of that name is not one of the gateway's own.
pub(crate) fn is_not_ours(name: &str) -> Done {
    if name.starts_with(OURS) { Err(UnparsedReason::ReservedName.into()) } else { Ok(()) }
}

fn name(name: Option<&str>) -> Result<String, Stop> {
    let name = name.ok_or(UnparsedReason::Expression)?;
    is_not_ours(name).map(|()| name.to_owned())
}

/// A query with INTO can be prepared in some versions, and would make a table when it is executed.
pub(crate) fn prepare(prepare: &nodes::PrepareStmt, statement: &mut Statement, budget: &mut usize) -> Done {
    let name = name(prepare.name())?;
    match prepare.query() {
        Node::SelectStmt(_)
        | Node::InsertStmt(_)
        | Node::UpdateStmt(_)
        | Node::DeleteStmt(_)
        | Node::MergeStmt(_) => {}
        _ => return Err(UnparsedReason::StatementKind.into()),
    }
    let mut walker = Walker::new(budget);
    for declared in prepare.argtypes() {
        walker.type_name(Some(declared))?;
    }
    walker.walk(prepare.query())?;
    no_into(walker.found.intos)?;
    walker.found.into_statement(statement);
    statement.add_kinds([StatementKind::of(prepare.query())]);
    statement.exposes = exposure::of(prepare.query());
    statement.outputs = output::of(prepare.query());
    let highest_parameter = std::mem::take(&mut statement.highest_parameter);
    statement.prepares = Some(Prepared { name, highest_parameter });
    Ok(())
}

/// The arguments are expressions; what is executed is not known here.
pub(crate) fn execute(execute: &nodes::ExecuteStmt, statement: &mut Statement, budget: &mut usize) -> Done {
    let name = name(execute.name())?;
    let mut walker = Walker::new(budget);
    walker.walk(Node::NodeList(execute.params()))?;
    no_into(walker.found.intos)?;
    walker.found.into_statement(statement);
    statement.executes = Some(name);
    statement.moves = Moves::Anything;
    statement.exposes = Exposure::anything();
    statement.unparsed = Some(UnparsedReason::Execute);
    Ok(())
}

pub(crate) fn deallocate(deallocate: &nodes::DeallocateStmt, statement: &mut Statement) -> Done {
    let all = deallocate.isall || deallocate.name().is_none();
    let dropped = if all { Deallocated::All } else { Deallocated::One(name(deallocate.name())?) };
    statement.deallocates = Some(dropped);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, WrittenColumns, analyse, context, keeps_session_state};

    fn read(sql: &str) -> Analysis {
        analyse(sql.as_bytes(), &Limits::default()).unwrap()
    }

    fn executing(execute: &str, prepare: &str) -> Analysis {
        read(execute).executing(&read(prepare).statements[0])
    }

    #[test]
    fn an_execute_does_what_was_prepared_and_what_its_arguments_do() {
        let merged = executing(
            "EXECUTE p(f($2), 2::b)",
            "PREPARE p (a, int) AS WITH d AS (DELETE FROM t RETURNING g(x)) UPDATE u SET c = $1 WHERE h($2)",
        );
        let [statement] = &merged.statements[..] else { panic!("{merged:?}") };
        assert_eq!((statement.unparsed, statement.has_predicate), (None, Some(false)));
        let names = |list: &[crate::QualifiedName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&statement.functions), ["f", "g", "h"]);
        assert_eq!(names(&statement.types), ["a", "b", "pg_catalog.int4"]);
        assert_eq!(statement.highest_parameter, 2, "that of the message");
        let updated = statement.relations.iter().find(|r| r.access == crate::Access::Update).unwrap();
        assert_eq!(updated.written_columns, WrittenColumns::Named(vec!["c".to_owned()]));
        assert_eq!(context(&merged, false).statement_kinds, ["delete", "execute", "update"]);
        assert!(!context(&merged, false).all_writes_have_predicate && keeps_session_state(&merged));
    }

    #[test]
    fn nothing_else_makes_an_execute_understood() {
        for (execute, prepare) in [
            ("EXECUTE p", "PREPARE q AS SELECT 1"),
            ("EXECUTE p", "PREPARE \"P\" AS SELECT 1"),
            ("EXECUTE p", "SELECT 1"),
            ("EXECUTE p", "EXECUTE p"),
            ("EXECUTE p", "PREPARE p AS SELECT xmlelement(name x)"),
            ("EXECUTE p(xmlelement(name x))", "PREPARE p AS SELECT 1"),
            ("EXECUTE p; SELECT 1", "PREPARE p AS SELECT 1"),
            ("EXECUTE countersign_1", "PREPARE countersign_1 AS SELECT 1"),
            ("SELECT 1", "PREPARE p AS SELECT 1"),
            ("PREPARE p AS SELECT 1", "PREPARE p AS SELECT 1"),
            ("", "PREPARE p AS SELECT 1"),
        ] {
            assert_eq!(executing(execute, prepare), read(execute), "{execute}, {prepare}");
        }
        let merged = executing("EXECUTE p", "PREPARE p AS SELECT 1");
        let again = merged.executing(&read("PREPARE p AS DELETE FROM t").statements[0]);
        assert_eq!(again, merged, "what is executed is said once");
    }
}
