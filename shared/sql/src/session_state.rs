//! What belongs to one connection alone and outlives its transaction, as far as the words of a statement say so.
//!
//! A function that the text calls may do the same out of sight, and so may a statement that is not understood: of the
//! latter only its kind is known, and what it makes.

use crate::creation::into;
use crate::grammar::{Node, nodes};
use crate::{Analysis, QualifiedName, SettingUse, Statement, StatementKind};

/// `RELPERSISTENCE_TEMP` of PostgreSQL's `pg_class.h`.
const TEMPORARY: std::ffi::c_char = b't' as std::ffi::c_char;

/// Statements without facts that make or need cursors, channels or libraries. COPY has a protocol of its own.
const KINDS: [&str; 5] = ["copy", "declare", "fetch", "listen", "load"];

/// Session locks, the last value of a sequence, and what changes settings. Sorted.
const FUNCTIONS: [&str; 9] = [
    "currval",
    "lastval",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "set_config",
];

/// Whether a statement makes, reads or needs what belongs to one connection and outlives its transaction: prepared
/// statements, cursors, notifications, temporary objects, session locks, the last value of a sequence, settings of the
/// session.
pub fn keeps_session_state(analysis: &Analysis) -> bool {
    analysis.statements.iter().any(keeps)
}

fn keeps(statement: &Statement) -> bool {
    let kind = match statement.kind {
        StatementKind::Other(word) => KINDS.contains(&word),
        StatementKind::Prepare
        | StatementKind::Execute
        | StatementKind::Deallocate
        | StatementKind::Discard
        | StatementKind::Close
        | StatementKind::Unlisten => true,
        // What is not understood may be SET LOCAL, but nobody can tell.
        StatementKind::Set | StatementKind::Reset => statement.unparsed.is_some(),
        _ => false,
    };
    let called = |name: &str| FUNCTIONS.contains(&name);
    kind || statement.temporary
        || statement.settings.iter().any(SettingUse::outlives_transaction)
        || statement.functions.iter().any(|function| called(&function.name))
        || statement.attributes.iter().any(|name| called(name))
        || names(statement).any(|name| name.schema.as_deref().is_some_and(is_temporary_schema))
}

fn names(statement: &Statement) -> impl Iterator<Item = &QualifiedName> {
    let relations = statement.relations.iter().map(|relation| &relation.name);
    relations.chain(&statement.functions).chain(&statement.operators).chain(&statement.types)
}

/// Whether a temporary table, view, sequence, function, type or the like is made: by its persistence, or by its schema.
pub(crate) fn makes_temporary(node: Node<'_>) -> bool {
    // EXPLAIN ANALYZE runs what it explains.
    let node = match node {
        Node::ExplainStmt(explain) => explain.query(),
        node => node,
    };
    match node {
        Node::CreateStmt(create) => is_temporary(create.relation()),
        Node::ViewStmt(create) => is_temporary(create.view()),
        Node::CreateSeqStmt(create) => is_temporary(create.sequence()),
        Node::CompositeTypeStmt(create) => is_temporary(create.typevar()),
        Node::CreateTableAsStmt(create) => is_temporary(create.into().and_then(|into| into.rel())),
        Node::SelectStmt(select) => is_temporary(into(select).and_then(|into| into.rel())),
        Node::CreateFunctionStmt(create) => in_temporary_schema(create.funcname().iter().map(Node::as_str)),
        Node::CreateDomainStmt(create) => in_temporary_schema(create.domainname().iter().map(|n| n.sval())),
        Node::CreateEnumStmt(create) => in_temporary_schema(create.type_name().iter().map(|n| n.sval())),
        Node::CreateRangeStmt(create) => in_temporary_schema(create.type_name().iter().map(|n| n.sval())),
        Node::DefineStmt(create) => in_temporary_schema(create.defnames().iter().map(|n| n.sval())),
        _ => false,
    }
}

fn is_temporary(made: Option<&nodes::RangeVar>) -> bool {
    made.is_some_and(|made| {
        made.relpersistence == TEMPORARY || made.schemaname().is_some_and(is_temporary_schema)
    })
}

/// Whether the name, in its parts, is qualified by a schema for temporary objects.
fn in_temporary_schema<'t>(parts: impl DoubleEndedIterator<Item = Option<&'t str>>) -> bool {
    parts.rev().nth(1).flatten().is_some_and(is_temporary_schema)
}

/// The session's own, by its alias or by its name; nobody can make another one that is called like this.
fn is_temporary_schema(schema: &str) -> bool {
    schema == "pg_temp" || schema.starts_with("pg_temp_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, analyse};

    fn keeps_state(sql: &str) -> bool {
        keeps_session_state(&analyse(sql.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn what_belongs_to_a_connection_is_seen() {
        for sql in [
            "prepare p as select 1",
            "execute p",
            "deallocate all",
            "declare c cursor with hold for select 1",
            "fetch c",
            "close c",
            "listen l",
            "unlisten *",
            "discard all",
            "discard temp",
            "prepare p as update t set a = 1",
            "explain analyze create temp table t as select 1",
            "load 'x'",
            "copy t from stdin",
            "create temp table t (a int)",
            "select 1 into temp t",
            "create function pg_temp.f() returns int language sql as ''",
            "select currval('s')",
            "select lastval()",
            "select ('s'::regclass).currval",
            "select pg_advisory_lock(1)",
            "select pg_catalog.pg_try_advisory_lock_shared(1)",
            "update t set a = 1 where pg_advisory_unlock(b)",
            "select set_config('timezone', 'UTC', false)",
            "set timezone = 'UTC'",
            "set transaction_timeout = 5",
            "set search_path = x",
            "set role x",
            "reset session authorization",
            "reset timezone",
            "reset all",
            "set session characteristics as transaction read only",
            "select * from pg_temp.t",
            "select pg_temp_3.f()",
            "select 'x'::pg_temp.t",
            "update t set a = 1; listen l",
        ] {
            assert!(keeps_state(sql), "{sql}");
        }
    }

    #[test]
    fn what_ends_with_its_transaction_passes() {
        for sql in [
            "",
            "select 1",
            "update t set a = 1",
            "select pg_advisory_xact_lock(1)",
            "insert into s.t values (nextval('s'))",
            "set local timezone = 'UTC'",
            "set local search_path = x",
            "set local role x",
            "select * from t for update",
            "with d as (delete from t) select 1",
            "create table t as select 1",
            "select 1 into t",
            "explain analyze select 1",
            "do $$ $$",
            "call p()",
            "set transaction read only",
            "set transaction_isolation = 'serializable'",
            "show timezone",
            "begin; savepoint a",
            "notify l",
            "lock table t",
            "drop table t",
            "create table t (a int)",
            "select * from pg_tempo.t",
            "select 'listen l'",
        ] {
            assert!(!keeps_state(sql), "{sql}");
        }
    }

    #[test]
    fn the_lists_are_sorted_and_without_repetition() {
        assert!(KINDS.is_sorted_by(|a, b| a < b) && FUNCTIONS.is_sorted_by(|a, b| a < b));
    }
}
