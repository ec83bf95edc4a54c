//! A world in memory: it writes down what it is asked, in order, and answers as the test wants.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use countersign_model::{
    ApprovalId, ApprovalOutcome, ApprovalState, Hold, OperationId, OperationToSign, Principal, PrincipalKind,
    RecordingId, Requirement, SessionId,
};

use super::super::*;
use crate::{
    Masker, Views,
    ports::{Approvals, JournalError, Position, Question, Requested, Withdrawal},
};

pub(super) struct World {
    log: Rc<RefCell<Vec<String>>>,
    /// Of what nobody approved.
    pub(super) verdict: RefCell<Verdict>,
    /// Once people approved [`touched`].
    pub(super) verdict_of_approved: RefCell<Verdict>,
    pub(super) mask: RefCell<Vec<Arc<str>>>,
    pub(super) journal: RefCell<Result<(), JournalError>>,
    pub(super) token: RefCell<Result<(), Refusal>>,
    /// Answer to the request for votes.
    pub(super) request: RefCell<Result<(), Refusal>>,
    /// Answer to the use of an approval.
    pub(super) consume: RefCell<Result<(), Refusal>>,
    /// What the control plane would sign if people approved what was asked last.
    asked: RefCell<Option<ApprovalOutcome>>,
}

impl World {
    pub(super) fn allowing() -> Self {
        Self {
            log: Rc::default(),
            verdict: RefCell::new(Verdict::Allow),
            verdict_of_approved: RefCell::new(Verdict::Allow),
            mask: RefCell::default(),
            journal: RefCell::new(Ok(())),
            token: RefCell::new(Ok(())),
            request: RefCell::new(Ok(())),
            consume: RefCell::new(Ok(())),
            asked: RefCell::default(),
        }
    }

    /// What people say.
    pub(super) fn outcome(&self, state: ApprovalState) -> ApprovalOutcome {
        let asked = self.asked.borrow().clone().expect("asked");
        let pairs = if state == ApprovalState::Approved { asked.pairs } else { Vec::new() };
        ApprovalOutcome { state, pairs, ..asked }
    }

    fn say(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }

    /// What was said since it was asked last.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.borrow_mut().drain(..).collect()
    }
}

pub(super) struct Tape {
    world: Arc<World>,
    sequence: u64,
}

impl Ports for World {
    type Authority = Self;
    type Approvals = Self;
    type Decider = Self;
    type Recorder = Handle;

    fn authority(&self) -> &Self {
        self
    }

    fn approvals(&self) -> &Self {
        self
    }

    fn decider(&self) -> &Self {
        self
    }

    fn recorder(&self) -> &Handle {
        &Handle
    }
}

/// Finds the world of the test that runs on this thread.
pub(super) struct Handle;

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

impl Recorder for Handle {
    type Journal = Tape;

    async fn begin(&self, _: &SessionFacts, _: &str) -> Result<Tape, JournalError> {
        let world = WORLD.with(|world| world.borrow().clone()).expect("world");
        (*world.journal.borrow())?;
        Ok(Tape { world, sequence: 0 })
    }
}

impl Journal for Tape {
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut tag = [0; 32];
        parts.concat().iter().zip(&mut tag).for_each(|(byte, place)| *place = *byte);
        tag
    }

    async fn append(&mut self, entry: Entry<'_>, durability: Durability) -> Result<Position, JournalError> {
        (*self.world.journal.borrow())?;
        self.world.say(format!("{} {durability:?}", in_words(&entry)));
        self.sequence += 1;
        Ok(Position { sequence: self.sequence })
    }
}

fn in_words(entry: &Entry<'_>) -> String {
    let with = |approval: &Option<ApprovalId>| if approval.is_some() { " with approval" } else { "" };
    match entry {
        Entry::Intent { kind, identity, approval, .. } => {
            let identity = if *identity == Identity::Approved { " as approved" } else { "" };
            format!("intent {}{identity}{}", kind.as_str(), with(approval))
        }
        Entry::Hold { requirements, .. } => {
            let each = requirements.iter().map(|need| format!("{} {}", need.group, need.quorum));
            format!("hold {}", each.collect::<Vec<_>>().join(" "))
        }
        Entry::Refusal { reason, approval, .. } => format!("refusal {reason}{}", with(approval)),
        Entry::Reply { rows, .. } => format!("reply {rows}"),
        Entry::Outcome { outcome, rows, approval, .. } => {
            format!("outcome {outcome:?} {rows}{}", with(approval))
        }
        Entry::Close { reason, operations, refusals } => {
            format!("close {} {operations} {refusals}", reason.as_str())
        }
    }
}

impl Decider for World {
    fn decide_approved(
        &self,
        _: &SessionFacts,
        _: &[Fact],
        _: &OperationContext,
        approved: &[Fact],
    ) -> Decision {
        let obligations = Obligations { mask: self.mask.borrow().clone(), ..Obligations::default() };
        let verdict = if approved == touched() { &self.verdict_of_approved } else { &self.verdict };
        Decision { obligations, ..undecided(verdict.borrow().clone()) }
    }
}

