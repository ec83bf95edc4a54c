//! Expressions: which columns they mention, and whether anything else goes into their values.

use super::query::Targets;
use super::{Reader, Task};
use crate::grammar::{Node, NodeList, SubLinkType, nodes};
use crate::walk::{TAKE_ROWS, is_built_in, is_harmless, name};

/// Harmless functions that give rows (`pg_proc.proretset`). Sorted.
const GIVE_ROWS: [&str; 17] = [
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "unnest",
];

/// Harmless functions that give another value at each call: by time or by chance they say which row it is. Sorted.
const VARY: [&str; 9] = [
    "array_sample",
    "array_shuffle",
    "clock_timestamp",
    "gen_random_uuid",
    "random",
    "random_normal",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// Aggregates whose value depends on how often a row is there, which a join decides: in `sum(a) > 9` and
/// `get_bit(max(a), count(*))` rows are as good as another column. Sorted.
const WEIGH: [&str; 32] = [
    "array_agg",
    "avg",
    "bit_xor",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// Other aggregates, whose values say which rows there are as soon as there are two of them. Sorted.
const CHOOSE: [&str; 8] = ["any_value", "bit_and", "bit_or", "bool_and", "bool_or", "every", "max", "min"];

/// Functions that are not known to be harmless, but known to give one value. Sorted.
const GIVE_ONE: [&str; 4] = ["currval", "lastval", "nextval", "uuid_generate_v4"];

impl<'t> Reader<'t> {
    /// What is not listed was not let through either, and counts as anything.
    pub(super) fn expression(&mut self, node: Node<'t>, sink: usize) {
        match node {
            Node::None
            | Node::A_Const(_)
            | Node::ParamRef(_)
            | Node::SQLValueFunction(_)
            | Node::SetToDefault(_) => {}
            Node::ColumnRef(column) => self.column(column, sink),
            Node::FuncCall(call) => self.call(call, sink),
            Node::A_Expr(e) => {
                self.varies(sink, !is_built_in(e.name()));
                self.parts([e.lexpr(), e.rexpr()], sink);
            }
            Node::SubLink(link) => self.sub_link(link, sink),
            Node::TypeCast(cast) => {
                let named = cast
                    .type_name()
                    .and_then(|of| of.names().iter().next_back())
                    .and_then(|part| part.sval());
                self.with(sink, |gathered| gathered.names.extend(named));
                self.parts([cast.arg()], sink);
            }
            Node::A_Indirection(of) => {
                self.parts([of.arg()], sink);
                self.steps(of.indirection(), sink);
            }
            Node::CaseExpr(case) => {
                self.list(case.args(), sink);
                self.parts([case.arg(), case.defresult()], sink);
            }
            Node::CaseWhen(when) => self.parts([when.expr(), when.result()], sink),
            Node::MultiAssignRef(part) if part.colno == 1 => self.parts([part.source()], sink),
            Node::MultiAssignRef(_) => {}
            Node::ResTarget(target) => {
                self.parts([target.val()], sink);
                self.steps(target.indirection(), sink);
            }
            Node::SortBy(sort) => {
                self.varies(sink, !is_built_in(sort.use_op()));
                self.parts([sort.node()], sink);
            }
            Node::CollateClause(e) => self.parts([e.arg()], sink),
            Node::NullTest(e) => self.parts([e.arg()], sink),
            Node::BooleanTest(e) => self.parts([e.arg()], sink),
            Node::NamedArgExpr(e) => self.parts([e.arg()], sink),
            Node::BoolExpr(e) => self.list(e.args(), sink),
            Node::CoalesceExpr(e) => self.list(e.args(), sink),
            Node::MinMaxExpr(e) => self.list(e.args(), sink),
            Node::A_ArrayExpr(e) => self.list(e.elements(), sink),
            Node::RowExpr(e) => self.list(e.args(), sink),
            Node::GroupingFunc(e) => self.list(e.args(), sink),
            Node::NodeList(list) => self.list(list, sink),
            _ => self.with(sink, |gathered| gathered.whole = true),
        }
    }

    pub(super) fn with(&mut self, sink: usize, note: impl FnOnce(&mut super::Gathered<'t>)) {
        if let Some(gathered) = self.gathered.get_mut(sink) {
            note(gathered);
        }
    }

    fn varies(&mut self, sink: usize, varies: bool) {
        self.with(sink, |gathered| gathered.varies |= varies);
    }

    fn parts<const N: usize>(&mut self, nodes: [Node<'t>; N], sink: usize) {
        nodes.into_iter().for_each(|node| self.push(Task::Expression(node, sink)));
    }

    fn list(&mut self, list: &'t NodeList, sink: usize) {
        list.iter().for_each(|node| self.push(Task::Expression(node, sink)));
    }

    fn column(&mut self, column: &'t nodes::ColumnRef, sink: usize) {
        let path: Option<Vec<_>> = column.fields().iter().map(|field| field.as_str()).collect();
        self.with(sink, |gathered| match (super::last(column), path) {
            (Some(last), Some(path)) => {
                gathered.whole |= path.len() > 1 && TAKE_ROWS.contains(&last);
                gathered.column(path);
            }
            _ => gathered.whole = true,
        });
    }

    /// Selecting from a value may be a call.
    fn steps(&mut self, steps: &'t NodeList, sink: usize) {
        for step in steps {
            match step {
                Node::String(field) => self.named(field.sval().unwrap_or_default(), true, sink),
                Node::A_Indices(index) => self.parts([index.lidx(), index.uidx()], sink),
                _ => self.with(sink, |gathered| gathered.whole = true),
            }
        }
    }

    fn call(&mut self, call: &'t nodes::FuncCall, sink: usize) {
        let is_ours = name(call.funcname()).is_ok_and(|name| is_harmless(&name));
        let called = call.funcname().iter().next_back().and_then(|part| part.as_str());
        self.named(called.unwrap_or_default(), is_ours, sink);
        self.varies(sink, call.agg_within_group);
        self.list(call.args(), sink);
        call.agg_order().iter().for_each(|sort| self.push(Task::Expression(Node::SortBy(sort), sink)));
        self.parts([call.agg_filter()], sink);
        if let Some(window) = call.over() {
            self.varies(sink, true);
            self.window(window, Some(sink));
        }
    }

    /// A function, or a name that may be one.
    fn named(&mut self, called: &'t str, built_in: bool, sink: usize) {
        let harmless = built_in && crate::known_harmless(called);
        self.with(sink, |gathered| {
            gathered.names.insert(called);
            gathered.varies |= !harmless || [&VARY[..], &WEIGH].iter().any(|list| list.contains(&called));
            gathered.multiplies |= harmless && GIVE_ROWS.contains(&called);
            gathered.may_multiply |= gathered.multiplies || !(harmless || GIVE_ONE.contains(&called));
            gathered.aggregates = gathered.aggregates.saturating_add(usize::from(CHOOSE.contains(&called)));
        });
    }

    /// Of EXISTS only the clauses matter, of any other what it selects goes into the value.
    fn sub_link(&mut self, link: &'t nodes::SubLink, sink: usize) {
        self.varies(sink, true);
        self.parts([link.testexpr()], sink);
        let exists = link.sub_link_type == SubLinkType::EXISTS_SUBLINK;
        let targets = if exists { Targets::Ignored } else { Targets::Into(sink) };
        self.push(Task::Statement(link.subselect(), targets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_of_harmless_functions() {
        for list in [&GIVE_ROWS[..], &VARY, &WEIGH, &CHOOSE] {
            assert!(list.is_sorted_by(|a, b| a < b));
            assert!(list.iter().all(|name| crate::known_harmless(name)));
        }
    }
}
