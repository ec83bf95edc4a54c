use countersign_model::{Binding, Parameter};

use super::*;
use crate::output::{Format, tests::Captured};

fn printed(bound: &Bound<'_>) -> Vec<String> {
    let captured = Captured::default();
    bound.print(|word| format!("{word:11}  "), &mut captured.output(Format::Table)).expect("printed");
    captured.text().lines().map(ToOwned::to_owned).collect()
}

fn bound(parameters: &[Parameter]) -> RecordedBinding {
    RecordedBinding::from(&Binding { parameters: parameters.to_vec(), ..Binding::default() })
}

fn value(resolved_type: u32, format: u16, value: &'static [u8]) -> Parameter {
    Parameter { declared_type: 0, resolved_type, format, value: Some(value.into()) }
}

#[test]
fn values_are_shown_by_their_form() {
    let binding = bound(&[
        value(25, 0, "it's\ngrößer".as_bytes()),
        value(23, 0, b"7"),
        value(20, 1, &[0, 0, 0, 0, 0, 0, 0, 42]),
        value(25, 1, b"as text"),
        value(3802, 1, b"\x01{\"a\": 1}"),
        value(17, 1, &[0, 255]),
        value(23, 1, &[1, 2, 3]),
        value(16_385, 1, b"abc"),
        value(25, 0, b""),
        value(25, 1, b""),
        Parameter { value: None, ..value(2950, 1, b"") },
    ]);
    assert_eq!(
        printed(&Bound::from(&binding)),
        [
            "parameter    $1, type text, in text, 13 bytes",
            "    | it's",
            "    | größer",
            "parameter    $2, type int4, in text, 1 byte",
            "    | 7",
            "parameter    $3, type int8, in binary, 8 bytes",
            "    | 42",
            "parameter    $3, its bytes in hex",
            "    | 000000000000002a",
            "parameter    $4, type text, in binary, 7 bytes",
            "    | as text",
            "parameter    $5, type jsonb, in binary, 9 bytes",
            "    | {\"a\": 1}",
            "parameter    $6, type bytea, in binary, 2 bytes, shown in hex",
            "    | 00ff",
            "parameter    $7, type int4, in binary, 3 bytes, shown in hex",
            "    | 010203",
            "parameter    $8, type 16385, in binary, 3 bytes, shown in hex",
            "    | 616263",
            "parameter    $9, type text, in text, 0 bytes",
            "    | ",
            "parameter    $10, type text, in binary, 0 bytes",
            "    | ",
            "parameter    $11, type uuid, NULL",
        ]
    );
}

#[test]
fn what_is_masked_is_said_and_has_no_value() {
    let mut binding = bound(&[value(25, 0, b"")]);
    binding.parameters[0].value = RecordedValue::Masked("[email]\n    | 7".into());
    assert_eq!(printed(&Bound::from(&binding)), ["parameter    $1, type text, MASKED as [email]\\n    | 7"]);
}

#[test]
fn a_type_is_what_the_target_takes_it_for_and_what_the_client_declared_where_that_is_another() {
    let words = |declared_type, resolved_type| {
        let parameter = Parameter { declared_type, resolved_type, ..Parameter::default() };
        printed(&Bound::from(&bound(&[parameter]))).concat()
    };
    assert_eq!(words(23, 23), "parameter    $1, type int4, NULL");
    assert_eq!(words(0, 23), "parameter    $1, type int4, NULL");
    assert_eq!(words(705, 23), "parameter    $1, type int4, declared as unknown, NULL");
    assert_eq!(words(16_385, 16_386), "parameter    $1, type 16386, declared as 16385, NULL");
    // Of what was refused before the target was asked.
    assert_eq!(words(23, 0), "parameter    $1, declared as int4, NULL");
    assert_eq!(words(0, 0), "parameter    $1, type left open, NULL");
    let declared_alone = Parameter { declared_type: 23, ..value(0, 1, &[0, 0, 0, 9]) };
    assert_eq!(printed(&Bound::from(&bound(&[declared_alone]))).get(1).map(String::as_str), Some("    | 9"));
    assert_eq!(declared(&(&Binding::declared(&[23, 0, 16_385, 0])).into()), "int4, left open, 16385");
    assert_eq!(declared(&(&Binding::declared(&[0, 0])).into()), "");
}

