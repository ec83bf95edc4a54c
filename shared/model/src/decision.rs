//! What policy says about an operation.

use std::sync::Arc;

use crate::{Fact, Reason};

/// When a record counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Durability {
    /// Written to the operating system: survives the process.
    PageCache,
    /// On stable storage: survives the machine.
    Fsync,
}

/// What must be done to an operation that may run. The default is the strictest: nothing of a reply is kept
/// but its size and hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    /// Data classes that must come back masked, sorted. The road refuses an operation whose classes its
    /// protocol cannot mask.
    pub mask: Vec<Arc<str>>,
    /// Errors and notices of the target are reduced to what cannot carry a value. Set by the gate, never by policy:
    /// a decision leaves it false.
    pub reduce_text: bool,
}

/// A policy that determined a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Determining {
    /// Id of the policy: `<bundle>/<@id or position>`.
    pub policy: Arc<str>,
}

/// One group that has to approve, and how many of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// App role that a voter's token must carry.
    pub group: Arc<str>,
    /// Distinct people needed; at least 1.
    pub quorum: u32,
}

/// What a held operation waits for. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Each is met separately; sorted, without repetition.
    pub requirements: Vec<Requirement>,
    /// The pairs that hold the operation, and that an approval would lift; sorted, without repetition.
    pub pairs: Vec<Fact>,
}

/// The three answers of policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// May run as it is.
    Allow,
    /// May run once the hold's requirements are met.
    Hold(Hold),
    /// May not run.
    Deny(Reason),
}

/// The whole answer, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allow, Hold or Deny.
    pub verdict: Verdict,
    /// What must be done if it runs.
    pub obligations: Obligations,
    /// The policies that determined it, sorted; empty where none spoke.
    pub determining: Vec<Determining>,
    /// Revision of the policies that were asked: lower-case hex.
    pub revision: Arc<str>,
}
