//! What the bundle compiler takes and refuses.

use super::{compile, refusal, try_compile};
use crate::{
    CompileError, CompiledPolicies, MAX_BUNDLE_BYTES, MAX_BUNDLES, MAX_DEPTH, MAX_OPERATORS, revision,
};

const ALL: &str = "principal, action, resource";

#[test]
fn context_approved_in_a_permit_is_refused() {
    for clause in [
        "when { context.approved }",
        "unless { context.approved }",
        "unless { !context.approved }",
        "when { context[\"approved\"] }",
        "when { context has approved }",
        "when { context.statement_count > 1 || context.approved }",
    ] {
        let text = format!("@id(\"sneaky\") permit ({ALL}) {clause};");
        let refusal = refusal(&text);
        assert!(
            refusal.starts_with("policy b/sneaky: context.approved has no place in a permit"),
            "{text}: {refusal}"
        );
    }
}

#[test]
fn context_approved_anywhere_but_alone_in_an_unless_is_refused() {
    for clauses in [
        "when { !context.approved }",
        "when { context.approved == false }",
        "unless { context.approved || context.in_transaction }",
        "unless { context.approved && true }",
        "unless { !(!context.approved) }",
        "unless { context.approved == true }",
        "unless { if true then context.approved else false }",
        "unless { context has approved }",
        "unless { context has approved && context.approved }",
        "unless { [context.approved].contains(true) }",
        "unless { {a: context.approved}.a }",
        "unless { context[\"approved\"] == true }",
        "unless { context.approved } when { context.approved == false }",
    ] {
        let text = format!("@approvers(\"dba\") forbid ({ALL}) {clauses};");
        let refusal = refusal(&text);
        assert!(
            refusal.contains("b/policy0") && refusal.contains("alone in its clause"),
            "{text}: {refusal}"
        );
    }
    let twice = format!(
        "@approvers(\"dba\") forbid ({ALL}) unless {{ context.approved }} unless {{ context.approved }};"
    );
    assert!(refusal(&twice).contains("only once"));
}

#[test]
fn context_as_a_whole_is_refused() {
    for body in [
        "context == context",
        "context == {approved: true}",
        "[context].contains(context)",
        "{c: context}.c.approved",
        "(if true then context else context).approved",
        "{Var: context}.Var.approved",
        "{left: context, attr: \"x\"}.left.approved",
        "{\"has\": context}[\"has\"].approved",
        "{\".\": context}[\".\"] == context",
    ] {
        for (head, keyword) in
            [("permit", "when"), ("@approvers(\"dba\") forbid", "unless"), ("forbid", "when")]
        {
            let text = format!("{head} ({ALL}) {keyword} {{ {body} }};");
            assert!(refusal(&text).contains("context may be used only as"), "{text}: {}", refusal(&text));
        }
    }
    // The word in a string or a type's place is no use of it.
    compile(&format!("permit ({ALL}) when {{ context.protocol == \"context.approved\" }};"));
    compile(&format!("permit ({ALL}) when {{ {{Var: \"context\"}}.Var == context.protocol }};"));
    compile(&format!(
        "permit ({ALL}) when {{ context has client_address && context.client_address.isIpv4() }};"
    ));
}

#[test]
fn approvers_and_the_clause_belong_together() {
    let held = |head: &str, tail: &str| format!("{head} forbid ({ALL}) {tail};");
    let clause = "unless { context.approved }";
    assert!(refusal(&held("", clause)).contains("needs @approvers"));
    assert!(
        refusal(&held("@approvers(\"dba\")", "")).contains("@approvers needs `unless { context.approved }`")
    );
    assert!(refusal(&format!("@approvers(\"dba\") permit ({ALL});")).contains("belongs on a forbid"));
    let with_more = "when { context.statement_count > 1 } unless { (context[\"approved\"]) } unless { context.in_transaction }";
    compile(&held("@approvers(\"dba\") @quorum(\"10\")", with_more));
}

#[test]
fn annotations_are_a_closed_list() {
    let held = |head: &str| format!("{head} forbid ({ALL}) unless {{ context.approved }};");
    for (head, says) in [
        ("@approver(\"dba\")", "@approver is unknown"),
        ("@Approvers(\"dba\")", "@Approvers is unknown"),
        ("@approvers", "@approvers takes one app role"),
        ("@approvers(\"d b a\")", "@approvers takes one app role"),
        ("@quorum(\"2\")", "@quorum needs @approvers"),
        ("@approvers(\"dba\") @quorum(\"0\")", "@quorum takes a number"),
        ("@approvers(\"dba\") @quorum(\"11\")", "@quorum takes a number"),
        ("@approvers(\"dba\") @quorum(\"02\")", "@quorum takes a number"),
        ("@approvers(\"dba\") @quorum(\"+2\")", "@quorum takes a number"),
        ("@approvers(\"dba\") @id(\"a/b\")", "@id takes"),
        ("@approvers(\"dba\") @id", "@id takes"),
    ] {
        let refusal = refusal(&held(head));
        assert!(refusal.starts_with("policy b/policy0: ") && refusal.contains(says), "{head}: {refusal}");
    }
}

