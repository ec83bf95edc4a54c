//! Which rows there are tells no more about a tagged column than the plain tests of it that a statement spells out.

use super::{Road, VEIL, travel_by_wire, travel_or_be_refused, via::extended};
use crate::wire::says;

/// What decides about rows by a tagged column otherwise is masked where it is answered, and need not be answered.
const BY_VALUES: &[Road] = &[
    ("SELECT id FROM veil_people ORDER BY mail USING > OFFSET 2", 1, "1"),
    ("SELECT mail FROM veil_people p JOIN veil_people q USING (mail)", 2, "[contact]"),
    ("SELECT mail FROM veil_guesses g RIGHT JOIN veil_people p USING (mail)", 3, "[contact]"),
    ("SELECT mail FROM veil_people NATURAL LEFT JOIN veil_guesses", 3, "[contact]"),
    ("SELECT unnest(string_to_array(mail, '~')) FROM veil_people WHERE id = 1", 2, "[masked]"),
    ("SELECT x FROM veil_people, unnest(string_to_array(mail, '~')) AS x WHERE id = 1", 2, "[masked]"),
    ("SELECT x FROM veil_people, regexp_split_to_table(mail, '~') AS x WHERE id = 1", 2, "[masked]"),
    ("SELECT x FROM veil_people, LATERAL (VALUES (mail)) AS v(x)", 3, "[masked]"),
    ("SELECT 'Quokkaada~Quokkanorth' IN (SELECT mail FROM veil_people)", 1, "∅"),
    ("SELECT 'x' = ANY (SELECT mail FROM veil_people), 'x' < ALL (SELECT mail FROM veil_people)", 1, "∅ | ∅"),
    (
        "SELECT name, (SELECT count(*) FROM veil_people WHERE mail > name) FROM veil_teams WHERE id = 1",
        1,
        "red | ∅",
    ),
    ("SELECT EXISTS (SELECT 1 FROM veil_people WHERE mail LIKE 'Quokka%')", 1, "∅"),
    ("SELECT nick FROM veil_people ORDER BY (mail LIKE 'Quokkab%') DESC NULLS LAST LIMIT 1", 1, "bob"),
    ("SELECT GROUPING(mail), mail FROM veil_people GROUP BY ROLLUP (mail)", 4, "∅ | [contact]"),
    ("SELECT mail FROM veil_people p FULL JOIN veil_people q USING (mail)", 4, "[masked]"),
    ("SELECT nick FROM veil_people UNION SELECT mail FROM veil_people", 6, "[masked]"),
    ("SELECT mail FROM veil_people INTERSECT SELECT mail FROM veil_guesses", 1, "[masked]"),
    ("SELECT mail FROM veil_guesses INTERSECT SELECT mail FROM veil_people", 1, "[masked]"),
    ("SELECT mail FROM veil_guesses EXCEPT SELECT nick FROM veil_people", 1, "[masked]"),
    ("SELECT s.name FROM (SELECT name FROM veil_teams UNION SELECT mail FROM veil_people) s", 5, "[masked]"),
    (
        "WITH u AS (SELECT name FROM veil_teams UNION SELECT mail FROM veil_people) SELECT name FROM u",
        5,
        "[masked]",
    ),
    (
        "SELECT t.name FROM veil_teams t WHERE t.id IN (SELECT team FROM veil_people WHERE mail LIKE 'Quokkaa%')",
        1,
        "red",
    ),
    ("SELECT mail FROM veil_people GROUP BY mail HAVING count(*) = 1", 3, "[contact]"),
    ("SELECT address FROM veil_view UNION SELECT 'x'", 4, "[masked]"),
    ("SELECT v.address FROM veil_view v JOIN veil_stored s USING (address)", 2, "[contact]"),
    ("SELECT b.* FROM veil_base b, veil_heir h WHERE h.mail = b.mail", 1, "2 | [contact]"),
    ("SELECT p.veil_named, nick FROM veil_people p WHERE id = 1", 1, "[masked] | ada"),
    ("SELECT veil_named(p) FROM veil_people p", 3, "[masked]"),
    ("SELECT name FROM veil_teams WHERE veil_peek(id) IS NOT NULL AND id = 1", 1, "red"),
    ("SELECT set_config('veil.kept', (SELECT max(mail) FROM veil_people), false)", 1, "[masked]"),
];

#[test]
fn what_decides_about_rows_by_a_tagged_column_is_masked_or_refused() {
    travel_or_be_refused("writer", BY_VALUES);
}

#[test]
fn a_plain_test_of_a_tagged_column_goes_on() {
    travel_by_wire(
        "writer",
        &[
            ("SELECT nick FROM veil_people WHERE mail = 'Quokkaada~Quokkanorth'", 1, "ada"),
            (
                "SELECT nick, mail FROM veil_people WHERE mail LIKE 'Quokkaa%' AND id > 0",
                1,
                "ada | [contact]",
            ),
            (
                "SELECT nick FROM veil_people WHERE mail IN ('Quokkaada~Quokkanorth', 'x') OR id = 99",
                1,
                "ada",
            ),
            ("SELECT nick FROM veil_people WHERE mail IS NULL", 1, "eve"),
            ("SELECT nick FROM veil_people WHERE NOT (mail IS NULL) AND wage > 7311", 1, "bob"),
            ("SELECT nick FROM veil_people WHERE wage BETWEEN 7310 AND 7311", 1, "ada"),
            ("SELECT count(*) FROM veil_people WHERE mail ILIKE 'quokka%'", 1, "2"),
            ("SELECT address FROM veil_view WHERE address = 'Quokkaada~Quokkanorth'", 1, "[contact]"),
            ("SELECT nick FROM veil_people ORDER BY mail LIMIT 1", 1, "ada"),
        ],
    );
    let sql = "SELECT nick FROM veil_people WHERE mail = $1 AND wage > $2::numeric";
    let answer = extended(&mut VEIL.session(), sql, &["Quokkaada~Quokkanorth", "7310"], &[]);
    assert_eq!(answer.rows, [[Some("ada".to_owned())]], "{answer:?}");
}

