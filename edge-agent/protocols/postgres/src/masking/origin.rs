//! What the columns of a view are made of, as PostgreSQL's parser noted it when the view was made.
//!
//! A view's rule is stored as a tree in text (`pg_rewrite.ev_action`, the form of `nodeToString`). Each entry of the
//! target list of its query carries the table and the attribute that it is a plain reference to, or zeros where it is
//! computed. The names of these fields have been the same for as long as the edge supports servers; whatever else is
//! in the tree is skipped by its braces. What cannot be read has no origin, and is covered.

/// A column: the table's oid, and the attribute's number.
pub(super) type Place = (u32, i16);

/// Of each column of a view, counted from 1, the column that it shows as it is.
pub(super) fn origins(tree: &str) -> Vec<(i16, Place)> {
    let mut reader =
        Reader { tokens: Tokens { rest: tree }, depth: 0, found: Vec::new(), entry: Entry::default() };
    match reader.read() {
        Some(()) => reader.found,
        None => Vec::new(),
    }
}

/// Words of a tree: braces and parentheses by themselves, everything else up to a blank or one of these. A backslash
/// takes the next character with it.
struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest.trim_start_matches([' ', '\n', '\t']);
        let mut escaped = false;
        let end = rest.char_indices().find(|(_, letter)| {
            let ends = !escaped && matches!(letter, ' ' | '\n' | '\t' | '{' | '}' | '(' | ')');
            escaped = *letter == '\\' && !escaped;
            ends
        });
        let length = match end {
            // One of the marks, by itself.
            Some((0, _)) => 1,
            Some((at, _)) => at,
            None => rest.len(),
        };
        let (token, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }
}

/// What is read of an entry of the target list.
#[derive(Default)]
struct Entry {
    number: Option<i16>,
    table: Option<u32>,
    attribute: Option<i16>,
    is_junk: bool,
}

struct Reader<'t> {
    tokens: Tokens<'t>,
    depth: usize,
    found: Vec<(i16, Place)>,
    entry: Entry,
}

impl Reader<'_> {
    /// `None` if it is not the tree of one plain query.
    fn read(&mut self) -> Option<()> {
        let mut in_targets = false;
        while let Some(token) = self.tokens.next() {
            match (self.depth, token) {
                (_, "{") => self.depth += 1,
                (_, "}") => {
                    if self.depth == 2 && in_targets {
                        self.take_entry();
                    }
                    self.depth = self.depth.checked_sub(1)?;
                }
                (1, ":targetList") => in_targets = true,
                // UNION and its like: what a column shows is not one thing.
                (1, ":setOperations") => {
                    in_targets = false;
                    if self.tokens.next()? != "<>" {
                        return None;
                    }
                }
                (1, field) if field.starts_with(':') => in_targets = false,
                (2, field) if in_targets => self.field(field),
                _ => {}
            }
        }
        (self.depth == 0).then_some(())
    }

    fn field(&mut self, field: &str) {
        match field {
            ":resno" => self.entry.number = self.value(),
            ":resorigtbl" => self.entry.table = self.value(),
            ":resorigcol" => self.entry.attribute = self.value(),
            ":resjunk" => self.entry.is_junk = self.tokens.next() != Some("false"),
            _ => {}
        }
    }

    fn value<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.tokens.next()?.parse().ok()
    }

    fn take_entry(&mut self) {
        let Entry { number, table, attribute, is_junk } = std::mem::take(&mut self.entry);
        if let (Some(number), Some(table), Some(attribute), false) = (number, table, attribute, is_junk)
            && table != 0
        {
            self.found.push((number, (table, attribute)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &str = "{TARGETENTRY :expr {VAR :varno 1 :varattno 2} :resno 2 :resname mail :ressortgroupref 0 \
                         :resorigtbl 16386 :resorigcol 3 :resjunk false}";

    fn query(targets: &str, set: &str) -> String {
        format!(
            "({{QUERY :commandType 1 :rtable ({{RTE :subquery {{QUERY :targetList ({{TARGETENTRY :resno 1 \
             :resorigtbl 7 :resorigcol 7 :resjunk false}}) :setOperations <>}} :inh true}}) :targetList ({targets}) \
             :override 0 :groupClause <> :setOperations {set} :stmt_len 0}})"
        )
    }

    #[test]
    fn a_plain_reference_is_an_origin_and_nothing_else_is() {
        assert_eq!(origins(&query(ENTRY, "<>")), [(2, (16386, 3))]);
        let computed = ENTRY.replace("16386", "0").replace(":resorigcol 3", ":resorigcol 0");
        assert_eq!(origins(&query(&computed, "<>")), []);
        assert_eq!(origins(&query(&ENTRY.replace("false", "true"), "<>")), []);
        let both = format!("{ENTRY} {}", ENTRY.replace(":resno 2", ":resno 4"));
        assert_eq!(origins(&query(&both, "<>")), [(2, (16386, 3)), (4, (16386, 3))]);
    }

    #[test]
    fn columns_of_a_union_have_none() {
        assert_eq!(origins(&query(ENTRY, "{SETOPERATIONSTMT :op 0}")), []);
    }

    #[test]
    fn a_query_within_an_entry_gives_it_no_origin() {
        let inner = query(ENTRY, "<>");
        let outer = "{TARGETENTRY :expr {SUBLINK :subselect INNER} :resno 1 :resname a\\ b\\}\\{ :resorigtbl 0 \
                     :resorigcol 0 :resjunk false}";
        assert_eq!(origins(&query(&outer.replace("INNER", &inner), "<>")), []);
    }

    #[test]
    fn what_breaks_off_has_no_origins() {
        let whole = query(ENTRY, "<>");
        for end in 0..whole.len() - 1 {
            assert_eq!(origins(&whole[..end]), [], "{end}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,200}", words in proptest::collection::vec("[{}():a-z ]{1,9}", 0..30)) {
            let _ = (origins(&text), origins(&words.concat()));
        }
    }
}
