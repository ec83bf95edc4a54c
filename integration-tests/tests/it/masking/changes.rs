//! What was not tagged when a session began, and what is called otherwise than when it was tagged.

use serde_json::json;

use super::{MARK, SOON, VEIL, has_nothing_of_it, row, tag};
use crate::{
    stack::{shared, wait_until},
    wire::{Answer, Wire},
};

#[test]
fn a_tag_counts_in_open_sessions_from_the_next_operation_on() {
    let mut session = VEIL.session();
    assert!(session.query("PREPARE by_sql AS SELECT mail FROM veil_late WHERE id = 1").errors.is_empty());
    session.put(&[
        json!(["parse", "by_name", "SELECT mail FROM veil_late WHERE id = $1::int"]),
        json!(["describe", "S", "by_name"]),
        json!(["bind", "", "by_name", ["1"]]),
        json!(["execute", "", 0]),
        json!(["sync"]),
    ]);
    let plain = Some("Quokkalate1".to_owned());
    assert_eq!(session.finish().rows, [[plain.clone()]]);
    assert_eq!(session.value("EXECUTE by_sql"), plain);
    let mut transaction = VEIL.session();
    transaction.query("BEGIN");
    assert_eq!(transaction.value("SELECT mail FROM veil_late WHERE id = 1"), plain);
    tag_late("late", "veil_late");
    let masked = Some("[late]".to_owned());
    assert_eq!(session.value("EXECUTE by_sql"), masked);
    session.put(&[json!(["bind", "", "by_name", ["1"]]), json!(["execute", "", 0]), json!(["sync"])]);
    assert_eq!(session.finish().rows, [[masked.clone()]]);
    assert_eq!(session.value("SELECT mail FROM veil_late WHERE id = 1"), masked);
    assert_eq!(transaction.value("SELECT mail FROM veil_late WHERE id = 1"), masked);
}

#[test]
fn a_tag_counts_for_what_is_still_to_come_of_a_portal() {
    let mut session = VEIL.session();
    session.query("BEGIN");
    session.put(&[
        json!(["parse", "", "SELECT id, mail, nick FROM veil_later ORDER BY id"]),
        json!(["bind", "portal", "", []]),
        json!(["execute", "portal", 2]),
        json!(["sync"]),
    ]);
    assert_eq!(row(&session.finish().rows[1]), "2 | Quokkalate2 | late2");
    tag_late("later", "veil_later");
    session.put(&[json!(["execute", "portal", 0]), json!(["sync"])]);
    let rest: Vec<String> = session.finish().rows.iter().map(|cells| row(cells)).collect();
    has_nothing_of_it("the rest of a portal", &format!("{rest:?}"));
}

/// Tags the addresses of a relation, and waits until the edge has heard of it.
fn tag_late(class: &str, relation: &str) {
    tag("veil", class, [format!("{relation}.mail")]);
    wait_until("the tag to act", SOON, || {
        let seen = VEIL.session().query(&format!("SELECT mail FROM {relation} LIMIT 1"));
        (row(&seen.rows[0]) == format!("[{class}]")).then_some(())
    });
}

#[test]
fn a_renamed_column_is_masked_with_its_whole_relation() {
    let mut session = VEIL.session();
    session.put(&[json!(["parse", "s", "SELECT nick FROM veil_renamed"]), json!(["sync"])]);
    assert!(session.finish().errors.is_empty());
    let whole = "SELECT * FROM veil_renamed";
    assert_eq!(row(&session.query(whole).rows[0]), "1 | [contact] | ada");
    for change in [
        "ALTER TABLE veil_renamed RENAME mail TO post",
        "ALTER TABLE veil_renamed ADD COLUMN more text DEFAULT 'Quokka'",
        "ALTER TABLE veil_renamed DROP COLUMN more",
    ] {
        shared().owner(change);
        for sql in [
            whole,
            "SELECT post FROM veil_renamed",
            "SELECT id, nick FROM veil_renamed",
            "SELECT * FROM veil_view_of_renamed",
            "SELECT address FROM veil_view_of_renamed",
        ] {
            let answer = session.query(sql);
            assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
            let masked = answer.rows.concat().into_iter().flatten().all(|cell| cell == "[contact]");
            assert!(masked && answer.rows.len() == 1, "after {change}: {sql}: {answer:?}");
        }
        session.put(&[json!(["bind", "", "s", []]), json!(["execute", "", 0]), json!(["sync"])]);
        assert_eq!(session.finish().rows, [[Some("[contact]".to_owned())]], "prepared before {change}");
        let copy = session.query("INSERT INTO veil_free SELECT 5000, post FROM veil_renamed");
        assert_eq!(copy.refused().2, "unmaskable", "after {change}");
    }
    shared().owner("ALTER TABLE veil_renamed RENAME post TO mail");
    assert_eq!(row(&session.query(whole).rows[0]), "1 | [contact] | ada", "it is called as it was again");
}