/// Each would tell a value, or much of one, by the number of its rows or by which there are.
const TELLING: &[&str] = &[
    "SELECT count(*) FROM generate_series(1, (SELECT wage::integer FROM veil_people WHERE id = 1))",
    "SELECT 1 FROM generate_series(1, (SELECT ascii(mail) FROM veil_people WHERE id = 1))",
    "SELECT count(*) FROM veil_people p, generate_series(1, ascii(p.mail)) WHERE p.id = 1",
    "SELECT generate_series(1, length(mail)) FROM veil_people WHERE id = 1",
    "SELECT regexp_split_to_table(mail, '') FROM veil_people WHERE id = 1",
    "SELECT 1 FROM veil_many LIMIT (SELECT ascii(mail) FROM veil_people WHERE id = 1)",
    "SELECT id FROM veil_many ORDER BY id OFFSET (SELECT wage::integer FROM veil_people WHERE id = 1) LIMIT 1",
    "SELECT id FROM veil_many WHERE id = (SELECT wage::integer FROM veil_people WHERE id = 1)",
    "SELECT m.id FROM veil_many m JOIN veil_people p ON p.id = 1 AND m.id = p.wage::integer",
    "SELECT m.id FROM veil_many m, veil_people p WHERE p.id = 1 AND m.id BETWEEN p.wage - 1 AND p.wage",
    "SELECT g.guess FROM veil_guesses g JOIN veil_people p ON p.mail = g.mail",
    "SELECT g.guess FROM veil_guesses g WHERE g.mail IN (SELECT mail FROM veil_people)",
    "SELECT g.guess FROM veil_guesses g WHERE EXISTS (SELECT 1 FROM veil_people p WHERE p.mail = g.mail)",
    "SELECT g.guess FROM veil_guesses g JOIN veil_people p USING (mail)",
    "SELECT g.guess FROM veil_guesses g NATURAL JOIN veil_people p",
    "SELECT g.n, g.c FROM veil_people p, (SELECT n, chr(m) AS c FROM generate_series(1, 9) AS n, generate_series(32, 126) AS m) g
        WHERE p.id = 1 AND substr(p.mail, g.n, 1) = g.c",
    "SELECT m.id FROM veil_many m WHERE m.id IN (SELECT ascii(mail) FROM veil_people)",
    "SELECT m.id FROM veil_many m, veil_view v WHERE v.id = 1 AND m.id = ascii(v.address)",
    "SELECT nick FROM veil_people WHERE mail = nick",
    "SELECT m.id FROM veil_many m GROUP BY m.id HAVING m.id = (SELECT max(wage)::integer FROM veil_people)",
    "SELECT note FROM veil_many m WHERE CASE WHEN m.id < (SELECT wage FROM veil_people WHERE id = 1) THEN true END",
    "UPDATE veil_free SET note = note WHERE id = (SELECT ascii(mail) FROM veil_people WHERE id = 1) RETURNING id",
    "DELETE FROM veil_free f USING veil_people p WHERE f.id = 9000 + ascii(p.mail) RETURNING f.id",
    "SELECT m.id FROM veil_many m, (SELECT p.id AS who, p.row_to_json FROM veil_people p) s
        WHERE s.who = 1 AND m.id = ascii(substr(row_to_json::text, 9, 1))",
    "WITH s AS (SELECT p.to_json FROM veil_people p) SELECT m.id FROM veil_many m, s
        WHERE m.id = ascii(substr(to_json::text, 9, 1))",
    "SELECT m.id FROM veil_many m, (SELECT p.id AS who, (VALUES (ascii(p.mail) - m.id)) FROM veil_people p, veil_many m) s
        WHERE m.id = s.who AND column1 = 0",
    "SELECT m.id FROM veil_many m, pg_stats s WHERE s.tablename = 'veil_people' AND m.id = ascii(s.histogram_bounds::text)",
    "SELECT ascii(mail) FROM veil_people, veil_many INTERSECT ALL SELECT id FROM veil_many",
];

/// A target that fails over a value has given the rows before it.
#[test]
fn where_a_computation_fails_does_not_show() {
    let mut session = VEIL.session();
    let fails = "SELECT m.id, 1 / (m.id - p.wage::integer) FROM veil_many m, veil_people p WHERE p.id = 1";
    for answer in [session.query(fails), extended(&mut session, fails, &[], &[])] {
        assert_eq!((answer.rows.len(), answer.errors.len()), (0, 1), "{answer:?}");
    }
    let works = "SELECT m.id, 1 / (m.id + 1 + length(p.mail)) FROM veil_many m, veil_people p WHERE p.id = 1";
    let many = VEIL.stack.owner("SELECT count(*) FROM veil_many");
    for answer in [session.query(works), extended(&mut session, works, &[], &[])] {
        assert_eq!(answer.rows.len().to_string(), many, "the control: nothing is lost where nothing fails");
    }
}

#[test]
fn what_would_tell_a_value_by_its_rows_is_refused() {
    let mut session = VEIL.session();
    let mut answered = Vec::new();
    for sql in TELLING {
        for answer in [session.query(sql), extended(&mut session, sql, &[], &[])] {
            if answer.errors.len() != 1 || answer.refused() != says("42501", "denied", "unmaskable") {
                answered.push(format!("{sql}: {} rows, {:?}", answer.rows.len(), answer.errors));
            }
        }
    }
    assert!(answered.is_empty(), "{answered:#?}");
}
