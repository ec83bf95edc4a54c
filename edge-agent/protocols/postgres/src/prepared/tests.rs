use bytes::{BufMut, BytesMut};
use countersign_sql::{Limits, analyse};

use super::*;
use crate::codec::encode;

/// A statement whose parameters have these types, with so many columns.
fn statement(text: &'static str, declared: &[u32], parameters: &[u32], columns: u16) -> Statement {
    let mut answer = BytesMut::new();
    encode::framed(&mut answer, b't', |out| {
        out.put_u16(parameters.len() as u16);
        parameters.iter().for_each(|oid| out.put_u32(*oid));
    });
    encode::framed(&mut answer, b'T', |out| {
        out.put_u16(columns);
        (0..columns)
            .for_each(|_| out.put_slice(&[b'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    });
    Statement {
        text: Bytes::from_static(text.as_bytes()),
        analysis: Rc::new(analyse(text.as_bytes(), &Limits::default()).unwrap()),
        types: declared.to_vec(),
        description: Description::read(&answer).unwrap(),
    }
}

fn prepared() -> Prepared {
    let mut prepared = Prepared::default();
    prepared.insert("s".into(), statement("select $1, $2", &[23], &[23, 25], 2));
    prepared
}

fn bind(portal: &'static str, formats: &[u16], values: &[Option<&'static str>], results: &[u16]) -> Bind {
    Bind {
        portal: portal.into(),
        statement: "s".into(),
        formats: formats.to_vec(),
        values: values.iter().map(|value| value.map(Bytes::from)).collect(),
        result_formats: results.to_vec(),
    }
}

#[test]
fn a_portal_has_the_types_and_formats_of_its_parameters() {
    let mut prepared = prepared();
    for (formats, expected) in [(&[][..], [0, 0]), (&[1], [1, 1]), (&[0, 1], [0, 1])] {
        prepared.bind(bind("", formats, &[Some("1"), None], &[1])).unwrap();
        let binding = &prepared.portal(&"".into()).unwrap().binding;
        let found: Vec<_> = binding.parameters.iter().map(|one| one.format).collect();
        assert_eq!(found, expected, "{formats:?}");
        let types: Vec<_> =
            binding.parameters.iter().map(|one| (one.declared_type, one.resolved_type)).collect();
        assert_eq!(types, [(23, 23), (0, 25)]);
        assert_eq!(binding.parameters[0].value.as_deref(), Some(&b"1"[..]));
        assert_eq!(binding.parameters[1].value, None);
        assert_eq!((&binding.result_formats[..], binding.row_limit), (&[1][..], 0));
    }
}

#[test]
fn what_does_not_fit_the_statement_is_refused_with_postgresql_s_codes() {
    let mut prepared = prepared();
    let two = [Some("1"), Some("2")];
    let mut code = |bind| prepared.bind(bind).unwrap_err().code();
    assert_eq!(code(bind("", &[], &[Some("1")], &[])), "08P01");
    assert_eq!(code(bind("", &[], &[Some("1"), Some("2"), Some("3")], &[])), "08P01");
    assert_eq!(code(bind("", &[0, 0, 0], &two, &[])), "08P01");
    assert_eq!(code(bind("", &[], &two, &[0, 0, 0])), "08P01");
    assert_eq!(code(bind("", &[2], &two, &[])), "22023");
    assert_eq!(code(bind("", &[], &two, &[7])), "22023");
    assert_eq!(code(Bind { statement: "t".into(), ..bind("", &[], &two, &[]) }), "26000");
}

#[test]
fn names_are_taken_until_they_are_closed_and_the_unnamed_ones_are_replaced() {
    let mut prepared = prepared();
    let parse = |name: &'static str| Parse { name: name.into(), text: "select 1".into(), types: Vec::new() };
    assert_eq!(prepared.make_room(&parse("s")).unwrap_err().code(), "42P05");
    assert!(prepared.close_statement(&"s".into()).is_some());
    assert!(prepared.make_room(&parse("s")).unwrap().is_none());
    prepared.insert("".into(), statement("select 1", &[], &[], 1));
    assert!(prepared.make_room(&parse("")).unwrap().is_some());
    assert_eq!(prepared.statement(&"".into()).unwrap_err().code(), "26000", "replaced, even by what fails");

    let mut prepared = self::prepared();
    let two = [Some("1"), Some("2")];
    assert!(prepared.bind(bind("p", &[], &two, &[])).unwrap().is_none());
    assert_eq!(prepared.bind(bind("p", &[], &two, &[])).unwrap_err().code(), "42P03");
    assert!(prepared.bind(bind("", &[], &two, &[])).unwrap().is_none());
    assert!(prepared.bind(bind("", &[], &two, &[])).unwrap().is_some());
    prepared.close_statement(&"s".into());
    assert!(prepared.portal(&"p".into()).is_ok(), "a portal outlives its statement");
    prepared.transaction_ended();
    assert_eq!(prepared.portal(&"p".into()).unwrap_err().code(), "34000");
}

#[test]
fn a_session_keeps_a_bounded_number_of_both() {
    let mut prepared = prepared();
    let parse = |name: String| Parse { name: name.into(), text: "select 1".into(), types: Vec::new() };
    for number in 1..MAX_STATEMENTS {
        let parse = parse(format!("n{number}"));
        prepared.make_room(&parse).unwrap();
        prepared.insert(parse.name, statement("select 1", &[], &[], 1));
    }
    assert_eq!(prepared.make_room(&parse("one more".into())).unwrap_err().code(), "54000");

    let mut prepared = self::prepared();
    let two = [Some("1"), Some("2")];
    for number in 0..MAX_PORTALS {
        let portal = Bytes::from(format!("p{number}"));
        prepared.bind(Bind { portal, ..bind("", &[], &two, &[]) }).unwrap();
    }
    assert_eq!(prepared.bind(bind("", &[], &two, &[])).unwrap_err().code(), "54000");
}

#[test]
fn whatever_a_statement_or_portal_takes_is_counted() {
    let parse = |name: usize, text: usize, types: usize| Parse {
        name: vec![b'n'; name].into(),
        text: vec![b' '; text].into(),
        types: vec![23; types],
    };
    for (name, text, types) in [(1, MAX_TEXT, 0), (MAX_TEXT, 1, 0), (1, 1, MAX_TEXT / 4)] {
        let refused = prepared().make_room(&parse(name, text, types)).unwrap_err();
        assert_eq!(refused.code(), "54000", "{name} {text} {types}");
    }
    let many = [23; 60_000];
    let mut prepared = Prepared::default();
    let kept = (0..MAX_STATEMENTS).take_while(|number| {
        let parse = parse(number + 1, 8, 0);
        let room = prepared.make_room(&parse).is_ok();
        prepared.insert(parse.name, statement("select 1", &[], &many, 1));
        room
    });
    assert!(kept.count() < 40, "what the target says of it counts");

    let mut prepared = Prepared::default();
    prepared.insert("s".into(), statement("select 1", &[], &many, 1));
    let null = |portal: Bytes| Bind { portal, values: vec![None; many.len()], ..bind("", &[], &[], &[]) };
    let kept = (0..MAX_PORTALS).take_while(|number| prepared.bind(null(number.to_string().into())).is_ok());
    assert!(kept.count() < 10, "a NULL takes something, too");
    let mut prepared = self::prepared();
    let portal = Bytes::from(vec![b'p'; MAX_VALUES]);
    let refused = prepared.bind(Bind { portal, ..bind("", &[], &[Some("1"), None], &[]) }).unwrap_err();
    assert_eq!(refused.code(), "54000");
}

#[test]
fn only_what_controls_the_transaction_alone_is_control() {
    let is_control =
        |text: &str| Statement::is_control(&analyse(text.as_bytes(), &Limits::default()).unwrap());
    assert!(is_control("BEGIN ISOLATION LEVEL SERIALIZABLE") && is_control("ROLLBACK TO SAVEPOINT a"));
    assert!(!is_control("BEGIN; SELECT 1") && !is_control("SELECT 1") && !is_control(""));
}
