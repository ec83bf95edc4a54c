//! The command line as a whole: its global options and one line per command.

mod apply;
mod approvals;
mod diff;
mod edges;
mod get;
mod input;
mod recordings;
mod resources;
mod revocation;
mod sessions;
mod token;

use clap::{Parser, Subcommand};

use crate::{
    connection::ConnectionArgs,
    failure::{Exit, Failure},
    output::{Format, Output},
    resource::Kind,
};

/// Just-in-time access for AI agents: the command line of admins and approvers.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed (or diff found a difference), 2 usage, 3 denied, 4 timed out \
                  (or a revocation that nobody confirmed), 5 verification failed."
)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a test token of a development server.
    Token(token::TokenArgs),
    /// Creates or updates the resources of a file; all of them are validated first.
    Apply(apply::ApplyArgs),
    /// Prints resources of a kind, or one of them.
    Get(get::GetArgs),
    /// Shows what apply would change; exit 0 if nothing, 1 if something.
    Diff(diff::DiffArgs),
    /// Protected resources.
    #[command(subcommand)]
    Targets(resources::ResourceCommand),
    /// Data classes: what comes back masked unless policy permits to unmask it.
    #[command(subcommand)]
    Classes(resources::ResourceCommand),
    /// Registered callers.
    #[command(subcommand)]
    Agents(resources::ResourceCommand),
    /// Network zones.
    #[command(subcommand)]
    Zones(resources::ResourceCommand),
    /// Policy bundles.
    #[command(subcommand)]
    Policies(resources::ResourceCommand),
    /// Edges, and the tokens with which they join.
    #[command(subcommand)]
    Edges(edges::EdgeCommand),
    /// Operations that wait for people's votes.
    #[command(subcommand)]
    Approvals(approvals::ApprovalCommand),
    /// Sessions.
    #[command(subcommand)]
    Sessions(sessions::SessionCommand),
    /// Recordings of sessions.
    #[command(subcommand)]
    Recordings(recordings::RecordingCommand),
}

impl Cli {
    /// The form of results that was asked for.
    pub(crate) fn format(&self) -> Format {
        self.output
    }

    /// Does what the command line says.
    pub(crate) async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let at = &self.connection;
        match self.command {
            Command::Token(args) => token::run(args, at, out).await,
            Command::Apply(args) => apply::run(args, at, out).await,
            Command::Get(args) => get::run(args, at, out).await,
            Command::Diff(args) => diff::run(args, at, out).await,
            Command::Targets(command) => resources::run(Kind::Target, command, at, out).await,
            Command::Classes(command) => resources::run(Kind::DataClass, command, at, out).await,
            Command::Agents(command) => resources::run(Kind::Agent, command, at, out).await,
            Command::Zones(command) => resources::run(Kind::Zone, command, at, out).await,
            Command::Policies(command) => resources::run(Kind::PolicyBundle, command, at, out).await,
            Command::Edges(command) => edges::run(command, at, out).await,
            Command::Approvals(command) => approvals::run(command, at, out).await,
            Command::Sessions(command) => sessions::run(command, at, out).await,
            Command::Recordings(command) => recordings::run(command, at, out).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_read() {
        for line in [
            "token --agent reader",
            "token --user dana",
            "token --agent reader --zone dev",
            "apply -f -",
            "apply -f shop.yaml --dry-run",
            "get target",
            "get zones dev -o json",
            "diff -f shop.yaml",
            "targets list",
            "agents show reader",
            "zones list -o json",
            "policies list",
            "edges list",
            "edges join-token --zone dev",
            "sessions list",
            "sessions show se_1",
            "sessions kill se_1",
            "sessions kill se_1 --reason oops",
            "agents delete reader",
            "edges delete e1 -o json",
            "approvals list",
            "approvals list --state pending,approved -o json",
            "approvals show ap_1",
            "approvals approve ap_1 --reason fine",
            "approvals approve ap_1 --fingerprint 00ff",
            "approvals deny ap_1 --reason no",
            "approvals revoke ap_1 --reason no",
            "approvals watch -o json",
            "recordings list",
            "recordings replay re_1",
            "recordings export re_1 --to dir",
            "recordings verify dir --key key -o json",
            "--addr https://h --ca c --token-file t targets list",
        ] {
            let args = std::iter::once("countersign").chain(line.split(' '));
            assert!(Cli::try_parse_from(args).is_ok(), "{line}");
        }
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for line in [
            "token",
            "token --agent a --user b",
            "get secrets",
            "targets drop",
            "apply",
            "frobnicate",
            "approvals list --state maybe",
            "approvals approve",
            "approvals approve ap_1 --fingerprint xyz",
            "sessions kill",
        ] {
            let args = std::iter::once("countersign").chain(line.split(' '));
            let error = Cli::try_parse_from(args).expect_err(line);
            assert!(error.use_stderr(), "{line}");
        }
    }
}
