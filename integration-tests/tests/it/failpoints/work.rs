//! What an agent and people do, over and over, each time in a session of its own and with a row of its own.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, Config, Error, config::SslMode};

use super::World;
use crate::{stack::Stack, tokio_postgres::tls::Tls};

/// Longest that a step takes, with every wait for a daemon that starts again.
const STEP: Duration = Duration::from_secs(90);

/// A session and what is done in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// An INSERT that policy allows alone, and a read.
    Alone,
    /// An INSERT that a person approves.
    Held,
    /// A transaction of an INSERT, a read and its end.
    Transaction,
    /// An INSERT that waits until an admin takes the request back.
    Revoked,
}

/// What came of a step.
#[derive(Debug)]
pub(super) struct Done {
    /// The user name, by which its session is found.
    pub(super) user: String,
    /// What its row says; in no other row.
    pub(super) marker: String,
    /// How often the row may be there.
    pub(super) rows: &'static [u32],
    /// It did not end as it does where nothing dies.
    pub(super) cut: bool,
    /// The edge died while it was under way.
    pub(super) edge_died: bool,
    /// What the client was told in the end.
    pub(super) told: String,
}

impl Step {
    pub(super) const ALL: [Self; 4] = [Self::Alone, Self::Held, Self::Transaction, Self::Revoked];

    pub(super) fn take(self, world: &World, number: u32) -> Done {
        let (user, marker) = (format!("step-{number}"), format!("row-{number}-{}", uuid::Uuid::new_v4()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let told = runtime.block_on(async {
            let taken = tokio::time::timeout(STEP, self.taken(world, &user, number, &marker)).await;
            taken.unwrap_or_else(|_| panic!("{self:?} hangs\n{}", world.log()))
        });
        // A person may still be about to vote on what is over.
        runtime.shutdown_timeout(Duration::from_secs(30));
        let (cut, rows): (_, &[u32]) = match (self, &told) {
            (Self::Revoked, Err(error)) => (code(error) != "42501", &[0]),
            (Self::Revoked, Ok(())) => panic!("what was taken back ran"),
            (_, Ok(())) => (false, &[1]),
            (_, Err(_)) => (true, &[0, 1]),
        };
        Done { user, marker, rows, cut, edge_died: false, told: format!("{told:?}") }
    }

    async fn taken(self, world: &World, user: &str, number: u32, marker: &str) -> Result<(), Error> {
        let (mut client, held) = open(world, user).await?;
        let free = format!("INSERT INTO failing_free VALUES ({number}, '{marker}')");
        let count = format!("SELECT count(*) FROM failing_free WHERE note = '{marker}'");
        let asks = format!("INSERT INTO failing (id, status) VALUES ({number}, '{marker}')");
        match self {
            Self::Alone => {
                client.batch_execute(&free).await?;
                assert_eq!(client.query_one(&count, &[]).await?.get::<_, i64>(0), 1);
                Ok(())
            }
            Self::Transaction => {
                let transaction = client.transaction().await?;
                assert_eq!(transaction.execute(&free, &[]).await?, 1);
                assert_eq!(transaction.query_one(&count, &[]).await?.get::<_, i64>(0), 1);
                transaction.commit().await
            }
            Self::Held => {
                let token = world.stack.user_token("dana");
                held_until(&client, &asks, held, world.people.clone(), move |people, id| {
                    let vote = ["approvals", "approve", id, "--reason", "looks right"];
                    people.cli_with(&token, &vote).status.success()
                })
                .await
            }
            Self::Revoked => {
                held_until(&client, &asks, held, world.people.clone(), |people, id| {
                    people.cli(&["approvals", "revoke", id, "--reason", "not today"]).status.success()
                })
                .await
            }
        }
    }
}

/// A session of the writer, and the ids of the approvals that its statements wait for.
async fn open(world: &World, user: &str) -> Result<(Client, UnboundedReceiver<String>), Error> {
    let (plain, parameters) = world.dsn.split_once('?').expect("parameters");
    let (_, root) = parameters.split_once("sslrootcert=").expect("a root");
    let mut config: Config = plain.parse().expect("a connection string");
    config.user(user).ssl_mode(SslMode::Require).password(world.stack.token("writer"));
    let (client, mut connection) = config.connect(Tls::trusting(root.as_ref())).await?;
    let (hold, held) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message
                && let Ok(said) = serde_json::from_str::<Value>(notice.detail().unwrap_or_default())
                && let Some(id) = said["approval_id"].as_str()
            {
                let _ = hold.send(id.to_owned());
            }
        }
    });
    Ok((client, held))
}

/// Sends what waits for people, and has them do something about it: again, if the control plane died while
/// they did.
async fn held_until(
    client: &Client,
    sql: &str,
    mut held: UnboundedReceiver<String>,
    people: Arc<Stack>,
    act: impl Fn(&Stack, &str) -> bool + Send + 'static,
) -> Result<(), Error> {
    let mut statement = pin!(client.execute(sql, &[]));
    let acting = async {
        let Some(id) = held.recv().await else { return };
        let acted = tokio::task::spawn_blocking(move || {
            while !act(&people, &id) && is_pending(&people, &id) {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        acted.await.expect("people act");
    };
    let executed = tokio::select! {
        executed = &mut statement => executed,
        () = acting => statement.await,
    };
    executed.map(|rows| assert_eq!(rows, 1))
}

/// Whether an approval is open, or nobody can say.
fn is_pending(people: &Stack, id: &str) -> bool {
    let shown = people.cli(&["-o", "json", "approvals", "show", id]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    shown["state"].is_null() || shown["state"] == "APPROVAL_STATE_PENDING"
}

/// The SQLSTATE that the client was told, if it was told one.
fn code(error: &Error) -> &str {
    error.code().map_or("", |code| code.code())
}
