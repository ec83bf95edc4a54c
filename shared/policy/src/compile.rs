//! From the text of bundles to policies that can be asked.
//!
//! A bundle is taken whole or refused with a sentence that names the policy. Refused is also what Cedar only warns
//! of, where the warning means that a policy does not do what it reads like.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    thread,
};

use cedar_policy::{
    Authorizer, Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationResult, ValidationWarning,
    Validator,
};
use countersign_model::{Name, Requirement};

use crate::{
    SCHEMA,
    annotation::{self, AnnotationFault},
    approved::{self, ApprovedFault},
    entity::Vocabulary,
    index::Index,
    nesting, revision,
};

/// Bundles in one set.
pub const MAX_BUNDLES: usize = 256;
/// Text of one bundle, in bytes.
pub const MAX_BUNDLE_BYTES: usize = 256 * 1024;
/// Text of all bundles together, in bytes.
pub const MAX_TOTAL_BYTES: usize = 2 * 1024 * 1024;
/// Policies in all bundles together.
pub const MAX_POLICIES: usize = 10_000;

/// Stack of the thread that compiles, in bytes. In an unoptimised build Cedar's parser takes about 60 KiB per bracket
/// and its other passes 13 KiB per operator, so this is more than twice what the bounds on both admit. A worker's
/// 2 MiB would not do.
const COMPILE_STACK_BYTES: usize = 24 << 20;

/// Why a set of bundles is refused. The text is for the admin who wrote it; policies are named by their ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A bound was passed.
    #[error("{what}: at most {limit}")]
    OverLimit {
        /// Of what there is too much, and where.
        what: String,
        /// The bound.
        limit: usize,
    },
    /// The bundle's name is not a name.
    #[error("a bundle's name is refused: {0}")]
    BundleName(countersign_model::NameError),
    /// Two bundles of one name.
    #[error("bundle {0} is there twice")]
    DuplicateBundle(String),
    /// The revision is not that of the bundles.
    #[error("the revision is not that of these bundles")]
    Revision,
    /// Not Cedar.
    #[error("bundle {bundle} does not parse: {message}")]
    Syntax {
        /// Its name.
        bundle: String,
        /// Cedar's message.
        message: String,
    },
    /// Templates are not supported: nothing would link them.
    #[error("bundle {0} has a template; policies may not have slots")]
    Template(String),
    /// Two policies of one id.
    #[error("policy {0} is there twice")]
    DuplicateId(String),
    /// An annotation is unknown or malformed.
    #[error("policy {policy}: {fault}")]
    Annotation {
        /// Its id.
        policy: String,
        /// What is wrong.
        fault: AnnotationFault,
    },
    /// `context.approved`, or `context`, where it may not be.
    #[error("policy {policy}: {fault}")]
    Approved {
        /// Its id.
        policy: String,
        /// What is wrong.
        fault: ApprovedFault,
    },
    /// The policy does not fit the schema, or could never apply.
    #[error("policy {policy} is not valid: {message}")]
    Invalid {
        /// Its id.
        policy: String,
        /// Cedar's message.
        message: String,
    },
    /// No thread could be had to compile on, or it panicked.
    #[error("the bundles could not be compiled; nothing is known to be wrong with them")]
    Interrupted,
    /// The published schema is broken: a fault of this program.
    #[error("the schema cannot be read: {0}")]
    Schema(String),
}

/// All policies in force, ready to be asked. Immutable: share it and swap it whole.
pub struct CompiledPolicies {
    pub(crate) revision: Arc<str>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) index: Index,
    pub(crate) authorizer: Authorizer,
    /// Who can lift which forbid, by policy id.
    pub(crate) requirements: HashMap<String, Requirement>,
    /// Attributes of `context` that some policy mentions.
    pub(crate) mentioned: BTreeSet<String>,
    policy_ids: Vec<String>,
    warnings: Vec<String>,
}

impl CompiledPolicies {
    /// Compiles the `(name, text)` bundles that together have this [`revision`](crate::revision()). Blocks for
    /// up to two milliseconds per policy in an unoptimised build.
    ///
    /// # Errors
    /// The first fault found; nothing of a faulty set is kept.
    pub fn compile<N: AsRef<str>, T: AsRef<str>>(
        revision: &str,
        bundles: &[(N, T)],
    ) -> Result<Self, CompileError> {
        let mut sorted: Vec<(&str, &str)> = bundles.iter().map(|(n, t)| (n.as_ref(), t.as_ref())).collect();
        sorted.sort_unstable();
        check_bounds(&sorted)?;
        if revision::revision(&sorted) != revision {
            return Err(CompileError::Revision);
        }
        thread::scope(|scope| {
            let builder =
                thread::Builder::new().name("policy-compile".to_owned()).stack_size(COMPILE_STACK_BYTES);
            let compiling = builder.spawn_scoped(scope, || Self::compile_bounded(revision, &sorted));
            compiling.ok().and_then(|thread| thread.join().ok()).unwrap_or(Err(CompileError::Interrupted))
        })
    }

