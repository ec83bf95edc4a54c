//! What a target says beside its rows: its errors and notices quote values, and functions put into them what they like.

use serde_json::{Value, json};

use super::{MARK, VEIL, has_nothing_of_it, via};
use crate::{
    stack::shared,
    wire::{Answer, Wire},
};

/// What fails; its SQLSTATE, and what PostgreSQL calls that.
const FAILING: [(&str, &str, &str); 19] = [
    ("SELECT mail::integer FROM veil_people", "22P02", "invalid text representation"),
    ("SELECT count(*) FROM veil_people WHERE mail::integer > 0", "22P02", "invalid text representation"),
    ("SELECT CAST(mail AS date) FROM veil_people", "22007", "invalid datetime format"),
    ("SELECT mail::json FROM veil_people", "22P02", "invalid text representation"),
    ("SELECT id, 1 / (length(mail) - length(mail)) FROM veil_people", "22012", "division by zero"),
    (
        "SELECT name FROM veil_teams ORDER BY (SELECT max(mail) FROM veil_people)::integer",
        "22P02",
        "invalid text representation",
    ),
    ("SELECT 1 LIMIT (SELECT max(mail) FROM veil_people)::integer", "22P02", "invalid text representation"),
    ("SELECT to_date(mail, 'YYYY') FROM veil_people", "22007", "invalid datetime format"),
    ("SELECT (10 ^ 100 * wage)::bigint FROM veil_people", "22003", "numeric value out of range"),
    ("SELECT address::integer FROM veil_view", "22P02", "invalid text representation"),
    (
        "INSERT INTO veil_people VALUES (1, 'Quokkaada~Quokkanorth', 'x', 1, DEFAULT, 1)",
        "23505",
        "unique violation",
    ),
    (
        "INSERT INTO veil_people (id, mail, team) VALUES (11, 'Quokkanew', NULL)",
        "23502",
        "not null violation",
    ),
    ("UPDATE veil_people SET team = NULL WHERE id = 1", "23502", "not null violation"),
    ("UPDATE veil_people SET wage = -1 WHERE id = 1", "23514", "check violation"),
    ("UPDATE veil_people SET team = 99 WHERE mail LIKE 'Quokkaa%'", "23503", "foreign key violation"),
    ("INSERT INTO veil_parted VALUES (1, 'west', 'Quokka')", "23514", "check violation"),
    ("SELECT veil_fail()", "P0001", "raise exception"),
    (
        "DO $$ BEGIN RAISE EXCEPTION 'it is %', (SELECT max(mail) FROM veil_people); END $$",
        "P0001",
        "raise exception",
    ),
    (
        "EXPLAIN SELECT id FROM veil_people WHERE id = ('x' || 'Quokka')::integer",
        "22P02",
        "invalid text representation",
    ),
];

/// Whether the edge refuses it: masking what fails in deciding about rows may not be enough.
fn is_unmaskable(message: &Value) -> bool {
    message["D"].as_str().is_some_and(|detail| detail.contains("unmaskable"))
}

/// What a reduced error or notice may have: severity, SQLSTATE, the name of the condition, a position in the text.
fn is_reduced(message: &Value) -> bool {
    let known = ["kind", "at", "S", "V", "C", "M", "P"];
    message.as_object().expect("an object").keys().all(|field| known.contains(&field.as_str()))
}

#[test]
fn an_error_about_what_is_masked_names_its_condition_and_no_value() {
    let (mut session, mut refused) = (VEIL.session(), 0);
    for (at, (sql, code, condition)) in FAILING.into_iter().enumerate() {
        // Some are the first statement of their session.
        if at % 5 == 0 {
            session = VEIL.session();
        }
        for answer in [session.query(sql), via::extended(&mut session, sql, &[], &[])] {
            let [error] = answer.errors.as_slice() else { panic!("{sql}: {answer:?}") };
            has_nothing_of_it(sql, &format!("{answer:?}"));
            if is_unmaskable(error) {
                refused += 1;
                continue;
            }
            assert_eq!((&error["S"], &error["C"]), (&json!("ERROR"), &json!(code)), "{sql}: {error}");
            assert!(is_reduced(error), "{sql}: {error}");
            assert_eq!(error["M"], condition, "{sql}");
        }
    }
    assert!(refused <= 8, "the control: {refused} of them did not get to the target");
}

