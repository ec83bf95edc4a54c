//! What an operation touches: the pairs that policy decides, and the parsed context around them.

use std::sync::Arc;

/// What is done to a resource. The printed form is the Cedar action id and part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Opening a session.
    Connect,
    /// Anything that could not be parsed, resolved or bounded. Denied unless a policy names it.
    Unparsed,
    /// Getting a data class back as it is. Without it the class is masked; nothing is refused.
    Unmask,
    /// Computing without reading a relation: `SELECT 1`.
    PostgresEvaluate,
    /// Reading a relation.
    PostgresSelect,
    /// Adding rows.
    PostgresInsert,
    /// Changing rows.
    PostgresUpdate,
    /// Removing rows.
    PostgresDelete,
    /// Making a table.
    PostgresCreate,
    /// Locking a relation or its rows against others.
    PostgresLock,
    /// Running an anonymous block of code, which may do anything.
    PostgresDo,
    /// Calling a function that is not known to be harmless.
    PostgresCall,
    /// Changing a setting of the session.
    PostgresSet,
    /// Reading a setting.
    PostgresShow,
    /// BEGIN, COMMIT, ROLLBACK and savepoints.
    PostgresTransaction,
}

impl Action {
    /// Every action, for schemas, golden files and exhaustive tests.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Unparsed,
        Self::Unmask,
        Self::PostgresEvaluate,
        Self::PostgresSelect,
        Self::PostgresInsert,
        Self::PostgresUpdate,
        Self::PostgresDelete,
        Self::PostgresCreate,
        Self::PostgresLock,
        Self::PostgresDo,
        Self::PostgresCall,
        Self::PostgresSet,
        Self::PostgresShow,
        Self::PostgresTransaction,
    ];

    /// The action of that id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == id)
    }

    /// The Cedar action id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Unparsed => "unparsed",
            Self::Unmask => "unmask",
            Self::PostgresEvaluate => "postgres:evaluate",
            Self::PostgresSelect => "postgres:select",
            Self::PostgresInsert => "postgres:insert",
            Self::PostgresUpdate => "postgres:update",
            Self::PostgresDelete => "postgres:delete",
            Self::PostgresCreate => "postgres:create",
            Self::PostgresLock => "postgres:lock",
            Self::PostgresDo => "postgres:do",
            Self::PostgresCall => "postgres:call",
            Self::PostgresSet => "postgres:set",
            Self::PostgresShow => "postgres:show",
            Self::PostgresTransaction => "postgres:transaction",
        }
    }

    /// Whether the action may change the target, or keep others from it: such intents are on disk (fsync) before they
    /// are sent.
    pub fn may_write(self) -> bool {
        match self {
            Self::Unparsed
            | Self::PostgresInsert
            | Self::PostgresUpdate
            | Self::PostgresDelete
            | Self::PostgresCreate
            | Self::PostgresLock
            | Self::PostgresDo
            | Self::PostgresCall => true,
            Self::Connect
            | Self::Unmask
            | Self::PostgresEvaluate
            | Self::PostgresSelect
            | Self::PostgresSet
            | Self::PostgresShow
            | Self::PostgresTransaction => false,
        }
    }
}

/// What is touched, as resolved objects of the session's target (never as the text that named them).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The target itself.
    Target,
    /// A database of it.
    Database {
        /// Name as the catalog has it.
        database: Arc<str>,
    },
    /// A table, view, materialised view, foreign or partitioned table.
    Table {
        /// Database that holds it.
        database: Arc<str>,
        /// Schema that holds it.
        schema: Arc<str>,
        /// Its name.
        table: Arc<str>,
    },
    /// A column of a table.
    Column {
        /// Database that holds it.
        database: Arc<str>,
        /// Schema that holds it.
        schema: Arc<str>,
        /// Table that holds it.
        table: Arc<str>,
        /// Its name.
        column: Arc<str>,
    },
    /// A function, by name: all overloads are one resource.
    Function {
        /// Database that holds it.
        database: Arc<str>,
        /// Schema that holds it.
        schema: Arc<str>,
        /// Its name.
        function: Arc<str>,
    },
    /// A setting (GUC), lower case.
    Setting {
        /// Database of the session.
        database: Arc<str>,
        /// Its name.
        setting: Arc<str>,
    },
    /// A data class, of which the target has values. Its name is the same on every target.
    DataClass {
        /// Its name.
        class: Arc<str>,
    },
}

impl Resource {
    /// Its kind, as policies name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Target => "Target",
            Self::Database { .. } => "Database",
            Self::Table { .. } => "Table",
            Self::Column { .. } => "Column",
            Self::Function { .. } => "Function",
            Self::Setting { .. } => "Setting",
            Self::DataClass { .. } => "DataClass",
        }
    }

    /// Names from the database down to the resource; none for the target itself, and one for a data class.
    pub fn path(&self) -> Vec<&Arc<str>> {
        match self {
            Self::Target => Vec::new(),
            Self::Database { database } => vec![database],
            Self::Table { database, schema, table } => vec![database, schema, table],
            Self::Column { database, schema, table, column } => vec![database, schema, table, column],
            Self::Function { database, schema, function } => vec![database, schema, function],
            Self::Setting { database, setting } => vec![database, setting],
            Self::DataClass { class } => vec![class],
        }
    }

    /// The resource of that kind and path, if there is one.
    pub fn of(kind: &str, path: &[&str]) -> Option<Self> {
        let resource = match (kind, path) {
            ("Target", []) => Self::Target,
            ("Database", [database]) => Self::Database { database: (*database).into() },
            ("Table", [database, schema, table]) => {
                Self::Table { database: (*database).into(), schema: (*schema).into(), table: (*table).into() }
            }
            ("Column", [database, schema, table, column]) => Self::Column {
                database: (*database).into(),
                schema: (*schema).into(),
                table: (*table).into(),
                column: (*column).into(),
            },
            ("Function", [database, schema, function]) => Self::Function {
                database: (*database).into(),
                schema: (*schema).into(),
                function: (*function).into(),
            },
            ("Setting", [database, setting]) => {
                Self::Setting { database: (*database).into(), setting: (*setting).into() }
            }
            ("DataClass", [class]) => Self::DataClass { class: (*class).into() },
            _ => return None,
        };
        Some(resource)
    }
}

/// One `(action, resource)` pair that an operation touches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fact {
    /// What is done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
}

impl Fact {
    /// That this class would come back unmasked.
    pub fn unmask(class: impl Into<Arc<str>>) -> Self {
        Self { action: Action::Unmask, resource: Resource::DataClass { class: class.into() } }
    }

    /// The class that it would have come back unmasked; `None` where it is of something else.
    pub fn unmasked(&self) -> Option<&Arc<str>> {
        match (self.action, &self.resource) {
            (Action::Unmask, Resource::DataClass { class }) => Some(class),
            _ => None,
        }
    }
}

/// What was parsed of the operation as a whole; policy sees it as `context`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationContext {
    /// Protocol word: `postgres`.
    pub protocol: &'static str,
    /// Kinds of the statements, lower case, sorted, without repetition: `select`, `update`, … Those that run as parts
    /// of another (within WITH, EXPLAIN, PREPARE, EXECUTE) are among them.
    pub statement_kinds: Vec<&'static str>,
    /// Number of statements in the operation.
    pub statement_count: u32,
    /// Every UPDATE and DELETE in it has a WHERE clause; true where there is neither, and false where that is not
    /// known.
    pub all_writes_have_predicate: bool,
    /// The session was inside a transaction when the operation arrived.
    pub in_transaction: bool,
}
