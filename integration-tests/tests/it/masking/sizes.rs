//! Large values and many rows come back whole, with what is masked in them masked.

use serde_json::json;

use super::{Answer, VEIL, row, via};
use crate::stack::shared;

/// What `veil_large` has in the body of a row: a megabyte.
fn body(id: u32) -> String {
    shared().owner(&format!("SELECT md5('{id}')")).repeat(32768)
}

#[test]
fn a_value_of_a_megabyte_comes_back_beside_what_is_masked_by_every_client() {
    let sql = [
        "SELECT id, body, mail, tail FROM veil_large ORDER BY id",
        "SELECT upper(mail), tail FROM veil_large",
    ];
    let whole: Vec<String> =
        (1..=3).map(|id| format!("{id} | {} | [contact] | tail{id}", body(id))).collect();
    for (client, answers) in via::everyone(&VEIL, "writer", &sql) {
        assert!(answers[0] == Answer::Rows(whole.clone()), "{client}: {:.300}", format!("{:?}", answers[0]));
        let Answer::Rows(rows) = &answers[1] else { panic!("{client}: {:?}", answers[1]) };
        assert!(
            rows.len() == 3 && rows.iter().all(|row| row.starts_with("[contact] | tail")),
            "{client}: {rows:.300?}"
        );
    }
}

#[test]
fn what_is_found_deep_in_a_large_value_is_masked_and_the_rest_of_it_is_not() {
    let sql = "SELECT repeat('x', 700000) || ' ada@example.com ' || repeat('y', 400000), 'after'";
    let expected = format!("{} [email] {} | after", "x".repeat(700_000), "y".repeat(400_000));
    for (client, answers) in via::everyone(&VEIL, "writer", &[sql]) {
        let Answer::Rows(rows) = &answers[0] else { panic!("{client}: {:?}", answers[0]) };
        assert!(rows[0] == expected, "{client}: {} bytes and not {}", rows[0].len(), expected.len());
    }
}

#[test]
fn ten_thousand_rows_come_back_each_masked() {
    let sql = [
        "SELECT id, mail, note FROM veil_many ORDER BY id",
        "SELECT count(*) FROM veil_many WHERE mail > ''",
    ];
    let expected: Vec<String> = (1..=10_000).map(|id| format!("{id} | [contact] | note {id}")).collect();
    for (client, answers) in via::everyone(&VEIL, "writer", &sql) {
        let Answer::Rows(rows) = &answers[0] else { panic!("{client}: {:?}", answers[0]) };
        let wrong = rows.iter().zip(&expected).find(|(saw, expected)| saw != expected);
        assert_eq!((rows.len(), wrong), (10_000, None), "{client}");
        assert_eq!(answers[1], Answer::Rows(vec!["10000".to_owned()]), "{client}");
    }
}

#[test]
fn many_rows_in_portions_are_each_masked() {
    let mut session = VEIL.session();
    session.put(&[
        json!(["parse", "", "SELECT mail, id FROM veil_many ORDER BY id"]),
        json!(["bind", "", "", []]),
        json!(["repeat", 4, ["execute", "", 3000]]),
        json!(["sync"]),
    ]);
    let answer = session.finish();
    assert_eq!(answer.rows.len(), 10_000);
    let wrong = answer.rows.iter().zip(1..).find(|(cells, id)| row(cells) != format!("[contact] | {id}"));
    assert_eq!(wrong, None);
}
