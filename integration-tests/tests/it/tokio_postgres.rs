//! tokio-postgres: it prepares everything by name, speaks binary, and sends queries without waiting for those before.

mod session;
pub(crate) mod tls;

use std::{future::Future, pin::pin, sync::LazyLock};

use futures_util::{TryStreamExt as _, future::join_all};
use serde_json::{Value, json};
use time::{Date, Month, OffsetDateTime};
use tokio_postgres::{
    Client, GenericClient, Row, SimpleQueryMessage,
    types::{FromSql, ToSql, Type},
};
use uuid::Uuid;

use self::session::{Numeric, Session, refusal};
use crate::{
    clients::{SLOW, failures, written},
    stack::shared,
    target::{Target, Wanted},
};

static TARGET: LazyLock<Target<'static>> =
    LazyLock::new(|| Target::declare(shared(), "tokio", &Wanted::default()).with_free_table());

const INSERT: &str = "INSERT INTO tokio_free VALUES ($1, $2)";
const UPDATE: &str = "UPDATE tokio SET status = $1, at = $2 WHERE id = $3 RETURNING status, at::text";

/// 2024-02-29 12:34:56.789012 UTC
fn leap_day() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(1_709_210_096_789_012_000).expect("a time")
}

/// A session of a test's own, and what is done in it.
fn with<F: Future<Output = ()>>(work: impl FnOnce(Session) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async { work(Session::open(&TARGET).await).await });
}

/// An update that waits for people.
async fn update(
    client: &impl GenericClient,
    text: &str,
    at: Option<OffsetDateTime>,
    row: i32,
) -> Result<Row, tokio_postgres::Error> {
    client.query_one(UPDATE, &[&text, &at, &row]).await
}

async fn goes_on(client: &Client) {
    assert_eq!(client.query_one("SELECT 40 + $1::int4", &[&2]).await.expect("a row").get::<_, i32>(0), 42);
}

fn kept(note: &str) -> String {
    shared().owner(&format!("SELECT count(*) FROM tokio_free WHERE note = '{note}'"))
}

#[test]
fn values_of_every_type_come_back_as_they_went() {
    async fn back<T>(client: &Client, kind: &str, sent: T) -> Value
    where
        T: ToSql + for<'a> FromSql<'a> + PartialEq + std::fmt::Debug + Sync,
    {
        let text = format!("SELECT v, v::text FROM (SELECT $1::{kind} AS v) AS given");
        let row = client.query_one(&text, &[&sent]).await.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        assert_eq!(row.get::<_, T>(0), sent, "{kind}");
        json!(row.get::<_, Option<String>>(1))
    }
    with(|session| async move {
        let client = &session.client;
        let texts = ["a,b", "", "\"", ""].map(|text| Some(text.to_owned()));
        let [one, _, quote, empty] = texts;
        let saw = json!({
            "int2": back(client, "int2", i16::MIN).await,
            "int4": back(client, "int4", i32::MAX).await,
            "int8": back(client, "int8", i64::MIN).await,
            "float8": back(client, "float8", 0.1).await,
            "numeric": back(client, "numeric", Numeric::example()).await,
            "text": back(client, "text", "it's „Größe“ \u{202e}数据 😀\n\\".to_owned()).await,
            "bytea": back(client, "bytea", vec![0_u8, 1, 0x27, 0x5c, 0xff]).await,
            "bool": back(client, "bool", true).await,
            "timestamptz": back(client, "timestamptz", leap_day()).await,
            "date": back(client, "date", Date::from_calendar_date(1999, Month::December, 31).unwrap()).await,
            "uuid": back(client, "uuid", Uuid::from_u128(0x6f96_19ff_8b86_4011_b42d_00c0_4fc9_64ff)).await,
            "jsonb": back(client, "jsonb", json!({ "a": [1, null, "ü"] })).await,
            "int4[]": back(client, "int4[]", vec![Some(1), None, Some(-3)]).await,
            "text[]": back(client, "text[]", vec![one, None, quote, empty]).await,
            "null": [back(client, "int4", None::<i32>).await, back(client, "text", None::<String>).await],
        });
        assert_eq!(saw, written());
    });
}

