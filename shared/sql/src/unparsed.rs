//! Why there are no facts of a statement.

/// Why a statement is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnparsedReason {
    /// A kind of statement without facts: most of DDL, COPY, cursors, …
    StatementKind,
    /// INTO of a SELECT that is not a statement of its own.
    SelectInto,
    /// EXPLAIN with an unknown option.
    ExplainOption,
    /// EXPLAIN of something else than SELECT, INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS.
    ExplainKind,
    /// EXECUTE, as long as nobody has said what it executes.
    Execute,
    /// PREPARE, EXECUTE, DEALLOCATE or DISCARD in one string with other statements.
    NotAlone,
    /// A prepared statement or cursor by a name that the gateway uses for its own.
    ReservedName,
    /// A setting that is not on the closed list.
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
            Self::SelectInto => "select_into",
            Self::ExplainOption => "explain_option",
            Self::ExplainKind => "explain_kind",
            Self::Execute => "execute",
            Self::NotAlone => "not_alone",
            Self::ReservedName => "reserved_name",
            Self::Setting => "setting",
            Self::SettingValue => "setting_value",
            Self::Expression => "expression",
            Self::Cursor => "cursor",
        }
    }
}
