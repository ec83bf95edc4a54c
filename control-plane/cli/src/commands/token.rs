//! `token`: test tokens of a development server, bare on stdout, fit for `PGPASSWORD=$(countersign token …)`.

use countersign_wire::v1::{IssueTokenRequest, issue_token_request::Subject};
use serde_json::json;

use crate::{
    connection::{ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
};

/// Whose token.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Zone whose audience the token carries; the only zone if there is one.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// An agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// A person.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub(crate) async fn run(args: TokenArgs, at: &ConnectionArgs, out: &mut Output) -> Result<Exit, Failure> {
    let agent = args.subject.agent.map(Subject::Agent);
    let subject = agent.or_else(|| args.subject.user.map(Subject::User));
    let request = IssueTokenRequest { subject, zone: args.zone.unwrap_or_default() };
    let issued = answer(at.connect_as_nobody().await?.development().issue_token(request)).await?;
    match out.format() {
        Format::Table => out.line(&issued.token)?,
        Format::Json => out.json(&json!({"token": issued.token}))?,
    }
    Ok(Exit::Done)
}
