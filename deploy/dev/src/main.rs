//! `countersign-dev`: the whole of Countersign in one process tree, with the target of the story, for development
//! and tests. Never for production: its Entra is an emulator that issues any token to anybody on this machine.

mod arguments;
mod development;
mod pem;
mod postgres;
mod ready;
mod resources;
mod stack;
mod tokens;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;

use crate::{arguments::Arguments, stack::Stack};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    countersign_telemetry::init();
    // Fails only if a provider is installed already, and nothing before this line could have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (settings, json) = arguments.settings()?;
    let stack = Stack::start(settings).await?;
    let line = if json { ready::line(&stack)? } else { ready::words(&stack) };
    writeln!(std::io::stdout(), "{line}")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stack.shutdown().await;
    Ok(())
}
