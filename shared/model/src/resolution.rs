//! What the names of a statement mean, as the edge that asked the catalog attests it.

use std::{fmt, sync::Arc};

/// What a resolved name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NameKind {
    /// A relation; `first` is its `relkind`.
    Relation,
    /// A column of a relation; `first` is its name.
    Column,
    /// A function.
    Function,
    /// A function that a name selected from a row may call; or a cast, where `first` and `second` are schema and name
    /// of the type's input function.
    Attribute,
    /// An operator; `first` and `second` are schema and name of its function, empty for a built-in one.
    Operator,
    /// A type; `first` and `second` are schema and name of its input function, empty for the row of a relation.
    Type,
}

/// One meaning of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResolvedName {
    /// What it is.
    pub kind: NameKind,
    /// Which name of the statement, counted from 0 in the list of its kind.
    pub place: usize,
    /// Schema that holds the object.
    pub schema: String,
    /// Name of the object.
    pub name: String,
    /// Depends on the kind.
    pub first: String,
    /// Depends on the kind.
    pub second: String,
}

/// The catalogs whose objects have definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectClass {
    /// `pg_class`.
    Relation,
    /// `pg_proc`.
    Function,
}

impl ObjectClass {
    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Function => "function",
        }
    }
}

/// An object that a statement touches, and what it was defined as when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectVersion {
    /// Its catalog.
    pub class: ObjectClass,
    /// Its object identifier.
    pub oid: u32,
    /// SHA-256 of its definition: columns, view text, rules, triggers and policies, or a function's body.
    pub definition: [u8; 32],
}

/// What an edge attests of a PostgreSQL operation: everything beside the text that decides what it will do.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Database of the connection that it will run on.
    pub database: Arc<str>,
    /// Role that it will run as.
    pub role: Arc<str>,
    /// Effective search path of that role, in order.
    pub search_path: Vec<String>,
    /// Settings of the session that were changed since its login, by name, sorted.
    pub settings: Vec<(String, String)>,
    /// What its names mean.
    pub names: Vec<ResolvedName>,
    /// The objects that it touches, sorted.
    pub objects: Vec<ObjectVersion>,
    /// The session was inside a transaction.
    pub in_transaction: bool,
    /// What goes before it on the connection that it will run on, in order: statements that were decided by
    /// themselves, such as BEGIN and savepoints.
    pub preamble: Vec<String>,
    /// The data classes that tagged columns of what it touches belong to, sorted, without repetition.
    pub classes: Vec<Arc<str>>,
}

impl fmt::Debug for Resolution {
    /// What it is of, and how much: neither values that were set nor statements are ever logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, role, search_path, settings, names, objects, in_transaction, preamble, classes } =
            self;
        f.debug_struct("Resolution")
            .field("database", database)
            .field("role", role)
            .field("search_path", search_path)
            .field("settings", &settings.len())
            .field("names", names)
            .field("objects", &objects.len())
            .field("in_transaction", in_transaction)
            .field("preamble", &preamble.len())
            .field("classes", classes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_what_was_set_nor_what_goes_before() {
        let resolution = Resolution {
            database: "shop".into(),
            role: "r".into(),
            search_path: vec!["public".into()],
            settings: vec![("app.key".into(), "hunter2".into())],
            names: Vec::new(),
            objects: Vec::new(),
            in_transaction: true,
            preamble: vec!["SET LOCAL app.key = 'hunter2'".into()],
            classes: vec!["email".into()],
        };
        let shown = format!("{resolution:?}");
        assert!(shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    }
}
