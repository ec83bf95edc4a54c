//! The walk over a query's parse tree: an allow-list of node types, an explicit stack, a budget of nodes.
//!
//! The stack holds nodes still to visit and, between them, the points where the name of a common table expression
//! comes into sight and goes out of it. Children are pushed last-first, so a statement's names are in sight exactly
//! while its own part of the tree is visited.

use crate::grammar::{A_Expr_Kind as Kind, Node, NodeList, SubLinkType, nodes};
use crate::{Access, QualifiedName, RelationUse, Statement, UnparsedReason, WrittenColumns};
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
    pub(crate) relations: BTreeSet<RelationUse>,
    functions: BTreeSet<QualifiedName>,
    attributes: BTreeSet<String>,
    operators: BTreeSet<QualifiedName>,
    types: BTreeSet<QualifiedName>,
    collations: BTreeSet<QualifiedName>,
    highest_parameter: u32,
    /// A column was mentioned.
    pub(crate) column: bool,
}

impl Found {
    pub(crate) fn into_statement(self, statement: &mut Statement) {
        statement.relations = self.relations.into_iter().collect();
        statement.functions = self.functions.into_iter().collect();
        statement.attributes = self.attributes.into_iter().collect();
        statement.operators = self.operators.into_iter().collect();
        statement.types = self.types.into_iter().collect();
        statement.collations = self.collations.into_iter().collect();
        statement.highest_parameter = self.highest_parameter;
    }

    fn operator(&mut self, name: &str) {
        self.operators.insert(QualifiedName::bare(name));
    }
}

