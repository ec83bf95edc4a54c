use std::sync::Arc;

use countersign_model::{DataClass, Detector, TaggedColumn};
use proptest::prelude::*;

use super::*;
use crate::masking::Row;

const TEXT: u32 = 25;
const INT4: u32 = 23;

/// Relation 10 has a tagged column 2.
fn classes() -> Vec<DataClass> {
    let column = TaggedColumn { schema: "public".into(), relation: "people".into(), column: "mail".into() };
    vec![
        DataClass { name: "mail".parse().unwrap(), columns: vec![column], detectors: Vec::new() },
        DataClass { name: "card".parse().unwrap(), columns: Vec::new(), detectors: vec![Detector::Card] },
    ]
}

fn masker(outputs: Vec<Output>, reaches: bool) -> ReplyMasker {
    let tagged = Row::Tagged { tag: 0, relation: 10, attribute: 2, name: "mail".to_owned() };
    let reached = |relation| {
        let (kind, rule) = ("r".to_owned(), String::new());
        Row::Reached { relation, kind, rule, is_opaque: false, has_attached: false }
    };
    let attributes = [(10, 1), (10, 2), (11, 1), (11, 2)].map(|(relation, attribute)| Row::Attribute {
        relation,
        attribute,
        name: format!("c{attribute}"),
    });
    let rows = if reaches { vec![tagged, reached(10), reached(11)] } else { vec![reached(11)] };
    let rows = rows.into_iter().chain(attributes).collect();
    let classes = classes();
    ReplyMasker::new(Rc::new(Look::of(&classes)), Rc::new(Tags::new(rows, &classes, &[], &[])), outputs)
}

fn duty(mask: &[&str], detect: &[&str]) -> Duty {
    let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    Duty { mask: names(mask), detect: names(detect), reduce_text: !mask.is_empty() }
}

fn description(columns: &[(&str, u32, i16, u32)]) -> BytesMut {
    let mut out = BytesMut::new();
    encode::framed(&mut out, b'T', |out| {
        out.put_u16(columns.len() as u16);
        for (name, table, attribute, type_id) in columns {
            encode::string(out, name.as_bytes());
            out.put_u32(*table);
            out.put_i16(*attribute);
            out.put_u32(*type_id);
            out.put_slice(&[0; 8]);
        }
    });
    out
}

fn row(values: &[Option<&str>]) -> BytesMut {
    let values: Vec<_> =
        values.iter().map(|value| value.map(|value| Cow::Borrowed(value.as_bytes()))).collect();
    let mut out = BytesMut::new();
    put_row(&mut out, &values);
    out
}

fn rows(mut messages: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    while let Some(header) = backend::header(messages).unwrap() {
        if header.kind == b'D' {
            let values = backend::values(&messages[5..header.total]).unwrap();
            let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
            rows.push(values.into_iter().map(text).collect());
        }
        messages = &messages[header.total..];
    }
    rows
}

fn words(row: &[Option<String>]) -> Vec<&str> {
    row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect()
}

/// The messages, and the end of a statement.
fn whole(parts: &[BytesMut]) -> Batch {
    let mut end = BytesMut::new();
    encode::complete(&mut end, "SELECT");
    batch(&[parts, &[end]].concat())
}

fn batch(parts: &[BytesMut]) -> Batch {
    let rows = parts.iter().filter(|part| part.first() == Some(&b'D')).count() as u64;
    Batch::new(Bytes::from(parts.concat()), rows)
}

const PEOPLE: [(&str, u32, i16, u32); 4] =
    [("id", 10, 1, INT4), ("mail", 10, 2, TEXT), ("upper", 0, 0, TEXT), ("len", 0, 0, INT4)];

#[test]
fn every_column_without_an_untagged_origin_is_covered() {
    let reply =
        [description(&PEOPLE), row(&[Some("1"), Some("ada"), Some("ADA"), Some("3")]), row(&[None; 4])];
    let views = masker(Vec::new(), true).mask(whole(&reply), &duty(&["mail"], &[])).unwrap();
    let seen = rows(&views.client);
    assert_eq!(words(&seen[0]), ["1", "[mail]", "[mail]", "NULL"]);
    assert_eq!(words(&seen[1]), ["NULL", "[mail]", "[mail]", "NULL"], "that there is none does not show");
    assert_eq!(rows(&views.excerpt.data), seen);
    assert_eq!(views.excerpt.rows, 2);
    let labels: Vec<_> = views.excerpt.columns.iter().map(|column| column.label.as_deref()).collect();
    assert_eq!(labels, [None, Some("[mail]"), Some("[mail]"), Some("[mail]")]);
    assert!(views.client.starts_with(&reply[0]), "columns are described as they are");
}

