//! Every promise, kept by the real binaries against real servers and judged by real clients.
//!
//! `promises.toml` beside this crate names them; `integration-tests/run` fails if one of them did not run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds something else than it expects has to fail, loudly and at once"
)]

mod canaries;
mod clients;
mod edge;
mod emulator;
mod enrolment;
mod failpoints;
mod holds;
mod identities;
mod masking;
mod outage;
mod people;
mod pipelines;
mod policies;
mod recordings;
mod restart;
mod revocation;
mod road;
mod shadowing;
mod smuggling;
mod stack;
mod supervised;
mod surface;
mod tap;
mod target;
mod tokens;
mod tokio_postgres;
mod transactions;
mod votes;
mod wire;
