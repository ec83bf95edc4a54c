//! What decides which rows there are: statements that give values back by it, and statements that do not.

use crate::{Exposure, Limits, Moves, Output, Statement, analyse};
use std::collections::BTreeSet;

fn read(sql: &str) -> Statement {
    let analysis = analyse(sql.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e:?}: {sql}"));
    let [statement] = &analysis.statements[..] else { panic!("{sql}") };
    statement.clone()
}

/// These are tagged wherever they are.
const TAGGED: [&str; 2] = ["card", "email"];

/// The tagged names and those of what is made of them.
fn tagged(exposes: &Exposure) -> BTreeSet<&str> {
    let mut names = BTreeSet::from(TAGGED);
    loop {
        let is_new = |(name, sources): &&(String, Vec<String>)| {
            !names.contains(&**name) && sources.iter().any(|source| names.contains(&**source))
        };
        match exposes.derived.iter().find(is_new) {
            Some((name, _)) => names.insert(name),
            None => return names,
        };
    }
}

/// As an edge judges: by names alone.
fn is_refused(statement: &Statement) -> bool {
    let exposes = &statement.exposes;
    let tagged = tagged(exposes);
    let has =
        |columns: &[String]| columns.iter().any(|column| tagged.contains("") || tagged.contains(&**column));
    let moved = match &statement.moves {
        Moves::Nothing => false,
        Moves::Columns(columns) => has(columns),
        Moves::Anything => true,
    };
    moved || exposes.anything || has(&exposes.columns)
}

