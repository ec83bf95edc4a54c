//! The command line of admins and approvers.
//!
//! Results go to stdout, diagnostics to stderr, and the exit code says what happened ([`Exit`]). The control plane
//! is reached over its admin API alone; recordings are verified here and not where they are kept. Each noun is one
//! file under `commands`, wired up by one line in `commands.rs`.

mod commands;
mod connection;
mod escape;
mod failure;
mod output;
mod parameter;
mod proto_json;
mod resource;
mod wrap;

#[cfg(test)]
mod tests;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;

pub use failure::{Exit, Failure};
pub use output::{Format, Output};
pub use resource::{Kind, parse_documents};

use commands::Cli;

/// Runs one command line (`args` begins with the program's name) and says how it ended; prints to stdout and stderr.
///
/// A crypto provider of rustls must be installed in the process.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return say_usage(&error),
    };
    let mut out = Output::stdout(cli.format());
    match cli.run(&mut out).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("error: {failure}");
            }
            failure.exit().into()
        }
    }
}

/// Help and version are results; everything else that clap says is a diagnostic, and it knows which is which.
fn say_usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => Exit::Done.into(),
        (false, Err(_)) => Exit::Failed.into(),
        (true, _) => Exit::Usage.into(),
    }
}
