//! The walk over a query's parse tree: an allow-list of node types, an explicit stack, a budget of nodes.
//!
//! The stack holds nodes still to visit and, between them, the points where something begins to hold and ends: the
//! name of a common table expression is in sight, rows are locked, a modification is done. Children are pushed
//! last-first, so what holds for a part of the tree holds exactly while that part is visited.

mod expression;
mod moved;

use crate::grammar::{Node, NodeList, nodes};
use crate::{
    Access, QualifiedName, RelationUse, Statement, StatementKind, UnparsedReason, WrittenColumns, merge,
    modification,
};
pub(crate) use expression::name;
use moved::Moved;
pub(crate) use moved::{TAKE_ROWS, gives_no_rows, is_built_in, is_harmless};
use std::collections::{BTreeSet, HashMap};

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The statement is unparsed.
    Unparsed(UnparsedReason),
    /// The budget is spent.
    TooManyNodes,
}

impl From<UnparsedReason> for Stop {
    fn from(reason: UnparsedReason) -> Self {
        Self::Unparsed(reason)
    }
}

type Done = Result<(), Stop>;

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    relations: BTreeSet<RelationUse>,
    functions: BTreeSet<QualifiedName>,
    attributes: BTreeSet<String>,
    operators: BTreeSet<QualifiedName>,
    types: BTreeSet<QualifiedName>,
    collations: BTreeSet<QualifiedName>,
    highest_parameter: u32,
    /// How often columns were mentioned.
    columns: usize,
    /// The statements that write, wherever they stand.
    kinds: BTreeSet<StatementKind>,
    has_predicate: Option<bool>,
    moved: Moved,
    /// How many SELECTs have an INTO.
    pub(crate) intos: usize,
}

impl Found {
    /// Adds to a statement that has no names yet.
    pub(crate) fn into_statement(self, statement: &mut Statement) {
        statement.relations = self.relations.into_iter().collect();
        statement.functions = self.functions.into_iter().collect();
        statement.attributes = self.attributes.into_iter().collect();
        statement.operators = self.operators.into_iter().collect();
        statement.types = self.types.into_iter().collect();
        statement.collations = self.collations.into_iter().collect();
        statement.highest_parameter = self.highest_parameter;
        statement.has_predicate = self.has_predicate;
        statement.moves = self.moved.into_moves();
        statement.add_kinds(self.kinds);
    }

    /// One modification, and whether its rows are chosen: of several, all have to be.
    pub(crate) fn modifies(&mut self, kind: StatementKind, chosen: Option<bool>) {
        self.kinds.insert(kind);
        if let Some(chosen) = chosen {
            self.has_predicate = Some(chosen && self.has_predicate != Some(false));
        }
    }

    fn operator(&mut self, name: &str) {
        self.operators.insert(QualifiedName::bare(name));
    }
}

