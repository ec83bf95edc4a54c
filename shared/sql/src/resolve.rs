//! From the names in a statement to the objects that they mean, and from those to the facts that policy decides.
//!
//! The catalog is asked by PostgreSQL's own rules for the role that will run the statement: its search path, the
//! schemas that it may use, `pg_catalog` first. What does not resolve is refused. Three things lie outside and are said
//! here:
//!
//! - An owner who renames or replaces an object in the moment between the answer and the statement is trusted.
//! - What an owner has attached to an object (triggers, rules, defaults, casts, the body of a view) runs as a part
//!   of using that object and makes no facts of its own.
//! - Temporary objects belong to one session and are invisible to the connection that asks, and so is what an open
//!   transaction has made. After whatever may have made one the session is [`Sight::Clouded`].

mod attested;
mod names;
mod sight;
mod touched;

use std::{collections::BTreeSet, sync::Arc};

use countersign_model::{
    Action, Fact, NameKind as Kind, OperationContext, Reason, Refusal, ResolvedName as Found, Resource,
};

use crate::{
    Access, Analysis, QualifiedName, RelationUse, SettingChange, Statement, WrittenColumns, known_harmless,
};

pub use attested::Misnamed;
pub use names::{Names, Qualified};
pub use sight::{Clouds, Sight, clouds, sight_after};
pub use touched::TouchedObject;

/// Names that one operation may have.
const MAX_NAMES: usize = 4096;

/// The schema of temporary objects, by its alias: each session has one of its own.
const TEMPORARY: &str = "pg_temp";

/// Input functions of types that look names up in the catalog, and so tell which objects there are.
const READS_THE_CATALOG: [&str; 12] = [
    "aclitemin",
    "regclassin",
    "regcollationin",
    "regconfigin",
    "regdictionaryin",
    "regnamespacein",
    "regoperatorin",
    "regoperin",
    "regprocedurein",
    "regprocin",
    "regrolein",
    "regtypein",
];

/// Whether a built-in function reads a value by looking a name up in the catalog: it tells which objects there are, and
/// nothing of what is in them.
pub fn reads_the_catalog(function: &str) -> bool {
    READS_THE_CATALOG.contains(&function)
}

/// The names of an operation, listed once each.
#[derive(Debug)]
pub struct Inquiry<'a> {
    analysis: &'a Analysis,
    database: Arc<str>,
    sight: Sight,
    path: Option<Vec<String>>,
    names: Names,
}

impl<'a> Inquiry<'a> {
    /// Collects the names of a query string for a session in `database`.
    ///
    /// # Errors
    /// A refusal if there are too many.
    pub fn of(analysis: &'a Analysis, database: &Arc<str>, sight: Sight) -> Result<Self, Refusal> {
        let unparsed = analysis.statements.iter().any(|statement| statement.unparsed.is_some());
        let sight = if unparsed { Sight::Clouded } else { sight };
        let mut inquiry =
            Self { analysis, database: database.clone(), sight, path: None, names: Names::default() };
        inquiry.collect();
        if inquiry.names.len() > MAX_NAMES {
            return Err(Refusal::denied(
                Reason::OverLimit,
                "the statement names more objects than can be looked up",
            ));
        }
        Ok(inquiry)
    }

    /// With the effective search path of the session, by which a table that is made without a schema is put into one.
    #[must_use]
    pub fn on_path(self, path: &[String]) -> Self {
        Self { path: Some(path.to_vec()), ..self }
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.names.len() == 0
    }

    /// The names, to be asked for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Everything that the operation touches, given what the catalog found. Statements run one after the other, so
    /// what names something behind one that clouds the sight is also [`Action::Unparsed`].
    ///
    /// # Errors
    /// A refusal if a name means nothing to the role.
    pub fn facts(&self, found: &[Found]) -> Result<Vec<Fact>, Refusal> {
        let mut facts = BTreeSet::new();
        let mut clouded = self.sight == Sight::Clouded;
        if clouded && !self.analysis.reads_alike {
            facts.insert(self.on_database(Action::Unparsed));
        }
        for statement in &self.analysis.statements {
            let mut own = BTreeSet::new();
            self.statement(statement, found, &mut own)?;
            if own.is_empty() {
                own.insert(self.on_database(Action::PostgresEvaluate));
            }
            if clouded && statement.names_something() {
                own.insert(self.on_database(Action::Unparsed));
            }
            clouded |= clouds(&own).any();
            facts.append(&mut own);
        }
        if facts.is_empty() {
            facts.insert(self.on_database(Action::PostgresEvaluate));
        }
        Ok(facts.into_iter().collect())
    }

