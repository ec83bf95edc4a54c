use countersign_model::ObjectClass;

use super::*;
use crate::{Limits, Sight, TouchedObject, analyse};

fn row(kind: Kind, place: usize, texts: [&str; 4]) -> ResolvedName {
    let [schema, name, first, second] = texts.map(str::to_owned);
    ResolvedName { kind, place, schema, name, first, second }
}

/// Asks the inquiry of a text.
fn of<T>(sql: &str, ask: impl FnOnce(&Inquiry<'_>) -> T) -> T {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap();
    ask(&Inquiry::of(&analysis, &"shop".into(), Sight::Clear).unwrap())
}

fn admits(sql: &str, rows: &[ResolvedName]) -> bool {
    of(sql, |inquiry| inquiry.admits(rows).is_ok())
}

fn admits_one(sql: &str, kind: Kind, texts: [&str; 4]) -> bool {
    admits(sql, &[row(kind, 0, texts)])
}

/// Whether the row is admitted, and no longer once anything about it is changed.
fn admits_no_other(sql: &str, kind: Kind, texts: [&str; 4], others: &[[&str; 4]]) {
    assert!(admits_one(sql, kind, texts), "{sql}: {texts:?}");
    assert!(!admits(sql, &[row(kind, 1, texts)]), "{sql}: there is no second name");
    assert!(!admits(sql, &[row(kind, usize::MAX, texts)]), "{sql}: nor one at the end of the world");
    for other in others {
        assert!(!admits_one(sql, kind, *other), "{sql}: {other:?}");
    }
    for at in 0..4 {
        let long = "x".repeat(64);
        for bad in ["a\0b", &long] {
            let mut changed = texts;
            changed[at] = bad;
            assert!(!admits_one(sql, kind, changed), "{sql}: {changed:?}");
        }
    }
}

#[test]
fn a_relation_is_the_one_that_is_named() {
    use Kind::Relation;
    admits_no_other(
        "select from orders",
        Relation,
        ["sales", "orders", "r", ""],
        &[
            ["sales", "Orders", "r", ""],
            ["sales", "order", "r", ""],
            ["sales", "orders ", "r", ""],
            ["sales", "", "r", ""],
            ["", "orders", "r", ""],
            ["sales", "orders", "r", "x"],
            ["pg_catalog", "orders", "r", ""],
        ],
    );
    admits_no_other(
        "select from sales.orders",
        Relation,
        ["sales", "orders", "r", ""],
        &[["public", "orders", "r", ""], ["sales", "ORDERS", "r", ""], ["pg_catalog", "orders", "r", ""]],
    );
    assert!(admits_one("select from pg_class", Relation, ["pg_catalog", "pg_class", "r", ""]));
    assert!(admits_one("select from pg_catalog.odd", Relation, ["pg_catalog", "odd", "v", ""]), "as written");
    let twice = ["sales", "public"].map(|schema| row(Relation, 0, [schema, "orders", "r", ""]));
    assert!(!admits("select from orders", &twice), "one name, one relation");
    let both = [row(Relation, 0, ["public", "a", "r", ""]), row(Relation, 1, ["public", "b", "r", ""])];
    assert!(admits("select from a, b", &both));
    let swapped = [row(Relation, 1, ["public", "a", "r", ""]), row(Relation, 0, ["public", "b", "r", ""])];
    assert!(!admits("select from a, b", &swapped));
    assert!(!admits_one("select from elsewhere.public.orders", Relation, ["public", "orders", "r", ""]));
    assert!(!admits_one("select 1", Relation, ["public", "orders", "r", ""]), "nothing is named");
}

#[test]
fn columns_belong_to_the_relation_and_are_not_left_out() {
    const INSERT: &str = "insert into orders values (1)";
    let relation = row(Kind::Relation, 0, ["public", "orders", "r", ""]);
    let with = |columns: &[[&str; 4]]| {
        let columns = columns.iter().map(|texts| row(Kind::Column, 0, *texts));
        [relation.clone()].into_iter().chain(columns).collect::<Vec<_>>()
    };
    let id = ["public", "orders", "id", ""];
    assert!(admits(INSERT, &with(&[id, ["public", "orders", "total", ""]])));
    assert!(!admits(INSERT, &with(&[])), "it has at least one");
    for other in [
        ["public", "orders", "", ""],
        ["public", "orders", "total", "x"],
        ["public", "order", "total", ""],
        ["sales", "orders", "total", ""],
        ["", "orders", "total", ""],
    ] {
        assert!(!admits(INSERT, &with(&[id, other])), "{other:?}");
    }
    assert!(!admits(INSERT, &[row(Kind::Column, 0, id)]), "of a relation that was not found");
    assert!(!admits("insert into orders (id) values (1)", &with(&[id])), "the text names them");
    assert!(!admits("select from orders", &with(&[id])), "none is written");
    let second = [row(Kind::Relation, 1, ["public", "orders", "r", ""]), row(Kind::Column, 0, id)];
    assert!(!admits(INSERT, &second));
}

#[test]
fn a_function_is_the_one_that_is_named() {
    admits_no_other(
        "select f()",
        Kind::Function,
        ["public", "f", "", ""],
        &[
            ["public", "g", "", ""],
            ["public", "f", "public", ""],
            ["public", "f", "", "x"],
            ["", "f", "", ""],
        ],
    );
    admits_no_other("select hr.f()", Kind::Function, ["hr", "f", "", ""], &[["public", "f", "", ""]]);
    let both = ["pg_catalog", "public"].map(|schema| row(Kind::Function, 0, [schema, "lower", "", ""]));
    assert!(admits("select lower('A')", &both), "all meanings of a name count");
    assert!(!admits_one("select extract(day from now())", Kind::Function, ["public", "extract", "", ""]));
}

#[test]
fn an_operator_is_the_one_that_is_named() {
    admits_no_other(
        "select 1 + 1",
        Kind::Operator,
        ["public", "+", "public", "plus"],
        &[
            ["public", "-", "public", "plus"],
            ["public", "+", "", ""],
            ["public", "+", "public", ""],
            ["public", "+", "", "plus"],
            ["pg_catalog", "+", "public", "plus"],
            ["pg_catalog", "+", "", "plus"],
        ],
    );
    admits_no_other(
        "select 1 operator(hr.+) 1",
        Kind::Operator,
        ["hr", "+", "public", "plus"],
        &[["public", "+", "public", "plus"], ["pg_catalog", "+", "", ""]],
    );
    assert!(admits_one("select 1 + 1", Kind::Operator, ["pg_catalog", "+", "", ""]));
}

#[test]
fn a_type_is_the_one_that_is_named_or_its_element() {
    admits_no_other(
        "select 'x'::mood",
        Kind::Type,
        ["public", "mood", "pg_catalog", "enum_in"],
        &[
            ["public", "moods", "pg_catalog", "enum_in"],
            ["public", "_mood", "pg_catalog", "enum_in"],
            ["public", "int4", "pg_catalog", "int4in"],
            ["public", "mood", "pg_catalog", ""],
            ["public", "mood", "", "enum_in"],
            ["pg_catalog", "mood", "public", "mood_in"],
        ],
    );
    admits_no_other(
        "select null::hr.payroll",
        Kind::Type,
        ["hr", "payroll", "", ""],
        &[["pg_catalog", "int4", "pg_catalog", "int4in"], ["public", "payroll", "", ""]],
    );
    assert!(admits_one("select null::_mood", Kind::Type, ["public", "mood", "pg_catalog", "enum_in"]));
    assert!(admits_one("select null::___mood", Kind::Type, ["public", "mood", "pg_catalog", "enum_in"]));
    assert!(!admits_one("select null::my_mood", Kind::Type, ["public", "mood", "pg_catalog", "enum_in"]));
    assert!(!admits_one("select null::hr._payroll", Kind::Type, ["public", "payroll", "", ""]));
    assert!(admits_one("select '1'::int2vector", Kind::Type, ["pg_catalog", "int2", "pg_catalog", "int2in"]));
    assert!(!admits_one("select '1'::int2vector", Kind::Type, ["public", "int2", "pg_catalog", "int2in"]));
    let twice = row(Kind::Type, 0, ["public", "mood", "pg_catalog", "enum_in"]);
    assert!(!admits("select 'x'::mood", &[twice.clone(), twice]), "one name, one type");
}

#[test]
fn a_built_in_type_is_read_by_the_function_that_is_its_own() {
    let regclass = |first, second| {
        admits_one("select 'x'::regclass", Kind::Type, ["pg_catalog", "regclass", first, second])
    };
    assert!(regclass("pg_catalog", "regclassin"));
    assert!(!regclass("pg_catalog", "int4in"), "it looks names up");
    assert!(!regclass("pg_catalog", "regrolein"));
    assert!(!regclass("public", "regclassin"));
    assert!(!regclass("", ""), "it is no row");
    let array = |second| {
        admits_one("select 'x'::_regclass", Kind::Type, ["pg_catalog", "regclass", "pg_catalog", second])
    };
    assert!(array("regclassin") && !array("int4in"));
    assert!(admits_one("select 1::int", Kind::Type, ["pg_catalog", "int4", "pg_catalog", "int4in"]));
    assert!(!admits_one("select 1::int", Kind::Type, ["pg_catalog", "int4", "public", "int4in"]));
    assert!(
        !admits_one("select 1::int", Kind::Type, ["public", "int4", "pg_catalog", "int4in"]),
        "int is its own"
    );
    assert!(admits_one("select null::pg_class", Kind::Type, ["pg_catalog", "pg_class", "", ""]));
}

#[test]
fn an_attribute_is_a_function_of_its_name_or_a_cast() {
    admits_no_other(
        "select o.audit from (select) as o",
        Kind::Attribute,
        ["public", "audit", "", ""],
        &[["public", "other", "", ""], ["public", "audit", "public", ""], ["public", "audit", "", "audit"]],
    );
    let cast = |texts| admits_one("select ('a').positive", Kind::Attribute, texts);
    assert!(cast(["pg_catalog", "int4", "pg_catalog", "int4in"]), "what a domain rests on");
    assert!(!cast(["pg_catalog", "regrole", "pg_catalog", "int4in"]));
    assert!(!cast(["pg_catalog", "int4", "public", "evil"]));
}

#[test]
fn what_is_not_qualified_is_found_on_the_path() {
    let path = ["pg_catalog", "ada", "public"].map(String::from);
    let on_path = |sql: &str, kind, texts| {
        assert!(admits_one(sql, kind, texts), "{sql}: {texts:?} is refused without a path");
        of(sql, |inquiry| inquiry.admits_on_path(&path, &[row(kind, 0, texts)]).is_ok())
    };
    for (sql, kind, texts) in [
        ("select from orders", Kind::Relation, ["?", "orders", "r", ""]),
        ("select f()", Kind::Function, ["?", "f", "", ""]),
        ("select 1 + 1", Kind::Operator, ["?", "+", "public", "plus"]),
        ("select 'x'::mood", Kind::Type, ["?", "mood", "pg_catalog", "enum_in"]),
        ("select o.audit from (select) as o", Kind::Attribute, ["?", "audit", "", ""]),
    ] {
        let [_, name, first, second] = texts;
        for (schema, found) in [("public", true), ("ada", true), ("scratch", false), ("Public", false)] {
            assert_eq!(on_path(sql, kind, [schema, name, first, second]), found, "{sql}: {schema}");
        }
    }
    assert!(
        on_path("select from hr.orders", Kind::Relation, ["hr", "orders", "r", ""]),
        "the text says where"
    );
    let cast = ["hr", "base", "hr", "base_in"];
    assert!(on_path("select ('a').positive", Kind::Attribute, cast), "a domain rests on any type");
    let columns = [
        row(Kind::Relation, 0, ["scratch", "orders", "r", ""]),
        row(Kind::Column, 0, ["scratch", "orders", "id", ""]),
    ];
    of("insert into orders values (1)", |inquiry| {
        assert_eq!(inquiry.admits(&columns), Ok(()));
        assert_eq!(inquiry.admits_on_path(&path, &columns), Err(Misnamed));
    });
}

#[test]
fn there_are_not_more_rows_than_a_catalog_has() {
    let overloads = |count| vec![row(Kind::Function, 0, ["public", "f", "", ""]); count];
    assert!(admits("select f()", &overloads(MAX_ROWS_PER_NAME)));
    assert!(!admits("select f()", &overloads(MAX_ROWS_PER_NAME + 1)));
    assert!(admits("select 1", &[]));
    let many: Vec<_> = (0..MAX_ROWS / MAX_ROWS_PER_NAME + 1).map(|n| format!("f{n}()")).collect();
    let sql = format!("select {}, f()", many.join(","));
    assert!(admits(&sql, &overloads(MAX_ROWS)));
    assert!(!admits(&sql, &overloads(MAX_ROWS + 1)));
}

#[test]
fn a_name_without_a_row_is_for_the_facts_to_refuse() {
    assert!(admits("select f() from orders", &[]));
    let refused = of("select f() from orders", |inquiry| inquiry.facts(&[]).unwrap_err().reason);
    assert_eq!(refused, countersign_model::Reason::Unresolved);
}

/// What remains, as the documentation of `admits` lists it.
#[test]
fn what_only_the_catalog_knows_is_believed() {
    let facts = |sql: &str, rows: &[ResolvedName]| {
        of(sql, |inquiry| {
            assert_eq!(inquiry.admits(rows), Ok(()), "{sql}");
            let facts = inquiry.facts(rows).unwrap();
            facts.iter().map(|fact| fact.action.as_str()).collect::<Vec<_>>()
        })
    };
    let built_in = |kind, name| row(kind, 0, ["pg_catalog", name, "", ""]);
    let evaluates = ["postgres:evaluate"];
    assert_eq!(
        facts("select lower('A')", &[built_in(Kind::Function, "lower")]),
        evaluates,
        "no public.lower"
    );
    assert_eq!(facts("select 1 + 1", &[built_in(Kind::Operator, "+")]), evaluates, "no public.+");
    let enumeration = row(Kind::Type, 0, ["hr", "payroll", "pg_catalog", "enum_in"]);
    assert_eq!(facts("select null::hr.payroll", &[enumeration]), evaluates, "no row type");
    assert_eq!(facts("select (select).audit", &[]), evaluates, "a column");
    let orders = row(Kind::Relation, 0, ["public", "orders", "r", ""]);
    let id = row(Kind::Column, 0, ["public", "orders", "id", ""]);
    let inserts = ["postgres:insert", "postgres:insert"];
    assert_eq!(facts("insert into orders values (1, 2)", &[orders, id]), inserts, "one column");
    let unread = ["unparsed", "postgres:evaluate"];
    assert_eq!(facts("truncate a; select from b", &[]), unread, "what is not understood may make b");
}

#[test]
fn objects_are_relations_and_functions_that_are_not_built_in() {
    let rows = [
        row(Kind::Relation, 0, ["public", "orders", "r", ""]),
        row(Kind::Relation, 1, ["pg_catalog", "pg_class", "r", ""]),
        row(Kind::Column, 0, ["public", "orders", "id", ""]),
        row(Kind::Function, 0, ["public", "f", "", ""]),
        row(Kind::Function, 0, ["public", "f", "", ""]),
        row(Kind::Function, 0, ["pg_catalog", "lower", "", ""]),
        row(Kind::Attribute, 0, ["public", "audit", "", ""]),
        row(Kind::Attribute, 0, ["pg_catalog", "name", "", ""]),
        row(Kind::Attribute, 0, ["public", "ltree", "public", "ltree_in"]),
        row(Kind::Operator, 0, ["public", "+", "ops", "plus"]),
        row(Kind::Operator, 1, ["pg_catalog", "=", "", ""]),
        row(Kind::Type, 0, ["hr", "payroll", "", ""]),
        row(Kind::Type, 1, ["public", "citext", "public", "citextin"]),
        row(Kind::Type, 2, ["pg_catalog", "int4", "pg_catalog", "int4in"]),
    ];
    let expected = [
        (ObjectClass::Relation, "hr", "payroll"),
        (ObjectClass::Relation, "pg_catalog", "pg_class"),
        (ObjectClass::Relation, "public", "orders"),
        (ObjectClass::Function, "ops", "plus"),
        (ObjectClass::Function, "public", "audit"),
        (ObjectClass::Function, "public", "citextin"),
        (ObjectClass::Function, "public", "f"),
        (ObjectClass::Function, "public", "ltree_in"),
    ]
    .map(|(class, schema, name)| TouchedObject { class, schema: schema.into(), name: name.into() });
    assert_eq!(of("select 1", |inquiry| inquiry.objects(&rows)), expected);
}
