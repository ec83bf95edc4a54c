//! What admins declared: zones, targets, data classes, agents and policy bundles.

use async_trait::async_trait;
use countersign_model::Name;

use crate::{Page, StoreError};

/// The kinds of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// A network zone.
    Zone,
    /// A protected resource.
    Target,
    /// What is sensitive.
    DataClass,
    /// A registered agent.
    Agent,
    /// A set of Cedar policies.
    PolicyBundle,
}

impl ResourceKind {
    /// All kinds, in the order of this type.
    pub const ALL: [Self; 5] = [Self::Zone, Self::Target, Self::DataClass, Self::Agent, Self::PolicyBundle];

    /// The word that admins write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "Zone",
            Self::Target => "Target",
            Self::DataClass => "DataClass",
            Self::Agent => "Agent",
            Self::PolicyBundle => "PolicyBundle",
        }
    }

    /// The kind that admins call so.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One resource at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Unique within its kind.
    pub name: Name,
    /// Validated and encoded by the core; the store does not look inside.
    pub spec: Vec<u8>,
    /// 1 for the first and one more with each change. A name that is deleted and used again goes on counting, so a
    /// version never means two things.
    pub version: u64,
}

/// What a writer takes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Nothing is there.
    Absent,
    /// Exactly this version is there.
    Version(u64),
}

impl Expected {
    /// Whether the expectation holds for what is there.
    pub fn holds(self, present: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => present.is_none(),
            Self::Version(version) => present == Some(version),
        }
    }
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The resource is new.
    Created,
    /// Its spec differs from before.
    Updated,
    /// The same spec was there already: version and generation stay.
    Unchanged,
}

/// The state after a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// What the put did.
    pub change: Change,
    /// Version of the resource.
    pub version: u64,
    /// Generation of the whole set.
    pub generation: u64,
}

/// Every resource at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The generation that exactly these resources make.
    pub generation: u64,
    /// In order of kind, then name.
    pub resources: Vec<Resource>,
}

/// Versioned resources by kind and name.
#[async_trait]
pub trait Resources: Send + Sync {
    /// Creates or replaces. [`StoreError::Conflict`] if `expected` does not hold, even for an equal spec.
    async fn put_resource(
        &self,
        kind: ResourceKind,
        name: &Name,
        spec: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError>;

    /// Removes, and returns the new generation. [`StoreError::NotFound`] if nothing is there and `expected` allows
    /// that, else [`StoreError::Conflict`] if it does not hold.
    async fn delete_resource(
        &self,
        kind: ResourceKind,
        name: &Name,
        expected: Expected,
    ) -> Result<u64, StoreError>;

    /// One resource, or [`StoreError::NotFound`].
    async fn resource(&self, kind: ResourceKind, name: &Name) -> Result<Resource, StoreError>;

    /// Resources of a kind in byte order of their names, from the first after `after`.
    async fn resources(
        &self,
        kind: ResourceKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page<Resource, Name>, StoreError>;

    /// All resources with the generation that they make, read in one step. Their number is bounded by what admins
    /// declared.
    async fn snapshot(&self) -> Result<Snapshot, StoreError>;

    /// Counts up by one with each change of any resource; 0 if there never was one.
    async fn generation(&self) -> Result<u64, StoreError>;
}
