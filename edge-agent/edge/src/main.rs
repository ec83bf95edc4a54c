//! `countersign-edge --config FILE`: one edge of one zone.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use countersign_edge::{Config, start};
use countersign_runtime::{Termination, arm_failpoints};
use tracing::{error, info};

/// One edge of one zone.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file with the settings; COUNTERSIGN_EDGE__A__B sets a.b over it.
    #[arg(long)]
    config: PathBuf,
    /// Only say whether the settings are good.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    countersign_telemetry::init();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            error!(%error, "the settings cannot be used");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        info!("the settings are good");
        return ExitCode::SUCCESS;
    }
    // Fails only if a provider is installed already, and nothing before this line could have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    arm_failpoints()?;
    let mut termination = Termination::watch()?;
    let edge = start(config).await?;
    termination.wanted().await;
    info!("stopping");
    edge.shutdown().await;
    Ok(())
}
