//! The algebra, promise by promise.

use countersign_model::{
    Action, Decision, Fact, OperationContext, PrincipalKind, Reason, Requirement, Resource, Verdict,
};

use super::{
    TENANT, agent, column, compile, database, decide, determining, fact, now, operation, principal, select,
    session_of, table, try_compile, unparsed,
};
use crate::{CompiledPolicies, MAX_FACTS, MAX_ROLES, MAX_SEGMENT_BYTES};

const PERMIT: &str = "permit (principal, action, resource);";
/// Validates, and fails when it is evaluated: the sum leaves the range of a Long.
const FAILS: &str = "context.statement_count + 9223372036854775807 > 0";

fn held(group: &str, rest: &str) -> String {
    format!("@approvers(\"{group}\") {rest} unless {{ context.approved }};")
}

fn requirement(group: &str, quorum: u32) -> Requirement {
    Requirement { group: group.into(), quorum }
}

#[test]
fn an_erroring_forbid_denies() {
    let alone = compile(&format!(
        "{PERMIT} @id(\"broken\") forbid (principal, action, resource) when {{ {FAILS} }};"
    ));
    let decision = decide(&alone, &[select("orders")]);
    assert_eq!(decision.verdict, Verdict::Deny(Reason::PolicyError));
    assert_eq!(determining(&decision), ["b/broken"]);
    // Cedar itself would have allowed: the failing forbid is skipped there.
    let explained = alone.explain(&agent("reader"), &[select("orders")], &operation(), now());
    assert!(explained.pairs[0].faults[0].message.contains("overflow"), "{explained:?}");
    // An approval does not help it, and neither does a forbid that could be lifted.
    let lifted = format!(
        "{PERMIT} {}",
        held("dba", &format!("forbid (principal, action, resource) when {{ {FAILS} }}"))
    );
    assert_eq!(decide(&compile(&lifted), &[select("orders")]).verdict, Verdict::Deny(Reason::PolicyError));
}

#[test]
fn an_erroring_permit_denies_although_another_permits() {
    let policies = compile(&format!("{PERMIT} permit (principal, action, resource) when {{ {FAILS} }};"));
    assert_eq!(decide(&policies, &[select("orders")]).verdict, Verdict::Deny(Reason::PolicyError));
}

#[test]
fn forbid_wins_across_bundles() {
    let forbid = "@id(\"no\") forbid (principal, action, resource in Schema::\"shop/shop/public\");";
    for bundles in [[("a", PERMIT), ("z", forbid)], [("z", PERMIT), ("a", forbid)]] {
        let policies = try_compile(&bundles).unwrap();
        let decision = decide(&policies, &[select("orders")]);
        assert_eq!(decision.verdict, Verdict::Deny(Reason::Forbidden));
        assert_eq!(determining(&decision).len(), 1);
        let elsewhere = fact(Action::PostgresSelect, table("other", "orders"));
        assert_eq!(decide(&policies, std::slice::from_ref(&elsewhere)).verdict, Verdict::Allow);
        assert_eq!(
            decide(&policies, &[elsewhere, select("orders")]).verdict,
            Verdict::Deny(Reason::Forbidden)
        );
    }
}

#[test]
fn empty_set_denies() {
    let policies = compile(PERMIT);
    assert_eq!(decide(&policies, &[]).verdict, Verdict::Deny(Reason::NotPermitted));
    assert_eq!(decide(&policies, &[select("orders")]).verdict, Verdict::Allow, "the policy does permit");
    let none = try_compile(&[]).unwrap();
    assert_eq!(decide(&none, &[select("orders")]).verdict, Verdict::Deny(Reason::NoPolicy));
}

#[test]
fn making_and_locking_are_writes_and_code_is_in_no_group() {
    let policies = compile(
        "permit (principal, action in [Action::\"read\", Action::\"write\", Action::\"session\"], resource);",
    );
    let verdict = |action, resource| decide(&policies, &[fact(action, resource)]).verdict;
    assert_eq!(verdict(Action::PostgresCreate, table("public", "loot")), Verdict::Allow);
    assert_eq!(verdict(Action::PostgresLock, table("public", "orders")), Verdict::Allow);
    assert_eq!(verdict(Action::PostgresDo, database()), Verdict::Deny(Reason::NotPermitted));
    let writes_are_held = compile(&format!(
        "{PERMIT} {}",
        held("dba", "forbid (principal, action in Action::\"write\", resource)")
    ));
    for action in [Action::PostgresCreate, Action::PostgresLock] {
        let verdict = decide(&writes_are_held, &[fact(action, table("public", "orders"))]).verdict;
        assert!(matches!(verdict, Verdict::Hold(_)), "{action:?}: {verdict:?}");
    }
}

