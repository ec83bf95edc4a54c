//! Policy: what an operation touches goes in, Allow, Hold or Deny comes out.
//!
//! Bundles are Cedar, validated strictly against the published [`SCHEMA`], and deny by default. Two things are
//! ours: a forbid that people can lift (`@approvers("dba") forbid (…) unless { context.approved };`) makes a Hold,
//! and whatever goes wrong, an evaluation error included, is Deny. A decision depends on its arguments and the
//! compiled bundles alone; nothing is remembered between two of them.

mod annotation;
mod approved;
mod compile;
mod context;
mod decide;
mod entity;
mod index;
mod nesting;
mod revision;

pub use annotation::AnnotationFault;
pub use approved::ApprovedFault;
pub use compile::{
    CompileError, CompiledPolicies, MAX_BUNDLE_BYTES, MAX_BUNDLES, MAX_POLICIES, MAX_TOTAL_BYTES,
};
pub use decide::{Explanation, MAX_FACTS, PairExplanation, PolicyFault};
pub use entity::{MAX_ROLES, MAX_SEGMENT_BYTES};
pub use nesting::{MAX_DEPTH, MAX_OPERATORS};
pub use revision::revision;

/// The published schema, in Cedar's human syntax: the contract that bundles are written against.
pub const SCHEMA: &str = include_str!("countersign.cedarschema");

#[cfg(test)]
mod tests;
