//! The crate's promises, from outside.

mod bounds;
mod bypass;
mod complete;
mod covered;
mod golden;
mod moves;