#[test]
fn no_client_is_told_a_value_by_an_error_or_a_notice() {
    let statements: Vec<&str> = FAILING.iter().map(|(sql, ..)| *sql).chain(["SELECT veil_shout()"]).collect();
    let (dsn, token) = (VEIL.dsn(), shared().token("writer"));
    for (client, said) in via::python(&dsn, Some(&token), &statements) {
        for ((sql, code, _), answer) in FAILING.iter().zip(said["answers"].as_array().expect("answers")) {
            let told = &answer["error"][0];
            assert!(told == *code || told == "42501", "{client}: {sql}: {answer}");
        }
        assert_eq!(said["notices"].as_array().map(Vec::len), Some(1), "{client}: {said}");
        has_nothing_of_it(&client, &said.to_string());
    }
    for (answer, sql) in via::psql(&dsn, Some(&token), &statements).iter().zip(&statements) {
        if format!("{answer:?}").contains("unmaskable") {
            continue;
        }
        // psql shows the line of the statement that an error points at.
        let said = format!("{answer:?}").replace(sql, "");
        assert!(
            !said.contains("DETAIL") && !said.contains("HINT") && !said.contains("CONTEXT"),
            "{sql}: {said}"
        );
    }
}

#[test]
fn a_notice_of_a_function_shows_no_value() {
    let mut session = VEIL.session();
    for sql in [
        "SELECT veil_shout()",
        "DO $$ BEGIN RAISE WARNING '%', (SELECT max(mail) FROM veil_people); END $$",
        "DO $$ BEGIN RAISE INFO USING MESSAGE = veil_peek(1), DETAIL = veil_peek(2), SCHEMA = veil_peek(1); END $$",
    ] {
        let answer = session.query(sql);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        let [notice] = answer.notices.as_slice() else { panic!("{sql}: {answer:?}") };
        assert!(is_reduced(notice), "{notice}");
        has_nothing_of_it(sql, &notice.to_string());
    }
}

/// Five letters of a value fit into one.
#[test]
fn no_code_makes_an_sqlstate_of_a_value() {
    let mut session = VEIL.session();
    for level in ["EXCEPTION", "WARNING"] {
        let code = "upper(left((SELECT max(mail) FROM veil_people), 5))";
        let answer = session.query(&format!("DO $$ BEGIN RAISE {level} USING ERRCODE = {code}; END $$"));
        let said = [answer.errors.as_slice(), &answer.notices].concat();
        assert_eq!(said.len(), 1, "{level}: {answer:?}");
        assert!(is_reduced(&said[0]) && said[0]["C"] != "QUOKK", "{level}: {answer:?}");
    }
}

#[test]
fn what_fails_at_the_end_of_a_transaction_shows_no_value_either() {
    let insert = "INSERT INTO veil_deferred VALUES (2, 'Quokkadeferred')";
    let fails = |answer: Answer| {
        let error = answer.errors.first().unwrap_or_else(|| panic!("it does not fail: {answer:?}"));
        assert_eq!((&error["C"], is_reduced(error)), (&json!("23505"), true), "{error}");
        has_nothing_of_it("an error", &format!("{answer:?}"));
    };
    let mut session = VEIL.session();
    session.query("BEGIN");
    assert!(session.query(insert).errors.is_empty());
    fails(session.query("COMMIT"));
    fails(VEIL.session().query(&format!("{insert}; SELECT 1")));
    // By the extended protocol it is the Sync that fails.
    fails(via::extended(&mut VEIL.session(), insert, &[], &[]));
    // A statement that changes no tagged column, and a copy of another row that is not there until the end.
    let mut session = VEIL.session();
    session.query("BEGIN");
    assert!(session.query("INSERT INTO veil_deferred VALUES (3, 'Quokkaother')").errors.is_empty());
    assert!(session.query("UPDATE veil_deferred SET mail = 'Quokkadeferred' WHERE id = 3").errors.is_empty());
    fails(session.query("COMMIT"));
}

#[test]
fn once_something_was_masked_in_a_session_its_errors_stay_reduced() {
    let mut session = VEIL.session();
    let words = |session: &mut Wire| session.query("SELECT 'words'::integer").errors[0]["M"].clone();
    assert_eq!(words(&mut session), "invalid input syntax for type integer: \"words\"");
    assert_eq!(session.query("SELECT mail FROM veil_people").rows.len(), 3);
    assert_eq!(words(&mut session), "invalid text representation");
    let refused = session.query("SELECT * FROM hr.payroll");
    assert_eq!(refused.refused().2, "not_permitted", "what the edge says is not the target's: {refused:?}");
}

/// A constraint of a tagged relation may fail where a statement names only what that refers to.
#[test]
fn an_error_in_a_relation_that_is_not_named_shows_no_value() {
    for sql in ["DELETE FROM veil_teams WHERE id = 1", "UPDATE veil_teams SET id = 9 WHERE id = 1"] {
        let mut session = VEIL.session();
        for answer in [session.query(sql), via::extended(&mut session, sql, &[], &[])] {
            assert_eq!(answer.errors.len(), 1, "{sql}: {answer:?}");
            assert!(!format!("{answer:?}").contains(MARK), "{sql}: {answer:?}");
        }
    }
}