#[test]
fn ids_come_from_the_annotation_or_the_position_and_are_unique() {
    let text = format!("permit ({ALL}); @id(\"x\") permit ({ALL}); permit ({ALL});");
    assert_eq!(compile(&text).policy_ids(), ["b/policy0", "b/x", "b/policy2"]);
    let twice = format!("@id(\"policy1\") permit ({ALL}); permit ({ALL});");
    assert_eq!(refusal(&twice), "policy b/policy1 is there twice");
    let both = try_compile(&[("b", &text), ("a", &text)]).unwrap();
    assert_eq!(both.policy_ids().len(), 6, "bundles do not share ids");
}

#[test]
fn what_does_not_fit_the_schema_is_refused() {
    for (text, says) in [
        ("permit (principal, action == Action::\"postgres:drop\", resource);", "postgres:drop"),
        ("permit (principal == Person::\"a\", action, resource);", "Person"),
        ("permit (principal, action, resource) when { context.nothing };", "nothing"),
        ("permit (principal, action, resource) when { context.client_address.isIpv4() };", "client_address"),
        ("permit (principal, action, resource) when { context.statement_count == \"1\" };", "type"),
        // Cedar only warns of these; they read like protection and are none.
        ("forbid (principal, action == Action::\"connect\", resource is Table);", "policy"),
        ("forbid (principal, action, resource) when { false };", "policy"),
    ] {
        let refusal = refusal(text);
        assert!(
            refusal.starts_with("policy b/policy0 is not valid") && refusal.contains(says),
            "{text}: {refusal}"
        );
    }
    assert!(refusal("permit (principal == ?principal, action, resource);").contains("template"));
    assert!(refusal("permit (principal, action, resource)").contains("bundle b does not parse"));
    let mixed = "permit (principal, action, resource == Table::\"shop/shop/public/заказы\");";
    assert_eq!(compile(mixed).warnings().len(), 1, "a name that mixes scripts is kept and pointed at");
    assert!(
        refusal("permit (principal, action, resource == Table::\"shop\u{202e}x\");").contains("not valid")
    );
}

#[test]
fn sizes_are_bounded_before_anything_is_parsed() {
    let many: Vec<(String, &str)> = (0..=MAX_BUNDLES).map(|n| (format!("b{n}"), "")).collect();
    let refused =
        |bundles: &[(&str, &str)]| matches!(try_compile(bundles), Err(CompileError::OverLimit { .. }));
    assert!(matches!(
        CompiledPolicies::compile(&revision(&many), &many),
        Err(CompileError::OverLimit { .. })
    ));
    let big = " ".repeat(MAX_BUNDLE_BYTES);
    assert!(try_compile(&[("a", &big)]).is_ok());
    assert!(refused(&[("a", &format!("{big} "))]));
    let names: Vec<String> = (0..9).map(|n| format!("b{n}")).collect();
    let full: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), big.as_str())).collect();
    assert!(try_compile(&full[..8]).is_ok());
    assert!(refused(&full));
    let policy = format!("permit ({ALL});");
    let bundle = policy.repeat(MAX_BUNDLE_BYTES / policy.len());
    assert!(bundle.len() / policy.len() > 7_000);
    assert!(refused(&[("a", &bundle), ("b", &policy.repeat(3_000))]), "more than MAX_POLICIES");
    assert!(matches!(try_compile(&[("a/b", "")]), Err(CompileError::BundleName(_))));
    assert!(matches!(try_compile(&[("a", ""), ("a", " ")]), Err(CompileError::DuplicateBundle(_))));
    assert!(matches!(CompiledPolicies::compile("0", &[("a", "")]), Err(CompileError::Revision)));
}

#[test]
fn the_deepest_policy_admitted_fits_a_worker_threads_stack() {
    let (n, d) = (MAX_OPERATORS - 40, MAX_DEPTH - 2);
    let bodies = [
        vec!["true"; n / 2].join(" && "),
        vec!["context.statement_count == 1"; n / 5].join(" || "),
        format!("{}true{}", "(".repeat(d), ")".repeat(d)),
        format!("{}{}{}", "!(".repeat(d), vec!["true"; n / 2 - d].join(" && "), ")".repeat(d)),
        format!("{}true{}", "if context.in_transaction then true else (".repeat(d), ")".repeat(d)),
        format!("{}true", "if context.in_transaction then true else ".repeat(n / 2)),
        format!("[{}1{}].isEmpty()", "[".repeat(d - 1), "]".repeat(d - 1)),
        format!("1 == {}1{}{}", "(".repeat(d), ")".repeat(d), " + 1".repeat(n - d)),
        format!("{{a: 1}}{}", ".a".repeat(n)),
    ];
    for body in bodies {
        let text = format!("permit ({ALL}) when {{ {body} }};");
        // Two megabytes, as tokio gives its workers. An overflow would end the whole test run.
        let compiling = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let outcome = try_compile(&[("b", &text)]);
            assert!(!matches!(outcome, Err(CompileError::OverLimit { .. })), "the bound admits it");
            outcome.map(|policies| super::decide(&policies, &[super::select("orders")])).err()
        });
        // Some are refused by Cedar's own bounds and some are not; either is an answer.
        drop(compiling.unwrap().join().unwrap());
    }
}
