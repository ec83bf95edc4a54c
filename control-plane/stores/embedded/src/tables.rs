//! The tables, and how records go in and out of them.

use std::path::Path;

use countersign_store::StoreError;
use prost::Message;
use redb::{
    Database, Key, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use crate::OpenError;

/// The format of this version. Records grow by protobuf's rules without a new one.
const FORMAT: u64 = 1;

type Records<K> = TableDefinition<'static, K, &'static [u8]>;

/// 16 bytes of an id, or of a boot.
pub(crate) type Id = &'static [u8; 16];

pub(crate) const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// By (kind, name).
pub(crate) const RESOURCES: Records<(u8, &str)> = TableDefinition::new("resources");
/// By session id; UUIDv7, so in order of time.
pub(crate) const SESSIONS: Records<Id> = TableDefinition::new("sessions");
/// (edge, session id) of the open ones → boot.
pub(crate) const OPEN_SESSIONS: TableDefinition<(&str, Id), Id> = TableDefinition::new("open_sessions");
/// By approval id; UUIDv7, so in order of time.
pub(crate) const APPROVALS: Records<Id> = TableDefinition::new("approvals");
/// (state, approval id) of every approval: those that are open are found without those that are final.
pub(crate) const APPROVAL_STATES: TableDefinition<(u8, Id), ()> = TableDefinition::new("approval_states");
/// (asker, approval id) of the pending ones.
pub(crate) const PENDING_APPROVALS: TableDefinition<(&str, Id), ()> =
    TableDefinition::new("pending_approvals");
/// (session id, approval id) of every approval.
pub(crate) const SESSION_APPROVALS: TableDefinition<(Id, Id), ()> = TableDefinition::new("session_approvals");
/// By recording id.
pub(crate) const RECORDINGS: Records<Id> = TableDefinition::new("recordings");
/// By (recording id, number).
pub(crate) const SEGMENTS: Records<(Id, u32)> = TableDefinition::new("segments");
/// By SHA-256 of the token.
pub(crate) const JOIN_TOKENS: Records<&[u8; 32]> = TableDefinition::new("join_tokens");
/// By name.
pub(crate) const EDGES: Records<&str> = TableDefinition::new("edges");
/// By (edge, boot).
pub(crate) const BOOTS: Records<(&str, Id)> = TableDefinition::new("boots");
/// By sequence.
pub(crate) const AUDIT: Records<u64> = TableDefinition::new("audit");
/// By (tenant, token).
pub(crate) const TOKEN_USES: Records<(&str, &str)> = TableDefinition::new("token_uses");
/// (expiry, tenant, token) of each token use.
pub(crate) const TOKEN_EXPIRIES: TableDefinition<(u64, &str, &str), ()> =
    TableDefinition::new("token_expiries");

pub(crate) const FORMAT_COUNTER: &str = "format";
pub(crate) const GENERATION: &str = "generation";

/// The file, not the caller, is at fault.
#[derive(Debug, Clone)]
pub(crate) struct Broken(String);

impl Broken {
    pub(crate) fn corrupt(what: &str) -> Self {
        Self(format!("a stored {what} cannot be read"))
    }

    pub(crate) fn into_error(self) -> StoreError {
        StoreError::Unavailable(self.0)
    }
}

/// Why a piece of work did not end well.
pub(crate) enum Fault<E = StoreError> {
    /// The caller is told; nothing was written.
    Refused(E),
    /// Nothing of the transaction may be kept.
    Broken(Broken),
}

impl Fault {
    pub(crate) fn into_error(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Broken(broken) => broken.into_error(),
        }
    }
}

impl<E> From<Broken> for Fault<E> {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

macro_rules! breaks {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Broken {
            fn from(error: redb::$error) -> Self {
                Self(error.to_string())
            }
        }

        impl<E> From<redb::$error> for Fault<E> {
            fn from(error: redb::$error) -> Self {
                Self::Broken(error.into())
            }
        }
    )+};
}

breaks!(StorageError, TableError, TransactionError, CommitError);

/// A record by its key.
pub(crate) fn get<'k, K: Key + 'static, M: Message + Default>(
    table: &impl ReadableTable<K, &'static [u8]>,
    key: K::SelfType<'k>,
) -> Result<Option<M>, Broken> {
    table.get(key)?.map(|bytes| decode(bytes.value())).transpose()
}

/// Writes a record.
pub(crate) fn put<'k, K: Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: K::SelfType<'k>,
    record: &impl Message,
) -> Result<(), Broken> {
    table.insert(key, record.encode_to_vec().as_slice())?;
    Ok(())
}

pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Broken> {
    M::decode(bytes).map_err(|_| Broken::corrupt("record"))
}

/// The value of a counter; 0 if it never counted.
pub(crate) fn counter(transaction: &ReadTransaction, name: &str) -> Result<u64, Broken> {
    Ok(transaction.open_table(COUNTERS)?.get(name)?.map_or(0, |value| value.value()))
}

/// Counts one up and returns the new value.
pub(crate) fn count(transaction: &WriteTransaction, name: &str) -> Result<u64, Broken> {
    let mut counters = transaction.open_table(COUNTERS)?;
    let next = counters.get(name)?.map_or(0, |value| value.value()).saturating_add(1);
    counters.insert(name, next)?;
    Ok(next)
}

/// Stamps a new file and refuses one that is not ours. Makes the tables that are missing, so that reads find them: a
/// file that an earlier version wrote lacks those that came since.
pub(crate) fn prepare(database: &Database, path: &Path) -> Result<(), OpenError> {
    let failed = |broken: Broken| OpenError::Failed { path: path.to_owned(), cause: broken.0 };
    match format(database).map_err(failed)? {
        Some(0) => Err(OpenError::Foreign { path: path.to_owned() }),
        Some(found) if found > FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT })
        }
        None | Some(_) => create_tables(database).map_err(failed),
    }
}

/// `None` for an empty file, 0 for one without our stamp.
fn format(database: &Database) -> Result<Option<u64>, Broken> {
    let transaction = redb::ReadableDatabase::begin_read(database)?;
    match transaction.open_table(COUNTERS) {
        Ok(counters) => Ok(Some(counters.get(FORMAT_COUNTER)?.map_or(0, |value| value.value()))),
        Err(TableError::TableDoesNotExist(_)) => {
            let empty = transaction.list_tables()?.next().is_none();
            Ok(if empty { None } else { Some(0) })
        }
        Err(TableError::Storage(error)) => Err(error.into()),
        // A table of this name with other types.
        Err(_) => Ok(Some(0)),
    }
}

fn create_tables(database: &Database) -> Result<(), Broken> {
    let transaction = database.begin_write()?;
    transaction.open_table(COUNTERS)?.insert(FORMAT_COUNTER, FORMAT)?;
    transaction.open_table(RESOURCES)?;
    transaction.open_table(SESSIONS)?;
    transaction.open_table(OPEN_SESSIONS)?;
    transaction.open_table(APPROVALS)?;
    transaction.open_table(APPROVAL_STATES)?;
    transaction.open_table(PENDING_APPROVALS)?;
    transaction.open_table(SESSION_APPROVALS)?;
    transaction.open_table(RECORDINGS)?;
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(JOIN_TOKENS)?;
    transaction.open_table(EDGES)?;
    transaction.open_table(BOOTS)?;
    transaction.open_table(AUDIT)?;
    transaction.open_table(TOKEN_USES)?;
    transaction.open_table(TOKEN_EXPIRIES)?;
    Ok(transaction.commit()?)
}
