//! Logging of the daemons. Called by mains only; everything else just uses `tracing`.
//!
//! Logs go to stderr: stdout belongs to ready lines and results. No token, parameter or row is ever a field.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Installs the process's subscriber: text on a terminal, JSON lines otherwise. `COUNTERSIGN_LOG` filters, in the
/// syntax of `tracing_subscriber::EnvFilter`; without it, `info` of ours and `warn` of others.
///
/// A second call does nothing: an all-in-one process has one log.
pub fn init() {
    let filter =
        EnvFilter::try_from_env("COUNTERSIGN_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // `Err` means that a subscriber is there already.
    let _ = if std::io::stderr().is_terminal() {
        registry.with(layer).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
}

const DEFAULT_FILTER: &str = "warn,countersign=info,countersign_core=info,countersign_control_plane=info,\
    countersign_entra=info,countersign_edge=info,countersign_uplink=info,countersign_spool=info,\
    countersign_postgres=info,countersign_dev=info";
