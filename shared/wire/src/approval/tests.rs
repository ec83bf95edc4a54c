use std::time::{Duration, SystemTime};

use countersign_model::{ApprovalId, OperationId, SessionId};
use prost::Message;
use prost_types::Timestamp;

use super::*;

/// A number that no enum of the protocol has.
const UNKNOWN: i32 = 99;

fn outcome() -> ApprovalOutcome {
    let table = Resource::Table { database: "shop".into(), schema: "public".into(), table: "orders".into() };
    ApprovalOutcome {
        approval: ApprovalId::generate(),
        session: SessionId::generate(),
        operation: OperationId::generate(),
        digest: OperationDigest::from_bytes([7; 32]),
        state: ApprovalState::Approved,
        pairs: vec![Fact { action: Action::PostgresUpdate, resource: table }],
        use_until: Some(SystemTime::UNIX_EPOCH + Duration::new(2_000_000_000, 123_456_789)),
    }
}

fn resolution() -> Resolution {
    let kinds = [
        NameKind::Relation,
        NameKind::Column,
        NameKind::Function,
        NameKind::Attribute,
        NameKind::Operator,
        NameKind::Type,
    ];
    let name = |(place, kind)| ResolvedName {
        kind,
        place,
        schema: "public".into(),
        name: "größe".into(),
        first: "a".into(),
        second: "b".into(),
    };
    Resolution {
        database: "shop".into(),
        role: "shop_approved".into(),
        search_path: vec!["pg_catalog".into(), "public".into()],
        settings: vec![("datestyle".into(), "ISO".into()), ("timezone".into(), String::new())],
        names: (0..).zip(kinds).map(name).collect(),
        objects: vec![
            ObjectVersion { class: ObjectClass::Relation, oid: 16_385, definition: [1; 32] },
            ObjectVersion { class: ObjectClass::Function, oid: u32::MAX, definition: [2; 32] },
        ],
        in_transaction: true,
        preamble: vec!["BEGIN".into(), "SAVEPOINT a".into()],
        classes: vec!["card".into(), "email".into()],
    }
}

/// As the other side reads it off the wire.
fn sent<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("what was encoded")
}

#[test]
fn outcomes_round_trip() {
    let outcome = outcome();
    assert_eq!(ApprovalOutcome::try_from(sent(&v1::ApprovalOutcome::from(&outcome))), Ok(outcome.clone()));
    let bare = ApprovalOutcome { state: ApprovalState::Denied, pairs: vec![], use_until: None, ..outcome };
    assert_eq!(ApprovalOutcome::try_from(sent(&v1::ApprovalOutcome::from(&bare))), Ok(bare));
}

#[test]
fn every_state_has_a_number_of_its_own() {
    for state in ApprovalState::ALL {
        assert_eq!(ApprovalState::try_from(v1::ApprovalState::from(state)), Ok(state));
    }
    assert_eq!(ApprovalState::try_from(v1::ApprovalState::Unspecified), Err(InvalidApproval::State));
}

#[test]
fn every_pair_round_trips() {
    let resources = [
        Resource::Target,
        Resource::Database { database: "shop".into() },
        Resource::Table { database: "shop".into(), schema: "public".into(), table: "orders".into() },
        Resource::Column {
            database: "shop".into(),
            schema: "public".into(),
            table: "orders".into(),
            column: "größe".into(),
        },
        Resource::Function { database: "shop".into(), schema: "public".into(), function: "f".into() },
        Resource::Setting { database: "shop".into(), setting: "timezone".into() },
        Resource::DataClass { class: "email".into() },
    ];
    for resource in resources {
        for action in Action::ALL {
            let fact = Fact { action, resource: resource.clone() };
            assert_eq!(Fact::try_from(&sent(&v1::TouchedPair::from(&fact))), Ok(fact));
        }
    }
}

