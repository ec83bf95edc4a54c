#![allow(
    clippy::arc_with_non_send_sync,
    reason = "sessions share their ports by Arc; this world lives on one thread"
)]

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use countersign_model::{Hold, Principal, PrincipalKind, RecordingId, Requirement, SessionId};

use super::*;
use crate::{
    Released,
    ports::{JournalError, Position},
};

/// What the world is asked, in order, and how it answers.
struct World {
    log: Rc<RefCell<Vec<String>>>,
    verdict: RefCell<Verdict>,
    mask: RefCell<Vec<Arc<str>>>,
    journal: RefCell<Result<(), JournalError>>,
    token: Result<(), Refusal>,
}

impl World {
    fn allowing() -> Self {
        Self {
            log: Rc::default(),
            verdict: RefCell::new(Verdict::Allow),
            mask: RefCell::default(),
            journal: RefCell::new(Ok(())),
            token: Ok(()),
        }
    }

    fn say(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow_mut().drain(..).collect()
    }
}

struct Tape {
    world: Arc<World>,
    sequence: u64,
}

impl Ports for World {
    type Authority = Self;
    type Decider = Self;
    type Recorder = Handle;

    fn authority(&self) -> &Self {
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
struct Handle;

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
    async fn append(&mut self, entry: Entry<'_>, durability: Durability) -> Result<Position, JournalError> {
        (*self.world.journal.borrow())?;
        let word = match &entry {
            Entry::Intent { kind, .. } => format!("intent {}", kind.as_str()),
            Entry::Refusal { reason, .. } => format!("refusal {reason}"),
            Entry::Reply { rows, .. } => format!("reply {rows}"),
            Entry::Outcome { outcome, rows, .. } => format!("outcome {outcome:?} {rows}"),
            Entry::Close { reason, operations, refusals } => {
                format!("close {} {operations} {refusals}", reason.as_str())
            }
        };
        self.world.say(format!("{word} {durability:?}"));
        self.sequence += 1;
        Ok(Position { sequence: self.sequence })
    }
}

impl Decider for World {
    fn decide(&self, _: &SessionFacts, _: &[Fact], _: &OperationContext) -> Decision {
        let obligations = Obligations { mask: self.mask.borrow().clone() };
        Decision { obligations, ..undecided(self.verdict.borrow().clone()) }
    }
}

impl Authority for World {
    async fn open_session(&self, request: OpenRequest) -> Result<SessionFacts, Refusal> {
        self.token.clone()?;
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

    async fn mint(&self, _: SessionId, identity: Identity, _: OperationId) -> Result<Credential, Refusal> {
        self.say(format!("mint {}", identity.as_str()));
        Ok(Credential::new(Identity::Standing, Secret::new("token".into()), SystemTime::now()))
    }

    fn close_session(&self, _: SessionId) {
        self.say("closed");
    }
}

async fn open(world: World) -> (Arc<World>, Result<(Session<World>, Recorded<Permit>), Refusal>) {
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

fn query(action: Action) -> Operation {
    let resource = Resource::Database { database: "shop".into() };
    let facts = vec![Fact { action, resource }];
    Operation::of_caller(Bytes::from_static(b"select 1"), facts, OperationContext::default())
}

#[tokio::test]
async fn an_operation_is_recorded_before_it_can_be_sent_and_answered_after_it_was_recorded() {
    let (world, opened) = open(World::allowing()).await;
    let (mut session, connect) = opened.expect("opened");
    assert_eq!(session.redeem(&connect).await.expect("credential").identity(), Identity::Standing);
    let released = connect.release(Identity::Standing).expect("standing");
    let nothing = released.in_flight.mask(Batch::default()).expect("no masks");
    session.finish(released.in_flight, nothing, &Completion::default()).await.expect("recorded");

    let permit = session.admit(query(Action::PostgresSelect)).await.expect("permitted");
    let Released { payload, mut in_flight } = permit.release(Identity::Standing).expect("standing");
    assert_eq!(payload, "select 1");
    let first = in_flight.mask(Batch::new("one".into(), 2)).expect("no masks");
    let first = session.reply(&mut in_flight, first).await.expect("recorded");
    assert_eq!(first.into_bytes(), "one");
    let last = in_flight.mask(Batch::new("two".into(), 1)).expect("no masks");
    let last = session.finish(in_flight, last, &Completion::default()).await.expect("recorded");
    assert_eq!(last.into_bytes(), "two");
    session.close(CloseReason::Client).await;

    let expected = [
        "intent connect PageCache",
        "mint standing",
        "outcome Done 0 PageCache",
        "intent query PageCache",
        "reply 2 PageCache",
        "outcome Done 3 PageCache",
        "close client 2 0 Fsync",
        "closed",
    ];
    assert_eq!(world.log(), expected);
}

#[tokio::test]
async fn intents_that_may_write_are_on_disk_first() {
    let (world, opened) = open(World::allowing()).await;
    let (mut session, _connect) = opened.expect("opened");
    world.log();
    for action in Action::ALL {
        let permit = session.admit(query(action)).await.expect("permitted");
        session.not_sent(permit).await.expect("recorded");
        let level = if action.may_write() { "Fsync" } else { "PageCache" };
        assert_eq!(world.log(), [format!("intent query {level}"), "outcome NotSent 0 PageCache".into()]);
    }
}

#[tokio::test]
async fn holds_and_denials_and_masks_that_cannot_be_applied_yield_no_permit() {
    let (world, opened) = open(World::allowing()).await;
    let (mut session, _connect) = opened.expect("opened");
    let hold = Hold { requirements: vec![Requirement { group: "dba".into(), quorum: 1 }] };
    for (verdict, reason) in [
        (Verdict::Deny(Reason::Forbidden), Reason::Forbidden),
        (Verdict::Deny(Reason::PolicyError), Reason::PolicyError),
        (Verdict::Hold(hold), Reason::ApprovalUnavailable),
    ] {
        world.log();
        *world.verdict.borrow_mut() = verdict;
        let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
        assert_eq!(refusal.reason, reason);
        assert_eq!(world.log(), [format!("refusal {reason} PageCache")]);
    }
    *world.verdict.borrow_mut() = Verdict::Allow;
    *world.mask.borrow_mut() = vec!["email".into()];
    let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::Unmaskable);
}

#[tokio::test]
async fn what_cannot_be_recorded_yields_no_permit() {
    let (world, opened) = open(World::allowing()).await;
    let (mut session, _connect) = opened.expect("opened");
    *world.journal.borrow_mut() = Err(JournalError::Full);
    let refusal = session.admit(query(Action::PostgresSelect)).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
    let refusal = session.catalog("select 1").await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
}

#[tokio::test]
async fn a_permit_of_one_identity_is_not_released_to_a_line_of_another() {
    let (_world, opened) = open(World::allowing()).await;
    let (mut session, _connect) = opened.expect("opened");
    let permit = session.catalog("select 1").await.expect("permitted");
    let permit = permit.release(Identity::Standing).expect_err("metadata only");
    assert!(permit.release(Identity::Metadata).is_ok());
}

#[tokio::test]
async fn a_credential_of_another_identity_than_the_permits_is_refused() {
    let (_world, opened) = open(World::allowing()).await;
    let (mut session, _connect) = opened.expect("opened");
    let permit = session.catalog("select 1").await.expect("permitted");
    assert_eq!(session.redeem(&permit).await.expect_err("standing").reason, Reason::MintFailed);
}

#[tokio::test]
async fn a_refused_token_opens_nothing_and_a_refused_connect_closes_what_was_opened() {
    let refused = Refusal::denied(Reason::TokenRefused, "no");
    let (world, opened) = open(World { token: Err(refused.clone()), ..World::allowing() }).await;
    assert_eq!(opened.err(), Some(refused));
    assert!(world.log().is_empty());

    let denied = RefCell::new(Verdict::Deny(Reason::NotPermitted));
    let (world, opened) = open(World { verdict: denied, ..World::allowing() }).await;
    assert_eq!(opened.err().map(|refusal| refusal.reason), Some(Reason::NotPermitted));
    assert_eq!(world.log(), ["refusal not_permitted PageCache", "close refused 0 1 Fsync", "closed"]);
}
