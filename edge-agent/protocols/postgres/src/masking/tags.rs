//! What of a statement's relations is tagged, as the catalog answered.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use countersign_model::{Action, DataClass, Fact, NameKind, ResolvedName, Resource, TaggedColumn};
use countersign_sql::{Access, Analysis, Moves, reads_the_catalog};

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
    /// A tag's relation is not there.
    Missing {
        /// Which tag, counted from 0.
        tag: usize,
    },
    /// A column of a relation that the statement reaches.
    Attribute { relation: u32, attribute: i16, name: String },
    /// A name that is selected from a value, and that a function of whole rows has.
    Function { name: String },
    /// A relation that the statement reaches.
    Reached {
        relation: u32,
        /// Its `relkind`.
        kind: String,
        /// The tree of a view's rule.
        rule: String,
        /// What it shows cannot be told.
        is_opaque: bool,
        /// An error that comes of using it can quote other rows than its own.
        has_attached: bool,
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
    /// A relation that it reaches shows what others hold.
    shows_others: bool,
    has_attached: bool,
    /// Names of functions of whole rows that are selected from values.
    of_rows: BTreeSet<String>,
    tagged: HashMap<Place, BTreeSet<Arc<str>>>,
    /// The relations that the statement reaches, and whether their columns are stored rather than computed.
    reached: HashMap<u32, bool>,
    /// The columns that these have now. One that was described and is not there any more is no known one.
    columns: HashMap<Place, String>,
    views: HashMap<Place, Place>,
    missing: Vec<usize>,
}

impl Tags {
    /// Reads the answer. `facts` and `names` are those of the statement: what runs unread code can reach every tagged
    /// column.
    pub(crate) fn new(rows: Vec<Row>, classes: &[DataClass], facts: &[Fact], names: &[ResolvedName]) -> Self {
        let by_number: Vec<Arc<str>> =
            numbered(classes).map(|(class, _)| Arc::from(class.name.as_str())).collect();
        let mut tags =
            Self { is_opaque: facts.iter().any(is_unread) || names_foreign_type(names), ..Self::default() };
        let mut touched = BTreeSet::new();
        for row in rows {
            match row {
                Row::Tagged { tag, relation, attribute, name } => {
                    // A number that was not asked for is none of ours; that there is one is reason for doubt.
                    let Some(class) = by_number.get(tag) else {
                        tags.is_opaque = true;
                        continue;
                    };
                    touched.insert(class.clone());
                    tags.tagged.entry((relation, attribute)).or_default().insert(class.clone());
                    tags.columns.insert((relation, attribute), name);
                }
                Row::Missing { tag } => tags.missing.push(tag),
                Row::Function { name } => _ = tags.of_rows.insert(name),
                Row::Attribute { relation, attribute, name } => {
                    tags.columns.insert((relation, attribute), name);
                }
                Row::Reached { relation, kind, rule, is_opaque, has_attached } => {
                    tags.reached.insert(relation, is_stored(&kind) && !is_opaque);
                    tags.is_opaque |= is_opaque;
                    tags.shows_others |= is_opaque;
                    tags.has_attached |= has_attached;
                    let origins = origins(&rule).into_iter();
                    tags.views.extend(origins.map(|(column, origin)| ((relation, column), origin)));
                }
            }
        }
        if tags.is_opaque {
            touched.extend(by_number);
        }
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

    /// An error of the target can quote rows that the statement says nothing of.
    pub(crate) fn may_quote(&self) -> bool {
        self.has_attached
    }

    /// The tags whose relations are not there, by their numbers.
    pub(crate) fn missing(&self) -> &[usize] {
        &self.missing
    }

    /// Where a result column comes from, by what the target said of it.
    pub(super) fn origin(&self, place: Place) -> Origin<'_> {
        let mut place = place;
        for _ in 0..DEEPEST_VIEW {
            let (relation, attribute) = place;
            // Attribute 0 is the row as a whole, and those below it are the system's own.
            let is_known = self.columns.contains_key(&place) || attribute < 0;
            let Some(is_stored) = self.reached.get(&relation).filter(|_| attribute != 0 && is_known) else {
                return Origin::Unresolved;
            };
            if let Some(classes) = self.tagged.get(&place).or_else(|| self.tagged.get(&(relation, 0))) {
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

    /// Whether a statement would give tagged values away otherwise than in the columns of its reply: by copying them to
    /// where they are not tagged, or by which rows there are. Then masking the reply is not enough.
    pub(crate) fn escape_by(&self, analysis: &Analysis) -> bool {
        let sensitive = self.sensitive_names();
        analysis.statements.iter().any(|statement| {
            let writes =
                statement.relations.iter().any(|used| !matches!(used.access, Access::Read | Access::Lock));
            // Code that policy permits unread may copy what it likes, but not into what the statement itself writes.
            let is_blind = self.is_opaque && (writes || statement.creates.is_some());
            if is_blind && statement.moves != Moves::Nothing {
                return true;
            }
            if self.tagged.is_empty() && !self.shows_others {
                return false;
            }
            let decides = !statement.exposes.columns.is_empty() || statement.moves != Moves::Nothing;
            if decides && self.takes_rows() {
                return true;
            }
            let sensitive = with_derived(sensitive.clone(), &statement.exposes.derived);
            let has = |names: &[String]| {
                !names.is_empty()
                    && (sensitive.contains("") || names.iter().any(|name| sensitive.contains(&**name)))
            };
            let moved = match &statement.moves {
                Moves::Nothing => false,
                Moves::Columns(names) => has(names),
                Moves::Anything => true,
            };
            moved || statement.exposes.anything || has(&statement.exposes.columns)
        })
    }

    /// Whether something that is selected from a value is no column, and so a function of the whole row.
    fn takes_rows(&self) -> bool {
        let is_column = |name: &String| self.columns.values().any(|column| column == name);
        !self.of_rows.iter().all(is_column)
    }

    /// Names by which values of tagged origin can be mentioned; an empty one if by any.
    fn sensitive_names(&self) -> BTreeSet<&str> {
        let names = self.columns.iter().filter(|(place, _)| self.origin(**place) != Origin::Untagged);
        let names = names.map(|(_, name)| name.as_str());
        let whole = self.tagged.keys().any(|(_, attribute)| *attribute == 0);
        names.chain(whole.then_some("")).collect()
    }
}

/// These names, and those that are made of them within the statement.
fn with_derived<'n>(
    mut sensitive: BTreeSet<&'n str>,
    derived: &'n [(String, Vec<String>)],
) -> BTreeSet<&'n str> {
    // Each round takes in at least one name, or is the last.
    for _ in 0..=derived.len() {
        let before = sensitive.len();
        for (name, sources) in derived {
            if sensitive.contains("") || sources.iter().any(|source| sensitive.contains(&**source)) {
                sensitive.insert(name);
            }
        }
        if sensitive.len() == before {
            break;
        }
    }
    sensitive
}

/// Whether a built-in function that policy has to permit gives nothing of a table: settings, since what would put a tagged
/// value into one is refused, and names of objects, as the catalog has them.
fn tells_no_values(function: &str) -> bool {
    ["current_setting", "set_config"].contains(&function) || reads_the_catalog(function)
}

/// Whether it runs code that nobody read.
fn is_unread(fact: &Fact) -> bool {
    match (&fact.action, &fact.resource) {
        (Action::PostgresDo | Action::Unparsed, _) => true,
        (Action::PostgresCall, Resource::Function { schema, function, .. }) => {
            &**schema != "pg_catalog" || !tells_no_values(function)
        }
        (Action::PostgresCall, _) => true,
        _ => false,
    }
}

/// Whether a statement names a type of somebody's: a cast may run code of theirs, which no name says.
fn names_foreign_type(names: &[ResolvedName]) -> bool {
    let is_built_in = |schema: &str| ["pg_catalog", "information_schema"].contains(&schema);
    names.iter().any(|name| name.kind == NameKind::Type && !is_built_in(&name.schema))
}

/// Whether the columns of a relation of this kind are stored in it: tables, partitioned and foreign tables, sequences and
/// TOAST tables. A view computes them, and a materialised view stores what it computed.
fn is_stored(kind: &str) -> bool {
    ["r", "p", "f", "S", "t"].contains(&kind)
}

#[cfg(test)]
mod tests {
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
        let (kind, rule) = (kind.to_owned(), rule.to_owned());
        Row::Reached { relation, kind, rule, is_opaque: false, has_attached: false }
    }

