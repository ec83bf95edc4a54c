//! What of a statement's relations is tagged, as the catalog answered.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use countersign_model::{Action, DataClass, Fact, TaggedColumn};
use countersign_sql::{Analysis, Moves};

use super::origin::{Place, origins};

/// Views upon views that are followed; what lies deeper is covered.
const DEEPEST_VIEW: usize = 32;

/// A row of the answer that is about tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// A column that a tag is for; attribute 0 stands for all columns of the relation.
    Tagged {
        /// Which tag, counted from 0.
        tag: usize,
        relation: u32,
        attribute: i16,
        /// Its name, which may be another than the tag's where it is generated from that.
        name: String,
    },
    /// A relation that the statement reaches.
    Reached {
        relation: u32,
        /// Its `relkind`.
        kind: String,
        /// The tree of a view's rule.
        rule: String,
        /// What it shows cannot be told.
        is_opaque: bool,
    },
}

/// The tags of a target, numbered as they are asked for.
pub(crate) fn numbered(classes: &[DataClass]) -> impl Iterator<Item = (&DataClass, &TaggedColumn)> {
    classes.iter().flat_map(|class| class.columns.iter().map(move |column| (class, column)))
}

/// Where the values of a result column come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin<'t> {
    /// A column that no tag is for.
    Untagged,
    /// A column of these classes.
    Tagged(&'t BTreeSet<Arc<str>>),
    /// Computed, or not known.
    Unresolved,
}

/// What of a statement's relations is tagged.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// The classes whose values the statement can reach, sorted. None where nothing has to be covered.
    classes: Vec<Arc<str>>,
    is_opaque: bool,
    columns: HashMap<Place, BTreeSet<Arc<str>>>,
    /// Names that tagged columns have where they are stored.
    names: HashSet<String>,
    /// The relations that the statement reaches, and whether their columns are stored rather than computed.
    reached: HashMap<u32, bool>,
    views: HashMap<Place, Place>,
}

impl Tags {
    /// Reads the answer. `facts` are those of the statement: what runs unread code can reach every tagged column.
    pub(crate) fn new(rows: Vec<Row>, classes: &[DataClass], facts: &[Fact]) -> Self {
        let mut tags = Self::default();
        let by_number: Vec<Arc<str>> =
            numbered(classes).map(|(class, _)| Arc::from(class.name.as_str())).collect();
        let unread =
            |fact: &Fact| matches!(fact.action, Action::PostgresCall | Action::PostgresDo | Action::Unparsed);
        let mut is_opaque = facts.iter().any(unread);
        let mut touched = BTreeSet::new();
        for row in rows {
            match row {
                Row::Tagged { tag, relation, attribute, name } => {
                    // A number that was not asked for is none of ours; that there is one is reason for doubt.
                    let Some(class) = by_number.get(tag) else {
                        is_opaque = true;
                        continue;
                    };
                    touched.insert(class.clone());
                    tags.names.insert(name);
                    tags.columns.entry((relation, attribute)).or_default().insert(class.clone());
                }
                Row::Reached { relation, kind, rule, is_opaque: opaque } => {
                    tags.reached.insert(relation, is_stored(&kind));
                    is_opaque |= opaque;
                    tags.views.extend(
                        origins(&rule).into_iter().map(|(column, origin)| ((relation, column), origin)),
                    );
                }
            }
        }
        if is_opaque {
            touched.extend(by_number);
        }
        tags.is_opaque = is_opaque;
        tags.classes = touched.into_iter().collect();
        tags
    }

    /// The classes whose values the statement can reach, sorted.
    pub(crate) fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// It runs code that nobody read, or shows what cannot be told.
    pub(super) fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// Where a result column comes from, by what the target said of it.
    pub(super) fn origin(&self, place: Place) -> Origin<'_> {
        let mut place = place;
        for _ in 0..DEEPEST_VIEW {
            let (relation, attribute) = place;
            // Attribute 0 is the row as a whole.
            let Some(is_stored) = self.reached.get(&relation).filter(|_| attribute != 0) else {
                return Origin::Unresolved;
            };
            if let Some(classes) = self.columns.get(&place).or_else(|| self.columns.get(&(relation, 0))) {
                return Origin::Tagged(classes);
            }
            place = match self.views.get(&place) {
                Some(origin) => *origin,
                None if *is_stored => return Origin::Untagged,
                None => return Origin::Unresolved,
            };
        }
        Origin::Unresolved
    }

    /// Whether a statement would copy tagged values to where they are not tagged: then its reply is not all that would
    /// have to be covered.
    pub(crate) fn are_moved_by(&self, analysis: &Analysis) -> bool {
        // Code that policy permits unread may copy what it likes: that is what was permitted.
        if self.columns.is_empty() {
            return false;
        }
        analysis.statements.iter().any(|statement| match &statement.moves {
            Moves::Nothing => false,
            Moves::Columns(names) => {
                // A view gives columns other names, and a tag without its column is for all of them.
                self.reached.values().any(|is_stored| !is_stored)
                    || self.names.contains("")
                    || names.iter().any(|name| self.names.contains(name))
            }
            Moves::Anything => true,
        })
    }
}

