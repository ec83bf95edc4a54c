//! The objects whose definitions decide what an operation does.

use std::collections::BTreeSet;

use countersign_model::{NameKind as Kind, ObjectClass, ResolvedName};

use super::Inquiry;

/// An object that has a definition of its own, by its resolved name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TouchedObject {
    /// Its catalog.
    pub class: ObjectClass,
    /// Schema that holds it.
    pub schema: String,
    /// Its name; of functions, all overloads.
    pub name: String,
}

impl Inquiry<'_> {
    /// The objects whose definitions decide what the statement does, each once: its relations, and the functions that
    /// are not built in.
    pub fn objects(&self, resolved: &[ResolvedName]) -> Vec<TouchedObject> {
        let mut objects = BTreeSet::new();
        let mut add = |class, schema: &str, name: &str| {
            if class == ObjectClass::Relation || schema != "pg_catalog" {
                objects.insert(TouchedObject { class, schema: schema.to_owned(), name: name.to_owned() });
            }
        };
        for row in resolved {
            match row.kind {
                Kind::Relation => add(ObjectClass::Relation, &row.schema, &row.name),
                Kind::Function => add(ObjectClass::Function, &row.schema, &row.name),
                Kind::Attribute if row.first.is_empty() => {
                    add(ObjectClass::Function, &row.schema, &row.name);
                }
                Kind::Type if row.first.is_empty() => add(ObjectClass::Relation, &row.schema, &row.name),
                Kind::Attribute | Kind::Operator | Kind::Type if !row.first.is_empty() => {
                    add(ObjectClass::Function, &row.first, &row.second);
                }
                Kind::Attribute | Kind::Column | Kind::Operator | Kind::Type => {}
            }
        }
        objects.into_iter().collect()
    }
}
