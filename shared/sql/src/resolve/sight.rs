//! Whether the catalog that is asked is still the one that a session meets.

use countersign_model::{Action, Fact, Resource};

use super::TEMPORARY;
use crate::setting::changes_names;

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
    /// Something may have made objects that only the session sees, or changed the search path or who acts. From then on
    /// whatever names something is also [`Action::Unparsed`]. What names nothing (COMMIT, `SELECT 1`) means the same
    /// as ever.
    Clouded,
}

/// Why names may mean something else to a session than to the catalog that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clouds {
    /// Nobody can tell any more: something was done that is not known, or a temporary object was made.
    pub for_good: bool,
    /// A table was made, which others see when the transaction has been committed: until the transaction has ended.
    pub until_commit: bool,
    /// The search path or who acts was changed, which the session can be asked for: now, and again when the transaction
    /// of the change ends or goes back to a savepoint.
    pub settings: bool,
}

impl Clouds {
    /// Whether there is any reason.
    pub fn any(self) -> bool {
        self.for_good || self.until_commit || self.settings
    }
}

/// Why names may mean something else after an operation with these facts was permitted. A function may change the
/// search path or make temporary objects, directly (`set_config`) or by SQL that it is given as text (`ts_stat`,
/// `query_to_xml`), and PostgreSQL before 18 does not report that: so any function may have, but for a closed list.
pub fn clouds<'f>(facts: impl IntoIterator<Item = &'f Fact>) -> Clouds {
    let mut clouds = Clouds::default();
    for fact in facts {
        match (&fact.resource, fact.action) {
            (Resource::Function { schema, function, .. }, _) => {
                let known = **schema == *"pg_catalog" && LEAVES_NAMES_ALONE.contains(&&**function);
                clouds.for_good |= !known;
            }
            (Resource::Table { schema, .. }, Action::PostgresCreate) => {
                let temporary = **schema == *TEMPORARY;
                clouds.for_good |= temporary;
                clouds.until_commit |= !temporary;
            }
            (Resource::Setting { setting, .. }, Action::PostgresSet) => {
                clouds.settings |= changes_names(setting);
            }
            (_, action) => clouds.for_good |= matches!(action, Action::Unparsed | Action::PostgresDo),
        }
    }
    clouds
}

/// What the sight is after an operation with these facts was permitted, as long as nobody looks closer: [`clouds`] says
/// why it is clouded, and so what would clear it.
pub fn sight_after(sight: Sight, facts: &[Fact]) -> Sight {
    if clouds(facts).any() { Sight::Clouded } else { sight }
}
