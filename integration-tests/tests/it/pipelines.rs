//! The extended query protocol message by message: what PostgreSQL answers is what the edge answers.
//!
//! Each exchange is held with the edge and with the stack's PostgreSQL itself, and both have to say exactly what
//! stands here. Only SQLSTATEs of errors are compared, not their words. What the edge refuses on purpose is in
//! `decided`, and what would break it in `hostile`.

mod decided;
mod hostile;

use std::{sync::LazyLock, time::Duration};

use serde_json::{Value, json};

use crate::{
    stack::shared,
    target::{Target, Wanted},
    wire::{Wire, short},
};

/// Longest that an answer takes which waits for nobody.
const SOON: Duration = Duration::from_secs(20);
/// The target of the tests here; each has rows of its own.
static PIPED: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "piped", &Wanted::default()).with_free_table());

fn parse(name: &str, sql: &str) -> Value {
    json!(["parse", name, sql])
}

/// All results in text.
fn bind(portal: &str, statement: &str, values: &[&str]) -> Value {
    json!(["bind", portal, statement, values])
}

fn describe(kind: &str, name: &str) -> Value {
    json!(["describe", kind, name])
}

fn close(kind: &str, name: &str) -> Value {
    json!(["close", kind, name])
}

/// 0 rows are all.
fn execute(portal: &str, rows: u32) -> Value {
    json!(["execute", portal, rows])
}

fn query(sql: &str) -> Value {
    json!(["query", sql])
}

fn flush() -> Value {
    json!(["flush"])
}

fn sync() -> Value {
    json!(["sync"])
}

/// Parse, Bind and Execute of a statement without a name.
fn run(sql: &str, values: &[&str]) -> [Value; 3] {
    [parse("", sql), bind("", "", values), execute("", 0)]
}

/// As many messages as are expected, in short.
fn hear(wire: &mut Wire, expected: usize) -> String {
    let mut heard = Vec::new();
    while heard.len() < expected {
        let Some(message) = wire.next_within(SOON) else { panic!("nothing more comes after {heard:?}") };
        heard.push(short(&message));
        if message["kind"] == "closed" {
            break;
        }
    }
    heard.join(", ")
}

/// A session with the edge and one with the database, which are told the same.
struct Both([(&'static str, Wire); 2]);

impl Both {
    fn open() -> Self {
        let edge = PIPED.session();
        Self([("PostgreSQL", Wire::direct(shared())), ("the edge", edge)])
    }

    /// Tells both the same, and has to hear exactly this of both: messages in short, with commas between.
    fn say(&mut self, messages: &[Value], expected: &str) {
        self.differ(messages, expected, expected);
    }

    /// The same where the edge differs on purpose: binding can run functions (planning folds constants), so a portal is
    /// kept at the edge until it is executed, which is when it is decided. An error that PostgreSQL has in the place of
    /// BindComplete comes after it.
    fn differ(&mut self, messages: &[Value], postgres: &str, edge: &str) {
        for ((who, wire), expected) in self.0.iter_mut().zip([postgres, edge]) {
            wire.put(messages);
            let heard = hear(wire, expected.split(", ").count());
            assert_eq!(heard, expected, "{who} about {messages:?}");
        }
    }

    /// Tells both the same and Sync: both have to answer with one error.
    fn fail(&mut self, messages: &[Value], code: &str, status: &str) {
        for (who, wire) in &mut self.0 {
            wire.put(&[messages, &[sync()]].concat());
            let answer = wire.finish();
            assert_eq!(answer.errors.len(), 1, "{who} about {messages:?}: {answer:?}");
            assert_eq!(
                (&answer.errors[0]["C"], &*answer.status),
                (&json!(code), status),
                "{who}: {messages:?}"
            );
        }
    }
}

impl Drop for Both {
    /// Nothing is left to be heard: had one of them said more than was expected, it would come before this.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.say(
                &[query("ROLLBACK"), query("SELECT 'end' AS end")],
                "notice 25P01, complete ROLLBACK, ready I, columns end:25:0, row end, complete SELECT 1, \
                 ready I",
            );
        }
    }
}

#[test]
fn statements_and_portals_are_described_bound_and_executed() {
    let mut both = Both::open();
    let select = "SELECT $1::int4 AS n, $2::text AS t";
    both.say(
        &[parse("s", select), describe("S", "s"), sync()],
        "parsed, parameters 23 25, columns n:23:0 t:25:0, ready I",
    );
    // The formats of results are the portal's.
    let binary = json!(["bind", "", "s", [{ "binary": "00000007" }, null], [1, 0]]);
    both.say(
        &[binary, describe("P", ""), execute("", 0), sync()],
        "bound, columns n:23:1 t:25:0, row \0\0\0\u{7} null, complete SELECT 1, ready I",
    );
    for n in 0..20 {
        let expected = format!("bound, row {n} ü, complete SELECT 1, ready I");
        both.say(&[bind("", "s", &[&n.to_string(), "ü"]), execute("", 0), sync()], &expected);
    }
    let declared = json!(["parse", "", "SELECT $1 AS a, $2 AS b", [20, 0]]);
    both.say(
        &[declared, describe("S", ""), sync()],
        "parsed, parameters 20 25, columns a:20:0 b:25:0, ready I",
    );
    let insert = "INSERT INTO piped_free VALUES ($1, $2)";
    both.say(
        &[parse("", insert), describe("S", ""), bind("", "", &["2", "x"]), describe("P", ""), sync()],
        "parsed, parameters 23 25, nothing, bound, nothing, ready I",
    );
    both.say(
        &[&[parse("", ""), describe("S", "")][..], &run("", &[])[1..], &[sync()]].concat(),
        "parsed, parameters, nothing, bound, empty, ready I",
    );
    both.say(
        &[close("S", "s"), close("P", ""), close("S", "never there"), sync()],
        "shut, shut, shut, ready I",
    );
}

