//! CREATE TABLE AS and SELECT … INTO: a table is made of what a query reads.

use crate::grammar::{Node, ObjectType, nodes};
use crate::read::{kept, no_into};
use crate::walk::Stop;
use crate::{QualifiedName, Statement, StatementKind, UnparsedReason};

type Done = Result<(), Stop>;

/// CREATE TABLE … AS a query. Materialized views, and tables of what a prepared statement gives, have no facts.
pub(crate) fn table_as(
    create: &nodes::CreateTableAsStmt,
    statement: &mut Statement,
    budget: &mut usize,
) -> Done {
    let (Node::SelectStmt(_), ObjectType::OBJECT_TABLE) = (create.query(), create.objtype) else {
        return Err(UnparsedReason::StatementKind.into());
    };
    kept(statement, create.query(), budget).and_then(no_into)?;
    makes(create.into().ok_or(UnparsedReason::Expression)?, statement)
}

/// SELECT … INTO, if the query has one: that of its first SELECT (`transformOptionalSelectInto`). Any other of the
/// `intos` that were met is an error, and so is this one in PREPARE.
pub(crate) fn select_into(node: Node<'_>, intos: usize, statement: &mut Statement) -> Done {
    let Node::SelectStmt(select) = node else { return no_into(intos) };
    let Some(into) = into(select) else { return no_into(intos) };
    no_into(intos.saturating_sub(1))?;
    statement.add_kinds([StatementKind::CreateTableAs]);
    makes(into, statement)
}

/// The INTO of a query is that of its first SELECT.
pub(crate) fn into(select: &nodes::SelectStmt) -> Option<&nodes::IntoClause> {
    let mut first = select;
    while let Some(left) = first.larg() {
        first = left;
    }
    first.into_clause()
}

/// An access method, a tablespace and storage parameters would be names and effects of their own.
fn makes(into: &nodes::IntoClause, statement: &mut Statement) -> Done {
    let plain = into.access_method().is_none()
        && into.table_space_name().is_none()
        && into.options().is_empty()
        && into.view_query().is_none();
    if !plain {
        return Err(UnparsedReason::Expression.into());
    }
    let table = into.rel().ok_or(UnparsedReason::Expression)?;
    statement.creates = Some(QualifiedName::of(table).ok_or(UnparsedReason::Expression)?);
    Ok(())
}
