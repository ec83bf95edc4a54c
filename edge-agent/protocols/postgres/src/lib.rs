//! PostgreSQL in the data path: a server to the agent, a client to the target, and the gate's typed road between.
//!
//! [`serve`] takes one TCP connection from its first byte to its last: TLS, login by token, simple queries, each
//! resolved against the catalog, decided, recorded, sent, and answered in recorded batches. The extended query
//! protocol, COPY, function calls, replication and cancel requests are refused in words that clients understand.
//!
//! Pure parts (`codec`, `reply`, `startup`, `question`) know no socket. `line` alone can write to a target, and only
//! what the gate permitted or the closed list in `control`; `session` is the driver that owns the sockets.

mod arrival;
mod cancels;
mod catalog;
mod client;
mod codec;
mod control;
mod inlet;
mod limits;
mod line;
mod masking;
mod outlook;
mod pins;
mod prepared;
mod question;
mod reply;
mod session;
mod sqlstate;
mod startup;
mod stop;
mod target;
mod tracked;
mod transaction;

pub use cancels::Cancels;
pub use limits::Limits;
pub use session::serve;
pub use target::{
    ApprovedOn, LoginRole, PostgresTarget, Roles, TargetDirectory, TrustError, verify_with,
    verify_with_system_roots,
};
