//! What is found by its form alone, in whatever is not tagged.

use serde_json::Value;

use super::{Road, VEIL, reader, row, travel, travel_by_wire, via};
use crate::stack::shared;

const CARD: &str = "4111111111111111";

#[test]
fn what_detectors_find_is_masked_within_its_text() {
    let roads: &[Road] = &[
        ("SELECT words FROM veil_found", 1, "write to [email] or [email]"),
        (
            "SELECT upper(words), 'x' || words FROM veil_found",
            1,
            "WRITE TO [email] OR [email] | xwrite to [email] or [email]",
        ),
        (
            "SELECT js, jb FROM veil_found",
            1,
            "{\"to\": \"[email]\", \"n\": 1} | {\"n\": 1, \"to\": [\"[email]\"]}",
        ),
        ("SELECT jb->'to'->>0, jb->'to' FROM veil_found", 1, "[email] | [\"[email]\"]"),
        ("SELECT 'ada@example.com', 'no address'", 1, "[email] | no address"),
        ("SELECT 'ada@example.com'::varchar, 'ada@example.com'::name, 'a@b.example'::char(11)", 1, EMAILS_3),
        ("SELECT E'a\\nada@example.com\\n'::text = 'x'", 1, "f"),
        ("SELECT 'pay 4111 1111 1111 1111 now', '4111-1111-1111-1111', 'no 4111 1111 1111 1112'", 1, CARDS_3),
        (
            "SELECT '123-45-6789', 'is 123 45 6789.', '000-45-6789', '123456789'",
            1,
            "[ssn] | is [ssn]. | 000-45-6789 | 123456789",
        ),
        ("SELECT 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'", 1, "[jwt]"),
        (
            "SELECT words FROM veil_found UNION ALL SELECT name FROM veil_teams WHERE id = 1 ORDER BY 1 DESC LIMIT 1",
            1,
            "write to [email] or [email]",
        ),
        ("SELECT string_agg(name || '@example.com', ';') FROM veil_teams", 1, "[email];[email]"),
        ("SELECT 4111111111111111, 4111111111111111::bigint, 4111111111111111::numeric > 0", 1, NUMBERS_3),
        ("SELECT count(*) FROM veil_found WHERE words LIKE '%ada@example.com%'", 1, "1"),
    ];
    travel("writer", roads);
    let plan =
        VEIL.session().query("EXPLAIN (COSTS OFF) SELECT 1 WHERE 'ada@example.com' = current_user").rows;
    assert!(!format!("{plan:?}").contains('@'), "{plan:?}");
}

const EMAILS_3: &str = "[email] | [email] | [email]";
const CARDS_3: &str = "pay [card] now | [card] | no 4111 1111 1111 1112";
const NUMBERS_3: &str = "4111111111111111 | 4111111111111111 | t";

/// In text the finding goes alone, in binary the whole value, since lengths stand before its parts.
#[test]
fn what_is_found_in_lists_and_rows_is_masked_in_both_formats() {
    let mut session = VEIL.session();
    for (format, list, pair) in [(0, Some("{[email],plain}"), Some("([email],1)")), (1, None, None)] {
        let answer = via::extended(&mut session, "SELECT list, pair FROM veil_found", &[], &[format]);
        let expected = [list, pair].map(|value| value.map(str::to_owned));
        assert_eq!(answer.rows, [expected], "in format {format}");
    }
    let answer = via::extended(&mut session, "SELECT jb, raw FROM veil_found", &[], &[1]);
    assert_eq!(answer.rows[0][0].as_deref(), Some("\u{1}{\"n\": 1, \"to\": [\"[email]\"]}"));
    assert!(answer.rows[0][1].as_deref().is_none_or(|bytes| !bytes.contains('@')), "{answer:?}");
    let plain = via::extended(&mut session, "SELECT ARRAY['plain', NULL, 'words']", &[], &[0]);
    assert_eq!(row(&plain.rows[0]), "{plain,NULL,words}");
}

