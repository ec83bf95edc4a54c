//! Where an object stands: archived as listed, damaged, or not of this recording at all.

use countersign_wire::v1;
use prost::Message as _;

use super::{
    checked, is_listed, link_before,
    report::FaultKind,
    salvage::{Remains, salvage},
};
use crate::{
    chain::Link,
    manifest,
    segment::{CheckedSegment, sha256, signed_by_own_key},
};

/// What an object is to its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As the manifest lists it, or, while the recording is open, its genuine next segment.
    Genuine,
    /// The manifest lists its hash and says something else about it.
    Contradicted,
    /// Of this recording, and not as it was archived.
    Damaged,
    /// Another recording's or number's, or made by somebody who has no key of the manifest.
    Foreign,
}

/// An object and what is left of it.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) number: u32,
    pub(super) standing: Standing,
    /// It has the length that the manifest lists, or none is known.
    pub(super) same_length: bool,
    /// Set if it is genuine.
    pub(super) checked: Option<CheckedSegment>,
    pub(super) remains: Remains<'a>,
}

impl Object<'_> {
    /// What to call damage that no frame shows.
    pub(super) fn damage(&self) -> FaultKind {
        if self.same_length { FaultKind::BitFlipped } else { FaultKind::FrameCut }
    }
}

/// Judges an object by a manifest that is believed. `before`: the objects with smaller numbers.
pub(super) fn vouched_object<'a>(
    manifest: &v1::Manifest,
    before: &[Object<'a>],
    number: u32,
    bytes: &'a [u8],
) -> Object<'a> {
    let listed = usize::try_from(number).ok().and_then(|index| manifest.segments.get(index));
    let Some(listed) = listed else { return unlisted_object(manifest, before, number, bytes) };
    let previous = link_before(manifest, number);
    let remains = salvage(bytes, Some(&previous));
    let checked = checked(bytes);
    let standing = if sha256(bytes).as_slice() == listed.sha256 {
        match &checked {
            Some(segment) if is_listed(segment, listed, manifest) => Standing::Genuine,
            Some(_) => Standing::Contradicted,
            None => Standing::Damaged,
        }
    } else if is_foreign(&remains, bytes, listed, manifest, &previous) {
        Standing::Foreign
    } else {
        Standing::Damaged
    };
    let same_length = u64::try_from(bytes.len()) == Ok(listed.bytes);
    let checked = checked.filter(|_| standing == Standing::Genuine);
    Object { number, standing, same_length, checked, remains }
}

/// Judges an object of which no manifest is known: by what it says of itself.
pub(super) fn unvouched_object<'a>(recording_id: &str, number: u32, bytes: &'a [u8]) -> Object<'a> {
    let remains = salvage(bytes, None);
    let checked = checked(bytes);
    let stranger =
        |header: &v1::SegmentHeader| header.recording_id != recording_id || header.number != number;
    let standing = match (&checked, &remains.header) {
        (_, Some(header)) if stranger(header) => Standing::Foreign,
        (Some(_), _) => Standing::Genuine,
        (None, _) => Standing::Damaged,
    };
    // Whole to its end: nothing is cut, something was changed.
    let same_length = remains.trailer.is_some();
    Object { number, standing, same_length, checked, remains }
}

/// An object that the manifest does not list. While the recording is open it can be the genuine next segment,
/// archived a moment after the manifest was read.
fn unlisted_object<'a>(
    manifest: &v1::Manifest,
    before: &[Object<'a>],
    number: u32,
    bytes: &'a [u8],
) -> Object<'a> {
    let expected = match before.last().and_then(|object| object.checked.as_ref()) {
        Some(last) if last.number >= listed_count(manifest) => {
            let first = last.first_sequence.saturating_add(u64::from(last.frame_count));
            Some((last.number.saturating_add(1), first, last.last_link))
        }
        _ => manifest::expected_next(manifest),
    };
    let genuine = checked(bytes).filter(|segment| {
        !manifest.sealed
            && segment.number == number
            && segment.recording.to_string() == manifest.recording_id
            && manifest.signing_keys.iter().any(|key| *key == segment.signing_key)
            && expected == Some((segment.number, segment.first_sequence, segment.previous_link))
    });
    let standing = if genuine.is_some() { Standing::Genuine } else { Standing::Foreign };
    Object { number, standing, same_length: true, checked: genuine, remains: salvage(bytes, None) }
}

fn listed_count(manifest: &v1::Manifest) -> u32 {
    u32::try_from(manifest.segments.len()).unwrap_or(u32::MAX)
}

/// Whether an object that is not the listed one was made by somebody, rather than damaged: it is signed as it
/// lies there, its chain was rewritten, or it neither says nor shows that it belongs here.
fn is_foreign(
    remains: &Remains<'_>,
    bytes: &[u8],
    listed: &v1::manifest::Segment,
    manifest: &v1::Manifest,
    previous: &Link,
) -> bool {
    // In the one spelling that a signer gives it: a flip that changes nothing of what it says is damage.
    let signed = remains.trailer.as_ref().is_some_and(|trailer| {
        bytes.get(remains.signed_len.saturating_add(8)..) == Some(trailer.encode_to_vec().as_slice())
            && signed_by_own_key(trailer, &sha256(bytes.get(..remains.signed_len).unwrap_or_default()))
    });
    let misnamed = remains.header.as_ref().is_some_and(|header| {
        header.recording_id != manifest.recording_id
            || header.number != listed.number
            || header.previous_link != *previous
    });
    signed || is_rewritten(remains, listed, previous) || (misnamed && !is_anchored(remains, listed, previous))
}

/// Its chain is whole, with as many frames as were archived or more, and ends in another link: links were computed
/// anew.
fn is_rewritten(remains: &Remains<'_>, listed: &v1::manifest::Segment, previous: &Link) -> bool {
    let own = remains.header.as_ref().and_then(|header| Link::try_from(header.previous_link.as_slice()).ok());
    let whole = |start: &Link| {
        let mut link = *start;
        remains.frames.iter().all(|frame| {
            let follows = frame.follows(&link);
            link = frame.link;
            follows
        })
    };
    let as_many =
        u64::try_from(remains.frames.len()).is_ok_and(|count| count >= u64::from(listed.frame_count));
    let other_end = remains.frames.last().is_some_and(|frame| frame.link.as_slice() != listed.last_link);
    as_many && other_end && (whole(previous) || own.is_some_and(|own| whole(&own)))
}

/// A link of it is one that the manifest vouches for.
fn is_anchored(remains: &Remains<'_>, listed: &v1::manifest::Segment, previous: &Link) -> bool {
    let first = remains.frames.first().is_some_and(|frame| frame.follows(previous));
    first || remains.frames.last().is_some_and(|frame| frame.link.as_slice() == listed.last_link)
}
