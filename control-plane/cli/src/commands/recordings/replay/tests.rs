use serde_json::Value;

use super::{super::fixture, *};
use crate::{escape::hex, output::tests::Captured};

fn replayed(copy: &Copy, format: Format) -> (Exit, String) {
    let captured = Captured::default();
    let exit = print(copy, &mut captured.output(format)).expect("printed");
    (exit, captured.text())
}

/// The lines with `…` for the random part of ids.
fn without_ids(text: &str) -> Vec<String> {
    let shortened = |line: &str, prefix: &str| match line.find(prefix) {
        // A prefix and a UUID are 39 characters.
        Some(at) => format!("{}{prefix}…{}", &line[..at], &line[at + 39..]),
        None => line.to_owned(),
    };
    text.lines().map(|line| shortened(&shortened(line, "op_"), "ap_")).collect()
}

#[test]
fn people_read_operation_by_operation() {
    let (exit, text) = replayed(&fixture::recording(), Format::Table);
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        without_ids(&text),
        [
            "2023-11-14T22:13:20Z  open  se_1 by reader to shop from an unknown address, policies abc",
            "2023-11-14T22:13:20Z  op_…  query  allowed by shop/read as standing",
            "    | SELECT *",
            "    | FROM orders -- \\u{1b}[2J",
            "    touches  postgres:select  Table shop.public.orders",
            "    outcome  done, SELECT 3, 3 rows, 99 bytes",
            "2023-11-14T22:13:20Z  op_…  query  refused: unparsed",
            "    | DROP \\xff TABLE orders",
            "2023-11-14T22:13:20Z  close  client, 1 operations, 1 refusals",
        ]
    );
}

#[test]
fn programs_read_a_line_per_frame() {
    let (exit, text) = replayed(&fixture::recording(), Format::Json);
    assert_eq!(exit, Exit::Done);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> = frames.iter().filter_map(|frame| frame["kind"].as_str()).collect();
    assert_eq!(kinds, ["open", "intent", "outcome", "refusal", "close"]);
    assert_eq!(frames[0]["session"]["principal"]["agent"], "reader");
    assert_eq!(frames[1]["payload"], "SELECT *\nFROM orders -- \u{1b}[2J");
    assert_eq!(frames[1]["facts"][0]["resource"], "Table shop.public.orders");
    assert_eq!(frames[1]["operationKind"], "query");
    assert_eq!(frames[1]["operationId"], frames[2]["operationId"]);
    assert_eq!((&frames[2]["outcome"], &frames[2]["replyRows"]), (&"done".into(), &3.into()));
    assert_eq!(frames[3]["payload"], "DROP \u{fffd} TABLE orders");
    assert_eq!(frames[3]["payloadHex"], hex(b"DROP \xff TABLE orders"));
    assert_eq!(frames[3]["reason"], "unparsed");
}

#[test]
fn what_cannot_be_read_is_a_failure_and_the_rest_is_printed() {
    let mut copy = fixture::recording();
    copy.segments.insert(0, (0, b"nonsense".to_vec()));
    let (exit, text) = replayed(&copy, Format::Json);
    assert_eq!(exit, Exit::Failed);
    assert_eq!(text.lines().count(), 5);
    assert!(!verify::is_whole(&copy));
    assert!(verify::is_whole(&fixture::recording()));
}

#[test]
fn rows_are_read_by_their_columns_and_nothing_passes_for_what_is_masked() {
    let (exit, text) = replayed(&fixture::masked(), Format::Table);
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        without_ids(&text).get(1..10).expect("lines"),
        [
            "2023-11-14T22:13:20Z  op_…  query  allowed by shop/read as standing",
            "    | SELECT id, email FROM customers WHERE name = [text]",
            "    (values in it are masked)",
            "    parameter  $1, type text, MASKED as [email]",
            "    touches  postgres:select  Table shop.public.orders",
            "    row  id=7  email=[email]  \"a \"\"b\"\"\"=hex:'00ff'",
            "    row  id=8  email=NULL  \"a \"\"b\"\"\"=hex:''",
            "    row  id=hex:'09'  email='NULL'  \"a \"\"b\"\"\"=NULL  $4='it''s\\n\\u{1b}[2J'",
            "    outcome  done, 4 rows (3 recorded), 99 bytes",
        ]
    );
    let (_, text) = replayed(&fixture::masked(), Format::Json);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (intent, reply, outcome) = (&frames[1], &frames[2], &frames[3]);
    assert_eq!((&intent["payloadMasked"], &intent["payloadHmac"]), (&true.into(), &hex(&[6; 32]).into()));
    let masked = serde_json::json!({"parameters": [{"resolvedType": 25, "masked": "[email]"}]});
    assert_eq!(intent["binding"], masked);
    assert_eq!((&reply["rowCount"], &reply["hmac"]), (&2.into(), &hex(&[3; 32]).into()));
    let columns = serde_json::json!([
        {"name": "id", "typeOid": 23, "format": 1, "masked": null},
        {"name": "email", "typeOid": 25, "format": 0, "masked": "[email]"},
        {"name": "a \"b\"", "typeOid": 17, "format": 1, "masked": null},
    ]);
    assert_eq!(reply["columns"], columns);
    let rows = serde_json::json!([["7", "[email]", {"hex": "00ff"}], ["8", null, {"hex": ""}]]);
    assert_eq!((&reply["rows"], &reply["rowsRecorded"]), (&rows, &2.into()));
    let rows = serde_json::json!([[{"hex": "09"}, "NULL", null, "it's\n\u{1b}[2J"]]);
    assert_eq!((&outcome["rows"], &outcome["replyHmac"]), (&rows, &hex(&[5; 32]).into()));
}

