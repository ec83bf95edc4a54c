//! What one statement does, in textual names, and how the facts are put together from its parse tree.

use crate::grammar::{self, Node, nodes};
use crate::walk::{Stop, Walker};
use crate::{
    Limits, QualifiedName, Refused, SettingUse, StatementKind, TransactionControl, modification,
    session_state, setting, transaction,
};
use std::ops::Range;

/// Facts of a query string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Analysis {
    /// In the order of the text; none for an empty query.
    pub statements: Vec<Statement>,
}

/// Facts of one statement. The lists are sorted, without repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What kind of statement it is.
    pub kind: StatementKind,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// Why the statement is not understood. Then there is no other fact than kind, span and `temporary`, and that
    /// means nothing: it must be treated as touching everything.
    pub unparsed: Option<UnparsedReason>,
    /// Tables, views and the like, each with what is done to it. Names of common table expressions are resolved
    /// here and never listed.
    pub relations: Vec<RelationUse>,
    /// Functions, aggregates, window functions and sampling methods that are called by name or by SQL's own syntax
    /// (`EXTRACT` is `pg_catalog.extract`).
    pub functions: Vec<QualifiedName>,
    /// Names that the text selects from a value (`t.name`, `(expression).name`). Where there is no such column,
    /// PostgreSQL calls a function of that name on the value, of whatever type it is.
    pub attributes: Vec<String>,
    /// Operators, also those behind `IN`, `BETWEEN`, `LIKE`, `CASE x WHEN` and `JOIN … USING`.
    pub operators: Vec<QualifiedName>,
    /// Types that something is cast to. `int` is `pg_catalog.int4`.
    pub types: Vec<QualifiedName>,
    /// Collations.
    pub collations: Vec<QualifiedName>,
    /// Settings that are read or changed.
    pub settings: Vec<SettingUse>,
    /// For UPDATE and DELETE, explained ones too: whether there is a WHERE clause.
    pub has_predicate: Option<bool>,
    /// What it does to the transaction.
    pub transaction: Option<TransactionControl>,
    /// The highest `$n`, 0 if there is none.
    pub highest_parameter: u32,
    /// It makes a temporary table, view, sequence, function or type, as far as its own words say so. Unparsed
    /// statements too.
    pub temporary: bool,
}

/// One relation and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationUse {
    /// As the text names it.
    pub name: QualifiedName,
    /// What is done.
    pub access: Access,
    /// Columns that are written.
    pub written_columns: WrittenColumns,
}

/// What is done to a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Rows are read.
    Read,
    /// Rows are added.
    Insert,
    /// Rows are changed.
    Update,
    /// Rows are removed.
    Delete,
}

/// Columns that a statement writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WrittenColumns {
    /// None: the access is a read or removes whole rows.
    None,
    /// These, as named by the text, sorted.
    Named(Vec<String>),
    /// All columns of the relation (INSERT without a list).
    All,
}

/// Why a statement is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnparsedReason {
    /// A kind of statement without facts: DDL, COPY, DO, CALL, cursors, …
    StatementKind,
    /// INSERT, UPDATE, DELETE or MERGE inside WITH.
    WritingCte,
    /// SELECT … INTO.
    SelectInto,
    /// FOR UPDATE, FOR SHARE and their weaker forms.
    RowLock,
    /// EXPLAIN that mentions ANALYZE, whatever value it gives it.
    ExplainAnalyze,
    /// EXPLAIN with an unknown option.
    ExplainOption,
    /// EXPLAIN of something else than SELECT, INSERT, UPDATE, DELETE.
    ExplainKind,
    /// A setting that is not on the closed list, or RESET ALL.
    Setting,
    /// A setting's value or a transaction mode that is no plain constant.
    SettingValue,
    /// Part of an expression, clause or name that is not on the allow-list.
    Expression,
    /// WHERE CURRENT OF.
    Cursor,
}

impl UnparsedReason {
    /// Stable snake_case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StatementKind => "statement_kind",
            Self::WritingCte => "writing_cte",
            Self::SelectInto => "select_into",
            Self::RowLock => "row_lock",
            Self::ExplainAnalyze => "explain_analyze",
            Self::ExplainOption => "explain_option",
            Self::ExplainKind => "explain_kind",
            Self::Setting => "setting",
            Self::SettingValue => "setting_value",
            Self::Expression => "expression",
            Self::Cursor => "cursor",
        }
    }
}

