//! Entries of target lists: what is output, what later tests may name, and what rows are sorted by through them.

use super::query::Targets;
use super::{Gathered, Reader, Task, Use, bare, last};
use crate::Output;
use crate::grammar::{ConstValue, Node, nodes};
use crate::output;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What PostgreSQL names an expression by whose parts say nothing better (`FigureColname`). Sorted.
const NAMES: [&str; 23] = [
    "?column?",
    "array",
    "case",
    "coalesce",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "date_part",
    "exists",
    "greatest",
    "grouping",
    "least",
    "localtime",
    "localtimestamp",
    "nullif",
    "row",
    "session_user",
    "user",
    "xmlconcat",
];

/// A name that may be that of any expression without one. VALUES has `column1` and so on.
pub(super) fn is_made_up(name: &str) -> bool {
    let is_number = |end: &str| end.bytes().all(|byte| byte.is_ascii_digit());
    NAMES.binary_search(&name).is_ok() || name.strip_prefix("column").is_some_and(is_number)
}

/// What a query is sorted, grouped or made distinct by, as far as entries of its target list may be meant.
#[derive(Debug, Default)]
pub(super) struct Keys<'t> {
    names: BTreeSet<&'t str>,
    /// One of the names may be that of any expression.
    has_made_up: bool,
    /// Counted from 1.
    places: BTreeSet<usize>,
}

impl<'t> Keys<'t> {
    pub(super) fn name(&mut self, name: &'t str, alone: bool) {
        if alone {
            self.names.insert(name);
            self.has_made_up |= is_made_up(name);
        }
    }

    pub(super) fn constant(&mut self, value: Option<ConstValue<'_>>) {
        if let Some(ConstValue::Integer(place)) = value {
            self.places.extend(usize::try_from(place));
        }
    }

    pub(super) fn are_any(&self) -> bool {
        !self.names.is_empty() || !self.places.is_empty()
    }

    /// Whether they mean this entry, as far as its place and name say.
    fn mean(&self, place: usize, name: Option<&str>) -> bool {
        self.places.contains(&place.saturating_add(1)) || name.is_some_and(|name| self.names.contains(name))
    }

    /// Whether they may mean an entry without an alias.
    fn may_mean(&self, gathered: &Gathered<'_>) -> bool {
        self.has_made_up
            || (gathered.has_any_name && !self.names.is_empty())
            || gathered.names.iter().any(|name| self.names.contains(name))
    }
}

/// One SELECT or VALUES, and the set operation that it is part of.
pub(super) struct Arm<'a, 't> {
    pub(super) targets: Targets,
    pub(super) together: Option<&'a Together<'t>>,
}

/// What the arms of a set operation have in common.
#[derive(Debug, Default)]
pub(super) struct Together<'t> {
    /// Names of the outputs, which are those of the first arm. None that can be told behind a star of any arm.
    pub(super) names: Vec<Option<&'t str>>,
    /// Rows are compared with rows.
    pub(super) compares: bool,
    /// It, or a part of it, is sorted by what may be any entry.
    pub(super) sorts_by_any: bool,
    /// What the whole is sorted by.
    pub(super) keys: Keys<'t>,
}

impl<'t> Together<'t> {
    pub(super) fn name(&mut self, arms: &[&'t nodes::SelectStmt]) {
        let is_clear = |arm: &nodes::SelectStmt| {
            arm.values_lists().is_empty() && !arm.target_list().iter().any(|target| is_star(target.val()))
        };
        let first = arms.first().filter(|_| arms.iter().all(|arm| is_clear(arm)));
        self.names = match first {
            Some(arm) => arm.target_list().iter().map(name).collect(),
            None => vec![None],
        };
        // Where a name is none of the first arm's it can be the one that PostgreSQL makes up.
        let told: BTreeSet<_> = self.names.iter().flatten().copied().collect();
        let is_clear = self.keys.names.is_subset(&told) && !self.names.contains(&None);
        self.sorts_by_any |= self.keys.are_any() && !is_clear;
    }

    pub(super) fn is_sorted(&self) -> bool {
        self.sorts_by_any || self.keys.are_any()
    }

    fn named(&self, place: usize) -> Option<&'t str> {
        self.names.get(place).copied().flatten()
    }

    /// Whether it is sorted by this entry.
    fn sorts_by(&self, place: usize) -> bool {
        self.sorts_by_any || self.keys.mean(place, self.named(place))
    }
}

/// An entry, and what is to become of what it mentions.
pub(super) struct Target<'t> {
    /// It is a column by itself.
    bare: Option<(&'t str, bool)>,
    /// Its alias, or the name of that column.
    name: Option<&'t str>,
    /// It decides about rows.
    is_exposed: bool,
    /// Rows are sorted or grouped by it.
    is_key: bool,
    /// They may be, by names that it may have.
    keys: Rc<Keys<'t>>,
    /// Rows are told apart by it.
    is_distinct: bool,
    /// The name by which the query around it reads it, if one does.
    read_as: Option<Option<&'t str>>,
    /// It is several, with names that nobody knows.
    is_star: bool,
    /// Others have the same name.
    is_pooled: bool,
    /// What it is part of.
    into: Option<usize>,
}

