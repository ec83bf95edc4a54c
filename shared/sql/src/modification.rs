//! INSERT, UPDATE and DELETE, by themselves or within WITH: what they write, and when PostgreSQL also reads their
//! target.

use crate::grammar::{Node, OnConflictAction, nodes};
use crate::walk::{Stop, Walker};
use crate::{Access, StatementKind, UnparsedReason, WrittenColumns};

type Done = Result<(), Stop>;

/// The target is read where RETURNING shows it, where ON CONFLICT looks for a row, and where it updates one.
pub(crate) fn insert<'t>(insert: &'t nodes::InsertStmt, walker: &mut Walker<'t, '_>) -> Done {
    let target = target(insert.relation())?;
    walker.found.modifies(StatementKind::Insert, None);
    let columns = insert.cols().iter().map(|column| match column {
        Node::ResTarget(column) => Ok(column),
        _ => Err(Stop::from(UnparsedReason::Expression)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let written = if columns.is_empty() { WrittenColumns::All } else { named(columns.iter().copied())? };
    walker.use_relation(target, Access::Insert, written)?;
    let mut reads = insert.returning_clause().is_some();
    if let Some(conflict) = insert.on_conflict_clause() {
        let updates = conflict.action == OnConflictAction::ONCONFLICT_UPDATE;
        if updates {
            walker.use_relation(target, Access::Update, named(conflict.target_list())?)?;
        }
        reads |= updates || conflict.infer().is_some();
    }
    if reads {
        walker.use_relation(target, Access::Read, WrittenColumns::None)?;
    }
    walker.push_scope(insert.with_clause(), |w| {
        for column in columns {
            w.push_as(true, |w| w.indirection(column.indirection()))?;
        }
        w.push_written(insert.select_stmt())?;
        conflict(insert.on_conflict_clause(), w)?;
        returning(insert.returning_clause(), w)
    })
}

/// The target is read where any row is chosen or shown and where any expression names a column.
pub(crate) fn update<'t>(update: &'t nodes::UpdateStmt, walker: &mut Walker<'t, '_>) -> Done {
    let target = target(update.relation())?;
    walker.use_relation(target, Access::Update, named(update.target_list())?)?;
    let predicate = !matches!(update.where_clause(), Node::None);
    walker.found.modifies(StatementKind::Update, Some(predicate));
    if predicate || !update.from_clause().is_empty() || update.returning_clause().is_some() {
        walker.use_relation(target, Access::Read, WrittenColumns::None)?;
    }
    walker.push_modified(target);
    walker.push_scope(update.with_clause(), |w| {
        assignments(update.target_list(), w)?;
        w.push_list(update.from_clause())?;
        w.push(update.where_clause())?;
        returning(update.returning_clause(), w)
    })
}

/// As for UPDATE.
pub(crate) fn delete<'t>(delete: &'t nodes::DeleteStmt, walker: &mut Walker<'t, '_>) -> Done {
    let target = target(delete.relation())?;
    walker.use_relation(target, Access::Delete, WrittenColumns::None)?;
    let predicate = !matches!(delete.where_clause(), Node::None);
    walker.found.modifies(StatementKind::Delete, Some(predicate));
    if predicate || !delete.using_clause().is_empty() || delete.returning_clause().is_some() {
        walker.use_relation(target, Access::Read, WrittenColumns::None)?;
    }
    walker.push_modified(target);
    walker.push_scope(delete.with_clause(), |w| {
        w.push_list(delete.using_clause())?;
        w.push(delete.where_clause())?;
        returning(delete.returning_clause(), w)
    })
}

/// What is written is always a real relation: PostgreSQL never takes a common table expression for it.
pub(crate) fn target(relation: Option<&nodes::RangeVar>) -> Result<&nodes::RangeVar, Stop> {
    relation.ok_or(UnparsedReason::Expression.into())
}

/// The columns that a list of targets writes.
pub(crate) fn named<'t>(
    targets: impl IntoIterator<Item = &'t nodes::ResTarget>,
) -> Result<WrittenColumns, Stop> {
    let names = targets.into_iter().map(|target| target.name().map(str::to_owned));
    let mut names = names.collect::<Option<Vec<_>>>().ok_or(UnparsedReason::Expression)?;
    names.sort_unstable();
    names.dedup();
    Ok(WrittenColumns::Named(names))
}

fn assignments<'t>(
    targets: impl IntoIterator<Item = &'t nodes::ResTarget>,
    walker: &mut Walker<'t, '_>,
) -> Done {
    targets.into_iter().try_for_each(|target| walker.push_written(Node::ResTarget(target)))
}

fn conflict<'t>(clause: Option<&'t nodes::OnConflictClause>, walker: &mut Walker<'t, '_>) -> Done {
    let Some(clause) = clause else { return Ok(()) };
    if let Some(infer) = clause.infer() {
        for element in infer.index_elems() {
            let Node::IndexElem(element) = element else { return Err(UnparsedReason::Expression.into()) };
            // A collation or operator class here only picks an index, but its name would go unreported.
            if !element.collation().is_empty() || !element.opclass().is_empty() {
                return Err(UnparsedReason::Expression.into());
            }
            walker.push(element.expr())?;
        }
        walker.push(infer.where_clause())?;
    }
    assignments(clause.target_list(), walker)?;
    walker.push(clause.where_clause())
}

pub(crate) fn returning<'t>(clause: Option<&'t nodes::ReturningClause>, walker: &mut Walker<'t, '_>) -> Done {
    clause.map_or(Ok(()), |clause| walker.push_list(clause.exprs()))
}
