//! Expressions: what is called, compared, cast and selected.

use super::{Done, Stop, Walker, is_built_in, is_harmless};
use crate::grammar::{A_Expr_Kind as Kind, Node, NodeList, SubLinkType, nodes};
use crate::{QualifiedName, UnparsedReason, known_harmless};

impl<'t> Walker<'t, '_> {
    pub(super) fn expression(&mut self, node: Node<'t>) -> Done {
        self.moves(node);
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
                // Each name may be that of a function.
                let is_harmless =
                    |step| !matches!(step, Node::String(field) if !field.sval().is_some_and(known_harmless));
                let acts = !of.indirection().iter().all(is_harmless);
                self.push_as(acts, |w| w.push(of.arg()))
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

    fn column(&mut self, column: &nodes::ColumnRef) -> Done {
        self.found.columns = self.found.columns.saturating_add(1);
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
        let acts = !is_harmless(&called);
        self.found.functions.insert(called);
        self.push_as(acts, |w| {
            w.push_list(call.args())?;
            call.agg_order().iter().try_for_each(|sort| w.push(Node::SortBy(sort)))?;
            w.push(call.agg_filter())?;
            call.over().map_or(Ok(()), |window| w.push(Node::WindowDef(window)))
        })
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
        let acts = !is_built_in(expression.name());
        self.push_as(acts, |w| w.push_all([expression.lexpr(), expression.rexpr()]))
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
        if is_built_in(link.oper_name()) {
            return self.push_all([link.testexpr(), link.subselect()]);
        }
        self.push_written(link.testexpr())?;
        self.push_written(link.subselect())
    }

    pub(crate) fn type_name(&mut self, type_name: Option<&'t nodes::TypeName>) -> Done {
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

/// A name of one to three parts.
pub(crate) fn name(list: &NodeList) -> Result<QualifiedName, Stop> {
    let parts: Vec<_> = list.iter().map(Node::as_str).collect();
    QualifiedName::from_parts(&parts).ok_or(UnparsedReason::Expression.into())
}
