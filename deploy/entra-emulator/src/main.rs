//! The emulator as a process: reads its file, says where it is in one JSON line, serves until it is told to stop.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use countersign_entra_emulator::{Config, Emulator};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A strict stand-in for Entra ID, for development and tests only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file, or JSON if its name ends in `.json`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    log.with_ansi(stderr().is_terminal()).init();

    let mut stop = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let running = Emulator::start(Config::from_file(&arguments.config)?).await?;
    let ready = json!({"ready": true, "url": running.url, "ldap": running.ldap});
    writeln!(std::io::stdout(), "{ready}").context("write the ready line")?;

    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for SIGINT")?,
        _ = stop.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}