#[test]
fn names_that_are_not_there_or_taken_are_refused() {
    let mut both = Both::open();
    for (message, code) in [
        (bind("", "nowhere", &[]), "26000"),
        (describe("S", "nowhere"), "26000"),
        (describe("P", "nowhere"), "34000"),
        (execute("nowhere", 0), "34000"),
    ] {
        both.fail(&[message], code, "I");
    }
    both.say(
        &[parse("a", "SELECT 1 AS one"), parse("a", "SELECT 1 AS one"), sync()],
        "parsed, error 42P05, ready I",
    );
    // The statement was there before the error, so it stays.
    both.say(&[bind("p", "a", &[]), bind("p", "a", &[]), sync()], "bound, error 42P03, ready I");
    both.say(
        &[close("S", "a"), parse("a", "SELECT 2 AS two"), describe("S", "a"), sync()],
        "shut, parsed, parameters, columns two:23:0, ready I",
    );
    // Those without a name give way.
    let again = [bind("", "", &[]), execute("", 0), sync()];
    both.say(
        &[&run("SELECT 3", &[])[..], &run("SELECT 4", &[]), &again].concat(),
        "parsed, bound, row 3, complete SELECT 1, parsed, bound, row 4, complete SELECT 1, bound, \
         row 4, complete SELECT 1, ready I",
    );
    both.say(&[close("S", ""), bind("", "", &[]), sync()], "shut, error 26000, ready I");
}

#[test]
fn what_does_not_fit_the_statement_is_refused() {
    let mut both = Both::open();
    both.say(&[parse("one", "SELECT $1::int4"), sync()], "parsed, ready I");
    for (messages, code) in [
        (vec![bind("", "one", &[])], "08P01"),
        (vec![bind("", "one", &["1", "2"])], "08P01"),
        (vec![json!(["bind", "", "one", ["1"], [0, 1]])], "08P01"),
        (vec![bind("", "one", &["abc"])], "22P02"),
        (vec![json!(["bind", "", "one", [{ "binary": "01" }]])], "08P01"),
        (vec![parse("", "SELECT 1; SELECT 2")], "42601"),
        (vec![parse("", "SELEC 1")], "42601"),
    ] {
        both.fail(&[&messages[..], &[execute("", 0)]].concat(), code, "I");
    }
    both.say(
        &[&run("SELECT 5", &[])[..], &[sync()]].concat(),
        "parsed, bound, row 5, complete SELECT 1, ready I",
    );
}

#[test]
fn after_an_error_everything_is_skipped_until_sync() {
    let mut both = Both::open();
    let insert = run("INSERT INTO piped_free VALUES ($1, 'skipped')", &["10"]);
    let rest = [
        &insert[..],
        &[parse("kept", "SELECT 1"), describe("S", "kept"), execute("nowhere", 0), close("S", ""), flush()],
        // Even a simple query.
        &[query("SELECT 'skipped too'"), sync()],
    ]
    .concat();
    both.differ(
        &[&run("SELECT 1 / $1::int4", &["0"])[..], &rest].concat(),
        "parsed, error 22012, ready I",
        "parsed, bound, error 22012, ready I",
    );
    both.say(&[&[parse("", "SELEC")][..], &rest].concat(), "error 42601, ready I");
    both.say(&[&[bind("", "nowhere", &[])][..], &rest].concat(), "error 26000, ready I");
    both.fail(&[bind("", "kept", &[])], "26000", "I");
    assert_eq!(shared().owner("SELECT count(*) FROM piped_free WHERE note LIKE 'skipped%'"), "0");
    // A Sync of its own for each of two: the second one is another pipeline.
    both.say(
        &[&[bind("", "nowhere", &[]), sync()][..], &run("SELECT 6", &[]), &[sync(), sync()]].concat(),
        "error 26000, ready I, parsed, bound, row 6, complete SELECT 1, ready I, ready I",
    );
}