impl Statement {
    fn new(kind: StatementKind, span: Range<usize>) -> Self {
        Self {
            kind,
            span,
            unparsed: None,
            relations: Vec::new(),
            functions: Vec::new(),
            attributes: Vec::new(),
            operators: Vec::new(),
            types: Vec::new(),
            collations: Vec::new(),
            settings: Vec::new(),
            has_predicate: None,
            transaction: None,
            highest_parameter: 0,
            temporary: false,
        }
    }
}

/// Parses and walks a text that passed the lexical bounds.
pub(crate) fn statements(sql: &str, limits: &Limits) -> Result<Analysis, Refused> {
    let tree = grammar::parse(sql)?;
    if tree.len() > limits.statements {
        return Err(Refused::TooManyStatements { limit: limits.statements });
    }
    let mut budget = limits.nodes;
    let statements = tree
        .statements()
        .map(|raw| one(raw.stmt(), span(raw, sql.len()), &mut budget, limits))
        .collect::<Result<_, _>>()?;
    Ok(Analysis { statements })
}

/// PostgreSQL counts from 0 and writes a length of 0 for "to the end".
fn span(raw: &nodes::RawStmt, end: usize) -> Range<usize> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(end);
    let length = usize::try_from(raw.stmt_len).unwrap_or(0);
    let stop = if length == 0 { end } else { start.saturating_add(length).min(end) };
    start..stop
}

fn one(
    node: Node<'_>,
    span: Range<usize>,
    budget: &mut usize,
    limits: &Limits,
) -> Result<Statement, Refused> {
    let kind = StatementKind::of(node);
    let temporary = session_state::makes_temporary(node);
    let mut statement = Statement { temporary, ..Statement::new(kind, span.clone()) };
    match fill(&mut statement, node, budget) {
        Ok(()) => Ok(statement),
        Err(Stop::TooManyNodes) => Err(Refused::TooManyNodes { limit: limits.nodes }),
        // What was found so far is dropped: half of the facts would look like all of them.
        Err(Stop::Unparsed(reason)) => {
            Ok(Statement { unparsed: Some(reason), temporary, ..Statement::new(kind, span) })
        }
    }
}

fn fill(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Result<(), Stop> {
    match node {
        Node::SelectStmt(_) | Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) => {
            query(statement, node, budget)
        }
        Node::ExplainStmt(explain) => {
            options_are_harmless(explain)?;
            match explain.query() {
                inner @ (Node::SelectStmt(_)
                | Node::InsertStmt(_)
                | Node::UpdateStmt(_)
                | Node::DeleteStmt(_)) => query(statement, inner, budget),
                _ => Err(UnparsedReason::ExplainKind.into()),
            }
        }
        Node::TransactionStmt(t) => {
            statement.transaction = Some(transaction::control(t)?);
            Ok(())
        }
        Node::VariableSetStmt(set) => setting::changes(set, statement),
        Node::VariableShowStmt(show) => {
            statement.settings = setting::shown(show)?;
            Ok(())
        }
        _ => Err(UnparsedReason::StatementKind.into()),
    }
}

fn query(statement: &mut Statement, node: Node<'_>, budget: &mut usize) -> Result<(), Stop> {
    let mut walker = Walker::new(budget);
    match node {
        Node::InsertStmt(insert) => modification::insert(insert, &mut walker)?,
        Node::UpdateStmt(update) => {
            statement.has_predicate = Some(!matches!(update.where_clause(), Node::None));
            modification::update(update, &mut walker)?;
        }
        Node::DeleteStmt(delete) => {
            statement.has_predicate = Some(!matches!(delete.where_clause(), Node::None));
            modification::delete(delete, &mut walker)?;
        }
        _ => walker.walk(node)?,
    }
    walker.found.into_statement(statement);
    Ok(())
}

/// ANALYZE runs the statement, so its mere mention is enough; SERIALIZE and what is yet to come need it. VERBOSE
/// prints the definitions of views, and SETTINGS the server's configuration.
fn options_are_harmless(explain: &nodes::ExplainStmt) -> Result<(), Stop> {
    for option in explain.options() {
        match option.defname() {
            Some("analyze") => return Err(UnparsedReason::ExplainAnalyze.into()),
            Some("buffers" | "costs" | "format" | "generic_plan" | "memory" | "summary") => {}
            _ => return Err(UnparsedReason::ExplainOption.into()),
        }
    }
    Ok(())
}
