//! Queries and modifications: which of their parts decide about rows, and what their target lists are for.

use super::target::{Arm, Keys, Together};
use super::{Reader, Task, Use, bare};
use crate::grammar::{Node, SetOperation, nodes};

/// What the target list of a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Targets {
    /// The statement's own SELECT, whose plain counts are shown.
    Shown,
    /// It is covered, or written, by the origin of each column.
    Output,
    /// It is written too, but is VALUES of just one row.
    OneRow,
    /// A query around reads it by its names.
    Derived,
    /// It goes into the value that is gathered under this number.
    Into(usize),
    /// Whether there are rows is all that matters.
    Ignored,
}

impl<'t> Reader<'t> {
    pub(super) fn statement(&mut self, node: Node<'t>, targets: Targets) {
        self.queries = self.queries.saturating_add(1);
        // RETURNING of the statement itself has no counts of rows.
        let returned = if targets == Targets::Shown { Targets::Output } else { targets };
        match node {
            Node::SelectStmt(select) => self.select(select, targets),
            Node::InsertStmt(insert) => self.insert(insert, returned),
            Node::UpdateStmt(update) => self.update(update, returned),
            Node::DeleteStmt(delete) => self.delete(delete, returned),
            Node::MergeStmt(merge) => self.merge(merge, returned),
            _ => self.noted.anything = true,
        }
    }

    fn select(&mut self, root: &'t nodes::SelectStmt, targets: Targets) {
        if root.larg().is_none() {
            return self.arm(root, &Arm { targets, together: None });
        }
        let mut together = Together::default();
        let mut arms = Vec::new();
        let mut left = vec![root];
        while let Some(select) = left.pop() {
            let (Some(one), Some(other)) = (select.larg(), select.rarg()) else {
                arms.push(select);
                continue;
            };
            left.extend([other, one]);
            // All but UNION ALL compare rows with rows.
            together.compares |= select.op != SetOperation::SETOP_UNION || !select.all;
            let keys = self.around(select);
            // What a part of the whole is sorted by stands in arms that are not told here.
            together.sorts_by_any |= !std::ptr::eq(select, root) && keys.are_any();
            if std::ptr::eq(select, root) {
                together.keys = keys;
            }
        }
        together.name(&arms);
        self.noted.is_blurred |= targets == Targets::Derived && together.names.contains(&None);
        let targets = if targets == Targets::Shown { Targets::Output } else { targets };
        for select in arms {
            self.arm(select, &Arm { targets, together: Some(&together) });
        }
    }

    /// One SELECT or VALUES.
    fn arm(&mut self, select: &'t nodes::SelectStmt, arm: &Arm<'_, 't>) {
        let mut keys = self.around(select);
        let distinct = select.distinct_clause();
        let is_distinct = matches!(distinct.first(), Some(Node::None));
        let is_sorted = keys.are_any();
        self.keys(distinct.iter(), &mut keys, None);
        self.keys(select.group_clause().iter(), &mut keys, None);
        for window in select.window_clause() {
            if let Node::WindowDef(window) = window {
                self.named_window(window, arm.targets);
            }
        }
        self.push(Task::Source(Node::NodeList(select.from_clause())));
        self.condition_of(select.where_clause());
        self.condition_of(select.having_clause());
        self.targets(select.target_list(), keys, is_distinct, arm);
        let decides = arm.together.is_some_and(|together| together.compares || together.is_sorted());
        for row in select.values_lists() {
            match arm.targets {
                _ if decides || is_sorted => self.expose(row),
                Targets::OneRow => self.gather(row, Use::OneRow),
                Targets::Into(sink) => self.push(Task::Expression(row, sink)),
                Targets::Shown | Targets::Output => self.outputs(row),
                Targets::Derived | Targets::Ignored => self.expose(row),
            }
        }
    }

