//! The statements that a client prepared and the portals that it made of them, under the client's names.
//!
//! Nothing of this exists at the target under these names: a portal is made there when it is executed, and statements
//! have names of ours. Pure: no socket is known here.

mod by_name;
mod declarable;
mod description;
mod mistake;

use std::{collections::HashMap, rc::Rc, sync::Arc};

use bytes::Bytes;
use countersign_model::{Binding, DataClass, Fact, Parameter};
use countersign_sql::{Analysis, StatementKind};

use crate::{
    codec::extended::{Bind, Parse},
    masking::Tags,
};

pub(crate) use by_name::ByName;
pub(crate) use declarable::declarable;
pub(crate) use description::Description;
pub(crate) use mistake::Mistake;

/// Statements that a session may have prepared at a time, and what they take together, in bytes.
const MAX_STATEMENTS: usize = 1_000;
const MAX_TEXT: usize = 8 * 1024 * 1024;
/// Portals that a session may have at a time, and what they take together, in bytes.
const MAX_PORTALS: usize = 256;
const MAX_VALUES: usize = 8 * 1024 * 1024;

/// A prepared statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Byte for byte.
    pub(crate) text: Bytes,
    pub(crate) analysis: Rc<Analysis>,
    /// Types that the client declared for its parameters.
    pub(crate) types: Vec<u32>,
    /// What the target said of it.
    pub(crate) description: Description,
}

impl Statement {
    /// What it takes, in bytes: a short text can have many parameters and columns.
    fn size(&self) -> usize {
        self.text.len() + size_of_val(self.types.as_slice()) + self.description.size()
    }

    /// What PostgreSQL says when it is executed again after its end: that there are no more rows, if it returns any.
    pub(crate) fn nothing_more(&self) -> Option<&'static str> {
        if !self.description.returns_rows() {
            return None;
        }
        match self.analysis.statements.first()?.kind {
            StatementKind::Select => Some("SELECT 0"),
            StatementKind::Insert => Some("INSERT 0 0"),
            StatementKind::Update => Some("UPDATE 0"),
            StatementKind::Delete => Some("DELETE 0"),
            _ => None,
        }
    }

    /// Whether it does nothing but control the transaction: such a one is executed without having been prepared at
    /// the target.
    pub(crate) fn is_control(analysis: &Analysis) -> bool {
        matches!(analysis.statements.as_slice(), [only] if only.transaction.is_some())
    }
}

/// A statement with what to execute it with.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) statement: Rc<Statement>,
    pub(crate) binding: Binding,
    pub(crate) state: PortalState,
}

/// How far a portal has come.
#[derive(Debug, Clone)]
pub(crate) enum PortalState {
    /// Not executed yet.
    Bound,
    /// Executed in part.
    Suspended(Suspended),
    /// Executed to its end.
    Done,
}

/// A portal that exists at the target and has more rows.
#[derive(Debug, Clone)]
pub(crate) struct Suspended {
    /// Our name for it there.
    pub(crate) name: u64,
    /// The connection that it is on.
    pub(crate) line: u64,
    /// What it touches.
    pub(crate) facts: Vec<Fact>,
    /// What of that is tagged.
    pub(crate) tags: Rc<Tags>,
    /// By what data classes.
    pub(crate) classes: Arc<[DataClass]>,
    /// People approved it.
    pub(crate) approved: bool,
}

/// The statements and portals of a session.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    statements: HashMap<Bytes, Rc<Statement>>,
    /// Those that were prepared by SQL.
    pub(crate) by_name: ByName,
    portals: HashMap<Bytes, Portal>,
}

impl Prepared {
    /// Whether a statement of that name may be prepared now. The unnamed one is replaced, which forgets it here.
    ///
    /// # Errors
    /// [`Mistake::DuplicateStatement`], [`Mistake::TooManyStatements`].
    pub(crate) fn make_room(&mut self, parse: &Parse) -> Result<Option<Rc<Statement>>, Mistake> {
        let Parse { name, text, types } = parse;
        if name.is_empty() {
            return Ok(self.statements.remove(name));
        }
        if self.statements.contains_key(name) {
            return Err(Mistake::DuplicateStatement);
        }
        let taken: usize = self.statements.iter().map(|(name, one)| name.len() + one.size()).sum();
        let wanted = name.len() + text.len() + size_of_val(types.as_slice());
        if self.statements.len() >= MAX_STATEMENTS || taken.saturating_add(wanted) > MAX_TEXT {
            return Err(Mistake::TooManyStatements);
        }
        Ok(None)
    }

    /// Keeps a statement that there is room for.
    pub(crate) fn insert(&mut self, name: Bytes, statement: Statement) {
        self.statements.insert(name, Rc::new(statement));
    }

