//! The example bundle's whole matrix, in a file whose diff is reviewed. `BLESS=1` writes it anew.

use std::fmt::Write;

use countersign_model::{Action, Fact, OperationContext, PrincipalKind, Resource, SessionFacts, Verdict};

use super::{
    SHOP, agent, beside, class, column, database, fact, now, operation, principal, session_of, setting,
    table, try_compile,
};
use crate::{CompiledPolicies, entity::applies};

#[test]
fn the_example_bundle_keeps_its_matrix() {
    let policies = try_compile(&[("shop", SHOP)]).unwrap();
    let printed = print(&policies);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden/shop-policies.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        printed, golden,
        "the matrix changed; if that is meant, run again with BLESS=1 and review the diff"
    );
}

fn print(policies: &CompiledPolicies) -> String {
    let callers: [(&str, SessionFacts); 5] = [
        ("reader", agent("reader")),
        ("writer", agent("writer")),
        ("stranger", agent("stranger")),
        ("unregistered", session_of(principal(PrincipalKind::Agent, "oid", None, &["dba"]))),
        ("user", session_of(principal(PrincipalKind::User, "oid", None, &["dba"]))),
    ];
    let mut out = format!("{:<22}{:<34}{:<6}", "action", "resource", "where");
    for (name, _) in &callers {
        write!(out, "{name:<15}").unwrap();
    }
    for (fact, context) in rows() {
        let where_clause = if context.all_writes_have_predicate { "yes" } else { "no" };
        write!(out, "\n{:<22}{:<34}{where_clause:<6}", fact.action.as_str(), label(&fact.resource)).unwrap();
        for (_, session) in &callers {
            let cell = match of_pair(policies, session, &fact, &context) {
                Verdict::Allow => "allow",
                Verdict::Hold(_) => "hold",
                Verdict::Deny(_) if fact.action == Action::Unmask => "mask",
                Verdict::Deny(reason) => reason.as_str(),
            };
            write!(out, "{cell:<15}").unwrap();
        }
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn of_pair(
    policies: &CompiledPolicies,
    session: &SessionFacts,
    fact: &Fact,
    context: &OperationContext,
) -> Verdict {
    let facts = beside(fact.clone());
    let explained = policies.explain(session, &facts, context, now());
    explained.pairs.into_iter().find(|pair| pair.fact == *fact).unwrap().verdict
}

/// Every action on every resource that it applies to, writes with a WHERE clause and without.
fn rows() -> Vec<(Fact, OperationContext)> {
    let resources = [
        Resource::Target,
        database(),
        Resource::Database { database: "other".into() },
        table("public", "customers"),
        table("public", "orders"),
        table("internal", "orders"),
        column("customers", "email"),
        column("orders", "note"),
        Resource::Function { database: "shop".into(), schema: "public".into(), function: "refund".into() },
        setting("statement_timeout"),
        setting("search_path"),
        setting("role"),
        class("email"),
        class("ssn"),
    ];
    let mut rows = Vec::new();
    for action in Action::ALL {
        for resource in resources.iter().filter(|resource| applies(action, resource)) {
            rows.push((fact(action, resource.clone()), operation()));
            if matches!(action, Action::PostgresUpdate | Action::PostgresDelete) {
                let everything = OperationContext { all_writes_have_predicate: false, ..operation() };
                rows.push((fact(action, resource.clone()), everything));
            }
        }
    }
    rows
}

fn label(resource: &Resource) -> String {
    match resource {
        Resource::Target => "target".to_owned(),
        Resource::Database { database } => format!("database {database}"),
        Resource::Table { schema, table, .. } => format!("table {schema}.{table}"),
        Resource::Column { schema, table, column, .. } => format!("column {schema}.{table}.{column}"),
        Resource::Function { schema, function, .. } => format!("function {schema}.{function}"),
        Resource::Setting { setting, .. } => format!("setting {setting}"),
        Resource::DataClass { class } => format!("class {class}"),
    }
}
