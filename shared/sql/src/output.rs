//! What the entries of a SELECT's target list are, as far as covering its rows depends on it.

use crate::Output;
use crate::exposure::is_plain_test;
use crate::grammar::{Node, nodes};

/// Those of one SELECT; none if the node is anything else, also if it is a set operation or makes a table.
pub(crate) fn of(node: Node<'_>) -> Vec<Output> {
    match node {
        Node::SelectStmt(select) if select.larg().is_none() && select.into_clause().is_none() => {
            select.target_list().iter().map(|target| entry(target.val())).collect()
        }
        _ => Vec::new(),
    }
}

/// That of one value.
pub(crate) fn entry(value: Node<'_>) -> Output {
    let is_star = |last: Option<Node<'_>>| matches!(last, Some(Node::A_Star(_)));
    match value {
        Node::FuncCall(call) if is_count(call) => Output::Count,
        Node::ColumnRef(column) if is_star(column.fields().iter().next_back()) => Output::Star,
        Node::A_Indirection(of) if is_star(of.indirection().iter().next_back()) => Output::Star,
        _ if is_constant(value) => Output::Constant,
        _ => Output::Other,
    }
}

/// Whether it is a constant or a parameter, maybe cast to a type that is built in, as far as its name says.
fn is_constant(value: Node<'_>) -> bool {
    let mut value = value;
    while let Node::TypeCast(cast) = value {
        let schema = cast.type_name().and_then(|of| of.names().iter().rev().nth(1));
        if schema.is_some_and(|schema| schema.sval() != Some("pg_catalog")) {
            return false;
        }
        value = cast.arg();
    }
    matches!(value, Node::A_Const(_) | Node::ParamRef(_))
}

/// Whether a query is VALUES of constants alone.
pub(crate) fn is_constants(query: Node<'_>) -> bool {
    let Node::SelectStmt(select) = query else { return false };
    let is_row = |row| matches!(row, Node::NodeList(row) if row.iter().all(is_constant));
    !select.values_lists().is_empty()
        && select.values_lists().iter().all(is_row)
        && select.with_clause().is_none()
        && select.sort_clause().is_empty()
        && matches!((select.limit_count(), select.limit_offset()), (Node::None, Node::None))
}

/// `count` of rows, of a column or of a constant, as an aggregate.
fn is_count(call: &nodes::FuncCall) -> bool {
    let counts = call.agg_star || call.args().iter().all(is_countable);
    counts && counts_rows(call) && is_plain_test(call.agg_filter())
}

/// Whether a call is `count` of rows or of one argument, as an aggregate: over a window it says something of each row.
pub(crate) fn counts_rows(call: &nodes::FuncCall) -> bool {
    let named = crate::walk::name(call.funcname()).is_ok_and(|name| {
        name.name == "count"
            && name.catalog.is_none()
            && name.schema.is_none_or(|schema| schema == "pg_catalog")
    });
    let arguments = if call.agg_star { 0 } else { 1 };
    named
        && call.args().len() == arguments
        && call.over().is_none()
        && call.agg_order().is_empty()
        && !call.agg_within_group
        && !call.func_variadic
}

/// What is computed can be NULL as the values of several columns will have it.
fn is_countable(value: Node<'_>) -> bool {
    match value {
        Node::A_Const(_) => true,
        Node::ColumnRef(column) => matches!(column.fields().iter().next_back(), Some(Node::String(_))),
        _ => false,
    }
}
