//! Whatever shows a tagged column from somewhere else: views, partitions, heirs, statistics, plans.

use super::{Road, travel, travel_by_wire};

#[test]
fn a_tagged_column_is_masked_through_views_of_any_depth() {
    travel(
        "writer",
        &[
            ("SELECT * FROM veil_view WHERE id = 1", 1, "1 | [contact] | ada"),
            ("SELECT * FROM veil_above WHERE number = 1", 1, "1 | [contact] | ada"),
            ("SELECT nick FROM veil_above", 3, "[contact]"),
            ("SELECT word FROM veil_union", 6, "[masked]"),
            ("SELECT * FROM veil_computed WHERE team = 1", 1, "1 | [masked] | ∅"),
            ("SELECT address, nick FROM veil_deep_20 WHERE id = 1", 1, "[contact] | ada"),
            ("SELECT address FROM veil_deep_40 WHERE id = 1", 1, "[masked]"),
            ("SELECT * FROM veil_joined WHERE id = 1", 1, "1 | red | [contact]"),
            ("SELECT word FROM veil_recursive", 3, "[masked]"),
            ("SELECT * FROM veil_stored WHERE id = 1", 1, "1 | [contact] | ada | [masked]"),
            ("SELECT * FROM veil_over_stored WHERE id = 1", 1, "1 | [contact] | ada | [masked]"),
            ("SELECT upper(address) FROM veil_view", 3, "[masked]"),
            ("SELECT count(*) FROM veil_over_stored", 1, "3"),
            ("SELECT id, nick FROM veil_nicks WHERE id = 1", 1, "1 | ada"),
        ],
    );
    travel_by_wire("writer", &[("SELECT person FROM veil_whole", 3, "∅")]);
}

#[test]
fn a_tag_of_a_view_holds_for_that_view_and_for_what_shows_it() {
    travel_by_wire(
        "writer",
        &[
            ("SELECT * FROM veil_shown WHERE id = 1", 1, "1 | [contact]"),
            ("SELECT * FROM veil_shown_again WHERE id = 1", 1, "1 | [contact]"),
            ("SELECT upper(word) FROM veil_shown_again", 2, "[contact]"),
            ("SELECT * FROM veil_teams WHERE id = 1", 1, "1 | red"),
        ],
    );
}

#[test]
fn a_tag_holds_for_the_whole_tree_of_partitions_and_heirs() {
    travel(
        "writer",
        &[
            ("SELECT mail FROM veil_parted", 2, "[contact]"),
            ("SELECT * FROM veil_parted_north", 1, "1 | north | [contact]"),
            ("SELECT * FROM veil_parted_south", 1, "[contact] | 2 | south"),
            ("SELECT max(mail) FROM veil_parted_south", 1, "[contact]"),
            ("SELECT mail FROM veil_split", 2, "[contact]"),
            ("SELECT mail FROM veil_split_north", 1, "[contact]"),
            ("SELECT mail FROM veil_split_south", 1, "[contact]"),
            ("SELECT mail FROM veil_base", 2, "[contact]"),
            ("SELECT mail FROM ONLY veil_base", 1, "[contact]"),
            ("SELECT * FROM veil_heir", 1, "2 | [contact] | extra"),
        ],
    );
}

#[test]
fn a_tag_of_what_an_heir_alone_has_holds_for_that() {
    travel_by_wire(
        "writer",
        &[
            ("SELECT * FROM veil_branch", 1, "1 | oak | [contact]"),
            ("SELECT * FROM veil_trunk", 1, "1 | oak"),
        ],
    );
}

#[test]
fn names_that_have_to_be_quoted_are_those_of_their_tags() {
    let road = "SELECT id, \"E-Mail ü, \"\"%\"\"\" FROM \"veil Odd/\"\"%'\"";
    travel_by_wire("writer", &[(road, 1, "1 | [contact]")]);
}

#[test]
fn columns_that_are_generated_from_it_are_masked() {
    travel_by_wire(
        "writer",
        &[
            ("SELECT place FROM veil_people", 3, "[contact]"),
            ("SELECT x.p FROM (SELECT place AS p FROM veil_people) x", 3, "[contact]"),
            ("SELECT place || '' FROM veil_people", 3, "[masked]"),
        ],
    );
}

#[test]
fn what_a_write_returns_is_masked() {
    let roads: &[Road] = &[
        (
            "UPDATE veil_people SET nick = nick WHERE id = 1 RETURNING mail, wage, nick",
            1,
            "[contact] | ∅ | ada",
        ),
        ("UPDATE veil_people SET nick = nick WHERE id = 1 RETURNING upper(mail), *", 1, UPDATED),
        (
            "WITH u AS (UPDATE veil_people SET nick = 'ada' WHERE id = 1 RETURNING mail, nick) SELECT * FROM u",
            1,
            "[contact] | ada",
        ),
        (
            "UPDATE veil_free f SET note = note FROM veil_people p WHERE p.id = 1 AND f.id = 1 RETURNING p.mail, p.nick, note",
            1,
            "[contact] | ada | there",
        ),
        ("UPDATE veil_view SET nick = 'ada' WHERE id = 1 RETURNING address, nick", 1, "[contact] | ada"),
        ("BEGIN", 0, ""),
        (
            "INSERT INTO veil_people (id, mail, team) VALUES (10, 'Quokkanew', 1) RETURNING id, mail, place",
            1,
            "10 | [contact] | [contact]",
        ),
        (
            "INSERT INTO veil_people (id, team) VALUES (10, 1) ON CONFLICT (id) DO UPDATE SET nick = 'new'
             RETURNING mail, nick",
            1,
            "[contact] | new",
        ),
        (
            "INSERT INTO veil_free VALUES (10, 'new') RETURNING (SELECT max(mail) FROM veil_people), note",
            1,
            "[masked] | new",
        ),
        (
            "UPDATE veil_people SET mail = 'Quokkaother' WHERE id = 10 RETURNING mail, wage, nick",
            1,
            "[contact] | ∅ | new",
        ),
        (
            "WITH d AS (DELETE FROM veil_people WHERE id = 10 RETURNING *) SELECT lower(mail), mail, nick FROM d",
            1,
            "[masked] | [contact] | new",
        ),
        (
            "DELETE FROM veil_free f USING veil_people p WHERE f.id = 10 AND p.id = 1 RETURNING p.mail, f.note",
            1,
            "[contact] | new",
        ),
        ("ROLLBACK", 0, ""),
    ];
    travel("writer", roads);
}

const UPDATED: &str = "[masked] | 1 | [contact] | ada | ∅ | [contact] | 1";
