use proptest::{collection::vec, prelude::*};

use super::*;

/// Oid, binary form in hex and text form of values, each as PostgreSQL 15 itself wrote it (`encode(int4send(v), 'hex')`
/// and `v::text`).
const GOLDEN: &str = include_str!("golden.tsv");

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

fn value(oid: u32, bytes: &[u8]) -> Option<String> {
    read(oid, bytes).map(|(Read::Text(value) | Read::Value(value))| value)
}

#[test]
fn values_read_as_postgresql_writes_them() {
    let mut seen = Vec::new();
    for row in GOLDEN.lines() {
        let [oid, bytes, text] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let oid = oid.parse().expect("an oid");
        assert_eq!(value(oid, &unhex(bytes)).as_deref(), Some(text), "{row}");
        seen.push(oid);
    }
    let rest = [17, 705, 1042];
    for oid in (0..10_000).filter(|oid| name(*oid).is_some()) {
        assert!(seen.contains(&oid) || rest.contains(&oid), "{oid} is not tried");
    }
}

#[test]
fn what_is_text_in_binary_too_is_text() {
    for oid in [19, 25, 114, 705, 1042, 1043] {
        assert_eq!(read(oid, b"a\nb  "), Some(Read::Text("a\nb  ".into())), "{oid}");
        assert_eq!((read(oid, b"a\0b"), read(oid, b"\xff")), (None, None), "{oid}");
    }
    assert_eq!(read(3802, b"\x01{}"), Some(Read::Text("{}".into())));
    for no_jsonb in [b"".as_slice(), b"\x02{}", b"\x01\xff", b"{}"] {
        assert_eq!(read(3802, no_jsonb), None, "{no_jsonb:?}");
    }
    assert!(read(19, &[b'a'; 63]).is_some() && read(19, &[b'a'; 64]).is_none());
}

#[test]
fn what_is_not_of_its_type_is_not_read() {
    for (oid, length) in [
        (16, 1),
        (20, 8),
        (21, 2),
        (23, 4),
        (26, 4),
        (700, 4),
        (701, 8),
        (1082, 4),
        (1114, 8),
        (1184, 8),
        (1700, 8),
        (2950, 16),
    ] {
        for other in (0..40).filter(|other| *other != length) {
            assert_eq!(read(oid, &vec![0; other]), None, "{other} bytes of {oid}");
        }
        assert!(read(oid, &vec![0; length]).is_some(), "{oid}");
    }
    // Bytes say nothing, and of a type that is not known nobody can tell.
    for oid in [17, 0, 18, 1007, 16_385, u32::MAX] {
        assert_eq!(read(oid, b"\0\0\0\x01"), None, "{oid}");
    }
}

#[test]
fn any_byte_but_zero_is_true_as_it_is_to_the_target() {
    assert_eq!(value(16, &[7]).as_deref(), Some("true"));
}

#[test]
fn moments_that_cannot_be_are_not_read() {
    assert_eq!(value(1082, &(-2_451_546i32).to_be_bytes()), None);
    assert_eq!(value(1082, &2_145_031_949i32.to_be_bytes()), None);
    assert_eq!(value(1114, &(-211_813_488_000_000_001i64).to_be_bytes()), None);
    assert_eq!(value(1114, &9_223_371_331_200_000_000i64.to_be_bytes()), None);
}

fn numeric(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Option<String> {
    let count = u16::try_from(groups.len()).expect("few").to_be_bytes();
    let mut bytes = [count, weight.to_be_bytes(), sign.to_be_bytes(), scale.to_be_bytes()].concat();
    bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
    value(1700, &bytes)
}

#[test]
fn numbers_are_written_as_the_target_understands_them() {
    assert_eq!(numeric(0, 0, 2, &[1, 2345]).as_deref(), Some("1.23"), "what is beyond the scale is dropped");
    assert_eq!(numeric(0, 0x4000, 0, &[0, 9999]).as_deref(), Some("0"), "and there is no negative zero");
    assert_eq!(numeric(2, 0, 0, &[0, 12]).as_deref(), Some("120000"));
    assert_eq!(numeric(-2, 0, 6, &[12]).as_deref(), Some("0.000000"));
    assert_eq!(numeric(i16::MIN, 0, 4, &[1]).as_deref(), Some("0.0000"));
    assert_eq!(numeric(0, 0, 0, &[10_000]), None, "no group");
    assert_eq!(numeric(0, 1, 0, &[1]), None, "no sign");
    assert_eq!(numeric(0, 0, 0x4000, &[1]), None, "no scale");
    // A few bytes could fill a screen: their zeros are not written.
    assert_eq!(numeric(32, 0, 0, &[1]).map(|number| number.len()), Some(1 + 4 * 32));
    assert_eq!(numeric(33, 0, 0, &[1]), None);
    assert_eq!(numeric(0, 0, 0x3fff, &[1]), None);
    assert_eq!(numeric(i16::MAX, 0, 0, &[1]), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_are_not_blown_up(
        oid in prop_oneof![any::<u32>(), (0u32..4_000).prop_filter("known", |oid| name(*oid).is_some())],
        bytes in vec(any::<u8>(), 0..64),
    ) {
        if let Some(value) = value(oid, &bytes) {
            prop_assert!(value.len() <= 160 + 4 * bytes.len(), "{value}");
        }
    }

    #[test]
    fn arbitrary_numbers_never_panic_and_are_not_blown_up(
        weight: i16,
        sign in prop_oneof![Just(0u16), Just(0x4000)],
        scale in prop_oneof![0u16..200, any::<u16>()],
        groups in vec(0u16..10_000, 0..20),
    ) {
        if let Some(number) = numeric(weight, sign, scale, &groups) {
            prop_assert!(number.len() <= 140 + 4 * groups.len(), "{number}");
        }
    }

    #[test]
    fn a_number_is_the_one_that_was_meant(number: i64) {
        let (mut groups, mut rest) = (Vec::new(), number.unsigned_abs());
        while rest > 0 {
            groups.insert(0, u16::try_from(rest % 10_000).expect("a group"));
            rest /= 10_000;
        }
        let weight = i16::try_from(groups.len()).expect("few") - 1;
        let sign = if number < 0 { 0x4000 } else { 0 };
        prop_assert_eq!(numeric(weight, sign, 0, &groups), Some(number.to_string()));
        let tenthousandths = numeric(weight - 1, sign, 4, &groups).expect("a number");
        let (whole, fraction) = tenthousandths.split_once('.').expect("a point");
        prop_assert_eq!(format!("{whole}{fraction}").parse::<i64>(), Ok(number));
    }

    #[test]
    fn days_follow_each_other(day in -2_451_545i32..2_145_031_948) {
        let parts = |day: i32| -> (i64, Vec<i64>) {
            let text = moment::date(day).expect("a day");
            let (date, before_christ) = match text.strip_suffix(" BC") {
                Some(date) => (date, true),
                None => (text.as_str(), false),
            };
            let mut parts = date.split('-').map(|part| part.parse().expect("a number"));
            let year: i64 = parts.next().expect("a year");
            (if before_christ { 1 - year } else { year }, parts.collect())
        };
        let ((year, month_day), (next_year, next_month_day)) = (parts(day), parts(day + 1));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let [month, of_month] = month_day[..] else { panic!() };
        let last = lengths[usize::try_from(month - 1).expect("a month")];
        let expected = if of_month < last {
            (year, vec![month, of_month + 1])
        } else if month < 12 {
            (year, vec![month + 1, 1])
        } else {
            (year + 1, vec![1, 1])
        };
        prop_assert_eq!((next_year, next_month_day), expected);
    }
}
