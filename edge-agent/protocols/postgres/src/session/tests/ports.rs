//! Ports in memory: they let in `good`, deny DELETE, hold UPDATE, and write down what they are asked. People answer
//! when the test has them do so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use countersign_gate::{
    CloseReason, Entry, OpenRequest,
    ports::{
        Approvals, Authority, Credential, Decider, Ended, Journal, JournalError, Ports, Position, Question,
        Recorder, Requested, Withdrawal,
    },
};
use countersign_model::{
    Action, ApprovalId, ApprovalOutcome, ApprovalState, Binding, Decision, Durability, Fact, Hold, Identity,
    Obligations, OperationContext, OperationId, OperationToSign, Parameter, Principal, PrincipalKind, Reason,
    RecordingId, Refusal, Requirement, Resource, Secret, SessionFacts, SessionId, Verdict,
};
use tokio::sync::watch;

/// What happened, in order.
#[derive(Clone, Default)]
pub(super) struct Timeline(Arc<Mutex<Vec<String>>>);

impl Timeline {
    pub(super) fn add(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn containing(&self, text: &str) -> Vec<String> {
        self.all().into_iter().filter(|event| event.contains(text)).collect()
    }

    pub(super) async fn wait_for(&self, event: &str) {
        while !self.all().iter().any(|other| other == event) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(super) struct FakePorts {
    timeline: Timeline,
    /// What people decided of the approval that waits, once they have.
    decision: watch::Sender<Option<ApprovalState>>,
    asked: Mutex<Option<ApprovalOutcome>>,
    killed: watch::Sender<bool>,
    /// Mints of the approved identity fail.
    pub(super) no_mint: AtomicBool,
    /// Happens when an approval is used up.
    pub(super) on_consume: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl FakePorts {
    pub(super) fn new(timeline: Timeline) -> Self {
        let (decision, killed) = (watch::Sender::new(None), watch::Sender::new(false));
        Self {
            timeline,
            decision,
            asked: Mutex::default(),
            killed,
            no_mint: AtomicBool::new(false),
            on_consume: Mutex::default(),
        }
    }

    /// People decide about what waits, or about what will be asked next.
    pub(super) fn decide(&self, state: ApprovalState) {
        self.decision.send_replace(Some(state));
    }

    /// An admin ends every session.
    pub(super) fn kill(&self) {
        self.killed.send_replace(true);
    }
}

fn public_orders(resource: &Resource) -> bool {
    matches!(resource, Resource::Table { schema, table, .. } if **schema == *"public" && **table == *"orders")
}

impl Approvals for FakePorts {
    async fn request(&self, session: &SessionFacts, question: Question<'_>) -> Result<Requested, Refusal> {
        let approval = ApprovalId::generate();
        let pairs = [Fact {
            action: Action::PostgresUpdate,
            resource: Resource::Table {
                database: "shop".into(),
                schema: "public".into(),
                table: "orders".into(),
            },
        }];
        let digest = OperationToSign::query(
            &session.principal,
            &session.target,
            question.identity,
            (question.payload, question.binding),
            question.resolution,
            &pairs,
            question.attached,
        );
        self.timeline.add(format!(
            "asked {} as {} after {:?} with {:?}",
            String::from_utf8_lossy(question.payload),
            question.resolution.role,
            question.resolution.preamble,
            question.resolution.settings,
        ));
        *self.asked.lock().unwrap() = Some(ApprovalOutcome {
            approval,
            session: session.session,
            operation: question.operation,
            digest: digest.digest(),
            state: ApprovalState::Approved,
            pairs: pairs.to_vec(),
            use_until: None,
        });
        let expires_in = Duration::from_secs(600);
        Ok(Requested { approval, expires_at: SystemTime::now() + expires_in, expires_in })
    }

    async fn outcome(&self, _: ApprovalId) -> ApprovalOutcome {
        let mut decision = self.decision.subscribe();
        let decided = decision.wait_for(Option::is_some).await.unwrap().unwrap();
        self.decision.send_replace(None);
        let asked = self.asked.lock().unwrap().clone().unwrap();
        match decided {
            ApprovalState::Approved => asked,
            state => ApprovalOutcome { state, pairs: Vec::new(), ..asked },
        }
    }

    async fn consume(&self, _: SessionId, _: ApprovalId, _: OperationId) -> Result<(), Refusal> {
        self.timeline.add("consumed");
        if let Some(happens) = &*self.on_consume.lock().unwrap() {
            happens();
        }
        Ok(())
    }

    fn withdraw(&self, _: SessionId, _: ApprovalId, why: Withdrawal, word: &'static str) {
        self.timeline.add(format!("withdrawn {why:?} {word}"));
    }
}

impl Ports for FakePorts {
    type Authority = Self;
    type Approvals = Self;
    type Decider = Self;
    type Recorder = Self;

    fn authority(&self) -> &Self {
        self
    }

    fn approvals(&self) -> &Self {
        self
    }

    fn decider(&self) -> &Self {
        self
    }

    fn recorder(&self) -> &Self {
        self
    }
}

impl Authority for FakePorts {
    async fn open_session(&self, request: OpenRequest) -> Result<SessionFacts, Refusal> {
        if request.token.expose() != "good" {
            return Err(Refusal::denied(Reason::TokenRefused, "the token was refused"));
        }
        let principal = Principal {
            tenant_id: "t".into(),
            object_id: "o".into(),
            app_id: None,
            kind: PrincipalKind::Agent,
            agent: None,
            roles: Vec::new(),
        };
        Ok(SessionFacts {
            session: SessionId::generate(),
            recording: RecordingId::generate(),
            principal: Arc::new(principal),
            token_id: "u".into(),
            zone: "lab".parse().unwrap(),
            target: request.target,
            client: request.client,
            deadline: SystemTime::now() + Duration::from_secs(600),
        })
    }

    fn ended(&self, _: SessionId) -> Ended {
        let mut killed = self.killed.subscribe();
        Box::pin(async move {
            killed.wait_for(|killed| *killed).await.unwrap();
            CloseReason::Killed
        })
    }

    async fn mint(
        &self,
        _: SessionId,
        identity: Identity,
        _: OperationId,
        approval: Option<ApprovalId>,
    ) -> Result<Credential, Refusal> {
        assert_eq!(approval.is_some(), identity == Identity::Approved);
        if identity == Identity::Approved && self.no_mint.load(Ordering::Relaxed) {
            return Err(Refusal::denied(Reason::MintFailed, "no"));
        }
        self.timeline.add(format!("mint {}", identity.as_str()));
        let token = Secret::new(format!("token-{}", identity.as_str()));
        Ok(Credential::new(identity, token, SystemTime::now() + Duration::from_secs(600)))
    }

    fn close_session(&self, _: SessionId) {}
}

impl Decider for FakePorts {
    fn decide_approved(
        &self,
        _: &SessionFacts,
        facts: &[Fact],
        _: &OperationContext,
        approved: &[Fact],
    ) -> Decision {
        let denied = |fact: &Fact| matches!(fact.action, Action::PostgresDelete | Action::Unparsed);
        let held: Vec<Fact> = facts
            .iter()
            .filter(|fact| fact.action == Action::PostgresUpdate && public_orders(&fact.resource))
            .filter(|fact| !approved.contains(fact))
            .cloned()
            .collect();
        let requirements = vec![Requirement { group: "dba".into(), quorum: 1 }];
        let verdict = if facts.iter().any(denied) {
            Verdict::Deny(Reason::NotPermitted)
        } else if held.is_empty() {
            Verdict::Allow
        } else {
            Verdict::Hold(Hold { requirements, pairs: held })
        };
        Decision {
            verdict,
            obligations: Obligations::default(),
            determining: Vec::new(),
            revision: "r".into(),
        }
    }
}

impl Recorder for FakePorts {
    type Journal = FakeJournal;

    async fn begin(&self, _: &SessionFacts, _: &str) -> Result<FakeJournal, JournalError> {
        self.timeline.add("open");
        Ok(FakeJournal { timeline: self.timeline.clone(), sequence: 0 })
    }
}

pub(super) struct FakeJournal {
    timeline: Timeline,
    sequence: u64,
}

impl Journal for FakeJournal {
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        [parts.len() as u8; 32]
    }

    async fn append(&mut self, entry: Entry<'_>, _: Durability) -> Result<Position, JournalError> {
        self.timeline.add(shown(&entry));
        self.sequence += 1;
        Ok(Position { sequence: self.sequence })
    }
}

fn shown(entry: &Entry<'_>) -> String {
    let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
    match entry {
        Entry::Intent { kind, identity, shown, facts, preamble, .. }
            if matches!(kind.as_str(), "query" | "prepare" | "fetch") =>
        {
            let mut actions: Vec<_> = facts.iter().map(|fact| fact.action.as_str()).collect();
            actions.dedup();
            let steps: String = preamble.iter().map(|step| step.text() + "; ").collect();
            let (kind, identity, payload) = (kind.as_str(), identity.as_str(), text(shown.payload()));
            let with = shown.binding().filter(|_| kind == "query").map(bound).unwrap_or_default();
            format!("intent {kind} {identity}: {steps}{payload} [{}]{with}", actions.join(" "))
        }
        Entry::Hold { shown, .. } => {
            format!("hold {}{}", text(shown.payload()), shown.binding().map(bound).unwrap_or_default())
        }
        Entry::Intent { kind, identity, .. } => format!("intent {} {}", kind.as_str(), identity.as_str()),
        Entry::Refusal { shown, reason, .. } => format!("refusal {reason:?}: {}", text(shown.payload())),
        Entry::Reply { rows, .. } => format!("reply rows={rows}"),
        Entry::Outcome { outcome, completion, rows, .. } => {
            format!("outcome {outcome:?} tags={:?} rows={rows}", completion.tags)
        }
        Entry::Close { reason, .. } => format!("close {}", CloseReason::as_str(*reason)),
    }
}

/// What is executed with what, in words.
fn bound(binding: &Binding) -> String {
    let value = |one: &Parameter| {
        one.value.as_ref().map_or("NULL".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
    };
    let values: Vec<String> = binding.parameters.iter().map(value).collect();
    let limit = if binding.row_limit > 0 { format!(" limit {}", binding.row_limit) } else { String::new() };
    format!(" with [{}]{limit}", values.join(", "))
}