    /// The statement of that name.
    pub(crate) fn statement(&self, name: &Bytes) -> Result<Rc<Statement>, Mistake> {
        self.statements.get(name).cloned().ok_or(Mistake::UnknownStatement)
    }

    /// The portal of that name.
    pub(crate) fn portal(&self, name: &Bytes) -> Result<&Portal, Mistake> {
        self.portals.get(name).ok_or(Mistake::UnknownPortal)
    }

    /// Forgets a statement; portals that were made of it stay.
    pub(crate) fn close_statement(&mut self, name: &Bytes) -> Option<Rc<Statement>> {
        self.statements.remove(name)
    }

    /// Forgets all statements.
    pub(crate) fn close_all_statements(&mut self) -> Vec<Rc<Statement>> {
        self.statements.drain().map(|(_, statement)| statement).collect()
    }

    /// The statement and the portal without a name, which a simple query takes the place of.
    pub(crate) fn take_unnamed(&mut self) -> (Option<Rc<Statement>>, Option<Portal>) {
        (self.statements.remove(&Bytes::new()), self.portals.remove(&Bytes::new()))
    }

    /// Forgets a portal.
    pub(crate) fn close_portal(&mut self, name: &Bytes) -> Option<Portal> {
        self.portals.remove(name)
    }

    /// Whether another statement has the same text and types: then what the target has prepared is still of use.
    pub(crate) fn is_used(&self, other: &Statement) -> bool {
        self.statements.values().any(|one| one.text == other.text && one.types == other.types)
    }

    /// Whether a portal exists at the target: its transaction cannot be begun anew elsewhere.
    pub(crate) fn has_open_portal(&self) -> bool {
        self.portals.values().any(|portal| matches!(portal.state, PortalState::Suspended(_)))
    }

    /// Makes a portal. An unnamed one takes the place of the one before it, which is returned.
    ///
    /// # Errors
    /// [`Mistake`], as PostgreSQL would make it.
    pub(crate) fn bind(&mut self, bind: Bind) -> Result<Option<Portal>, Mistake> {
        let statement = self.statement(&bind.statement)?;
        let binding = binding(&statement, &bind)?;
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            return Err(Mistake::DuplicatePortal);
        }
        let replaced = self.portals.remove(&bind.portal);
        let taken: usize = self.portals.iter().map(|(name, portal)| name.len() + size(&portal.binding)).sum();
        let wanted = bind.portal.len() + size(&binding);
        if self.portals.len() >= MAX_PORTALS || taken.saturating_add(wanted) > MAX_VALUES {
            return Err(Mistake::TooManyPortals);
        }
        self.portals.insert(bind.portal, Portal { statement, binding, state: PortalState::Bound });
        Ok(replaced)
    }

    /// A portal has come farther.
    pub(crate) fn advance(&mut self, name: &Bytes, state: PortalState) {
        if let Some(portal) = self.portals.get_mut(name) {
            portal.state = state;
        }
    }

    /// The transaction has ended, and its portals with it.
    pub(crate) fn transaction_ended(&mut self) {
        self.portals.clear();
    }
}

/// What a binding takes, in bytes: NULLs take something, too.
fn size(binding: &Binding) -> usize {
    let values: usize = binding.parameters.iter().map(|one| one.value.as_ref().map_or(0, Bytes::len)).sum();
    values + size_of_val(binding.parameters.as_slice()) + size_of_val(binding.result_formats.as_slice())
}

/// The parameters of a Bind with their types and formats.
fn binding(statement: &Statement, bind: &Bind) -> Result<Binding, Mistake> {
    let types = &statement.description.parameters;
    if bind.values.len() != types.len() {
        return Err(Mistake::ParameterCount);
    }
    if bind.formats.len() > 1 && bind.formats.len() != bind.values.len() {
        return Err(Mistake::FormatCount);
    }
    let columns = statement.description.columns();
    if bind.result_formats.len() > 1 && bind.result_formats.len() != columns {
        return Err(Mistake::FormatCount);
    }
    if bind.formats.iter().chain(&bind.result_formats).any(|format| *format > 1) {
        return Err(Mistake::Format);
    }
    let parameter = |(place, (value, resolved)): (usize, (&Option<Bytes>, &u32))| Parameter {
        declared_type: statement.types.get(place).copied().unwrap_or(0),
        resolved_type: *resolved,
        format: format_of(&bind.formats, place),
        value: value.clone(),
    };
    let parameters = bind.values.iter().zip(types).enumerate().map(parameter).collect();
    Ok(Binding { parameters, result_formats: bind.result_formats.clone(), row_limit: 0 })
}

/// The format of the item at a place: none means text, one is for all.
pub(crate) fn format_of(formats: &[u16], place: usize) -> u16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(place).copied().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
