//! A recording has no value of a class in it, whoever asked and whatever that was: neither in rows, nor in statements and
//! parameters, nor in what was refused or failed.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use super::{MARK, VEIL, has_nothing_of_it, reader, via};
use crate::{
    stack::{shared, text, wait_until},
    wire::Wire,
};

/// What an agent does about one person, with values wherever there is room for one.
const STATEMENTS: [&str; 25] = [
    "SELECT id, mail, nick, wage FROM veil_people /* Quokka */ -- 7310.5",
    "SELECT * FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth'",
    "SELECT nick FROM veil_people WHERE wage = 7310.5 OR wage IN (7311.5)",
    "SELECT nick FROM veil_people WHERE mail = $$Quokkaada$$ || '~Quokkanorth' OR mail = E'\\x51uokka' OR mail = U&'\\0051uokka'",
    "SELECT upper(mail), 'Quokka' FROM veil_people",
    "SELECT count(*) FROM veil_people WHERE mail LIKE 'Quokka%'",
    "SELECT row_to_json(p)::text FROM veil_people p",
    "SELECT address FROM veil_view UNION SELECT 'Quokka'",
    "EXPLAIN SELECT * FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth'",
    "PREPARE p AS SELECT mail FROM veil_people WHERE mail <> 'Quokka'",
    "EXECUTE p",
    "PREPARE q (text) AS SELECT mail FROM veil_people WHERE mail = $1",
    "EXECUTE q ('Quokkaada~Quokkanorth')",
    "SELECT mail::integer FROM veil_people",
    "SELECT mail FROM veil_people WHERE mail = 'Quokkaada' AND no_such_column",
    "INSERT INTO veil_people VALUES (1, 'Quokkaada~Quokkanorth', 'x', 7310.5, DEFAULT, 1)",
    "UPDATE veil_people SET mail = 'Quokkaada~Quokkanorth' WHERE id = 1",
    "INSERT INTO veil_free SELECT 6000, mail FROM veil_people WHERE mail = 'Quokka'",
    "SELEC mail FROM veil_people WHERE mail = 'Quokka'",
    "SELECT * FROM no_such_table WHERE mail = 'Quokka'",
    "SELECT * FROM hr.payroll",
    "SELECT veil_peek(1), 'Quokka'",
    "DO $$ BEGIN PERFORM mail FROM veil_people WHERE mail = 'Quokka'; END $$",
    "CALL veil_tell('Quokka')",
    "SELECT words, list, jb FROM veil_found WHERE words LIKE '%ada@example.com%'",
];

/// What is in no recording either: what detectors find.
const FOUND: &str = "ada@example.com";

/// Waits until the recording of a session is sealed: all that can be shown of it, for programs and for people.
pub(super) fn replayed(session: &str) -> (Value, String) {
    let stack = shared();
    let id =
        stack.cli_json(&["sessions", "show", session])["recordingId"].as_str().expect("an id").to_owned();
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
            assert_eq!(
                said.contains("Quokkabob~Quokkasouth"),
                agent == "reader",
                "{client} of the {agent}: {said}"
            );
            assert_eq!(said.contains(FOUND), agent == "reader", "{client} of the {agent}: {said}");
            // Of what nobody was shown there is less to be kept.
            if client != "wire, extended" && (agent == "reader" || client == "asyncpg") {
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
        for values in [
            json!(["Quokkaada~Quokkanorth", "Quokka", "7310.5"]),
            json!([{ "binary": "51756f6b6b61" }, { "binary": "51756f6b6b61" }, null]),
        ] {
            session.put(&[
                json!(["parse", "s", sql]),
                json!(["bind", "Quokkaportal", "s", values]),
                json!(["execute", "Quokkaportal", 1]),
                json!(["execute", "Quokkaportal", 0]),
                json!(["close", "S", "s"]),
                json!(["sync"]),
            ]);
            assert!(session.finish().errors.is_empty());
        }
        // What is found, where nothing is tagged; and a parameter of what is refused.
        via::extended(&mut session, "SELECT $1::text, name FROM veil_teams", &[FOUND], &[]);
        via::extended(&mut session, "SELECT * FROM no_such_table WHERE a = $1", &["Quokka"], &[]);
        // A text that does not end, of which nothing can be read.
        session.query("SELECT mail FROM veil_people WHERE mail = 'Quokka");
        let shown = via::extended(&mut session, "SELECT name || $1 FROM veil_teams", &["-shown"], &[]);
        assert!(shown.errors.is_empty());
        let said = format!("{:?}", session.query("SELECT * FROM hr.payroll"));
        drop(session);
        let (_, all) = replayed(&session_of(&said));
        let all = all.replace("Quokkaportal", "");
        has_nothing_of_it("a recording", &all);
        assert!(!all.contains(FOUND), "{all}");
        assert!(!all.contains("UXVva2th"), "a value in base64: {all}");
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
        let rows: Vec<&Value> =
            frames.iter().flat_map(|frame| frame["rows"].as_array().into_iter().flatten()).collect();
        assert_eq!(rows.len(), 100, "rows of the first and none of what is too large");
        assert_eq!(
            (rows[0], rows[99]),
            (&json!(["1", "[contact]", "note 1"]), &json!(["100", "[contact]", "note 100"]))
        );
        let counted: Vec<&Value> =
            frames.iter().map(|frame| &frame["replyRows"]).filter(|rows| !rows.is_null()).collect();
        assert!(counted.contains(&&json!(10_000)) && counted.contains(&&json!(3)), "{counted:?}");
    }
}

#[test]
fn no_file_and_no_log_of_ours_has_a_value_in_it() {
    let stack = shared();
    let mut session = reader();
    let answer = session
        .query("SELECT mail FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth' OR mail::integer = 1");
    assert_eq!(answer.errors.len(), 1, "{answer:?}");
    assert_eq!(session.query("SELECT mail, upper(mail) FROM veil_base").rows.len(), 2);
    let said = format!("{:?}", session.query("SELECT * FROM hr.payroll"));
    drop(session);
    replayed(&session_of(&said));
    let mut folders = vec![stack.data_dir.join("control-plane"), stack.data_dir.join("edge")];
    let mut size = 0;
    while let Some(folder) = folders.pop() {
        for path in
            fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
        {
            let bytes = fs::read(&path).unwrap_or_default();
            size += bytes.len();
            assert!(!bytes.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes()), "{}", path.display());
            folders.extend(path.is_dir().then_some(path));
        }
    }
    assert!(size > 100_000, "the control: {size} bytes were looked at");
    has_nothing_of_it("the log", &stack.log());
}