/// The column that a prepared statement was described with is not the one that its name means now.
#[test]
fn a_column_that_is_replaced_under_its_name_is_masked() {
    let mut session = VEIL.session();
    session.put(&[
        json!(["parse", "s", "SELECT mail, nick FROM veil_replaced"]),
        json!(["describe", "S", "s"]),
        json!(["bind", "", "s", []]),
        json!(["execute", "", 0]),
        json!(["sync"]),
    ]);
    assert_eq!(row(&session.finish().rows[0]), "[contact] | ada");
    assert!(session.query("PREPARE p AS SELECT mail FROM veil_replaced").errors.is_empty());
    for change in [
        "ALTER TABLE veil_replaced DROP COLUMN mail, ADD COLUMN mail text DEFAULT 'Quokkareplaced'",
        "ALTER TABLE veil_replaced DROP COLUMN nick,
             ADD COLUMN nick text GENERATED ALWAYS AS (upper(mail)) STORED",
    ] {
        shared().owner(change);
        assert_eq!(session.value("EXECUTE p").as_deref(), Some("[contact]"), "after {change}");
        session.put(&[json!(["bind", "", "s", []]), json!(["execute", "", 0]), json!(["sync"])]);
        has_nothing_of_it(change, &format!("{:?}", session.finish()));
    }
}

#[test]
fn a_tag_holds_for_what_comes_to_be_under_its_name() {
    let mut session = VEIL.session();
    tag("veil", "coming", ["veil_coming.mail".to_owned(), "veil_turned.mail".to_owned()]);
    shared().owner(
        "CREATE TABLE veil_coming (id integer, mail text) PARTITION BY LIST (id);
         CREATE TABLE veil_coming_first PARTITION OF veil_coming FOR VALUES IN (1);
         INSERT INTO veil_coming VALUES (1, 'Quokkacoming');
         CREATE TABLE veil_turned AS SELECT 1 AS id, 'Quokkaturned'::text AS mail;
         GRANT SELECT ON veil_coming, veil_coming_first, veil_turned TO veil_standing",
    );
    let seen = |session: &mut Wire, relation: &str| {
        let sql = format!("SELECT mail FROM {relation}");
        let Answer { rows, errors, .. } = session.query(&sql);
        assert!(errors.is_empty(), "{sql}: {errors:?}");
        format!("{rows:?}")
    };
    wait_until("the tags to act", SOON, || {
        (!seen(&mut VEIL.session(), "veil_coming").contains(MARK)).then_some(())
    });
    for relation in ["veil_coming", "veil_coming_first", "veil_turned"] {
        has_nothing_of_it(relation, &seen(&mut session, relation));
    }
    shared().owner(
        "CREATE TABLE veil_coming_second (mail text, id integer);
         INSERT INTO veil_coming_second VALUES ('Quokkasecond', 2);
         ALTER TABLE veil_coming ATTACH PARTITION veil_coming_second FOR VALUES IN (2);
         DROP TABLE veil_turned;
         CREATE VIEW veil_turned AS SELECT 1 AS id, upper('Quokkaturned') AS mail;
         GRANT SELECT ON veil_coming_second, veil_turned TO veil_standing",
    );
    for relation in ["veil_coming", "veil_coming_second", "veil_turned"] {
        has_nothing_of_it(relation, &seen(&mut session, relation));
    }
}