    /// What a query has whether or not it is a set operation. Gives what it is sorted by.
    fn around(&mut self, select: &'t nodes::SelectStmt) -> Keys<'t> {
        self.common_tables(select.with_clause());
        self.expose(select.limit_offset());
        self.expose(select.limit_count());
        let mut keys = Keys::default();
        self.keys(select.sort_clause().iter().map(Node::SortBy), &mut keys, None);
        keys
    }

    fn common_tables(&mut self, with: Option<&'t nodes::WithClause>) {
        for cte in with.into_iter().flat_map(|with| with.ctes()) {
            // These have columns with names that no target list gives.
            self.noted.anything |= !cte.aliascolnames().is_empty()
                || cte.search_clause().is_some()
                || cte.cycle_clause().is_some();
            self.push(Task::Statement(cte.ctequery(), Targets::Derived));
        }
    }

    /// Which outputs a named window is for is left to the reader, so all of them may say what it is made of.
    fn named_window(&mut self, window: &'t nodes::WindowDef, targets: Targets) {
        self.window(window, None);
        if !matches!(targets, Targets::Shown | Targets::Output) {
            self.expose_all(window.partition_clause());
            window.order_clause().iter().for_each(|sort| self.expose(Node::SortBy(sort)));
        }
    }

    /// A window, as a part of what is gathered under the number.
    pub(super) fn window(&mut self, window: &'t nodes::WindowDef, sink: Option<usize>) {
        // Numbers and the names of outputs mean nothing here.
        let mut keys = Keys::default();
        self.keys(window.partition_clause().iter(), &mut keys, sink);
        self.keys(window.order_clause().iter().map(Node::SortBy), &mut keys, sink);
        self.expose(window.start_offset());
        self.expose(window.end_offset());
    }

    fn insert(&mut self, insert: &'t nodes::InsertStmt, returned: Targets) {
        self.common_tables(insert.with_clause());
        self.target_relation(insert.relation());
        insert.cols().iter().for_each(|column| self.outputs(column));
        if !matches!(insert.select_stmt(), Node::None) {
            let conflicts = insert.on_conflict_clause().is_some();
            let is_one_row = conflicts && is_one_row(insert.select_stmt());
            // Which of several rows conflict says what is in the table.
            self.noted.anything |= conflicts && (self.conflicts || !is_one_row);
            self.conflicts |= conflicts;
            let written = if is_one_row { Targets::OneRow } else { Targets::Output };
            self.push(Task::Statement(insert.select_stmt(), written));
        }
        if let Some(conflict) = insert.on_conflict_clause() {
            self.noted.rows.insert("excluded");
            // What an index is on chooses the index.
            if let Some(infer) = conflict.infer() {
                self.condition_of(infer.where_clause());
            }
            conflict.target_list().iter().for_each(|target| self.outputs(Node::ResTarget(target)));
            self.condition_of(conflict.where_clause());
        }
        self.returning(insert.returning_clause(), returned);
    }

    fn update(&mut self, update: &'t nodes::UpdateStmt, returned: Targets) {
        self.common_tables(update.with_clause());
        self.target_relation(update.relation());
        update.target_list().iter().for_each(|target| self.outputs(Node::ResTarget(target)));
        self.push(Task::Source(Node::NodeList(update.from_clause())));
        self.condition_of(update.where_clause());
        self.returning(update.returning_clause(), returned);
    }

    fn delete(&mut self, delete: &'t nodes::DeleteStmt, returned: Targets) {
        self.common_tables(delete.with_clause());
        self.target_relation(delete.relation());
        self.push(Task::Source(Node::NodeList(delete.using_clause())));
        self.condition_of(delete.where_clause());
        self.returning(delete.returning_clause(), returned);
    }

    fn merge(&mut self, merge: &'t nodes::MergeStmt, returned: Targets) {
        self.common_tables(merge.with_clause());
        self.target_relation(merge.relation());
        self.push(Task::Source(merge.source_relation()));
        self.condition_of(merge.join_condition());
        for clause in merge.merge_when_clauses() {
            self.condition_of(clause.condition());
            let written = clause.target_list().iter().chain(clause.values());
            written.into_iter().for_each(|node| self.outputs(node));
        }
        self.returning(merge.returning_clause(), returned);
    }

    fn target_relation(&mut self, relation: Option<&'t nodes::RangeVar>) {
        relation.into_iter().for_each(|relation| self.relation(relation));
    }

    fn returning(&mut self, clause: Option<&'t nodes::ReturningClause>, targets: Targets) {
        let Some(clause) = clause else { return };
        self.noted.rows.extend(["old", "new"]);
        self.noted.rows.extend(clause.options().iter().filter_map(|option| option.value()));
        let exprs = clause.exprs().iter().filter_map(|expr| match expr {
            Node::ResTarget(target) => Some(target),
            _ => None,
        });
        self.targets(exprs, Keys::default(), false, &Arm { targets, together: None });
    }

    /// What rows are sorted, grouped or told apart by: columns by themselves, or what is exposed.
    pub(super) fn keys(
        &mut self,
        nodes: impl IntoIterator<Item = Node<'t>>,
        keys: &mut Keys<'t>,
        sink: Option<usize>,
    ) {
        let mut left: Vec<_> = nodes.into_iter().collect();
        while let Some(node) = left.pop() {
            match node {
                Node::GroupingSet(set) => left.extend(set.content()),
                Node::RowExpr(row) => left.extend(row.args()),
                Node::NodeList(list) => left.extend(list),
                Node::CollateClause(collate) => left.push(collate.arg()),
                Node::SortBy(sort) if sort.use_op().is_empty() => left.push(sort.node()),
                Node::A_Const(constant) => keys.constant(constant.val()),
                _ => match bare(node) {
                    Some((name, alone)) => {
                        self.noted.compared(name, alone);
                        keys.name(name, alone);
                        // It is a part of the value that the window gives.
                        sink.into_iter().for_each(|sink| self.push(Task::Expression(node, sink)));
                    }
                    None => self.expose(node),
                },
            }
        }
    }
}

fn is_one_row(query: Node<'_>) -> bool {
    matches!(query, Node::SelectStmt(select) if select.values_lists().len() == 1)
}
