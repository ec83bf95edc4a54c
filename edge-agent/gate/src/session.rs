//! A session at the gate: every operation of it goes through here, and so does every answer.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use countersign_model::{
    Action, ApprovalId, Decision, Durability, Fact, Identity, Name, Obligations, OperationContext, Parameter,
    Reason, Refusal, Resource, Secret, SessionFacts, Verdict,
};

use crate::{
    Batch, CloseReason, Completion, Duty, Entry, Excerpt, Holdable, InFlight, Masked, Operation,
    OperationKind, Outcome, Permit, Recorded, Shown, Step,
    detected::Detected,
    permit::unmaskable,
    ports::{Authority, Credential, Decider, Ended, Journal, Ports, Recorder},
};

/// What a client showed when it came.
#[derive(Debug)]
pub struct OpenRequest {
    /// The caller's token: goes to the control plane once, and is dropped there and here.
    pub token: Secret,
    /// The target that it asked for.
    pub target: Name,
    /// Its address.
    pub client: Option<IpAddr>,
    /// The user name that it gave: free text, recorded and never believed.
    pub client_user: String,
}

type JournalOf<P> = <<P as Ports>::Recorder as Recorder>::Journal;

/// An open session. Not `Clone`; one driver owns it.
pub struct Session<P: Ports> {
    pub(crate) ports: Arc<P>,
    pub(crate) facts: SessionFacts,
    pub(crate) journal: JournalOf<P>,
    /// The approval in whose transaction the session is.
    pub(crate) approved: Option<ApprovalId>,
    /// Which findings of detectors have to be covered.
    pub(crate) detected: Detected,
    /// Something had to be masked: from now on the target's errors and notices are reduced.
    pub(crate) is_reticent: bool,
    permitted: u64,
    refused: u64,
}

/// What came of an operation that policy does not deny.
#[derive(Debug)]
pub enum Admission {
    /// It may be sent.
    Permitted(Recorded<Permit>),
    /// It may be sent once people have approved it.
    Held(Holdable),
}

impl<P: Ports> Session<P> {
    /// Opens a session and decides its Connect. The permit is for dialling the target.
    ///
    /// # Errors
    /// The refusal for the client: token, target, policy, recording or control plane. What could be recorded of it
    /// has been.
    ///
    /// Not cancellation safe: a session that was opened and then dropped is closed by its deadline alone.
    pub async fn open(ports: Arc<P>, request: OpenRequest) -> Result<(Self, Recorded<Permit>), Refusal> {
        let client_user = request.client_user.clone();
        let facts = ports.authority().open_session(request).await?;
        let journal = match ports.recorder().begin(&facts, &client_user).await {
            Ok(journal) => journal,
            Err(error) => {
                ports.authority().close_session(facts.session);
                return Err(error.refusal());
            }
        };
        let mut session = Self {
            ports,
            facts,
            journal,
            approved: None,
            detected: Detected::default(),
            is_reticent: false,
            permitted: 0,
            refused: 0,
        };
        let admitted = match session.admit(connect()).await {
            Ok(Admission::Permitted(permit)) => Ok(permit),
            // A session that waited for people would hold a login open for as long: it is not asked for.
            Ok(Admission::Held(holdable)) => {
                Err(session.refuse_held(holdable, no_approval_for_connect()).await)
            }
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(permit) => Ok((session, permit)),
            Err(refusal) => {
                session.close(CloseReason::Refused).await;
                Err(refusal)
            }
        }
    }

    /// Waits until somebody else than client, target and clock wants the session to end.
    pub fn ended(&self) -> Ended {
        self.ports.authority().ended(self.facts.session)
    }

    /// What is fixed for the session.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Decides an operation of the caller and records the intent, or the refusal. One that policy holds is recorded
    /// once people are asked, or it is refused.
    ///
    /// # Errors
    /// The refusal for the client. Nothing of the operation was sent, and without a permit nothing can be.
    ///
    /// Not cancellation safe: the intent may be recorded without being sent.
    pub async fn admit(&mut self, operation: Operation) -> Result<Admission, Refusal> {
        let decision = self.ports.decider().decide(&self.facts, &operation.facts, &operation.context);
        let refusal = match &decision.verdict {
            Verdict::Deny(reason) => Refusal::denied(*reason, denial(*reason)),
            // Reading what people may approve is not running it: to prepare it is permitted, like what policy allows.
            Verdict::Hold(hold) if operation.kind != OperationKind::Prepare => {
                let hold = hold.clone();
                let operation = Box::new(operation);
                return Ok(Admission::Held(Holdable { operation, decision, hold }));
            }
            Verdict::Allow | Verdict::Hold(_) if self.is_without_approval(operation.identity) => {
                not_approved()
            }
            Verdict::Allow | Verdict::Hold(_) if !is_covered_by(&operation, &decision) => unmaskable(),
            Verdict::Allow | Verdict::Hold(_) => {
                return self.record_intent(operation, decision, None).await.map(Admission::Permitted);
            }
        };
        self.record_refusal(&operation, &decision, None, refusal.reason).await?;
        Err(refusal.of(self.facts.session, operation.id))
    }

