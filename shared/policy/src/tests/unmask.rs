//! Data classes: what is not permitted is masked, and nothing is refused for it.

use std::sync::Arc;

use countersign_model::{Action, Decision, Fact, Reason, Requirement, Resource, Verdict};

use super::{SHOP, agent, class, compile, decide, determining, fact, now, operation, select, try_compile};
use crate::MAX_SEGMENT_BYTES;

const PERMIT: &str = "@id(\"all\") permit (principal, action, resource);";
const UNMASK: &str = include_str!("../../../../deploy/examples/unmask-policies.cedar");
const FAILS: &str = "context.statement_count + 9223372036854775807 > 0";

fn unmask(class: &str) -> Fact {
    Fact::unmask(class)
}

fn masked(decision: &Decision) -> Vec<&str> {
    decision.obligations.mask.iter().map(Arc::as_ref).collect()
}

/// The bundle that shows admins how it is done says what its comments say.
#[test]
fn the_example_unmasks_for_those_it_names() {
    let policies = try_compile(&[("shop", SHOP), ("unmask", UNMASK)]).unwrap();
    let facts = [select("customers"), unmask("card"), unmask("email")];
    let writer = policies.decide(&agent("writer"), &facts, &operation(), now());
    let Verdict::Hold(hold) = &writer.verdict else { panic!("{writer:?}") };
    assert_eq!((&*hold.pairs, masked(&writer)), (&[unmask("email")][..], vec!["card"]));
    let reader = policies.decide(&agent("reader"), &facts, &operation(), now());
    assert_eq!(reader.verdict, Verdict::Allow, "a class that is masked anyway waits for nobody");
    assert_eq!(masked(&reader), ["card", "email"]);
}

#[test]
fn a_class_that_nothing_permits_by_name_is_masked() {
    let facts = [unmask("email"), select("orders"), unmask("card"), unmask("email")];
    for silent in [
        PERMIT.to_owned(),
        format!("{PERMIT} permit (principal, action in [Action::\"read\", Action::\"session\"], resource);"),
        format!("{PERMIT} permit (principal, action, resource) when {{ action == Action::\"unmask\" }};"),
        format!("{PERMIT} permit (principal, action, resource is DataClass);"),
        format!("{PERMIT} permit (principal, action == Action::\"unmask\", resource in Target::\"crm\");"),
        format!("{PERMIT} permit (principal is User, action == Action::\"unmask\", resource);"),
        format!("{PERMIT} permit (principal, action == Action::\"unmask\", resource) when {{ {FAILS} }};"),
    ] {
        let decision = decide(&compile(&silent), &facts);
        assert_eq!(decision.verdict, Verdict::Allow, "{silent}");
        assert_eq!(masked(&decision), ["card", "email"], "{silent}");
        assert!(!decision.obligations.reduce_text, "{silent}");
    }
}

#[test]
fn a_permit_that_names_it_unmasks_what_it_names() {
    for naming in [
        "action == Action::\"unmask\", resource == DataClass::\"email\"",
        "action in [Action::\"unmask\", Action::\"read\"], resource == DataClass::\"email\"",
    ] {
        let policies = compile(&format!("{PERMIT} @id(\"see\") permit (principal, {naming});"));
        let decision = decide(&policies, &[unmask("email"), unmask("card"), select("orders")]);
        assert_eq!(masked(&decision), ["card"], "{naming}");
        assert_eq!(determining(&decision), ["b/all", "b/see"], "{naming}");
    }
    let everything = "action == Action::\"unmask\", resource";
    for (scope, condition, unmasked) in [
        ("resource", "", true),
        ("resource in Target::\"shop\"", "", true),
        ("resource is DataClass in Target::\"shop\"", "", true),
        ("resource == DataClass::\"email\"", "when { resource in Target::\"shop\" }", true),
        ("resource == DataClass::\"email\"", "when { resource in Target::\"crm\" }", false),
        ("resource", "when { resource in Zone::\"prod-eu\" && resource.name == \"email\" }", true),
        ("resource in Zone::\"prod-us\"", "", false),
    ] {
        let scope = everything.replace("resource", scope);
        let policies = compile(&format!("{PERMIT} permit (principal, {scope}) {condition};"));
        let decision = decide(&policies, &[unmask("email"), select("orders")]);
        assert_eq!(masked(&decision).is_empty(), unmasked, "{scope} {condition}");
    }
}