#[test]
fn unparsed_denied_unless_named() {
    for silent in [
        PERMIT,
        "permit (principal, action in [Action::\"read\", Action::\"write\", Action::\"session\"], resource);",
        "permit (principal, action, resource) when { action == Action::\"unparsed\" };",
        "permit (principal == Agent::\"writer\", action == Action::\"unparsed\", resource);",
    ] {
        let policies = compile(silent);
        assert_eq!(decide(&policies, &[unparsed()]).verdict, Verdict::Deny(Reason::Unparsed), "{silent}");
        assert!(
            matches!(decide(&policies, &[select("orders"), unparsed()]).verdict, Verdict::Deny(_)),
            "{silent}"
        );
    }
    for naming in [
        "permit (principal, action == Action::\"unparsed\", resource);",
        "permit (principal, action in Action::\"unparsed\", resource);",
        "permit (principal, action in [Action::\"read\", Action::\"unparsed\"], resource);",
    ] {
        assert_eq!(decide(&compile(naming), &[unparsed()]).verdict, Verdict::Allow, "{naming}");
        // A forbid need not name it, and can be lifted for it as for anything else.
        let forbidden = compile(&format!("{naming} forbid (principal, action, resource);"));
        assert_eq!(decide(&forbidden, &[unparsed()]).verdict, Verdict::Deny(Reason::Forbidden), "{naming}");
        let holds = compile(&format!("{naming} {}", held("dba", "forbid (principal, action, resource)")));
        assert!(matches!(decide(&holds, &[unparsed()]).verdict, Verdict::Hold(_)), "{naming}");
    }
    // Approval lifts a forbid, and still nothing permits.
    let policies = compile(&format!("{PERMIT} {}", held("dba", "forbid (principal, action, resource)")));
    assert_eq!(decide(&policies, &[unparsed()]).verdict, Verdict::Deny(Reason::Unparsed));
}

#[test]
fn holds_collect_every_requirement_once() {
    let text = [
        PERMIT.to_owned(),
        held(
            "dba",
            "@id(\"one\") @quorum(\"2\") forbid (principal, action, resource == Table::\"shop/shop/public/orders\")",
        ),
        held(
            "dba",
            "@id(\"two\") @quorum(\"2\") forbid (principal, action, resource in Table::\"shop/shop/public/orders\")",
        ),
        held(
            "dba",
            "@id(\"three\") forbid (principal, action, resource == Table::\"shop/shop/public/customers\")",
        ),
        held(
            "privacy",
            "@id(\"four\") forbid (principal, action, resource == Table::\"shop/shop/public/customers\")",
        ),
    ];
    let policies = compile(&text.concat());
    let decision = decide(&policies, &[select("orders"), select("products"), select("customers")]);
    let Verdict::Hold(hold) = &decision.verdict else { panic!("{decision:?}") };
    assert_eq!(hold.requirements, [requirement("dba", 1), requirement("dba", 2), requirement("privacy", 1)]);
    assert_eq!(determining(&decision), ["b/four", "b/one", "b/three", "b/two"]);
    assert_eq!(
        hold.pairs,
        [select("customers"), select("orders")],
        "sorted, and without what is allowed anyway"
    );
    let explained =
        policies.explain(&agent("reader"), &[select("products"), select("orders")], &operation(), now());
    let verdicts: Vec<bool> = explained.pairs.iter().map(|p| p.verdict == Verdict::Allow).collect();
    assert_eq!(verdicts, [false, true], "pairs are sorted, and only one is held");
}

#[test]
fn a_hold_needs_every_forbid_liftable_and_something_that_permits() {
    let holdable = held("dba", "@id(\"ask\") forbid (principal, action, resource)");
    let plain = "@id(\"never\") forbid (principal, action, resource is Table);";
    let mixed = decide(&compile(&format!("{PERMIT} {holdable} {plain}")), &[select("orders")]);
    assert_eq!(mixed.verdict, Verdict::Deny(Reason::Forbidden));
    assert_eq!(determining(&mixed), ["b/ask", "b/never"]);
    assert_eq!(decide(&compile(&holdable), &[select("orders")]).verdict, Verdict::Deny(Reason::NotPermitted));
    // One pair that can only be denied denies the operation, however many are held.
    let narrow = compile(&format!("permit (principal, action, resource is Table); {holdable}"));
    assert!(matches!(decide(&narrow, &[select("orders")]).verdict, Verdict::Hold(_)));
    let with_column = [select("orders"), fact(Action::PostgresSelect, column("orders", "id"))];
    assert_eq!(decide(&narrow, &with_column).verdict, Verdict::Deny(Reason::NotPermitted));
}