    fn compile_bounded(revision: &str, bundles: &[(&str, &str)]) -> Result<Self, CompileError> {
        let (schema, _) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|e| CompileError::Schema(e.to_string()))?;
        let mut compiled = Self {
            revision: revision.into(),
            vocabulary: Vocabulary::new(&schema).map_err(CompileError::Schema)?,
            index: Index::default(),
            authorizer: Authorizer::new(),
            requirements: HashMap::new(),
            mentioned: BTreeSet::new(),
            policy_ids: Vec::new(),
            warnings: Vec::new(),
        };
        let validator = Validator::new(schema);
        let mut parsed = Vec::new();
        let mut count = 0_usize;
        for (name, text) in bundles {
            let policies = parse(name, text)?;
            count += policies.len();
            if count > MAX_POLICIES {
                return Err(over_limit("policies", MAX_POLICIES));
            }
            parsed.push(policies);
        }
        for policies in parsed {
            compiled.add_bundle(&validator, policies)?;
        }
        Ok(compiled)
    }

    /// The revision that decisions carry.
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// Ids of all policies, `<bundle>/<@id or position>`, in order of bundle and text.
    pub fn policy_ids(&self) -> &[String] {
        &self.policy_ids
    }

    /// What an admin should look at but may keep: strings and ids that mix scripts, as paths with non-Latin names do.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn add_bundle(&mut self, validator: &Validator, policies: Vec<Policy>) -> Result<(), CompileError> {
        let mut named = PolicySet::new();
        for policy in policies {
            let id = policy.id().to_string();
            self.inspect(&policy)?;
            named.add(policy.clone()).map_err(|_| CompileError::DuplicateId(id.clone()))?;
            self.policy_ids.push(id);
        }
        self.validate(validator.validate(&named, ValidationMode::Strict))?;
        for policy in named.policies() {
            // Ids are unique by now, which is all that could fail.
            let duplicate = |_| CompileError::DuplicateId(policy.id().to_string());
            self.index.add(policy.clone(), &self.vocabulary).map_err(duplicate)?;
        }
        Ok(())
    }

    /// Our own rules about one policy.
    fn inspect(&mut self, policy: &Policy) -> Result<(), CompileError> {
        let id = policy.id().to_string();
        let requirement = annotation::requirement(policy)
            .map_err(|fault| CompileError::Annotation { policy: id.clone(), fault })?;
        let mentioned = approved::check(policy, requirement.is_some())
            .map_err(|fault| CompileError::Approved { policy: id.clone(), fault })?;
        self.mentioned.extend(mentioned);
        if let Some(requirement) = requirement {
            self.requirements.insert(id, requirement);
        }
        Ok(())
    }

    /// Cedar's errors refuse, and so do its warnings but one.
    fn validate(&mut self, result: ValidationResult) -> Result<(), CompileError> {
        let invalid = |policy: &PolicyId, message: String| CompileError::Invalid {
            policy: policy.to_string(),
            message,
        };
        if let Some(error) = result.validation_errors().next() {
            return Err(invalid(error.policy_id(), error.to_string()));
        }
        for warning in result.validation_warnings() {
            match warning {
                ValidationWarning::MixedScriptString(_) | ValidationWarning::MixedScriptIdentifier(_) => {
                    self.warnings.push(warning.to_string())
                }
                _ => return Err(invalid(warning.policy_id(), warning.to_string())),
            }
        }
        Ok(())
    }
}

/// The policies of one bundle under the ids they keep, in the order of the text.
fn parse(bundle: &str, text: &str) -> Result<Vec<Policy>, CompileError> {
    let set: PolicySet = text.parse().map_err(|e: cedar_policy::ParseErrors| CompileError::Syntax {
        bundle: bundle.to_owned(),
        message: e.to_string(),
    })?;
    if set.num_of_templates() > 0 {
        return Err(CompileError::Template(bundle.to_owned()));
    }
    let mut policies = Vec::new();
    for policy in set.policies() {
        let fault = |fault| CompileError::Annotation { policy: format!("{bundle}/{}", policy.id()), fault };
        annotation::check_names(policy).map_err(fault)?;
        let own = annotation::id(policy).map_err(fault)?;
        // Cedar calls the policies of a text policy0, policy1, …: the position.
        let id = own.map_or_else(|| policy.id().to_string(), str::to_owned);
        policies.push(policy.new_id(PolicyId::new(format!("{bundle}/{id}"))));
    }
    Ok(policies)
}

/// Everything that can be refused before a parser sees the text.
fn check_bounds(bundles: &[(&str, &str)]) -> Result<(), CompileError> {
    if bundles.len() > MAX_BUNDLES {
        return Err(over_limit("bundles", MAX_BUNDLES));
    }
    let mut names = HashSet::new();
    let mut total = 0_usize;
    for (name, text) in bundles {
        name.parse::<Name>().map_err(CompileError::BundleName)?;
        if !names.insert(name) {
            return Err(CompileError::DuplicateBundle((*name).to_owned()));
        }
        total = total.saturating_add(text.len());
        if text.len() > MAX_BUNDLE_BYTES {
            return Err(over_limit(&format!("bytes of bundle {name}"), MAX_BUNDLE_BYTES));
        }
        if total > MAX_TOTAL_BYTES {
            return Err(over_limit("bytes of all bundles", MAX_TOTAL_BYTES));
        }
        if !nesting::is_bounded(text) {
            return Err(over_limit(
                &format!("operators in one policy of bundle {name}"),
                nesting::MAX_OPERATORS,
            ));
        }
    }
    Ok(())
}

fn over_limit(what: &str, limit: usize) -> CompileError {
    CompileError::OverLimit { what: what.to_owned(), limit }
}
