//! What was found of a statement, and what it comes to.
//!
//! A column that a query within computes can be tested by its name further out, and then says what it was computed
//! of. So what was derived is followed to its end before it is told what is exposed.

use super::gathered::Gathered;
use super::lineage::Lineage;
use super::target::is_made_up;
use crate::Exposure;
use std::collections::{BTreeMap, BTreeSet};

/// Plain tests of one column in one statement. Each tells as much as one bit of each value.
pub(super) const MOST_TESTS: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Noted<'t> {
    pub(super) anything: bool,
    /// By which names whole rows can be mentioned.
    pub(super) rows: BTreeSet<&'t str>,
    /// Rows are told apart by all that they have, whatever it is.
    pub(super) tells_apart: bool,
    /// A column may go by a name that cannot be told.
    pub(super) is_blurred: bool,
    exposed: BTreeSet<&'t str>,
    /// Columns and the groups of tests that they are tested in, as often as they are written differently.
    tested: BTreeMap<&'t str, BTreeSet<(usize, Vec<&'t str>)>>,
    compared: BTreeSet<&'t str>,
    counted: BTreeSet<&'t str>,
    /// Of what is exposed, tested and compared, what stands alone.
    alone: BTreeSet<&'t str>,
    derived: Vec<Derived<'t>>,
}

/// An entry of a target list that a query further out reads.
#[derive(Debug)]
pub(super) struct Derived<'t> {
    /// Empty if it cannot be told.
    pub(super) name: &'t str,
    /// What it may be then.
    pub(super) candidates: BTreeSet<&'t str>,
    pub(super) sources: BTreeSet<&'t str>,
    /// Those of the sources that may be whole rows.
    pub(super) alone: BTreeSet<&'t str>,
    /// Whole rows are among the sources.
    pub(super) whole: bool,
    /// It is not just another name.
    pub(super) computed: bool,
    /// It says something else than what one column is.
    pub(super) mixed: bool,
    /// Its values come from several queries.
    pub(super) pooled: bool,
}

impl<'t> Noted<'t> {
    pub(super) fn exposed(&mut self, gathered: &Gathered<'t>) {
        self.anything |= gathered.whole;
        self.exposed.extend(&gathered.columns);
        self.alone.extend(&gathered.alone);
    }

    pub(super) fn exposed_column(&mut self, name: &'t str) {
        self.exposed.insert(name);
    }

    /// A plain test, of one column at most.
    pub(super) fn tested(&mut self, gathered: &Gathered<'t>, group: usize) {
        let Some((name, path)) = gathered.columns.first().zip(gathered.path()) else { return };
        self.tested.entry(name).or_default().insert((group, path.to_vec()));
        self.alone.extend(&gathered.alone);
    }

    /// Rows are sorted, grouped or told apart by it.
    pub(super) fn compared(&mut self, name: &'t str, alone: bool) {
        self.compared.insert(name);
        if alone {
            self.alone.insert(name);
        }
    }

    /// It is counted where it is not NULL.
    pub(super) fn counted(&mut self, name: &'t str) {
        self.counted.insert(name);
    }

    /// An entry of a target list that is read by this name.
    pub(super) fn derived(&mut self, name: Option<&'t str>, of: &Gathered<'t>, computed: bool, pooled: bool) {
        let passes = !computed && name.is_some_and(|name| of.columns.contains(name));
        // What may be a row is one under any name.
        if passes && !pooled && of.alone.is_empty() {
            return;
        }
        self.derived.push(Derived {
            name: name.unwrap_or_default(),
            candidates: if name.is_none() { of.names.clone() } else { BTreeSet::new() },
            sources: of.columns.clone(),
            alone: of.alone.clone(),
            whole: of.whole,
            computed: computed && (of.whole || !of.columns.is_empty()),
            mixed: computed && of.is_mixed() && (of.whole || !of.columns.is_empty()),
            pooled,
        });
    }

