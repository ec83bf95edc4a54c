//! The algebra: pairs to verdicts, verdicts to one decision.
//!
//! Any Deny denies; else any Hold holds; else Allow. Nothing touched, too much touched, no policies and every error
//! are Deny. Pairs of `unmask` alone are different in one thing: their Deny denies nothing, it obliges to mask
//! the class.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use cedar_policy::{AuthorizationError, Effect, Request};
use countersign_model::{
    Action, Decision, Determining, Fact, Hold, Obligations, OperationContext, Reason, Requirement,
    SessionFacts, Verdict,
};

use crate::{
    CompiledPolicies,
    context::Surroundings,
    entity::{self, Party},
};

/// Pairs that one operation may touch; more are [`Reason::OverLimit`].
pub const MAX_FACTS: usize = 512;

/// A policy that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyFault {
    /// The policy.
    pub policy: Determining,
    /// Cedar's message. For admins: it may quote the policy and the operation's context.
    pub message: String,
}

/// What policy says of one pair, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairExplanation {
    /// The pair.
    pub fact: Fact,
    /// Its own verdict.
    pub verdict: Verdict,
    /// The policies that determined it, sorted: permits of an Allow, forbids of a Hold or Deny, those that failed
    /// where one did.
    pub determining: Vec<Determining>,
    /// Policies that could not be evaluated, sorted.
    pub faults: Vec<PolicyFault>,
}

/// A decision and the verdicts that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The same as [`CompiledPolicies::decide`] gives.
    pub decision: Decision,
    /// Each distinct pair once, sorted. Empty where the operation was denied before any pair was looked at.
    pub pairs: Vec<PairExplanation>,
}

/// What the policies that spoke said of a pair.
#[derive(Default)]
struct Answer {
    permits: BTreeSet<Determining>,
    forbids: BTreeSet<Determining>,
    faults: BTreeSet<PolicyFault>,
}

impl CompiledPolicies {
    /// Decides an operation that touches these pairs. Pure: the same arguments give the same decision.
    pub fn decide(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        now: SystemTime,
    ) -> Decision {
        self.explain(session, facts, context, now).decision
    }

    /// Decides an operation of which people approved these pairs: policy sees `approved` as true for them and for no
    /// other.
    pub fn decide_approved(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        approved: &[Fact],
        now: SystemTime,
    ) -> Decision {
        self.look_at(session, facts, context, approved, now).decision
    }

    /// Decides, and says what was decided of each pair and by which policies.
    pub fn explain(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        now: SystemTime,
    ) -> Explanation {
        self.look_at(session, facts, context, &[], now)
    }

    fn look_at(
        &self,
        session: &SessionFacts,
        facts: &[Fact],
        context: &OperationContext,
        approved: &[Fact],
        now: SystemTime,
    ) -> Explanation {
        let surroundings = Surroundings { session, operation: context, now, mentioned: &self.mentioned };
        let (pairs, verdict, determining) = match self.judge_all(&surroundings, facts, approved) {
            Ok(pairs) => {
                let (verdict, determining) = combine(&pairs);
                (pairs, verdict, determining)
            }
            Err(reason) => (Vec::new(), Verdict::Deny(reason), Vec::new()),
        };
        let revision = self.revision.clone();
        let obligations = Obligations { mask: masked(&pairs), ..Obligations::default() };
        let decision = Decision { verdict, obligations, determining, revision };
        Explanation { decision, pairs }
    }

