//! Clients that break the protocol, or overdo it: each ends at most its own session.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{PIPED, bind, execute, parse, sync};
use crate::wire::Wire;

/// A message of a type, with a length of its own making and a body, as hexadecimal digits.
fn raw(kind: u8, length: u32, body: &[u8]) -> Value {
    let mut digits = format!("{kind:02x}{length:08x}");
    body.iter().for_each(|byte| write!(digits, "{byte:02x}").expect("written"));
    json!(["raw", digits])
}

/// The same with the length that it has.
fn message(kind: u8, body: &[u8]) -> Value {
    raw(kind, u32::try_from(body.len()).expect("short") + 4, body)
}

/// Somebody else, on the same edge.
fn served(bystander: &mut Wire, what: &str) {
    assert_eq!(bystander.value("SELECT 40 + 2").as_deref(), Some("42"), "{what} harms another session");
}

#[test]
fn garbage_ends_at_most_its_own_session() {
    let mut bystander = PIPED.session();
    for (what, garbage) in [
        ("a message of no type", message(b'!', b"")),
        ("a length that is none", raw(b'P', 3, b"")),
        ("a length without an end", raw(b'P', 0x7fff_ffff, b"s\0SELECT 1\0\0\0")),
        ("a negative length", raw(b'B', 0xffff_fff0, b"")),
        ("a Parse whose text does not end", message(b'P', b"s\0SELECT 1")),
        ("a Parse of types that are not there", message(b'P', b"s\0SELECT 1\0\xff\xff")),
        ("a Bind of values that are not there", message(b'B', b"\0s\0\0\0\xff\xff")),
        ("a Bind of a value that is too long", message(b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xff")),
        ("a Bind of a value of negative length", message(b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\x00\0\0")),
        ("a Bind in a format that is none", message(b'B', b"\0s\0\0\x01\0\x07\0\x01\0\0\0\x01x\0\0")),
        ("a Describe of nothing", message(b'D', b"X\0")),
        ("a Close without a name", message(b'C', b"S")),
        ("an Execute without a count", message(b'E', b"\0")),
        ("a Sync with a body", message(b'S', b"body")),
        ("a Query that is not UTF-8", message(b'Q', b"SELECT '\xff\xfe'\0")),
        ("CopyData out of nowhere", message(b'd', b"1\t2\n")),
        ("a password again", message(b'p', b"secret\0")),
    ] {
        let mut hostile = PIPED.session();
        hostile.put(&[parse("s", "SELECT $1::int4"), garbage, sync()]);
        // A length without an end waits for more, which has no event: the client leaves.
        if what != "a length without an end" {
            let answer = hostile.finish();
            let last = answer.errors.last().map(|error| error["S"].clone());
            assert!(answer.status == "I" || last == Some(json!("FATAL")), "{what}: {answer:?}");
        }
        served(&mut bystander, what);
    }
}

#[test]
fn floods_end_at_most_their_own_session() {
    let mut bystander = PIPED.session();
    let each = |make: &dyn Fn(usize) -> Value| (0..10_000).map(make).chain([sync()]).collect::<Vec<_>>();
    let mut portals = each(&|n| bind(&format!("p{n}"), "s", &[]));
    portals.insert(0, parse("s", "SELECT 1"));
    for (what, flood) in [
        ("10,000 statements", each(&|n| parse(&format!("s{n}"), "SELECT 1"))),
        ("10,000 portals", portals),
        ("10,000 statements without a name", vec![json!(["repeat", 10_000, parse("", "SELECT 1")]), sync()]),
        ("10,000 portals that are not there", each(&|n| execute(&format!("p{n}"), 0))),
        ("a million times Flush", vec![json!(["repeat", 1_000_000, ["flush"]]), sync()]),
    ] {
        let mut hostile = PIPED.session();
        hostile.put(&flood);
        served(&mut bystander, what);
        let answer = hostile.finish();
        let codes: Vec<_> = answer.errors.iter().map(|error| error["C"].clone()).collect();
        assert!(answer.status == "I" || codes.contains(&json!("54000")), "{what}: {codes:?}");
        assert!(codes.len() <= 1, "{what}: one error, and the rest is skipped: {}", codes.len());
        served(&mut bystander, what);
    }
    // One ReadyForQuery for each Sync, however many.
    let mut patient = PIPED.session();
    patient.put(&[json!(["repeat", 10_000, ["sync"]])]);
    served(&mut bystander, "10,000 times Sync");
    (0..10_000).for_each(|_| assert_eq!(patient.finish().status, "I"));
    assert_eq!(patient.value("SELECT 'and on'").as_deref(), Some("and on"));
}