#[test]
fn each_malformed_field_of_an_outcome_has_its_name() {
    let good = v1::ApprovalOutcome::from(&outcome());
    let with = |change: fn(&mut v1::ApprovalOutcome)| {
        let mut wire = good.clone();
        change(&mut wire);
        ApprovalOutcome::try_from(wire).expect_err("malformed")
    };
    assert_eq!(with(|o| o.approval_id = o.session_id.clone()), InvalidApproval::Id);
    assert_eq!(with(|o| o.session_id = o.operation_id.clone()), InvalidApproval::Id);
    assert_eq!(with(|o| o.operation_id.clear()), InvalidApproval::Id);
    assert_eq!(with(|o| o.approval_id.make_ascii_uppercase()), InvalidApproval::Id);
    assert_eq!(with(|o| o.state = 0), InvalidApproval::State);
    assert_eq!(with(|o| o.state = UNKNOWN), InvalidApproval::State);
    assert_eq!(with(|o| o.state = v1::ApprovalState::Pending.into()), InvalidApproval::State);
    assert_eq!(with(|o| o.digest.truncate(31)), InvalidApproval::Hash);
    assert_eq!(with(|o| o.digest.push(0)), InvalidApproval::Hash);
    assert_eq!(with(|o| o.digest.clear()), InvalidApproval::Hash);
    assert_eq!(with(|o| o.pairs[0].action = "postgres:fly".into()), InvalidApproval::Pair);
    assert_eq!(with(|o| o.pairs[0].action.clear()), InvalidApproval::Pair);
    assert_eq!(with(|o| o.pairs[0].kind = "table".into()), InvalidApproval::Pair);
    assert_eq!(with(|o| o.pairs[0].path.truncate(2)), InvalidApproval::Pair);
    assert_eq!(with(|o| o.pairs[0].path.push("total".into())), InvalidApproval::Pair);
    assert_eq!(with(|o| o.pairs.push(v1::TouchedPair::default())), InvalidApproval::Pair);
    let before_1970 = |o: &mut v1::ApprovalOutcome| o.use_until = Some(Timestamp { seconds: -1, nanos: 0 });
    assert_eq!(with(before_1970), InvalidApproval::Instant);
    assert_eq!(
        with(|o| o.use_until = Some(Timestamp { seconds: 0, nanos: 1_000_000_000 })),
        InvalidApproval::Instant
    );
}

#[test]
fn resolutions_round_trip() {
    let resolution = resolution();
    assert_eq!(Resolution::try_from(sent(&v1::Resolution::from(&resolution))), Ok(resolution));
}

#[test]
fn each_malformed_field_of_a_resolution_has_its_name() {
    let good = v1::Resolution::from(&resolution());
    let with = |change: fn(&mut v1::Resolution)| {
        let mut wire = good.clone();
        change(&mut wire);
        Resolution::try_from(wire).expect_err("malformed")
    };
    assert_eq!(with(|r| r.names[3].kind = 0), InvalidApproval::NameKind);
    assert_eq!(with(|r| r.names[3].kind = UNKNOWN), InvalidApproval::NameKind);
    assert_eq!(with(|r| r.objects[1].class = 0), InvalidApproval::ObjectClass);
    assert_eq!(with(|r| r.objects[1].class = UNKNOWN), InvalidApproval::ObjectClass);
    assert_eq!(with(|r| r.objects[1].definition.truncate(31)), InvalidApproval::Hash);
    assert_eq!(with(|r| r.objects[1].definition.push(0)), InvalidApproval::Hash);
    assert_eq!(with(|r| r.classes.reverse()), InvalidApproval::DataClasses);
    assert_eq!(with(|r| r.classes.push("email".into())), InvalidApproval::DataClasses);
    assert_eq!(with(|r| r.classes.push(String::new())), InvalidApproval::DataClasses);
    assert_eq!(with(|r| r.classes[0].push('\u{202e}')), InvalidApproval::DataClasses);
    assert_eq!(with(|r| r.classes[1] = "e".repeat(64)), InvalidApproval::DataClasses);
    let many = |number: usize| (0..number).map(|class| format!("c{class:04}")).collect::<Vec<_>>();
    assert!(Resolution::try_from(v1::Resolution { classes: many(MAX_CLASSES), ..good.clone() }).is_ok());
    let over = Resolution::try_from(v1::Resolution { classes: many(MAX_CLASSES + 1), ..good.clone() });
    assert_eq!(over, Err(InvalidApproval::DataClasses));
}
