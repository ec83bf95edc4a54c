//! The edge agent: settings, listeners, threads for sessions, and the wiring of the uplink to the protocols.
//!
//! A new protocol is a crate below `protocols/`, a listener here, and one line that serves it.

mod config;
mod directory;
mod running;
mod workers;

pub use config::{Config, ConfigError, ControlPlaneConfig, ListenerConfig, Listeners, SpoolConfig};
pub use running::{Running, start};