    /// The verdict of each distinct pair; never an empty list.
    fn judge_all(
        &self,
        surroundings: &Surroundings<'_>,
        facts: &[Fact],
        approved: &[Fact],
    ) -> Result<Vec<PairExplanation>, Reason> {
        if self.policy_ids().is_empty() {
            return Err(Reason::NoPolicy);
        }
        if facts.len() > MAX_FACTS {
            return Err(Reason::OverLimit);
        }
        let distinct: BTreeSet<&Fact> = facts.iter().collect();
        if distinct.iter().all(|fact| fact.unmasked().is_some()) {
            return Err(Reason::NotPermitted);
        }
        let principal = self.vocabulary.principal(&surroundings.session.principal)?;
        let held_back = surroundings.context(false)?;
        let lifted = surroundings.context(true)?;
        distinct
            .into_iter()
            .map(|fact| {
                let context = if approved.contains(fact) { &lifted } else { &held_back };
                let judged = self.judge_pair(surroundings.session, &principal, fact, context, &lifted);
                match judged {
                    Err(reason) if fact.unmasked().is_some() => Ok(PairExplanation {
                        fact: fact.clone(),
                        verdict: Verdict::Deny(reason),
                        determining: Vec::new(),
                        faults: Vec::new(),
                    }),
                    judged => judged,
                }
            })
            .collect()
    }

    fn judge_pair(
        &self,
        session: &SessionFacts,
        principal: &Party,
        fact: &Fact,
        context: &cedar_policy::Context,
        lifted: &cedar_policy::Context,
    ) -> Result<PairExplanation, Reason> {
        let resource = self.vocabulary.resource(session, &fact.resource)?;
        let asked = Pair { principal, fact, action: fact.action, resource: &resource };
        if !entity::applies(fact.action, &fact.resource) {
            return Err(Reason::PolicyError);
        }
        let answer = self.ask(&asked, context.clone())?;
        let verdict = self.judge(&asked, &answer, lifted)?;
        Ok(PairExplanation {
            fact: fact.clone(),
            determining: answer.determining(),
            faults: answer.faults.into_iter().collect(),
            verdict,
        })
    }

    /// One pair's verdict, from what the policies said.
    fn judge(
        &self,
        pair: &Pair<'_>,
        answer: &Answer,
        lifted: &cedar_policy::Context,
    ) -> Result<Verdict, Reason> {
        if !answer.faults.is_empty() {
            return Ok(Verdict::Deny(Reason::PolicyError));
        }
        if answer.forbids.is_empty() {
            return Ok(if answer.permits.is_empty() {
                Verdict::Deny(pair.not_permitted())
            } else {
                Verdict::Allow
            });
        }
        let Some(requirements) = self.requirements(&answer.forbids) else {
            return Ok(Verdict::Deny(Reason::Forbidden));
        };
        // Approval lifts the forbids, and must leave something that permits.
        let approved = self.ask(pair, lifted.clone())?;
        Ok(if !approved.faults.is_empty() {
            Verdict::Deny(Reason::PolicyError)
        } else if !approved.forbids.is_empty() {
            Verdict::Deny(Reason::Forbidden)
        } else if approved.permits.is_empty() {
            Verdict::Deny(pair.not_permitted())
        } else {
            Verdict::Hold(Hold { requirements, pairs: vec![pair.fact.clone()] })
        })
    }

    /// What all these forbids ask for, sorted; `None` if one of them cannot be lifted.
    fn requirements(&self, forbids: &BTreeSet<Determining>) -> Option<Vec<Requirement>> {
        let each = forbids.iter().map(|forbid| self.requirements.get(&*forbid.policy).cloned());
        let distinct: BTreeSet<Requirement> = each.collect::<Option<_>>()?;
        Some(distinct.into_iter().collect())
    }

    /// Puts one request to every group of policies that can apply to it.
    fn ask(&self, pair: &Pair<'_>, context: cedar_policy::Context) -> Result<Answer, Reason> {
        let (action, entities) = self.vocabulary.request(pair.principal, pair.action, pair.resource)?;
        let request =
            Request::new(pair.principal.uid.clone(), action, pair.resource.uid.clone(), context, None)
                .map_err(|_| Reason::PolicyError)?;
        let mut answer = Answer::default();
        for group in self.index.candidates(pair.principal, pair.action, pair.resource) {
            let response = self.authorizer.is_authorized(&request, &group.policies, &entities);
            // A group has one effect, so the reasons are the policies of it that are satisfied.
            let satisfied = response.diagnostics().reason().map(determining);
            match group.effect {
                Effect::Permit => answer.permits.extend(satisfied),
                Effect::Forbid => answer.forbids.extend(satisfied),
            }
            answer.faults.extend(response.diagnostics().errors().map(fault));
        }
        Ok(answer)
    }
}

