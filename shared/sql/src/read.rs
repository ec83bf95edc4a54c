//! How a statement's facts are put together from its parse tree.

use crate::grammar::{self, DiscardMode, Node, nodes};
use crate::walk::{Stop, Walker};
use crate::{
    Access, Analysis, Deallocated, Exposure, Limits, Moves, Refused, Statement, StatementKind,
    UnparsedReason, WrittenColumns, creation, exposure, output, prepared, session_state, setting,
    transaction,
};
use std::ops::Range;

type Done = Result<(), Stop>;

/// Parses and walks a text that passed the lexical bounds.
pub(crate) fn statements(sql: &str, limits: &Limits) -> Result<Analysis, Refused> {
    let tree = grammar::parse(sql)?;
    if tree.len() > limits.statements {
        return Err(Refused::TooManyStatements { limit: limits.statements });
    }
    let mut budget = limits.nodes;
    let alone = tree.len() == 1;
    let statements = tree
        .statements()
        .map(|raw| one(raw.stmt(), span(raw, sql.len()), alone, &mut budget, limits))
        .collect::<Result<_, _>>()?;
    Ok(Analysis { statements, reads_alike: sql.is_ascii() && !sql.contains('\\') })
}

/// PostgreSQL counts from 0 and writes a length of 0 for "to the end".
fn span(raw: &nodes::RawStmt, end: usize) -> Range<usize> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(end);
    let length = usize::try_from(raw.stmt_len).unwrap_or(0);
    let stop = if length == 0 { end } else { start.saturating_add(length).min(end) };
    start..stop
}

fn one(
    node: Node<'_>,
    span: Range<usize>,
    alone: bool,
    budget: &mut usize,
    limits: &Limits,
) -> Result<Statement, Refused> {
    let kind = StatementKind::of(node);
    let temporary = session_state::makes_temporary(node);
    let mut statement = Statement { temporary, ..Statement::new(kind, span.clone()) };
    let filled = if alone || !prepared::stands_alone(kind) {
        fill(&mut statement, node, budget)
    } else {
        Err(UnparsedReason::NotAlone.into())
    };
    match filled {
        Ok(()) => Ok(statement),
        Err(Stop::TooManyNodes) => Err(Refused::TooManyNodes { limit: limits.nodes }),
        // What was found so far is dropped: half of the facts would look like all of them.
        Err(Stop::Unparsed(reason)) => {
            let (moves, exposes) = (Moves::Anything, Exposure::anything());
            Ok(Statement { unparsed: Some(reason), temporary, moves, exposes, ..Statement::new(kind, span) })
        }
    }
}

