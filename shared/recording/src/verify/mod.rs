//! What was done to a recording, and where: offline, from its manifest, its objects and the deployment's key.
//!
//! `ok` rests on three things alone: the manifest's signature, the hash of each object it lists, and the check of
//! each object by itself. Everything else here only *names* the fault: it compares what is left of a tampered
//! object with the places that the manifest and the stored links vouch for. Silence is never taken for
//! innocence: without a manifest, or with an object that fits nowhere, the answer is a fault.

mod frames;
mod report;
mod salvage;
mod segments;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use countersign_wire::v1;

pub use self::report::{Fault, FaultKind, FrameCounts, Report};
use self::{
    report::Findings,
    segments::{Object, Standing},
};
use crate::{chain, check_segment, manifest, reader::Part, reader::SegmentReader, segment::CheckedSegment};

/// Everything that is known of a recording.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// As archived. None is a fault: nobody vouches for the recording then.
    pub manifest: Option<&'a v1::SignedManifest>,
    /// Ed25519 public key of the deployment, 32 bytes. Anything else is a fault.
    pub deployment_key: &'a [u8],
    /// The objects: the number in the name, and the bytes.
    pub segments: &'a [(u32, &'a [u8])],
    /// The recording that it is said to be: `re_…`; `None` if only the manifest says so.
    pub recording_id: Option<&'a str>,
    /// Somebody else knows that the session has ended, so the recording must be sealed.
    pub session_closed: bool,
}

/// Verifies a recording. A recording of a session that is still open is ok as far as it goes, and not `complete`.
pub fn verify(evidence: &Evidence<'_>) -> Report {
    let mut findings = Findings::default();
    let manifest = vouched(evidence, &mut findings);
    let recording_id = recording_id(evidence, manifest.as_ref());
    let objects = objects(evidence, manifest.as_ref(), &recording_id, &mut findings);
    if let Some(manifest) = &manifest {
        missing(manifest, &objects, &mut findings);
        tail(evidence, manifest, &objects, &mut findings);
    } else {
        gaps_in_numbers(&objects, &mut findings);
    }
    let told_apart = frames::compare(&objects, &recording_id, manifest.as_ref());
    findings.append(told_apart);
    unexplained(&objects, &mut findings);
    let sealed = manifest.is_some_and(|manifest| manifest.sealed);
    report::write(recording_id, &objects, sealed, findings)
}

/// The manifest, if the deployment vouches for it and it is this recording's.
fn vouched(evidence: &Evidence<'_>, findings: &mut Findings) -> Option<v1::Manifest> {
    let opened = evidence.manifest.and_then(|signed| manifest::open(signed, evidence.deployment_key).ok());
    let ours = opened.filter(|manifest| {
        let named = evidence.recording_id.is_none_or(|id| id == manifest.recording_id);
        named && !all_name_another(evidence, &manifest.recording_id)
    });
    if ours.is_none() {
        findings.add(FaultKind::ManifestEdited, None, None);
    }
    ours
}

/// Whether every object there is says that it belongs to one other recording: then the manifest is the stranger.
fn all_name_another(evidence: &Evidence<'_>, recording_id: &str) -> bool {
    let names: Option<BTreeSet<String>> =
        evidence.segments.iter().map(|(_, bytes)| named_recording(bytes)).collect();
    names
        .is_some_and(|names| names.len() == 1 && evidence.segments.len() > 1 && !names.contains(recording_id))
}

fn named_recording(bytes: &[u8]) -> Option<String> {
    match SegmentReader::new(bytes).next_part() {
        Ok(Some(Part::Header(header))) => Some(header.recording_id),
        _ => None,
    }
}

fn recording_id(evidence: &Evidence<'_>, manifest: Option<&v1::Manifest>) -> String {
    let told = evidence.recording_id.map(str::to_owned);
    told.or_else(|| manifest.map(|manifest| manifest.recording_id.clone()))
        .or_else(|| evidence.segments.iter().find_map(|(_, bytes)| named_recording(bytes)))
        .unwrap_or_default()
}

