use countersign_wire::v1;

use super::*;
use crate::{
    output::{Format, tests::Captured},
    tests::fixture,
};

fn printed(approval: &Approval) -> String {
    let captured = Captured::default();
    print(approval, &mut captured.output(Format::Table)).expect("printed");
    captured.text()
}

/// The fixture with another statement.
fn asking(statement: &str) -> Approval {
    let mut approval = fixture::approval();
    let card = approval.card.as_mut().expect("a card");
    card.statement = statement.to_owned();
    approval
}

/// Lines that begin at the left edge: those that a reader takes for ours.
fn ours(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with(' ')).collect()
}

#[test]
fn the_card_has_everything_in_its_order() {
    let text = printed(&fixture::approval());
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "approval     ap_1",
            "state        pending",
            "fingerprint  00ff",
            "asked at     2023-11-14T22:13:20Z",
            "vote by      2023-11-14T22:28:20Z",
            "needs        dba, 0 of 1 given",
            "needs        security, 1 of 2 given",
            "voted yes    omar (t/omars-oid) as security at 2023-11-14T22:14:20Z: looks ",
            "             right",
            "agent        writer",
            "object id    writers-oid",
            "tenant       t",
            "session      se_1",
            "operation    op_1",
            "client       192.0.2.7, calls itself psql",
            "target       shop",
            "zone         dev",
            "protocol     postgres",
            "database     shop",
            "role         shop_approved",
            "identity     approved",
            "held         postgres:delete  Table shop.public.orders",
            "touches      postgres:select  Column shop.public.orders.id",
            "policies     shop/held",
            "revision     abc",
            "before it    BEGIN",
            "before it    SAVEPOINT a",
            "setting      TimeZone = UTC",
            "search path  pg_catalog, public",
            "transaction  inside one that is open",
            "statement    31 bytes, 2 lines",
            "    | DELETE FROM orders",
            "    | WHERE id = 1",
            "attested by  edge-1, and not read from the statement: held, touches (what the ",
            "             names mean), before it, setting, transaction",
        ]
    );
}

#[test]
fn the_card_says_what_would_be_unmasked_and_who_says_so() {
    let mut approval = fixture::approval();
    assert!(!printed(&approval).contains("unmasks"));
    approval.unmasks = vec!["card".into(), "email".into()];
    approval.held = vec![
        v1::RecordedFact { action: "unmask".into(), resource: "DataClass card".into() },
        v1::RecordedFact { action: "unmask".into(), resource: "DataClass email".into() },
    ];
    let text = printed(&approval);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| *line == "unmasks      card, email").expect("a line");
    assert_eq!(
        lines[at + 1..at + 3],
        ["held         unmask  DataClass card", "held         unmask  DataClass email"]
    );
    let attested =
        text.split_once("attested by").expect("a line").1.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(attested.ends_with("transaction, unmasks (which classes it touches)"), "{text}");
    // What is left of it once it is final still says so.
    approval.card = None;
    assert!(printed(&approval).contains("unmasks      card, email"));
}

/// The statement as its block has it, put together again.
fn shown(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for row in text.lines() {
        match (row.strip_prefix("    | "), row.strip_prefix("    : "), lines.last_mut()) {
            (Some(begin), ..) => lines.push(begin.to_owned()),
            (None, Some(rest), Some(last)) => last.push_str(rest),
            _ => {}
        }
    }
    lines.join("\n")
}

