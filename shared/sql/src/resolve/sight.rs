//! Whether the catalog that is asked is still the one that a session meets.

use countersign_model::{Action, Fact, Resource};

/// Functions of `pg_catalog` that act, but neither run SQL that is given as text nor change what names mean.
const LEAVES_NAMES_ALONE: [&str; 14] = [
    "currval",
    "lastval",
    "nextval",
    "pg_advisory_lock",
    "pg_advisory_unlock",
    "pg_advisory_xact_lock",
    "pg_cancel_backend",
    "pg_notify",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_terminate_backend",
    "pg_try_advisory_lock",
    "setval",
];

/// Whether the catalog that is asked is the one that a statement will meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// It is.
    #[default]
    Clear,
    /// A statement that nobody understood may have made temporary objects or changed the search path. From then on
    /// every operation is also [`Action::Unparsed`].
    Clouded,
}

/// What the sight is after an operation with these facts was permitted. A function may change the search path or make
/// temporary objects, directly (`set_config`) or by SQL that it is given as text (`ts_stat`, `query_to_xml`), and
/// PostgreSQL before 18 does not report that: so any function may have, but for a closed list.
pub fn sight_after(sight: Sight, facts: &[Fact]) -> Sight {
    let clouds = |fact: &Fact| match &fact.resource {
        Resource::Function { schema, function, .. } => {
            **schema != *"pg_catalog" || !LEAVES_NAMES_ALONE.contains(&&**function)
        }
        _ => fact.action == Action::Unparsed,
    };
    if facts.iter().any(clouds) { Sight::Clouded } else { sight }
}
