//! What one statement does, in textual names.

use crate::{
    Deallocated, Prepared, QualifiedName, SettingUse, StatementKind, TransactionControl, UnparsedReason,
};
use std::ops::Range;

/// Facts of a query string.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Analysis {
    /// In the order of the text; none for an empty query.
    pub statements: Vec<Statement>,
    /// The text is ASCII without a backslash, so it reads the same whatever the session's encoding is and whatever a
    /// backslash means in its strings.
    pub reads_alike: bool,
}

/// Facts of one statement. The lists are sorted, without repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What kind of statement it is.
    pub kind: StatementKind,
    /// Its kind, and those of what it explains, prepares, executes or makes a table of, and of the INSERTs, UPDATEs,
    /// DELETEs and MERGEs within WITH, which run as parts of it. MERGE is also what its clauses do, and SELECT … INTO
    /// is also CREATE TABLE AS.
    pub kinds: Vec<StatementKind>,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// Why the statement is not understood. Then there is no other fact than kind, span and `temporary`, and that
    /// means nothing: it must be treated as touching everything. An EXECUTE has the facts of its arguments besides.
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
    /// Whether every UPDATE and DELETE in it has a WHERE clause, explained and prepared ones and those within WITH too;
    /// none where there is neither. MERGE chooses its rows by ON. An anonymous block may have any, so never.
    pub has_predicate: Option<bool>,
    /// The table that it makes (CREATE TABLE AS, SELECT … INTO).
    pub creates: Option<QualifiedName>,
    /// It is an anonymous block (DO), which may do anything.
    pub runs_block: bool,
    /// The procedure that it calls (CALL), which is among `functions` too.
    pub procedure: Option<QualifiedName>,
    /// The statement that it prepares (PREPARE), whose facts it has as if it were executed.
    pub prepares: Option<Prepared>,
    /// The name of the prepared statement that it executes (EXECUTE). Unparsed until
    /// [`Analysis::executing`] has said what that is.
    pub executes: Option<String>,
    /// The prepared statements that it drops (DEALLOCATE, DISCARD ALL).
    pub deallocates: Option<Deallocated>,
    /// What it copies into what it writes.
    pub moves: Moves,
    /// What decides its rows.
    pub exposes: Exposure,
    /// Of one plain SELECT what each entry of its target list is; empty where it is something else.
    pub outputs: Vec<Output>,
    /// What it does to the transaction.
    pub transaction: Option<TransactionControl>,
    /// The highest `$n`, 0 if there is none. Those of what is prepared by PREPARE are not among them.
    pub highest_parameter: u32,
    /// It makes a temporary table, view, sequence, function or type, as far as its own words say so. Unparsed
    /// statements too.
    pub temporary: bool,
}

/// What a statement copies from what it reads into what it writes, or hands to functions and operators that are not
/// known to be harmless, which is as good as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Moves {
    /// Nothing, or nothing but constants and parameters.
    #[default]
    Nothing,
    /// Values of columns of these names, sorted, whatever relation has them.
    Columns(Vec<String>),
    /// Whole rows, or what cannot be told.
    Anything,
}

/// What decides which rows there are, how many, and in which order, beyond plain tests of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Last names of the columns that are mentioned there, sorted.
    pub columns: Vec<String>,
    /// Whole rows are mentioned there, or what cannot be told.
    pub anything: bool,
    /// Columns that queries within the statement give other names, or compute: each name with the last names of the
    /// columns that it is made of, sorted. An empty name stands for one without a name that can be told.
    pub derived: Vec<(String, Vec<String>)>,
}

impl Exposure {
    /// That of what is not understood.
    pub(crate) fn anything() -> Self {
        Self { anything: true, ..Self::default() }
    }
}

/// What an entry of a target list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A plain `count` of rows, of constants or of a column: not within an expression, not over a window, and with no
    /// FILTER but plain tests.
    Count,
    /// A star, which stands for any number of columns.
    Star,
    /// A constant or a parameter, maybe cast to a type, with no function, column or sub-select.
    Constant,
    /// One column of any other kind.
    Other,
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
    /// It or its rows are locked against others (LOCK, FOR UPDATE and the like).
    Lock,
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

impl Statement {
    pub(crate) fn new(kind: StatementKind, span: Range<usize>) -> Self {
        Self {
            kind,
            kinds: vec![kind],
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
            creates: None,
            runs_block: false,
            procedure: None,
            prepares: None,
            executes: None,
            deallocates: None,
            moves: Moves::Nothing,
            exposes: Exposure::default(),
            outputs: Vec::new(),
            transaction: None,
            highest_parameter: 0,
            temporary: false,
        }
    }

    /// Adds kinds of statements that it runs as its own parts.
    pub(crate) fn add_kinds(&mut self, kinds: impl IntoIterator<Item = StatementKind>) {
        self.kinds.extend(kinds);
        self.kinds.sort_unstable();
        self.kinds.dedup();
    }

    /// Whether anything in it means what the session lets it mean: an object by the search path or by temporary ones,
    /// the schema of a table that is made, a prepared statement.
    pub(crate) fn names_something(&self) -> bool {
        let Self {
            relations, functions, attributes, operators, types, collations, creates, executes, ..
        } = self;
        let lists = [functions, operators, types, collations];
        !relations.is_empty()
            || !attributes.is_empty()
            || lists.iter().any(|list| !list.is_empty())
            || creates.is_some()
            || executes.is_some()
    }
}
