//! What is found, between « and », and what is not. Numbers are those that are published for tests.

use countersign_model::Detector;

use crate::{Detectors, Found, replace};

/// The text without marks, and what they say.
fn marked(example: &str) -> (String, Vec<String>) {
    let found = example.split('«').skip(1).map(|rest| rest.split('»').next().unwrap().to_owned());
    (example.replace(['«', '»'], ""), found.collect())
}

fn assert_finds(detectors: &[Detector], examples: &[&str]) {
    let detectors: Detectors = detectors.iter().copied().collect();
    for example in examples {
        let (text, expected) = marked(example);
        let actual: Vec<_> =
            detectors.findings(text.as_bytes()).map(|found| text[found.range].to_owned()).collect();
        assert_eq!(actual, expected, "{example}");
    }
}

#[test]
fn addresses() {
    assert_finds(
        &[Detector::Email],
        &[
            "«dana@example.com»",
            "write to «dana.o'neil+x@mail.example.co.uk», please",
            "<«dana@example.com»>; (mailto:«omar@example.com»).",
            "«dana@example.com»...",
            "\"“«dana@example.com»”\"",
            "《«dana@example.com»》",
            "'«dana@example.com»'",
            "{«dana@example.com»,«omar@example.com»}",
            "«josé@exämple.de»",
            "«пётр@пример.рф»",
            "«用户@例子.广告»",
            "«dana@xn--exmple-cua.de»",
            "«d@host.local»",
            "«_x@example.com» -«x@example.com»",
            "?«to=dana%40example.com»&x=1",
            "%20«dana%40example.com»%20",
            "{\"a\":\"«dana\\u0040example.com»\"}",
            "{\"a\":\"x\\n«dana@example.com»\\n\"}",
            "{\"a\":\"\\u00e9«dana@example.com»\"}",
            "<a>«dana&#64;example.com»</a> «dana&#x40;example.com» «dana&commat;example.com»",
            "«bounce+dana=example.org@mail.example.com»",
            "https://user:«secret@db.example.com»/x",
            "«4111111111111111@example.com»",
            "«a@b.co»@c.co x@«c@d.co»@",
            "x@«y@example.com»",
            "x%40«y%40example.com»",
        ],
    );
    assert_finds(
        &[Detector::Email],
        &[
            "",
            "@",
            "a@b",
            "@example.com",
            "dana@",
            "dana@.com",
            "dana@example",
            "dana@example.",
            "lodash@4.17.21",
            "root@10.0.0.1",
            "5 @ 3.50",
            "a @example.com",
            "dana@ example.com",
            "100%40",
            "now @> then <@ x.y",
            "\"a\"@>\"b\"",
            "x@1.2",
        ],
    );
}

#[test]
fn a_long_local_part_is_taken_to_the_beginning_of_its_word() {
    let word = "a".repeat(100);
    let path = "/a".repeat(60);
    assert_finds(
        &[Detector::Email],
        &[&format!("x «{word}@example.com»"), &format!("{}«{}@example.com»", &path[..55], &path[55..])],
    );
}

#[test]
fn cards() {
    assert_finds(
        &[Detector::Card],
        &[
            "«4111111111111111»",
            "«5555555555554444», «5105105105105100» and «2223003122003222»",
            "«378282246310005» «371449635398431»",
            "«30569309025904»",
            "«6011111111111117»",
            "«3530111333300000»",
            "«6205500000000000004»",
            "«4242 4242 4242 4242»",
            "«4242-4242-4242-4242»",
            "«3782 822463 10005»",
            "«3782-822463-10005»",
            "«6205 5000 0000 0000 004»",
            "«4222222222222»",
            "card:«4111111111111111»;x",
            "(«4111 1111 1111 1111»)",
            "pan«4111111111111111»pan",
            "1 «4111 1111 1111 1111» 12/27 123",
            "2024 «4111 1111 1111 1111»",
            "«4111 1111 1111 1111».",
            "{\"pan\":\"«4012888888881881»\"}",
            "4111-1111 «5555 5555 5555 4444»",
        ],
    );
    assert_finds(
        &[Detector::Card],
        &[
            "",
            "4111111111111112",
            "4111 1111 1111 1112",
            "41111111111",
            "94111111111111111",
            "41111111111111110000",
            "4444444444444444",
            "0000000000000000",
            "1234567812345670",
            "4111  1111  1111  1111",
            "4111.1111.1111.1111",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "41 11 11 11 11 11 11 11",
            "0.5555555555554444",
            "-1.4111111111111111e-10",
            "4111111111111111.25",
            "1700000000000 1700000000000000 1700000000000000000",
            "20231015123045",
            "2023-10-15 12:30:45.123456+02",
            "550e8400-e29b-41d4-a716-446655440000",
            "978-3-16-148410-0 9783161484100",
            "+442079460958 +1 415 555 2671",
            "10.20.30.40 1.2.3-rc.4",
            "2275 25 1043 23 20 21 16 17 18 19 2278",
        ],
    );
}

