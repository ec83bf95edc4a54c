//! Statements that were prepared by SQL's PREPARE: the target has them under the client's names, and EXECUTE does what
//! they say.

use std::{collections::HashMap, rc::Rc};

use countersign_model::ResolvedName;
use countersign_sql::{Analysis, Deallocated, Statement};

/// Statements that are kept, and their texts together, in bytes; an EXECUTE of another is not understood.
const MAX_STATEMENTS: usize = 1_000;
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// What was prepared, by name, and what its names meant then. The target goes on with that when another object of the
/// same name comes to stand earlier in the search path (PostgreSQL's documentation, PREPARE).
#[derive(Debug, Default)]
pub(crate) struct ByName(HashMap<String, (Statement, Rc<[ResolvedName]>)>);

impl ByName {
    /// What a text does, given what was prepared: an EXECUTE of what is not known here stays not understood.
    pub(crate) fn executing(&self, analysis: &Rc<Analysis>) -> Rc<Analysis> {
        let [statement] = analysis.statements.as_slice() else { return analysis.clone() };
        let prepared = statement.executes.as_ref().and_then(|name| self.0.get(name));
        prepared.map_or_else(|| analysis.clone(), |(prepared, _)| Rc::new(analysis.executing(prepared)))
    }

    /// What an EXECUTE executes, as it was prepared, and what its names meant then.
    pub(crate) fn executed_by(&self, analysis: &Analysis) -> Option<(Rc<Analysis>, Rc<[ResolvedName]>)> {
        let [statement] = analysis.statements.as_slice() else { return None };
        let (prepared, names) = statement.executes.as_ref().and_then(|name| self.0.get(name))?;
        let prepared = Analysis { statements: vec![prepared.clone()], reads_alike: analysis.reads_alike };
        Some((Rc::new(prepared), names.clone()))
    }

    fn has_room(&self, statement: &Statement) -> bool {
        let texts: usize = self.0.values().map(|(one, _)| one.span.len()).sum();
        self.0.len() < MAX_STATEMENTS && texts.saturating_add(statement.span.len()) <= MAX_TEXT
    }

    /// The target has done what a text says, whose names meant this.
    pub(crate) fn after(&mut self, analysis: &Analysis, names: &Rc<[ResolvedName]>) {
        let [statement] = analysis.statements.as_slice() else { return };
        match (&statement.prepares, &statement.deallocates) {
            (Some(prepared), _) if self.has_room(statement) => {
                self.0.insert(prepared.name.clone(), (statement.clone(), names.clone()));
            }
            (_, Some(Deallocated::One(name))) => drop(self.0.remove(name)),
            (_, Some(Deallocated::All)) => self.0.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_sql::{Limits, analyse};

    fn read(text: &str) -> Rc<Analysis> {
        Rc::new(analyse(text.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn an_execute_is_understood_for_as_long_as_what_it_executes_is_there() {
        let mut by_name = ByName::default();
        let understood =
            |by_name: &ByName| by_name.executing(&read("EXECUTE p(1)")).statements[0].unparsed.is_none();
        assert!(!understood(&by_name));
        by_name.after(&read("PREPARE p (int) AS SELECT $1"), &Rc::default());
        assert!(understood(&by_name));
        by_name.after(&read("DEALLOCATE q"), &Rc::default());
        assert!(understood(&by_name));
        by_name.after(&read("DEALLOCATE p"), &Rc::default());
        assert!(!understood(&by_name));
        for all in ["DEALLOCATE ALL", "DISCARD ALL"] {
            by_name.after(&read("PREPARE p (int) AS SELECT $1"), &Rc::default());
            assert!(understood(&by_name));
            by_name.after(&read(all), &Rc::default());
            assert!(!understood(&by_name), "{all}");
        }
    }
}
