//! Whether a resolution that somebody else attests can be one of the text at all.

use countersign_model::{NameKind as Kind, ResolvedName};

use super::{
    Inquiry, READS_THE_CATALOG,
    names::{Qualified, is_short},
};

/// Rows that a resolution may have for each name of its statement, on average: overloads, and columns, of which a
/// relation has 1,600 at most.
const MAX_ROWS_PER_NAME: usize = 2_000;

/// Rows that a resolution may have: what the names mean is looked for among all of them, name by name.
const MAX_ROWS: usize = 50_000;

/// The built-in arrays that are not called like their elements.
const VECTORS: [(&str, &str); 2] = [("int2vector", "int2"), ("oidvector", "oid")];

/// A resolution says something that the text cannot mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the resolution names what the statement cannot mean")]
pub struct Misnamed;

impl Inquiry<'_> {
    /// Checks that each row is an answer to a name of this statement: of its list, with its spelling, in its schema
    /// where the text gives one, one for each relation and type, and of the form that the catalog's answers have. An
    /// unqualified relation is one of `pg_catalog` only if its name begins with `pg_`, as all of them do there.
    ///
    /// Whoever knows the search path that the names were looked up along asks [`Inquiry::admits_on_path`].
    ///
    /// What whoever attests can still say falsely, because only the catalog knows better:
    ///
    /// - that an unqualified name was found in another schema than it was;
    /// - that a function or an operator has fewer meanings than it has: that `lower(x)` and `+` are the built-in ones
    ///   alone, which makes no pair;
    /// - which function stands behind an operator or a type that is not built in, and that a type is not the row of a
    ///   relation;
    /// - that a name that is selected from a value (`o.audit`) is a column and so calls nothing;
    /// - that a relation without a list of columns to insert into has fewer of them than it has;
    /// - where one of the statements is not understood: that any name means nothing, as if that statement were to make
    ///   what is meant. The operation is then also [`Action::Unparsed`](countersign_model::Action::Unparsed).
    ///
    /// So pairs and requirements can be fewer than they should be, but the text that people see and vote on is exact.
    ///
    /// # Errors
    /// [`Misnamed`] if a row is none. That every name has a row is for [`Inquiry::facts`] to see.
    pub fn admits(&self, resolved: &[ResolvedName]) -> Result<(), Misnamed> {
        self.check(resolved, None)
    }

    /// As [`Inquiry::admits`], and what the text does not qualify was found in a schema of `path`: the effective
    /// search path, as [`SearchPath::effective`](crate::SearchPath::effective) gives it for target and role.
    ///
    /// # Errors
    /// [`Misnamed`] if a row is none.
    pub fn admits_on_path(&self, path: &[String], resolved: &[ResolvedName]) -> Result<(), Misnamed> {
        self.check(resolved, Some(path))
    }

    fn check(&self, resolved: &[ResolvedName], path: Option<&[String]>) -> Result<(), Misnamed> {
        let most = self.names.len().saturating_mul(MAX_ROWS_PER_NAME).min(MAX_ROWS);
        let sound = resolved.len() <= most
            && resolved.iter().all(|row| self.is_answer(row, path))
            && self.relations_are_whole(resolved)
            && self.types_are_single(resolved);
        if sound { Ok(()) } else { Err(Misnamed) }
    }

    /// Whether the row by itself can be an answer.
    fn is_answer(&self, row: &ResolvedName, path: Option<&[String]>) -> bool {
        let short = [&row.schema, &row.name, &row.first, &row.second].into_iter().all(|text| is_short(text));
        if !short || row.schema.is_empty() || row.name.is_empty() {
            return false;
        }
        let on_path = || path.is_none_or(|path| path.contains(&row.schema));
        let in_schema = |asked: &Qualified| {
            if asked.schema.is_empty() { on_path() } else { asked.schema == row.schema }
        };
        let found =
            |asked: Option<&Qualified>| asked.is_some_and(|asked| asked.name == row.name && in_schema(asked));
        let built_in = row.schema == "pg_catalog";
        let (alone, with_function) =
            (row.first.is_empty() && row.second.is_empty(), !row.first.is_empty() && !row.second.is_empty());
        match row.kind {
            Kind::Relation => {
                let asked = self.names.relations.get(row.place).map(|(asked, _)| asked);
                let given = asked.is_some_and(|asked| !asked.schema.is_empty());
                found(asked) && row.second.is_empty() && (given || !built_in || is_catalogs_own(&row.name))
            }
            Kind::Column => {
                // Asked for only where all columns of the relation are written.
                let asked = self.names.relations.get(row.place).filter(|(_, whole)| *whole);
                found(asked.map(|(asked, _)| asked)) && !row.first.is_empty() && row.second.is_empty()
            }
            Kind::Function => found(self.names.functions.get(row.place)) && alone,
            Kind::Operator => {
                let asked = self.names.operators.get(row.place);
                found(asked) && if built_in { alone } else { with_function }
            }
            Kind::Type => {
                let asked = self.names.types.get(row.place);
                asked.is_some_and(|asked| in_schema(asked) && is_of_type(&asked.name, row))
                    && if alone {
                        !built_in || is_catalogs_own(&row.name)
                    } else {
                        is_read_by_its_function(row)
                    }
            }
            Kind::Attribute => self.names.attributes.get(row.place).is_some_and(|asked| {
                // A cast speaks of what its type rests on, which has a name and a schema of its own.
                if alone { *asked == row.name && on_path() } else { is_read_by_its_function(row) }
            }),
        }
    }

    /// One row for each relation; its columns are its own, and there are some where all of them are written.
    fn relations_are_whole(&self, resolved: &[ResolvedName]) -> bool {
        let mut found: Vec<Option<(&ResolvedName, bool)>> = vec![None; self.names.relations.len()];
        for row in resolved.iter().filter(|row| row.kind == Kind::Relation) {
            match found.get_mut(row.place) {
                Some(relation @ None) => *relation = Some((row, false)),
                _ => return false,
            }
        }
        for column in resolved.iter().filter(|row| row.kind == Kind::Column) {
            match found.get_mut(column.place) {
                Some(Some((relation, has_columns))) if relation.schema == column.schema => {
                    *has_columns = true
                }
                _ => return false,
            }
        }
        let mut relations = self.names.relations.iter().zip(&found);
        relations.all(|((_, whole), found)| !whole || found.is_none_or(|(_, has_columns)| has_columns))
    }

    fn types_are_single(&self, resolved: &[ResolvedName]) -> bool {
        let mut found = vec![false; self.names.types.len()];
        let mut types = resolved.iter().filter(|row| row.kind == Kind::Type);
        types.all(|row| found.get_mut(row.place).is_some_and(|found| !std::mem::replace(found, true)))
    }
}

