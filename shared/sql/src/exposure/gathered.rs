//! What one expression mentions.

use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Gathered<'t> {
    /// Last names of columns.
    pub(super) columns: BTreeSet<&'t str>,
    /// Those without a qualifier.
    pub(super) alone: BTreeSet<&'t str>,
    /// The first column as it is written.
    path: Option<Vec<&'t str>>,
    /// There are columns that are written otherwise.
    several: bool,
    /// Whole rows, or what cannot be told.
    pub(super) whole: bool,
    /// Its value depends on more than the values of columns: there is a sub-select, a window, a function that is not
    /// known to be harmless, or one that gives another value at each call.
    pub(super) varies: bool,
    /// A function in it gives rows.
    pub(super) multiplies: bool,
    /// A function in it does, or may.
    pub(super) may_multiply: bool,
    /// How many aggregates are in it whose value is one of those that they are of.
    pub(super) aggregates: usize,
    /// PostgreSQL may name it by a column that a star stands for.
    pub(super) has_any_name: bool,
    /// Everything that PostgreSQL may name it by where it has no alias.
    pub(super) names: BTreeSet<&'t str>,
}

impl<'t> Gathered<'t> {
    /// The column, if there is one, as it is written first.
    pub(super) fn path(&self) -> Option<&[&'t str]> {
        self.path.as_deref()
    }

    pub(super) fn column(&mut self, path: Vec<&'t str>) {
        let Some(last) = path.last().copied() else { return };
        self.columns.insert(last);
        self.names.insert(last);
        if path.len() == 1 {
            self.alone.insert(last);
        }
        match &self.path {
            None => self.path = Some(path),
            Some(first) => self.several |= *first != path,
        }
    }

    /// It says something else than what one column is.
    pub(super) fn is_mixed(&self) -> bool {
        self.several || self.aggregates > 1 || self.varies || self.multiplies || self.whole
    }

    /// Takes in what a part of it mentions.
    pub(super) fn merge(&mut self, mut other: Self) {
        join(&mut self.columns, &mut other.columns);
        join(&mut self.alone, &mut other.alone);
        join(&mut self.names, &mut other.names);
        match (&self.path, other.path) {
            (None, path) => self.path = path,
            (Some(first), Some(path)) => self.several |= *first != path,
            (Some(_), None) => {}
        }
        self.several |= other.several;
        self.whole |= other.whole;
        self.varies |= other.varies;
        self.multiplies |= other.multiplies;
        self.may_multiply |= other.may_multiply;
        self.aggregates = self.aggregates.saturating_add(other.aggregates);
        self.has_any_name |= other.has_any_name;
    }
}

/// The smaller set goes into the larger, so that nesting does not multiply the work.
fn join<'t>(set: &mut BTreeSet<&'t str>, other: &mut BTreeSet<&'t str>) {
    if set.len() < other.len() {
        std::mem::swap(set, other);
    }
    set.extend(std::mem::take(other));
}
