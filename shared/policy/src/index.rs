//! Which policies can apply to a request, found by their scopes.
//!
//! Cedar evaluates every policy of the set it is given. Here policies with one effect and one scope form a group
//! with a set of its own, and a request is put only to the groups whose scope can match. Groups that are left out
//! could not have spoken: a scope that does not match neither satisfies nor fails. That the answer is the same as
//! over all policies is a property test.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicySet, PolicySetError,
    PrincipalConstraint, ResourceConstraint,
};
use countersign_model::Action;

use crate::entity::{Party, Vocabulary};

/// Policies of one effect and scope.
pub(crate) struct Group {
    pub(crate) effect: Effect,
    pub(crate) policies: PolicySet,
    principal: Anchor,
    resource: Anchor,
}

/// All policies, by what their scopes name.
#[derive(Default)]
pub(crate) struct Index {
    groups: Vec<Group>,
    positions: HashMap<(Effect, Vec<Action>, Anchor, Anchor), usize>,
    /// Entities that a scope names, numbered, so that a lookup hashes each uid of a request once.
    named: HashMap<EntityUid, usize>,
    /// Per action and (principal, resource) named, positions in `groups`.
    by_scope: HashMap<(Action, Option<usize>, Option<usize>), Vec<usize>>,
}

/// One side of a scope: `is`, `==` or `in`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Anchor {
    kind: Option<EntityTypeName>,
    uid: Option<EntityUid>,
    /// `==`: the entity itself, not what is in it.
    exact: bool,
}

impl Index {
    /// Adds one policy.
    pub(crate) fn add(&mut self, policy: Policy, vocabulary: &Vocabulary) -> Result<(), Box<PolicySetError>> {
        let principal = principal_anchor(policy.principal_constraint());
        let resource = resource_anchor(policy.resource_constraint());
        let actions = actions(&policy, vocabulary);
        let key = (policy.effect(), actions, principal, resource);
        let position = match self.positions.get(&key) {
            Some(position) => *position,
            None => self.add_group(key),
        };
        match self.groups.get_mut(position) {
            Some(group) => group.policies.add(policy).map_err(Box::new),
            None => Ok(()),
        }
    }

    fn add_group(&mut self, key: (Effect, Vec<Action>, Anchor, Anchor)) -> usize {
        let position = self.groups.len();
        let (effect, actions, principal, resource) = key.clone();
        let scope = (self.number(principal.uid.as_ref()), self.number(resource.uid.as_ref()));
        for action in actions {
            self.by_scope.entry((action, scope.0, scope.1)).or_default().push(position);
        }
        self.groups.push(Group { effect, policies: PolicySet::new(), principal, resource });
        self.positions.insert(key, position);
        position
    }

    fn number(&mut self, uid: Option<&EntityUid>) -> Option<usize> {
        let next = self.named.len();
        uid.map(|uid| *self.named.entry(uid.clone()).or_insert(next))
    }

    /// The groups whose scope can match the request.
    pub(crate) fn candidates<'a>(
        &'a self,
        principal: &'a Party,
        action: Action,
        resource: &'a Party,
    ) -> impl Iterator<Item = &'a Group> {
        let principals = self.names(principal);
        let resources = self.names(resource);
        principals
            .into_iter()
            .flat_map(move |p| resources.clone().into_iter().map(move |r| (action, p, r)))
            .filter_map(|scope| self.by_scope.get(&scope))
            .flatten()
            .filter_map(|position| self.groups.get(*position))
            .filter(move |group| group.principal.admits(principal) && group.resource.admits(resource))
    }

    /// Nothing, and each entity of the party that some scope names.
    fn names(&self, party: &Party) -> Vec<Option<usize>> {
        let known = std::iter::once(&party.uid).chain(&party.ancestors).filter_map(|uid| self.named.get(uid));
        std::iter::once(None).chain(known.copied().map(Some)).collect()
    }

    /// Every policy, for tests that compare with Cedar over all of them.
    #[cfg(test)]
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.groups.iter().flat_map(|group| group.policies.policies())
    }
}

impl Anchor {
    fn admits(&self, party: &Party) -> bool {
        let kind = self.kind.as_ref().is_none_or(|kind| kind == party.uid.type_name());
        let uid = self
            .uid
            .as_ref()
            .is_none_or(|uid| *uid == party.uid || (!self.exact && party.ancestors.contains(uid)));
        kind && uid
    }
}

/// The actions that the policy can speak about. A permit speaks about `unparsed` and `unmask` only where its
/// scope names them, so that `permit (principal, action, resource);` lets through neither what nobody could read
/// nor what nobody was meant to see.
fn actions(policy: &Policy, vocabulary: &Vocabulary) -> Vec<Action> {
    let constraint = policy.action_constraint();
    let speaks = |action: Action| match &constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => vocabulary.action_is(action, named),
        ActionConstraint::In(list) => list.iter().any(|named| vocabulary.action_is_in(action, named)),
    };
    let names = |action: Action| match &constraint {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(named) => vocabulary.action_is(action, named),
        ActionConstraint::In(list) => list.iter().any(|named| vocabulary.action_is(action, named)),
    };
    let by_name_only = |action: Action| {
        matches!(action, Action::Unparsed | Action::Unmask) && policy.effect() == Effect::Permit
    };
    Action::ALL.into_iter().filter(|a| if by_name_only(*a) { names(*a) } else { speaks(*a) }).collect()
}

fn principal_anchor(constraint: PrincipalConstraint) -> Anchor {
    match constraint {
        PrincipalConstraint::Any => Anchor { kind: None, uid: None, exact: false },
        PrincipalConstraint::In(uid) => Anchor { kind: None, uid: Some(uid), exact: false },
        PrincipalConstraint::Eq(uid) => Anchor { kind: None, uid: Some(uid), exact: true },
        PrincipalConstraint::Is(kind) => Anchor { kind: Some(kind), uid: None, exact: false },
        PrincipalConstraint::IsIn(kind, uid) => Anchor { kind: Some(kind), uid: Some(uid), exact: false },
    }
}

fn resource_anchor(constraint: ResourceConstraint) -> Anchor {
    match constraint {
        ResourceConstraint::Any => Anchor { kind: None, uid: None, exact: false },
        ResourceConstraint::In(uid) => Anchor { kind: None, uid: Some(uid), exact: false },
        ResourceConstraint::Eq(uid) => Anchor { kind: None, uid: Some(uid), exact: true },
        ResourceConstraint::Is(kind) => Anchor { kind: Some(kind), uid: None, exact: false },
        ResourceConstraint::IsIn(kind, uid) => Anchor { kind: Some(kind), uid: Some(uid), exact: false },
    }
}
