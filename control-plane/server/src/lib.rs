//! The control plane as a process: configuration, keys on disk, two listeners, gRPC and the OIDC issuer.
//!
//! This is the only place that knows which store, which archive and which transport the use cases run on. The `edge`
//! listener asks for a client certificate everywhere but at enrolment; the `admin` listener asks for an Entra token
//! everywhere but at health, reflection and the issuer's two public documents.

mod admin;
mod config;
mod edge;
mod health;
mod issuer;
mod listener;
mod parts;
mod running;
mod status;
mod tls;

pub use config::{AdminConfig, Config, ConfigError, EdgeConfig, EntraConfig, KeysConfig, LoadError};
pub use parts::PartsError;
pub use running::{ControlPlane, ExtraServices, Running, StartError};

#[cfg(test)]
mod tests;