/// Whether the columns of a relation of this kind are stored in it: tables, partitioned and foreign tables, sequences and
/// TOAST tables. A view computes them, and a materialised view stores what it computed.
fn is_stored(kind: &str) -> bool {
    ["r", "p", "f", "S", "t"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use countersign_model::Resource;

    use super::*;

    fn class(name: &str, columns: &[(&str, &str)]) -> DataClass {
        let column = |(relation, column): &(&str, &str)| TaggedColumn {
            schema: "public".into(),
            relation: (*relation).into(),
            column: (*column).into(),
        };
        DataClass {
            name: name.parse().unwrap(),
            columns: columns.iter().map(column).collect(),
            detectors: Vec::new(),
        }
    }

    fn classes() -> Vec<DataClass> {
        vec![class("email", &[("customers", "email")]), class("card", &[("cards", "pan")])]
    }

    fn tagged(tag: usize, relation: u32, attribute: i16) -> Row {
        Row::Tagged { tag, relation, attribute, name: if attribute == 0 { "" } else { "email" }.to_owned() }
    }

    fn reached(relation: u32, kind: &str, rule: &str) -> Row {
        Row::Reached { relation, kind: kind.to_owned(), rule: rule.to_owned(), is_opaque: false }
    }

    fn rule(entries: &[(i16, u32, i16)]) -> String {
        let entry = |(number, table, column): &(i16, u32, i16)| {
            format!("{{TARGETENTRY :resno {number} :resorigtbl {table} :resorigcol {column} :resjunk false}}")
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        format!("({{QUERY :targetList ({}) :setOperations <>}})", entries.join(" "))
    }

    fn words(tags: &Tags) -> Vec<&str> {
        tags.classes().iter().map(|class| &**class).collect()
    }

    #[test]
    fn a_column_is_tagged_where_it_is_stored_and_through_views() {
        let over = rule(&[(1, 10, 3), (2, 10, 1)]);
        let above = rule(&[(1, 20, 1), (2, 20, 2), (3, 0, 0)]);
        let rows =
            vec![tagged(0, 10, 3), reached(10, "r", ""), reached(20, "v", &over), reached(30, "v", &above)];
        let tags = Tags::new(rows, &classes(), &[]);
        assert_eq!(words(&tags), ["email"]);
        for place in [(10, 3), (20, 1), (30, 1)] {
            assert!(matches!(tags.origin(place), Origin::Tagged(_)), "{place:?}");
        }
        for place in [(10, 1), (20, 2), (30, 2), (10, -1)] {
            assert_eq!(tags.origin(place), Origin::Untagged, "{place:?}");
        }
        for place in [(30, 3), (10, 0), (20, 9), (0, 0), (99, 1)] {
            assert_eq!(tags.origin(place), Origin::Unresolved, "{place:?}");
        }
    }

    #[test]
    fn a_tag_without_its_column_is_for_the_whole_relation() {
        let tags = Tags::new(vec![tagged(0, 10, 0), reached(10, "r", "")], &classes(), &[]);
        assert!(matches!(tags.origin((10, 1)), Origin::Tagged(_)));
    }

    #[test]
    fn views_that_go_round_in_circles_have_no_origin() {
        let rows = vec![reached(20, "v", &rule(&[(1, 20, 1)])), tagged(0, 10, 1)];
        assert_eq!(Tags::new(rows, &classes(), &[]).origin((20, 1)), Origin::Unresolved);
    }

    #[test]
    fn what_runs_unread_code_can_reach_every_class() {
        let resource =
            Resource::Function { database: "d".into(), schema: "public".into(), function: "f".into() };
        let fact = Fact { action: Action::PostgresCall, resource };
        assert_eq!(words(&Tags::new(Vec::new(), &classes(), &[fact])), ["card", "email"]);
        let opaque = Row::Reached { relation: 9, kind: "v".to_owned(), rule: String::new(), is_opaque: true };
        assert_eq!(words(&Tags::new(vec![opaque], &classes(), &[])), ["card", "email"]);
        assert_eq!(words(&Tags::new(vec![tagged(7, 10, 1)], &classes(), &[])), ["card", "email"]);
        assert!(Tags::new(vec![reached(10, "r", "")], &classes(), &[]).classes().is_empty());
    }
}
