//! A recording has no value of a class in it, whoever asked and whatever that was: neither in rows, nor in statements and
//! parameters, nor in what was refused or failed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{MARK, VEIL, has_nothing_of_it, reader, via};
use crate::{
    stack::{shared, text, wait_until},
    wire::Wire,
};

/// What an agent does about one person, with values wherever there is room for one.
const STATEMENTS: [&str; 26] = [
    "SELECT id, mail, nick, wage FROM veil_people /* Zq7 */ -- 7310.5",
    "SELECT * FROM veil_people WHERE mail = 'Zq7ada~Zq7north'",
    "SELECT nick FROM veil_people WHERE wage = 7310.5 OR wage IN (7311.5)",
    "SELECT nick FROM veil_people WHERE mail = $$Zq7ada$$ || '~Zq7north' OR mail = E'\\x5aq7' OR mail = U&'\\005aq7'",
    "SELECT upper(mail), 'Zq7' FROM veil_people",
    "SELECT count(*) FROM veil_people WHERE mail LIKE 'Zq7%'",
    "SELECT row_to_json(p)::text FROM veil_people p",
    "SELECT address FROM veil_view UNION SELECT 'Zq7'",
    "EXPLAIN SELECT * FROM veil_people WHERE mail = 'Zq7ada~Zq7north'",
    "PREPARE p AS SELECT mail FROM veil_people WHERE mail <> 'Zq7'",
    "EXECUTE p",
    "PREPARE q (text) AS SELECT mail FROM veil_people WHERE mail = $1",
    "EXECUTE q ('Zq7ada~Zq7north')",
    "SELECT mail::integer FROM veil_people",
    "SELECT mail FROM veil_people WHERE mail = 'Zq7ada' AND no_such_column",
    "INSERT INTO veil_people VALUES (1, 'Zq7ada~Zq7north', 'x', 7310.5, DEFAULT, 1)",
    "UPDATE veil_people SET mail = 'Zq7ada~Zq7north' WHERE id = 1",
    "INSERT INTO veil_free SELECT 6000, mail FROM veil_people WHERE mail = 'Zq7'",
    "SELEC mail FROM veil_people WHERE mail = 'Zq7'",
    "SELECT mail FROM veil_people WHERE mail = 'Zq7",
    "SELECT * FROM no_such_table WHERE mail = 'Zq7'",
    "SELECT * FROM hr.payroll WHERE employee = 'Zq7'",
    "SELECT veil_peek(1), 'Zq7'",
    "DO $$ BEGIN PERFORM mail FROM veil_people WHERE mail = 'Zq7'; END $$",
    "CALL veil_tell('Zq7')",
    "SELECT words, list, jb FROM veil_found WHERE words LIKE '%ada@example.com%'",
];

/// What is in no recording either: what detectors find.
const FOUND: &str = "ada@example.com";

