//! Entries there and back.

use std::time::{Duration, UNIX_EPOCH};

use countersign_model::{ApprovalId, OperationId, Parameter};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{body as stored, fixture};

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_042)
}

#[test]
fn every_kind_round_trips() {
    for (sequence, entry) in (0..).zip(fixture::one_of_each()) {
        let wire = header(sequence, at(), Durability::Fsync, &entry);
        let back = frame(&wire, body(&entry)).unwrap();
        assert_eq!(back, Frame { sequence, at: at(), durability: Durability::Fsync, entry });
    }
}

#[test]
fn each_malformed_field_has_its_name() {
    let entry = fixture::outcome(OperationId::generate(), None);
    let with = |change: fn(&mut v1::FrameHeader)| {
        let mut wire = header(0, at(), Durability::Fsync, &entry);
        change(&mut wire);
        frame(&wire, body(&entry)).expect_err("malformed")
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
    let empty = v1::FrameBody { body: None };
    assert_eq!(frame(&header(0, at(), Durability::Fsync, &entry), empty), Err(InvalidFrame::Body));
}

/// Anything that a statement can be executed with.
fn bindings() -> impl Strategy<Value = Binding> {
    let value = option::of(vec(any::<u8>(), 0..40));
    let parameter = (any::<u32>(), any::<u32>(), 0u16..2, value).prop_map(
        |(declared_type, resolved_type, format, value)| Parameter {
            declared_type,
            resolved_type,
            format,
            value: value.map(Into::into),
        },
    );
    (vec(parameter, 0..8), vec(0u16..2, 0..8), any::<u32>())
        .prop_map(|(parameters, result_formats, row_limit)| Binding { parameters, result_formats, row_limit })
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
