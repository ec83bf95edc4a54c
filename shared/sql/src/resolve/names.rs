//! The names of a statement, listed once each: what the catalog is asked for.

/// PostgreSQL cuts names to this many bytes; a longer one is no name of its catalog.
const MAX_NAME: usize = 63;

/// A name of a statement: schema (empty if none was given) and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Qualified {
    /// Empty if none was given.
    pub schema: String,
    /// As the text gives it.
    pub name: String,
}

impl Qualified {
    /// Whether the catalog could hold it.
    pub fn is_possible(&self) -> bool {
        is_short(&self.schema) && is_short(&self.name) && !self.name.is_empty()
    }
}

/// Whether the catalog could hold the text as a name, or as none.
pub(crate) fn is_short(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.contains('\0')
}

/// The names to be resolved; the place of each in its list is its number in the answer.
#[derive(Debug, Default)]
pub struct Names {
    /// Relations, and whether all their columns are wanted.
    pub relations: Vec<(Qualified, bool)>,
    /// Functions.
    pub functions: Vec<Qualified>,
    /// Operators.
    pub operators: Vec<Qualified>,
    /// Types.
    pub types: Vec<Qualified>,
    /// Names that are selected from rows, unqualified.
    pub attributes: Vec<String>,
}

impl Names {
    /// How many there are.
    pub fn len(&self) -> usize {
        let named = self.relations.len() + self.functions.len() + self.operators.len() + self.types.len();
        named + self.attributes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_catalog_holds_are_not_asked_for() {
        let name = |name: &str| Qualified { schema: String::new(), name: name.into() };
        assert!(name(&"x".repeat(63)).is_possible());
        assert!(!name(&"x".repeat(64)).is_possible());
        assert!(!name("").is_possible() && !name("a\0b").is_possible());
    }
}