    fn collect(&mut self) {
        let statements = || self.analysis.statements.iter().filter(|statement| statement.unparsed.is_none());
        let mut relations: Vec<(Qualified, bool)> = Vec::new();
        for relation in statements().flat_map(|statement| &statement.relations) {
            if let Some(name) = self.qualified(&relation.name) {
                relations.push((name, relation.written_columns == WrittenColumns::All));
            }
        }
        // By name, those that want all columns first, so that the wish survives.
        relations.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        relations.dedup_by(|a, b| a.0 == b.0);
        let list = |names: fn(&Statement) -> &Vec<QualifiedName>| -> Vec<Qualified> {
            let names = statements().flat_map(names).filter_map(|name| self.qualified(name));
            names.collect::<BTreeSet<_>>().into_iter().collect()
        };
        let attributes: BTreeSet<&String> =
            statements().flat_map(|statement| &statement.attributes).collect();
        let possible =
            |name: &&String| Qualified { schema: String::new(), name: (*name).clone() }.is_possible();
        self.names = Names {
            functions: list(|statement| &statement.functions),
            operators: list(|statement| &statement.operators),
            types: list(|statement| &statement.types),
            attributes: attributes.into_iter().filter(possible).cloned().collect(),
            relations,
        };
    }

    /// The name as the catalog may hold it; another database's objects are none of this one's.
    fn qualified(&self, name: &QualifiedName) -> Option<Qualified> {
        let here = name.catalog.as_ref().is_none_or(|catalog| **catalog == *self.database);
        let schema = name.schema.clone();
        let given = schema.as_ref().is_none_or(|schema| !schema.is_empty());
        let name = Qualified { schema: schema.unwrap_or_default(), name: name.name.clone() };
        (here && given && name.is_possible()).then_some(name)
    }

    fn statement(
        &self,
        statement: &Statement,
        found: &[Found],
        facts: &mut BTreeSet<Fact>,
    ) -> Result<(), Refusal> {
        if statement.unparsed.is_some() {
            facts.insert(self.on_database(Action::Unparsed));
            return Ok(());
        }
        for relation in &statement.relations {
            self.relation(relation, found, facts)?;
        }
        for name in &statement.functions {
            for function in self.found(Kind::Function, name, found)? {
                let harmless = function.schema == "pg_catalog" && known_harmless(&function.name);
                let counts = !harmless || statement.procedure.as_ref() == Some(name);
                self.call(counts, &function.schema, &function.name, facts);
            }
        }
        for name in &statement.operators {
            for operator in self.found(Kind::Operator, name, found)? {
                self.call(operator.schema != "pg_catalog", &operator.first, &operator.second, facts);
            }
        }
        for name in &statement.types {
            for read in self.found(Kind::Type, name, found)? {
                if read.first.is_empty() {
                    // A row type shows what its relation is made of.
                    facts.insert(Fact { action: Action::PostgresSelect, resource: self.table(read) });
                } else {
                    self.read_value(read, facts);
                }
            }
        }
        for name in &statement.attributes {
            let place = self.names.attributes.binary_search(name).ok();
            for function in found.iter().filter(|row| row.kind == Kind::Attribute && Some(row.place) == place)
            {
                if function.first.is_empty() {
                    let harmless = function.schema == "pg_catalog" && known_harmless(&function.name);
                    self.call(!harmless, &function.schema, &function.name, facts);
                } else {
                    self.read_value(function, facts);
                }
            }
        }
        if let Some(table) = &statement.creates {
            self.creation(table, statement.temporary, facts)?;
        }
        if statement.runs_block {
            facts.insert(self.on_database(Action::PostgresDo));
        }
        self.session(statement, facts);
        Ok(())
    }

    /// A table is made in the schema that is written, or else in the first of the path that there is and that the role
    /// may use. Which one that is would be for the catalog to say, so all of the path count. Without any of them the
    /// table is a temporary one, which is less.
    fn creation(
        &self,
        table: &QualifiedName,
        temporary: bool,
        facts: &mut BTreeSet<Fact>,
    ) -> Result<(), Refusal> {
        let Some(name) = self.qualified(table) else { return self.unresolved() };
        let schemas = match (&self.path, name.schema.as_str()) {
            _ if temporary => vec![TEMPORARY],
            (Some(path), "") => {
                path.iter().map(String::as_str).filter(|schema| *schema != "pg_catalog").collect()
            }
            (None, "") => Vec::new(),
            (_, schema) => vec![schema],
        };
        if schemas.is_empty() {
            return self.unresolved();
        }
        facts.extend(schemas.into_iter().map(|schema| {
            let (schema, table) = (schema.into(), name.name.as_str().into());
            let resource = Resource::Table { database: self.database.clone(), schema, table };
            Fact { action: Action::PostgresCreate, resource }
        }));
        Ok(())
    }

