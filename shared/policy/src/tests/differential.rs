//! The same question to us and to Cedar: we select policies by scope and merge, Cedar walks all of them. Its side
//! also checks every entity and request against the schema, so ours are what the schema promises.

use std::{collections::BTreeSet, sync::LazyLock};

use cedar_policy::{
    Authorizer, Decision as CedarDecision, Effect, Entities, PolicySet, Request, Response, Schema,
    ValidationMode, Validator,
};
use countersign_model::{Action, Decision, Fact, PrincipalKind, Reason, Resource, SessionFacts, Verdict};
use proptest::prelude::*;

use super::{
    agent, beside, class, column, database, fact, now, operation, principal, session_of, setting, table,
};
use super::{compile, decide};
use crate::{CompiledPolicies, SCHEMA, context::Surroundings, entity::applies};

static SCHEMA_READ: LazyLock<Schema> = LazyLock::new(|| Schema::from_cedarschema_str(SCHEMA).unwrap().0);

/// Every combination of these that Cedar's strict mode takes without a warning.
static POOL: LazyLock<Vec<String>> = LazyLock::new(|| {
    let validator = Validator::new(SCHEMA_READ.clone());
    let valid = |text: &String| {
        let set: PolicySet = text.parse().unwrap();
        validator.validate(&set, ValidationMode::Strict).validation_passed_without_warnings()
    };
    let mut pool = Vec::new();
    for head in ["permit", "forbid", "@approvers(\"dba\") forbid"] {
        for principal in PRINCIPALS {
            for action in ACTIONS {
                for resource in RESOURCES {
                    // One of the conditions each: enough of all of them, at a sixth of the time.
                    let condition = CONDITIONS[pool.len() % CONDITIONS.len()];
                    let lifting = if head.starts_with('@') { "unless { context.approved }" } else { "" };
                    pool.push(format!("{head} ({principal}, {action}, {resource}) {condition} {lifting};"));
                }
            }
        }
    }
    pool.retain(valid);
    pool
});

const PRINCIPALS: [&str; 6] = [
    "principal",
    "principal == Agent::\"reader\"",
    "principal is Agent",
    "principal is User",
    "principal in Role::\"dba\"",
    "principal is User in Role::\"dba\"",
];
const ACTIONS: [&str; 8] = [
    "action",
    "action == Action::\"postgres:select\"",
    "action == Action::\"unparsed\"",
    "action == Action::\"unmask\"",
    "action in [Action::\"unmask\", Action::\"unparsed\", Action::\"write\"]",
    "action in Action::\"write\"",
    "action in [Action::\"read\", Action::\"session\"]",
    "action in [Action::\"connect\", Action::\"unparsed\", Action::\"postgres:delete\"]",
];
const RESOURCES: [&str; 11] = [
    "resource",
    "resource == Table::\"shop/shop/public/orders\"",
    "resource in Table::\"shop/shop/public/orders\"",
    "resource in Schema::\"shop/shop/public\"",
    "resource in Zone::\"prod-eu\"",
    "resource in Zone::\"prod-us\"",
    "resource is Database in Target::\"shop\"",
    "resource is Table",
    "resource == DataClass::\"email\"",
    "resource is DataClass in Target::\"shop\"",
    "resource in Target::\"crm\"",
];
const CONDITIONS: [&str; 7] = [
    "",
    "when { context.in_transaction }",
    "unless { context.in_transaction }",
    "",
    "when { context.statement_count + 9223372036854775807 > 0 && context.in_transaction }",
    "when { context.now > datetime(\"2020-01-01\") && context.protocol == \"postgres\" }",
    "",
];

fn callers() -> Vec<SessionFacts> {
    let with = |kind, agent, roles: &[&str]| session_of(principal(kind, "oid", agent, roles));
    vec![
        agent("reader"),
        with(PrincipalKind::Agent, None, &["dba", "ops"]),
        with(PrincipalKind::User, None, &["dba"]),
        with(PrincipalKind::User, None, &[]),
        with(PrincipalKind::AgentForUser, Some("reader"), &["dba"]),
    ]
}

