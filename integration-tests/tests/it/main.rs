//! Every promise, kept by the real binaries against real servers and judged by real clients.
//!
//! `promises.toml` beside this crate names them; `integration-tests/run` fails if one of them did not run.

mod emulator;
mod enrolment;
mod policies;
mod recordings;
mod restart;
mod road;
mod stack;
mod surface;
mod tokens;
