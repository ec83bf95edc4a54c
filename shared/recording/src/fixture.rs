//! Recordings for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::{
    ApprovalId, Binding, Durability, Identity, OperationId, Parameter, RecordingId, SessionId,
};
use countersign_wire::v1;
use ed25519_dalek::SigningKey;

use crate::{
    Beginning, Close, ContentKey, Entry, Frame, Hold, Intent, Open, OpeningKey, Outcome, OutcomeKind, Part,
    Payload, RecordedBinding, RecordedColumn, RecordedFact, RecordedParameter, RecordedRows, RecordedValue,
    RecordingKey, Refusal, Replayed, Reply, SegmentReader, SegmentWriter, StoredSegment, chain_start,
    check_opened_segment, manifest, replay, seal_hash_key,
};

pub(crate) fn edge_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn deployment_key() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

pub(crate) fn opening_key() -> OpeningKey {
    OpeningKey::from_secret(&[3; 32]).unwrap()
}

pub(crate) fn recording_key() -> RecordingKey {
    opening_key().recording_key()
}

/// That of a segment which begins with a whole header.
pub(crate) fn content_key(segment: &[u8]) -> ContentKey {
    opening_key().open_content_key(&segment_header(segment)).unwrap()
}

/// One that opens nothing.
pub(crate) fn any_content_key() -> ContentKey {
    ContentKey::of(&v1::SegmentHeader::default(), &[5; 32]).unwrap()
}

pub(crate) fn segment_header(segment: &[u8]) -> v1::SegmentHeader {
    match SegmentReader::new(segment).next_part() {
        Ok(Some(Part::Header(header))) => header,
        other => panic!("no header: {other:?}"),
    }
}

/// Every frame of whole segments, opened.
pub(crate) fn frames(segments: &[Vec<u8>]) -> Vec<Frame> {
    let keys: Vec<ContentKey> = segments.iter().map(|segment| content_key(segment)).collect();
    let stored = segments.iter().zip(&keys).map(|(bytes, key)| {
        let content_key = Some(key.as_bytes().as_slice());
        StoredSegment { bytes, content_key }
    });
    let opened = |replayed| match replayed {
        Ok(Replayed::Opened(frame)) => *frame,
        other => panic!("not opened: {other:?}"),
    };
    replay(stored).map(opened).collect()
}

/// A DataRow message.
pub(crate) fn data_row(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut body = i16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [b"D", length.as_slice(), &body].concat()
}

pub(crate) fn recorded_rows() -> RecordedRows {
    let column = |name: &str, type_oid, format, masked: &str| RecordedColumn {
        name: name.into(),
        type_oid,
        format,
        masked: masked.into(),
    };
    let data = [
        data_row(&[Some(vec![0, 0, 0, 7]), Some(b"[email]".to_vec())]),
        data_row(&[Some(vec![0, 0, 0, 8]), None]),
    ];
    RecordedRows {
        columns: vec![column("id", 23, 1, ""), column("email", 25, 0, "[email]")],
        data: Payload(data.concat()),
        count: 2,
    }
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
    let hash_key = seal_hash_key(&recording_key(), recording, &[4; 32]).unwrap();
    Entry::Open(Box::new(Open { session, policy_revision: "abc".into(), hash_key }))
}

pub(crate) fn intent(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    Entry::Intent(Box::new(Intent {
        operation,
        approval,
        protocol: "postgres".into(),
        kind: "query".into(),
        preamble: vec![Payload(b"BEGIN".to_vec()), Payload(b"SAVEPOINT a".to_vec())],
        payload: Payload(format!("SELECT * FROM customers -- {operation}").into_bytes()),
        payload_hmac: Some([6; 32]),
        payload_masked: approval.is_some(),
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
        payload_hmac: Some([6; 32]),
        payload_masked: true,
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

/// A value in each form: text, binary, empty, NULL and masked.
pub(crate) fn binding() -> RecordedBinding {
    let parameter = |format, value: Option<&'static [u8]>| Parameter {
        declared_type: 0,
        resolved_type: 25,
        format,
        value: value.map(Into::into),
    };
    let mut binding = RecordedBinding::from(&Binding {
        parameters: vec![
            parameter(0, Some(b"it's")),
            parameter(1, Some(&[0, 255])),
            parameter(0, Some(b"")),
            parameter(0, None),
        ],
        result_formats: vec![1],
        row_limit: 100,
    });
    let value = RecordedValue::Masked("[email]".into());
    binding.parameters.push(RecordedParameter { resolved_type: 25, value, ..Default::default() });
    binding
}

pub(crate) fn outcome(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    let bare = Outcome::bare(operation, approval, OutcomeKind::Done);
    Entry::Outcome(Box::new(Outcome {
        tags: vec!["SELECT 3".into()],
        reply_bytes: 99,
        reply_rows: 3,
        reply_hmac: Some([3; 32]),
        recorded: recorded_rows(),
        ..bare
    }))
}

pub(crate) fn reply(operation: OperationId) -> Entry {
    let reply = Reply { operation, bytes: 99, rows: 3, hmac: [3; 32], recorded: recorded_rows() };
    Entry::Reply(Box::new(reply))
}

pub(crate) fn refusal(operation: OperationId, approval: Option<ApprovalId>) -> Entry {
    Entry::Refusal(Box::new(Refusal {
        operation,
        approval,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DELETE FROM customers".to_vec()),
        payload_hmac: None,
        payload_masked: false,
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
        let (mut writer, mut bytes) = SegmentWriter::begin(&next, &recording_key()).unwrap();
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
    let checked: Vec<_> =
        segments.iter().map(|segment| check_opened_segment(segment, &opening_key()).unwrap()).collect();
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