fn pairs() -> Vec<Fact> {
    let function =
        Resource::Function { database: "shop".into(), schema: "public".into(), function: "f".into() };
    let resources = [
        Resource::Target,
        database(),
        table("public", "orders"),
        table("internal", "orders"),
        column("orders", "id"),
        function,
        setting("role"),
        class("email"),
        class("card"),
    ];
    let all =
        Action::ALL.into_iter().flat_map(|action| resources.iter().map(move |r| fact(action, r.clone())));
    all.filter(|fact| applies(fact.action, &fact.resource)).collect()
}

/// Cedar's answer over every policy, but for permits that do not name `unparsed` or `unmask`, which do not count
/// for them.
fn over_all(
    policies: &CompiledPolicies,
    session: &SessionFacts,
    fact: &Fact,
    in_transaction: bool,
    approved: bool,
) -> Response {
    let mut set = PolicySet::new();
    for policy in policies.index.policies() {
        let by_name = matches!(fact.action, Action::Unparsed | Action::Unmask);
        let names = policy.to_string().contains(&format!("Action::\"{}\"", fact.action.as_str()));
        if !by_name || policy.effect() == Effect::Forbid || names {
            set.add(policy.clone()).unwrap();
        }
    }
    let mut operation = operation();
    operation.in_transaction = in_transaction;
    let mentioned: BTreeSet<String> = [
        "protocol",
        "statement_kinds",
        "statement_count",
        "all_writes_have_predicate",
        "in_transaction",
        "client_address",
        "now",
    ]
    .map(str::to_owned)
    .into();
    let surroundings = Surroundings { session, operation: &operation, now: now(), mentioned: &mentioned };
    let principal = policies.vocabulary.principal(&session.principal).unwrap();
    let resource = policies.vocabulary.resource(session, &fact.resource).unwrap();
    let entities = principal.entities.iter().chain(&resource.entities).cloned();
    let entities = Entities::from_entities(entities, Some(&SCHEMA_READ)).expect("entities conform");
    let action = format!("Action::\"{}\"", fact.action.as_str()).parse().unwrap();
    let context = surroundings.context(approved).unwrap();
    let request =
        Request::new(principal.uid, action, resource.uid, context, Some(&SCHEMA_READ)).expect("conforms");
    Authorizer::new().is_authorized(&request, &set, &entities)
}

/// The algebra's first two rules, spelled out once more over Cedar's answers.
fn expected(
    policies: &CompiledPolicies,
    session: &SessionFacts,
    fact: &Fact,
    in_transaction: bool,
) -> (String, BTreeSet<String>) {
    let ask = |approved| over_all(policies, session, fact, in_transaction, approved);
    let failed = |response: &Response| response.diagnostics().errors().next().is_some();
    let first = ask(false);
    let said: BTreeSet<String> = first.diagnostics().reason().map(ToString::to_string).collect();
    let not_permitted = if fact.action == Action::Unparsed { "unparsed" } else { "not_permitted" };
    let word = if failed(&first) {
        let faulty = first
            .diagnostics()
            .errors()
            .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(e)| e.policy_id().to_string());
        return ("policy_error".to_owned(), faulty.collect());
    } else if first.decision() == CedarDecision::Allow {
        "allow"
    } else if said.is_empty() {
        not_permitted
    } else if !said.iter().all(|id| policies.requirements.contains_key(id)) {
        "forbidden"
    } else {
        let second = ask(true);
        assert!(!failed(&second));
        if second.decision() == CedarDecision::Allow { "hold" } else { not_permitted }
    };
    (word.to_owned(), said)
}

