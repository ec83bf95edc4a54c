//! Operations that wait for people: asked about, released once, or withdrawn.

use std::time::{Duration, SystemTime};

use countersign_model::{
    ApprovalId, ApprovalOutcome, ApprovalState, Attachment, Decision, Durability, Fact, Hold, Identity,
    OperationContext, OperationDigest, OperationId, OperationToSign, Reason, Refusal, RefusalKind,
    Requirement, Resolution, Verdict,
};

use crate::{
    Entry, Operation, Permit, Recorded, Session, Step,
    permit::unmaskable,
    ports::{Approvals, Decider, Journal, Ports, Question, Requested, Withdrawal},
    session::{denial, is_covered_by},
};

/// An operation that policy holds, and that nobody has been asked about.
#[derive(Debug)]
#[must_use = "an operation that is held needs its refusal recorded if nobody is asked"]
pub struct Holdable {
    /// In a box, since most operations are none of this.
    pub(crate) operation: Box<Operation>,
    pub(crate) decision: Decision,
    pub(crate) hold: Hold,
}

impl Holdable {
    /// What it touches.
    pub fn facts(&self) -> &[Fact] {
        &self.operation.facts
    }
}

/// An operation that people are asked about. Nothing of it is sent while it is this.
#[derive(Debug)]
#[must_use = "an operation that waits is released or withdrawn"]
pub struct Held {
    operation: Operation,
    decision: Decision,
    hold: Hold,
    resolution: Resolution,
    identity: Identity,
    digest: OperationDigest,
    requested: Requested,
}

impl Held {
    /// The operation.
    pub fn operation(&self) -> OperationId {
        self.operation.id
    }

    /// The request for votes.
    pub fn approval(&self) -> ApprovalId {
        self.requested.approval
    }

    /// The end of the time for voting.
    pub fn expires_at(&self) -> SystemTime {
        self.requested.expires_at
    }

    /// The same, counted from when it was asked.
    pub fn expires_in(&self) -> Duration {
        self.requested.expires_in
    }

    /// The refusal for the client, unless the outcome is an approval.
    pub fn refused_by(outcome: &ApprovalOutcome) -> Option<Refusal> {
        refused_by(outcome.state)
    }

    /// Whose votes it waits for.
    pub fn requirements(&self) -> &[Requirement] {
        &self.hold.requirements
    }
}

/// A held operation looked at again, after people decided and before anything is sent.
#[derive(Debug)]
pub struct Again {
    /// What it touches now.
    pub facts: Vec<Fact>,
    /// What policy sees as context now.
    pub context: OperationContext,
    /// What its names mean now.
    pub resolution: Resolution,
}

impl<P: Ports> Session<P> {
    /// Asks people about an operation, and records that it waits. It would be sent as `identity` after `preamble`, and
    /// mean what `resolution` says.
    ///
    /// # Errors
    /// The refusal for the client, recorded; nobody is asked then.
    ///
    /// Not cancellation safe: somebody may be asked in vain.
    pub async fn hold(
        &mut self,
        holdable: Holdable,
        preamble: Vec<Step>,
        resolution: Resolution,
        identity: Identity,
    ) -> Result<Held, Refusal> {
        let Holdable { operation, decision, hold } = holdable;
        // What people see and sign is what will be sent.
        let resolution = Resolution { preamble: preamble.iter().map(Step::text).collect(), ..resolution };
        let operation = Operation { preamble, ..*operation };
        let attached = Attachment::new(self.facts.session);
        let question = Question {
            operation: operation.id,
            payload: &operation.payload,
            binding: operation.binding.as_ref(),
            resolution: &resolution,
            identity,
            attached,
        };
        let requested = match self.ports.approvals().request(&self.facts, question).await {
            Ok(requested) => requested,
            Err(refusal) => return Err(self.turn_down(&operation, &decision, None, refusal).await),
        };
        let digest = OperationToSign::query(
            &self.facts.principal,
            &self.facts.target,
            identity,
            (&operation.payload, operation.binding.as_ref()),
            &resolution,
            &hold.pairs,
            attached,
        )
        .digest();
        let held = Held { operation, decision, hold, resolution, identity, digest, requested };
        match self.record_hold(&held).await {
            Ok(()) => Ok(held),
            Err(refusal) => Err(self.withdraw(held, refusal).await),
        }
    }

    /// Waits for what people decide. Cancel safe.
    pub async fn outcome(&self, held: &Held) -> ApprovalOutcome {
        self.ports.approvals().outcome(held.approval()).await
    }

    /// Turns an approval into a permit, once: if it is for exactly this operation, if the operation still means what
    /// was approved, if policy still wants no more than was given, and if nobody has used it. The intent is on disk
    /// (fsync) before the approval is used up.
    ///
    /// # Errors
    /// The refusal for the client, recorded. The approval is worth nothing then.
    ///
    /// Not cancellation safe.
    pub async fn release(
        &mut self,
        held: Held,
        outcome: &ApprovalOutcome,
        again: Again,
    ) -> Result<Recorded<Permit>, Refusal> {
        let decision = match self.still_approved(&held, outcome, &again) {
            Ok(decision) => decision,
            Err(refusal) => return Err(self.withdraw(held, refusal).await),
        };
        let approval = held.approval();
        let operation = Operation { identity: held.identity, ..held.operation };
        let (id, session) = (operation.id, self.facts.session);
        let permit = self.record_intent(operation, decision, Some(approval)).await?;
        match self.ports.approvals().consume(session, approval, id).await {
            Ok(()) => {
                if held.identity == Identity::Approved {
                    self.approved = Some(approval);
                }
                Ok(permit)
            }
            Err(refusal) => {
                self.not_sent(permit).await?;
                Err(Refusal { approval: Some(approval), ..refusal.of(session, id) })
            }
        }
    }

