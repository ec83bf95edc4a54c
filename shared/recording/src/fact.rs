//! What an operation touches, in words.

use countersign_model::{Fact, Resource};

/// A touched pair in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFact {
    /// The action's id: `postgres:select`.
    pub action: String,
    /// Kind and path: `Table shop.public.customers`. Parts that are no plain identifiers are quoted.
    pub resource: String,
}

impl From<&Fact> for RecordedFact {
    fn from(fact: &Fact) -> Self {
        Self { action: fact.action.as_str().to_owned(), resource: in_words(&fact.resource) }
    }
}

fn in_words(resource: &Resource) -> String {
    let parts: Vec<String> = resource.path().into_iter().map(|part| plain_or_quoted(part)).collect();
    if parts.is_empty() {
        resource.kind().to_owned()
    } else {
        format!("{} {}", resource.kind(), parts.join("."))
    }
}

/// Quoted as Rust text unless plain, so that a dot or a control character in a name cannot mislead a reader.
fn plain_or_quoted(part: &str) -> String {
    let plain = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    if plain { part.to_owned() } else { format!("{part:?}") }
}

#[cfg(test)]
mod tests {
    use countersign_model::Action;

    use super::*;

    #[test]
    fn facts_read_as_kind_and_path() {
        let table = |table: &str| Fact {
            action: Action::PostgresSelect,
            resource: Resource::Table {
                database: "shop".into(),
                schema: "public".into(),
                table: table.into(),
            },
        };
        let words = |name| RecordedFact::from(&table(name)).resource;
        assert_eq!(words("customers"), "Table shop.public.customers");
        assert_eq!(words("a.b"), r#"Table shop.public."a.b""#);
        assert_eq!(words("x\u{202e}y"), r#"Table shop.public."x\u{202e}y""#);
        assert_eq!(in_words(&Resource::Target), "Target");
    }
}
