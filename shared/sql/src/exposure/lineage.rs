//! What the columns come to that queries within a statement rename, compute and put together.

use super::noted::Derived;
use std::collections::{BTreeSet, HashMap};

/// Names and entries of target lists as the nodes of one graph: values go from names into entries, and from an entry
/// to the names that it may have.
#[derive(Debug)]
pub(super) struct Lineage<'t> {
    names: HashMap<&'t str, usize>,
    mixed: Vec<bool>,
    pooled: Vec<bool>,
    rows: Vec<bool>,
    /// The number of the part of the graph that a node belongs to.
    kin: Vec<usize>,
}

/// For each node those next to it.
type Edges = Vec<Vec<usize>>;

impl<'t> Lineage<'t> {
    pub(super) fn of(derived: &[Derived<'t>], rows: &BTreeSet<&'t str>) -> Self {
        // Entries come first, by their places.
        let mut names = HashMap::new();
        let mut edges: Edges = derived.iter().map(|_| Vec::new()).collect();
        for (entry, of) in derived.iter().enumerate() {
            for source in &of.sources {
                let source = node(source, &mut names, &mut edges);
                link(&mut edges, source, entry);
            }
            for name in of.candidates.iter().chain([&of.name]) {
                let name = node(name, &mut names, &mut edges);
                link(&mut edges, entry, name);
            }
        }
        let entries = |is: &dyn Fn(&Derived<'t>) -> bool| -> Vec<usize> {
            derived.iter().enumerate().filter(|(_, of)| is(of)).map(|(entry, _)| entry).collect()
        };
        let computed = reached(&edges, entries(&|of| of.computed));
        // Of values from several queries one test says something of each of them.
        let at = |marks: &[bool], entry: usize| marks.get(entry).copied().unwrap_or_default();
        let mixes = derived.iter().enumerate().filter(|(entry, of)| {
            let is_computed = of.computed || at(&computed, *entry);
            of.mixed || (of.pooled && is_computed)
        });
        let mixed = reached(&edges, mixes.map(|(entry, _)| entry).collect());
        let pooled = reached(&edges, entries(&|of| of.pooled));
        let has_row = |of: &Derived<'t>| of.whole || of.alone.iter().any(|name| rows.contains(name));
        let rows = reached(&edges, entries(&has_row));
        Self { names, mixed, pooled, rows, kin: parts(&edges) }
    }

    /// Whether it says something else than what one column is.
    pub(super) fn is_mixed(&self, name: &str) -> bool {
        self.is(&self.mixed, name)
    }

    /// Whether its values come from several queries.
    pub(super) fn is_pooled(&self, name: &str) -> bool {
        self.is(&self.pooled, name)
    }

    /// Whether it has values of whole rows.
    pub(super) fn is_row(&self, name: &str) -> bool {
        self.is(&self.rows, name)
    }

    /// What is the same for all names with a common origin.
    pub(super) fn kin<'n>(&self, name: &'n str) -> Kin<'n> {
        match self.names.get(name).and_then(|node| self.kin.get(*node)) {
            Some(part) => Kin::Part(*part),
            None => Kin::Alone(name),
        }
    }

    fn is(&self, marks: &[bool], name: &str) -> bool {
        self.names.get(name).and_then(|node| marks.get(*node)).copied().unwrap_or_default()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kin<'n> {
    Part(usize),
    Alone(&'n str),
}

fn node<'t>(name: &'t str, names: &mut HashMap<&'t str, usize>, edges: &mut Edges) -> usize {
    *names.entry(name).or_insert_with(|| {
        edges.push(Vec::new());
        edges.len().saturating_sub(1)
    })
}

fn link(edges: &mut Edges, from: usize, to: usize) {
    edges.get_mut(from).into_iter().for_each(|next| next.push(to));
}

/// What can be reached from these nodes, and they themselves.
fn reached(edges: &Edges, from: Vec<usize>) -> Vec<bool> {
    let mut marks = vec![false; edges.len()];
    let mut left = from;
    while let Some(node) = left.pop() {
        let Some(mark) = marks.get_mut(node).filter(|mark| !**mark) else { continue };
        *mark = true;
        left.extend(edges.get(node).into_iter().flatten());
    }
    marks
}

/// Numbers the parts of the graph, whichever way its edges go.
fn parts(edges: &Edges) -> Vec<usize> {
    let mut both = edges.clone();
    for (from, next) in edges.iter().enumerate() {
        next.iter().for_each(|to| link(&mut both, *to, from));
    }
    let mut part = vec![None; edges.len()];
    for start in 0..edges.len() {
        let mut left = vec![start];
        while let Some(node) = left.pop() {
            let Some(number) = part.get_mut(node).filter(|number| number.is_none()) else { continue };
            *number = Some(start);
            left.extend(both.get(node).into_iter().flatten());
        }
    }
    part.into_iter().map(Option::unwrap_or_default).collect()
}
