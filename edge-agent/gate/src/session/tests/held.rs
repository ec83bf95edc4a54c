//! What people have to be asked about: nothing of it is sent but by an approval of exactly that, used once.

use std::time::SystemTime;

use countersign_model::{
    ApprovalId, ApprovalOutcome, ApprovalState, Hold, NameKind, ObjectClass, ObjectVersion, OperationDigest,
    OperationId, RefusalKind, Requirement, Resolution, ResolvedName, SessionId,
};

use super::{
    super::*,
    world::Open,
    world::{World, held_for, open, permitted, query, session, touched},
};
use crate::{Again, Held, Holdable, Released, ports::JournalError};

/// One way in which something is another thing than it was, and its name.
type Change<T> = (&'static str, fn(&mut T));

const ASKED: &str = "asked as approved after []";
const HOLD: &str = "hold dba 2 Fsync";

fn resolution() -> Resolution {
    Resolution {
        database: "shop".into(),
        role: "shop_approved".into(),
        search_path: vec!["public".into()],
        settings: vec![("timezone".into(), "UTC".into())],
        names: vec![ResolvedName {
            kind: NameKind::Relation,
            place: 0,
            schema: "public".into(),
            name: "orders".into(),
            first: "r".into(),
            second: String::new(),
        }],
        objects: vec![ObjectVersion { class: ObjectClass::Relation, oid: 16_385, definition: [1; 32] }],
        in_transaction: false,
        preamble: Vec::new(),
        classes: Vec::new(),
    }
}

fn unchanged() -> Again {
    Again { facts: touched(), context: OperationContext::default(), resolution: resolution() }
}

fn delete() -> Operation {
    let text = Bytes::from_static(b"delete from orders");
    Operation::of_caller(text, touched(), OperationContext::default())
}

async fn holdable(world: &World, session: &mut Session<World>) -> Holdable {
    *world.verdict.borrow_mut() = held_for("dba", 2);
    match session.admit(delete()).await.expect("held") {
        Admission::Held(holdable) => holdable,
        Admission::Permitted(permit) => panic!("{permit:?}"),
    }
}

/// A session of which one operation waits.
async fn waiting() -> (Arc<World>, Session<World>, Held) {
    let (world, mut session) = session().await;
    let holdable = holdable(&world, &mut session).await;
    assert_eq!(holdable.facts(), touched());
    let held = session.hold(holdable, Vec::new(), resolution(), Identity::Approved).await.expect("waits");
    assert_eq!(world.log(), [ASKED, HOLD]);
    (world, session, held)
}

/// Nothing can be sent as approved.
async fn assert_nothing_approved(world: &World, session: &mut Session<World>) {
    *world.verdict.borrow_mut() = Verdict::Allow;
    let refusal = session.admit(query(Action::PostgresSelect).on_approved()).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::ApprovalUsed);
    assert_eq!(world.log(), ["refusal approval_used PageCache"]);
}

#[tokio::test]
async fn an_approved_operation_is_recorded_used_up_and_sent_in_this_order() {
    let (world, mut session, held) = waiting().await;
    let (approval, operation) = (held.approval(), held.operation());
    assert_eq!(held.requirements(), [Requirement { group: "dba".into(), quorum: 2 }]);
    let outcome = session.outcome(&held).await;
    let permit = session.release(held, &outcome, unchanged()).await.expect("permitted");
    assert_eq!(world.log(), ["intent query as approved with approval Fsync", "consumed"]);
    assert_eq!((permit.operation(), permit.approval()), (operation, Some(approval)));

    let credential = session.redeem(&permit).await.expect("minted");
    assert_eq!(credential.identity(), Identity::Approved);
    let permit = permit.release(Identity::Standing).expect_err("approved only");
    let Released { payload, binding: _, step, in_flight } =
        permit.release(Identity::Approved).expect("its own line");
    assert_eq!((payload, step), (Bytes::from_static(b"delete from orders"), None));
    let nothing = in_flight.mask(Batch::default(), &mut Open).expect("no masks");
    session.finish(in_flight, nothing, &Completion::default()).await.expect("recorded");
    assert_eq!(world.log(), ["mint approved with approval", "outcome Done 0 with approval PageCache"]);

    // The rest of its transaction goes the same way, and what comes after does not.
    *world.verdict.borrow_mut() = Verdict::Allow;
    let rest = permitted(&mut session, query(Action::PostgresSelect).on_approved()).await.expect("permitted");
    assert_eq!((rest.identity(), rest.approval()), (Identity::Approved, None));
    session.not_sent(rest).await.expect("recorded");
    assert_eq!(world.log(), ["intent query as approved PageCache", "outcome NotSent 0 PageCache"]);
    session.approved_has_ended();
    assert_nothing_approved(&world, &mut session).await;
}

