//! `get KIND [NAME]`: the nouns' `list` and `show` under one name.

use crate::{
    connection::ConnectionArgs,
    failure::{Exit, Failure},
    output::Output,
    resource::Kind,
};

use super::resources::{list, show};

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// Zone, Target, DataClass, Agent or PolicyBundle.
    kind: Kind,
    /// One of them; all if left out.
    name: Option<String>,
}

pub(crate) async fn run(args: GetArgs, at: &ConnectionArgs, out: &mut Output) -> Result<Exit, Failure> {
    let connection = at.connect().await?;
    match args.name {
        Some(name) => show(args.kind, name, &connection, out).await,
        None => list(args.kind, &connection, out).await,
    }
}
