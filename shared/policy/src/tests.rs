//! Promises of the crate, on bundles as admins write them.

mod bundles;
mod decisions;
mod differential;
mod matrix;
mod unmask;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_model::{
    Action, Decision, Fact, OperationContext, Principal, PrincipalKind, RecordingId, Resource, SessionFacts,
    SessionId,
};

use crate::{CompileError, CompiledPolicies, revision};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const SHOP: &str = include_str!("../../../deploy/examples/shop-policies.cedar");

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

fn try_compile(bundles: &[(&str, &str)]) -> Result<CompiledPolicies, CompileError> {
    CompiledPolicies::compile(&revision(bundles), bundles)
}

fn compile(text: &str) -> CompiledPolicies {
    try_compile(&[("b", text)]).unwrap()
}

/// The refusal of a bundle, as its admin reads it.
fn refusal(text: &str) -> String {
    match try_compile(&[("b", text)]) {
        Ok(_) => panic!("should be refused: {text}"),
        Err(error) => error.to_string(),
    }
}

fn principal(kind: PrincipalKind, object_id: &str, agent: Option<&str>, roles: &[&str]) -> Principal {
    Principal {
        tenant_id: TENANT.into(),
        object_id: object_id.into(),
        app_id: Some("22222222-2222-4222-8222-222222222222".into()),
        kind,
        agent: agent.map(|name| name.parse().unwrap()),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
    }
}

fn session_of(principal: Principal) -> SessionFacts {
    SessionFacts {
        session: SessionId::generate(),
        recording: RecordingId::generate(),
        principal: Arc::new(principal),
        token_id: "uti".into(),
        zone: "prod-eu".parse().unwrap(),
        target: "shop".parse().unwrap(),
        client: Some([10, 1, 2, 3].into()),
        deadline: now() + Duration::from_secs(3600),
    }
}

fn agent(name: &str) -> SessionFacts {
    session_of(principal(PrincipalKind::Agent, "33333333-3333-4333-8333-333333333333", Some(name), &[]))
}

fn operation() -> OperationContext {
    OperationContext {
        protocol: "postgres",
        statement_kinds: vec!["select"],
        statement_count: 1,
        all_writes_have_predicate: true,
        in_transaction: false,
    }
}

fn database() -> Resource {
    Resource::Database { database: "shop".into() }
}

fn table(schema: &str, table: &str) -> Resource {
    Resource::Table { database: "shop".into(), schema: schema.into(), table: table.into() }
}

fn column(table: &str, column: &str) -> Resource {
    Resource::Column {
        database: "shop".into(),
        schema: "public".into(),
        table: table.into(),
        column: column.into(),
    }
}

fn setting(name: &str) -> Resource {
    Resource::Setting { database: "shop".into(), setting: name.into() }
}

fn class(name: &str) -> Resource {
    Resource::DataClass { class: name.into() }
}

fn fact(action: Action, resource: Resource) -> Fact {
    Fact { action, resource }
}

fn select(name: &str) -> Fact {
    fact(Action::PostgresSelect, table("public", name))
}

fn unparsed() -> Fact {
    fact(Action::Unparsed, database())
}

/// What an operation has to touch for the fact to be looked at: to unmask is nothing by itself.
fn beside(fact: Fact) -> Vec<Fact> {
    match fact.action {
        Action::Unmask => vec![fact, select("orders")],
        _ => vec![fact],
    }
}

fn decide(policies: &CompiledPolicies, facts: &[Fact]) -> Decision {
    policies.decide(&agent("reader"), facts, &operation(), now())
}

fn determining(decision: &Decision) -> Vec<&str> {
    decision.determining.iter().map(|d| &*d.policy).collect()
}