/// Without this, `[5021 4111 1111 1111] 1111` and the like would be found in one of ten.
#[test]
fn a_group_before_a_card_leaves_nothing_of_it_in_sight() {
    let card: Detectors = [Detector::Card].into_iter().collect();
    for before in 2000..7000 {
        let text = format!("{before} 4111 1111 1111 1111 999");
        let covered = replace(text.as_bytes(), card.findings(text.as_bytes()), |_| "[card]");
        assert!(!covered.windows(4).any(|part| part == b"1111"), "{text}");
    }
}

#[test]
fn social_security_numbers() {
    assert_finds(
        &[Detector::Ssn],
        &[
            "«078-05-1120»",
            "«219-09-9999» «457-55-5462»",
            "ssn:«078-05-1120», x",
            "\"«078 05 1120»\"",
            "(«078-05-1120»).",
            "ssn=«078-05-1120»&y",
            "id_«899-99-0001»_x",
            "社«078-05-1120»社",
        ],
    );
    assert_finds(
        &[Detector::Ssn],
        &[
            "",
            "000-05-1120",
            "666-05-1120",
            "900-05-1120",
            "987-65-4320",
            "078-00-1120",
            "078-05-0000",
            "078-05 1120",
            "078.05.1120",
            "078051120",
            "1078-05-1120",
            "078-05-11201",
            "a078-05-1120",
            "078-05-1120a",
            "078-05-112",
            "415-555-2671",
            "2023-10-15",
            "1.078-05-1120",
            "078-05-1120.5",
            "550e8400-e29b-41d4-a716-446655440000",
        ],
    );
}

#[test]
fn tokens() {
    // RFC 7515, appendix A.1 and A.5, shortened; RFC 7516, appendix A, shortened.
    let signed =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_W";
    let encrypted = "eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodet";
    assert_finds(
        &[Detector::Jwt],
        &[
            &format!("«{signed}»"),
            &format!("«{encrypted}»"),
            &format!("Authorization: Bearer «{signed}»\r\n"),
            &format!("{{\"token\":\"«{signed}»\"}}"),
            &format!("the token is «{signed}»."),
            &format!("?t=«{signed}»&x=«{signed}»"),
            &format!("«x_{signed}»"),
            "«eyJhbGciOiJub25lIn0.e30».",
            "«eyJhbGciOiJkaXIifQ..48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodet»",
            "«eyJhbGciOiJIUzI1NiJ9..dBjftJeZ4CVP-mB92K27uhbUJU1p1r_W»",
            "eyJ «eyJhbGciOiJIUzI1NiJ9.e30.x»",
            "«eyJ.eyJhbGciOiJIUzI1NiJ9.e30.x»",
        ],
    );
    assert_finds(
        &[Detector::Jwt],
        &[
            "",
            "eyJ",
            "eyJ..",
            "eyJ.eyJ.eyJ",
            "eyJabc.def.ghi",
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJhbGciOiJIUzI1NiJ9.e30",
            "eyJhbGciOiJIUzI1NiJ9..",
            "eyJhbGciOiJIUzI1NiJ9..short",
            "the greyJay.flies.away",
            "www.example.com/index.html",
        ],
    );
}

#[test]
fn the_leftmost_and_then_the_longest_is_found() {
    let all: Detectors = Detector::ALL.into_iter().collect();
    let text = b"4111 1111 1111 1111@a.com 078-05-1120@a.com 078-05-1120, x@078-05-1120.com";
    let found: Vec<_> = all.findings(text).map(|f| (f.detector, f.range)).collect();
    assert_eq!(
        found,
        [
            (Detector::Card, 0..19),
            (Detector::Email, 26..43),
            (Detector::Ssn, 44..55),
            (Detector::Email, 57..74),
        ]
    );
    assert_eq!(all.find(text), Some(Found { range: 0..19, detector: Detector::Card }));
}

#[test]
fn only_what_is_asked_for_is_looked_for() {
    let none = Detectors::default();
    assert!(none.is_empty() && none.find(b"dana@example.com").is_none());
    let some: Detectors = [Detector::Jwt, Detector::Card, Detector::Jwt].into_iter().collect();
    assert!(!some.is_empty());
    let contained: Vec<_> = Detector::ALL.into_iter().filter(|detector| some.contains(*detector)).collect();
    assert_eq!(contained, [Detector::Card, Detector::Jwt]);
    assert!(some.find(b"dana@example.com 078-05-1120").is_none());
}
