//! The control plane's daemon.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use countersign_control_plane::{Config, ControlPlane};
use countersign_runtime::arm_failpoints;
use tokio::signal::unix::{SignalKind, signal};

/// The control plane of a Countersign deployment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file; the environment (COUNTERSIGN_CP__A__B for a.b) is laid over it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Check the configuration, say everything that is wrong with it, and end: 0 if nothing is, else 1.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.check {
        return check(&config);
    }
    countersign_telemetry::init();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(config: &Config) -> ExitCode {
    let faults = config.faults();
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    arm_failpoints()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = ControlPlane::start(config).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}
