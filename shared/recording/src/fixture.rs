//! Recordings for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::{ApprovalId, Durability, Identity, OperationId, RecordingId, SessionId};
use countersign_wire::v1;
use ed25519_dalek::SigningKey;

use crate::{
    Beginning, Close, Entry, Intent, Open, Outcome, OutcomeKind, Part, Payload, RecordedFact, Refusal, Reply,
    SegmentReader, SegmentWriter, chain_start, check_segment, manifest,
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

pub(crate) fn intent(operation: OperationId) -> Entry {
    Entry::Intent(Box::new(Intent {
        operation,
        approval: None,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(format!("SELECT * FROM customers -- {operation}").into_bytes()),
        facts: vec![RecordedFact {
            action: "postgres:select".into(),
            resource: "Table shop.public.customers".into(),
        }],
        policies: vec!["base/0".into()],
        policy_revision: "abc".into(),
        identity: Some(Identity::Standing),
    }))
}

pub(crate) fn outcome(operation: OperationId) -> Entry {
    let bare = Outcome::bare(operation, Some(ApprovalId::generate()), OutcomeKind::Done);
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

pub(crate) fn refusal(operation: OperationId) -> Entry {
    Entry::Refusal(Box::new(Refusal {
        operation,
        approval: Some(ApprovalId::generate()),
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DELETE FROM customers".to_vec()),
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
    let operation = OperationId::generate();
    vec![
        open(RecordingId::generate()),
        intent(operation),
        reply(operation),
        outcome(operation),
        refusal(operation),
        close(),
    ]
}

/// A whole recording of `segments` segments with `frames` frames each: Open, then intents, replies, outcomes,
/// at the end Close.
pub(crate) fn recording(segments: u32, frames: u64) -> Vec<Vec<u8>> {
    recording_signed_by(segments, frames, &edge_key())
}

pub(crate) fn recording_signed_by(segments: u32, frames: u64, key: &SigningKey) -> Vec<Vec<u8>> {
    let recording = RecordingId::generate();
    let total = u64::from(segments) * frames;
    let mut operation = OperationId::generate();
    let mut next = beginning(recording);
    let mut all = Vec::new();
    for number in 0..segments {
        next.number = number;
        let (mut writer, mut bytes) = SegmentWriter::begin(&next).unwrap();
        for _ in 0..frames {
            let sequence = writer.next_sequence();
            let entry = match sequence % 3 {
                _ if sequence == 0 => open(recording),
                _ if sequence + 1 == total => close(),
                _ if sequence + 2 == total => refusal(OperationId::generate()),
                1 => {
                    operation = OperationId::generate();
                    intent(operation)
                }
                2 => reply(operation),
                _ => outcome(operation),
            };
            let level = if sequence == 0 { Durability::Fsync } else { Durability::PageCache };
            let frame = writer.encode(&entry, at(), level).unwrap();
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
