//! Every single tampering of a real recording is caught and called by its name.

use countersign_model::Durability;
use countersign_wire::v1;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::{SegmentWriter, fixture, manifest as manifests};

const FRAMES: u64 = 6;

/// Frames per segment where every byte is tried: two segments have every kind of frame.
const FEW: u64 = 4;

#[derive(Clone)]
struct Case {
    manifest: v1::Manifest,
    /// The manifest as it was before any tampering, signed.
    signed: v1::SignedManifest,
    segments: Vec<(u32, Vec<u8>)>,
}

fn case(segments: u32) -> Case {
    case_of(fixture::recording(segments, FRAMES))
}

fn case_of(segments: Vec<Vec<u8>>) -> Case {
    let manifest = fixture::manifest(&segments);
    let signed = manifests::sign(&manifest, &fixture::deployment_key());
    Case { manifest, signed, segments: (0..).zip(segments).collect() }
}

impl Case {
    fn report(&self) -> Report {
        self.report_with(&manifests::sign(&self.manifest, &fixture::deployment_key()))
    }

    fn report_with(&self, manifest: &v1::SignedManifest) -> Report {
        self.report_of(Some(manifest), false)
    }

    fn report_of(&self, manifest: Option<&v1::SignedManifest>, session_closed: bool) -> Report {
        let segments: Vec<(u32, &[u8])> =
            self.segments.iter().map(|(number, bytes)| (*number, bytes.as_slice())).collect();
        verify(&Evidence {
            manifest,
            deployment_key: &fixture::deployment_key().verifying_key().to_bytes(),
            segments: &segments,
            recording_id: None,
            session_closed,
        })
    }

    /// Start and end of each frame of a segment.
    fn frames(&self, segment: usize) -> Vec<(usize, usize)> {
        let ends = fixture::part_ends(&self.segments[segment].1);
        ends.iter().copied().zip(ends.iter().copied().skip(1)).collect()
    }

    fn replace(&mut self, segment: usize, range: (usize, usize), with: &[u8]) {
        self.segments[segment].1.splice(range.0..range.1, with.iter().copied());
    }

    fn bytes(&self, segment: usize, range: (usize, usize)) -> Vec<u8> {
        self.segments[segment].1[range.0..range.1].to_vec()
    }
}

fn fault(kind: FaultKind, segment: u32, frame: u64) -> Fault {
    Fault { kind, segment: Some(segment), frame: Some(frame) }
}

fn of_segment(kind: FaultKind, segment: u32) -> Fault {
    Fault { kind, segment: Some(segment), frame: None }
}

const EDITED: Fault = Fault { kind: FaultKind::ManifestEdited, segment: None, frame: None };

#[test]
fn an_untouched_recording_is_ok_and_prints_as_promised() {
    let report = case(3).report();
    assert!(report.ok && report.complete);
    assert_eq!(report.frames, FrameCounts { total: 18, page_cache: 17, fsync: 1 });
    assert_eq!(report.unfinished, 0);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["faults"], serde_json::json!([]));
}

#[test]
fn faults_print_as_promised() {
    let mut case = case(3);
    case.segments.remove(1);
    let json = serde_json::to_value(case.report()).unwrap();
    let expected = serde_json::json!([{"kind": "segment_missing", "segment": 1, "frame": null}]);
    assert_eq!((&json["ok"], &json["faults"]), (&serde_json::json!(false), &expected));
}

#[test]
fn a_flip_in_any_byte_is_found_in_its_frame() {
    let untouched = case_of(fixture::recording(2, FEW));
    for segment in 0..2 {
        let frames = untouched.frames(segment);
        for at in 0..untouched.segments[segment].1.len() {
            let frame = frames.iter().position(|(start, end)| (*start..*end).contains(&at));
            let frame = frame.map(|index| segment as u64 * FEW + index as u64);
            let mut case = untouched.clone();
            case.segments[segment].1[at] ^= 1 << (at % 8);
            let expected = Fault { kind: FaultKind::BitFlipped, segment: Some(segment as u32), frame };
            assert_eq!(
                case.report_with(&untouched.signed).faults,
                [expected],
                "segment {segment}, byte {at}"
            );
        }
    }
}

