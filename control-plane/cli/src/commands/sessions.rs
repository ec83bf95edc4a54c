//! `sessions`: who is, or was, at which target.

use countersign_wire::v1::{GetSessionRequest, ListSessionsRequest, Principal, Session, SessionState};

use crate::{
    connection::{Connection, ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output, instant},
    proto_json::to_json,
};

/// What to do with sessions.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SessionCommand {
    /// All of them, newest first.
    List,
    /// One of them.
    Show {
        /// Its id: se_ and a UUID.
        id: String,
    },
}

pub(crate) async fn run(
    command: SessionCommand,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let connection = at.connect().await?;
    match command {
        SessionCommand::List => print_list(&all(&connection).await?, out)?,
        SessionCommand::Show { id } => {
            let session = answer(connection.sessions().get_session(GetSessionRequest { id })).await?;
            print_one(&session, out)?;
        }
    }
    Ok(Exit::Done)
}

async fn all(connection: &Connection) -> Result<Vec<Session>, Failure> {
    let mut sessions = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSessionsRequest { page_size: 0, page_token };
        let page = answer(connection.sessions().list_sessions(request)).await?;
        sessions.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(sessions);
        }
    }
}

fn print_list(sessions: &[Session], out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(&sessions.iter().map(to_json).collect::<Result<Vec<_>, _>>()?),
        Format::Table => {
            let rows: Vec<_> = sessions.iter().map(row).collect();
            out.table(["ID", "STATE", "PRINCIPAL", "TARGET", "ZONE", "OPENED", "CLOSED"], &rows)
        }
    }
}

fn row(session: &Session) -> [String; 7] {
    [
        session.id.clone(),
        state(session).to_owned(),
        principal(session.principal.as_ref()),
        session.target.clone(),
        session.zone.clone(),
        instant(session.opened_at.as_ref()),
        instant(session.closed_at.as_ref()),
    ]
}

fn print_one(session: &Session, out: &mut Output) -> Result<(), Failure> {
    if out.format() == Format::Json {
        return out.json(&to_json(session)?);
    }
    let caller = session.principal.clone().unwrap_or_default();
    out.properties(&[
        ("id", session.id.clone()),
        ("state", state(session).to_owned()),
        ("principal", principal(session.principal.as_ref())),
        ("tenant", caller.tenant_id),
        ("object", caller.object_id),
        ("app", caller.app_id),
        ("roles", caller.roles.join(", ")),
        ("token", session.token_id.clone()),
        ("target", session.target.clone()),
        ("zone", session.zone.clone()),
        ("edge", session.edge.clone()),
        ("client address", session.client_address.clone()),
        ("client user", session.client_user.clone()),
        ("opened at", instant(session.opened_at.as_ref())),
        ("deadline", instant(session.deadline.as_ref())),
        ("closed at", instant(session.closed_at.as_ref())),
        ("recording", session.recording_id.clone()),
    ])
}

/// The name of a registered agent, else the object id.
pub(crate) fn principal(principal: Option<&Principal>) -> String {
    match principal {
        Some(principal) if !principal.agent.is_empty() => principal.agent.clone(),
        Some(principal) => principal.object_id.clone(),
        None => String::new(),
    }
}

fn state(session: &Session) -> &'static str {
    match session.state() {
        SessionState::Unspecified => "",
        SessionState::Open => "open",
        SessionState::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::Captured;

    fn session() -> Session {
        Session {
            id: "se_1".into(),
            target: "shop".into(),
            zone: "dev".into(),
            state: SessionState::Open.into(),
            client_user: "\u{202e}resu\u{1b}[2J".into(),
            principal: Some(Principal { agent: "reader".into(), ..Principal::default() }),
            ..Session::default()
        }
    }

    #[test]
    fn a_session_is_a_row() {
        let captured = Captured::default();
        print_list(&[session()], &mut captured.output(Format::Table)).expect("printed");
        assert_eq!(
            captured.text(),
            "ID    STATE  PRINCIPAL  TARGET  ZONE  OPENED  CLOSED\n\
             se_1  open   reader     shop    dev   -       -\n"
        );
    }

    #[test]
    fn what_the_client_said_is_escaped() {
        let captured = Captured::default();
        print_one(&session(), &mut captured.output(Format::Table)).expect("printed");
        assert!(captured.text().contains("client user     \\u{202e}resu\\u{1b}[2J\n"), "{}", captured.text());
    }

    #[test]
    fn as_json_it_is_its_message() {
        let captured = Captured::default();
        print_one(&session(), &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(json.get("state"), Some(&"SESSION_STATE_OPEN".into()));
        assert_eq!(json.pointer("/principal/agent"), Some(&"reader".into()));
    }
}
