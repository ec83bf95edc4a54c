//! MERGE: what its clauses write. Its target is always read, to find the rows that match.

use crate::grammar::{CmdType, Node, nodes};
use crate::modification::{named, returning, target};
use crate::walk::{Stop, Walker};
use crate::{Access, StatementKind, UnparsedReason, WrittenColumns};

type Done = Result<(), Stop>;

/// Rows are chosen by ON, so what its clauses change or remove has a predicate: one that `ON true` makes as empty as
/// `WHERE true`.
pub(crate) fn merge<'t>(merge: &'t nodes::MergeStmt, walker: &mut Walker<'t, '_>) -> Done {
    let target = target(merge.relation())?;
    walker.found.modifies(StatementKind::Merge, None);
    walker.use_relation(target, Access::Read, WrittenColumns::None)?;
    for clause in merge.merge_when_clauses() {
        let written = written(clause)?;
        let (kind, access, chosen) = match clause.command_type {
            CmdType::CMD_INSERT => (StatementKind::Insert, Access::Insert, None),
            CmdType::CMD_UPDATE => (StatementKind::Update, Access::Update, Some(true)),
            CmdType::CMD_DELETE => (StatementKind::Delete, Access::Delete, Some(true)),
            CmdType::CMD_NOTHING => continue,
            _ => return Err(UnparsedReason::Expression.into()),
        };
        walker.found.modifies(kind, chosen);
        walker.use_relation(target, access, written)?;
    }
    walker.push_scope(merge.with_clause(), |w| {
        for clause in merge.merge_when_clauses() {
            w.push(clause.condition())?;
            let written = clause.target_list().iter().chain(clause.values());
            written.into_iter().try_for_each(|node| w.push_written(node))?;
        }
        w.push_all([merge.source_relation(), merge.join_condition()])?;
        returning(merge.returning_clause(), w)
    })
}

/// INSERT without a list of columns writes all of them.
fn written(clause: &nodes::MergeWhenClause) -> Result<WrittenColumns, Stop> {
    let columns = clause.target_list().iter().map(|column| match column {
        Node::ResTarget(column) => Ok(column),
        _ => Err(Stop::from(UnparsedReason::Expression)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    match clause.command_type {
        CmdType::CMD_INSERT if columns.is_empty() => Ok(WrittenColumns::All),
        CmdType::CMD_INSERT | CmdType::CMD_UPDATE => named(columns),
        _ => Ok(WrittenColumns::None),
    }
}