/// `last` is true in many spellings, and the signature covers what the trailer says.
#[test]
fn a_trailer_that_is_spelt_otherwise_is_damaged() {
    let untouched = case_of(fixture::recording(1, FEW));
    let segment = &untouched.segments[0].1;
    let at = segment.windows(3).rposition(|window| window == [0x18, 1, 0x22]).unwrap() + 1;
    for bit in 1..7 {
        let mut case = untouched.clone();
        case.segments[0].1[at] ^= 1 << bit;
        assert_eq!(case.report_with(&untouched.signed).faults, [of_segment(FaultKind::BitFlipped, 0)]);
    }
}

#[test]
fn any_frame_removed_is_cut() {
    for segment in 0..3 {
        for index in 0..FRAMES as usize {
            let mut case = case(3);
            let range = case.frames(segment)[index];
            case.replace(segment, range, &[]);
            let frame = segment as u64 * FRAMES + index as u64;
            assert_eq!(case.report().faults, [fault(FaultKind::FrameCut, segment as u32, frame)]);
        }
    }
}

#[test]
fn any_part_of_a_frame_removed_is_cut() {
    let untouched = case(3);
    let (start, end) = untouched.frames(1)[2];
    for from in start..end {
        for len in [1, 2, 7, 33] {
            let to = (from + len).min(end);
            let mut case = untouched.clone();
            case.replace(1, (from, to), &[]);
            let faults = case.report_with(&untouched.signed).faults;
            assert_eq!(faults, [fault(FaultKind::FrameCut, 1, FRAMES + 2)], "{from}..{to} of {start}..{end}");
        }
    }
}

#[test]
fn any_two_frames_exchanged_are_swapped() {
    for i in 0..FRAMES as usize {
        for j in i + 1..FRAMES as usize {
            let mut case = case(3);
            let (first, second) = (case.frames(1)[i], case.frames(1)[j]);
            let (a, b) = (case.bytes(1, first), case.bytes(1, second));
            case.replace(1, second, &a);
            case.replace(1, first, &b);
            let expected = [i, j].map(|index| fault(FaultKind::FrameSwapped, 1, FRAMES + index as u64));
            assert_eq!(case.report().faults, expected, "{i} and {j}");
        }
    }
}

#[test]
fn frames_exchanged_between_segments_are_swapped() {
    let mut case = case(3);
    let (first, second) = (case.frames(0)[3], case.frames(2)[4]);
    let (a, b) = (case.bytes(0, first), case.bytes(2, second));
    case.replace(0, first, &b);
    case.replace(2, second, &a);
    let expected = [fault(FaultKind::FrameSwapped, 0, 16), fault(FaultKind::FrameSwapped, 2, 3)];
    assert_eq!(case.report().faults, expected);
}

#[test]
fn a_frame_that_is_there_twice_is_out_of_place() {
    let mut case = case(3);
    let range = case.frames(1)[2];
    let twice = case.bytes(1, range).repeat(2);
    case.replace(1, range, &twice);
    assert_eq!(case.report().faults, [fault(FaultKind::FrameSwapped, 1, 8)]);
}

#[test]
fn an_object_truncated_anywhere_is_cut() {
    let untouched = case_of(fixture::recording(2, FEW));
    for segment in 0..2 {
        let frames = untouched.frames(segment);
        for len in 0..untouched.segments[segment].1.len() {
            let mut case = untouched.clone();
            case.segments[segment].1.truncate(len);
            let whole = frames.iter().filter(|(_, end)| *end <= len).count() as u64;
            let frame = (whole < FEW).then_some(segment as u64 * FEW + whole);
            let expected = Fault { kind: FaultKind::FrameCut, segment: Some(segment as u32), frame };
            assert_eq!(
                case.report_with(&untouched.signed).faults,
                [expected],
                "segment {segment} cut to {len}"
            );
        }
    }
}

#[test]
fn missing_objects_are_a_gap_or_a_tail() {
    let without = |gone: &[u32]| {
        let mut case = case(3);
        case.segments.retain(|(number, _)| !gone.contains(number));
        case.report().faults
    };
    assert_eq!(without(&[0]), [of_segment(FaultKind::SegmentMissing, 0)]);
    assert_eq!(without(&[1]), [of_segment(FaultKind::SegmentMissing, 1)]);
    assert_eq!(without(&[2]), [of_segment(FaultKind::TailMissing, 2)]);
    assert_eq!(without(&[1, 2]), [1, 2].map(|number| of_segment(FaultKind::TailMissing, number)));
    assert_eq!(without(&[0, 1, 2]), [0, 1, 2].map(|number| of_segment(FaultKind::TailMissing, number)));
}