#[test]
fn statements_are_prepared_described_and_closed_again() {
    with(|session| async move {
        let client = &session.client;
        let square = client.prepare("SELECT $1::int4 * $1 AS square").await.expect("prepared");
        assert_eq!(square.params(), [Type::INT4]);
        assert_eq!((square.columns()[0].name(), square.columns()[0].type_()), ("square", &Type::INT4));
        for n in 0..50_i32 {
            assert_eq!(client.query_one(&square, &[&n]).await.expect("a row").get::<_, i32>(0), n * n);
        }
        drop(square);
        let typed = client.query_typed("SELECT $1 || 'b'", &[(&"a", Type::TEXT)]).await.expect("rows");
        assert_eq!(typed[0].get::<_, String>(0), "ab");
        assert_eq!(client.query("", &[]).await.expect("nothing").len(), 0);
        assert_eq!(client.query("SELECT WHERE false", &[]).await.expect("no rows").len(), 0);
        let several = client.simple_query("SELECT 1; SELECT 2").await.expect("rows");
        let rows = several.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
        assert_eq!(rows, 2);
        let returning = format!("{INSERT} RETURNING id");
        let returned = client.query_one(&returning, &[&10, &"returned"]).await.expect("a row");
        assert_eq!(returned.get::<_, i32>(0), 10);
        let gone = "DELETE FROM tokio_free WHERE note = $1";
        assert_eq!(client.execute(gone, &[&"returned"]).await.expect("done"), 1);
        goes_on(client).await;
    });
}

#[test]
fn queries_that_do_not_wait_for_each_other_are_answered_in_order() {
    with(|session| async move {
        let client = &session.client;
        let double = client.prepare("SELECT $1::int4 * 2").await.expect("prepared");
        let divide = client.prepare("SELECT 1 / $1::int4").await.expect("prepared");
        let numbers: Vec<i32> = (0..200).collect();
        let doubled = join_all(numbers.iter().map(|n| async { client.query_one(&double, &[n]).await }));
        let failed = client.query_one(&divide, &[&0]);
        let refused = client.query("SELECT * FROM hr.payroll", &[]);
        let more = join_all(numbers.iter().map(|n| async { client.query_one(&double, &[n]).await }));
        let (doubled, failed, refused, more) = tokio::join!(doubled, failed, refused, more);
        assert_eq!(refusal(failed), json!({ "sqlstate": "22012" }));
        assert_eq!(refusal(refused)["reason"], "not_permitted");
        for answers in [doubled, more] {
            let sum: i32 = answers.into_iter().map(|row| row.expect("a row").get::<_, i32>(0)).sum();
            assert_eq!(sum, 39_800);
        }
    });
}

#[test]
fn portals_are_read_in_portions() {
    with(|mut session| async move {
        let transaction = session.client.transaction().await.expect("begun");
        let series = "SELECT n, repeat('x', 1000) FROM generate_series(1, $1::int4) AS n";
        let portal = transaction.bind(series, &[&1000]).await.expect("bound");
        let other = transaction.bind("SELECT n FROM generate_series(1, $1::int4) AS n", &[&3]).await;
        let other = other.expect("bound");
        let mut sizes = Vec::new();
        while sizes.last() != Some(&0) {
            sizes.push(transaction.query_portal(&portal, 300).await.expect("rows").len());
        }
        assert_eq!(sizes, [300, 300, 300, 100, 0]);
        assert_eq!(transaction.query_portal(&other, 2).await.expect("rows").len(), 2);
        assert_eq!(transaction.query_portal(&other, 0).await.expect("rows").len(), 1);
        transaction.commit().await.expect("committed");
        goes_on(&session.client).await;
    });
}

#[test]
fn transactions_and_savepoints_are_kept_and_undone() {
    with(|mut session| async move {
        let mut transaction = session.client.transaction().await.expect("begun");
        transaction.execute(INSERT, &[&20, &"kept"]).await.expect("written");
        let savepoint = transaction.transaction().await.expect("begun");
        savepoint.execute(INSERT, &[&21, &"kept"]).await.expect("written");
        drop(savepoint);
        transaction.commit().await.expect("committed");
        let dropped = session.client.transaction().await.expect("begun");
        dropped.execute(INSERT, &[&22, &"kept"]).await.expect("written");
        drop(dropped);
        goes_on(&session.client).await;
        assert_eq!(kept("kept"), "1");
    });
}

#[test]
fn an_error_or_a_refusal_in_a_transaction_fails_it_to_its_savepoint_or_its_end() {
    for ((kind, said), (text, value)) in failures().into_iter().zip([
        ("SELECT 1 / $1::int4", &0 as &(dyn ToSql + Sync)),
        ("SELEC $1", &0),
        ("SELECT * FROM no_such_table WHERE id = $1::int4", &0),
        ("INSERT INTO tokio_free VALUES ($1, 'twice')", &1),
        ("SELECT * FROM hr.payroll WHERE employee = $1::text", &"x"),
    ]) {
        with(|mut session| async move {
            let mut transaction = session.client.transaction().await.expect("begun");
            transaction.execute(INSERT, &[&30, &"failed"]).await.expect("written");
            let savepoint = transaction.savepoint("here").await.expect("begun");
            assert_eq!(refusal(savepoint.query(text, &[value]).await), said, "{kind}");
            assert_eq!(
                refusal(savepoint.query("SELECT 1", &[]).await),
                json!({ "sqlstate": "25P02" }),
                "{kind}"
            );
            savepoint.rollback().await.expect("back to the savepoint");
            assert_eq!(transaction.query("SELECT 1", &[]).await.expect("rows").len(), 1, "{kind}");
            assert_eq!(refusal(transaction.query(text, &[value]).await), said, "{kind}");
            // It is told ROLLBACK, which tokio-postgres takes for an end like another.
            transaction.commit().await.expect("ended");
            goes_on(&session.client).await;
            assert_eq!(kept("failed"), "0", "{kind}");
        });
    }
}