    /// Answers a permitted operation here, in the target's words, without sending it: a BEGIN, which goes out with the
    /// first operation of its transaction, or the end of a transaction of which nothing was sent. Returns the step to
    /// send later, if it is one.
    ///
    /// # Errors
    /// The refusal for the client: it may not be answered, and the connection has to end.
    pub async fn answer_here(
        &mut self,
        permit: Recorded<Permit>,
        tag: &str,
    ) -> Result<Option<Step>, Refusal> {
        let step = permit.inner.step();
        let (in_flight, ..) = permit.inner.take_apart();
        let completion = Completion { tags: vec![tag.to_owned()], ..Completion::default() };
        let outcome = if step.is_some() { Outcome::Done } else { Outcome::NotSent };
        self.record_outcome(&in_flight, outcome, &completion, &Excerpt::default()).await?;
        Ok(step)
    }

    /// Records an operation that the protocol refused before policy could be asked, and completes the refusal.
    ///
    /// # Errors
    /// Another refusal, if it could not be recorded.
    pub async fn refuse(
        &mut self,
        payload: Bytes,
        shown: Shown,
        refusal: Refusal,
    ) -> Result<Refusal, Refusal> {
        let operation =
            Operation::of_caller(payload, Vec::new(), OperationContext::default()).shown_as(shown);
        let decision = undecided(Verdict::Deny(refusal.reason));
        self.record_refusal(&operation, &decision, None, refusal.reason).await?;
        Ok(refusal.of(self.facts.session, operation.id))
    }

    /// A permit to end a pipeline of operations that were permitted one by one: it commits them, or says why it cannot.
    /// Policy is not asked: the alternative is to leave them open.
    ///
    /// # Errors
    /// The refusal for the client, if it could not be recorded, or if it is for an approved transaction and there is none.
    pub async fn sync(&mut self, identity: Identity) -> Result<Recorded<Permit>, Refusal> {
        let operation = Operation::of_edge(OperationKind::Sync, identity, Bytes::new());
        if self.is_without_approval(identity) {
            let refusal = not_approved();
            let decision = undecided(Verdict::Deny(refusal.reason));
            self.record_refusal(&operation, &decision, None, refusal.reason).await?;
            return Err(refusal.of(self.facts.session, operation.id));
        }
        self.record_intent(operation, undecided(Verdict::Allow), None).await
    }

    /// A permit for one of the edge's own fixed questions to the catalog. Policy is not asked: the text is ours, it
    /// goes out as the metadata identity alone, and the answer does not reach the client.
    ///
    /// # Errors
    /// The refusal for the client, if it could not be recorded.
    pub async fn catalog(&mut self, question: &'static str) -> Result<Recorded<Permit>, Refusal> {
        let payload = Bytes::from_static(question.as_bytes());
        let operation = Operation::of_edge(OperationKind::Catalog, Identity::Metadata, payload);
        self.record_intent(operation, undecided(Verdict::Allow), None).await
    }

    /// Has the credential minted that a permit's connection is logged in with.
    ///
    /// # Errors
    /// The refusal for the client; the permit is still there to be given up by [`Session::not_sent`].
    pub async fn redeem(&self, permit: &Recorded<Permit>) -> Result<Credential, Refusal> {
        let (identity, operation) = (permit.identity(), permit.operation());
        let approval = permit.approval();
        let credential = self.ports.authority().mint(self.facts.session, identity, operation, approval).await;
        match credential {
            Ok(credential) if credential.identity() == identity => Ok(credential),
            Ok(_) => Err(Refusal::denied(Reason::MintFailed, "no credential could be had for the target")),
            Err(refusal) => Err(refusal.of(self.facts.session, operation)),
        }
    }