impl<'t> Reader<'t> {
    pub(super) fn targets(
        &mut self,
        list: impl IntoIterator<Item = &'t nodes::ResTarget>,
        keys: Keys<'t>,
        is_distinct: bool,
        arm: &Arm<'_, 't>,
    ) {
        let Arm { targets, together } = *arm;
        let list: Vec<_> = list.into_iter().collect();
        // Behind a star nobody knows which entry a number means.
        let is_any = !keys.places.is_empty() && list.iter().any(|target| is_star(target.val()));
        let compares = together.is_some_and(|together| together.compares);
        // A value that is told apart beside others is told apart among what these are.
        let is_beside =
            list.iter().filter(|target| output::entry(target.val()) != Output::Constant).count() > 1;
        let keys = Rc::new(keys);
        for (place, entry) in list.into_iter().enumerate() {
            let value = entry.val();
            if targets == Targets::Shown && output::entry(value) == Output::Count {
                self.count(value);
                continue;
            }
            if is_star(value) && matches!(value, Node::ColumnRef(_)) {
                match targets {
                    Targets::Into(sink) => {
                        self.with(sink, |gathered| gathered.has_any_name = true);
                        self.push(Task::Expression(value, sink));
                    }
                    _ if compares => self.expose(value),
                    _ => {}
                }
                self.noted.tells_apart |= is_distinct;
                continue;
            }
            let name = name(entry);
            let target = Target {
                bare: bare(value),
                name,
                is_exposed: compares || (is_distinct && is_beside && bare(value).is_none()),
                is_key: is_any
                    || keys.mean(place, name)
                    || together.is_some_and(|together| together.sorts_by(place)),
                keys: keys.clone(),
                is_distinct,
                is_star: is_star(value),
                read_as: (targets == Targets::Derived)
                    .then(|| together.map_or(name, |together| together.named(place)))
                    .map(|read_as| read_as.filter(|_| !is_star(value))),
                is_pooled: together.is_some(),
                into: if let Targets::Into(sink) = targets { Some(sink) } else { None },
            };
            self.gather_aggregate(value, Use::Target(target));
        }
    }

    /// Expressions whose values are written.
    pub(super) fn outputs(&mut self, node: Node<'t>) {
        let target = Target {
            bare: None,
            name: None,
            is_exposed: false,
            is_key: false,
            keys: Rc::default(),
            is_distinct: false,
            is_star: false,
            read_as: None,
            is_pooled: false,
            into: None,
        };
        self.gather(node, Use::Target(target));
    }

    /// What is counted is shown, so each count is a test.
    fn count(&mut self, value: Node<'t>) {
        let Node::FuncCall(call) = value else { return };
        self.condition_of(call.agg_filter());
        if let Some((name, alone)) = call.args().first().and_then(bare) {
            if call.agg_distinct { self.noted.compared(name, alone) } else { self.noted.counted(name) }
        }
    }

    pub(super) fn close_target(&mut self, mut gathered: Gathered<'t>, target: Target<'t>) {
        gathered.has_any_name |= target.is_star;
        let is_key = target.is_key || (target.name.is_none() && target.keys.may_mean(&gathered));
        let is_computed = target.bare.is_none();
        if gathered.multiplies
            || target.is_exposed
            || (is_key && is_computed)
            || (target.is_distinct && gathered.is_mixed())
        {
            self.noted.exposed(&gathered);
        } else if is_key || target.is_distinct {
            // Each is a test of what it computes.
            if is_computed && !gathered.columns.is_empty() {
                let group = self.new_group();
                self.noted.tested(&gathered, group);
            }
            let compared = gathered.columns.iter().map(|name| (*name, gathered.alone.contains(name)));
            compared.for_each(|(name, alone)| self.noted.compared(name, alone));
        }
        if let Some(name) = target.read_as {
            self.noted.derived(name, &gathered, is_computed, target.is_pooled);
        }
        if let Some(outer) = target.into.and_then(|outer| self.gathered.get_mut(outer)) {
            outer.names.extend(target.name);
            outer.merge(gathered);
        }
    }
}

/// By its alias, or because it is a column by itself.
fn name(target: &nodes::ResTarget) -> Option<&str> {
    target.name().or_else(|| bare(target.val()).map(|(name, _)| name))
}

fn is_star(value: Node<'_>) -> bool {
    match value {
        Node::ColumnRef(column) => last(column).is_none(),
        Node::A_Indirection(of) => matches!(of.indirection().iter().next_back(), Some(Node::A_Star(_))),
        _ => false,
    }
}