#[test]
fn a_held_write_runs_once_with_the_parameters_that_were_shown_or_not_at_all() {
    with(|mut session| async move {
        session.client.prepare(UPDATE).await.expect("prepared without asking anybody");
        let approve = async {
            let id = session.held.recv().await.expect("an approval");
            let bound = crate::clients::bound(&shared().approval(&id));
            let expected = [
                (json!(25), json!("aXQncyDDvA==")),
                (json!(1184), json!("AAK1g0FyhhQ=")),
                (json!(23), json!("AAAAAQ==")),
            ];
            assert_eq!(bound, expected);
            shared().approve("dana", &id);
        };
        let (row, ()) = tokio::join!(update(&session.client, "it's ü", Some(leap_day()), 1), approve);
        assert_eq!(row.expect("a row").get::<_, String>(1), "2024-02-29 12:34:56.789012+00");
        assert_eq!(TARGET.status(1), "it's ü");

        let deny = async { shared().deny("dana", &session.held.recv().await.expect("an approval")) };
        let (denied, ()) = tokio::join!(update(&session.client, "no", None, 2), deny);
        assert_eq!(refusal(denied)["reason"], "approval_denied");
        assert_eq!(TARGET.status(2), "new");
        goes_on(&session.client).await;
    });
}

#[test]
fn a_held_write_may_come_after_a_read_in_its_transaction() {
    with(|mut session| async move {
        let transaction = session.client.transaction().await.expect("begun");
        let read = "SELECT status FROM tokio WHERE id = $1";
        assert_eq!(transaction.query_one(read, &[&3]).await.expect("a row").get::<_, String>(0), "new");
        let approve = async { shared().approve("dana", &session.held.recv().await.expect("an approval")) };
        let (row, ()) = tokio::join!(update(&transaction, "within", None, 3), approve);
        assert_eq!(row.expect("a row").get::<_, String>(0), "within");
        // The same prepared statement, where the transaction is now.
        assert_eq!(transaction.query_one(read, &[&3]).await.expect("a row").get::<_, String>(0), "within");
        transaction.commit().await.expect("committed");
        assert_eq!(TARGET.status(3), "within");
    });
}

#[test]
fn a_cancel_ends_what_runs_and_what_waits() {
    with(|mut session| async move {
        let mut rows = pin!(session.client.query_raw(SLOW, Vec::<String>::new()).await.expect("rows"));
        assert!(rows.try_next().await.expect("a row").is_some(), "it runs");
        session.cancel().await;
        let ended = async {
            while rows.try_next().await?.is_some() {}
            Ok::<_, tokio_postgres::Error>(())
        };
        assert_eq!(refusal(ended.await), json!({ "sqlstate": "57014" }));
        goes_on(&session.client).await;

        let cancel = async {
            let id = session.held.recv().await.expect("an approval");
            session.token.cancel_query(session.tls.clone()).await.expect("asked");
            id
        };
        let (ended, id) = tokio::join!(update(&session.client, "cancelled", None, 4), cancel);
        assert_eq!(refusal(ended)["reason"], "cancelled");
        shared().settled(&id, "CANCELLED");
        assert_eq!(TARGET.status(4), "new");
        goes_on(&session.client).await;
    });
}

#[test]
fn what_is_not_spoken_is_refused_and_the_session_goes_on() {
    with(|session| async move {
        let client = &session.client;
        let out = client.copy_out("COPY tokio_free TO STDOUT").await.map(drop);
        let into = client.copy_in::<_, &[u8]>("COPY tokio_free FROM STDIN").await.map(drop);
        let listen = client.batch_execute("LISTEN anything").await;
        for (feature, saw) in [("out", refusal(out)), ("in", refusal(into)), ("listen", refusal(listen))] {
            let code = saw["sqlstate"].as_str().expect("SQLSTATE");
            assert!(["0A000", "42501"].contains(&code), "{feature}: {saw}");
        }
        goes_on(client).await;
    });
}