    /// Records a batch of a reply, other than the last.
    ///
    /// # Errors
    /// The refusal for the client: the batch may not be sent, and the connection has to end.
    pub async fn reply(
        &mut self,
        in_flight: &mut InFlight,
        batch: Masked<Batch>,
    ) -> Result<Recorded<Masked<Batch>>, Refusal> {
        let Masked { inner, excerpt } = batch;
        let tag = self.journal.tag(&[&inner.bytes]);
        in_flight.replied.add(&inner, &tag);
        let (bytes, rows) = (inner.bytes.len() as u64, inner.rows);
        let entry = Entry::Reply { operation: in_flight.operation, bytes, rows, tag, excerpt: &excerpt };
        let position =
            self.journal.append(entry, Durability::PageCache).await.map_err(|error| error.refusal())?;
        // What was recorded is not needed any more, and may be large.
        Ok(Recorded { inner: Masked { inner, excerpt: Excerpt::default() }, position })
    }

    /// Records the end of an operation together with the last batch of its reply.
    ///
    /// # Errors
    /// The refusal for the client: the batch may not be sent, and the connection has to end.
    pub async fn finish(
        &mut self,
        mut in_flight: InFlight,
        batch: Masked<Batch>,
        completion: &Completion,
    ) -> Result<Recorded<Masked<Batch>>, Refusal> {
        let Masked { inner, excerpt } = batch;
        let tag = self.journal.tag(&[&inner.bytes]);
        in_flight.replied.add(&inner, &tag);
        let outcome = if completion.error_code.is_some() { Outcome::Failed } else { Outcome::Done };
        let position = self.record_outcome(&in_flight, outcome, completion, &excerpt).await?;
        Ok(Recorded { inner: Masked { inner, excerpt: Excerpt::default() }, position })
    }

    /// Records that an operation was sent and will not be answered: whether it ran is not known.
    pub async fn abandon(&mut self, in_flight: InFlight) -> Result<(), Refusal> {
        let nothing = (Completion::default(), Excerpt::default());
        self.record_outcome(&in_flight, Outcome::Unknown, &nothing.0, &nothing.1).await.map(drop)
    }

    /// Records that a permit will not be used; nothing of it was sent.
    pub async fn not_sent(&mut self, permit: Recorded<Permit>) -> Result<(), Refusal> {
        let (in_flight, ..) = permit.inner.take_apart();
        let nothing = (Completion::default(), Excerpt::default());
        self.record_outcome(&in_flight, Outcome::NotSent, &nothing.0, &nothing.1).await.map(drop)
    }

    /// Ends the session: its last record is on disk when this returns, unless the spool has failed.
    pub async fn close(mut self, reason: CloseReason) {
        let entry = Entry::Close { reason, operations: self.permitted, refusals: self.refused };
        // A recording that cannot be closed reads `tail_missing`, which says so to whoever verifies it.
        let _ = self.journal.append(entry, Durability::Fsync).await;
        self.ports.authority().close_session(self.facts.session);
    }

    /// Whether the identity is the approved one, and no approval has begun a transaction that is still open.
    fn is_without_approval(&self, identity: Identity) -> bool {
        identity == Identity::Approved && self.approved.is_none()
    }

    /// Keyed hash of what an operation sends: its payload, and each parameter's types, format and value.
    pub(crate) fn tag_of(&self, operation: &Operation) -> [u8; 32] {
        let parameters = operation.binding.iter().flat_map(|binding| &binding.parameters);
        let frames: Vec<[u8; 11]> = parameters.clone().map(frame).collect();
        let mut parts: Vec<&[u8]> = vec![&operation.payload];
        for (frame, parameter) in frames.iter().zip(parameters) {
            parts.push(frame);
            parts.push(parameter.value.as_deref().unwrap_or_default());
        }
        self.journal.tag(&parts)
    }

    /// What has to be covered in the reply to an operation that is permitted.
    fn duty(&mut self, kind: OperationKind, decision: Decision) -> Duty {
        if matches!(kind, OperationKind::Connect | OperationKind::Catalog) {
            return Duty::default();
        }
        let mask = decision.obligations.mask;
        // What comes late, such as the failure of a deferred constraint, tells of what was touched before.
        self.is_reticent |= !mask.is_empty() || decision.obligations.reduce_text;
        let detect = self.detected_by(&decision.revision);
        Duty { mask, detect, reduce_text: self.is_reticent }
    }