    /// Whether anything is exposed already.
    pub(super) fn exposes(&self) -> bool {
        self.anything || !self.exposed.is_empty()
    }

    pub(super) fn into_exposure(mut self) -> Exposure {
        if self.tells_apart {
            self.compared.extend(self.derived.iter().map(|of| of.name).filter(|name| !name.is_empty()));
        }
        let used: BTreeSet<_> = self
            .tested
            .keys()
            .chain(&self.compared)
            .chain(&self.counted)
            .chain(&self.exposed)
            .copied()
            .collect();
        // A name that PostgreSQL makes up may be that of anything without one.
        let made_up: Vec<_> = used.iter().copied().filter(|name| is_made_up(name)).collect();
        for derived in self.derived.iter_mut().filter(|derived| derived.name.is_empty()) {
            derived.candidates.extend(&made_up);
        }
        let lineage = Lineage::of(&self.derived, &self.rows);
        let decisive =
            |name: &&str| lineage.is_mixed(name) || (self.compared.contains(name) && lineage.is_pooled(name));
        let mut exposed = self.exposed.clone();
        exposed.extend(used.iter().copied().filter(decisive));
        exposed.extend(self.tested_too_often(&lineage));
        // What has no name has one that PostgreSQL makes up, and any that is used may be it.
        let nameless = |of: &Derived<'_>| of.name.is_empty() && !of.sources.is_empty();
        if self.derived.iter().any(nameless) {
            exposed.extend(&used);
            exposed.extend(
                self.derived.iter().filter(|of| self.tells_apart && nameless(of)).flat_map(|of| &of.sources),
            );
        }

        let is_whole = |name: &&str| !self.only_counted(name) && lineage.is_row(name);
        let anything = self.anything
            || self.alone.iter().any(|name| self.rows.contains(name))
            || used.iter().any(is_whole)
            || ((!used.is_empty() || self.tells_apart)
                && self.derived.iter().any(|of| of.whole && of.name.is_empty()))
            || (self.is_blurred && self.tells_by_place(&exposed));
        let columns = exposed.into_iter().map(str::to_owned).collect();
        Exposure { columns, anything, derived: exported(&self.derived) }
    }

    fn only_counted(&self, name: &str) -> bool {
        !self.tested.contains_key(name) && !self.compared.contains(name) && !self.exposed.contains(name)
    }

    /// What has the same origin counts together.
    fn tested_too_often(&self, lineage: &Lineage<'t>) -> Vec<&'t str> {
        let once = self.compared.union(&self.counted).map(|name| (*name, 1));
        let tests = self.tested.iter().map(|(name, tests)| (*name, tests.len()));
        let uses: Vec<_> = once.chain(tests).collect();
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for (name, count) in &uses {
            *counts.entry(lineage.kin(name)).or_default() += count;
        }
        let is_too_often = |name: &&str| counts.get(&lineage.kin(name)).is_some_and(|n| *n > MOST_TESTS);
        uses.into_iter().map(|(name, _)| name).filter(is_too_often).collect()
    }

    /// Where columns go by names that cannot be told, only tests of what nobody computed stay plain.
    fn tells_by_place(&self, exposed: &BTreeSet<&str>) -> bool {
        let computes = self.derived.iter().any(|derived| derived.computed);
        !exposed.is_empty()
            || self.tells_apart
            || !self.compared.is_empty()
            || (computes && !self.tested.is_empty())
    }
}

/// Under each name all that may be behind it.
fn exported(derived: &[Derived<'_>]) -> Vec<(String, Vec<String>)> {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for of in derived {
        names.entry(of.name).or_default().extend(&of.sources);
    }
    let owned = |sources: BTreeSet<&str>| sources.into_iter().map(str::to_owned).collect();
    let says = |(name, sources): &(&str, BTreeSet<&str>)| sources.iter().any(|source| source != name);
    names.into_iter().filter(says).map(|(name, sources)| (name.to_owned(), owned(sources))).collect()
}
