//! `approvals`: what waits for people's votes, and the votes. A vote is bound to the card that its voter was
//! shown: it carries the fingerprint of that one, and the control plane refuses it for any other.

mod card;
mod watch;

use countersign_model::ApprovalState;
use countersign_wire::v1::{
    self, Approval, GetApprovalRequest, ListApprovalsRequest, RecordedFact, RevokeApprovalRequest,
    VoteRequest,
};

use crate::{
    connection::{Connection, ConnectionArgs, all_pages, answer},
    escape::escaped,
    failure::{Exit, Failure},
    output::{Format, Output, instant},
    proto_json::{all_to_json, to_json},
};

use super::{revocation, sessions::principal};

/// Approvals on a page: each may have 2 MiB of statement and parameters, and more, and a page is one message.
const PAGE: u32 = 16;
/// Characters of a resource's name in a table or a line.
const NAME_COLUMNS: usize = 48;

/// What to do with approvals.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ApprovalCommand {
    /// All that you may see, newest first.
    List {
        /// Only these states: pending, approved, denied, expired, cancelled, superseded, consumed.
        #[arg(long = "state", value_name = "STATE,…", value_delimiter = ',', value_parser = state)]
        states: Vec<ApprovalState>,
    },
    /// The card of one of them: who asks for what, exactly.
    ///
    /// What the caller wrote stands behind `|`, and behind `:` where a line of it is longer than a row; characters
    /// that do not show are written as \u{…}.
    Show {
        /// Its id: ap_ and a UUID.
        id: String,
    },
    /// Shows the card and votes for it; exit 3 if you may not.
    Approve(VoteArgs),
    /// Shows the card and votes against it, which is final; exit 3 if you may not.
    Deny(VoteArgs),
    /// Takes one back, whatever became of it: if it was used, its session is ended. Exit 4 if nobody confirms
    /// that.
    Revoke {
        /// Its id: ap_ and a UUID.
        id: String,
        /// Why; kept with what was done.
        #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
        reason: String,
    },
    /// Prints each one as it comes and whenever it changes, until it is interrupted; exit 1 if the control plane
    /// is lost.
    Watch,
}

/// A vote.
#[derive(Debug, clap::Args)]
pub(crate) struct VoteArgs {
    /// Id of the approval: ap_ and a UUID.
    id: String,
    /// Why; at most 1,000 characters, for all who may see the approval.
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    reason: String,
    /// Vote on what an earlier `show` had this fingerprint for, and on nothing else.
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<String>,
}

pub(crate) async fn run(
    command: ApprovalCommand,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let connection = at.connect().await?;
    match command {
        ApprovalCommand::List { states } => print_list(&all(&connection, &states).await?, out)?,
        ApprovalCommand::Show { id } => {
            let approval = approval(&connection, id).await?;
            match out.format() {
                Format::Json => out.json(&to_json(&approval)?)?,
                Format::Table => card::print(&approval, out)?,
            }
        }
        ApprovalCommand::Approve(args) => vote(true, args, &connection, out).await?,
        ApprovalCommand::Deny(args) => vote(false, args, &connection, out).await?,
        ApprovalCommand::Revoke { id, reason } => return revoke(id, reason, &connection, out).await,
        ApprovalCommand::Watch => return watch::run(&connection, out).await,
    }
    Ok(Exit::Done)
}

async fn all(connection: &Connection, states: &[ApprovalState]) -> Result<Vec<Approval>, Failure> {
    let states: Vec<i32> = states.iter().map(|state| v1::ApprovalState::from(*state).into()).collect();
    all_pages(async |page_token| {
        let request = ListApprovalsRequest { states: states.clone(), page_size: PAGE, page_token };
        let page = answer(connection.approvals().list_approvals(request)).await?;
        Ok((page.approvals, page.next_page_token))
    })
    .await
}

async fn approval(connection: &Connection, id: String) -> Result<Approval, Failure> {
    answer(connection.approvals().get_approval(GetApprovalRequest { id })).await
}

async fn vote(
    approve: bool,
    args: VoteArgs,
    connection: &Connection,
    out: &mut Output,
) -> Result<(), Failure> {
    let VoteArgs { id, reason, fingerprint } = args;
    let shown = approval(connection, id.clone()).await?;
    if out.format() == Format::Table {
        card::print(&shown, out)?;
        // No vote on a card that nobody could read.
        out.flush()?;
    }
    if approve && fingerprint.is_none() && shown.card.is_none() && shown.state() == v1::ApprovalState::Pending
    {
        return Err(Failure::failed(
            "the control plane does not show what is asked, so there is no vote for it",
        ));
    }
    let fingerprint = fingerprint.unwrap_or(shown.fingerprint);
    let request = VoteRequest { id, fingerprint, approve, reason };
    let voted = answer(connection.approvals().vote(request)).await?;
    match out.format() {
        Format::Json => out.json(&to_json(&voted)?),
        Format::Table => out.line(&standing(&voted)),
    }
}

async fn revoke(
    id: String,
    reason: String,
    connection: &Connection,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let request = RevokeApprovalRequest { id, reason };
    let revoked = answer(connection.approvals().revoke_approval(request)).await?;
    let revocation = revoked.revocation.as_ref();
    match out.format() {
        Format::Json => out.json(&to_json(&revoked)?)?,
        Format::Table => {
            let approval = revoked.approval.clone().unwrap_or_default();
            revocation::print(&standing(&approval), revocation, out)?;
        }
    }
    // Unset where no session had to be ended.
    Ok(revocation.map_or(Exit::Done, revocation::exit))
}