#[test]
fn limit_and_formats_are_shown_where_they_are_not_those_of_everybody() {
    let with = |row_limit, result_formats: &[u16]| {
        let binding =
            RecordedBinding { row_limit, result_formats: result_formats.to_vec(), ..Default::default() };
        printed(&Bound::from(&binding))
    };
    assert!(with(0, &[]).is_empty() && with(0, &[0, 0]).is_empty());
    assert_eq!(with(100, &[1]), ["row limit    100 at a time", "results      in binary"]);
    assert_eq!(with(0, &[0, 1]), ["results      in text, binary"]);
}

#[test]
fn a_card_shows_the_same_as_a_recording() {
    let mut binding = bound(&[value(25, 0, b"a"), value(20, 1, &[9; 8]), Parameter::default()]);
    (binding.row_limit, binding.result_formats) = (7, vec![0, 1]);
    let parameter = |parameter: &RecordedParameter| CardParameter {
        r#type: parameter.resolved_type,
        format: parameter.format.into(),
        value: match &parameter.value {
            RecordedValue::Plain(value) => value.0.clone(),
            RecordedValue::Null | RecordedValue::Masked(_) => Vec::new(),
        },
        is_null: parameter.value == RecordedValue::Null,
        declared_type: parameter.declared_type,
    };
    let card = Card {
        parameters: binding.parameters.iter().map(parameter).collect(),
        row_limit: 7,
        result_formats: vec![0, 1],
        ..Card::default()
    };
    assert_eq!(printed(&Bound::from(&card)), printed(&Bound::from(&binding)));
    let unheard_of = Card {
        parameters: vec![CardParameter { format: 7, r#type: 23, value: vec![1], ..CardParameter::default() }],
        result_formats: vec![7],
        ..Card::default()
    };
    assert_eq!(
        printed(&Bound::from(&unheard_of)),
        [
            "parameter    $1, type int4, in format 7, 1 byte, shown in hex",
            "    | 01",
            "results      in format 7"
        ]
    );
}

#[test]
fn no_value_can_pass_for_what_is_around_it() {
    let forged =
        "1\nparameter    $2, type int4, in text, 1 byte\n    | 2\rstate        approved\u{1b}[2J\u{202e}";
    for (oid, format) in [(25, 0), (25, 1), (1043, 1), (114, 1), (17, 1), (16_385, 1), (16_385, 0)] {
        let parameter = Parameter { value: Some(forged.into()), ..value(oid, format, b"") };
        let shown = printed(&Bound::from(&bound(&[parameter])));
        let ours: Vec<&String> = shown.iter().filter(|line| !line.starts_with("    ")).collect();
        assert_eq!(ours.iter().filter(|line| line.starts_with("parameter    $1, ")).count(), 1, "{shown:?}");
        let further =
            |line: &&&String| !line.starts_with("parameter    $1, ") && !line.starts_with("             ");
        assert_eq!(ours.iter().filter(further).count(), 0, "{shown:?}");
        assert!(!shown.concat().contains(['\u{1b}', '\u{202e}', '\r']));
        assert!(shown.iter().all(|line| line.chars().count() < 80), "{shown:?}");
    }
}

#[test]
fn what_does_not_show_and_what_is_no_text_is_said() {
    let line = |oid, format, bytes: &'static [u8]| {
        printed(&Bound::from(&bound(&[value(oid, format, bytes)]))).join("\n")
    };
    for format in [0, 1] {
        assert!(line(25, format, "a\u{200b}b".as_bytes()).contains("1 characters of it DO NOT SHOW"));
        assert!(line(25, format, "שלום".as_bytes()).contains("RIGHT-TO-LEFT"));
    }
    assert!(line(25, 0, b"a\xff").contains("NO UTF-8"));
    assert!(line(25, 1, b"a\xff").contains("shown in hex"));
}

#[test]
fn large_values_are_shown_whole() {
    let text = "größer, 数据 ".repeat(50_000);
    let parameter = Parameter { value: Some(text.clone().into()), ..value(25, 0, b"") };
    let bytes = Parameter { value: Some(vec![0xab; 1 << 20].into()), ..value(17, 1, b"") };
    let shown = printed(&Bound::from(&bound(&[parameter, bytes])));
    let blocks: String =
        shown.iter().filter_map(|line| line.get(6..).filter(|_| line.starts_with("    "))).collect();
    assert!(blocks == text + &"ab".repeat(1 << 20));
}