/// The word once people have approved the pair; `None` where nothing permits it.
fn expected_approved(
    policies: &CompiledPolicies,
    session: &SessionFacts,
    fact: &Fact,
    in_transaction: bool,
) -> Option<&'static str> {
    let response = over_all(policies, session, fact, in_transaction, true);
    if response.diagnostics().errors().next().is_some() {
        return Some("policy_error");
    }
    if response.decision() == CedarDecision::Allow {
        return Some("allow");
    }
    // Every forbid that speaks now is one that an approval does not lift.
    response.diagnostics().reason().next().map(|_| "forbidden")
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Hold(_) => "hold",
        Verdict::Deny(reason) => reason.as_str(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn preselection_and_cedar_over_all_policies_agree(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..24),
        caller in any::<prop::sample::Index>(),
        in_transaction in any::<bool>(),
    ) {
        let text: String = chosen.iter().map(|index| index.get(&POOL).as_str()).collect();
        let policies = compile(&text);
        let callers = callers();
        let session = caller.get(&callers);
        let mut operation = operation();
        operation.in_transaction = in_transaction;
        for fact in pairs() {
            let facts = beside(fact.clone());
            let explained = policies.explain(session, &facts, &operation, now());
            let judged = explained.pairs.iter().find(|pair| pair.fact == fact).unwrap();
            let said: BTreeSet<String> = judged.determining.iter().map(|d| d.policy.to_string()).collect();
            let (expected, expected_said) = expected(&policies, session, &fact, in_transaction);
            prop_assert_eq!(word(&judged.verdict), expected, "{:?} {}", fact, text);
            prop_assert_eq!(said, expected_said, "{:?} {}", fact, text);
            let decision = policies.decide(session, &facts, &operation, now());
            prop_assert_eq!(&decision, &explained.decision);
            let pair = std::slice::from_ref(&fact);
            let approved = policies.decide_approved(session, &facts, &operation, pair, now());
            let expected = expected_approved(&policies, session, &fact, in_transaction);
            if fact.action == Action::Unmask {
                let shown = |decision: &Decision| decision.obligations.mask.is_empty();
                let denied = matches!(judged.verdict, Verdict::Deny(_));
                prop_assert_eq!(shown(&decision), !denied, "{:?} {}", fact, text);
                let allowed = expected == Some("allow");
                prop_assert_eq!(shown(&approved), allowed, "approved {:?} {}", fact, text);
                let companion = policies.decide(session, &facts[1..], &operation, now());
                let held = matches!(judged.verdict, Verdict::Hold(_));
                let whole = match companion.verdict {
                    Verdict::Allow if held => "hold",
                    ref verdict => word(verdict),
                };
                prop_assert_eq!(word(&decision.verdict), whole, "whole {:?} {}", fact, text);
            } else {
                prop_assert_eq!(&decision.verdict, &judged.verdict);
                let expected = expected.unwrap_or(match fact.action {
                    Action::Unparsed => "unparsed",
                    _ => "not_permitted",
                });
                prop_assert_eq!(word(&approved.verdict), expected, "approved {:?} {}", fact, text);
            }
        }
    }
}

/// The property above says little if its cases are all alike.
#[test]
fn the_pool_reaches_every_verdict() {
    assert!(POOL.len() > 400, "{} policies", POOL.len());
    let mut seen = BTreeSet::new();
    for start in (0..POOL.len()).step_by(7) {
        let some = [start, start + 211, start + 431].map(|n| POOL[n % POOL.len()].as_str());
        let policies = compile(&some.concat());
        seen.extend(pairs().iter().map(|pair| word(&decide(&policies, std::slice::from_ref(pair)).verdict)));
    }
    let all = ["allow", "forbidden", "hold", "not_permitted", "policy_error", "unparsed"];
    assert_eq!(seen, all.into());
}

#[test]
fn the_table_of_actions_and_resources_is_the_schemas() {
    let session = agent("reader");
    let policies = compile("permit (principal, action, resource);");
    for action in Action::ALL {
        let uid = format!("Action::\"{}\"", action.as_str()).parse().unwrap();
        let kinds: BTreeSet<String> =
            SCHEMA_READ.resources_for_action(&uid).unwrap().map(ToString::to_string).collect();
        for pair in pairs() {
            let party = policies.vocabulary.resource(&session, &pair.resource).unwrap();
            let declared = kinds.contains(&party.uid.type_name().to_string());
            assert_eq!(applies(action, &pair.resource), declared, "{action:?} {:?}", pair.resource);
            let odd = decide(&policies, &[fact(action, pair.resource.clone())]).verdict
                == Verdict::Deny(Reason::PolicyError);
            assert_eq!(odd, !declared, "{action:?} {:?}", pair.resource);
        }
    }
}
