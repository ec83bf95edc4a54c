//! Statements that were prepared by SQL's PREPARE: the target has them under the client's names, and EXECUTE does what
//! they say.

use std::{collections::HashMap, rc::Rc};

use countersign_sql::{Analysis, Deallocated, Statement};

/// Statements that are kept; an EXECUTE of another is not understood.
const MAX_STATEMENTS: usize = 1_000;

/// What was prepared, by name.
#[derive(Debug, Default)]
pub(crate) struct ByName(HashMap<String, Statement>);

impl ByName {
    /// What a text does, given what was prepared: an EXECUTE of what is not known here stays not understood.
    pub(crate) fn executing(&self, analysis: &Rc<Analysis>) -> Rc<Analysis> {
        let [statement] = analysis.statements.as_slice() else { return analysis.clone() };
        let prepared = statement.executes.as_ref().and_then(|name| self.0.get(name));
        prepared.map_or_else(|| analysis.clone(), |prepared| Rc::new(analysis.executing(prepared)))
    }

    /// The target has done what a text says.
    pub(crate) fn after(&mut self, analysis: &Analysis) {
        let [statement] = analysis.statements.as_slice() else { return };
        match (&statement.prepares, &statement.deallocates) {
            (Some(prepared), _) if self.0.len() < MAX_STATEMENTS => {
                self.0.insert(prepared.name.clone(), statement.clone());
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
        let understood = |by_name: &ByName| by_name.executing(&read("EXECUTE p(1)")).statements[0].unparsed.is_none();
        assert!(!understood(&by_name));
        by_name.after(&read("PREPARE p (int) AS SELECT $1"));
        assert!(understood(&by_name));
        by_name.after(&read("DEALLOCATE q"));
        assert!(understood(&by_name));
        by_name.after(&read("DEALLOCATE p"));
        assert!(!understood(&by_name));
        for all in ["DEALLOCATE ALL", "DISCARD ALL"] {
            by_name.after(&read("PREPARE p (int) AS SELECT $1"));
            assert!(understood(&by_name));
            by_name.after(&read(all));
            assert!(!understood(&by_name), "{all}");
        }
    }
}