fn decide_approved(policies: &CompiledPolicies, facts: &[Fact], approved: &[Fact]) -> Decision {
    policies.decide_approved(&agent("reader"), facts, &operation(), approved, now())
}

#[test]
fn approved_is_true_for_the_listed_pairs_alone() {
    let policies =
        compile(&format!("{PERMIT} {}", held("dba", "@id(\"ask\") forbid (principal, action, resource)")));
    let (orders, customers) = (select("orders"), select("customers"));
    let both = [orders.clone(), customers.clone()];
    assert_eq!(decide_approved(&policies, &both, &both).verdict, Verdict::Allow);
    for (approved, left) in [(&orders, &customers), (&customers, &orders)] {
        let decision = decide_approved(&policies, &both, std::slice::from_ref(approved));
        let Verdict::Hold(hold) = &decision.verdict else { panic!("{decision:?}") };
        assert_eq!(hold.pairs, std::slice::from_ref(left), "the other pair still waits");
    }
    // The same names under another action, schema or column are other pairs.
    for other in [
        fact(Action::PostgresInsert, table("public", "orders")),
        fact(Action::PostgresSelect, table("internal", "orders")),
        fact(Action::PostgresSelect, column("orders", "id")),
    ] {
        let decision = decide_approved(&policies, std::slice::from_ref(&orders), &[other]);
        assert!(matches!(decision.verdict, Verdict::Hold(_)), "{decision:?}");
    }
    // What was approved beside does not matter, and what was not asked is not decided.
    let alone = decide_approved(&policies, std::slice::from_ref(&orders), &both);
    assert_eq!(alone.verdict, Verdict::Allow);
    assert_eq!(decide_approved(&policies, &[], &both).verdict, Verdict::Deny(Reason::NotPermitted));
}

#[test]
fn an_approval_lifts_what_asked_for_it_and_grants_nothing() {
    let ask = held("dba", "forbid (principal, action, resource)");
    let orders = [select("orders")];
    for (text, reason) in [
        (ask.clone(), Reason::NotPermitted),
        (format!("{PERMIT} {ask} forbid (principal, action, resource is Table);"), Reason::Forbidden),
        (
            format!("{PERMIT} {ask} forbid (principal, action, resource) when {{ {FAILS} }};"),
            Reason::PolicyError,
        ),
    ] {
        let decision = decide_approved(&compile(&text), &orders, &orders);
        assert_eq!(decision.verdict, Verdict::Deny(reason), "{text}");
    }
    let allowed = compile(PERMIT);
    assert_eq!(decide_approved(&allowed, &orders, &orders), decide_approved(&allowed, &orders, &[]));
    let holds = compile(&format!("{PERMIT} {ask}"));
    assert_eq!(
        decide_approved(&holds, &orders, &[]),
        decide(&holds, &orders),
        "with nothing approved they agree"
    );
}

#[test]
fn bounds_and_pairs_the_schema_does_not_know_are_denied() {
    let policies = compile(PERMIT);
    let many = |n: usize| -> Vec<Fact> { (0..n).map(|i| select(&i.to_string())).collect() };
    assert_eq!(decide(&policies, &many(MAX_FACTS)).verdict, Verdict::Allow);
    assert_eq!(decide(&policies, &many(MAX_FACTS + 1)).verdict, Verdict::Deny(Reason::OverLimit));
    let long = |n: usize| [select(&"x".repeat(n))];
    assert_eq!(decide(&policies, &long(MAX_SEGMENT_BYTES)).verdict, Verdict::Allow);
    assert_eq!(decide(&policies, &long(MAX_SEGMENT_BYTES + 1)).verdict, Verdict::Deny(Reason::OverLimit));
    let mut crowded = principal(PrincipalKind::User, "o", None, &[]);
    crowded.roles = (0..=MAX_ROLES).map(|n| n.to_string()).collect();
    let decision = policies.decide(&session_of(crowded), &[select("orders")], &operation(), now());
    assert_eq!(decision.verdict, Verdict::Deny(Reason::OverLimit));
    let odd = fact(Action::Connect, database());
    assert_eq!(decide(&policies, &[odd]).verdict, Verdict::Deny(Reason::PolicyError));
}