#[test]
fn numbers_stay_numbers_however_they_are_held() {
    let list = format!("SELECT ARRAY[{CARD}], ARRAY[{CARD}::numeric], ARRAY[{CARD}, NULL]::bigint[]");
    let range = format!("SELECT '[{CARD},4111111111111112)'::int8range, '[{CARD},)'::numrange");
    let mut session = VEIL.session();
    for (sql, expected) in [
        (list, format!("{{{CARD}}} | {{{CARD}}} | {{{CARD},NULL}}")),
        (range, format!("[{CARD},4111111111111112) | [{CARD},)")),
    ] {
        for format in [0, 1] {
            let answer = via::extended(&mut session, &sql, &[], &[format]);
            let saw = row(&answer.rows[0]);
            assert!(format == 1 || saw == expected, "{sql}: {saw}");
            assert!(!answer.rows[0].contains(&None), "{sql} in format {format}: {answer:?}");
        }
    }
}

#[test]
fn json_stays_json_whatever_is_found_in_it() {
    let values = [
        r#"{"card": 4111111111111111}"#.to_owned(),
        r#"[4111111111111111, -4111111111111111, "4111111111111111", {"4111111111111111": null}]"#.to_owned(),
        r#"{"mail": "ada@example.com\nbob@example.com", "ada@example.com": 1}"#.to_owned(),
        r#"["\"ada@example.com\"", "a\\ada@example.com", "\tada@example.com\\", "ada\u0040example.com"]"#
            .to_owned(),
        r#"["é@example.com", "<ada@example.com>", "mailto:ada@example.com?x=\"y\"", "@"]"#.to_owned(),
        r#"{"ssn": "123-45-6789", "jwt": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"}"#.to_owned(),
        r#"4111111111111111"#.to_owned(),
        r#""ada@example.com""#.to_owned(),
    ];
    let mut session = VEIL.session();
    let mut wrong = Vec::new();
    for value in values {
        for (kind, format) in [("json", 0), ("jsonb", 0), ("json", 1), ("jsonb", 1)] {
            let answer = via::extended(&mut session, &format!("SELECT '{value}'::{kind}"), &[], &[format]);
            assert!(answer.errors.is_empty(), "{value}: {answer:?}");
            let saw = answer.rows[0][0].clone().unwrap_or_else(|| "null".to_owned());
            let saw = saw.trim_start_matches('\u{1}').to_owned();
            let is_json = serde_json::from_str::<Value>(&saw).is_ok();
            if !is_json || saw.contains("ada@") || saw.contains("123-45-6789") {
                wrong.push(format!("{kind} in format {format}: {value} comes back as {saw}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_found_in_errors_is_masked() {
    let mut session = VEIL.session();
    let answer = session.query("SELECT 'ada@example.com'::integer");
    assert_eq!(answer.errors[0]["M"], "invalid input syntax for type integer: \"[email]\"", "{answer:?}");
    let answer = session.query("INSERT INTO veil_free VALUES (1, 'ada@example.com')");
    assert!(!answer.errors[0].to_string().contains("ada@"), "{answer:?}");
}

#[test]
fn who_may_see_a_class_is_shown_its_findings_and_no_others() {
    let sql = "SELECT words, '123-45-6789' FROM veil_found";
    let plain = "write to ada@example.com or bob@example.org | [ssn]";
    assert_eq!(row(&reader().query(sql).rows[0]), plain);
    for format in [0, 1] {
        let answer = via::extended(&mut reader(), "SELECT list FROM veil_found", &[], &[format]);
        assert!(
            answer.rows[0][0].as_deref().is_some_and(|list| list.contains("ada@example.com")),
            "{answer:?}"
        );
    }
    assert_eq!(shared().owner("SELECT words FROM veil_found").matches('@').count(), 2, "the control");
    travel_by_wire("reader", &[("SELECT jb->'to'->>0 FROM veil_found", 1, "ada@example.com")]);
}
