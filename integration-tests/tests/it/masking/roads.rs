//! Every way of writing a question about a tagged column: by reference, computed, joined and combined.

use super::{Road, reader, row, travel, travel_or_be_refused, travel_without};

const REFERENCES: &[Road] = &[
    ("SELECT mail FROM veil_people", 3, "[contact]"),
    ("SELECT * FROM veil_people WHERE id = 1", 1, "1 | [contact] | ada | ∅ | [contact] | 1"),
    // NULL looks like any other value.
    ("SELECT p.* FROM veil_people p WHERE id = 3", 1, "3 | [contact] | eve | ∅ | [contact] | 2"),
    ("TABLE veil_heir", 1, "2 | [contact] | extra"),
    ("SELECT mail AS id FROM veil_people", 3, "[contact]"),
    ("SELECT (p).* FROM veil_people p WHERE id = 2", 1, "2 | [contact] | bob | ∅ | [contact] | 1"),
    ("SELECT public.veil_people.mail FROM public.veil_people", 3, "[contact]"),
    ("SELECT shop.public.veil_people.mail FROM shop.public.veil_people", 3, "[contact]"),
    ("SELECT U&\"mai\\006c\" FROM U&\"veil\\005fpeople\"", 3, "[contact]"),
    ("SELECT mail FROM ONLY veil_people", 3, "[contact]"),
    ("SELECT mail FROM veil_people TABLESAMPLE SYSTEM (100)", 3, "[contact]"),
    ("SELECT DISTINCT mail FROM veil_people", 3, "[contact]"),
    ("SELECT DISTINCT ON (mail) mail FROM veil_people ORDER BY mail, id", 3, "[contact]"),
    ("SELECT mail FROM veil_people ORDER BY mail DESC NULLS LAST LIMIT 1", 1, "[contact]"),
    ("SELECT s.m FROM (SELECT mail AS m FROM veil_people) s", 3, "[contact]"),
    ("WITH c AS (SELECT mail FROM veil_people) SELECT mail FROM c", 3, "[contact]"),
    ("SELECT l.m FROM veil_people p, LATERAL (SELECT p.mail AS m) AS l", 3, "[contact]"),
    ("SELECT j.mail FROM (veil_people CROSS JOIN (SELECT 1) one) AS j", 3, "[contact]"),
    ("SELECT wage, mail, place FROM veil_people FOR SHARE", 3, "∅ | [contact] | [contact]"),
];

#[test]
fn a_tagged_column_is_masked_by_whatever_name_it_is_asked_for() {
    travel("writer", REFERENCES);
}

/// What gives columns other names on the way may be refused, since it is by their names that copies are told.
#[test]
fn a_tagged_column_is_masked_or_refused_by_names_that_are_given_to_it() {
    travel_or_be_refused(
        "writer",
        &[
            ("SELECT a FROM veil_people AS t(i, a)", 3, "[contact]"),
            ("SELECT (p).mail FROM veil_people p", 3, "[contact]"),
            ("SELECT s.* FROM (SELECT mail FROM veil_people OFFSET 1) s(id)", 2, "[contact]"),
            (
                "WITH c (id) AS MATERIALIZED (SELECT mail FROM veil_people) SELECT d.id FROM c AS d",
                3,
                "[contact]",
            ),
            ("SELECT x FROM (VALUES ((SELECT max(mail) FROM veil_people)), ('here')) AS v(x)", 2, "[masked]"),
            (
                "WITH c AS (SELECT count(*) AS c FROM veil_people) SELECT c, count(*) FROM c GROUP BY c",
                1,
                "∅ | 1",
            ),
            ("SELECT a.b FROM veil_above AS a(x, b, c)", 3, "[contact]"),
            ("SELECT (person).mail FROM veil_whole", 3, "[masked]"),
        ],
    );
}

