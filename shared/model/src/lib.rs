//! The vocabulary that every part of Countersign shares.
//!
//! Plain values and nothing else: no I/O, no async, no serialisation. What crosses a process boundary is
//! converted in `countersign-wire`; what a protocol says is turned into these words before policy looks at it.

mod approval;
mod binding;
mod class;
mod decision;
mod digest;
mod fact;
mod id;
mod name;
mod principal;
mod refusal;
mod resolution;
mod secret;
mod session;

pub use approval::{ApprovalOutcome, ApprovalState};
pub use binding::{Binding, Parameter};
pub use class::{DataClass, Detector, TaggedColumn};
pub use decision::{Decision, Determining, Durability, Hold, Obligations, Requirement, Verdict};
pub use digest::{Attachment, OperationDigest, OperationToSign, PostgresOperation};
pub use fact::{Action, Fact, OperationContext, Resource};
pub use id::{ApprovalId, IdError, OperationId, RecordingId, SessionId};
pub use name::{Name, NameError};
pub use principal::{Principal, PrincipalKind};
pub use refusal::{Culprit, Reason, Refusal, RefusalKind};
pub use resolution::{NameKind, ObjectClass, ObjectVersion, Resolution, ResolvedName};
pub use secret::Secret;
pub use session::{Identity, SessionFacts};