#[test]
fn who_may_see_it_does_and_the_recording_does_not() {
    let reply = [description(&PEOPLE), row(&[Some("1"), Some("ada"), Some("ADA"), Some("3")])];
    let whole = batch(&reply);
    let sent = whole.bytes().clone();
    let views = masker(Vec::new(), true).mask(whole, &duty(&[], &[])).unwrap();
    assert_eq!(views.client, sent);
    assert_eq!(views.client.as_ptr(), sent.as_ptr(), "what does not change is not copied");
    assert_eq!(words(&rows(&views.excerpt.data)[0]), ["1", "[mail]", "[mail]", "NULL"]);
}

#[test]
fn a_plain_count_is_shown() {
    let reply = [description(&[("count", 0, 0, 20), ("max", 0, 0, TEXT)]), row(&[Some("7"), Some("z")])];
    let masks = duty(&["mail"], &[]);
    let mut masker_of_count = masker(vec![Output::Count, Output::Other], true);
    let views = masker_of_count.mask(whole(&reply), &masks).unwrap();
    assert_eq!(words(&rows(&views.client)[0]), ["7", "[mail]"]);
    let views = masker(vec![Output::Other, Output::Other], true).mask(whole(&reply), &masks).unwrap();
    assert_eq!(words(&rows(&views.client)[0]), ["NULL", "[mail]"]);
}

#[test]
fn findings_in_untagged_text_are_covered_where_they_are_owed() {
    let reply = [
        description(&[("note", 11, 1, TEXT), ("number", 11, 2, 1700)]),
        row(&[Some("pay 4111111111111111 now"), Some("4111111111111111")]),
        row(&[Some("nothing"), None]),
    ];
    let views = masker(Vec::new(), false).mask(batch(&reply), &duty(&[], &["card"])).unwrap();
    let seen = rows(&views.client);
    assert_eq!(words(&seen[0]), ["pay [card] now", "4111111111111111"]);
    assert_eq!(words(&seen[1]), ["nothing", "NULL"]);
    let views = masker(Vec::new(), false).mask(batch(&reply), &duty(&[], &[])).unwrap();
    assert_eq!(words(&rows(&views.client)[0])[0], "pay 4111111111111111 now");
    assert_eq!(words(&rows(&views.excerpt.data)[0])[0], "pay [card] now", "never on record");
}

#[test]
fn the_recording_shows_the_first_rows_and_no_more() {
    let mut masker = masker(Vec::new(), false);
    let mut shown = 0;
    for round in 0..3 {
        let mut reply = vec![row(&[Some("x")]); 60];
        if round == 0 {
            reply.insert(0, description(&[("a", 11, 1, TEXT)]));
        }
        let views = masker.mask(batch(&reply), &duty(&[], &["card"])).unwrap();
        assert_eq!(views.excerpt.columns.len(), usize::from(round == 0));
        assert_eq!(rows(&views.excerpt.data).len() as u64, views.excerpt.rows);
        shown += views.excerpt.rows;
    }
    assert_eq!(shown, SHOWN_ROWS);

    let long = "x".repeat(SHOWN_BYTES);
    let mut masker = self::masker(Vec::new(), false);
    let reply =
        [description(&[("a", 11, 1, TEXT)]), row(&[Some("1")]), row(&[Some(&long)]), row(&[Some("3")])];
    let views = masker.mask(batch(&reply), &duty(&[], &[])).unwrap();
    assert_eq!(views.excerpt.rows, 1, "without a gap");
    assert_eq!(rows(&views.client).len(), 3);
}

#[test]
fn rows_that_are_not_as_described_do_not_pass() {
    for reply in [
        vec![row(&[Some("1")])],
        vec![description(&PEOPLE), row(&[Some("1")])],
        vec![BytesMut::from(&b"D\0\0\0\x06\0"[..])],
        vec![BytesMut::from(&b"T\0\0\0\x06\0\x01"[..])],
    ] {
        let refused = masker(Vec::new(), true).mask(batch(&reply), &duty(&["mail"], &[])).unwrap_err();
        assert_eq!(refused.reason, Reason::Unmaskable);
    }
}