fn assert_refused(statements: &[&str]) {
    let passed: Vec<_> = statements.iter().filter(|sql| !is_refused(&read(sql))).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

fn assert_passed(statements: &[&str]) {
    for sql in statements {
        let statement = read(sql);
        assert!(!is_refused(&statement), "{sql}: {:?} {:?}", statement.exposes, statement.moves);
        assert_eq!(statement.unparsed, None, "{sql}");
    }
}

#[test]
fn values_do_not_multiply_rows() {
    assert_refused(&[
        "select count(*) from customers c, generate_series(1,length(email)) p, \
         generate_series(1, ascii(substr(email,p,1))) group by id,p order by id,p",
        "select generate_series(1, ascii(email)) from customers",
        "select 1 + generate_series(1, ascii(email)) from customers",
        "select unnest(string_to_array(email, NULL)) from customers",
        "select n from nums, lateral (select 1 from generate_series(1, ascii(email))) s, customers",
        "select 1 from customers c, lateral (select generate_series(1, ascii(c.card))) s",
        "select 1 from customers c, rows from (generate_series(1, ascii(c.card)), unnest($1)) s",
        "select 1 from customers c, lateral (values (c.email), (c.name)) v",
        "select (email_parts).unnest, regexp_matches(email, '.', 'g') from customers",
        "select 1 from customers c, lateral jsonb_each(to_jsonb(c)) j",
        "select id from t tablesample bernoulli ((select ascii(email) from customers))",
        "select 1 from nums limit (select ascii(email) from customers)",
        "select 1 from nums offset (select ascii(email) from customers)",
        "select exists (select generate_series(1, ascii(email)) from customers)",
        "delete from customers returning generate_series(1, ascii(email))",
    ]);
}

#[test]
fn values_do_not_choose_rows() {
    assert_refused(&[
        "select o1.id,o2.id from orders o1, orders o2, customers c \
         where c.id=1 and get_bit(c.email::bytea,(o1.id-1)*4+o2.id-1)=1",
        "select x.n from customers c, nums n, nums x where ascii(substr(c.email, n.n, 1)) = x.n",
        "select p.id from patterns p, customers c where c.email like p.pattern",
        "select p.id from words p, customers c where p.word = c.email",
        "select p.id from words p join customers c on p.word = c.email",
        "select p.id from words p join customers c on p.id > 1 or p.word = c.email",
        "select p.id from words p join customers using (email)",
        "select p.id from words p natural join customers",
        "select n from nums where n in (select ascii(card) from customers)",
        "select n from nums where n = any (select ascii(card) from customers)",
        "select n from nums where n = any (array(select ascii(card) from customers))",
        "select n from nums where n = (select ascii(card) from customers where id = 1)",
        "select n from nums where not (n < (select ascii(card) from customers where id = 1))",
        "select n from nums where (n, 1) in (select ascii(card), 1 from customers)",
        "select n from nums where exists (select 1 from customers where ascii(card) = n)",
        "select n from nums where exists (select 1 from customers group by id having max(ascii(card)) = n)",
        "select n from nums where exists (select n intersect select ascii(card) from customers)",
        "select n from nums, lateral (select n union select ascii(card) from customers) s",
        "select n from nums, customers c where case n when 1 then c.email like 'a%' else true end",
        "select n from nums, customers c where (n, c.email) in ((1, 'a'), (2, 'b'))",
        "select n from nums, lateral (select 1 from customers c where ascii(c.card) = n) s",
        "select n from nums n, (select ascii(card) as a from customers) s where s.a = n.n",
        "with s as (select ascii(card) as a from customers) select n from nums, s where a = n",
        "with s as (select ascii(card) as a from customers), u as (select a as b from s) \
         select n from nums, u where b = n",
        "with s (a) as (select ascii(card) from customers) select n from nums, s where a = n",
        "select n from nums, (select ascii(card) from customers) s where s.ascii = n",
        "select n from nums, (select ascii(card) from customers) s (a) where a = n",
        "select n from nums, customers as c (a, b, d) where a = n",
        "select n from nums, (select email from customers) s (a) where a like 'x%'",
        "select n from nums, (select 'x' as a union all select email from customers) s where a = n",
        "select n from nums, (select * from words union all select * from customers) s where word = n",
        "select n from nums, customers c where (c).email = n",
        "select n from nums, customers c where c::text like n",
        "select n from nums, customers c where to_jsonb(c)->>'email' = to_jsonb(c)->>'name'",
        "select n from nums, customers c where (c.*)::text = 'x'",
        "select n from nums where n = (select count(*) from customers c where ascii(c.email) > nums.id)",
        "select n from nums, customers group by n having bool_or(ascii(email) = n)",
        "select n.n from customers c, nums n, nums m where m.n <= n.n group by n.n having sum(ascii(email)) > 1000",
        "select n.n from customers c, nums n, nums m where m.n <= n.n group by n.n \
         having get_bit(max(c.email)::bytea, count(*)::int) = 1",
        "select n.n from customers c, nums n, nums m where m.n <= n.n group by n.n, email \
         having get_bit(email::bytea, count(email)::int) = 1",
        "select n from (select n.n, sum(ascii(email)) s from customers, nums n, nums m group by n.n) s where s > 9",
        "select n from nums, customers c where get_bit(c.email::bytea, \
         (extract(epoch from clock_timestamp() - now()) * 1000)::int) = 1",
    ]);
}

#[test]
fn values_do_not_sort_rows() {
    assert_refused(&[
        "select id from orders o order by (select ascii(substr(card,o.id)) from customers)",
        "select id from customers, orders order by substr(card, o.id)",
        "select substr(card, o.id) as s, o.id from customers, orders o order by s",
        "select substr(card, o.id), o.id from customers, orders o order by 1",
        "select substr(card, o.id), o.id from customers, orders o order by substr",
        "select substr(card, o.id) || '', o.id from customers, orders o order by \"?column?\"",
        "with s as (select count(card), id from customers group by id order by count) select id from s",
        "insert into sink select count(card) from customers group by id order by count",
        "select *, substr(card, o.id) from customers, orders o order by 8",
        "select distinct on (substr(card, o.id)) o.id from customers, orders o",
        "select count(*) from customers, nums group by substr(card, n)",
        "select substr(card, n) s, count(*) from customers, nums group by s",
        "select count(*) from customers, nums group by grouping sets ((substr(card, n)), (n))",
        "select rank() over (order by substr(card, n)), n from customers, nums",
        "select rank() over w, n from customers, nums window w as (partition by substr(card, n))",
        "select n from (select n, rank() over (order by card) r from customers, nums) s where r = 1",
        "select n from (select n, rank() over w r from customers, nums window w as (order by card)) s",
        "select count(*) from (select ascii(substr(email, p)) as e from customers, positions \
         union all select n from nums) s group by e order by e",
        "select count(*) from (select email as e from customers union all select word from words) s group by e",
        "select count(distinct e) from (select email as e from customers union all select word from words) s",
        "select distinct least(n, ascii(card) * 256) from customers, nums",
        "select count(*) from customers c group by c",
        "select id from customers c order by c using operator(evil.<)",
    ]);
}

#[test]
fn plain_tests_do_not_add_up_to_values() {
    let many = |piece: &dyn Fn(usize) -> String, by: &str| (0..9).map(piece).collect::<Vec<_>>().join(by);
    let bit = |n: usize| format!("get_bit(email::bytea, {n})");
    for sql in [
        format!(
            "select {} from customers",
            many(&|n| format!("count(*) filter (where {} = 1)", bit(n)), ", ")
        ),
        format!(
            "select o.id from orders o, customers where {}",
            many(&|n| format!("(o.id = {n} and {} = 1)", bit(n)), " or ")
        ),
        format!(
            "select o.id from orders o, customers where {}",
            many(&|n| format!("(o.id <> {n} or {} = 1)", bit(n)), " and ")
        ),
        format!(
            "select o.id {} from orders o {}",
            many(&|n| format!(", c{n}.id"), ""),
            many(&|n| format!("left join customers c{n} on c{n}.id = o.id and {} = 1", bit(n)), " ")
        ),
        format!(
            "select {} from (select {} from customers) s",
            many(&|n| format!("count(b{n})"), ", "),
            many(&|n| format!("nullif({}, 0) as b{n}", bit(n)), ", ")
        ),
        format!(
            "select count(*) from (select {} from customers) s group by grouping sets ({})",
            many(&|n| format!("{} as b{n}", bit(n)), ", "),
            many(&|n| format!("(b{n})"), ", ")
        ),
        format!(
            "select o.id from ({}) s, orders o where s.n = o.id and b = 1",
            many(&|n| format!("select {} as b, {n} as n from customers", bit(n)), " union all ")
        ),
        "with recursive r as (select email as e, 1 as i from customers union all \
         select substr(e, 2), i + 1 from r where i < 20) \
         select o.id from r, orders o where o.id = r.i and r.e like 'a%'"
            .to_owned(),
        "select n from (select n, ascii(email) - n as d from customers, nums) s where d = 0".to_owned(),
        "select n from (select n, ascii(email) - n from customers, nums) s where \"?column?\" = 0".to_owned(),
        "select count(d) from (select nullif(n < ascii(email), false) d from customers, nums) s".to_owned(),
        "select n from (select n, ascii(email) - n as d from customers, nums) s order by d".to_owned(),
    ] {
        assert!(is_refused(&read(&sql)), "{sql}");
    }
}

#[test]
fn what_is_written_is_not_chosen_by_values() {
    assert_refused(&[
        "insert into sink(n) select count(*) from customers c,nums where n<ascii(card) and c.id=1 returning n",
        "create table t2 as select p.n from nums p,customers c where p.n = ascii(c.card)",
        "select p.n into t2 from nums p,customers c where p.n = ascii(c.card)",
        "insert into sink select n from nums order by n limit 1 offset (select ascii(card) from customers)",
        "update sink set n=x.n from nums x,customers c where x.n=ascii(c.card)",
        "delete from sink using customers c where sink.n=ascii(c.card)",
        "merge into sink using customers c on sink.n = ascii(c.card) when matched then delete",
        "merge into sink using customers c on true when matched and sink.n = ascii(c.card) then delete",
        "insert into sink values (1) on conflict (n) do update set n = 2 where sink.n = ascii(excluded.card)",
        "insert into sink select sum(1) over w from customers c join nums on n<ascii(card) \
         window w as (order by card)",
        "insert into sink select rank() over w from customers window w as (order by card)",
        "insert into sink select rank() over (order by card) from customers",
        "insert into arrt(a[(select ascii(card) from customers where id=1)]) values(1)",
        "update arrt set a[(select ascii(card) from customers where id=1)] = 1",
        "with d as (delete from sink using customers c where sink.n = ascii(c.card) returning 1) select 1",
        "with d as (delete from customers returning id, ascii(card) as a) select n from nums, d where a = n",
        "explain analyze delete from sink using customers c where sink.n = ascii(c.card)",
        "prepare p as delete from sink using customers c where sink.n = ascii(c.card)",
    ]);
}

#[test]
fn what_is_handed_to_unknown_code_is_as_good_as_written() {
    for (sql, moved) in [
        ("select set_config('a.b', card, false) from customers", "card"),
        ("select pg_advisory_lock(ascii(card)) from customers", "card"),
        ("select pg_notify('x', card) from customers", "card"),
        ("select lo_from_bytea(0, card::bytea) from customers", "card"),
        ("select 1 from customers where f(lower(card), id)", "card id"),
        ("select my_sum(id order by card) filter (where name = 'x') from customers", "card id name"),
        ("select evil.lower(card) from customers", "card"),
        ("select id operator(evil.+) card from customers", "card id"),
        ("select id from customers order by card using operator(evil.<)", "card"),
        ("select id from customers where card operator(evil.=) any (select name from t)", "card name"),
        ("select (card).pg_notify from customers", "card"),
        ("select nextval(card) from customers", "card"),
        ("delete from t where f(a)", "a"),
        ("insert into sink select rank() over w from t window w as (partition by a order by b)", "a b"),
        ("insert into sink (a[b]) select 1", "b"),
    ] {
        let columns = moved.split(' ').map(str::to_owned).collect();
        assert_eq!(read(sql).moves, Moves::Columns(columns), "{sql}");
    }
    for sql in [
        "select setval('seq', (select ascii(card) from customers))",
        "select 1 from customers, f(card)",
        "select f(c) from customers c",
        "select f(c.*) from customers c",
        "select f(g(1))",
        "select f(a) from (select card as a from customers) s",
        "select evil.f(exists (select 1 from customers))",
        "insert into arrt(a[(select ascii(card) from customers where id=1)]) values(1)",
    ] {
        assert_eq!(read(sql).moves, Moves::Anything, "{sql}");
    }
    for sql in [
        "select nextval('s'), currval('s'), lastval(), f(), g(1, $1)",
        "select lower(card), (card).length from customers",
        "select pg_catalog.lower(card) operator(pg_catalog.||) 'x' from customers",
    ] {
        assert_eq!(read(sql).moves, Moves::Nothing, "{sql}");
    }
}

#[test]
fn names_that_postgresql_makes_up_hide_nothing() {
    let made = "(values (ascii(substr(card,p.n,1))-x.n))";
    let within = format!("(select c.id i, p.n p, x.n x, {made} from customers c, nums p, nums x) s");
    let mut statements = vec![
        format!("select i, p, x from {within} where column1=0"),
        format!("with s as {} select i, p, x from s where column1=0", within.trim_end_matches(" s")),
        format!("select n from nums where exists (select from {within} where column1=0)"),
        format!("select count(column1) from {within}"),
        format!("select count(distinct column1) from {within}"),
        format!("select count(*) filter (where column1 = 0) from {within}"),
        format!("select p from {within} order by s.column1"),
        format!("select p, x from {within} group by p, x, column1"),
        format!("select distinct on (column1) p from {within}"),
        format!("select distinct * from {within}"),
        format!("select p from {within} join nums on column1 = 0"),
        format!("select p from {within} join numbers using (column1)"),
        format!("select p from (select p, column1 as z from {within}) t where z = 0"),
        format!("select p from (select p, column1 + 1 as z from {within}) t where z = 0"),
        "select n from (select 1 n, (values (2)) union all select id, card from customers) s where column1 = 'x'"
            .to_owned(),
        "select n from (select n, (select * from (select ascii(card) - n as z) q) from customers, nums) s \
         where z = 0"
            .to_owned(),
        "select n, (select * from (select ascii(card) - n as z) q) from customers, nums order by z".to_owned(),
        "select n, case when n > 1 then ascii(card) else null::date end from customers, nums order by date"
            .to_owned(),
        "select n, case when n > 1 then substr(card, n) else current_user end from customers, nums \
         order by \"current_user\""
            .to_owned(),
        "select (jsonb_populate_record(null::customers, jsonb_build_object('id', substr(card, n)))).*, n \
         from customers, nums order by id"
            .to_owned(),
    ];
    for made in [
        "(values (ascii(substr(card,p.n,1))-p.n) limit 1)",
        "(select (values (ascii(substr(card,p.n,1))-p.n)))",
        "((values (ascii(substr(card,p.n,1))-p.n)))::int",
        "(select * from (values (ascii(substr(card,p.n,1))-p.n)) v)",
        "(with v as (values (ascii(substr(card,p.n,1))-p.n)) table v)",
    ] {
        for tail in ["order by column1", "order by column1 desc limit 1", "group by p.n, card, column1"] {
            statements.push(format!("select p.n, {made} from customers, nums p {tail}"));
        }
        statements.push(format!("select distinct on (column1) p.n, {made} from customers, nums p"));
        statements
            .push(format!("select n from (select p.n, {made} from customers, nums p) s where column1 = 0"));
    }
    assert_refused(&statements.iter().map(|sql| &**sql).collect::<Vec<_>>());
}

#[test]
fn rows_that_are_told_apart_do_not_count_values() {
    assert_refused(&[
        "select n from nums union select ascii(email) from customers",
        "select n from nums intersect select ascii(email) from customers",
        "select n from nums intersect all select ascii(email) from customers",
        "select n from nums except select ascii(email) from customers",
        "select n from nums except all select ascii(email) from customers",
        "select id, email from customers union select id, email from leads order by 1",
        "table words union table customers",
        "select n from nums union all (select n from nums except select ascii(email) from customers)",
        "(select n from nums union select ascii(email) from customers) union all select 1",
        "values (1), (2) except values ((select ascii(email) from customers where id = 1))",
        "(values (1), (2)) union all (values ((select ascii(email) from customers where id = 1))) order by 1",
        "values (1), ((select ascii(email) from customers where id = 1)) order by column1",
        "select distinct greatest(n, ascii(email)) from nums, customers where id=1",
        "select distinct n, substr(email, 1, 1) from nums, customers where id in (1, nums.id)",
        "select distinct on (greatest(n, ascii(email))) n from nums, customers where id=1",
        "select distinct on (g) greatest(n, ascii(email)) g from nums, customers where id=1",
        "select distinct * from (select greatest(n, ascii(email)) g from nums, customers where id=1) s",
        "select distinct s.* from (select greatest(n, ascii(email)) from nums, customers where id=1) s",
        "select distinct * from (select to_json(c.*) from customers c, nums) s",
        "select distinct * from (select * from words union all select * from customers) s",
        "select distinct get_bit(email, 1) from customers union all \
         select distinct get_bit(email, 2) from customers union all \
         select distinct get_bit(email, 3) from customers union all \
         select distinct get_bit(email, 4) from customers union all \
         select distinct get_bit(email, 5) from customers",
    ]);
}

#[test]
fn conflicts_of_several_rows_do_not_say_what_is_there() {
    for sql in [
        "insert into customers (email) values ('a'), ('b') on conflict do nothing returning email",
        "insert into customers (email) select word from words on conflict (email) do nothing returning email",
        "insert into customers (email) table words on conflict (email) do update set name = 'x' returning name",
        "insert into customers (email) values ('a') union all values ('b') on conflict do nothing",
        "insert into customers (email) values (unnest($1::text[])) on conflict do nothing returning email",
        "insert into customers (email) values (lower(regexp_split_to_table($1, ','))) on conflict do nothing",
        "insert into customers (email) values (jsonb_path_query_tz($1, '$[*]')) on conflict do nothing",
        "with a as (insert into customers (email) values ('a') on conflict do nothing returning 1), \
         b as (insert into customers (email) values ('b') on conflict do nothing returning 1) \
         select 1 from a union all select 2 from b",
    ] {
        assert!(read(sql).exposes.anything, "{sql}");
    }
}

#[test]
fn aggregates_are_not_compared() {
    assert_refused(&[
        "select v.id from customers v group by v.id having min(v.email)=max(v.email)",
        "select v.id from customers v group by v.id having (min(v.email)=max(v.email)) is true",
        "select v.id from customers v group by v.id having count(distinct v.email)=1",
        "select v.id from customers v group by v.id having not 1 < count(distinct v.email)",
        "select id from (select id, count(distinct email) n from customers group by id) s where n = 1",
        "select id from (select id, min(email) = max(email) as e from customers group by id) s where e",
    ]);
}

#[test]
fn constants_are_told() {
    for (sql, outputs) in [
        ("select 1, 'x', $1, null, 1::int, (1), -1, 'x'::varchar(3), true, $1::text::date", "kkkkkkkkkk"),
        (
            "select 1 + 1, a, now(), current_user, (select 1), array[1], 'x'::s.t, a::int, -$1, *",
            "ooooooooos",
        ),
    ] {
        let letters = read(sql).outputs.into_iter().map(|output| match output {
            Output::Count => 'c',
            Output::Star => 's',
            Output::Constant => 'k',
            Output::Other => 'o',
        });
        assert_eq!(letters.collect::<String>(), outputs, "{sql}");
    }
}

#[test]
fn ordinary_statements_pass() {
    assert_passed(&[
        "select id, name from customers where email = 'x' and id > 3 order by email limit 5",
        "select id from customers where lower(email) like lower($1) or email is null",
        "select id from customers where (name ilike $1 or email ilike $1) and email is not null",
        "select id from customers where email in ('a', 'b') and card between '1' and $1 and not email = any ($2)",
        "select id from customers where email > $1 or (email = $1 and id > $2) order by email, id limit 10",
        "select c.id, o.total from customers c join orders o on o.customer_id = c.id \
         where c.email ilike '%@x.org'",
        "select country, count(*) from customers group by country having count(*) > 1",
        "select email, count(*) from customers group by email having count(*) > 1 order by 2 desc, email",
        "select count(*) from customers where email like 'a%'",
        "select country from customers group by country having count(email) > $1 and max(email) > 'x' \
         and count(*) filter (where card is null) = 0",
        "select country from (select country, count(email) as n from customers group by country) s where n > 3",
        "select count(distinct email) from customers",
        "select count(email), count(1), max(email) from customers",
        "select * from (select id, email from customers) s where s.email = $1",
        "select * from (select id, email as e from customers) s where s.e = $1 order by s.e",
        "with a as (select id, email e from customers) select id from a where e = 'x'",
        "with a as (select id, upper(email) from customers) select id from a",
        "with a as (select id, upper(email) as e from customers) select id from a where e = 'X'",
        "select id from orders o where exists \
         (select 1 from customers c where c.id = o.customer_id and c.email = 'x')",
        "select id from orders where customer_id in (select id from customers where email = $1)",
        "update customers set credit = 0 where email = 'x'",
        "update customers set email = $1 where id = $2 returning id, email",
        "delete from customers where email like '%test%'",
        "delete from customers where email like '%test%' and id in (select customer_id from orders)",
        "insert into customers (email) values ($1) on conflict (email) do update set name = $2 returning id",
        "insert into customers (email) values ($1) on conflict (lower(email)) do nothing",
        "merge into customers c using (select $1 as k, $2 as v) s on c.id = s.k \
         when matched and c.email is null then update set email = $3",
        "select upper(email), id from customers order by id",
        "select distinct email from customers",
        "select distinct upper(email) from customers",
        "select id, email from customers union all select id, email from leads",
        "select id, country from customers union select id, country from leads order by 1",
        "select distinct country, lower(name), 1 from customers",
        "select distinct upper(email), 1 from customers",
        "select id, lower(email), country from customers c order by c.name, country",
        "update customers set country = v.country from (values (1,'DE'),(2,'FR')) as v(id, country) \
         where v.id = customers.id",
        "update customers set country = v.country from (values ($1::int,$2),($3,$4)) as v(id, country) \
         where v.id = customers.id",
        "insert into customers (id, email) values (nextval('s'), lower($1)) on conflict do nothing",
        "insert into customers (name) values ($1), ($2)",
        "select s.id from (select c.id, (select count(*) from orders) from customers c) s where s.id = 1",
        "select * from (select id, email from customers union all select id, email from leads) s \
         where email = $1",
        "select row_number() over (order by email), id from customers",
        "select row_number() over w, id from customers window w as (partition by country order by email)",
        "select c.id as c1_0, c.email as c1_1 from customers c left join orders o1 on c.id = o1.customer_id \
         where c.email = $1 order by c.id asc offset $2 rows fetch first $3 rows only",
        "SELECT \"t0\".\"id\" AS \"a\", \"t0\".\"email\" AS \"b\" FROM \"public\".\"customers\" AS \"t0\" \
         WHERE (\"t0\".\"email\" = $1 AND 1=1) ORDER BY \"t0\".\"id\" ASC LIMIT $2 OFFSET $3",
        "SELECT anon_1.customers_id, anon_1.customers_email, orders_1.id AS orders_1_id FROM \
         (SELECT customers.id AS customers_id, customers.email AS customers_email FROM customers \
         WHERE customers.email = $1 LIMIT 10) AS anon_1 \
         LEFT OUTER JOIN orders AS orders_1 ON anon_1.customers_id = orders_1.customer_id",
        "SELECT COUNT(*) FROM (SELECT DISTINCT \"customers\".\"email\" AS \"col1\" FROM \"customers\") subquery",
        "select coalesce(json_agg(s), '[]') from (select id, email from customers) s",
        "select json_agg(json_build_object('id', id, 'email', email) order by email) from customers",
        "with src as (select customers.* from customers where email = $1) \
         select null::bigint as total, pg_catalog.count(_t) as page, coalesce(json_agg(_t), '[]') as body \
         from (select * from src) _t",
        "select case when email like 'a%' then 1 else 2 end, id from customers",
        "select id, (select max(total) from orders o where o.customer_id = c.id) from customers c \
         where c.email = $1",
        "select c.id, g.n from customers c, generate_series(1, 3) as g (n) where c.email is not null and g.n > 1",
        "select c.id from customers c join (values (1, 'x'), (2, 'y')) as v (k, w) on v.k = c.id",
        "select c.id, s.n from customers c left join lateral \
         (select count(*) as n from orders o where o.customer_id = c.id) s on true where s.n > 2",
        "select id, email from customers where id = any ($1) for update skip locked",
        "select c.* from customers c where c.email = $1",
        "select date_trunc('day', created_at) as day, count(*) from customers group by day order by day",
        "explain select id from customers where email = 'x'",
        "prepare p as select id from customers where email = $1",
    ]);
}

#[test]
fn exposures_are_as_written() {
    let exposure = |columns: &str, derived: &[(&str, &str)]| Exposure {
        columns: columns.split_whitespace().map(str::to_owned).collect(),
        anything: false,
        derived: derived
            .iter()
            .map(|(name, of)| ((*name).to_owned(), of.split(' ').map(str::to_owned).collect()))
            .collect(),
    };
    for (sql, columns, derived) in [
        ("select a, f(b) from t where c = 1 order by d", "", &[][..]),
        ("select a from t where b = c", "b c", &[]),
        (
            "select a from t join u using (b) join v on v.c = u.d limit (select e from w where g = 1)",
            "b c d e",
            &[],
        ),
        ("select a from t where f(b) or lower(c) = 'x'", "b", &[]),
        ("select a from t where t.b = 1 and u.b = t.b", "b", &[]),
        (
            "select a from (select b as c, d, e || g as h, i + 1 from t) s",
            "",
            &[("", "i"), ("c", "b"), ("h", "e g")],
        ),
        (
            "select a from (select b as c, d from t union all select e, d from u) s where d = 1",
            "",
            &[("c", "b e")],
        ),
        ("select a from (select b from t union select c from u) s", "b c", &[("b", "b c")]),
        ("select a from t group by b, c + 1, rollup (d, e * 2)", "c e", &[]),
        ("select a + b as x, c + d as y from t order by y, 1", "a b c d", &[]),
        (
            "with d as (update t set a = b where c = 1 returning e, g + 1 as h) select * from d",
            "",
            &[("h", "g")],
        ),
        ("select a from (select b + c as d from t) s where d = 1", "d", &[("d", "b c")]),
        ("select a from t where (select b from u where c = 1 and d = e) = 1", "b d e", &[]),
        ("select count(*) filter (where a = b) from t", "", &[]),
        ("lock table t", "", &[]),
    ] {
        assert_eq!(read(sql).exposes, exposure(columns, derived), "{sql}");
    }
    for sql in [
        "do $$x$$",
        "call p()",
        "execute p",
        "copy t from stdin",
        "select a from t natural join u",
        "select a from t as u (b)",
        "with c (a) as (select 1) select a from c",
        "select a from t where t = u",
        "select a from t where row(t.*) = row(1)",
        "select a from t where t.to_json = '1'",
        "select a from (select t as r from t) s where s.r = 1",
    ] {
        assert!(read(sql).exposes.anything, "{sql}");
    }
}

#[test]
fn an_execute_exposes_what_was_prepared() {
    let analysis = |sql: &str| analyse(sql.as_bytes(), &Limits::default()).unwrap();
    let prepared = read("prepare p as select a from t where b = c");
    let merged = analysis("execute p(1)").executing(&prepared);
    assert_eq!(merged.statements[0].exposes, prepared.exposes);
    assert_eq!(prepared.exposes.columns, ["b", "c"]);
}

#[test]
fn counts_of_what_is_computed_are_covered() {
    for (sql, outputs) in [
        (
            "select count(nullif(get_bit(email::bytea,0),0)), count(nullif(get_bit(email::bytea,5),0)) \
             from customers",
            "oo",
        ),
        (
            "select count(*), count(email), count(distinct c.email), count(1), count(pg_catalog.a) from c",
            "ccccc",
        ),
        ("select count(*) filter (where email like 'a%' and not card is null) from customers", "c"),
        ("select count(*) filter (where ascii(email) = n) from customers, nums", "o"),
        ("select count(*) filter (where exists (select 1)), count(*) filter (where f(email)) from c", "oo"),
        ("select count(email order by card), count(c.*), count((email)), count($1) from c", "oxco"),
    ] {
        let letters = read(sql).outputs.into_iter().map(|output| match output {
            Output::Count => 'c',
            Output::Star => 's',
            Output::Constant => 'k',
            Output::Other => 'o',
        });
        assert_eq!(letters.collect::<String>(), outputs.replace('x', "o"), "{sql}");
    }
}