#[test]
fn whatever_is_computed_from_it_is_masked_too() {
    let roads: &[Road] = &[
        ("SELECT max(mail) FROM veil_people", 1, "[masked]"),
        ("SELECT min(mail), count(*), string_agg(mail, ',') FROM veil_people", 1, "[masked] | 3 | [masked]"),
        ("SELECT max(mail) FILTER (WHERE id = 1) FROM veil_people", 1, "[masked]"),
        ("SELECT sum(wage), avg(wage), min(wage)::text FROM veil_people", 1, "∅ | ∅ | [masked]"),
        ("SELECT percentile_disc(0) WITHIN GROUP (ORDER BY mail) FROM veil_people", 1, "[masked]"),
        (
            "SELECT length(mail), ascii(mail), mail IS NULL, mail LIKE 'Quokkaa%' FROM veil_people",
            3,
            "∅ | ∅ | ∅ | ∅",
        ),
        ("SELECT mail || '', upper(mail), md5(mail), reverse(mail) FROM veil_people", 3, MASKED_4),
        (
            "SELECT substr(mail, 1, 1), left(mail, 2), mail::varchar(3), mail::name FROM veil_people",
            3,
            MASKED_4,
        ),
        (
            "SELECT mail COLLATE \"C\", (mail), mail::text::text, +wage FROM veil_people",
            3,
            "[masked] | [contact] | [contact] | ∅",
        ),
        ("SELECT CASE WHEN mail LIKE 'Quokkaa%' THEN 'yes' ELSE 'no' END FROM veil_people", 3, "[masked]"),
        ("SELECT CASE nick WHEN 'ada' THEN mail ELSE nick END FROM veil_people", 3, "[masked]"),
        (
            "SELECT coalesce(mail, 'none'), nullif(mail, 'x'), greatest(mail, nick) FROM veil_people",
            3,
            MASKED_3,
        ),
        ("SELECT wage + 0, wage > 7310, wage::text, -wage FROM veil_people", 3, "∅ | ∅ | [masked] | ∅"),
        ("SELECT row_to_json(p) FROM veil_people p", 3, "\"[masked]\""),
        ("SELECT to_jsonb(p), to_json(mail), jsonb_build_object('m', mail) FROM veil_people p", 3, JSON_3),
        ("SELECT json_agg(p) FROM veil_people p", 1, "\"[masked]\""),
        ("SELECT jsonb_object_agg(id, mail) FROM veil_people", 1, "\"[masked]\""),
        (
            "SELECT p::text, format('%s', mail), concat(p.*), quote_literal(mail) FROM veil_people p",
            3,
            MASKED_4,
        ),
        ("SELECT s::text FROM (SELECT mail FROM veil_people) s", 3, "[masked]"),
        (
            "SELECT first_value(mail) OVER (), lag(mail) OVER (ORDER BY id) FROM veil_people",
            3,
            "[masked] | [masked]",
        ),
        (
            "SELECT rank() OVER (ORDER BY mail), count(*) OVER (), ntile(2) OVER w FROM veil_people WINDOW w AS (ORDER BY mail)",
            3,
            "∅ | ∅ | ∅",
        ),
        (
            "SELECT encode(convert_to(mail, 'UTF8'), 'hex'), convert_to(mail, 'UTF8') FROM veil_people",
            3,
            "[masked] | ∅",
        ),
        ("VALUES ((SELECT max(mail) FROM veil_people))", 1, "[masked]"),
        ("SELECT (ARRAY[mail, nick])[1], (ARRAY[mail])[1] FROM veil_people", 3, "[masked] | [masked]"),
        ("SELECT (SELECT mail FROM veil_people WHERE id = 1)", 1, "[masked]"),
        ("SELECT (SELECT mail FROM veil_people WHERE id = 1) FROM veil_teams", 2, "[masked]"),
        ("SELECT 1 FROM veil_people", 3, "1"),
        ("SELECT 1 AS one FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth' LIMIT 1", 1, "1"),
        ("SELECT 'constant', now(), 1 + 1 FROM veil_people WHERE id = 1", 1, "constant | ∅ | ∅"),
        ("SELECT g FROM veil_people, generate_series(1, 2) AS g WHERE id = 1", 2, "∅"),
        ("SELECT nick, id FROM veil_people WHERE mail LIKE 'Quokkaa%'", 1, "ada | 1"),
        ("SELECT count(*) FROM veil_people", 1, "3"),
        ("SELECT pg_catalog.count(mail), count(DISTINCT wage) AS wages FROM veil_people", 1, "2 | 2"),
        ("SELECT count(*), team FROM veil_people GROUP BY team HAVING count(*) = 2", 1, "2 | 1"),
        ("SELECT count(*) + 0, abs(count(*)) FROM veil_people", 1, "∅ | ∅"),
        ("SELECT sum(c) FROM (SELECT count(*) AS c FROM veil_people) s", 1, "∅"),
        ("SELECT c FROM (SELECT count(*) AS c FROM veil_people) s", 1, "∅"),
        ("SELECT p.*, count(*) FROM veil_base p GROUP BY id, mail HAVING id = 1", 1, "1 | [contact] | 1"),
        (
            "SELECT count(*) FROM veil_people UNION ALL SELECT length(mail) FROM veil_people WHERE id = 1",
            2,
            "∅",
        ),
        ("SELECT max(mail) FROM veil_base", 1, "[contact]"),
        (
            "SELECT to_tsvector('simple', mail)::text, ts_headline(mail, to_tsquery('x')) FROM veil_base",
            2,
            "[contact] | [contact]",
        ),
        ("SELECT current_user, max(mail) FROM veil_base", 1, "[contact] | [contact]"),
        ("SELECT ctid::text, xmin::text, tableoid::regclass::text FROM veil_people", 3, MASKED_3),
    ];
    travel("writer", roads);
}