#[test]
fn rows_that_are_computed_wait_until_all_of_them_are() {
    let complete = || {
        let mut out = BytesMut::new();
        encode::complete(&mut out, "SELECT 2");
        out
    };
    let mut error = BytesMut::new();
    encode::framed(&mut error, b'E', |out| out.put_slice(b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0"));
    let one = || row(&[Some("1"), Some("ada"), Some("ADA"), Some("3")]);
    let first = [description(&PEOPLE), one()];
    let masks = duty(&["mail"], &[]);
    let mut masker_of_rows = masker(Vec::new(), true);
    assert_eq!(rows(&masker_of_rows.mask(batch(&first), &masks).unwrap().client).len(), 0);
    let views = masker_of_rows.mask(batch(&[one(), complete()]), &masks).unwrap();
    assert_eq!(rows(&views.client).len(), 2, "and nothing is lost");
    assert!(views.client.ends_with(&complete()));

    let mut masker_of_rows = masker(Vec::new(), true);
    masker_of_rows.mask(batch(&first), &masks).unwrap();
    let views = masker_of_rows.mask(batch(&[one(), error]), &masks).unwrap();
    assert_eq!(rows(&views.client).len(), 0, "where it failed does not show");
    assert!(views.client.starts_with(b"E"));

    let plain = [description(&PEOPLE[..2]), row(&[Some("1"), Some("ada")])];
    let views = masker(Vec::new(), true).mask(batch(&plain), &masks).unwrap();
    assert_eq!(rows(&views.client).len(), 1, "what is stored is not held back");

    let long = "x".repeat(100_000);
    let mut masker_of_rows = masker(Vec::new(), true);
    masker_of_rows.mask(batch(&first), &masks).unwrap();
    let wide = || [row(&[Some(&long), Some("ada"), Some("ADA"), Some("3")])];
    let refused = (0..50).find_map(|_| masker_of_rows.mask(batch(&wide()), &masks).err());
    assert_eq!(refused.unwrap().reason, Reason::OverLimit);
}

#[test]
fn what_a_session_that_masks_hears_is_reduced() {
    let mut error = BytesMut::new();
    encode::framed(&mut error, b'E', |out| {
        out.put_slice(b"SERROR\0VERROR\0C22P02\0Mbad integer: \"ada\"\0\0")
    });
    let mut notice = BytesMut::new();
    encode::framed(&mut notice, b'N', |out| {
        out.put_slice(b"SNOTICE\0VNOTICE\0C00000\0Mada 4111111111111111\0\0")
    });
    let mut notification = BytesMut::new();
    encode::framed(&mut notification, b'A', |out| out.put_slice(b"\0\0\0\x01ada\0ada\0"));
    let reply = [error, notice, notification];
    let views = masker(Vec::new(), true).mask(batch(&reply), &duty(&["mail"], &[])).unwrap();
    let text = String::from_utf8_lossy(&views.client).into_owned();
    assert!(!text.contains("ada") && text.contains("invalid text representation"), "{text}");
    let views = masker(Vec::new(), true).mask(batch(&reply), &duty(&[], &["card"])).unwrap();
    let text = String::from_utf8_lossy(&views.client).into_owned();
    assert!(text.contains("\"ada\"") && text.contains("ada [card]"), "{text}");
}

proptest! {
    #[test]
    fn any_messages_are_answered(
        kinds in proptest::collection::vec(proptest::sample::select(b"TDENACZ".to_vec()), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut all = BytesMut::new();
        kinds.iter().for_each(|kind| encode::framed(&mut all, *kind, |out| out.put_slice(&body)));
        let batch = || Batch::new(all.clone().freeze(), 0);
        let _ = masker(Vec::new(), true).mask(batch(), &duty(&["mail"], &["card"]));
        let _ = masker(Vec::new(), true).mask(batch(), &duty(&[], &[]));
        let _ = masker(Vec::new(), false).mask(Batch::new(Bytes::from(body), 0), &duty(&[], &[]));
    }

    #[test]
    fn nothing_of_a_covered_value_is_left(mail in "[a-z]{4,9}@[a-z]{3,9}", id in "[0-9]{1,6}") {
        let reply = [description(&PEOPLE), row(&[Some(&id), Some(&mail), Some(&mail), Some(&id)])];
        let views = masker(Vec::new(), true).mask(whole(&reply), &duty(&["mail"], &["card"])).unwrap();
        let both = [&views.client[..], &views.excerpt.data[..]].concat();
        prop_assert!(!String::from_utf8_lossy(&both).contains(&mail));
    }
}
