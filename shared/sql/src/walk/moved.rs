//! What is copied from what is read into what is written.
//!
//! Within the expressions whose values are written (SET, VALUES, the target list of a query whose rows are
//! kept, the windows that it names) every column that is mentioned counts as copied, and so it does in what is
//! handed to functions and operators that are not known to be harmless, wherever these stand. Names of columns say which only as long as nothing
//! gives them others: beside a subquery (but VALUES of constants), a common table expression, a function in FROM or a list of new
//! names, anything may be copied.

use super::Walker;
use crate::grammar::{Node, NodeList, nodes};
use crate::{Moves, QualifiedName, known_harmless};
use std::collections::BTreeSet;

/// Functions that are not harmless, and give nothing that stands in a table.
const GIVE_NO_ROWS: [&str; 3] = ["currval", "lastval", "nextval"];
/// Harmless functions that take a whole row: `t.to_json` is one of these where `t` has no such column.
pub(crate) const TAKE_ROWS: [&str; 16] = [
    "any_value",
    "array_agg",
    "concat",
    "format",
    "json_agg",
    "json_build_array",
    "jsonb_agg",
    "jsonb_build_array",
    "max",
    "min",
    "pg_column_size",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// What a walk found of it.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// The last names of columns in what is written.
    columns: BTreeSet<String>,
    /// By which names whole rows can be mentioned.
    rows: BTreeSet<String>,
    /// A column may have another name than in its table.
    renames: bool,
    /// Something is written that no name of a column describes.
    anything: bool,
}

impl Moved {
    pub(super) fn into_moves(self) -> Moves {
        let has_row = self.columns.iter().any(|column| column == "excluded" || self.rows.contains(column));
        if self.anything || has_row || (self.renames && !self.columns.is_empty()) {
            Moves::Anything
        } else if self.columns.is_empty() {
            Moves::Nothing
        } else {
            Moves::Columns(self.columns.into_iter().collect())
        }
    }

    /// A relation by its own name and the one that is given to it, maybe with names for its columns.
    pub(super) fn relation(&mut self, relation: &nodes::RangeVar) {
        self.rows.extend(relation.relname().map(str::to_owned));
        self.alias(relation.alias());
    }

    pub(super) fn alias(&mut self, alias: Option<&nodes::Alias>) {
        self.row(alias);
        self.renames |= alias.is_some_and(|alias| !alias.colnames().is_empty());
    }

    /// A row of what is in no table, so that the names of its columns do not matter.
    pub(super) fn row(&mut self, alias: Option<&nodes::Alias>) {
        self.rows.extend(alias.and_then(|alias| alias.aliasname()).map(str::to_owned));
    }

    /// Columns get new names.
    pub(super) fn renames(&mut self) {
        self.renames = true;
    }
}

impl Walker<'_, '_> {
    /// Takes note of a node of an expression whose value is written.
    pub(super) fn moves(&mut self, node: Node<'_>) {
        if self.writing == 0 {
            return;
        }
        let moved = &mut self.found.moved;
        match node {
            Node::ColumnRef(column) => match column.fields().iter().next_back() {
                Some(Node::String(last)) => {
                    let last = last.sval().unwrap_or_default();
                    moved.anything |= column.fields().len() > 1 && TAKE_ROWS.contains(&last);
                    moved.columns.insert(last.to_owned());
                }
                _ => moved.anything = true,
            },
            Node::FuncCall(call) => {
                moved.anything |= !super::name(call.funcname()).is_ok_and(|name| gives_no_rows(&name));
            }
            Node::A_Indirection(of) => {
                let selects = of.indirection().iter().any(|step| !matches!(step, Node::A_Indices(_)));
                moved.anything |= selects && !matches!(of.arg(), Node::ColumnRef(_));
                moved.anything |= of.indirection().iter().any(|step| matches!(step, Node::A_Star(_)));
            }
            Node::A_Expr(expression) => moved.anything |= !is_built_in(expression.name()),
            Node::SubLink(_) => moved.anything = true,
            _ => {}
        }
    }
}

/// Whether a function is built in and known to be harmless, as far as its name says.
pub(crate) fn is_harmless(function: &QualifiedName) -> bool {
    function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog") && known_harmless(&function.name)
}

/// Whether what a function gives comes from its arguments, or at least from no table.
pub(crate) fn gives_no_rows(function: &QualifiedName) -> bool {
    let is_built_in = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    is_harmless(function) || (is_built_in && GIVE_NO_ROWS.contains(&function.name.as_str()))
}

/// Whether a name is of the built-in schema, as far as it says.
pub(crate) fn is_built_in(name: &NodeList) -> bool {
    name.len() < 2 || super::name(name).is_ok_and(|name| name.schema.as_deref() == Some("pg_catalog"))
}
