//! Entries there and back.

use std::time::{Duration, UNIX_EPOCH};

use countersign_model::{ApprovalId, OperationId};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{RecordedParameter, RecordedValue, body as stored, fixture};

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_042)
}

#[test]
fn every_kind_round_trips() {
    for (sequence, entry) in (0..).zip(fixture::one_of_each()) {
        let wire = header(sequence, at(), Durability::Fsync, &entry);
        let back = frame(&wire, body(&entry)).unwrap();
        let sealed = sealed_frame(&wire).unwrap();
        assert_eq!((sealed.kind, sealed.outcome), (entry.kind(), entry.outcome()));
        assert_eq!((sealed.operation, sealed.approval), (entry.operation(), entry.approval()));
        assert_eq!(back, Frame { sequence, at: at(), durability: Durability::Fsync, entry });
    }
}

#[test]
fn each_malformed_field_has_its_name() {
    let entry = fixture::outcome(OperationId::generate(), None);
    let with = |change: fn(&mut v1::FrameHeader)| {
        let mut wire = header(0, at(), Durability::Fsync, &entry);
        change(&mut wire);
        let malformed = frame(&wire, body(&entry)).expect_err("malformed");
        if wire.kind != i32::from(v1::FrameKind::Intent) {
            assert_eq!(sealed_frame(&wire), Err(malformed));
        }
        malformed
    };
    assert_eq!(with(|h| h.kind = v1::FrameKind::Intent.into()), InvalidFrame::Kind);
    assert_eq!(with(|h| h.kind = 0), InvalidFrame::Kind);
    assert_eq!(with(|h| h.at = None), InvalidFrame::At);
    assert_eq!(with(|h| h.operation_id.clear()), InvalidFrame::Id);
    assert_eq!(with(|h| h.approval_id = "x".into()), InvalidFrame::Id);
    assert_eq!(with(|h| h.outcome = 99), InvalidFrame::Outcome);
    assert_eq!(with(|h| h.durability = 0), InvalidFrame::Durability);
    let hold = fixture::hold(OperationId::generate(), ApprovalId::generate());
    let held = |change: fn(&mut v1::FrameHeader, &mut v1::HoldFrame)| {
        let (mut wire, mut held) = (header(0, at(), Durability::Fsync, &hold), body(&hold));
        if let Some(Body::Hold(hold)) = &mut held.body {
            change(&mut wire, hold);
        }
        frame(&wire, held).map(drop)
    };
    assert_eq!(held(|_, _| ()), Ok(()));
    assert_eq!(held(|header, _| header.approval_id.clear()), Err(InvalidFrame::Id));
    assert_eq!(held(|header, _| header.kind = v1::FrameKind::Refusal.into()), Err(InvalidFrame::Kind));
    assert_eq!(held(|_, hold| hold.expires_at = None), Err(InvalidFrame::ExpiresAt));
    let bound = |change: fn(&mut v1::Binding)| {
        let mut body = body(&hold);
        if let Some(Body::Hold(v1::HoldFrame { binding: Some(binding), .. })) = &mut body.body {
            change(binding);
        }
        frame(&header(0, at(), Durability::Fsync, &hold), body).map(drop)
    };
    assert_eq!(bound(|_| ()), Ok(()));
    assert_eq!(bound(|binding| binding.parameters[0].format = 2), Err(InvalidFrame::Binding));
    assert_eq!(bound(|binding| binding.parameters[0].is_null = true), Err(InvalidFrame::Binding));
    let many = |binding: &mut v1::Binding| binding.parameters = vec![v1::BoundParameter::default(); 65_536];
    assert_eq!(bound(many), Err(InvalidFrame::Binding));
    let labelled = |binding: &mut v1::Binding| binding.parameters[0].masked = "[email]".into();
    assert_eq!(bound(labelled), Err(InvalidFrame::Binding), "it has a value as well");
    let empty = v1::FrameBody { body: None };
    assert_eq!(frame(&header(0, at(), Durability::Fsync, &entry), empty), Err(InvalidFrame::Body));
}

