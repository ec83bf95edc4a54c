//! What decides which rows a statement gives: how many there are and in which order.
//!
//! Covering output columns is not enough where values choose rows, for then the rows say what the values are:
//! `generate_series(1, ascii(email))` has as many rows as the value says, and
//! `WHERE ascii(substr(email, p)) = n` leaves just the one row whose `n` it is. So a mention of a column counts
//! as exposed, except:
//!
//! - in what is output, or is computed within to be tested later (then it goes by another name, which is noted);
//! - by itself in ORDER BY, GROUP BY, DISTINCT and the like, but not in set operations that compare rows;
//! - in a *plain test*: one column against constants, which says one thing of each of its values.
//!
//! Plain tests, too, add up to a value when there are many. More than [`MOST_TESTS`](noted::MOST_TESTS) of one
//! column expose it.
//!
//! The tree was walked before, so its nodes are known to be few and of kinds that are understood. Each is visited
//! once; what stands around it is a [`Task`] on a stack, never a call.

mod expression;
mod gathered;
mod lineage;
mod noted;
mod query;
mod source;
mod target;

use crate::Exposure;
use crate::grammar::{A_Expr_Kind, BoolExprType, Node, NodeList, SubLinkType, nodes};
use crate::output::counts_rows;
use crate::walk::is_built_in;
use gathered::Gathered;
use noted::Noted;
use query::Targets;
use target::Target;

/// What a SELECT, INSERT, UPDATE, DELETE or MERGE exposes.
pub(crate) fn of(node: Node<'_>) -> Exposure {
    let mut reader = Reader::default();
    reader.push(Task::Statement(node, Targets::Shown));
    reader.run();
    reader.noted.into_exposure()
}

/// Whether a condition consists of plain tests alone.
pub(crate) fn is_plain_test(node: Node<'_>) -> bool {
    let mut reader = Reader::default();
    reader.condition_of(node);
    reader.run();
    reader.queries == 0 && !reader.noted.exposes()
}

enum Task<'t> {
    /// A query or a modification, and what its target list is for.
    Statement(Node<'t>, Targets),
    /// What is joined, or read from.
    Source(Node<'t>),
    /// What rows are chosen by, within this group of tests.
    Condition(Node<'t>, usize),
    /// Mentions go to what is gathered under this number.
    Expression(Node<'t>, usize),
    /// All of it was visited.
    Close(usize, Use<'t>),
}

/// What becomes of what was gathered.
enum Use<'t> {
    Exposed,
    /// An atom of a condition. Those of one column in one AND or OR are one test.
    Test(usize),
    /// A row that is written as the only one, if it is.
    OneRow,
    Target(Target<'t>),
}

#[derive(Default)]
struct Reader<'t> {
    tasks: Vec<Task<'t>>,
    gathered: Vec<Gathered<'t>>,
    /// How many groups of tests there are.
    groups: usize,
    /// How many queries and modifications were met.
    queries: usize,
    /// An INSERT with ON CONFLICT was met.
    conflicts: bool,
    noted: Noted<'t>,
}

impl<'t> Reader<'t> {
    fn run(&mut self) {
        while let Some(task) = self.tasks.pop() {
            match task {
                Task::Statement(node, targets) => self.statement(node, targets),
                Task::Source(node) => self.source(node),
                Task::Condition(node, group) => self.condition(node, group),
                Task::Expression(node, sink) => self.expression(node, sink),
                Task::Close(sink, becomes) => {
                    let gathered = self.gathered.get_mut(sink).map(std::mem::take).unwrap_or_default();
                    self.close(gathered, becomes);
                }
            }
        }
    }

    fn push(&mut self, task: Task<'t>) {
        self.tasks.push(task);
    }

    /// Gathers what an expression mentions.
    fn gather(&mut self, node: Node<'t>, becomes: Use<'t>) {
        self.gather_all([node], becomes);
    }

    fn gather_all<const N: usize>(&mut self, nodes: [Node<'t>; N], becomes: Use<'t>) {
        let sink = self.gathered.len();
        self.gathered.push(Gathered::default());
        self.push(Task::Close(sink, becomes));
        nodes.into_iter().for_each(|node| self.push(Task::Expression(node, sink)));
    }

    /// The same of the value of one aggregate. A mere count says of its argument whether it is NULL, however often, but
    /// one of distinct values compares them.
    fn gather_aggregate(&mut self, node: Node<'t>, becomes: Use<'t>) {
        match node {
            Node::FuncCall(call) if counts_rows(call) && !call.agg_distinct => {
                self.gather_all([Node::NodeList(call.args()), call.agg_filter()], becomes);
                self.gathered.last_mut().into_iter().for_each(|gathered| gathered.names.extend(["count"]));
            }
            _ => self.gather(node, becomes),
        }
    }

    fn expose(&mut self, node: Node<'t>) {
        if !matches!(node, Node::None) {
            self.gather(node, Use::Exposed);
        }
    }

    fn expose_all(&mut self, list: &'t NodeList) {
        list.iter().for_each(|node| self.expose(node));
    }

    fn condition_of(&mut self, node: Node<'t>) {
        let group = self.new_group();
        self.push(Task::Condition(node, group));
    }

    fn new_group(&mut self) -> usize {
        self.groups = self.groups.saturating_add(1);
        self.groups
    }

    /// AND, OR and NOT are split into atoms, of which EXISTS is one by itself.
    fn condition(&mut self, node: Node<'t>, group: usize) {
        match node {
            Node::None => {}
            Node::BoolExpr(e) => {
                let group = if e.boolop == BoolExprType::NOT_EXPR { group } else { self.new_group() };
                e.args().iter().for_each(|arg| self.push(Task::Condition(arg, group)));
            }
            Node::SubLink(link) if link.sub_link_type == SubLinkType::EXISTS_SUBLINK => {
                self.push(Task::Statement(link.subselect(), Targets::Ignored));
            }
            // `count(a) > 1`.
            Node::A_Expr(e)
                if is_constant(e.rexpr()) && e.kind == A_Expr_Kind::AEXPR_OP && is_built_in(e.name()) =>
            {
                self.gather_aggregate(e.lexpr(), Use::Test(group));
            }
            _ => self.gather(node, Use::Test(group)),
        }
    }

    fn close(&mut self, gathered: Gathered<'t>, becomes: Use<'t>) {
        match becomes {
            Use::Exposed => self.noted.exposed(&gathered),
            Use::Test(_) if gathered.is_mixed() => self.noted.exposed(&gathered),
            Use::Test(group) => self.noted.tested(&gathered, group),
            Use::OneRow => self.noted.anything |= gathered.may_multiply,
            Use::Target(target) => self.close_target(gathered, target),
        }
    }
}

fn is_constant(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(_) | Node::ParamRef(_))
}

/// The name of a column that stands by itself, and whether it is all there is: then it may be that of a relation,
/// and mean its whole row. `a.b` never does (`transformColumnRef`).
fn bare(node: Node<'_>) -> Option<(&str, bool)> {
    let Node::ColumnRef(column) = node else { return None };
    let name = last(column)?;
    Some((name, column.fields().len() == 1))
}

/// The last name of a column; none of a star.
fn last(column: &nodes::ColumnRef) -> Option<&str> {
    match column.fields().iter().next_back() {
        Some(Node::String(last)) => last.sval(),
        _ => None,
    }
}
