//! The crate's promises, from outside.

mod bounds;
mod bypass;
mod complete;
mod covered;
mod exposes;
mod golden;
mod moves;