fn print_list(approvals: &[Approval], out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(&all_to_json(approvals)?),
        Format::Table => {
            let rows: Vec<_> = approvals.iter().map(row).collect();
            out.table(["ID", "STATE", "CALLER", "TARGET", "HELD", "VOTES", "UNTIL"], &rows)
        }
    }
}

fn row(approval: &Approval) -> [String; 7] {
    let session = approval.session.clone().unwrap_or_default();
    [
        approval.id.clone(),
        state_word(approval).to_owned(),
        principal(session.principal.as_ref()),
        session.target,
        held(&approval.held),
        votes(approval),
        until(approval),
    ]
}

/// What becomes of it as far as that is known, on one line.
fn standing(approval: &Approval) -> String {
    let votes = match approval.state() {
        v1::ApprovalState::Pending => format!(": {}", votes(approval)),
        _ => String::new(),
    };
    format!("{} {}{votes}", approval.id, state_word(approval))
}

/// The first pair that holds it, and how many more do.
fn held(held: &[RecordedFact]) -> String {
    let Some((first, more)) = held.split_first() else { return String::new() };
    let resource = escaped(&first.resource);
    let mut name: String = resource.chars().take(NAME_COLUMNS).collect();
    if name != resource {
        name.push('…');
    }
    let more = if more.is_empty() { String::new() } else { format!(" +{}", more.len()) };
    format!("{} {name}{more}", first.action)
}

/// The people who voted for it of those who are needed, by group.
fn votes(approval: &Approval) -> String {
    let given = |needed: &v1::Requirement| format!("{} {}/{}", needed.group, needed.given, needed.quorum);
    approval.requirements.iter().map(given).collect::<Vec<_>>().join(", ")
}

/// The end of the time for voting, or for use; nothing once it is final.
fn until(approval: &Approval) -> String {
    match approval.state() {
        v1::ApprovalState::Pending => instant(approval.expires_at.as_ref()),
        v1::ApprovalState::Approved => instant(approval.use_until.as_ref()),
        _ => String::new(),
    }
}

fn state_word(approval: &Approval) -> &'static str {
    ApprovalState::try_from(approval.state()).map_or("unknown", ApprovalState::as_str)
}

fn state(word: &str) -> Result<ApprovalState, String> {
    let known = ApprovalState::ALL.into_iter().find(|state| state.as_str() == word);
    known.ok_or_else(|| {
        format!("expected one of {}", ApprovalState::ALL.map(ApprovalState::as_str).join(", "))
    })
}

fn fingerprint(text: &str) -> Result<String, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { Ok(text.to_ascii_lowercase()) } else { Err("expected hexadecimal digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::tests::Captured, tests::fixture};

    fn listed(approval: Approval, format: Format) -> String {
        let captured = Captured::default();
        print_list(&[approval], &mut captured.output(format)).expect("printed");
        captured.text()
    }

    #[test]
    fn an_approval_is_a_row_or_its_message() {
        let text = listed(fixture::approval(), Format::Table);
        let row: Vec<&str> =
            text.lines().nth(1).expect("a row").split("  ").filter(|s| !s.is_empty()).collect();
        assert_eq!(
            row.iter().map(|cell| cell.trim()).collect::<Vec<_>>(),
            [
                "ap_1",
                "pending",
                "writer",
                "shop",
                "postgres:delete Table shop.public.orders",
                "dba 0/1, security 1/2",
                "2023-11-14T22:28:20Z"
            ]
        );
        let json: serde_json::Value =
            serde_json::from_str(&listed(fixture::approval(), Format::Json)).expect("JSON");
        assert_eq!(json.pointer("/items/0/state"), Some(&"APPROVAL_STATE_PENDING".into()));
        assert_eq!(json.pointer("/items/0/card/statement"), Some(&fixture::STATEMENT.into()));
        let unmasking = Approval { unmasks: vec!["email".into()], ..fixture::approval() };
        let json: serde_json::Value = serde_json::from_str(&listed(unmasking, Format::Json)).expect("JSON");
        assert_eq!(json.pointer("/items/0/unmasks"), Some(&serde_json::json!(["email"])));
    }

    #[test]
    fn a_name_that_is_long_or_deceives_is_cut_and_escaped() {
        let fact =
            |resource: &str| RecordedFact { action: "postgres:delete".into(), resource: resource.into() };
        assert_eq!(held(&[fact("Table a"), fact("Table b")]), "postgres:delete Table a +1");
        assert_eq!(held(&[fact("\u{202e}\n")]), "postgres:delete \\u{202e}\\n");
        assert_eq!(held(&[fact(&"x".repeat(1000))]).chars().count(), 16 + NAME_COLUMNS + 1);
    }

    #[test]
    fn what_is_not_decided_says_what_it_waits_for() {
        let mut approval = fixture::approval();
        assert_eq!(standing(&approval), "ap_1 pending: dba 0/1, security 1/2");
        approval.set_state(v1::ApprovalState::Denied);
        assert_eq!(standing(&approval), "ap_1 denied");
        assert_eq!(until(&approval), "");
        approval.state = 99;
        assert_eq!(standing(&approval), "ap_1 unknown");
    }

    #[test]
    fn states_and_fingerprints_are_read_strictly() {
        assert_eq!(state("superseded"), Ok(ApprovalState::Superseded));
        assert!(state("Pending").is_err() && state("").is_err());
        assert_eq!(fingerprint("00FF"), Ok("00ff".to_owned()));
        assert!(fingerprint("").is_err() && fingerprint("0x").is_err());
    }
}
