//! Masking at the level of the wire: formats, portions, pipelines.

use serde_json::{Value, json};

use super::{KINDS, VEIL, has_nothing_of_it, reader, row, via::extended};
use crate::wire::Wire;

/// The columns of `veil_kinds` whose types have room for words.
const WORDS: &str = "a b c d e h";
/// Those of JSON.
const JSON: &str = "f g";

#[test]
fn what_stands_for_a_value_is_a_value_of_its_type_in_both_formats() {
    let mut session = VEIL.session();
    for (format, mark) in [(0, ""), (1, "\u{1}")] {
        for column in KINDS.split(' ') {
            let answer = extended(&mut session, &format!("SELECT {column} FROM veil_kinds"), &[], &[format]);
            let expected = match column {
                "g" => Some(format!("{mark}\"[contact]\"")),
                _ if JSON.contains(column) => Some("\"[contact]\"".to_owned()),
                _ if WORDS.contains(column) => Some("[contact]".to_owned()),
                _ => None,
            };
            assert_eq!(answer.rows, [[expected]], "{column} in format {format}: {answer:?}");
        }
    }
}

#[test]
fn formats_that_differ_by_column_stay_with_their_columns() {
    let sql = "SELECT id, mail, id, upper(mail), nick, wage FROM veil_people WHERE id = 1";
    let answer = extended(&mut VEIL.session(), sql, &[], &[1, 0, 0, 1, 1, 1]);
    assert_eq!(row(&answer.rows[0]), "\0\0\0\u{1} | [contact] | 1 | [masked] | ada | ∅");
}

#[test]
fn every_portion_of_a_portal_is_masked() {
    let mut session = VEIL.session();
    session.put(&[
        json!(["parse", "s", "SELECT id, mail, note FROM veil_many WHERE id <= $1::int ORDER BY id"]),
        json!(["describe", "S", "s"]),
        json!(["bind", "p", "s", ["9"]]),
        json!(["describe", "P", "p"]),
        json!(["bind", "q", "s", ["4"]]),
        json!(["execute", "p", 2]),
        json!(["execute", "q", 3]),
        json!(["execute", "p", 5]),
        json!(["flush"]),
        json!(["execute", "q", 3]),
        json!(["execute", "p", 0]),
        json!(["sync"]),
    ]);
    let answer = session.finish();
    assert!(answer.errors.is_empty(), "{answer:?}");
    let expected: Vec<String> =
        [1, 2, 1, 2, 3, 3, 4, 5, 6, 7, 4, 8, 9].map(|id| format!("{id} | [contact] | note {id}")).into();
    assert_eq!(answer.rows.iter().map(|cells| row(cells)).collect::<Vec<_>>(), expected);
}

#[test]
fn each_statement_of_a_pipeline_is_masked_by_itself() {
    let mut session = VEIL.session();
    let run = |sql: &str| -> [Value; 3] {
        [json!(["parse", "", sql]), json!(["bind", "", "", []]), json!(["execute", "", 0])]
    };
    let messages = [
        &run("SELECT name FROM veil_teams WHERE id = 1")[..],
        &run("SELECT mail FROM veil_people WHERE id = 1"),
        &run("SELECT count(*) FROM veil_people"),
        &run("SELECT max(mail) FROM veil_people"),
        &run("SELECT note FROM veil_free WHERE id = 1"),
        &run("SELECT 1, 'words'"),
        &[json!(["sync"])],
    ];
    session.put(&messages.concat());
    let answer = session.finish();
    let rows: Vec<String> = answer.rows.iter().map(|cells| row(cells)).collect();
    assert_eq!(rows, ["red", "[contact]", "3", "[masked]", "there", "1 | words"], "{answer:?}");
}

#[test]
fn parameters_do_not_come_back_from_beside_what_is_masked() {
    let mut session = VEIL.session();
    let sql = "SELECT $1::text, $1 = mail, coalesce(mail, $1), nick FROM veil_people WHERE id = $2::int";
    let answer = extended(&mut session, sql, &["Quokkaada~Quokkanorth", "1"], &[]);
    assert_eq!(row(&answer.rows[0]), "Quokkaada~Quokkanorth | ∅ | [masked] | ada", "{answer:?}");
    let answer = extended(&mut session, "SELECT $1::text", &["words"], &[]);
    assert_eq!(row(&answer.rows[0]), "words", "where nothing is reached nothing is masked");
}

/// One statement, executed by somebody who may see it and by somebody who may not, at the same time.
#[test]
fn two_sessions_that_ask_the_same_get_what_each_may_see() {
    let (mut one, mut other) = (reader(), VEIL.session());
    let messages = [
        json!(["parse", "s", "SELECT mail FROM veil_people WHERE id = 2"]),
        json!(["bind", "", "s", []]),
        json!(["execute", "", 0]),
        json!(["bind", "", "s", []]),
        json!(["execute", "", 0]),
        json!(["sync"]),
    ];
    one.put(&messages);
    other.put(&messages);
    let rows = |session: &mut Wire| session.finish().rows.concat();
    let plain = Some("Quokkabob~Quokkasouth".to_owned());
    assert_eq!(rows(&mut one), [plain.clone(), plain]);
    let masked = rows(&mut other);
    has_nothing_of_it("an answer", &format!("{masked:?}"));
    assert_eq!(masked.len(), 2);
}