/// One request but for its context.
struct Pair<'a> {
    principal: &'a Party,
    fact: &'a Fact,
    action: Action,
    resource: &'a Party,
}

impl Pair<'_> {
    fn not_permitted(&self) -> Reason {
        if self.action == Action::Unparsed { Reason::Unparsed } else { Reason::NotPermitted }
    }
}

impl Answer {
    fn determining(&self) -> Vec<Determining> {
        let faulty: BTreeSet<Determining> = self.faults.iter().map(|fault| fault.policy.clone()).collect();
        let first = [faulty, self.forbids.clone()].into_iter().find(|set| !set.is_empty());
        first.unwrap_or_else(|| self.permits.clone()).into_iter().collect()
    }
}

/// One decision of the verdicts of all pairs. The weightiest reason is reported, whatever the order of the pairs.
fn combine(pairs: &[PairExplanation]) -> (Verdict, Vec<Determining>) {
    let denied = pairs.iter().filter(|pair| pair.fact.unmasked().is_none()).filter_map(denial);
    if let Some(reason) = denied.max_by_key(|reason| weight(*reason)) {
        let determining = |pair: &PairExplanation| pair.fact.unmasked().is_none() && denial(pair).is_some();
        return (Verdict::Deny(reason), determining_of(pairs, determining));
    }
    let requirements: BTreeSet<Requirement> =
        pairs.iter().flat_map(|pair| requirements_of(&pair.verdict)).cloned().collect();
    if requirements.is_empty() {
        return (Verdict::Allow, determining_of(pairs, |pair| matches!(pair.verdict, Verdict::Allow)));
    }
    let held = pairs.iter().filter(|pair| matches!(pair.verdict, Verdict::Hold(_)));
    let hold = Hold {
        requirements: requirements.into_iter().collect(),
        pairs: held.map(|pair| pair.fact.clone()).collect(),
    };
    (Verdict::Hold(hold), determining_of(pairs, |pair| matches!(pair.verdict, Verdict::Hold(_))))
}

fn denial(pair: &PairExplanation) -> Option<Reason> {
    match pair.verdict {
        Verdict::Deny(reason) => Some(reason),
        Verdict::Allow | Verdict::Hold(_) => None,
    }
}

/// The classes that may not come back as they are, sorted as their pairs are.
fn masked(pairs: &[PairExplanation]) -> Vec<Arc<str>> {
    pairs
        .iter()
        .filter(|pair| denial(pair).is_some())
        .filter_map(|pair| pair.fact.unmasked())
        .cloned()
        .collect()
}

fn requirements_of(verdict: &Verdict) -> &[Requirement] {
    match verdict {
        Verdict::Hold(hold) => &hold.requirements,
        Verdict::Allow | Verdict::Deny(_) => &[],
    }
}

fn weight(reason: Reason) -> u8 {
    match reason {
        Reason::PolicyError => 3,
        Reason::Forbidden => 2,
        Reason::Unparsed => 1,
        _ => 0,
    }
}

fn determining_of(pairs: &[PairExplanation], wanted: impl Fn(&PairExplanation) -> bool) -> Vec<Determining> {
    let all: BTreeSet<&Determining> =
        pairs.iter().filter(|pair| wanted(pair)).flat_map(|pair| &pair.determining).collect();
    all.into_iter().cloned().collect()
}

fn determining(id: &cedar_policy::PolicyId) -> Determining {
    let text: &str = id.as_ref();
    Determining { policy: text.into() }
}

fn fault(error: &AuthorizationError) -> PolicyFault {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => {
            PolicyFault { policy: determining(error.policy_id()), message: error.to_string() }
        }
    }
}
