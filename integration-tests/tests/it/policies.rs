//! What admins may put in force.

use std::fs;

use crate::stack::{Stack, text};

fn apply(stack: &Stack, policies: &str) -> (i32, String) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("bundle.yaml");
    let indented: String = policies.lines().map(|line| format!("    {line}\n")).collect();
    fs::write(&file, format!("kind: PolicyBundle\nname: it\nspec:\n  policies: |\n{indented}"))
        .expect("written");
    let output = stack.cli(&["apply", "-f", &file.to_string_lossy()]);
    (output.status.code().unwrap_or(-1), text(&output.stderr))
}

#[test]
fn a_bundle_that_could_approve_itself_is_refused() {
    let stack = crate::stack::shared();
    for policies in [
        "permit (principal, action, resource) when { context.approved };",
        "permit (principal, action, resource) unless { context.approved };",
        "permit (principal, action, resource) when { context has approved };",
        "permit (principal, action, resource) when { context[\"approved\"] };",
        "forbid (principal, action, resource) unless { context.approved };",
        "@approvers(\"dba\")\nforbid (principal, action, resource) unless { context.approved || true };",
        "@approvers(\"dba\")\nforbid (principal, action, resource) when { !context.approved };",
    ] {
        let (code, message) = apply(stack, policies);
        assert_eq!(code, 1, "{policies} was taken: {message}");
    }
}

#[test]
fn a_bundle_that_does_not_validate_is_refused_and_changes_nothing() {
    let stack = crate::stack::shared();
    for policies in [
        "permit (principal, action, resource",
        "permit (principal, action == Action::\"postgres:selekt\", resource);",
        "permit (principal, action, resource) when { context.no_such_thing };",
        "@approver(\"dba\")\npermit (principal, action, resource);",
    ] {
        let (code, message) = apply(stack, policies);
        assert_eq!(code, 1, "{policies} was taken: {message}");
    }
    assert_eq!(stack.psql(&stack.token("reader"), "SELECT 1").stdout, "1");
}

#[test]
fn a_bundle_takes_effect_in_open_deployments_and_forbid_wins_across_bundles() {
    let stack = Stack::start();
    let token = stack.token("reader");
    assert_eq!(stack.psql(&token, "SELECT count(*) FROM customers").stdout, "3");
    let (code, message) =
        apply(&stack, "forbid (principal, action, resource == Table::\"shop/shop/public/customers\");");
    assert_eq!(code, 0, "{message}");
    let refused = crate::stack::wait_until("the forbid to act", std::time::Duration::from_secs(10), || {
        let answer = stack.psql(&token, "SELECT count(*) FROM customers");
        (answer.code != 0).then_some(answer)
    });
    assert_eq!(refused.detail()["reason"], "forbidden");
    assert_eq!(stack.psql(&token, "SELECT count(*) > 0 FROM orders").stdout, "t");
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    let stack = Stack::start();
    let token = stack.token("reader");
    // 9223372036854775807 + 1 overflows, which Cedar reports as an error and skips.
    let (code, message) = apply(
        &stack,
        "forbid (principal, action == Action::\"postgres:select\", resource)\n\
         when { context.statement_count + 9223372036854775807 == 0 };",
    );
    assert_eq!(code, 0, "{message}");
    let refused = crate::stack::wait_until("the forbid to act", std::time::Duration::from_secs(10), || {
        let answer = stack.psql(&token, "SELECT count(*) FROM customers");
        (answer.code != 0).then_some(answer)
    });
    assert_eq!(refused.detail()["reason"], "policy_error", "{refused:?}");
}

#[test]
fn a_permit_of_everything_does_not_permit_what_cannot_be_parsed() {
    let stack = Stack::start();
    let token = stack.token("reader");
    let (code, message) = apply(&stack, "permit (principal, action, resource);");
    assert_eq!(code, 0, "{message}");
    crate::stack::wait_until("the permit to act", std::time::Duration::from_secs(10), || {
        (stack.psql(&token, "SELECT count(*) FROM hr.payroll").code == 0).then_some(())
    });
    let refused = stack.psql(&token, "CREATE TEMP VIEW customers AS SELECT * FROM hr.payroll");
    assert_eq!(refused.sqlstate(), Some("42501"), "{refused:?}");
    assert_eq!(refused.detail()["reason"], "unparsed", "{refused:?}");
}
