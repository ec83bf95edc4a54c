//! Recordings for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::{
    ApprovalId, Binding, Durability, Identity, OperationId, Parameter, RecordingId, SessionId,
};
use countersign_wire::v1;
use ed25519_dalek::SigningKey;

use crate::{
    Beginning, Close, Entry, Hold, Intent, Open, Outcome, OutcomeKind, Part, Payload, RecordedFact, Refusal,
    Reply, SegmentReader, SegmentWriter, chain_start, check_segment, manifest,
};

pub(crate) fn edge_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn deployment_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
}

pub(crate) fn beginning(recording: RecordingId) -> Beginning {
    Beginning {
        recording,
        number: 0,
        edge: "edge-1".parse().unwrap(),
        boot_id: [7; 16],
        first_sequence: 0,
        previous_link: chain_start(&recording.to_string()),
        unfinished: Vec::new(),
        operations: 0,
        refusals: 0,
    }
}

pub(crate) fn open(recording: RecordingId) -> Entry {
    let session = v1::Session {
        id: SessionId::generate().to_string(),
        recording_id: recording.to_string(),
        target: "shop".into(),
        ..Default::default()
    };
    Entry::Open(Box::new(Open { session, policy_revision: "abc".into() }))
}

pub(crate) fn intent(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    Entry::Intent(Box::new(Intent {
        operation,
        approval,
        protocol: "postgres".into(),
        kind: "query".into(),
        preamble: vec![Payload(b"BEGIN".to_vec()), Payload(b"SAVEPOINT a".to_vec())],
        payload: Payload(format!("SELECT * FROM customers -- {operation}").into_bytes()),
        binding: approval.map(|_| binding()),
        facts: vec![RecordedFact {
            action: "postgres:select".into(),
            resource: "Table shop.public.customers".into(),
        }],
        policies: vec!["base/0".into()],
        policy_revision: "abc".into(),
        identity: Some(Identity::Standing),
    }))
}

pub(crate) fn hold(operation: OperationId, approval: ApprovalId) -> Entry {
    Entry::Hold(Box::new(Hold {
        operation,
        approval,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DELETE FROM orders".to_vec()),
        binding: Some(binding()),
        facts: vec![RecordedFact {
            action: "postgres:delete".into(),
            resource: "Table shop.public.orders".into(),
        }],
        policies: vec!["base/1".into()],
        policy_revision: "abc".into(),
        requirements: vec!["dba 2".into(), "owners 1".into()],
        expires_at: at() + Duration::from_secs(900),
    }))
}

/// A value in each form: text, binary, empty and NULL.
pub(crate) fn binding() -> Binding {
    let parameter = |format, value: Option<&'static [u8]>| Parameter {
        declared_type: 0,
        resolved_type: 25,
        format,
        value: value.map(Into::into),
    };
    Binding {
        parameters: vec![
            parameter(0, Some(b"it's")),
            parameter(1, Some(&[0, 255])),
            parameter(0, Some(b"")),
            parameter(0, None),
        ],
        result_formats: vec![1],
        row_limit: 100,
    }
}

pub(crate) fn outcome(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    let bare = Outcome::bare(operation, approval, OutcomeKind::Done);
    Entry::Outcome(Box::new(Outcome {
        tags: vec!["SELECT 3".into()],
        reply_bytes: 99,
        reply_rows: 3,
        reply_sha256: Some([3; 32]),
        columns: vec!["id".into(), "name".into()],
        ..bare
    }))
}

pub(crate) fn reply(operation: OperationId) -> Entry {
    Entry::Reply(Reply { operation, bytes: 99, rows: 3, sha256: [3; 32] })
}

pub(crate) fn refusal(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    Entry::Refusal(Box::new(Refusal {
        operation,
        approval,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DELETE FROM customers".to_vec()),
        binding: approval.map(|_| binding()),
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "abc".into(),
        reason: "not_permitted".into(),
    }))
}

pub(crate) fn close() -> Entry {
    Entry::Close(Close { reason: "client".into(), operations: 1, refusals: 0 })
}

pub(crate) fn one_of_each() -> Vec<Entry> {
    let mut all = approved().to_vec();
    all.insert(0, open(RecordingId::generate()));
    all.extend(denied());
    all.push(close());
    all
}

/// A held operation that was approved and ran.
fn approved() -> [Entry; 4] {
    let (operation, approval) = (OperationId::generate(), ApprovalId::generate());
    let used = Some(approval);
    [hold(operation, approval), intent(operation, used), reply(operation), outcome(operation, used)]
}

/// A held operation that was not approved.
fn denied() -> [Entry; 2] {
    let (operation, approval) = (OperationId::generate(), ApprovalId::generate());
    [hold(operation, approval), refusal(operation, Some(approval))]
}

/// An operation that policy allows alone.
fn allowed() -> [Entry; 3] {
    let operation = OperationId::generate();
    [intent(operation, None), reply(operation), outcome(operation, None)]
}

/// Open, operations, Close: `total` entries, of which no intent is without an outcome.
fn entries(recording: RecordingId, total: usize) -> Vec<Entry> {
    let mut all = vec![open(recording)];
    loop {
        match total - all.len() {
            0 => return all,
            1 => all.push(close()),
            2 => all.push(refusal(OperationId::generate(), None)),
            3 => all.extend(denied()),
            4 => all.extend(allowed()),
            _ => all.extend(approved()),
        }
    }
}

/// A whole recording of `segments` segments with `frames` frames each.
pub(crate) fn recording(segments: u32, frames: u64) -> Vec<Vec<u8>> {
    recording_signed_by(segments, frames, &edge_key())
}

pub(crate) fn recording_signed_by(segments: u32, frames: u64, key: &SigningKey) -> Vec<Vec<u8>> {
    let recording = RecordingId::generate();
    let mut entries = entries(recording, segments as usize * frames as usize).into_iter();
    let mut next = beginning(recording);
    let mut all = Vec::new();
    for number in 0..segments {
        next.number = number;
        let (mut writer, mut bytes) = SegmentWriter::begin(&next).unwrap();
        for _ in 0..frames {
            let level = if writer.next_sequence() == 0 { Durability::Fsync } else { Durability::PageCache };
            let frame = writer.encode(&entries.next().unwrap(), at(), level).unwrap();
            bytes.extend_from_slice(frame.bytes());
            writer.commit(&frame).unwrap();
        }
        next.first_sequence = writer.next_sequence();
        next.previous_link = writer.link();
        bytes.extend_from_slice(&writer.finish(key));
        all.push(bytes);
    }
    all
}

pub(crate) fn manifest(segments: &[Vec<u8>]) -> v1::Manifest {
    let checked: Vec<_> = segments.iter().map(|segment| check_segment(segment).unwrap()).collect();
    let mut manifest = manifest::empty(checked[0].recording.to_string(), SessionId::generate().to_string());
    for segment in &checked {
        manifest::extend(&mut manifest, segment).unwrap();
    }
    manifest
}

/// Where the header and each frame of a segment end.
pub(crate) fn part_ends(segment: &[u8]) -> Vec<usize> {
    let mut reader = SegmentReader::new(segment);
    let mut ends = Vec::new();
    while let Some(part) = reader.next_part().unwrap() {
        if !matches!(part, Part::Trailer(_)) {
            ends.push(reader.offset());
        }
    }
    ends
}