#[test]
fn a_statement_cannot_forge_a_second_card() {
    let genuine = printed(&fixture::approval());
    let forged = asking(&format!("SELECT 1\n\n{genuine}\n\nap_1 approved"));
    let text = printed(&forged);
    let labels = |text: &str| {
        ours(text).iter().filter_map(|line| Some(line.split("  ").next()?.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(labels(&text), labels(&genuine));
    assert_eq!(ours(&text).iter().filter(|line| line.starts_with("state ")).count(), 1);
}

#[test]
fn a_long_line_cannot_pass_for_ours_where_a_terminal_wraps_it() {
    for width in [80, 100, 120] {
        let line = |text: &str| format!("{text:width$}");
        let text =
            printed(&asking(&format!("{}{}", line("SELECT 1 --"), line("state        approved").repeat(9))));
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        assert_eq!(ours(&text).iter().filter(|line| line.starts_with("state ")).count(), 1);
    }
}

#[test]
fn what_surrounds_the_statement_cannot_forge_either() {
    let hostile = format!("x\nstate  approved\u{1b}[2J\u{202e}{}state        approved", " ".repeat(60));
    let mut approval = fixture::approval();
    let session = approval.session.as_mut().expect("a session");
    session.client_user.clone_from(&hostile);
    let card = approval.card.as_mut().expect("a card");
    card.preamble = vec![hostile.clone()];
    card.search_path = vec![hostile.clone()];
    card.settings = vec![v1::Setting { name: hostile.clone(), value: hostile.clone() }];
    card.role.clone_from(&hostile);
    card.attested_by.clone_from(&hostile);
    approval.votes = vec![Vote { name: hostile.clone(), reason: hostile.clone(), ..Vote::default() }];
    approval.held = vec![v1::RecordedFact { action: hostile.clone(), resource: hostile.clone() }];
    approval.unmasks = vec![hostile.clone()];
    approval.requirements = vec![v1::Requirement { group: hostile, quorum: 1, given: 0 }];
    let text = printed(&approval);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
    assert_eq!(ours(&text).iter().filter(|line| line.starts_with("state ")).count(), 1);
}

#[test]
fn what_does_not_show_is_escaped_and_counted() {
    let text = printed(&asking("DELETE FROM a\u{200b}b -- \u{202e}\u{1b}[31m\u{e0041}\r\n\tWHERE\u{a0}x"));
    assert_eq!(shown(&text), "DELETE FROM a\\u{200b}b -- \\u{202e}\\u{1b}[31m\\u{e0041}\\r\n\tWHERE\\u{a0}x");
    assert!(text.contains("2 lines; 6 characters of it DO NOT SHOW"), "{text}");
    assert!(!printed(&fixture::approval()).contains("DO NOT SHOW"));
    assert!(printed(&asking("SELECT 'שלום'")).contains("RIGHT-TO-LEFT"));
}

#[test]
fn a_statement_is_shown_whole_however_long_it_is() {
    let row = "SELECT 'größer', \"数据\"\t-- and so on; ";
    let one_line = row.repeat((1 << 20) / row.len());
    let many_lines = "\n;\n".repeat((1 << 20) / 3);
    for statement in [one_line, many_lines, String::new(), "\n".to_owned()] {
        let text = printed(&asking(&statement));
        assert!(shown(&text) == statement, "{} bytes", statement.len());
        assert!(text.contains(&format!("statement    {} bytes, ", statement.len())));
        assert!(ours(&text).last().is_some_and(|line| line.starts_with("attested by  edge-1, ")));
    }
}

/// The fixture with these parameters.
fn bound(parameters: Vec<v1::CardParameter>) -> Approval {
    let mut approval = fixture::approval();
    let card = approval.card.as_mut().expect("a card");
    card.parameters = parameters;
    approval
}

fn value(r#type: u32, format: u32, value: &[u8]) -> v1::CardParameter {
    v1::CardParameter { r#type, format, value: value.to_vec(), ..v1::CardParameter::default() }
}

#[test]
fn what_a_statement_is_executed_with_stands_between_it_and_who_attests_it() {
    let mut approval = bound(vec![
        value(25, 0, b"it's\n\xff"),
        v1::CardParameter { declared_type: 23, ..value(20, 1, &[0, 0, 0, 0, 0, 0, 1, 0]) },
        v1::CardParameter { is_null: true, ..value(1082, 0, b"") },
    ]);
    let card = approval.card.as_mut().expect("a card");
    (card.row_limit, card.result_formats) = (1, vec![1]);
    let text = printed(&approval);
    let from = text.find("    | WHERE").expect("the statement");
    assert_eq!(
        text.get(from..).expect("in order").lines().collect::<Vec<_>>(),
        [
            "    | WHERE id = 1",
            "parameter    $1, type text, in text, 6 bytes; it is NO UTF-8: bytes that are ",
            "             none are written as \\x…",
            "    | it's",
            "    | \\xff",
            "parameter    $2, type int8, declared as int4, in binary, 8 bytes",
            "    | 256",
            "parameter    $2, its bytes in hex",
            "    | 0000000000000100",
            "parameter    $3, type date, NULL",
            "row limit    1 at a time",
            "results      in binary",
            "attested by  edge-1, and not read from the statement: held, touches (what the ",
            "             names mean), before it, setting, transaction, parameter (which ",
            "             type it has)",
        ]
    );
}

#[test]
fn a_value_cannot_forge_a_second_card_or_another_parameter() {
    let genuine = printed(&bound(vec![value(25, 0, b"1"), value(25, 0, b"2")]));
    let forged = format!("1\n{genuine}\nparameter    $2, type text, in text, 1 byte\r\u{1b}[2J\n    | 3");
    for (oid, format) in [(25, 0), (1043, 1), (114, 1), (17, 1), (16_385, 1)] {
        let text = printed(&bound(vec![value(oid, format, forged.as_bytes()), value(25, 0, b"2")]));
        for label in ["state ", "parameter    $1", "parameter    $2", "attested by "] {
            assert_eq!(
                ours(&text).iter().filter(|line| line.starts_with(label)).count(),
                1,
                "{label}: {text}"
            );
        }
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
    }
}

#[test]
fn of_a_final_approval_the_rest_is_shown() {
    let text = printed(&Approval { card: None, ..fixture::approval() });
    assert!(
        text.ends_with("what was asked is not shown: it is deleted when an approval is final\n"),
        "{text}"
    );
    assert!(text.contains("held         postgres:delete  Table shop.public.orders\n"), "{text}");
    assert!(!text.contains("DELETE FROM"));
}

#[test]
fn what_is_missing_is_not_made_up() {
    let text = printed(&Approval { card: Some(Card::default()), ..Approval::default() });
    for line in ["state        unknown", "agent        not registered", "client       unknown address"] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    assert!(text.contains("identity     unknown\n") && text.contains("attested by  the edge, "), "{text}");
}
