//! The clients by which every question is put.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tokio_postgres::{
    Client, Config, NoTls,
    config::SslMode,
    types::{FromSql, Type},
};

use super::row;
use crate::{
    stack::{client, text},
    target::Target,
    tokio_postgres::tls::Tls,
    wire::{self, Wire},
};

/// What a client got for a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Rows(Vec<String>),
    /// The SQLSTATE and whatever else it was told.
    Error(String),
}

/// A name, and one answer for each statement.
pub(super) type Answers = BTreeMap<String, Vec<Answer>>;

/// Puts statements to a target by each client, in a session of each.
pub(super) fn everyone(target: &Target<'_>, agent: &str, statements: &[&str]) -> Answers {
    let (dsn, token) = (target.dsn(), target.stack.token(agent));
    let mut answers: Answers = python(&dsn, Some(&token), statements)
        .into_iter()
        .map(|(client, said)| {
            (client, said["answers"].as_array().expect("answers").iter().map(answer).collect())
        })
        .collect();
    answers.insert("psql".to_owned(), psql(&dsn, Some(&token), statements));
    answers.insert("tokio-postgres".to_owned(), tokio(target, agent, statements));
    answers.extend(wires(target, agent, statements));
    answers
}

/// The same at the level of the wire, by the simple and by the extended protocol, in one session.
pub(super) fn wires(target: &Target<'_>, agent: &str, statements: &[&str]) -> Answers {
    let mut session = Wire::open(&target.dsn(), &target.stack.token(agent), &[]);
    let simple = statements.iter().map(|sql| of_wire(session.query(sql))).collect();
    let extended = statements.iter().map(|sql| of_wire(extended(&mut session, sql, &[], &[]))).collect();
    [("wire".to_owned(), simple), ("wire, extended".to_owned(), extended)].into()
}

/// `clients/masking_client.py`: what each of its clients said.
pub(super) fn python(dsn: &str, password: Option<&str>, statements: &[&str]) -> BTreeMap<String, Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/masking_client.py");
    let mut command = Command::new(client("python"));
    command.arg(script).arg(dsn).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = fed(command, password, &serde_json::to_string(statements).expect("JSON"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// An answer of that script.
fn answer(said: &Value) -> Answer {
    let cells = |row: &Value| -> Vec<Option<String>> {
        row.as_array().expect("a row").iter().map(|cell| cell.as_str().map(str::to_owned)).collect()
    };
    match said["rows"].as_array() {
        Some(rows) => Answer::Rows(rows.iter().map(|cells_of| row(&cells(cells_of))).collect()),
        None => Answer::Error(said["error"].to_string()),
    }
}

/// One psql, which goes on after errors.
pub(super) fn psql(dsn: &str, password: Option<&str>, statements: &[&str]) -> Vec<Answer> {
    const END: &str = "-- that was it";
    let mut command = Command::new("psql");
    command
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator", " | "])
        .args(["-P", "null=∅", "-v", "VERBOSITY=verbose", "-d", dsn]);
    let script: String =
        statements.iter().map(|sql| format!("{sql}\n;\n\\echo {END}\n\\warn {END}\n")).collect();
    let output = fed(command, password, &script);
    let (said, warned) = (text(&output.stdout), text(&output.stderr));
    let end = format!("{END}\n");
    said.split_terminator(&end)
        .zip(warned.split_terminator(&end))
        .map(|(rows, errors)| match errors.contains("ERROR:") {
            true => Answer::Error(errors.to_owned()),
            false => Answer::Rows(rows.lines().map(str::to_owned).collect()),
        })
        .collect()
}

fn fed(mut command: Command, password: Option<&str>, input: &str) -> Output {
    command.env_remove("PGPASSWORD").envs(password.map(|password| ("PGPASSWORD", password)));
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the client runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("the client ends")
}

/// Parse, Bind, Execute and Sync of a statement without a name. `formats` are those of the results.
pub(super) fn extended(session: &mut Wire, sql: &str, values: &[&str], formats: &[u16]) -> wire::Answer {
    session.put(&[
        json!(["parse", "", sql]),
        json!(["bind", "", "", values, formats]),
        json!(["execute", "", 0]),
        json!(["sync"]),
    ]);
    session.finish()
}

fn of_wire(answer: wire::Answer) -> Answer {
    match answer.errors.first() {
        Some(error) => Answer::Error(error.to_string()),
        None => Answer::Rows(answer.rows.iter().map(|cells| row(cells)).collect()),
    }
}

/// tokio-postgres, prepared and in binary.
pub(super) fn tokio(target: &Target<'_>, agent: &str, statements: &[&str]) -> Vec<Answer> {
    let dsn = target.dsn();
    let (plain, _) = dsn.split_once('?').expect("parameters");
    let mut config: Config = plain.parse().expect("a connection string");
    config.ssl_mode(SslMode::Require).password(target.stack.token(agent)).options("-c TimeZone=UTC");
    let tls = Tls::trusting(&target.stack.ready.ca);
    runtime().block_on(async {
        let (client, connection) = config.connect(tls).await.expect("a session");
        tokio::spawn(connection);
        all(&client, statements).await
    })
}

/// The same with the database itself, past the edge, by one of the stack's connection strings for that.
pub(super) fn tokio_directly(dsn: &str, statements: &[&str]) -> Vec<Answer> {
    let (_, parameters) = dsn.split_once('?').expect("parameters");
    let config: Config =
        format!("dbname=shop {}", parameters.replace('&', " ")).parse().expect("a connection string");
    runtime().block_on(async {
        let (client, connection) = config.connect(NoTls).await.expect("a session");
        tokio::spawn(connection);
        client.batch_execute("SET TimeZone TO UTC").await.expect("set");
        all(&client, statements).await
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

async fn all(client: &Client, statements: &[&str]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for sql in statements {
        answers.push(match client.query(*sql, &[]).await {
            Ok(rows) => {
                let cells = |row: &tokio_postgres::Row| -> Vec<Option<String>> {
                    (0..row.len()).map(|at| row.get::<_, Option<Written>>(at).map(|value| value.0)).collect()
                };
                Answer::Rows(rows.iter().map(|values| row(&cells(values))).collect())
            }
            Err(error) => Answer::Error(format!("{error:?}")),
        });
    }
    answers
}

/// A value as PostgreSQL writes it, or its bytes where nobody has to read it.
struct Written(String);

impl<'a> FromSql<'a> for Written {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let plain = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        Ok(Self(match *kind {
            Type::INT2 => i16::from_sql(kind, raw)?.to_string(),
            Type::INT4 => i32::from_sql(kind, raw)?.to_string(),
            Type::INT8 => i64::from_sql(kind, raw)?.to_string(),
            Type::BOOL => if raw == [1] { "t" } else { "f" }.to_owned(),
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::JSON
            | Type::XML
            | Type::UNKNOWN => plain(raw)?,
            Type::JSONB => plain(&raw[1..])?,
            _ => raw.iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
