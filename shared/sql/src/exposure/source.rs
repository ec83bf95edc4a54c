//! What a query reads from, as far as it names, joins and multiplies.

use super::query::Targets;
use super::{Reader, Task};
use crate::grammar::{Node, nodes};
use crate::walk::{is_harmless, name};

impl<'t> Reader<'t> {
    pub(super) fn source(&mut self, node: Node<'t>) {
        match node {
            Node::None => {}
            Node::NodeList(list) => list.iter().for_each(|source| self.push(Task::Source(source))),
            Node::RangeVar(relation) => self.relation(relation),
            Node::JoinExpr(join) => {
                self.alias(join.alias());
                self.alias(join.join_using_alias());
                // Which columns are compared is not said.
                self.noted.anything |= join.is_natural;
                let shared = join.using_clause().iter().filter_map(|column| column.sval());
                shared.for_each(|column| self.noted.exposed_column(column));
                self.condition_of(join.quals());
                self.push(Task::Source(join.larg()));
                self.push(Task::Source(join.rarg()));
            }
            Node::RangeSubselect(range) => {
                // What VALUES has is exposed as it is, by whatever name it goes.
                let of_values = |select: &nodes::SelectStmt| !select.values_lists().is_empty();
                if !matches!(range.subquery(), Node::SelectStmt(select) if of_values(select)) {
                    self.alias(range.alias());
                }
                self.push(Task::Statement(range.subquery(), Targets::Derived));
            }
            Node::RangeFunction(range) => self.functions(range),
            Node::RangeTableSample(sample) => {
                self.push(Task::Source(sample.relation()));
                self.expose_all(sample.args());
                self.expose(sample.repeatable());
            }
            _ => self.noted.anything = true,
        }
    }

    pub(super) fn relation(&mut self, relation: &'t nodes::RangeVar) {
        self.noted.rows.extend(relation.relname());
        self.alias(relation.alias());
    }

    fn alias(&mut self, alias: Option<&'t nodes::Alias>) {
        let Some(alias) = alias else { return };
        self.noted.rows.extend(alias.aliasname());
        self.noted.anything |= !alias.colnames().is_empty();
    }

    /// What harmless functions give is made of their arguments, which are exposed, so their names do not matter.
    fn functions(&mut self, range: &'t nodes::RangeFunction) {
        let mut harmless = true;
        for function in range.functions() {
            // A call, and maybe the columns that it is said to have.
            let call = match function {
                Node::NodeList(pair) => pair.first().unwrap_or(Node::None),
                call => call,
            };
            harmless &=
                matches!(call, Node::FuncCall(call) if name(call.funcname()).is_ok_and(|n| is_harmless(&n)));
            self.expose(call);
        }
        if !harmless {
            self.alias(range.alias());
        }
    }
}