/// Every object with its standing, in the order of their numbers; strangers are found here.
fn objects<'a>(
    evidence: &Evidence<'a>,
    manifest: Option<&v1::Manifest>,
    recording_id: &str,
    findings: &mut Findings,
) -> Vec<Object<'a>> {
    let mut given: Vec<(u32, &[u8])> = evidence.segments.to_vec();
    given.sort_by_key(|(number, _)| *number);
    let mut objects: Vec<Object<'a>> = Vec::new();
    for (number, bytes) in given {
        let twice = objects.last().is_some_and(|before| before.number == number);
        let object = match manifest {
            Some(manifest) => segments::vouched_object(manifest, &objects, number, bytes),
            None => segments::unvouched_object(recording_id, number, bytes),
        };
        if twice || object.standing == Standing::Foreign {
            findings.add(FaultKind::SegmentForeign, Some(number), None);
        } else if object.standing == Standing::Contradicted {
            findings.add(FaultKind::ManifestEdited, Some(number), None);
        }
        if !twice {
            objects.push(object);
        }
    }
    objects
}

/// Listed objects that are not there: at the end of the list the tail is missing, else a segment.
fn missing(manifest: &v1::Manifest, objects: &[Object<'_>], findings: &mut Findings) {
    let present: BTreeSet<u32> = objects.iter().map(|object| object.number).collect();
    let last_present =
        manifest.segments.iter().map(|listed| listed.number).filter(|number| present.contains(number)).max();
    for listed in manifest.segments.iter().filter(|listed| !present.contains(&listed.number)) {
        let kind = match last_present {
            Some(last) if listed.number < last => FaultKind::SegmentMissing,
            _ => FaultKind::TailMissing,
        };
        findings.add(kind, Some(listed.number), None);
    }
}

/// A recording that has ended is sealed, and a sealed one ends with Close. What says otherwise was cut or is an
/// older manifest.
fn tail(evidence: &Evidence<'_>, manifest: &v1::Manifest, objects: &[Object<'_>], findings: &mut Findings) {
    let genuine = objects.iter().rev().find_map(|object| object.checked.as_ref());
    let closed = evidence.session_closed || genuine.is_some_and(|segment| segment.last);
    let last_listed = manifest.segments.last().map(|listed| listed.number);
    let open_end = genuine.is_some_and(|segment| Some(segment.number) == last_listed && !segment.last);
    if (closed && !manifest.sealed) || (manifest.sealed && open_end) {
        findings.add(FaultKind::TailMissing, last_listed, None);
    }
}

/// Without a manifest only the numbers themselves can show a gap.
fn gaps_in_numbers(objects: &[Object<'_>], findings: &mut Findings) {
    let mut expected = 0;
    for object in objects {
        if object.number > expected {
            findings.add(FaultKind::SegmentMissing, Some(expected), None);
        }
        expected = object.number.saturating_add(1);
    }
}

/// An object that is not what was archived, and in whose frames nothing was found: the damage is in its header or
/// trailer, or behind them.
fn unexplained(objects: &[Object<'_>], findings: &mut Findings) {
    for object in objects.iter().filter(|object| object.standing == Standing::Damaged) {
        if !findings.mentions(object.number) {
            findings.add(object.damage(), Some(object.number), None);
        }
    }
}

/// Whether a segment that is right in itself is the one that the manifest lists.
fn is_listed(checked: &CheckedSegment, listed: &v1::manifest::Segment, manifest: &v1::Manifest) -> bool {
    let key = usize::try_from(listed.signing_key).ok().and_then(|index| manifest.signing_keys.get(index));
    checked.recording.to_string() == manifest.recording_id
        && checked.number == listed.number
        && checked.sha256.as_slice() == listed.sha256
        && checked.bytes == listed.bytes
        && checked.frame_count == listed.frame_count
        && checked.first_sequence == listed.first_sequence
        && checked.last_link.as_slice() == listed.last_link
        && checked.previous_link == link_before(manifest, listed.number)
        && key.is_some_and(|key| *key == checked.signing_key)
}

/// The link before a listed segment; of a list that is too short, one that nothing has.
fn link_before(manifest: &v1::Manifest, number: u32) -> chain::Link {
    let Some(before) = number.checked_sub(1) else { return chain::start(&manifest.recording_id) };
    let listed = usize::try_from(before).ok().and_then(|index| manifest.segments.get(index));
    listed.and_then(|listed| chain::Link::try_from(listed.last_link.as_slice()).ok()).unwrap_or([0; 32])
}

/// What passes a check by itself.
fn checked(bytes: &[u8]) -> Option<CheckedSegment> {
    check_segment(bytes).ok()
}
