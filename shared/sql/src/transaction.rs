//! BEGIN, COMMIT, ROLLBACK, savepoints, and the modes of a transaction.

use crate::UnparsedReason;
use crate::grammar::{ConstValue, Node, NodeList, TransactionStmtKind as Kind, nodes};
use crate::walk::Stop;

/// What a statement does to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionControl {
    /// BEGIN or START TRANSACTION.
    Begin(TransactionModes),
    /// COMMIT or END.
    Commit {
        /// AND CHAIN: a new transaction with the same modes begins at once.
        chain: bool,
    },
    /// ROLLBACK or ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT with its name.
    Savepoint(String),
    /// RELEASE SAVEPOINT with its name.
    Release(String),
    /// ROLLBACK TO SAVEPOINT with its name.
    RollbackTo(String),
    /// SET TRANSACTION: modes of the current transaction.
    SetModes(TransactionModes),
}

/// Modes that the text names; `None` where it leaves one to the session's default. The last mention wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<Isolation>,
    /// READ ONLY (true) or READ WRITE (false).
    pub read_only: Option<bool>,
    /// DEFERRABLE (true) or NOT DEFERRABLE (false).
    pub deferrable: Option<bool>,
}

/// Isolation levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// READ UNCOMMITTED, which PostgreSQL treats as read committed.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

impl Isolation {
    /// As SQL writes it, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let levels = [Self::ReadUncommitted, Self::ReadCommitted, Self::RepeatableRead, Self::Serializable];
        levels.into_iter().find(|level| level.as_str() == word)
    }
}

pub(crate) fn control(t: &nodes::TransactionStmt) -> Result<TransactionControl, Stop> {
    let name = || t.savepoint_name().map(str::to_owned).ok_or(Stop::from(UnparsedReason::Expression));
    Ok(match t.kind {
        Kind::TRANS_STMT_BEGIN | Kind::TRANS_STMT_START => TransactionControl::Begin(modes(t.options())?),
        Kind::TRANS_STMT_COMMIT => TransactionControl::Commit { chain: t.chain },
        Kind::TRANS_STMT_ROLLBACK => TransactionControl::Rollback { chain: t.chain },
        Kind::TRANS_STMT_SAVEPOINT => TransactionControl::Savepoint(name()?),
        Kind::TRANS_STMT_RELEASE => TransactionControl::Release(name()?),
        Kind::TRANS_STMT_ROLLBACK_TO => TransactionControl::RollbackTo(name()?),
        // Two-phase commit hands a transaction to whoever knows its name: not ours to follow.
        _ => return Err(UnparsedReason::StatementKind.into()),
    })
}

/// The grammar writes each mode as an option named like the setting behind it.
pub(crate) fn modes(options: &NodeList) -> Result<TransactionModes, Stop> {
    let unknown = || Stop::from(UnparsedReason::SettingValue);
    let mut modes = TransactionModes::default();
    for option in options {
        let Node::DefElem(option) = option else { return Err(unknown()) };
        let Node::A_Const(value) = option.arg() else { return Err(unknown()) };
        match (option.defname(), value.val()) {
            (Some("transaction_isolation"), Some(ConstValue::String(word))) => {
                modes.isolation = Some(Isolation::parse(word).ok_or_else(unknown)?);
            }
            (Some("transaction_read_only"), Some(ConstValue::Integer(on))) => modes.read_only = Some(on != 0),
            (Some("transaction_deferrable"), Some(ConstValue::Integer(on))) => {
                modes.deferrable = Some(on != 0)
            }
            _ => return Err(unknown()),
        }
    }
    Ok(modes)
}
