//! Covering what is sensitive: in rows, in errors and notices, and in what the recording shows of a statement.
//!
//! A result column is told by where its values come from, which the target says with the rows: the table and attribute
//! that it is a plain reference to. Once a statement reaches tagged columns, be it through views, every column that is
//! not a plain reference to an untagged one is covered, since what it was computed from cannot be told; plain counts are
//! not. In other text, detectors look. Covered values are all alike, NULL or not: neither length nor absence shows.

mod cover;
mod look;
mod messages;
mod origin;
mod plan;
mod rows;
mod tags;

pub(crate) use look::{Look, Reaches};
pub(crate) use rows::ReplyMasker;
pub(crate) use tags::{Row, Tags, numbered};