const MASKED_3: &str = "[masked] | [masked] | [masked]";
const MASKED_4: &str = "[masked] | [masked] | [masked] | [masked]";
const JSON_3: &str = "\"[masked]\" | \"[masked]\" | \"[masked]\"";

/// asyncpg asks the catalog about these types by functions that read it unseen, so it is told nothing.
#[test]
fn whole_rows_and_lists_of_it_are_masked() {
    let roads: &[Road] = &[
        ("SELECT p FROM veil_people p", 3, "∅"),
        ("SELECT veil_people FROM veil_people", 3, "∅"),
        ("SELECT s FROM (SELECT mail FROM veil_people) s", 3, "∅"),
        ("SELECT j FROM (veil_people CROSS JOIN (SELECT 1) one) AS j", 3, "∅"),
        ("SELECT ROW(mail), ROW(p.*) FROM veil_people p", 3, "∅ | ∅"),
        ("SELECT array_agg(mail) FROM veil_people", 1, "∅"),
        ("SELECT array_agg(p) FROM veil_people p", 1, "∅"),
        ("SELECT ARRAY(SELECT mail FROM veil_people), ARRAY[mail] FROM veil_people", 3, "∅ | ∅"),
        ("SELECT string_to_array(mail, '~'), regexp_match(mail, '.*') FROM veil_people", 3, "∅ | ∅"),
        ("SELECT to_tsvector('simple', mail) FROM veil_people", 3, "∅"),
    ];
    travel_without(&["asyncpg"], "writer", roads);
}

#[test]
fn what_it_is_joined_and_combined_with_is_masked_where_it_cannot_be_told_apart() {
    let roads: &[Road] = &[
        ("SELECT name FROM veil_teams UNION ALL SELECT mail FROM veil_people", 5, "[masked]"),
        ("SELECT mail FROM veil_people UNION ALL SELECT name FROM veil_teams", 5, "[masked]"),
        (
            "WITH RECURSIVE r AS (SELECT id, nick AS word FROM veil_people WHERE id = 1 UNION ALL
                SELECT p.id, p.mail FROM veil_people p JOIN r ON p.id = r.id + 1) SELECT word FROM r",
            3,
            "[masked]",
        ),
        (
            "SELECT t.name, p.mail, p.nick FROM veil_people p JOIN veil_teams t ON t.id = p.team WHERE p.id = 1",
            1,
            "red | [contact] | ada",
        ),
        ("SELECT p.mail, q.mail FROM veil_people p, veil_base q WHERE p.id = 1", 2, "[contact] | [contact]"),
        ("SELECT p.nick || q.mail FROM veil_people p, veil_base q", 6, "[masked]"),
    ];
    travel("writer", roads);
}

#[test]
fn one_class_seen_shows_nothing_of_another() {
    let mut session = reader();
    let mut saw = |sql: &str| {
        let answer = session.query(sql);
        assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
        row(&answer.rows[0])
    };
    assert_eq!(
        saw("SELECT mail, place, nick FROM veil_people WHERE id = 1"),
        "Quokkaada~Quokkanorth | Quokkanorth | ada"
    );
    assert_eq!(saw("SELECT mail, wage FROM veil_people WHERE id = 1"), "Quokkaada~Quokkanorth | ∅");
    assert_eq!(saw("SELECT max(mail), max(wage) FROM veil_people"), "[masked] | ∅");
    assert_eq!(
        saw("SELECT upper(mail), 1 FROM veil_base WHERE id = 1"),
        "QUOKKABASE | 1",
        "a class that is seen whole"
    );
    assert_eq!(saw("SELECT address FROM veil_view WHERE id = 3"), "∅", "NULL is NULL to who may see it");
}
