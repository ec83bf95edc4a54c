//! A session of the writer by tokio-postgres, with what it is told beside its answers.

use std::{error::Error, future::poll_fn};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config,
    config::SslMode,
    types::{FromSql, IsNull, ToSql, Type, private::BytesMut},
};

use super::tls::Tls;
use crate::target::Target;

pub(super) struct Session {
    pub(super) client: Client,
    /// Ids of the approvals that its statements wait for.
    pub(super) held: UnboundedReceiver<String>,
    pub(super) token: CancelToken,
    pub(super) tls: Tls,
}

impl Session {
    pub(super) async fn open(target: &Target<'_>) -> Self {
        let tls = Tls::trusting(&target.stack.ready.ca);
        let dsn = target.dsn();
        let (plain, _) = dsn.split_once('?').expect("parameters");
        let mut config: Config = plain.parse().expect("a connection string");
        config.ssl_mode(SslMode::Require).password(target.stack.token("writer")).options("-c TimeZone=UTC");
        let (client, mut connection) = config.connect(tls.clone()).await.expect("a session");
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
        let token = client.cancel_token();
        Self { client, held, token, tls }
    }

    /// Asks, on a connection of its own, that what runs be cancelled.
    pub(super) async fn cancel(&self) {
        self.token.cancel_query(self.tls.clone()).await.expect("asked");
    }
}

/// The SQLSTATE of what has to be an error and, where DETAIL is ours, what it says.
pub(super) fn refusal<T>(result: Result<T, tokio_postgres::Error>) -> Value {
    let Err(error) = result else { panic!("it is not refused") };
    let error = error.as_db_error().unwrap_or_else(|| panic!("the client gave up by itself: {error:?}"));
    let said: Value = serde_json::from_str(error.detail().unwrap_or_default()).unwrap_or_default();
    let mut refusal = json!({ "sqlstate": error.code().code() });
    for name in ["decision", "reason"] {
        if let Some(word) = said.get(name) {
            refusal[name] = word.clone();
        }
    }
    refusal
}

/// A numeric in its binary form, for which tokio-postgres has no type.
#[derive(Debug, PartialEq)]
pub(super) struct Numeric(Vec<u8>);

impl Numeric {
    /// -12345678901234567890.01234567890
    pub(super) fn example() -> Self {
        // Digits to the base of 10,000, the weight of the first, the sign, and decimal places that are shown.
        let words: [u16; 12] = [8, 4, 0x4000, 11, 1234, 5678, 9012, 3456, 7890, 123, 4567, 8900];
        Self(words.iter().flat_map(|word| word.to_be_bytes()).collect())
    }
}

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Numeric {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_owned()))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}
