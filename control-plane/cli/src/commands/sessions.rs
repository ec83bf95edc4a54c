//! `sessions`: who is, or was, at which target, and how one is ended.

use countersign_wire::v1::{
    GetSessionRequest, KillSessionRequest, ListSessionsRequest, Principal, Session, SessionState,
};

use crate::{
    connection::{Connection, ConnectionArgs, all_pages, answer},
    failure::{Exit, Failure},
    output::{Format, Output, instant},
    proto_json::{all_to_json, to_json},
};

use super::revocation;

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
    /// Ends one at once, whatever it is doing, and says whether its connections are cut; exit 4 if nobody confirms
    /// it.
    Kill {
        /// Its id: se_ and a UUID.
        id: String,
        /// Why; kept with what was done.
        #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
        reason: String,
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
        SessionCommand::Kill { id, reason } => {
            let request = KillSessionRequest { id, reason };
            let killed = answer(connection.sessions().kill_session(request)).await?;
            // Unconfirmed unless somebody says otherwise.
            let revocation = killed.revocation.unwrap_or_default();
            match out.format() {
                Format::Json => out.json(&to_json(&killed)?)?,
                Format::Table => out.line(&revocation::in_words(&revocation))?,
            }
            return Ok(revocation::exit(&revocation));
        }
    }
    Ok(Exit::Done)
}

async fn all(connection: &Connection) -> Result<Vec<Session>, Failure> {
    all_pages(async |page_token| {
        let request = ListSessionsRequest { page_size: 0, page_token };
        let page = answer(connection.sessions().list_sessions(request)).await?;
        Ok((page.sessions, page.next_page_token))
    })
    .await
}

fn print_list(sessions: &[Session], out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(&all_to_json(sessions)?),
        Format::Table => {
            let rows: Vec<_> = sessions.iter().map(row).collect();
            out.table(["ID", "STATE", "PRINCIPAL", "TARGET", "ZONE", "OPENED", "CLOSED", "BECAUSE"], &rows)
        }
    }
}

fn row(session: &Session) -> [String; 8] {
    [
        session.id.clone(),
        state(session).to_owned(),
        principal(session.principal.as_ref()),
        session.target.clone(),
        session.zone.clone(),
        instant(session.opened_at.as_ref()),
        instant(session.closed_at.as_ref()),
        session.closed_because.clone(),
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
        ("closed because", session.closed_because.clone()),
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
            "ID    STATE  PRINCIPAL  TARGET  ZONE  OPENED  CLOSED  BECAUSE\n\
             se_1  open   reader     shop    dev   -       -       -\n"
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
