//! The settings that a session has changed, so that another connection can be given them.
//!
//! Only what PostgreSQL has committed counts. Where that cannot be told from the statements and their outcomes, the
//! settings are not known any more, and nothing that needs another connection can run in this session.

use std::collections::BTreeMap;

use countersign_sql::{Analysis, SettingChange, SettingUse, TransactionControl};

/// Settings of a session by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracked {
    /// What the client asked for at its startup: what RESET goes back to.
    startup: BTreeMap<String, String>,
    changed: BTreeMap<String, String>,
    /// Changes of the open transaction, in order; `None` is a reset.
    pending: Vec<(String, Option<String>)>,
    unknown: bool,
}

/// How a statement left the transaction that it ran in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Committed, by itself or by the COMMIT that it was.
    Committed,
    /// Rolled back.
    RolledBack,
    /// Still open.
    Open,
}

impl Tracked {
    /// What a client asked for at its startup.
    pub(crate) fn new(startup: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let startup: BTreeMap<_, _> =
            startup.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Self { changed: startup.clone(), startup, ..Self::default() }
    }

    /// The settings to give to another connection; `None` if they are not known, or decide what names mean.
    pub(crate) fn known(&self) -> Option<Vec<(String, String)>> {
        /// A connection has these from its login alone.
        const OF_NAMES: [&str; 3] = ["role", "search_path", "session_authorization"];
        let is_known = !self.unknown
            && self.pending.is_empty()
            && OF_NAMES.iter().all(|name| !self.changed.contains_key(*name));
        is_known.then(|| self.changed.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// A transaction ended of which the target knew nothing.
    pub(crate) fn end_here(&mut self) {
        self.pending.clear();
    }

    /// Takes in a query string that was answered to its end, without an error or not.
    pub(crate) fn after(&mut self, analysis: &Analysis, succeeded: bool, left: Left) {
        let several = analysis.statements.len() > 1;
        let controls = analysis.statements.iter().any(|statement| statement.transaction.is_some());
        // A string that both sets and begins or ends transactions may have committed one part and not the other.
        if changes_session(analysis) && several && (controls || !succeeded) {
            self.unknown = true;
        } else if succeeded {
            let all = analysis.statements.iter().flat_map(|statement| &statement.settings);
            self.pending.extend(all.filter_map(session_wide));
        }
        let rolls_back_to = analysis
            .statements
            .iter()
            .any(|statement| matches!(statement.transaction, Some(TransactionControl::RollbackTo(_))));
        if rolls_back_to && !self.pending.is_empty() {
            self.unknown = true;
        }
        self.settle(left);
    }

    /// What was changed in the transaction counts, or not, or it is not told yet.
    pub(crate) fn settle(&mut self, left: Left) {
        match left {
            Left::Open => {}
            Left::RolledBack => self.pending.clear(),
            Left::Committed => {
                for (name, value) in self.pending.drain(..) {
                    match (value, self.startup.get(&name)) {
                        (None, _) if name == "all" => self.changed.clone_from(&self.startup),
                        (Some(value), _) => drop(self.changed.insert(name, value)),
                        (None, Some(value)) => drop(self.changed.insert(name, value.clone())),
                        (None, None) => drop(self.changed.remove(&name)),
                    }
                }
            }
        }
    }
}

/// Whether a string changes a setting beyond its transaction.
pub(crate) fn changes_session(analysis: &Analysis) -> bool {
    analysis.statements.iter().flat_map(|statement| &statement.settings).any(SettingUse::outlives_transaction)
}

/// The change, if it lasts beyond its transaction.
fn session_wide(setting: &SettingUse) -> Option<(String, Option<String>)> {
    if !setting.outlives_transaction() {
        return None;
    }
    match &setting.change {
        SettingChange::Show => None,
        SettingChange::Set { value, .. } => Some((setting.name.clone(), Some(value.join(", ")))),
        SettingChange::Reset { .. } => Some((setting.name.clone(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_sql::{Limits, analyse};

    fn after(statements: &[(&str, bool, Left)]) -> Option<Vec<(String, String)>> {
        let mut tracked = Tracked::new([("TimeZone", "UTC".to_owned())]);
        for (text, succeeded, left) in statements {
            let analysis = analyse(text.as_bytes(), &Limits::default()).unwrap();
            tracked.after(&analysis, *succeeded, *left);
        }
        tracked.known()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    use Left::{Committed, Open, RolledBack};

    #[test]
    fn what_was_committed_counts() {
        assert_eq!(after(&[]), pairs(&[("timezone", "UTC")]));
        assert_eq!(
            after(&[("set timezone = 'Asia/Tokyo'", true, Committed)]),
            pairs(&[("timezone", "Asia/Tokyo")])
        );
        assert_eq!(after(&[("set timezone = 'nowhere'", false, RolledBack)]), pairs(&[("timezone", "UTC")]));
        let set = ("set timezone = 'Asia/Tokyo'; set lock_timeout = 5", true, Committed);
        assert_eq!(
            after(&[set, ("reset lock_timeout", true, Committed)]),
            pairs(&[("timezone", "Asia/Tokyo")])
        );
        assert_eq!(
            after(&[set, ("reset timezone; reset lock_timeout", true, Committed)]),
            pairs(&[("timezone", "UTC")])
        );
        assert_eq!(after(&[set, ("reset all", true, Committed)]), pairs(&[("timezone", "UTC")]));
        assert_eq!(
            after(&[("set datestyle = iso, dmy", true, Committed)]),
            pairs(&[("datestyle", "iso, dmy"), ("timezone", "UTC")])
        );
    }

    #[test]
    fn a_transaction_s_changes_count_when_it_commits() {
        let set = ("set lock_timeout = 5", true, Open);
        assert_eq!(after(&[("begin", true, Open), set]), None, "not yet told");
        let committed = after(&[("begin", true, Open), set, ("commit", true, Committed)]);
        assert_eq!(committed, pairs(&[("lock_timeout", "5"), ("timezone", "UTC")]));
        let rolled_back = after(&[("begin", true, Open), set, ("rollback", true, RolledBack)]);
        assert_eq!(rolled_back, pairs(&[("timezone", "UTC")]));
        let local = after(&[("begin", true, Open), ("set local lock_timeout = 5", true, Open)]);
        assert_eq!(local, pairs(&[("timezone", "UTC")]));
        let isolation = after(&[("set transaction_isolation = 'serializable'", true, Open)]);
        assert_eq!(isolation, pairs(&[("timezone", "UTC")]));
    }

    #[test]
    fn what_decides_on_names_goes_to_no_other_connection() {
        let set = ("set search_path = a", true, Committed);
        assert_eq!(after(&[set]), None);
        assert!(after(&[set, ("reset search_path", true, Committed)]).is_some());
        assert_eq!(after(&[("set role a", true, Committed)]), None);
    }

    #[test]
    fn what_cannot_be_told_is_not_known() {
        let set = ("set lock_timeout = 5", true, Open);
        for ambiguous in [
            &[("begin", true, Open), set, ("rollback to a", true, Open), ("commit", true, Committed)][..],
            &[("begin; set lock_timeout = 5; commit", true, Committed)],
            &[("set lock_timeout = 5; select 1/0", false, RolledBack)],
        ] {
            assert_eq!(after(ambiguous), None, "{ambiguous:?}");
        }
        assert!(after(&[("set lock_timeout = 5; set timezone = 'UTC'", true, Committed)]).is_some());
    }
}