#[test]
fn a_pipeline_is_one_transaction_until_its_sync() {
    let mut both = Both::open();
    let insert = |id: &str| run("INSERT INTO piped_free VALUES ($1, 'piped')", &[id]);
    let failing = run("INSERT INTO piped_free VALUES ($1, 'piped')", &["1"]);
    both.say(
        &[&insert("20")[..], &insert("21"), &failing, &[sync()]].concat(),
        "parsed, bound, complete INSERT 0 1, parsed, bound, complete INSERT 0 1, parsed, bound, \
         error 23505, ready I",
    );
    let count = || shared().owner("SELECT count(*) FROM piped_free WHERE note = 'piped'");
    assert_eq!(count(), "0", "what came before the error in the pipeline went with it");
    let clean = run("DELETE FROM piped_free WHERE note = 'piped'", &[]);
    both.say(
        &[&insert("20")[..], &[sync()], &insert("21"), &failing, &[sync()], &clean, &[sync()]].concat(),
        "parsed, bound, complete INSERT 0 1, ready I, parsed, bound, complete INSERT 0 1, parsed, \
         bound, error 23505, ready I, parsed, bound, complete DELETE 1, ready I",
    );
    // BEGIN within a pipeline, and its end within another. Two sessions at once, so each has a row of its own.
    let own = run("INSERT INTO piped_free SELECT 1000 + (random() * 1000000)::int4, 'piped'", &[]);
    both.say(
        &[&run("BEGIN", &[])[..], &own, &[sync()]].concat(),
        "parsed, bound, complete BEGIN, parsed, bound, complete INSERT 0 1, ready T",
    );
    both.differ(
        &[&run("SELECT 1 / $1::int4", &["0"])[..], &[sync()]].concat(),
        "parsed, error 22012, ready E",
        "parsed, bound, error 22012, ready E",
    );
    both.say(&[parse("", "SELECT 1"), sync()], "error 25P02, ready E");
    both.say(&[&run("COMMIT", &[])[..], &[sync()]].concat(), "parsed, bound, complete ROLLBACK, ready I");
    assert_eq!(count(), "0");
}

#[test]
fn portals_are_read_in_portions_and_end_with_their_transaction() {
    let mut both = Both::open();
    let series = parse("series", "SELECT n FROM generate_series(1, $1::int4) AS n");
    both.say(
        &[series, bind("p", "series", &["5"]), execute("p", 2), execute("p", 2), execute("p", 2), sync()],
        "parsed, bound, row 1, row 2, suspended, row 3, row 4, suspended, row 5, complete SELECT 1, ready I",
    );
    both.fail(&[execute("p", 1)], "34000", "I");
    both.say(
        &[query("BEGIN"), bind("p", "series", &["9"]), bind("q", "series", &["2"]), execute("p", 1), sync()],
        "complete BEGIN, ready T, bound, bound, row 1, suspended, ready T",
    );
    both.say(
        &[execute("q", 0), execute("p", 2), execute("q", 0), sync()],
        "row 1, row 2, complete SELECT 2, row 2, row 3, suspended, complete SELECT 0, ready T",
    );
    // A simple query between leaves them, but for the one without a name.
    both.say(
        &[bind("", "series", &["1"]), query("SELECT 'between'"), execute("p", 1), sync()],
        "bound, columns ?column?:25:0, row between, complete SELECT 1, ready T, row 4, suspended, ready T",
    );
    both.fail(&[execute("", 1)], "34000", "E");
    both.say(
        &[query("ROLLBACK"), execute("p", 1), sync()],
        "complete ROLLBACK, ready I, error 34000, ready I",
    );
    both.say(
        &[query("BEGIN"), bind("p", "series", &["9"]), close("P", "p"), execute("p", 1), sync()],
        "complete BEGIN, ready T, bound, shut, error 34000, ready E",
    );
    both.say(&[query("ROLLBACK")], "complete ROLLBACK, ready I");
}

#[test]
fn a_flush_gives_what_is_there_and_ends_nothing() {
    let mut both = Both::open();
    both.say(
        &[parse("s", "SELECT $1::int4 AS n"), describe("S", "s"), flush()],
        "parsed, parameters 23, columns n:23:0",
    );
    both.say(&[bind("p", "s", &["8"]), flush()], "bound");
    both.say(&[execute("p", 0), flush()], "row 8, complete SELECT 1");
    both.say(&[sync()], "ready I");
    // An error is told at once, and the rest after it skipped.
    both.differ(&[bind("p", "s", &["x"]), execute("p", 0)], "error 22P02", "bound, error 22P02");
    both.say(&[bind("p", "s", &["1"]), flush(), sync()], "ready I");
}

#[test]
fn a_simple_query_may_stand_between() {
    let mut both = Both::open();
    both.say(
        &[parse("", "SELECT 1"), parse("named", "SELECT 2"), query("SELECT 'simple' AS s"), sync()],
        "parsed, parsed, columns s:25:0, row simple, complete SELECT 1, ready I, ready I",
    );
    // It took the place of the statement without a name, and left the other.
    both.fail(&[bind("", "", &[])], "26000", "I");
    both.say(&[bind("", "named", &[]), execute("", 0), sync()], "bound, row 2, complete SELECT 1, ready I");
    both.say(
        &[query(""), query("SELECT 1 AS a; SELECT 2 AS b")],
        "empty, ready I, columns a:23:0, row 1, complete SELECT 1, columns b:23:0, row 2, \
         complete SELECT 1, ready I",
    );
}