    fn relation(
        &self,
        relation: &RelationUse,
        found: &[Found],
        facts: &mut BTreeSet<Fact>,
    ) -> Result<(), Refusal> {
        let action = match relation.access {
            Access::Read => Action::PostgresSelect,
            Access::Insert => Action::PostgresInsert,
            Access::Update => Action::PostgresUpdate,
            Access::Delete => Action::PostgresDelete,
            Access::Lock => Action::PostgresLock,
        };
        for table in self.found(Kind::Relation, &relation.name, found)? {
            // Tables, partitioned and foreign tables, views, sequences and TOAST tables hold rows; indexes do not.
            if !["r", "p", "f", "v", "m", "S", "t"].contains(&table.first.as_str()) {
                return self.unresolved();
            }
            facts.insert(Fact { action, resource: self.table(table) });
            let columns: Vec<&str> = match &relation.written_columns {
                WrittenColumns::None => Vec::new(),
                WrittenColumns::Named(names) => names.iter().map(String::as_str).collect(),
                WrittenColumns::All => {
                    let columns =
                        found.iter().filter(|row| row.kind == Kind::Column && row.place == table.place);
                    columns.map(|row| row.first.as_str()).collect()
                }
            };
            facts.extend(
                columns.into_iter().map(|column| Fact { action, resource: self.column(table, column) }),
            );
        }
        Ok(())
    }

    fn session(&self, statement: &Statement, facts: &mut BTreeSet<Fact>) {
        for setting in &statement.settings {
            let action = match setting.change {
                SettingChange::Show => Action::PostgresShow,
                SettingChange::Set { .. } | SettingChange::Reset { .. } => Action::PostgresSet,
            };
            let (database, setting) = (self.database.clone(), setting.name.as_str().into());
            facts.insert(Fact { action, resource: Resource::Setting { database, setting } });
        }
        if statement.transaction.is_some() {
            facts.insert(self.on_database(Action::PostgresTransaction));
        }
    }

    /// What a name was found to be: never nothing, unless the sight is clouded.
    fn found<'f>(
        &self,
        kind: Kind,
        name: &QualifiedName,
        found: &'f [Found],
    ) -> Result<Vec<&'f Found>, Refusal> {
        let place = self.qualified(name).and_then(|name| match kind {
            Kind::Relation => self.names.relations.binary_search_by(|(other, _)| other.cmp(&name)).ok(),
            Kind::Function => self.names.functions.binary_search(&name).ok(),
            Kind::Operator => self.names.operators.binary_search(&name).ok(),
            Kind::Type => self.names.types.binary_search(&name).ok(),
            Kind::Column | Kind::Attribute => None,
        });
        let meant: Vec<_> = found.iter().filter(|row| row.kind == kind && Some(row.place) == place).collect();
        if meant.is_empty() { self.unresolved().map(|()| meant) } else { Ok(meant) }
    }

    /// Whether the object exists is not said: the role may not be meant to know.
    fn unresolved(&self) -> Result<(), Refusal> {
        match self.sight {
            Sight::Clouded => Ok(()),
            Sight::Clear => Err(Refusal::denied(
                Reason::Unresolved,
                "a name in the statement is not that of an object that this role can use, so policy cannot decide",
            )),
        }
    }

    fn call(&self, counts: bool, schema: &str, function: &str, facts: &mut BTreeSet<Fact>) {
        if counts {
            let (schema, function) = (schema.into(), function.into());
            let resource = Resource::Function { database: self.database.clone(), schema, function };
            facts.insert(Fact { action: Action::PostgresCall, resource });
        }
    }

    /// A value of the type is read by the type's input function.
    fn read_value(&self, found: &Found, facts: &mut BTreeSet<Fact>) {
        let harmless = found.first == "pg_catalog" && !READS_THE_CATALOG.contains(&&*found.second);
        self.call(!harmless, &found.first, &found.second, facts);
    }

    fn on_database(&self, action: Action) -> Fact {
        Fact { action, resource: Resource::Database { database: self.database.clone() } }
    }

    fn table(&self, row: &Found) -> Resource {
        let (schema, table) = (row.schema.as_str().into(), row.name.as_str().into());
        Resource::Table { database: self.database.clone(), schema, table }
    }

    fn column(&self, row: &Found, column: &str) -> Resource {
        let (schema, table) = (row.schema.as_str().into(), row.name.as_str().into());
        Resource::Column { database: self.database.clone(), schema, table, column: column.into() }
    }
}

/// What policy sees as `context`.
pub fn context(analysis: &Analysis, in_transaction: bool) -> OperationContext {
    let statements = &analysis.statements;
    let kinds = statements.iter().flat_map(|statement| &statement.kinds);
    let kinds: BTreeSet<&'static str> = kinds.map(|kind| kind.as_str()).collect();
    // A statement that is not understood may write without a predicate, so it counts as one that does.
    let bounded =
        |statement: &Statement| statement.unparsed.is_none() && statement.has_predicate != Some(false);
    OperationContext {
        protocol: "postgres",
        statement_kinds: kinds.into_iter().collect(),
        statement_count: u32::try_from(statements.len()).unwrap_or(u32::MAX),
        all_writes_have_predicate: statements.iter().all(bounded),
        in_transaction,
    }
}

#[cfg(test)]
mod tests;