enum Task<'t> {
    Visit(Node<'t>),
    /// The name of a common table expression comes into sight.
    Enter(&'t str),
    /// It goes out of sight.
    Leave(&'t str),
}

pub(crate) struct Walker<'t, 'b> {
    pub(crate) found: Found,
    stack: Vec<Task<'t>>,
    /// How many common table expressions of each name are in sight.
    in_sight: HashMap<&'t str, usize>,
    budget: &'b mut usize,
}

impl<'t, 'b> Walker<'t, 'b> {
    /// A walker that may visit `budget` nodes and leaves there what remains.
    pub(crate) fn new(budget: &'b mut usize) -> Self {
        Self { found: Found::default(), stack: Vec::new(), in_sight: HashMap::new(), budget }
    }

    /// Visits everything below `node`.
    pub(crate) fn walk(&mut self, node: Node<'t>) -> Done {
        self.push(node)?;
        self.run()
    }

    /// Visits what was pushed.
    pub(crate) fn run(&mut self) -> Done {
        while let Some(task) = self.stack.pop() {
            match task {
                Task::Visit(node) => self.visit(node)?,
                Task::Enter(name) => *self.in_sight.entry(name).or_default() += 1,
                Task::Leave(name) => {
                    self.in_sight.entry(name).and_modify(|count| *count = count.saturating_sub(1));
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

    pub(crate) fn use_relation(
        &mut self,
        relation: &nodes::RangeVar,
        access: Access,
        written: WrittenColumns,
    ) -> Done {
        let name = relation.relname().ok_or(UnparsedReason::Expression)?.to_owned();
        let catalog = relation.catalogname().map(str::to_owned);
        let schema = relation.schemaname().map(str::to_owned);
        let name = QualifiedName { catalog, schema, name };
        self.found.relations.insert(RelationUse { name, access, written_columns: written });
        Ok(())
    }

    /// The allow-list. A node that is not here makes the statement unparsed.
    fn visit(&mut self, node: Node<'t>) -> Done {
        match node {
            Node::NodeList(list) => self.push_list(list),
            Node::SelectStmt(select) => self.select(select),
            Node::CommonTableExpr(cte) => self.common_table(cte),
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => {
                Err(UnparsedReason::WritingCte.into())
            }

            Node::RangeVar(relation) => self.relation(relation),
            Node::JoinExpr(join) => {
                if join.is_natural || !join.using_clause().is_empty() {
                    self.found.operator("=");
                }
                self.push_all([join.larg(), join.rarg(), join.quals()])
            }
            Node::RangeSubselect(range) => self.push(range.subquery()),
            Node::RangeFunction(range) => {
                self.push_list(range.functions())?;
                range.coldeflist().iter().try_for_each(|column| self.push(Node::ColumnDef(column)))
            }
            Node::ColumnDef(column) => self.column_definition(column),
            Node::RangeTableSample(sample) => {
                self.found.functions.insert(name(sample.method())?);
                self.push_list(sample.args())?;
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
                self.push(sort.node())
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

    fn expression(&mut self, node: Node<'t>) -> Done {
        match node {
            Node::A_Const(_) | Node::SQLValueFunction(_) | Node::SetToDefault(_) => Ok(()),
            Node::ParamRef(parameter) => {
                let number = u32::try_from(parameter.number).map_err(|_| UnparsedReason::Expression)?;
                self.found.highest_parameter = self.found.highest_parameter.max(number);
                Ok(())
            }
            Node::ColumnRef(column) => self.column(column),
            Node::FuncCall(call) => self.call(call),
            Node::A_Expr(expression) => self.operation(expression),
            Node::SubLink(link) => self.sub_link(link),
            Node::TypeCast(cast) => {
                self.type_name(cast.type_name())?;
                self.push(cast.arg())
            }
            Node::CollateClause(collate) => {
                self.found.collations.insert(name(collate.collname())?);
                self.push(collate.arg())
            }
            Node::CaseExpr(case) => {
                if !matches!(case.arg(), Node::None) {
                    self.found.operator("=");
                }
                self.push_list(case.args())?;
                self.push_all([case.arg(), case.defresult()])
            }
            Node::CaseWhen(when) => self.push_all([when.expr(), when.result()]),
            Node::A_Indirection(of) => {
                self.indirection(of.indirection())?;
                self.push(of.arg())
            }
            // `(a, b) = source` repeats the one source for each column.
            Node::MultiAssignRef(part) if part.colno == 1 => self.push(part.source()),
            Node::MultiAssignRef(_) => Ok(()),
            Node::BoolExpr(e) => self.push_list(e.args()),
            Node::NullTest(e) => self.push(e.arg()),
            Node::BooleanTest(e) => self.push(e.arg()),
            Node::CoalesceExpr(e) => self.push_list(e.args()),
            Node::MinMaxExpr(e) => self.push_list(e.args()),
            Node::A_ArrayExpr(e) => self.push_list(e.elements()),
            Node::RowExpr(e) => self.push_list(e.args()),
            Node::NamedArgExpr(e) => self.push(e.arg()),
            Node::GroupingFunc(e) => self.push_list(e.args()),
            Node::CurrentOfExpr(_) => Err(UnparsedReason::Cursor.into()),
            _ => Err(UnparsedReason::Expression.into()),
        }
    }

    fn push_all<const N: usize>(&mut self, nodes: [Node<'t>; N]) -> Done {
        nodes.into_iter().try_for_each(|node| self.push(node))
    }

    fn select(&mut self, select: &'t nodes::SelectStmt) -> Done {
        if select.into_clause().is_some() {
            return Err(UnparsedReason::SelectInto.into());
        }
        if !select.locking_clause().is_empty() {
            return Err(UnparsedReason::RowLock.into());
        }
        self.push_scope(select.with_clause(), |w| {
            for target in select.target_list() {
                w.push(Node::ResTarget(target))?;
            }
            for sort in select.sort_clause() {
                w.push(Node::SortBy(sort))?;
            }
            for list in [
                select.distinct_clause(),
                select.from_clause(),
                select.group_clause(),
                select.window_clause(),
                select.values_lists(),
            ] {
                w.push_list(list)?;
            }
            for side in [select.larg(), select.rarg()].into_iter().flatten() {
                w.push(Node::SelectStmt(side))?;
            }
            w.push_all([
                select.where_clause(),
                select.having_clause(),
                select.limit_offset(),
                select.limit_count(),
            ])
        })
    }

    fn common_table(&mut self, cte: &'t nodes::CommonTableExpr) -> Done {
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

    fn column(&mut self, column: &nodes::ColumnRef) -> Done {
        self.found.column = true;
        match column.fields().iter().next_back() {
            Some(Node::String(last)) if column.fields().len() > 1 => {
                self.found.attributes.extend(last.sval().map(str::to_owned));
                Ok(())
            }
            Some(Node::String(_) | Node::A_Star(_)) => Ok(()),
            _ => Err(UnparsedReason::Expression.into()),
        }
    }

    pub(crate) fn indirection(&mut self, steps: &'t NodeList) -> Done {
        for step in steps {
            match step {
                Node::String(field) => self.found.attributes.extend(field.sval().map(str::to_owned)),
                Node::A_Star(_) => {}
                Node::A_Indices(index) => self.push_all([index.lidx(), index.uidx()])?,
                _ => return Err(UnparsedReason::Expression.into()),
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &'t nodes::FuncCall) -> Done {
        let called = name(call.funcname())?;
        // To this grammar `JSON_OBJECT(…)` is the built-in function, to servers before 16 it is an ordinary name.
        if called.schema.as_deref() == Some("pg_catalog") && called.name == "json_object" {
            self.found.functions.insert(QualifiedName::bare("json_object"));
        }
        self.found.functions.insert(called);
        self.push_list(call.args())?;
        call.agg_order().iter().try_for_each(|sort| self.push(Node::SortBy(sort)))?;
        self.push(call.agg_filter())?;
        call.over().map_or(Ok(()), |window| self.push(Node::WindowDef(window)))
    }

    fn operation(&mut self, expression: &'t nodes::A_Expr) -> Done {
        match expression.kind {
            Kind::AEXPR_OP
            | Kind::AEXPR_OP_ANY
            | Kind::AEXPR_OP_ALL
            | Kind::AEXPR_DISTINCT
            | Kind::AEXPR_NOT_DISTINCT
            | Kind::AEXPR_NULLIF
            | Kind::AEXPR_IN
            | Kind::AEXPR_LIKE
            | Kind::AEXPR_ILIKE
            | Kind::AEXPR_SIMILAR => {
                self.found.operators.insert(name(expression.name())?);
            }
            Kind::AEXPR_BETWEEN | Kind::AEXPR_BETWEEN_SYM => {
                self.found.operator(">=");
                self.found.operator("<=");
            }
            Kind::AEXPR_NOT_BETWEEN | Kind::AEXPR_NOT_BETWEEN_SYM => {
                self.found.operator("<");
                self.found.operator(">");
            }
            _ => return Err(UnparsedReason::Expression.into()),
        }
        self.push_all([expression.lexpr(), expression.rexpr()])
    }

    fn sub_link(&mut self, link: &'t nodes::SubLink) -> Done {
        match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK | SubLinkType::EXPR_SUBLINK | SubLinkType::ARRAY_SUBLINK => {}
            // `x IN (SELECT …)` leaves the operator out.
            SubLinkType::ANY_SUBLINK if link.oper_name().is_empty() => self.found.operator("="),
            SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK => {
                self.found.operators.insert(name(link.oper_name())?);
            }
            _ => return Err(UnparsedReason::Expression.into()),
        }
        self.push_all([link.testexpr(), link.subselect()])
    }

    fn type_name(&mut self, type_name: Option<&'t nodes::TypeName>) -> Done {
        let type_name = type_name.ok_or(UnparsedReason::Expression)?;
        // SETOF and %TYPE belong to function definitions.
        if type_name.setof || type_name.pct_type {
            return Err(UnparsedReason::Expression.into());
        }
        let parts: Vec<_> = type_name.names().iter().map(|part| part.sval()).collect();
        self.found.types.insert(QualifiedName::from_parts(&parts).ok_or(UnparsedReason::Expression)?);
        self.push_list(type_name.typmods())
    }
}

fn name(list: &NodeList) -> Result<QualifiedName, Stop> {
    let parts: Vec<_> = list.iter().map(Node::as_str).collect();
    QualifiedName::from_parts(&parts).ok_or(UnparsedReason::Expression.into())
}