enum Task<'t> {
    Visit(Node<'t>),
    /// Of a query the rows are written, of an expression the value.
    VisitWritten(Node<'t>),
    /// From here on values are written.
    Write,
    /// No more, unless they are part of a larger one that is.
    Unwrite,
    /// The name of a common table expression comes into sight.
    Enter(&'t str),
    /// It goes out of sight.
    Leave(&'t str),
    /// From here on rows of what is read are locked.
    Lock,
    /// No more, unless something around does it too.
    Unlock,
    /// The end of an UPDATE or DELETE of this relation, which is read if one of its expressions named a column: if
    /// columns were mentioned more often than this.
    Modified {
        target: &'t nodes::RangeVar,
        columns: usize,
    },
}

pub(crate) struct Walker<'t, 'b> {
    pub(crate) found: Found,
    stack: Vec<Task<'t>>,
    /// How many common table expressions of each name are in sight.
    in_sight: HashMap<&'t str, usize>,
    /// How many clauses around lock rows.
    locking: usize,
    /// How many expressions around have their values written.
    writing: usize,
    budget: &'b mut usize,
}

impl<'t, 'b> Walker<'t, 'b> {
    /// A walker that may visit `budget` nodes and leaves there what remains.
    pub(crate) fn new(budget: &'b mut usize) -> Self {
        Self {
            found: Found::default(),
            stack: Vec::new(),
            in_sight: HashMap::new(),
            locking: 0,
            writing: 0,
            budget,
        }
    }

    /// Visits everything below `node`.
    pub(crate) fn walk(&mut self, node: Node<'t>) -> Done {
        self.push(node)?;
        self.run()
    }

    /// The same for a query whose rows are kept.
    pub(crate) fn walk_written(&mut self, node: Node<'t>) -> Done {
        self.push_written(node)?;
        self.run()
    }

    fn run(&mut self) -> Done {
        while let Some(task) = self.stack.pop() {
            match task {
                Task::Visit(node) => self.visit(node)?,
                Task::VisitWritten(node) => self.visit_written(node)?,
                Task::Write => self.writing = self.writing.saturating_add(1),
                Task::Unwrite => self.writing = self.writing.saturating_sub(1),
                Task::Enter(name) => *self.in_sight.entry(name).or_default() += 1,
                Task::Leave(name) => {
                    self.in_sight.entry(name).and_modify(|count| *count = count.saturating_sub(1));
                }
                Task::Lock => self.locking = self.locking.saturating_add(1),
                Task::Unlock => self.locking = self.locking.saturating_sub(1),
                Task::Modified { target, columns } => {
                    if self.found.columns > columns {
                        self.use_relation(target, Access::Read, WrittenColumns::None)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, node: Node<'t>) -> Done {
        if matches!(node, Node::None) {
            return Ok(());
        }
        *self.budget = self.budget.checked_sub(1).ok_or(Stop::TooManyNodes)?;
        self.stack.push(Task::Visit(node));
        Ok(())
    }

    /// Pushes what is written: an expression, or a query whose rows are kept.
    pub(crate) fn push_written(&mut self, node: Node<'t>) -> Done {
        if matches!(node, Node::None) {
            return Ok(());
        }
        *self.budget = self.budget.checked_sub(1).ok_or(Stop::TooManyNodes)?;
        self.stack.push(Task::VisitWritten(node));
        Ok(())
    }

    pub(crate) fn push_list(&mut self, list: &'t NodeList) -> Done {
        list.iter().try_for_each(|node| self.push(node))
    }

    /// Pushes a WITH clause around what `body` pushes.
    ///
    /// Without RECURSIVE an expression sees those before it; with it, every expression of the clause sees all.
    pub(crate) fn push_scope(
        &mut self,
        with: Option<&'t nodes::WithClause>,
        body: impl FnOnce(&mut Self) -> Done,
    ) -> Done {
        let Some(with) = with else { return body(self) };
        let named = || with.ctes().iter().rev().map(|cte| (cte, cte.ctename().unwrap_or_default()));
        self.stack.extend(named().map(|(_, name)| Task::Leave(name)));
        body(self)?;
        for (cte, name) in named() {
            if !with.recursive {
                self.stack.push(Task::Enter(name));
            }
            self.push(Node::CommonTableExpr(cte))?;
        }
        if with.recursive {
            self.stack.extend(named().map(|(_, name)| Task::Enter(name)));
        }
        Ok(())
    }

    /// Below what is pushed from here on, a mention of a column means that `target` is read.
    pub(crate) fn push_modified(&mut self, target: &'t nodes::RangeVar) {
        self.stack.push(Task::Modified { target, columns: self.found.columns });
    }

    pub(crate) fn use_relation(
        &mut self,
        relation: &nodes::RangeVar,
        access: Access,
        written: WrittenColumns,
    ) -> Done {
        let name = QualifiedName::of(relation).ok_or(UnparsedReason::Expression)?;
        self.found.moved.relation(relation);
        self.found.relations.insert(RelationUse { name, access, written_columns: written });
        Ok(())
    }

    /// Pushes what `body` pushes, as written if `written`.
    pub(crate) fn push_as(&mut self, written: bool, body: impl FnOnce(&mut Self) -> Done) -> Done {
        if written {
            self.stack.push(Task::Unwrite);
        }
        body(self)?;
        if written {
            self.stack.push(Task::Write);
        }
        Ok(())
    }

    fn visit_written(&mut self, node: Node<'t>) -> Done {
        if let Node::SelectStmt(select) = node {
            return self.select(select, true);
        }
        self.push_as(true, |w| w.push(node))
    }

    /// The allow-list. A node that is not here makes the statement unparsed.
    fn visit(&mut self, node: Node<'t>) -> Done {
        match node {
            Node::NodeList(list) => self.push_list(list),
            Node::SelectStmt(select) => self.select(select, false),
            Node::CommonTableExpr(cte) => self.common_table(cte),
            Node::InsertStmt(insert) => modification::insert(insert, self),
            Node::UpdateStmt(update) => modification::update(update, self),
            Node::DeleteStmt(delete) => modification::delete(delete, self),
            Node::MergeStmt(merge) => merge::merge(merge, self),

            Node::RangeVar(relation) => self.relation(relation),
            Node::JoinExpr(join) => {
                self.found.moved.alias(join.alias());
                self.found.moved.alias(join.join_using_alias());
                if join.is_natural || !join.using_clause().is_empty() {
                    self.found.operator("=");
                }
                self.push_all([join.larg(), join.rarg(), join.quals()])
            }
            Node::RangeSubselect(range) => {
                if crate::output::is_constants(range.subquery()) {
                    self.found.moved.row(range.alias());
                } else {
                    self.found.moved.renames();
                }
                self.push(range.subquery())
            }
            Node::RangeFunction(range) => {
                self.found.moved.renames();
                self.push_list(range.functions())?;
                range.coldeflist().iter().try_for_each(|column| self.push(Node::ColumnDef(column)))
            }
            Node::ColumnDef(column) => self.column_definition(column),
            Node::RangeTableSample(sample) => {
                let method = name(sample.method())?;
                self.push_as(!is_harmless(&method), |w| w.push_list(sample.args()))?;
                self.found.functions.insert(method);
                self.push_all([sample.relation(), sample.repeatable()])
            }

            Node::ResTarget(target) => {
                self.indirection(target.indirection())?;
                self.push(target.val())
            }
            Node::SortBy(sort) => {
                if !sort.use_op().is_empty() {
                    self.found.operators.insert(name(sort.use_op())?);
                }
                self.push_as(!is_built_in(sort.use_op()), |w| w.push(sort.node()))
            }
            Node::WindowDef(window) => {
                window.order_clause().iter().try_for_each(|sort| self.push(Node::SortBy(sort)))?;
                self.push_list(window.partition_clause())?;
                self.push_all([window.start_offset(), window.end_offset()])
            }
            Node::GroupingSet(set) => self.push_list(set.content()),
            _ => self.expression(node),
        }
    }

    pub(crate) fn push_all<const N: usize>(&mut self, nodes: [Node<'t>; N]) -> Done {
        nodes.into_iter().try_for_each(|node| self.push(node))
    }

    /// SELECT or VALUES, whose rows may be `written`.
    fn select(&mut self, select: &'t nodes::SelectStmt, written: bool) -> Done {
        self.found.intos += usize::from(select.into_clause().is_some());
        self.push_scope(select.with_clause(), |w| {
            let push = if written { Self::push_written } else { Self::push };
            for target in select.target_list() {
                push(w, Node::ResTarget(target))?;
            }
            select.values_lists().iter().try_for_each(|row| push(w, row))?;
            for sort in select.sort_clause() {
                w.push(Node::SortBy(sort))?;
            }
            for list in [select.distinct_clause(), select.group_clause()] {
                w.push_list(list)?;
            }
            // What is written may be numbers that these give.
            w.push_as(written, |w| w.push_list(select.window_clause()))?;
            w.push_all([
                select.where_clause(),
                select.having_clause(),
                select.limit_offset(),
                select.limit_count(),
            ])?;
            w.push_sources(select, written)
        })
    }

    /// What a SELECT reads from. FOR UPDATE and its like lock rows of all of it, down into subqueries but not into
    /// common table expressions; with OF only of some, and which these are is left to the reader.
    fn push_sources(&mut self, select: &'t nodes::SelectStmt, written: bool) -> Done {
        let locks = !select.locking_clause().is_empty();
        if locks {
            self.stack.push(Task::Unlock);
        }
        self.push_list(select.from_clause())?;
        for side in [select.larg(), select.rarg()].into_iter().flatten() {
            let side = Node::SelectStmt(side);
            if written { self.push_written(side)? } else { self.push(side)? }
        }
        if locks {
            self.stack.push(Task::Lock);
        }
        Ok(())
    }

    fn common_table(&mut self, cte: &'t nodes::CommonTableExpr) -> Done {
        self.found.moved.renames();
        if let Some(cycle) = cte.cycle_clause() {
            self.push_all([cycle.cycle_mark_value(), cycle.cycle_mark_default()])?;
        }
        self.push(cte.ctequery())
    }

    fn relation(&mut self, relation: &nodes::RangeVar) -> Done {
        let unqualified = relation.schemaname().is_none() && relation.catalogname().is_none();
        let seen = |name| self.in_sight.get(name).is_some_and(|count| *count > 0);
        if unqualified && relation.relname().is_some_and(seen) {
            return Ok(());
        }
        if self.locking > 0 {
            self.use_relation(relation, Access::Lock, WrittenColumns::None)?;
        }
        self.use_relation(relation, Access::Read, WrittenColumns::None)
    }

    /// A column of a function's result: a name, a type, maybe a collation, nothing else.
    fn column_definition(&mut self, column: &'t nodes::ColumnDef) -> Done {
        let bare = matches!(column.raw_default(), Node::None)
            && column.constraints().is_empty()
            && column.fdwoptions().is_empty();
        if !bare {
            return Err(UnparsedReason::Expression.into());
        }
        self.type_name(column.type_name())?;
        column.coll_clause().map_or(Ok(()), |collate| self.push(Node::CollateClause(collate)))
    }
}
