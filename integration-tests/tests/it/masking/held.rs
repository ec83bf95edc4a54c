//! A class that may be seen once people have said so: the read waits, and shows what it was approved for.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{SOON, row, tag, via};
use crate::{
    people::Waiting,
    stack::{shared, text, wait_until},
    target::{Target, Wanted},
    wire::{Wire, says},
};

const POLICIES: &str = "
    permit (principal == Agent::\"reader\", action == Action::\"unparsed\", resource in Target::\"TARGET\");
    permit (principal == Agent::\"writer\", action == Action::\"unmask\", resource == DataClass::\"asked\");
    @approvers(\"dba\") @quorum(\"1\")
    forbid (principal, action == Action::\"unmask\", resource == DataClass::\"asked\") unless { context.approved };";

/// A target in which the writer may see the class `asked` when somebody agrees, and `never` not at all.
pub(super) static ASKED: LazyLock<Target<'static>> = LazyLock::new(|| {
    let target = Target::declare(shared(), "asked", &Wanted::default());
    shared().owner(
        "CREATE TABLE asked_people (id integer, mail text, pin text, nick text);
         INSERT INTO asked_people VALUES (1, 'Quokkaasked', 'Quokkapin', 'ada'), (2, NULL, NULL, 'bob');
         CREATE VIEW asked_view AS SELECT id, mail AS address FROM asked_people;
         GRANT SELECT ON asked_people, asked_view TO asked_standing, asked_approved",
    );
    tag("asked", "asked", ["asked_people.mail".to_owned()]);
    tag("asked", "never", ["asked_people.pin".to_owned()]);
    target.add_policies("asked-more", POLICIES);
    let reader = || Wire::open(&target.dsn(), &shared().token("reader"), &[]);
    wait_until("tags and policies to act", SOON, || {
        let seen = reader().query("SELECT mail, pin FROM asked_people WHERE id = 1");
        let mut session = target.session_with(&["options=-c countersign.wait=1s"]);
        let asks = session.query("SELECT mail FROM asked_people").refused().2 == "approval_pending";
        (asks && row(seen.rows.first()?) == "[asked] | [never]").then_some(())
    });
    target
});

fn approval_of(notice: &Value) -> String {
    notice["approval_id"].as_str().unwrap_or_else(|| panic!("{notice}")).to_owned()
}

#[test]
fn a_read_that_would_unmask_waits_and_shows_plainly_what_was_approved() {
    let (stack, target) = (shared(), &*ASKED);
    let mut psql =
        Waiting::start(&target.dsn(), &stack.token("writer"), Some("SELECT id, mail, pin FROM asked_people"));
    let id = psql.held();
    let shown = stack.approval(&id);
    assert_eq!(shown["unmasks"], json!(["asked"]), "{shown}");
    let held = shown["held"].as_array().expect("pairs");
    assert!(held.len() == 1 && held[0]["action"] == "unmask", "{shown}");
    let card = text(&stack.cli(&["approvals", "show", &id]).stdout);
    let unmasks = card.lines().find(|line| line.starts_with("unmasks")).unwrap_or_else(|| panic!("{card}"));
    assert!(unmasks.contains("asked") && !unmasks.contains("never"), "{card}");
    stack.approve("dana", &id);
    let saw = psql.finish();
    assert_eq!(saw.stdout, "1|Quokkaasked|[never]\n2||[never]", "{saw:?}");
}

#[test]
fn a_read_that_nobody_agrees_to_shows_nothing_and_the_session_goes_on() {
    let (stack, target) = (shared(), &*ASKED);
    let mut session = target.session();
    let notice = session.held("SELECT mail FROM asked_people");
    stack.deny("dana", &approval_of(&notice));
    let answer = session.finish();
    assert_eq!(answer.refused(), says("42501", "denied", "approval_denied"));
    assert!(answer.rows.is_empty(), "{answer:?}");
    assert_eq!(session.value("SELECT status FROM asked WHERE id = 1").as_deref(), Some("new"));
}

#[test]
fn what_was_approved_once_is_asked_about_again() {
    let (stack, target) = (shared(), &*ASKED);
    let mut session = target.session();
    let sql = "SELECT address, $1::text FROM asked_view WHERE id = $2::int";
    session.put(&[
        json!(["parse", "s", sql]),
        json!(["bind", "", "s", ["x", "1"]]),
        json!(["execute", "", 0]),
        json!(["sync"]),
    ]);
    let parsed = [session.next()["kind"].clone(), session.next()["kind"].clone()];
    assert_eq!(parsed, ["parsed", "bound"]);
    let notice = session.notice();
    assert_eq!(stack.approval(&approval_of(&notice))["unmasks"], json!(["asked"]));
    stack.approve("dana", &approval_of(&notice));
    let answer = session.finish();
    assert_eq!(row(&answer.rows[0]), "Quokkaasked | x", "{answer:?}");
    session.put(&[json!(["bind", "", "s", ["x", "2"]]), json!(["execute", "", 0]), json!(["sync"])]);
    assert_eq!(session.next()["kind"], "bound");
    let again = session.notice();
    stack.deny("omar", &approval_of(&again));
    assert_eq!(session.finish().refused(), says("42501", "denied", "approval_denied"));
}

#[test]
fn what_was_shown_to_who_was_allowed_is_not_in_the_recording() {
    let (stack, target) = (shared(), &*ASKED);
    let mut session = target.session();
    let notice = session.held("SELECT mail, nick FROM asked_people WHERE mail = 'Quokkaasked'");
    stack.approve("dana", &approval_of(&notice));
    assert_eq!(row(&session.finish().rows[0]), "Quokkaasked | ada");
    let notice = session.held("SELECT upper(mail) FROM asked_people WHERE mail > 'Quokka'");
    stack.deny("dana", &approval_of(&notice));
    session.finish();
    let said = format!("{:?}", session.query("SELECT * FROM hr.payroll"));
    drop(session);
    let (_, all) = super::on_record::replayed(&super::on_record::session_of(&said));
    super::has_nothing_of_it("the recording", &all);
    assert!(all.contains("[asked]") && all.contains("\"ada\"") && all.contains("asked_people"), "{all}");
}

#[test]
fn who_is_never_asked_about_sees_the_class_masked_at_once() {
    let mut reader = Wire::open(&ASKED.dsn(), &shared().token("reader"), &[]);
    let answer = via::extended(&mut reader, "SELECT mail, nick FROM asked_people WHERE id = 1", &[], &[]);
    assert_eq!((row(&answer.rows[0]).as_str(), answer.notices.len()), ("[asked] | ada", 0));
    assert_eq!(reader.value("SELECT count(*) FROM asked_people").as_deref(), Some("2"));
}
