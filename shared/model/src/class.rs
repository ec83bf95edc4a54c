//! Data classes: what is sensitive, and how it is recognised.

use std::sync::Arc;

use crate::Name;

/// What an edge knows of a class for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataClass {
    /// Its name, the same on every target.
    pub name: Name,
    /// Columns whose values belong to it, sorted, without repetition.
    pub columns: Vec<TaggedColumn>,
    /// What is looked for in the text of other values, sorted, without repetition.
    pub detectors: Vec<Detector>,
}

/// A column of the target, by the names that the catalog has for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaggedColumn {
    /// Schema that holds the relation.
    pub schema: Arc<str>,
    /// Table, view or whatever else has columns.
    pub relation: Arc<str>,
    /// Its name.
    pub column: Arc<str>,
}

/// A form of text that is recognised wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Detector {
    /// Addresses for electronic mail.
    Email,
    /// Numbers of payment cards.
    Card,
    /// Social security numbers of the United States.
    Ssn,
    /// JSON web tokens.
    Jwt,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 4] = [Self::Email, Self::Card, Self::Ssn, Self::Jwt];

    /// Stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Ssn => "ssn",
            Self::Jwt => "jwt",
        }
    }
}