#[test]
fn without_keys_headers_are_shown_and_with_wrong_ones_nothing_is_believed() {
    let directory = tempfile::tempdir().expect("a directory");
    fixture::held().write(directory.path()).expect("exported");
    std::fs::remove_file(directory.path().join("content-keys")).expect("removed");
    let keyless = Copy::read(directory.path()).expect("read");
    assert!(verify::is_whole(&keyless), "which needs no key");
    let (exit, text) = replayed(&keyless, Format::Table);
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        without_ids(&text),
        [
            "2023-11-14T22:13:20Z  open  (sealed)",
            "2023-11-14T22:13:20Z  op_…  hold with ap_…  (sealed)",
            "2023-11-14T22:13:20Z  op_…  intent with ap_…  (sealed)",
            "2023-11-14T22:13:20Z  op_…  outcome done with ap_…  (sealed)",
            "2023-11-14T22:13:20Z  close  (sealed)",
        ]
    );
    let (exit, text) = replayed(&keyless, Format::Json);
    assert_eq!(exit, Exit::Done);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(frames.iter().all(|frame| frame["sealed"] == true && frame.get("payload").is_none()));
    assert_eq!((&frames[3]["kind"], &frames[3]["outcome"]), (&"outcome".into(), &"done".into()));

    let wrong = format!("00000000 {}\n", "ab".repeat(32));
    std::fs::write(directory.path().join("content-keys"), wrong).expect("written");
    let (exit, text) = replayed(&Copy::read(directory.path()).expect("read"), Format::Table);
    assert_eq!((exit, text.as_str()), (Exit::Failed, ""));
}

#[test]
fn what_was_held_says_for_whom_and_what_went_before_it() {
    let (_, text) = replayed(&fixture::held(), Format::Table);
    assert_eq!(
        without_ids(&text).get(1..26).expect("lines"),
        [
            "2023-11-14T22:13:20Z  op_…  query  held by shop/held: ap_… needs dba 2, security 1 until \
             2023-11-14T22:28:20Z",
            "    | SELECT *",
            "    | FROM orders -- \\u{1b}[2J",
            "    parameter  $1, type text, in text, 6 bytes; 1 characters of it DO NOT SHOW ",
            "               and are written as \\u{…} or \\r",
            "    | a",
            "    | \\u{1b}[2J",
            "    parameter  $2, type int4, in binary, 4 bytes",
            "    | 7",
            "    parameter  $2, its bytes in hex",
            "    | 00000007",
            "    row limit  100 at a time",
            "    results  in binary",
            "    touches  postgres:select  Table shop.public.orders",
            "2023-11-14T22:13:20Z  op_…  query  allowed by shop/read as approved with ap_…",
            "    before it  BEGIN",
            "    before it  SAVEPOINT \"a\\nb\"",
            "    | SELECT *",
            "    | FROM orders -- \\u{1b}[2J",
            "    parameter  $1, type text, in text, 6 bytes; 1 characters of it DO NOT SHOW ",
            "               and are written as \\u{…} or \\r",
            "    | a",
            "    | \\u{1b}[2J",
            "    parameter  $2, type int4, in binary, 4 bytes",
            "    | 7",
        ]
    );
    let (_, text) = replayed(&fixture::held(), Format::Json);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (hold, intent) = (&frames[1], &frames[2]);
    assert_eq!((&hold["kind"], &hold["expiresAt"]), (&"hold".into(), &"2023-11-14T22:28:20Z".into()));
    assert_eq!(hold["requirements"], serde_json::json!(["dba 2", "security 1"]));
    assert_eq!(hold["payload"], "SELECT *\nFROM orders -- \u{1b}[2J");
    assert!(hold["approvalId"].is_string() && hold["approvalId"] == intent["approvalId"]);
    assert_eq!(hold["operationId"], intent["operationId"]);
    assert_eq!(intent["preamble"], serde_json::json!(["BEGIN", "SAVEPOINT \"a\nb\""]));
}

#[test]
fn what_was_prepared_has_types_and_what_was_executed_or_refused_has_values() {
    let (_, text) = replayed(&fixture::prepared(), Format::Table);
    let lines = without_ids(&text);
    let after = |head: &str, rows: usize| {
        let at = lines.iter().position(|line| line.contains(head)).expect("there");
        lines.get(at + 1..=at + rows).expect("lines").to_vec()
    };
    let statement = ["    | SELECT *", "    | FROM orders -- \\u{1b}[2J"];
    let declares =
        ["    declares  left open, int4", "    touches  postgres:select  Table shop.public.orders"];
    assert_eq!(after("prepare  allowed", 4), [statement, declares].concat());
    let first = "    parameter  $1, type text, in text, 6 bytes; 1 characters of it DO NOT SHOW ";
    assert_eq!(after("query  allowed", 3).last().map(String::as_str), Some(first));
    assert_eq!(after("query  refused", 2), ["    | DROP \\xff TABLE orders", first]);

    let (_, text) = replayed(&fixture::prepared(), Format::Json);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(frames[1]["operationKind"], "prepare");
    let declared =
        serde_json::json!({"parameters": [{"isNull": true}, {"declaredType": 23, "isNull": true}]});
    assert_eq!(frames[1]["binding"], declared);
    let bound = serde_json::json!({
        "parameters": [
            {"resolvedType": 25, "value": "YQobWzJK"},
            {"declaredType": 23, "resolvedType": 23, "format": 1, "value": "AAAABw=="},
        ],
        "resultFormats": [1],
        "rowLimit": 100,
    });
    assert_eq!((&frames[3]["binding"], &frames[5]["binding"]), (&bound, &bound));
    let (_, text) = replayed(&fixture::recording(), Format::Json);
    assert!(!text.contains("binding"), "there is none in the simple query protocol");
}