/// Waits until the recording of a session is sealed: all that can be shown of it, for programs and for people.
pub(super) fn replayed(session: &str) -> (Value, String) {
    let stack = shared();
    let id = stack.cli_json(&["sessions", "show", session])["recordingId"].as_str().expect("an id").to_owned();
    let shown = wait_until("a sealed recording", Duration::from_secs(30), || {
        let output = stack.cli(&["-o", "json", "recordings", "show", &id]);
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        (shown["sealed"] == true).then_some(shown)
    });
    let replay = |arguments: &[&str]| {
        let output = stack.cli(&[arguments, &["recordings", "replay", &id]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let of_programs = replay(&["-o", "json"]);
    let all = format!("{shown}\n{of_programs}\n{}", replay(&[]));
    let frames: Vec<Value> = serde_json::Deserializer::from_str(&of_programs)
        .into_iter::<Value>()
        .map(|frame| frame.expect("JSON"))
        .collect();
    (Value::Array(frames), all)
}

/// Which session it was, by a refusal in it.
pub(super) fn session_of(said: &str) -> String {
    let at = said.find("se_").unwrap_or_else(|| panic!("no session: {said:.2000}"));
    said[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect()
}

#[test]
fn a_recording_has_no_value_of_a_class_whoever_asked_by_whichever_client() {
    let mut sessions = Vec::new();
    for agent in ["writer", "reader"] {
        for (client, answers) in via::everyone(&VEIL, agent, &STATEMENTS) {
            let said = format!("{answers:?}");
            assert_eq!(said.contains("Zq7bob~Zq7south"), agent == "reader", "{client} of the {agent}: {said}");
            assert_eq!(said.contains(FOUND), agent == "reader", "{client} of the {agent}: {said}");
            if client != "wire, extended" {
                sessions.push((format!("{client} of the {agent}"), session_of(&said)));
            }
        }
    }
    for (whose, session) in sessions {
        let (_, all) = replayed(&session);
        has_nothing_of_it(&whose, &all);
        assert!(!all.contains("ada@") && !all.contains("bob@"), "{whose}: {all}");
        for shown in ["[contact]", "[masked]", "[email]", "'masked'", "\"eve\"", "veil_people"] {
            assert!(all.contains(shown), "the recording of {whose} does not show {shown}");
        }
    }
}

#[test]
fn a_recording_has_no_parameter_of_what_reaches_tagged_columns() {
    for session in [VEIL.session(), reader()] {
        let mut session: Wire = session;
        let sql = "SELECT nick, $2::text FROM veil_people WHERE mail = $1 OR wage = $3::numeric";
        // As text, in binary, and for a statement that stays.
        for values in [json!(["Zq7ada~Zq7north", "Zq7", "7310.5"]), json!([{ "binary": "5a7137" }, { "binary": "5a7137" }, null])] {
            session.put(&[
                json!(["parse", "s", sql]),
                json!(["bind", "Zq7portal", "s", values]),
                json!(["execute", "Zq7portal", 1]),
                json!(["execute", "Zq7portal", 0]),
                json!(["close", "S", "s"]),
                json!(["sync"]),
            ]);
            assert!(session.finish().errors.is_empty());
        }
        // What is found, where nothing is tagged; and a parameter of what is refused.
        via::extended(&mut session, "SELECT $1::text, name FROM veil_teams", &[FOUND], &[]);
        via::extended(&mut session, "SELECT * FROM no_such_table WHERE a = $1", &["Zq7"], &[]);
        let shown = via::extended(&mut session, "SELECT name || $1 FROM veil_teams", &["-shown"], &[]);
        assert!(shown.errors.is_empty());
        let said = format!("{:?}", session.query("SELECT * FROM hr.payroll"));
        drop(session);
        let (_, all) = replayed(&session_of(&said));
        let all = all.replace("Zq7portal", "");
        has_nothing_of_it("a recording", &all);
        assert!(!all.contains(FOUND), "{all}");
        assert!(!all.contains("WnE3"), "a value in base64: {all}");
        assert!(all.contains("red-shown"), "the control: what is not sensitive is shown");
    }
}

#[test]
fn a_recording_shows_the_first_rows_masked_and_of_the_rest_their_number() {
    for session in [VEIL.session(), reader()] {
        let mut session: Wire = session;
        assert_eq!(session.query("SELECT id, mail, note FROM veil_many ORDER BY id").rows.len(), 10_000);
        let large = session.query("SELECT body, mail FROM veil_large");
        assert_eq!(large.rows.len(), 3);
        let said = format!("{:?}", session.query("SELECT * FROM hr.payroll"));
        drop(session);
        let (frames, all) = replayed(&session_of(&said));
        assert!(!all.contains(MARK), "{all:.3000}");
        let frames = frames.as_array().expect("frames");
        let rows: Vec<&Value> = frames.iter().flat_map(|frame| frame["rows"].as_array().into_iter().flatten()).collect();
        assert_eq!(rows.len(), 100, "rows of the first and none of what is too large");
        assert_eq!((rows[0], rows[99]), (&json!(["1", "[contact]", "note 1"]), &json!(["100", "[contact]", "note 100"])));
        let counted: Vec<&Value> = frames.iter().map(|frame| &frame["replyRows"]).filter(|rows| !rows.is_null()).collect();
        assert!(counted.contains(&&json!(10_000)) && counted.contains(&&json!(3)), "{counted:?}");
    }
}