    /// Gives a held operation up. Records the refusal and completes it.
    pub async fn withdraw(&mut self, held: Held, refusal: Refusal) -> Refusal {
        let (session, approval) = (self.facts.session, held.approval());
        let why = match refusal.kind {
            RefusalKind::Superseded => Withdrawal::Superseded,
            _ => Withdrawal::Cancelled,
        };
        self.ports.approvals().withdraw(session, approval, why, refusal.reason.as_str());
        let refusal = Refusal { expires_at: Some(held.expires_at()), ..refusal };
        self.turn_down(&held.operation, &held.decision, Some(approval), refusal).await
    }

    /// Records that an operation which policy holds is refused without asking anybody, and completes the refusal.
    pub async fn refuse_held(&mut self, holdable: Holdable, refusal: Refusal) -> Refusal {
        self.turn_down(&holdable.operation, &holdable.decision, None, refusal).await
    }

    /// The transaction that an approved operation began has ended: from now on nothing is sent as `approved` without
    /// an approval of its own.
    pub fn approved_has_ended(&mut self) {
        self.approved = None;
    }

    async fn turn_down(
        &mut self,
        operation: &Operation,
        decision: &Decision,
        approval: Option<ApprovalId>,
        refusal: Refusal,
    ) -> Refusal {
        let recorded = self.record_refusal(operation, decision, approval, refusal.reason).await;
        let graver = recorded.err().unwrap_or(refusal);
        Refusal { approval, ..graver.of(self.facts.session, operation.id) }
    }

    async fn record_hold(&mut self, held: &Held) -> Result<(), Refusal> {
        let (shown, tag) = (held.operation.shown(), self.tag_of(&held.operation));
        let entry = Entry::Hold {
            operation: held.operation.id,
            approval: held.approval(),
            kind: held.operation.kind,
            shown: &shown,
            tag,
            facts: &held.operation.facts,
            policies: &held.decision.determining,
            revision: &held.decision.revision,
            requirements: &held.hold.requirements,
            expires_at: held.expires_at(),
        };
        let recorded = self.journal.append(entry, Durability::Fsync).await;
        recorded.map(drop).map_err(|error| error.refusal())
    }

    /// The decision to run it, if nothing has changed that the approval rests on.
    fn still_approved(
        &self,
        held: &Held,
        outcome: &ApprovalOutcome,
        again: &Again,
    ) -> Result<Decision, Refusal> {
        if let Some(refusal) = refused_by(outcome.state) {
            return Err(refusal);
        }
        let same = outcome.approval == held.approval()
            && outcome.session == self.facts.session
            && outcome.operation == held.operation.id
            && outcome.digest == held.digest
            && outcome.pairs == held.hold.pairs;
        if !same {
            let message = "the approval that came is not one of this operation";
            return Err(superseded(Reason::ApprovalUsed, message));
        }
        if again.resolution != held.resolution || again.facts != held.operation.facts {
            let message = "something that this touches changed while it waited";
            return Err(superseded(Reason::ObjectChanged, message));
        }
        let decider = self.ports.decider();
        let unaided = decider.decide(&self.facts, &again.facts, &again.context);
        let enough = match &unaided.verdict {
            Verdict::Allow => true,
            // Each group's greatest quorum was asked for, so what is asked for now must have been asked for then.
            Verdict::Hold(now) => now.requirements.iter().all(|need| held.hold.requirements.contains(need)),
            Verdict::Deny(_) => false,
        };
        let decision = decider.decide_approved(&self.facts, &again.facts, &again.context, &held.hold.pairs);
        match &decision.verdict {
            Verdict::Allow if enough && is_covered_by(&held.operation, &decision) => Ok(decision),
            Verdict::Allow if enough => Err(unmaskable()),
            Verdict::Deny(reason) => Err(superseded(*reason, denial(*reason))),
            Verdict::Allow | Verdict::Hold(_) => Err(superseded(
                Reason::PolicyChanged,
                "policy changed while this waited, and now asks for more than was given",
            )),
        }
    }
}

fn superseded(reason: Reason, message: &'static str) -> Refusal {
    Refusal { kind: RefusalKind::Superseded, ..Refusal::denied(reason, message) }
}

/// What the client is told of an approval that was not given.
fn refused_by(state: ApprovalState) -> Option<Refusal> {
    let (kind, reason, message) = match state {
        ApprovalState::Approved => return None,
        ApprovalState::Denied => {
            (RefusalKind::Denied, Reason::ApprovalDenied, "somebody who may approve this voted against it")
        }
        ApprovalState::Expired | ApprovalState::Pending => {
            (RefusalKind::Expired, Reason::ApprovalExpired, "nobody approved this in time")
        }
        ApprovalState::Cancelled => {
            (RefusalKind::Cancelled, Reason::ApprovalCancelled, "the request for approval was taken back")
        }
        ApprovalState::Superseded => {
            (RefusalKind::Superseded, Reason::PolicyChanged, "what was approved is no longer what would run")
        }
        ApprovalState::Consumed => (RefusalKind::Denied, Reason::ApprovalUsed, "the approval has been used"),
    };
    Some(Refusal { kind, ..Refusal::denied(reason, message) })
}