#[test]
fn rows_are_as_many_as_is_said_and_whole() {
    let (operation, approval) = (OperationId::generate(), None);
    let reply = fixture::reply(operation);
    let replied = |change: fn(&mut v1::ReplyFrame)| {
        let mut body = body(&reply);
        if let Some(Body::Reply(reply)) = &mut body.body {
            change(reply);
        }
        frame(&header(0, at(), Durability::Fsync, &reply), body).map(drop)
    };
    assert_eq!(replied(|_| ()), Ok(()));
    assert_eq!(replied(|reply| reply.rows_recorded = 1), Err(InvalidFrame::Rows));
    assert_eq!(replied(|reply| reply.rows = 1), Err(InvalidFrame::Rows), "more than there were");
    assert_eq!(replied(|reply| reply.row_data.truncate(9)), Err(InvalidFrame::Rows));
    assert_eq!(replied(|reply| reply.columns[0].format = 2), Err(InvalidFrame::Rows));
    assert_eq!(replied(|reply| reply.columns[0].masked = "x".repeat(129)), Err(InvalidFrame::Rows));
    let many = |reply: &mut v1::ReplyFrame| reply.columns = vec![v1::RecordedColumn::default(); 32_768];
    assert_eq!(replied(many), Err(InvalidFrame::Rows));
    assert_eq!(replied(|reply| reply.hmac.clear()), Err(InvalidFrame::Hash));
    let outcome = fixture::outcome(operation, approval);
    let ended = |change: fn(&mut v1::OutcomeFrame)| {
        let mut body = body(&outcome);
        if let Some(Body::Outcome(outcome)) = &mut body.body {
            change(outcome);
        }
        frame(&header(0, at(), Durability::Fsync, &outcome), body).map(drop)
    };
    assert_eq!(ended(|outcome| outcome.rows_recorded = 3), Err(InvalidFrame::Rows));
    assert_eq!(ended(|outcome| outcome.reply_hmac.clear()), Ok(()));
    assert_eq!(ended(|outcome| outcome.reply_hmac.truncate(31)), Err(InvalidFrame::Hash));
}

/// Anything that a statement can be executed with.
fn bindings() -> impl Strategy<Value = RecordedBinding> {
    let value = prop_oneof![
        Just(RecordedValue::Null),
        vec(any::<u8>(), 0..40).prop_map(|bytes| RecordedValue::Plain(Payload(bytes))),
        "[a-z\\[\\]]{1,20}".prop_map(RecordedValue::Masked),
    ];
    let parameter = (any::<u32>(), any::<u32>(), 0u16..2, value).prop_map(
        |(declared_type, resolved_type, format, value)| RecordedParameter {
            declared_type,
            resolved_type,
            format,
            value,
        },
    );
    (vec(parameter, 0..8), vec(0u16..2, 0..8), any::<u32>()).prop_map(
        |(parameters, result_formats, row_limit)| RecordedBinding { parameters, result_formats, row_limit },
    )
}

proptest! {
    #[test]
    fn what_a_statement_is_executed_with_is_on_record_exactly(binding in option::of(bindings())) {
        let (operation, approval) = (OperationId::generate(), ApprovalId::generate());
        let entries = [
            fixture::intent(operation, Some(approval)),
            fixture::hold(operation, approval),
            fixture::refusal(operation, None),
        ];
        for mut entry in entries {
            let of_entry = match &mut entry {
                Entry::Intent(intent) => &mut intent.binding,
                Entry::Hold(hold) => &mut hold.binding,
                Entry::Refusal(refusal) => &mut refusal.binding,
                other => panic!("{other:?} has no binding"),
            };
            of_entry.clone_from(&binding);
            let header = header(0, at(), Durability::Fsync, &entry);
            let body = stored::decompress(&stored::compress(&body(&entry)).unwrap()).unwrap();
            prop_assert_eq!(frame(&header, body).map(|frame| frame.entry), Ok(entry));
        }
    }
}