/// Neither a forbid, nor an error, nor a bound that the pair passes denies the operation.
#[test]
fn whatever_denies_the_pair_masks_the_class() {
    let see = format!("{PERMIT} permit (principal, action == Action::\"unmask\", resource);");
    let facts = [unmask("email"), select("orders")];
    for denying in [
        "forbid (principal, action == Action::\"unmask\", resource);".to_owned(),
        "forbid (principal, action, resource == DataClass::\"email\");".to_owned(),
        format!("forbid (principal, action == Action::\"unmask\", resource) when {{ {FAILS} }};"),
        format!("permit (principal, action == Action::\"unmask\", resource) when {{ {FAILS} }};"),
    ] {
        let policies = compile(&format!("{see} {denying}"));
        let decision = decide(&policies, &facts);
        assert_eq!((&decision.verdict, masked(&decision)), (&Verdict::Allow, vec!["email"]), "{denying}");
        assert_eq!(determining(&decision), ["b/all"], "what masks is no reason for letting it run");
        let explained = policies.explain(&agent("reader"), &facts, &operation(), now());
        let pair = explained.pairs.iter().find(|pair| pair.fact == facts[0]).unwrap();
        assert!(matches!(pair.verdict, Verdict::Deny(Reason::Forbidden | Reason::PolicyError)), "{denying}");
        assert_eq!(pair.determining.len(), 1, "and the explanation says which it is");
    }
    let policies = compile(&see);
    let long = "x".repeat(MAX_SEGMENT_BYTES + 1);
    let decision = decide(&policies, &[unmask(&long), unmask("email"), select("orders")]);
    assert_eq!((&decision.verdict, masked(&decision)), (&Verdict::Allow, vec![long.as_str()]));
    // What is no class cannot be masked, so it is an error like any other.
    let odd = fact(Action::Unmask, Resource::Target);
    assert_eq!(decide(&policies, &[odd, select("orders")]).verdict, Verdict::Deny(Reason::PolicyError));
    let odd = fact(Action::PostgresSelect, class("email"));
    assert_eq!(decide(&policies, &[odd]).verdict, Verdict::Deny(Reason::PolicyError));
}

#[test]
fn what_only_unmasks_touches_nothing() {
    let policies = compile(&format!("{PERMIT} permit (principal, action == Action::\"unmask\", resource);"));
    let decision = decide(&policies, &[unmask("email"), unmask("card")]);
    assert_eq!(decision.verdict, Verdict::Deny(Reason::NotPermitted));
    assert!(masked(&decision).is_empty());
}

#[test]
fn what_unmasks_can_be_held_and_approved_like_any_other_pair() {
    let text = format!(
        "{PERMIT} permit (principal, action == Action::\"unmask\", resource);
         @id(\"ask\") @approvers(\"privacy\") @quorum(\"2\")
         forbid (principal, action == Action::\"unmask\", resource == DataClass::\"email\")
         unless {{ context.approved }};"
    );
    let policies = compile(&text);
    let facts = [select("orders"), unmask("email"), unmask("card")];
    let decision = decide(&policies, &facts);
    let Verdict::Hold(hold) = &decision.verdict else { panic!("{decision:?}") };
    assert_eq!(hold.pairs, [unmask("email")]);
    assert_eq!(hold.requirements, [Requirement { group: "privacy".into(), quorum: 2 }]);
    assert_eq!(determining(&decision), ["b/ask"]);
    assert!(masked(&decision).is_empty(), "it would come back unmasked, so that is what is asked");
    let approved =
        policies.decide_approved(&agent("reader"), &facts, &operation(), &[unmask("email")], now());
    assert_eq!((&approved.verdict, masked(&approved)), (&Verdict::Allow, vec![]));
    // Another class is another pair.
    let other = policies.decide_approved(&agent("reader"), &facts, &operation(), &[unmask("card")], now());
    assert!(matches!(other.verdict, Verdict::Hold(_)), "{other:?}");
    // What is denied anyway waits for nobody.
    let narrow = text
        .replace("permit (principal, action, resource);", "permit (principal, action, resource is Column);");
    let decision = decide(&compile(&narrow), &facts);
    assert_eq!(decision.verdict, Verdict::Deny(Reason::NotPermitted));
}