#[test]
fn segments_of_others_are_foreign() {
    let foreign = |change: fn(&mut Case)| {
        let mut case = case(3);
        change(&mut case);
        case.report().faults
    };
    let second = [of_segment(FaultKind::SegmentForeign, 1)];
    assert_eq!(foreign(|c| c.segments[1].1 = fixture::recording(3, FRAMES)[1].clone()), second);
    assert_eq!(foreign(|c| c.segments[1].1 = c.segments[0].1.clone()), second);
    let unlisted = [of_segment(FaultKind::SegmentForeign, 3)];
    assert_eq!(foreign(|c| c.segments.push((3, fixture::recording(4, FRAMES)[3].clone()))), unlisted);
    let exchanged = [of_segment(FaultKind::SegmentForeign, 0), of_segment(FaultKind::SegmentForeign, 1)];
    let swap = |c: &mut Case| {
        let (left, right) = c.segments.split_at_mut(1);
        std::mem::swap(&mut left[0].1, &mut right[0].1);
    };
    assert_eq!(foreign(swap), exchanged);
    let doubled = |c: &mut Case| c.segments.push(c.segments[1].clone());
    assert_eq!(foreign(doubled), second);
}

/// Rebuilds a segment with one entry changed, its chain computed anew, signed by `key`.
fn rewritten(case: &Case, segment: usize, key: &SigningKey, change: bool) -> Vec<u8> {
    let original = &case.segments[segment].1;
    let header_end = fixture::part_ends(original)[0];
    let resumed = crate::Resumed::read(&original[..header_end]).unwrap();
    let mut bytes = original[..header_end].to_vec();
    let mut writer: SegmentWriter = resumed.writer.with_key(fixture::content_key(original));
    for frame in fixture::frames(std::slice::from_ref(original)) {
        let entry = match frame.entry {
            crate::Entry::Reply(mut reply) if change => {
                reply.bytes = 0;
                crate::Entry::Reply(reply)
            }
            other => other,
        };
        let frame = writer.encode(&entry, frame.at, frame.durability).unwrap();
        bytes.extend_from_slice(frame.bytes());
        writer.commit(&frame).unwrap();
    }
    bytes.extend_from_slice(&writer.finish(key));
    bytes
}

#[test]
fn whoever_signs_anew_without_a_trusted_key_is_foreign() {
    let stranger = SigningKey::from_bytes(&[9; 32]);
    for change in [false, true] {
        let mut case = case(3);
        case.segments[1].1 = rewritten(&case, 1, &stranger, change);
        assert_eq!(case.report().faults, [of_segment(FaultKind::SegmentForeign, 1)], "changed: {change}");
    }
}

#[test]
fn whoever_rewrites_the_chain_without_any_key_is_foreign() {
    let mut case = case(3);
    let mut forged = rewritten(&case, 1, &fixture::edge_key(), true);
    let trailer = *fixture::part_ends(&forged).last().unwrap();
    let original_trailer = *fixture::part_ends(&case.segments[1].1).last().unwrap();
    forged.truncate(trailer);
    forged.extend_from_slice(&case.segments[1].1[original_trailer..]);
    case.segments[1].1 = forged;
    assert_eq!(case.report().faults, [of_segment(FaultKind::SegmentForeign, 1)]);
}

#[test]
fn a_whole_recording_of_a_stranger_needs_a_manifest_of_the_deployment() {
    let segments = fixture::recording_signed_by(3, FRAMES, &SigningKey::from_bytes(&[9; 32]));
    let signed = manifests::sign(&fixture::manifest(&segments), &SigningKey::from_bytes(&[9; 32]));
    let case = case_of(segments);
    assert_eq!(case.report_with(&signed).faults, [EDITED]);
}

#[test]
fn any_change_of_the_manifest_is_found() {
    let case = case_of(fixture::recording(1, FEW));
    let signed = &case.signed;
    for at in 0..signed.manifest.len() {
        let mut edited = signed.clone();
        edited.manifest[at] ^= 1;
        assert_eq!(case.report_with(&edited).faults, [EDITED], "byte {at}");
    }
    for at in 0..signed.signature.len() {
        let mut edited = signed.clone();
        edited.signature[at] ^= 1;
        assert_eq!(case.report_with(&edited).faults, [EDITED], "signature byte {at}");
    }
    assert_eq!(case.report_of(None, false).faults, [EDITED]);
}

#[test]
fn the_manifest_of_another_recording_is_the_stranger() {
    let other = case(3);
    let signed = manifests::sign(&other.manifest, &fixture::deployment_key());
    assert_eq!(case(3).report_with(&signed).faults, [EDITED]);
}