    pub(crate) async fn record_intent(
        &mut self,
        operation: Operation,
        decision: Decision,
        approval: Option<ApprovalId>,
    ) -> Result<Recorded<Permit>, Refusal> {
        // What people were asked about is on disk before it is sent, whatever it does.
        let durability = if approval.is_some() { Durability::Fsync } else { operation.durability() };
        let (shown, tag) = (operation.shown(), self.tag_of(&operation));
        let control = operation.is_control().then(|| shown.payload.clone());
        self.is_reticent |= operation.is_reticent;
        let Operation { id, kind, identity, payload, binding, facts, preamble, .. } = operation;
        let entry = Entry::Intent {
            operation: id,
            kind,
            identity,
            approval,
            preamble: &preamble,
            shown: &shown,
            tag,
            facts: &facts,
            policies: &decision.determining,
            revision: &decision.revision,
        };
        let position = match self.journal.append(entry, durability).await {
            Ok(position) => position,
            Err(error) => return Err(error.refusal().of(self.facts.session, id)),
        };
        self.permitted = self.permitted.saturating_add(1);
        let duty = self.duty(kind, decision);
        let permit =
            Permit { operation: id, kind, identity, preamble, payload, binding, control, approval, duty };
        Ok(Recorded { inner: permit, position })
    }

    pub(crate) async fn record_refusal(
        &mut self,
        operation: &Operation,
        decision: &Decision,
        approval: Option<ApprovalId>,
        reason: Reason,
    ) -> Result<(), Refusal> {
        let (shown, tag) = (operation.shown(), self.tag_of(operation));
        let entry = Entry::Refusal {
            operation: operation.id,
            approval,
            kind: operation.kind,
            shown: &shown,
            tag,
            facts: &operation.facts,
            policies: &decision.determining,
            revision: &decision.revision,
            reason,
        };
        self.refused = self.refused.saturating_add(1);
        match self.journal.append(entry, Durability::PageCache).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.refusal().of(self.facts.session, operation.id)),
        }
    }

    async fn record_outcome(
        &mut self,
        in_flight: &InFlight,
        outcome: Outcome,
        completion: &Completion,
        excerpt: &Excerpt,
    ) -> Result<crate::ports::Position, Refusal> {
        let entry = Entry::Outcome {
            operation: in_flight.operation,
            approval: in_flight.approval,
            outcome,
            completion,
            bytes: in_flight.replied.bytes,
            rows: in_flight.replied.rows,
            tag: in_flight.replied.sha256(),
            excerpt,
        };
        let recorded = self.journal.append(entry, Durability::PageCache).await;
        recorded.map_err(|error| error.refusal().of(self.facts.session, in_flight.operation))
    }
}

/// The first operation of every session.
fn connect() -> Operation {
    let operation = Operation::of_edge(OperationKind::Connect, Identity::Standing, Bytes::new());
    Operation { facts: vec![Fact { action: Action::Connect, resource: Resource::Target }], ..operation }
}

/// Whether everything that a decision wants masked can be.
pub(crate) fn is_covered_by(operation: &Operation, decision: &Decision) -> bool {
    operation.is_maskable || decision.obligations.mask.is_empty()
}

/// A decision where policy was not asked.
fn undecided(verdict: Verdict) -> Decision {
    Decision { verdict, obligations: Obligations::default(), determining: Vec::new(), revision: "".into() }
}

/// What of a parameter is hashed beside its value.
fn frame(parameter: &Parameter) -> [u8; 11] {
    let [a, b, c, d] = parameter.declared_type.to_be_bytes();
    let [e, f, g, h] = parameter.resolved_type.to_be_bytes();
    let [i, j] = parameter.format.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, u8::from(parameter.value.is_none())]
}

fn not_approved() -> Refusal {
    Refusal::denied(Reason::ApprovalUsed, "there is no approved transaction that this belongs to")
}

fn no_approval_for_connect() -> Refusal {
    Refusal::denied(
        Reason::ApprovalUnavailable,
        "connecting needs an approval, which cannot be asked for here",
    )
}

pub(crate) fn denial(reason: Reason) -> &'static str {
    match reason {
        Reason::Forbidden => "a policy forbids this",
        Reason::PolicyError => "a policy could not be evaluated, which counts as a denial",
        Reason::NoPolicy => "there is no policy in force, and without one nothing is permitted",
        Reason::OverLimit => "this touches more than may be decided at once",
        Reason::Unparsed => "it cannot be told what this would touch, and no policy permits that",
        _ => "no policy permits this",
    }
}

#[cfg(test)]
mod tests;
