//! SET, RESET and SHOW, for a closed list of settings.
//!
//! On the list is what only changes how this session formats values, how long it waits, what it calls itself, or
//! the modes of its own transactions; and what changes who acts and which objects a name means, after which the
//! catalog has to be asked otherwise ([`SettingUse::changes_names`]). Whatever changes how text is read or which rows
//! are seen (`standard_conforming_strings`, `client_encoding`, `row_security`, …), custom settings that policies in the
//! database may read, and planner or memory settings are not.

use crate::grammar::{ConstValue, Node, NodeList, VariableSetKind as Kind, nodes};
use crate::transaction::{self, TransactionControl};
use crate::walk::Stop;
use crate::{Statement, TransactionModes, UnparsedReason};

/// A setting and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingUse {
    /// Lower case. `SHOW ALL` and `RESET ALL` name `all`.
    pub name: String,
    /// What is done.
    pub change: SettingChange,
}

impl SettingUse {
    /// Whether names may mean something else after the change: who acts and which schemas are searched, or all settings
    /// at once.
    pub fn changes_names(&self) -> bool {
        self.change != SettingChange::Show && changes_names(&self.name)
    }

    /// Whether the change lasts beyond the transaction that it is made in.
    pub fn outlives_transaction(&self) -> bool {
        // The modes of the present transaction are settings of it alone, however they are set.
        const MODES: [&str; 3] = ["transaction_deferrable", "transaction_isolation", "transaction_read_only"];
        match self.change {
            SettingChange::Show => false,
            SettingChange::Set { local, .. } | SettingChange::Reset { local } => {
                !local && !MODES.contains(&self.name.as_str())
            }
        }
    }
}

/// What is done to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingChange {
    /// SHOW.
    Show,
    /// SET.
    Set {
        /// The values as text; several only where the setting takes a list.
        value: Vec<String>,
        /// SET LOCAL: until the transaction ends.
        local: bool,
    },
    /// RESET, SET … TO DEFAULT.
    Reset {
        /// SET LOCAL … TO DEFAULT.
        local: bool,
    },
}

/// The settings that decide what names mean; `all` are among all. RESET ALL leaves the first two alone.
const OF_NAMES: [&str; 4] = ["role", "session_authorization", "search_path", "all"];

/// Whether the setting of that name decides what names mean.
pub(crate) fn changes_names(setting: &str) -> bool {
    OF_NAMES.contains(&setting)
}

/// RESET ALL.
pub(crate) fn reset_all() -> SettingUse {
    SettingUse { name: "all".to_owned(), change: SettingChange::Reset { local: false } }
}

/// Sorted, lower case.
const CHANGEABLE: [&str; 21] = [
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "role",
    "search_path",
    "session_authorization",
    "statement_timeout",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
];

pub(crate) fn shown(show: &nodes::VariableShowStmt) -> Result<Vec<SettingUse>, Stop> {
    let name = show.name().ok_or(Stop::from(UnparsedReason::Setting))?;
    Ok(vec![SettingUse { name: name.to_ascii_lowercase(), change: SettingChange::Show }])
}

pub(crate) fn changes(set: &nodes::VariableSetStmt, statement: &mut Statement) -> Result<(), Stop> {
    let change = match set.kind {
        Kind::VAR_SET_VALUE => SettingChange::Set { value: values(set.args())?, local: set.is_local },
        Kind::VAR_SET_DEFAULT => SettingChange::Reset { local: set.is_local },
        Kind::VAR_RESET => SettingChange::Reset { local: false },
        Kind::VAR_SET_MULTI => return modes(set, statement),
        // Every setting goes back to what the login gave it, which is not more than it was then.
        Kind::VAR_RESET_ALL => {
            statement.settings.push(reset_all());
            return Ok(());
        }
        // FROM CURRENT belongs to CREATE FUNCTION.
        _ => return Err(UnparsedReason::Setting.into()),
    };
    let name = set.name().unwrap_or_default().to_ascii_lowercase();
    if CHANGEABLE.binary_search(&name.as_str()).is_err() {
        return Err(UnparsedReason::Setting.into());
    }
    statement.settings.push(SettingUse { name, change });
    Ok(())
}

/// SET TRANSACTION and SET SESSION CHARACTERISTICS; importing a snapshot is neither.
fn modes(set: &nodes::VariableSetStmt, statement: &mut Statement) -> Result<(), Stop> {
    match set.name() {
        Some("TRANSACTION") => {
            statement.transaction = Some(TransactionControl::SetModes(transaction::modes(set.args())?));
        }
        Some("SESSION CHARACTERISTICS") => statement.settings = defaults(transaction::modes(set.args())?),
        _ => return Err(UnparsedReason::Setting.into()),
    }
    Ok(())
}

/// The settings in which a session keeps the modes of its transactions to come.
fn defaults(modes: TransactionModes) -> Vec<SettingUse> {
    let on_off = |on: bool| if on { "on" } else { "off" };
    let named = [
        ("default_transaction_deferrable", modes.deferrable.map(on_off)),
        ("default_transaction_isolation", modes.isolation.map(|i| i.as_str())),
        ("default_transaction_read_only", modes.read_only.map(on_off)),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| {
            let change = SettingChange::Set { value: vec![value?.to_owned()], local: false };
            Some(SettingUse { name: name.to_owned(), change })
        })
        .collect()
}

/// Plain constants only: PostgreSQL also takes an INTERVAL for the time zone, which is rare.
fn values(args: &NodeList) -> Result<Vec<String>, Stop> {
    args.iter()
        .map(|arg| {
            let Node::A_Const(constant) = arg else { return None };
            match constant.val()? {
                ConstValue::Integer(number) => Some(number.to_string()),
                ConstValue::Float(text) | ConstValue::String(text) => Some(text.to_owned()),
                _ => None,
            }
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(UnparsedReason::SettingValue.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_repetition() {
        assert!(CHANGEABLE.is_sorted_by(|a, b| a < b));
    }
}