#[test]
fn a_manifest_that_contradicts_its_segments_is_named() {
    let contradicting = |change: fn(&mut v1::Manifest)| {
        let mut case = case(3);
        change(&mut case.manifest);
        case.report().faults
    };
    let second = [of_segment(FaultKind::ManifestEdited, 1)];
    assert_eq!(contradicting(|m| m.segments[1].bytes += 1), second);
    let other_key = |m: &mut v1::Manifest| {
        m.signing_keys.push(vec![9; 32]);
        m.segments[1].signing_key = 1;
    };
    assert_eq!(contradicting(other_key), second);
}

#[test]
fn an_open_recording_is_ok_as_far_as_it_goes() {
    let mut case = case(3);
    case.manifest.segments.truncate(2);
    case.manifest.sealed = false;
    let last = case.segments.pop().unwrap();
    let report = case.report();
    assert!(report.ok && !report.complete, "{report:?}");
    let signed = manifests::sign(&case.manifest, &fixture::deployment_key());
    let ended = case.report_of(Some(&signed), true);
    assert_eq!(ended.faults, [of_segment(FaultKind::TailMissing, 1)]);
    // An older manifest beside the whole recording.
    case.segments.push(last);
    assert_eq!(case.report().faults, [of_segment(FaultKind::TailMissing, 1)]);
    // A genuine next segment that is not listed yet.
    case.manifest.segments.truncate(1);
    case.segments.pop();
    assert!(case.report().ok);
}

#[test]
fn a_seal_on_a_recording_without_close_misses_its_tail() {
    let mut case = case(3);
    case.manifest.segments.truncate(2);
    case.segments.pop();
    assert_eq!(case.report().faults, [of_segment(FaultKind::TailMissing, 1)]);
}

#[test]
fn without_a_manifest_the_chain_alone_still_shows_the_place() {
    let untouched = case_of(fixture::recording(2, FEW));
    for at in 0..untouched.segments[1].1.len() {
        let mut case = untouched.clone();
        case.segments[1].1[at] ^= 4;
        let faults = case.report_of(None, false).faults;
        assert!(faults.contains(&EDITED) && faults.iter().any(|fault| fault.segment == Some(1)), "byte {at}");
    }
}

#[test]
fn a_hold_that_nothing_follows_is_no_fault_and_nothing_unfinished() {
    let recording = countersign_model::RecordingId::generate();
    let (mut writer, mut bytes) =
        SegmentWriter::begin(&fixture::beginning(recording), &fixture::recording_key()).unwrap();
    let hold =
        fixture::hold(countersign_model::OperationId::generate(), countersign_model::ApprovalId::generate());
    for entry in [fixture::open(recording), hold, fixture::close()] {
        let frame = writer.encode(&entry, fixture::at(), Durability::Fsync).unwrap();
        bytes.extend_from_slice(frame.bytes());
        writer.commit(&frame).unwrap();
    }
    bytes.extend_from_slice(&writer.finish(&fixture::edge_key()));
    let report = case_of(vec![bytes]).report();
    assert!(report.ok && report.complete, "{report:?}");
    assert_eq!((report.unfinished, report.frames.fsync), (0, 3));
}

#[test]
fn a_reply_recorded_at_fsync_is_counted_so() {
    let counts = case(1).report().frames;
    assert_eq!((counts.total, counts.fsync), (FRAMES, 1));
    let wire = crate::convert::header(0, fixture::at(), Durability::Fsync, &fixture::close());
    assert_eq!(crate::convert::durability(&wire), Some(Durability::Fsync));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_mutation_passes_and_none_panics(
        segment in 0usize..3,
        at in any::<prop::sample::Index>(),
        removed in 0usize..40,
        inserted in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut case = case(3);
        let original = case.segments[segment].1.clone();
        let at = at.index(original.len());
        case.replace(segment, (at, (at + removed).min(original.len())), &inserted);
        let report = case.report();
        prop_assert_eq!(report.ok, case.segments[segment].1 == original);
        prop_assert!(report.faults.iter().all(|fault| fault.segment == Some(segment as u32)));
    }

    #[test]
    fn arbitrary_objects_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), number in 0u32..4) {
        let mut case = case(3);
        case.segments.retain(|(present, _)| *present != number);
        case.segments.push((number, bytes));
        prop_assert!(!case.report().ok);
    }
}