#[test]
fn names_are_escaped_so_that_no_two_paths_meet() {
    let policies = compile(
        "permit (principal, action, resource in Schema::\"shop/shop/public\");
         permit (principal, action, resource == Table::\"shop/shop/a%2Fb%25/t\");",
    );
    let read = |schema: &str, name: &str| {
        decide(&policies, &[fact(Action::PostgresSelect, table(schema, name))]).verdict
    };
    assert_eq!(read("public", "x"), Verdict::Allow);
    assert_eq!(read("public/x", "y"), Verdict::Deny(Reason::NotPermitted));
    assert_eq!(read("a/b%", "t"), Verdict::Allow);
    assert_eq!(read("a%2Fb%25", "t"), Verdict::Deny(Reason::NotPermitted));
}

#[test]
fn callers_are_who_their_tokens_say() {
    let ask = |policy: &str, kind: PrincipalKind, name: Option<&str>| {
        let session = session_of(principal(kind, "oid", name, &["dba"]));
        compile(policy).decide(&session, &[select("orders")], &operation(), now()).verdict == Verdict::Allow
    };
    use PrincipalKind::{Agent, AgentForUser, User};
    let permit = |scope: &str, tail: &str| format!("permit ({scope}, action, resource) {tail};");
    let unnamed = permit(&format!("principal == Agent::\"{TENANT}/oid\""), "");
    assert!(
        ask(&unnamed, Agent, None) && !ask(&unnamed, Agent, Some("reader")) && !ask(&unnamed, User, None)
    );
    let user = permit(&format!("principal == User::\"{TENANT}/oid\""), "");
    assert!(ask(&user, User, None) && !ask(&user, AgentForUser, None));
    let registered =
        permit("principal is Agent", "when { principal.registered && principal.object_id == \"oid\" }");
    assert!(ask(&registered, Agent, Some("reader")) && !ask(&registered, Agent, None));
    let role = permit("principal in Role::\"dba\"", "");
    assert!(ask(&role, User, None) && ask(&role, Agent, None), "a role of one's own");
    assert!(!ask(&role, AgentForUser, Some("reader")), "the person's roles are not the agent's");
    let behind = permit(
        "principal is Agent",
        "when { principal has on_behalf_of_user && principal.on_behalf_of_user in Role::\"dba\" }",
    );
    assert!(ask(&behind, AgentForUser, Some("reader")) && !ask(&behind, Agent, Some("reader")));
}

#[test]
fn policies_see_the_operation_and_its_time_and_place() {
    let allowed = |clause: &str| {
        let policies = compile(&format!("permit (principal, action, resource) when {{ {clause} }};"));
        decide(&policies, &[select("orders")]).verdict == Verdict::Allow
    };
    for (yes, no) in [
        ("context.protocol == \"postgres\"", "context.protocol == \"http\""),
        ("context.statement_kinds.contains(\"select\")", "context.statement_kinds.contains(\"delete\")"),
        ("context.statement_count == 1", "context.statement_count == 2"),
        ("context.all_writes_have_predicate", "!context.all_writes_have_predicate"),
        ("!context.in_transaction", "context.in_transaction"),
        ("context.now > datetime(\"2025-10-09\")", "context.now > datetime(\"2025-10-10\")"),
        (
            "context has client_address && context.client_address.isInRange(ip(\"10.0.0.0/8\"))",
            "context has client_address && context.client_address.isInRange(ip(\"11.0.0.0/8\"))",
        ),
        ("resource in Target::\"shop\" && resource in Zone::\"prod-eu\"", "resource in Zone::\"prod-us\""),
    ] {
        assert!(allowed(yes), "{yes}");
        assert!(!allowed(no), "{no}");
    }
}

#[test]
fn an_absent_address_is_absent() {
    let policies = compile("permit (principal, action, resource) unless { context has client_address };");
    let mut session = agent("reader");
    assert!(matches!(
        policies.decide(&session, &[select("t")], &operation(), now()).verdict,
        Verdict::Deny(_)
    ));
    session.client = None;
    assert_eq!(policies.decide(&session, &[select("t")], &operation(), now()).verdict, Verdict::Allow);
    let default = OperationContext::default();
    assert!(!default.all_writes_have_predicate, "an unset context is the stricter one");
    let connect = fact(Action::Connect, Resource::Target);
    assert_eq!(policies.decide(&session, &[connect], &default, now()).verdict, Verdict::Allow);
}

#[test]
fn compiled_policies_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&compile(PERMIT));
}