fn fill(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Done {
    match node {
        Node::ExplainStmt(explain) => {
            options_are_known(explain)?;
            contents(statement, explain.query(), budget).unwrap_or(Err(UnparsedReason::ExplainKind.into()))
        }
        Node::PrepareStmt(prepare) => prepared::prepare(prepare, statement, budget),
        Node::ExecuteStmt(execute) => prepared::execute(execute, statement, budget),
        Node::DeallocateStmt(deallocate) => prepared::deallocate(deallocate, statement),
        Node::CallStmt(call) => procedure(call, statement, budget),
        Node::DoStmt(_) => {
            statement.runs_block = true;
            statement.moves = Moves::Anything;
            statement.exposes = Exposure::anything();
            statement.has_predicate = Some(false);
            Ok(())
        }
        Node::LockStmt(lock) => locks(lock, statement, budget),
        Node::TransactionStmt(t) => {
            statement.transaction = Some(transaction::control(t)?);
            Ok(())
        }
        Node::VariableSetStmt(set) => setting::changes(set, statement),
        Node::VariableShowStmt(show) => {
            statement.settings = setting::shown(show)?;
            Ok(())
        }
        Node::DiscardStmt(discard) => discards(discard, statement),
        Node::ClosePortalStmt(close) => prepared::is_not_ours(close.portalname().unwrap_or_default()),
        Node::UnlistenStmt(_) => Ok(()),
        _ => {
            contents(statement, node, budget).unwrap_or(Err(UnparsedReason::StatementKind.into()))?;
            statement.outputs = output::of(node);
            Ok(())
        }
    }
}

/// What reads and writes rows: by itself, or because it is explained or prepared. `None` if it does neither. Whether
/// EXPLAIN runs it makes no difference: what it would touch counts.
fn contents(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Option<Done> {
    match node {
        Node::CreateTableAsStmt(create) => {
            statement.add_kinds([StatementKind::of(node)]);
            Some(creation::table_as(create, statement, budget))
        }
        Node::SelectStmt(_) => Some(
            query(statement, node, budget).and_then(|intos| creation::select_into(node, intos, statement)),
        ),
        // An INTO below one of these is an error.
        Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => {
            Some(query(statement, node, budget).and_then(no_into))
        }
        _ => None,
    }
}

/// Walks SELECT, INSERT, UPDATE, DELETE or MERGE, and says how many INTOs were met on the way.
pub(crate) fn query(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Result<usize, Stop> {
    let keeps = matches!(node, Node::SelectStmt(select) if creation::into(select).is_some());
    let mut walker = Walker::new(budget);
    if keeps {
        walker.walk_written(node)?
    } else {
        walker.walk(node)?
    }
    Ok(end(walker, statement, node))
}

/// The same for a SELECT whose rows are made a table of.
pub(crate) fn kept(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Result<usize, Stop> {
    let mut walker = Walker::new(budget);
    walker.walk_written(node)?;
    Ok(end(walker, statement, node))
}

fn end(walker: Walker<'_, '_>, statement: &mut Statement, node: Node<'_>) -> usize {
    let intos = walker.found.intos;
    walker.found.into_statement(statement);
    statement.exposes = exposure::of(node);
    statement.add_kinds([StatementKind::of(node)]);
    intos
}

/// SELECT … INTO makes a table as a statement of its own and nowhere else.
pub(crate) fn no_into(intos: usize) -> Done {
    if intos == 0 { Ok(()) } else { Err(UnparsedReason::SelectInto.into()) }
}

/// PostgreSQL calls procedures alone like this, so the name is none of a harmless function.
fn procedure(call: &nodes::CallStmt, statement: &mut Statement, budget: &mut usize) -> Done {
    let call = call.funccall().ok_or(UnparsedReason::Expression)?;
    let mut walker = Walker::new(budget);
    walker.walk(Node::FuncCall(call))?;
    no_into(walker.found.intos)?;
    walker.found.into_statement(statement);
    statement.moves = Moves::Anything;
    statement.exposes = Exposure::anything();
    statement.procedure = Some(crate::walk::name(call.funcname())?);
    Ok(())
}

fn locks(lock: &nodes::LockStmt, statement: &mut Statement, budget: &mut usize) -> Done {
    let mut walker = Walker::new(budget);
    for relation in lock.relations() {
        let Node::RangeVar(relation) = relation else { return Err(UnparsedReason::Expression.into()) };
        walker.use_relation(relation, Access::Lock, WrittenColumns::None)?;
    }
    walker.found.into_statement(statement);
    Ok(())
}

/// Each gives back what belongs to the session. DISCARD ALL is also RESET ALL, after which the session acts as whom it
/// logged in, and DEALLOCATE ALL (PostgreSQL documentation, "DISCARD").
fn discards(discard: &nodes::DiscardStmt, statement: &mut Statement) -> Done {
    match discard.target {
        DiscardMode::DISCARD_ALL => {
            statement.settings = vec![setting::reset_all()];
            statement.deallocates = Some(Deallocated::All);
        }
        DiscardMode::DISCARD_PLANS | DiscardMode::DISCARD_SEQUENCES | DiscardMode::DISCARD_TEMP => {}
        _ => return Err(UnparsedReason::StatementKind.into()),
    }
    Ok(())
}

/// ANALYZE runs the statement, whose facts count in any case; TIMING, WAL and SERIALIZE need it. VERBOSE prints the
/// definitions of views, SETTINGS the server's configuration, and what is yet to come is not known.
fn options_are_known(explain: &nodes::ExplainStmt) -> Done {
    const KNOWN: [&str; 10] = [
        "analyze",
        "buffers",
        "costs",
        "format",
        "generic_plan",
        "memory",
        "serialize",
        "summary",
        "timing",
        "wal",
    ];
    let known = |option: &nodes::DefElem| option.defname().is_some_and(|name| KNOWN.contains(&name));
    if explain.options().iter().all(known) { Ok(()) } else { Err(UnparsedReason::ExplainOption.into()) }
}
