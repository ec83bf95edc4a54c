//! The search path that a target's sessions are pinned to, and which names the catalog is asked for because of it.

use std::str::FromStr;

/// Names of PostgreSQL are cut to this many bytes.
const MAX_NAME: usize = 63;
/// Schemas that a path may name.
const MAX_SCHEMAS: usize = 32;

/// Why a text is not a search path that sessions can be pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchPathError {
    /// An empty item, an unclosed quote, or something between a quoted name and the comma.
    #[error("a search path is a list of schema names with commas between them")]
    Syntax,
    /// A name over 63 bytes, or with a NUL, or more than 32 of them.
    #[error("a schema name has 1 to 63 bytes, and a search path at most 32 of them")]
    Length,
    /// `pg_temp`: temporary objects differ by session, so the catalog cannot be asked for them.
    #[error("pg_temp cannot be in the search path")]
    Temporary,
}

/// A list of schemas in PostgreSQL's syntax, `"$user"` included. The default is PostgreSQL's, `"$user", public`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath(Vec<String>);

impl Default for SearchPath {
    fn default() -> Self {
        Self(vec!["$user".into(), "public".into()])
    }
}

impl SearchPath {
    /// The path of the connection that asks the catalog: `pg_catalog` alone, so that nothing that anybody made can
    /// stand in for a built-in there.
    pub fn catalog() -> Self {
        Self(vec!["pg_catalog".into()])
    }

    /// The value for the target. Temporary objects come last, where they can stand in for nothing: not named, they
    /// would come first.
    pub fn setting(&self) -> String {
        format!("{}, \"pg_temp\"", self.quoted())
    }

    fn quoted(&self) -> String {
        let quoted: Vec<_> = self.0.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        quoted.join(", ")
    }

    /// The schemas in the order in which PostgreSQL looks them up for `role`: `pg_catalog` comes first where it is
    /// not named (PostgreSQL documentation, "search_path").
    pub fn effective(&self, role: &str) -> Vec<String> {
        let named = self.0.iter().map(|name| if name == "$user" { role.to_owned() } else { name.clone() });
        let mut effective: Vec<String> = named.collect();
        if !effective.iter().any(|name| name == "pg_catalog") {
            effective.insert(0, "pg_catalog".into());
        }
        effective
    }
}

impl FromStr for SearchPath {
    type Err = SearchPathError;

    fn from_str(text: &str) -> Result<Self, SearchPathError> {
        let (mut names, mut rest) = (Vec::new(), text.trim());
        loop {
            let (name, after) = item(rest)?;
            if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') || names.len() >= MAX_SCHEMAS {
                return Err(SearchPathError::Length);
            }
            if name == "pg_temp" {
                return Err(SearchPathError::Temporary);
            }
            names.push(name);
            match after.trim_start() {
                "" => return Ok(Self(names)),
                more => rest = more.strip_prefix(',').ok_or(SearchPathError::Syntax)?.trim_start(),
            }
        }
    }
}

/// One name off the front: quoted as it is, or bare and folded to lower case.
fn item(text: &str) -> Result<(String, &str), SearchPathError> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).ok_or(SearchPathError::Syntax)?;
        let bare = !name.is_empty() && !name.contains('"');
        return if bare { Ok((name.to_ascii_lowercase(), rest)) } else { Err(SearchPathError::Syntax) };
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"').ok_or(SearchPathError::Syntax)?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Ok((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_postgresql_writes() {
        let path: SearchPath = "\"$user\", Public , \"Odd\"\"One, too\"".parse().unwrap();
        assert_eq!(path.effective("ada"), ["pg_catalog", "ada", "public", "Odd\"One, too"]);
        assert_eq!(path.quoted(), "\"$user\", \"public\", \"Odd\"\"One, too\"");
        assert_eq!(path.quoted().parse(), Ok(path));
        let last: SearchPath = "app, pg_catalog".parse().unwrap();
        assert_eq!(last.effective("ada"), ["app", "pg_catalog"]);
    }

    #[test]
    fn refuses_what_it_could_misread() {
        for bad in ["", ",", "a,", "a b", "\"a", "\"a\"b", "a\"b\""] {
            assert_eq!(bad.parse::<SearchPath>(), Err(SearchPathError::Syntax), "{bad}");
        }
        assert_eq!("\"\"".parse::<SearchPath>(), Err(SearchPathError::Length));
        assert_eq!("public, PG_TEMP".parse::<SearchPath>(), Err(SearchPathError::Temporary));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,60}") {
            if let Ok(path) = text.parse::<SearchPath>() {
                prop_assert_eq!(path.quoted().parse(), Ok(path));
            }
        }
    }
}