#[tokio::test]
async fn an_approval_for_the_same_connection_lends_no_other_identity() {
    let (world, mut session) = session().await;
    let holdable = holdable(&world, &mut session).await;
    let held = session.hold(holdable, Vec::new(), resolution(), Identity::Standing).await.expect("waits");
    let outcome = session.outcome(&held).await;
    let permit = session.release(held, &outcome, unchanged()).await.expect("permitted");
    assert_eq!(permit.identity(), Identity::Standing);
    let permit = permit.release(Identity::Approved).expect_err("standing only");
    assert!(permit.release(Identity::Standing).is_ok());
    world.log();
    assert_nothing_approved(&world, &mut session).await;
}

#[tokio::test]
async fn a_preamble_is_shown_to_people_and_sent_first() {
    let (world, mut session) = session().await;
    let begin = Operation::of_caller(
        Bytes::from_static(b"BEGIN"),
        query(Action::PostgresTransaction).facts,
        OperationContext::default(),
    );
    let begin = permitted(&mut session, begin).await.expect("permitted");
    let begin = session.answer_here(begin, "BEGIN").await.expect("recorded").expect("a step");
    let select = permitted(&mut session, query(Action::PostgresSelect)).await.expect("permitted");
    assert_eq!(session.answer_here(select, "SELECT").await.expect("recorded"), None, "does more than begin");
    world.log();

    let holdable = holdable(&world, &mut session).await;
    let held = session.hold(holdable, vec![begin.clone()], resolution(), Identity::Approved).await;
    let held = held.expect("waits");
    assert_eq!(world.log(), [r#"asked as approved after ["BEGIN"]"#, HOLD]);
    let outcome = session.outcome(&held).await;
    let resolution = Resolution { preamble: vec!["BEGIN".into()], ..resolution() };
    let again = Again { resolution, ..unchanged() };
    let permit = session.release(held, &outcome, again).await.expect("permitted");
    assert_eq!(permit.preamble(), [begin]);
}

#[tokio::test]
async fn what_people_did_not_approve_is_not_sent() {
    for (state, kind, reason, why) in [
        (ApprovalState::Denied, RefusalKind::Denied, Reason::ApprovalDenied, "Cancelled"),
        (ApprovalState::Expired, RefusalKind::Expired, Reason::ApprovalExpired, "Cancelled"),
        (ApprovalState::Pending, RefusalKind::Expired, Reason::ApprovalExpired, "Cancelled"),
        (ApprovalState::Cancelled, RefusalKind::Cancelled, Reason::ApprovalCancelled, "Cancelled"),
        (ApprovalState::Superseded, RefusalKind::Superseded, Reason::PolicyChanged, "Superseded"),
        (ApprovalState::Consumed, RefusalKind::Denied, Reason::ApprovalUsed, "Cancelled"),
    ] {
        let (world, mut session, held) = waiting().await;
        let outcome = world.outcome(state);
        assert_eq!(Held::refused_by(&outcome).map(|refusal| refusal.reason), Some(reason));
        let refusal = refused(&mut session, held, &outcome, unchanged()).await;
        assert_eq!((refusal.kind, refusal.reason), (kind, reason), "{}", state.as_str());
        assert_eq!(world.log(), given_up(why, reason), "{}", state.as_str());
        assert_nothing_approved(&world, &mut session).await;
    }
}

/// Releases in vain, and checks that the refusal says what it is about.
async fn refused(
    session: &mut Session<World>,
    held: Held,
    outcome: &ApprovalOutcome,
    again: Again,
) -> Refusal {
    let (approval, operation, expires_at) = (held.approval(), held.operation(), held.expires_at());
    let refusal = session.release(held, outcome, again).await.expect_err("refused");
    assert_eq!((refusal.approval, refusal.operation), (Some(approval), Some(operation)));
    assert_eq!(refusal.expires_at, Some(expires_at));
    refusal
}

/// What is on record of an approval that was not used.
fn given_up(why: &str, reason: Reason) -> [String; 2] {
    [format!("withdrawn {why} {reason}"), format!("refusal {reason} with approval PageCache")]
}

#[tokio::test]
async fn an_approval_of_anything_else_is_worth_nothing() {
    let changes: [Change<ApprovalOutcome>; 6] = [
        ("approval", |outcome| outcome.approval = ApprovalId::generate()),
        ("session", |outcome| outcome.session = SessionId::generate()),
        ("operation", |outcome| outcome.operation = OperationId::generate()),
        ("digest", |outcome| outcome.digest = OperationDigest::from_bytes([0; 32])),
        ("fewer pairs", |outcome| outcome.pairs.clear()),
        ("more pairs", |outcome| outcome.pairs.extend(touched())),
    ];
    for (what, change) in changes {
        let (world, mut session, held) = waiting().await;
        let mut outcome = world.outcome(ApprovalState::Approved);
        change(&mut outcome);
        let refusal = refused(&mut session, held, &outcome, unchanged()).await;
        assert_eq!((refusal.kind, refusal.reason), (RefusalKind::Superseded, Reason::ApprovalUsed), "{what}");
        assert_eq!(world.log(), given_up("Superseded", Reason::ApprovalUsed), "{what}");
        assert_nothing_approved(&world, &mut session).await;
    }
}

#[tokio::test]
async fn what_changed_while_it_waited_is_not_sent() {
    let changes: [Change<Again>; 10] = [
        ("definition", |again| again.resolution.objects[0].definition = [2; 32]),
        ("object", |again| again.resolution.objects[0].oid += 1),
        ("objects", |again| again.resolution.objects.clear()),
        ("name", |again| again.resolution.names[0].schema = "other".into()),
        ("search path", |again| again.resolution.search_path.insert(0, "other".into())),
        ("setting", |again| again.resolution.settings[0].1 = "Europe/Berlin".into()),
        ("role", |again| again.resolution.role = "shop_owner".into()),
        ("database", |again| again.resolution.database = "other".into()),
        ("preamble", |again| again.resolution.preamble.push("BEGIN".into())),
        ("facts", |again| again.facts.push(query(Action::PostgresSelect).facts.remove(0))),
    ];
    for (what, change) in changes {
        let (world, mut session, held) = waiting().await;
        let outcome = session.outcome(&held).await;
        let mut again = unchanged();
        change(&mut again);
        let refusal = refused(&mut session, held, &outcome, again).await;
        assert_eq!(
            (refusal.kind, refusal.reason),
            (RefusalKind::Superseded, Reason::ObjectChanged),
            "{what}"
        );
        assert_eq!(world.log(), given_up("Superseded", Reason::ObjectChanged), "{what}");
        assert_nothing_approved(&world, &mut session).await;
    }
}

#[tokio::test]
async fn policy_has_the_last_word() {
    let both = Verdict::Hold(Hold {
        requirements: vec![
            Requirement { group: "dba".into(), quorum: 2 },
            Requirement { group: "owners".into(), quorum: 1 },
        ],
        pairs: touched(),
    });
    let held = || held_for("dba", 2);
    for (what, unaided, approved, reason) in [
        ("another group", held_for("owners", 1), Verdict::Allow, Reason::PolicyChanged),
        ("one group more", both, Verdict::Allow, Reason::PolicyChanged),
        ("more people", held_for("dba", 3), Verdict::Allow, Reason::PolicyChanged),
        ("a pair that nobody approved", held(), held(), Reason::PolicyChanged),
        ("a denial", Verdict::Deny(Reason::Forbidden), Verdict::Deny(Reason::Forbidden), Reason::Forbidden),
        ("a denial in spite of it", held(), Verdict::Deny(Reason::NoPolicy), Reason::NoPolicy),
        ("a denial but for it", Verdict::Deny(Reason::Forbidden), Verdict::Allow, Reason::PolicyChanged),
    ] {
        let (world, mut session, held) = waiting().await;
        let outcome = session.outcome(&held).await;
        *world.verdict.borrow_mut() = unaided;
        *world.verdict_of_approved.borrow_mut() = approved;
        let refusal = refused(&mut session, held, &outcome, unchanged()).await;
        assert_eq!((refusal.kind, refusal.reason), (RefusalKind::Superseded, reason), "{what}");
        assert_eq!(world.log(), given_up("Superseded", reason), "{what}");
        assert_nothing_approved(&world, &mut session).await;
    }

    let (world, mut session, held) = waiting().await;
    let outcome = session.outcome(&held).await;
    *world.mask.borrow_mut() = vec!["email".into()];
    let refusal = refused(&mut session, held, &outcome, unchanged()).await;
    assert_eq!(refusal.reason, Reason::Unmaskable);
    assert_eq!(world.log(), given_up("Cancelled", Reason::Unmaskable));
}

#[tokio::test]
async fn a_policy_that_asks_for_no_more_than_was_given_lets_it_pass() {
    for unaided in [Verdict::Allow, held_for("dba", 2)] {
        let (world, mut session, held) = waiting().await;
        let outcome = session.outcome(&held).await;
        *world.verdict.borrow_mut() = unaided;
        session.release(held, &outcome, unchanged()).await.expect("permitted");
    }
}

#[tokio::test]
async fn an_approval_that_cannot_be_used_up_sends_nothing() {
    let (world, mut session, held) = waiting().await;
    let (approval, operation) = (held.approval(), held.operation());
    let outcome = session.outcome(&held).await;
    *world.consume.borrow_mut() = Err(Refusal::denied(Reason::ApprovalUsed, "used"));
    let refusal = session.release(held, &outcome, unchanged()).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::ApprovalUsed);
    assert_eq!((refusal.approval, refusal.operation), (Some(approval), Some(operation)));
    let expected = [
        "intent query as approved with approval Fsync",
        "consumed",
        "outcome NotSent 0 with approval PageCache",
    ];
    assert_eq!(world.log()[..3], expected);
    assert_nothing_approved(&world, &mut session).await;
}

#[tokio::test]
async fn an_approval_is_not_used_up_for_an_intent_that_cannot_be_recorded() {
    let (world, mut session, held) = waiting().await;
    let outcome = session.outcome(&held).await;
    *world.journal.borrow_mut() = Err(JournalError::Full);
    let refusal = session.release(held, &outcome, unchanged()).await.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
    assert!(!world.log().contains(&"consumed".to_owned()));
    *world.journal.borrow_mut() = Ok(());
    assert_nothing_approved(&world, &mut session).await;
}

#[tokio::test]
async fn what_nobody_can_be_asked_about_is_refused_on_record() {
    let (world, mut session) = session().await;
    let asked = holdable(&world, &mut session).await;
    *world.request.borrow_mut() = Err(Refusal::denied(Reason::OverLimit, "too many wait"));
    let refusal =
        session.hold(asked, Vec::new(), resolution(), Identity::Approved).await.expect_err("refused");
    assert_eq!((refusal.reason, refusal.approval), (Reason::OverLimit, None));
    assert_eq!(world.log(), [ASKED, "refusal over_limit PageCache"]);

    // Nobody is left with a request whose waiting is not on record.
    *world.request.borrow_mut() = Ok(());
    let unrecorded = holdable(&world, &mut session).await;
    *world.journal.borrow_mut() = Err(JournalError::Full);
    let refusal = session.hold(unrecorded, Vec::new(), resolution(), Identity::Approved).await;
    let refusal = refusal.expect_err("refused");
    assert_eq!(refusal.reason, Reason::SpoolFull);
    assert_eq!(world.log(), [ASKED, "withdrawn Cancelled spool_full"]);
}

#[tokio::test]
async fn who_gives_up_waiting_takes_the_request_back() {
    for (kind, why) in [
        (RefusalKind::Pending, "Cancelled"),
        (RefusalKind::Cancelled, "Cancelled"),
        (RefusalKind::Superseded, "Superseded"),
    ] {
        let (world, mut session, held) = waiting().await;
        let (approval, expires_at) = (held.approval(), held.expires_at());
        assert!(expires_at > SystemTime::now() && !held.expires_in().is_zero());
        let refusal = Refusal { kind, ..Refusal::denied(Reason::ApprovalPending, "nobody decided") };
        let refusal = session.withdraw(held, refusal).await;
        assert_eq!((refusal.kind, refusal.approval), (kind, Some(approval)));
        assert_eq!((refusal.expires_at, refusal.session), (Some(expires_at), Some(session.facts().session)));
        assert_eq!(world.log(), given_up(why, Reason::ApprovalPending));
    }
}

#[tokio::test]
async fn nothing_is_sent_as_approved_without_an_approval() {
    let (world, mut session) = session().await;
    assert_nothing_approved(&world, &mut session).await;
    let (world, opened) = open(World::allowing()).await;
    let (mut session, connect) = opened.expect("opened");
    assert_eq!(connect.identity(), Identity::Standing);
    world.log();
    assert_nothing_approved(&world, &mut session).await;
}