impl Authority for World {
    async fn open_session(&self, request: OpenRequest) -> Result<SessionFacts, Refusal> {
        self.token.borrow().clone()?;
        Ok(SessionFacts {
            session: SessionId::generate(),
            recording: RecordingId::generate(),
            principal: Arc::new(Principal {
                tenant_id: "t".into(),
                object_id: "o".into(),
                app_id: None,
                kind: PrincipalKind::Agent,
                agent: None,
                roles: Vec::new(),
            }),
            token_id: "uti".into(),
            zone: "dev".parse().expect("name"),
            target: request.target,
            client: request.client,
            deadline: SystemTime::now() + Duration::from_secs(60),
        })
    }

    fn ended(&self, _: SessionId) -> Ended {
        Box::pin(std::future::pending())
    }

    async fn mint(
        &self,
        _: SessionId,
        identity: Identity,
        _: OperationId,
        approval: Option<ApprovalId>,
    ) -> Result<Credential, Refusal> {
        let with = if approval.is_some() { " with approval" } else { "" };
        self.say(format!("mint {}{with}", identity.as_str()));
        // One for the metadata identity is never to be had.
        let minted = if identity == Identity::Metadata { Identity::Standing } else { identity };
        Ok(Credential::new(minted, Secret::new("token".into()), SystemTime::now()))
    }

    fn close_session(&self, _: SessionId) {
        self.say("closed");
    }
}

impl Approvals for World {
    async fn request(&self, session: &SessionFacts, question: Question<'_>) -> Result<Requested, Refusal> {
        self.say(format!("asked as {} after {:?}", question.identity.as_str(), question.resolution.preamble));
        self.request.borrow().clone()?;
        let pairs = touched();
        let signed = OperationToSign::query(
            &session.principal,
            &session.target,
            question.identity,
            (question.payload, question.binding),
            question.resolution,
            &pairs,
            question.attached,
        );
        let digest = signed.digest();
        let approval = ApprovalId::generate();
        *self.asked.borrow_mut() = Some(ApprovalOutcome {
            approval,
            session: session.session,
            operation: question.operation,
            digest,
            state: ApprovalState::Approved,
            pairs,
            use_until: None,
        });
        let expires_in = Duration::from_secs(900);
        Ok(Requested { approval, expires_at: SystemTime::now() + expires_in, expires_in })
    }

    async fn outcome(&self, approval: ApprovalId) -> ApprovalOutcome {
        let outcome = self.outcome(ApprovalState::Approved);
        assert_eq!(outcome.approval, approval);
        outcome
    }

    async fn consume(&self, _: SessionId, approval: ApprovalId, _: OperationId) -> Result<(), Refusal> {
        assert_eq!(self.outcome(ApprovalState::Approved).approval, approval);
        self.say("consumed");
        self.consume.borrow().clone()
    }

    fn withdraw(&self, _: SessionId, _: ApprovalId, why: Withdrawal, word: &'static str) {
        self.say(format!("withdrawn {why:?} {word}"));
    }
}

pub(super) async fn open(world: World) -> (Arc<World>, Result<(Session<World>, Recorded<Permit>), Refusal>) {
    let world = Arc::new(world);
    WORLD.with(|slot| *slot.borrow_mut() = Some(world.clone()));
    let request = OpenRequest {
        token: Secret::new("jwt".into()),
        target: "shop".parse().expect("name"),
        client: None,
        client_user: "anyone".into(),
    };
    let opened = Session::open(world.clone(), request).await;
    (world, opened)
}

/// A session whose Connect is behind it.
pub(super) async fn session() -> (Arc<World>, Session<World>) {
    let (world, opened) = open(World::allowing()).await;
    let (session, _connect) = opened.expect("opened");
    world.log();
    (world, session)
}

/// What a held operation touches.
pub(super) fn touched() -> Vec<Fact> {
    let resource = Resource::Database { database: "shop".into() };
    vec![Fact { action: Action::PostgresDelete, resource }]
}

/// One group, and how many of it.
pub(super) fn held_for(group: &str, quorum: u32) -> Verdict {
    let requirements = vec![Requirement { group: group.into(), quorum }];
    Verdict::Hold(Hold { requirements, pairs: touched() })
}

pub(super) fn query(action: Action) -> Operation {
    let resource = Resource::Database { database: "shop".into() };
    let facts = vec![Fact { action, resource }];
    Operation::of_caller(Bytes::from_static(b"select 1"), facts, OperationContext::default())
}

/// Covers nothing, and shows the recording all of it; refuses to cover anything.
pub(super) struct Open;

impl Masker for Open {
    fn mask(&mut self, batch: Batch, duty: &Duty) -> Result<Views, Refusal> {
        if !duty.mask.is_empty() {
            return Err(unmaskable());
        }
        let excerpt = Excerpt { columns: Vec::new(), data: batch.bytes.clone(), rows: batch.rows };
        Ok(Views { client: batch.bytes, excerpt })
    }
}

/// Admits what is not held.
pub(super) async fn permitted(
    session: &mut Session<World>,
    operation: Operation,
) -> Result<Recorded<Permit>, Refusal> {
    match session.admit(operation).await? {
        Admission::Permitted(permit) => Ok(permit),
        Admission::Held(held) => panic!("{held:?}"),
    }
}
