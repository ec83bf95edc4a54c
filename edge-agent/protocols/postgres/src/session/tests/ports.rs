//! Ports in memory: they let in `good`, deny DELETE, and write down what they are asked.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use countersign_gate::{
    CloseReason, Entry, OpenRequest,
    ports::{Authority, Credential, Decider, Journal, JournalError, Ports, Position, Recorder},
};
use countersign_model::{
    Action, Decision, Durability, Fact, Identity, Obligations, OperationContext, OperationId, Principal,
    PrincipalKind, Reason, RecordingId, Refusal, Secret, SessionFacts, SessionId, Verdict,
};

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
}

impl FakePorts {
    pub(super) fn new(timeline: Timeline) -> Self {
        Self { timeline }
    }
}

impl Ports for FakePorts {
    type Authority = Self;
    type Decider = Self;
    type Recorder = Self;

    fn authority(&self) -> &Self {
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

    async fn mint(&self, _: SessionId, identity: Identity, _: OperationId) -> Result<Credential, Refusal> {
        self.timeline.add(format!("mint {}", identity.as_str()));
        let token = Secret::new(format!("token-{}", identity.as_str()));
        Ok(Credential::new(identity, token, SystemTime::now() + Duration::from_secs(600)))
    }

    fn close_session(&self, _: SessionId) {}
}

impl Decider for FakePorts {
    fn decide(&self, _: &SessionFacts, facts: &[Fact], _: &OperationContext) -> Decision {
        let denied = |fact: &Fact| matches!(fact.action, Action::PostgresDelete | Action::Unparsed);
        let verdict =
            if facts.iter().any(denied) { Verdict::Deny(Reason::NotPermitted) } else { Verdict::Allow };
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
    async fn append(&mut self, entry: Entry<'_>, _: Durability) -> Result<Position, JournalError> {
        self.timeline.add(shown(&entry));
        self.sequence += 1;
        Ok(Position { sequence: self.sequence })
    }
}

fn shown(entry: &Entry<'_>) -> String {
    let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
    match entry {
        Entry::Intent { kind, identity, payload, facts, .. } if kind.as_str() == "query" => {
            let mut actions: Vec<_> = facts.iter().map(|fact| fact.action.as_str()).collect();
            actions.dedup();
            format!("intent query {}: {} [{}]", identity.as_str(), text(payload), actions.join(" "))
        }
        Entry::Intent { kind, identity, .. } => format!("intent {} {}", kind.as_str(), identity.as_str()),
        Entry::Refusal { payload, reason, .. } => format!("refusal {reason:?}: {}", text(payload)),
        Entry::Reply { rows, .. } => format!("reply rows={rows}"),
        Entry::Outcome { outcome, completion, rows, .. } => {
            format!("outcome {outcome:?} tags={:?} rows={rows}", completion.tags)
        }
        Entry::Close { reason, .. } => format!("close {}", CloseReason::as_str(*reason)),
    }
}
