//! The closed sets and the ids of a frame's header. What is unknown is refused.

use countersign_model::{Durability, Identity};
use countersign_wire::v1;

use super::InvalidFrame;
use crate::entry::{FrameKind, OutcomeKind};

pub(crate) fn kind(header: &v1::FrameHeader) -> Option<FrameKind> {
    match v1::FrameKind::try_from(header.kind).ok()? {
        v1::FrameKind::Unspecified => None,
        v1::FrameKind::Open => Some(FrameKind::Open),
        v1::FrameKind::Intent => Some(FrameKind::Intent),
        v1::FrameKind::Outcome => Some(FrameKind::Outcome),
        v1::FrameKind::Reply => Some(FrameKind::Reply),
        v1::FrameKind::Close => Some(FrameKind::Close),
        v1::FrameKind::Refusal => Some(FrameKind::Refusal),
        v1::FrameKind::Hold => Some(FrameKind::Hold),
    }
}

pub(crate) fn durability(header: &v1::FrameHeader) -> Option<Durability> {
    match v1::RecordDurability::try_from(header.durability).ok()? {
        v1::RecordDurability::Unspecified => None,
        v1::RecordDurability::PageCache => Some(Durability::PageCache),
        v1::RecordDurability::Fsync => Some(Durability::Fsync),
    }
}

pub(super) fn kind_to_wire(kind: FrameKind) -> v1::FrameKind {
    match kind {
        FrameKind::Open => v1::FrameKind::Open,
        FrameKind::Intent => v1::FrameKind::Intent,
        FrameKind::Outcome => v1::FrameKind::Outcome,
        FrameKind::Reply => v1::FrameKind::Reply,
        FrameKind::Close => v1::FrameKind::Close,
        FrameKind::Refusal => v1::FrameKind::Refusal,
        FrameKind::Hold => v1::FrameKind::Hold,
    }
}

pub(super) fn durability_to_wire(durability: Durability) -> v1::RecordDurability {
    match durability {
        Durability::PageCache => v1::RecordDurability::PageCache,
        Durability::Fsync => v1::RecordDurability::Fsync,
    }
}

pub(super) fn outcome_to_wire(outcome: OutcomeKind) -> v1::Outcome {
    match outcome {
        OutcomeKind::Done => v1::Outcome::Done,
        OutcomeKind::Refused => v1::Outcome::Refused,
        OutcomeKind::NotSent => v1::Outcome::NotSent,
        OutcomeKind::Unknown => v1::Outcome::Unknown,
        OutcomeKind::Failed => v1::Outcome::Failed,
    }
}

pub(super) fn outcome(header: &v1::FrameHeader) -> Result<OutcomeKind, InvalidFrame> {
    match v1::Outcome::try_from(header.outcome) {
        Ok(v1::Outcome::Done) => Ok(OutcomeKind::Done),
        Ok(v1::Outcome::Refused) => Ok(OutcomeKind::Refused),
        Ok(v1::Outcome::NotSent) => Ok(OutcomeKind::NotSent),
        Ok(v1::Outcome::Unknown) => Ok(OutcomeKind::Unknown),
        Ok(v1::Outcome::Failed) => Ok(OutcomeKind::Failed),
        Ok(v1::Outcome::Unspecified) | Err(_) => Err(InvalidFrame::Outcome),
    }
}

pub(super) fn identity(wire: i32) -> Result<Identity, InvalidFrame> {
    let wire = v1::Identity::try_from(wire).map_err(|_| InvalidFrame::Identity)?;
    Identity::try_from(wire).map_err(|_| InvalidFrame::Identity)
}

pub(super) fn required_id<T: std::str::FromStr>(text: &str) -> Result<T, InvalidFrame> {
    text.parse().map_err(|_| InvalidFrame::Id)
}

pub(super) fn optional_id<T: std::str::FromStr>(text: &str) -> Result<Option<T>, InvalidFrame> {
    if text.is_empty() { Ok(None) } else { required_id(text).map(Some) }
}
