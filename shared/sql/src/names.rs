//! Names as the text spells them, after PostgreSQL's folding of case, unquoting and truncation to 63 bytes.

use crate::grammar::nodes;
use std::fmt;

/// A possibly qualified name. Unqualified ones are resolved by the session's search path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// Database; PostgreSQL accepts only the session's own.
    pub catalog: Option<String>,
    /// Schema.
    pub schema: Option<String>,
    /// The object's own name.
    pub name: String,
}

impl QualifiedName {
    pub(crate) fn bare(name: &str) -> Self {
        Self { catalog: None, schema: None, name: name.to_owned() }
    }

    /// The name of a relation.
    pub(crate) fn of(relation: &nodes::RangeVar) -> Option<Self> {
        let catalog = relation.catalogname().map(str::to_owned);
        let schema = relation.schemaname().map(str::to_owned);
        Some(Self { catalog, schema, name: relation.relname()?.to_owned() })
    }

    /// A name of one to three parts; `None` for any other shape.
    pub(crate) fn from_parts(parts: &[Option<&str>]) -> Option<Self> {
        let part = |text: &Option<&str>| text.map(str::to_owned);
        match parts {
            [name] => Some(Self { catalog: None, schema: None, name: part(name)? }),
            [schema, name] => Some(Self { catalog: None, schema: Some(part(schema)?), name: part(name)? }),
            [catalog, schema, name] => {
                Some(Self { catalog: Some(part(catalog)?), schema: Some(part(schema)?), name: part(name)? })
            }
            _ => None,
        }
    }
}

/// Each part bare if it is a plain lower-case identifier, else in double quotes.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.catalog, &self.schema].into_iter().flatten() {
            write_part(f, part)?;
            f.write_str(".")?;
        }
        write_part(f, &self.name)
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = part.starts_with(letter) && part.chars().all(|c| letter(c) || c.is_ascii_digit());
    if plain { f.write_str(part) } else { write!(f, "\"{}\"", part.replace('"', "\"\"")) }
}