/// Every relation of `pg_catalog` is called like this, and nobody else can make one there.
fn is_catalogs_own(relation: &str) -> bool {
    relation.starts_with("pg_")
}

/// Whether the row is of the type of that name, or of the element of the array of that name: PostgreSQL calls an array
/// like its element, which is in the same schema, with underscores in front. It cuts what is then too long: such an
/// array is refused under its own name, but not as `element[]`.
fn is_of_type(asked: &str, row: &ResolvedName) -> bool {
    let underscores = |more: &str| more.bytes().all(|byte| byte == b'_');
    asked.strip_suffix(row.name.as_str()).is_some_and(underscores)
        || (row.schema == "pg_catalog" && VECTORS.contains(&(asked, row.name.as_str())))
}

/// Whether schema and name of a function are given, and a built-in one for a built-in type: for one that looks names
/// up in the catalog, the one that does.
fn is_read_by_its_function(row: &ResolvedName) -> bool {
    let given = !row.first.is_empty() && !row.second.is_empty();
    let own = format!("{}in", row.name);
    let looks_up = READS_THE_CATALOG.contains(&own.as_str());
    given && (row.schema != "pg_catalog" || (row.first == "pg_catalog" && (!looks_up || row.second == own)))
}

#[cfg(test)]
mod tests;
