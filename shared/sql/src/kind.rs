//! The word for each kind of statement.

use crate::grammar::{Node, TransactionStmtKind as Transaction, VariableSetKind as Set};
use std::fmt;

/// What kind of statement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// CREATE TABLE AS, CREATE MATERIALIZED VIEW.
    CreateTableAs,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT.
    Savepoint,
    /// RELEASE.
    Release,
    /// ROLLBACK TO.
    RollbackTo,
    /// SET.
    Set,
    /// RESET.
    Reset,
    /// SHOW.
    Show,
    /// EXPLAIN.
    Explain,
    /// PREPARE.
    Prepare,
    /// EXECUTE.
    Execute,
    /// DEALLOCATE.
    Deallocate,
    /// DISCARD.
    Discard,
    /// CLOSE.
    Close,
    /// UNLISTEN.
    Unlisten,
    /// DO.
    Do,
    /// CALL.
    Call,
    /// LOCK.
    Lock,
    /// Any other: always unparsed.
    Other(&'static str),
}

impl StatementKind {
    /// Stable snake_case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::CreateTableAs => "create_table_as",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Savepoint => "savepoint",
            Self::Release => "release",
            Self::RollbackTo => "rollback_to",
            Self::Set => "set",
            Self::Reset => "reset",
            Self::Show => "show",
            Self::Explain => "explain",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Deallocate => "deallocate",
            Self::Discard => "discard",
            Self::Close => "close",
            Self::Unlisten => "unlisten",
            Self::Do => "do",
            Self::Call => "call",
            Self::Lock => "lock",
            Self::Other(word) => word,
        }
    }

    pub(crate) fn of(node: Node<'_>) -> Self {
        match node {
            Node::SelectStmt(_) => Self::Select,
            Node::InsertStmt(_) => Self::Insert,
            Node::UpdateStmt(_) => Self::Update,
            Node::DeleteStmt(_) => Self::Delete,
            Node::MergeStmt(_) => Self::Merge,
            Node::CreateTableAsStmt(_) => Self::CreateTableAs,
            Node::ExplainStmt(_) => Self::Explain,
            Node::PrepareStmt(_) => Self::Prepare,
            Node::ExecuteStmt(_) => Self::Execute,
            Node::DeallocateStmt(_) => Self::Deallocate,
            Node::DiscardStmt(_) => Self::Discard,
            Node::ClosePortalStmt(_) => Self::Close,
            Node::UnlistenStmt(_) => Self::Unlisten,
            Node::DoStmt(_) => Self::Do,
            Node::CallStmt(_) => Self::Call,
            Node::LockStmt(_) => Self::Lock,
            Node::VariableShowStmt(_) => Self::Show,
            Node::VariableSetStmt(set) => match set.kind {
                Set::VAR_RESET | Set::VAR_RESET_ALL => Self::Reset,
                _ => Self::Set,
            },
            Node::TransactionStmt(t) => match t.kind {
                Transaction::TRANS_STMT_BEGIN | Transaction::TRANS_STMT_START => Self::Begin,
                Transaction::TRANS_STMT_COMMIT => Self::Commit,
                Transaction::TRANS_STMT_ROLLBACK => Self::Rollback,
                Transaction::TRANS_STMT_SAVEPOINT => Self::Savepoint,
                Transaction::TRANS_STMT_RELEASE => Self::Release,
                Transaction::TRANS_STMT_ROLLBACK_TO => Self::RollbackTo,
                _ => Self::Other("two_phase"),
            },
            _ => Self::Other(other(node)),
        }
    }
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Words for what has no facts; `other` for the rare rest.
fn other(node: Node<'_>) -> &'static str {
    match node {
        Node::TruncateStmt(_) => "truncate",
        Node::CopyStmt(_) => "copy",
        Node::DeclareCursorStmt(_) => "declare",
        Node::FetchStmt(_) => "fetch",
        Node::ListenStmt(_) => "listen",
        Node::NotifyStmt(_) => "notify",
        Node::ConstraintsSetStmt(_) => "set_constraints",
        Node::VacuumStmt(_) => "vacuum",
        Node::ClusterStmt(_) => "cluster",
        Node::ReindexStmt(_) => "reindex",
        Node::CheckPointStmt(_) => "checkpoint",
        Node::LoadStmt(_) => "load",
        Node::RefreshMatViewStmt(_) => "refresh_materialized_view",
        Node::CreateStmt(_) => "create_table",
        Node::CreateSchemaStmt(_) => "create_schema",
        Node::CreateSeqStmt(_) => "create_sequence",
        Node::CreateFunctionStmt(_) => "create_function",
        Node::CreateTrigStmt(_) => "create_trigger",
        Node::CreateRoleStmt(_) => "create_role",
        Node::CreateExtensionStmt(_) => "create_extension",
        Node::CreatePolicyStmt(_) => "create_policy",
        Node::CreatedbStmt(_) => "create_database",
        Node::CreateDomainStmt(_) => "create_domain",
        Node::CompositeTypeStmt(_) | Node::CreateEnumStmt(_) | Node::CreateRangeStmt(_) => "create_type",
        Node::ViewStmt(_) => "create_view",
        Node::IndexStmt(_) => "create_index",
        Node::RuleStmt(_) => "create_rule",
        Node::DefineStmt(_) => "create",
        Node::AlterTableStmt(_) => "alter_table",
        Node::AlterFunctionStmt(_) => "alter_function",
        Node::AlterRoleStmt(_) | Node::AlterRoleSetStmt(_) => "alter_role",
        Node::AlterSeqStmt(_) => "alter_sequence",
        Node::AlterSystemStmt(_) => "alter_system",
        Node::AlterDatabaseStmt(_) | Node::AlterDatabaseSetStmt(_) => "alter_database",
        Node::AlterPolicyStmt(_) => "alter_policy",
        Node::AlterDefaultPrivilegesStmt(_) => "alter_default_privileges",
        Node::AlterDomainStmt(_)
        | Node::AlterEnumStmt(_)
        | Node::AlterObjectSchemaStmt(_)
        | Node::AlterOwnerStmt(_)
        | Node::AlterTypeStmt(_)
        | Node::RenameStmt(_) => "alter",
        Node::DropStmt(_) => "drop",
        Node::DropRoleStmt(_) => "drop_role",
        Node::DropdbStmt(_) => "drop_database",
        Node::DropOwnedStmt(_) => "drop_owned",
        Node::ReassignOwnedStmt(_) => "reassign_owned",
        Node::GrantStmt(grant) if grant.is_grant => "grant",
        Node::GrantStmt(_) => "revoke",
        Node::GrantRoleStmt(grant) if grant.is_grant => "grant_role",
        Node::GrantRoleStmt(_) => "revoke_role",
        Node::CommentStmt(_) => "comment",
        Node::SecLabelStmt(_) => "security_label",
        _ => "other",
    }
}