    fn attributes(relation: u32, count: i16) -> impl Iterator<Item = Row> {
        (1..=count).map(move |attribute| Row::Attribute {
            relation,
            attribute,
            name: format!("c{attribute}"),
        })
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
        let mut rows =
            vec![tagged(0, 10, 3), reached(10, "r", ""), reached(20, "v", &over), reached(30, "v", &above)];
        rows.extend([10, 20, 30].into_iter().flat_map(|relation| attributes(relation, 3)));
        let tags = Tags::new(rows, &classes(), &[], &[]);
        assert_eq!(words(&tags), ["email"]);
        for place in [(10, 3), (20, 1), (30, 1)] {
            assert!(matches!(tags.origin(place), Origin::Tagged(_)), "{place:?}");
        }
        for place in [(10, 1), (20, 2), (30, 2), (10, -1)] {
            assert_eq!(tags.origin(place), Origin::Untagged, "{place:?}");
        }
        for place in [(30, 3), (10, 0), (10, 4), (20, 9), (0, 0), (99, 1)] {
            assert_eq!(tags.origin(place), Origin::Unresolved, "{place:?}");
        }
    }

    #[test]
    fn a_tag_without_its_column_is_for_the_whole_relation() {
        let rows = [tagged(0, 10, 0), reached(10, "r", "")].into_iter().chain(attributes(10, 1)).collect();
        let tags = Tags::new(rows, &classes(), &[], &[]);
        assert!(matches!(tags.origin((10, 1)), Origin::Tagged(_)));
    }

    #[test]
    fn views_that_go_round_in_circles_have_no_origin() {
        let rows = vec![reached(20, "v", &rule(&[(1, 20, 1)])), tagged(0, 10, 1)];
        assert_eq!(Tags::new(rows, &classes(), &[], &[]).origin((20, 1)), Origin::Unresolved);
    }

    #[test]
    fn what_runs_unread_code_can_reach_every_class() {
        let resource =
            Resource::Function { database: "d".into(), schema: "public".into(), function: "f".into() };
        let fact = Fact { action: Action::PostgresCall, resource };
        assert_eq!(words(&Tags::new(Vec::new(), &classes(), &[fact], &[])), ["card", "email"]);
        let (kind, rule) = ("v".to_owned(), String::new());
        let opaque = Row::Reached { relation: 9, kind, rule, is_opaque: true, has_attached: false };
        assert_eq!(words(&Tags::new(vec![opaque], &classes(), &[], &[])), ["card", "email"]);
        assert_eq!(words(&Tags::new(vec![tagged(7, 10, 1)], &classes(), &[], &[])), ["card", "email"]);
        assert!(Tags::new(vec![reached(10, "r", "")], &classes(), &[], &[]).classes().is_empty());
    }
}
