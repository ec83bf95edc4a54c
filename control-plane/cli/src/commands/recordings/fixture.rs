//! Recordings for tests, made by the edge's own writer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_model::{
    ApprovalId, Binding, Durability, Identity, OperationId, Parameter, RecordingId, SessionId,
};
use countersign_recording::{
    Beginning, Close, Entry, Hold, Intent, Open, OpeningKey, Outcome, OutcomeKind, Part, Payload,
    RecordedBinding, RecordedColumn, RecordedFact, RecordedParameter, RecordedRows, RecordedValue, Refusal,
    Reply, SegmentReader, SegmentWriter, chain_start, check_opened_segment, manifest,
};
use countersign_wire::v1::{Principal, Session};
use ed25519_dalek::SigningKey;

use super::{content_keys::ContentKeys, copy::Copy};

/// A sealed recording of one segment: open, an operation, a refusal, close.
pub(super) fn recording() -> Copy {
    archived(&entries())
}

/// The same without its end, as it is archived while the session goes on.
pub(super) fn unsealed() -> Copy {
    let [entries @ .., _] = entries();
    archived(&entries)
}

/// A statement that was prepared, executed with values, and refused with others.
pub(super) fn prepared() -> Copy {
    let [open, _, _, _, close] = entries();
    let prepare = Intent {
        kind: "prepare".into(),
        binding: Some((&Binding::declared(&[0, 23])).into()),
        ..intent(OperationId::generate())
    };
    let execute = Intent { binding: Some(binding()), ..intent(OperationId::generate()) };
    let refusal = Refusal { binding: Some(binding()), ..refusal() };
    let done = |operation| Outcome::bare(operation, None, OutcomeKind::Done);
    archived(&[
        open,
        Entry::Intent(Box::new(prepare.clone())),
        Entry::Outcome(Box::new(done(prepare.operation))),
        Entry::Intent(Box::new(execute.clone())),
        Entry::Outcome(Box::new(done(execute.operation))),
        Entry::Refusal(Box::new(refusal)),
        close,
    ])
}

fn binding() -> RecordedBinding {
    let text = Parameter { resolved_type: 25, value: Some("a\n\u{1b}[2J".into()), ..Parameter::default() };
    let number =
        Parameter { declared_type: 23, resolved_type: 23, format: 1, value: Some(vec![0, 0, 0, 7].into()) };
    (&Binding { parameters: vec![text, number], result_formats: vec![1], row_limit: 100 }).into()
}

/// An operation that was held, approved and sent in a transaction of its own.
pub(super) fn held() -> Copy {
    let (operation, approval) = (OperationId::generate(), ApprovalId::generate());
    let [open, _, _, _, close] = entries();
    let intent = Intent {
        approval: Some(approval),
        preamble: vec![Payload(b"BEGIN".to_vec()), Payload(b"SAVEPOINT \"a\nb\"".to_vec())],
        identity: Some(Identity::Approved),
        binding: Some(binding()),
        ..intent(operation)
    };
    let hold = Hold {
        operation,
        approval,
        protocol: intent.protocol.clone(),
        kind: intent.kind.clone(),
        payload: intent.payload.clone(),
        payload_hmac: None,
        payload_masked: false,
        binding: intent.binding.clone(),
        facts: intent.facts.clone(),
        policies: vec!["shop/held".into()],
        policy_revision: "abc".into(),
        requirements: vec!["dba 2".into(), "security 1".into()],
        expires_at: at() + Duration::from_secs(900),
    };
    let outcome = Outcome::bare(operation, Some(approval), OutcomeKind::Done);
    archived(&[
        open,
        Entry::Hold(Box::new(hold)),
        Entry::Intent(Box::new(intent)),
        Entry::Outcome(Box::new(outcome)),
        close,
    ])
}

/// A statement whose values were masked, with rows in two batches; its last row is not recorded.
pub(super) fn masked() -> Copy {
    let [open, _, _, _, close] = entries();
    let operation = OperationId::generate();
    let value = RecordedValue::Masked("[email]".into());
    let parameter = RecordedParameter { resolved_type: 25, value, ..RecordedParameter::default() };
    let intent = Intent {
        payload: Payload(b"SELECT id, email FROM customers WHERE name = [text]".to_vec()),
        payload_hmac: Some([6; 32]),
        payload_masked: true,
        binding: Some(RecordedBinding { parameters: vec![parameter], ..RecordedBinding::default() }),
        ..intent(operation)
    };
    let column = |name: &str, type_oid, format, masked: &str| RecordedColumn {
        name: name.into(),
        type_oid,
        format,
        masked: masked.into(),
    };
    let columns =
        vec![column("id", 23, 1, ""), column("email", 25, 0, "[email]"), column("a \"b\"", 17, 1, "")];
    let first = [
        data_row(&[Some(&[0, 0, 0, 7]), Some(b"[email]"), Some(&[0, 255])]),
        data_row(&[Some(&[0, 0, 0, 8]), None, Some(b"")]),
    ];
    let last = data_row(&[Some(&[9]), Some(b"NULL"), None, Some(b"it's\n\x1b[2J")]);
    let reply = Reply {
        operation,
        bytes: 60,
        rows: 2,
        hmac: [3; 32],
        recorded: RecordedRows { columns, data: Payload(first.concat()), count: 2 },
    };
    let outcome = Outcome {
        reply_rows: 4,
        reply_bytes: 99,
        reply_hmac: Some([5; 32]),
        recorded: RecordedRows { columns: Vec::new(), data: Payload(last), count: 1 },
        ..Outcome::bare(operation, None, OutcomeKind::Done)
    };
    archived(&[
        open,
        Entry::Intent(Box::new(intent)),
        Entry::Reply(Box::new(reply)),
        Entry::Outcome(Box::new(outcome)),
        close,
    ])
}

/// A DataRow message.
fn data_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = i16::try_from(values.len()).expect("few").to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    let length = i32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [b"D", length.as_slice(), &body].concat()
}

fn archived(entries: &[Entry]) -> Copy {
    let recording = RecordingId::generate();
    let deployment = SigningKey::from_bytes(&[2; 32]);
    let segment = segment(recording, entries, &SigningKey::from_bytes(&[1; 32]));
    let mut listed = manifest::empty(recording.to_string(), SessionId::generate().to_string());
    let checked = check_opened_segment(&segment, &opening_key()).expect("a segment");
    manifest::extend(&mut listed, &checked).expect("the next");
    let Ok(Some(Part::Header(header))) = SegmentReader::new(&segment).next_part() else {
        panic!("no header")
    };
    let content_key = opening_key().open_content_key(&header).expect("ours");
    let mut content_keys = ContentKeys::default();
    content_keys.insert(0, content_key.as_bytes().to_vec());
    Copy {
        manifest: Some(manifest::sign(&listed, &deployment)),
        deployment_key: Some(deployment.verifying_key().to_bytes().to_vec()),
        segments: vec![(0, segment)],
        content_keys,
    }
}

/// The control plane's.
fn opening_key() -> OpeningKey {
    OpeningKey::from_secret(&[3; 32]).expect("a key")
}

fn segment(recording: RecordingId, entries: &[Entry], key: &SigningKey) -> Vec<u8> {
    let beginning = Beginning {
        recording,
        number: 0,
        edge: "edge-1".parse().expect("a name"),
        boot_id: [7; 16],
        first_sequence: 0,
        previous_link: chain_start(&recording.to_string()),
        unfinished: Vec::new(),
        operations: 0,
        refusals: 0,
    };
    let (mut writer, mut bytes) =
        SegmentWriter::begin(&beginning, &opening_key().recording_key()).expect("begun");
    for entry in entries {
        let frame = writer.encode(entry, at(), Durability::Fsync).expect("encoded");
        bytes.extend_from_slice(frame.bytes());
        writer.commit(&frame).expect("in order");
    }
    bytes.extend_from_slice(&writer.finish(key));
    bytes
}

fn entries() -> [Entry; 5] {
    let operation = OperationId::generate();
    let session = Session {
        id: "se_1".into(),
        target: "shop".into(),
        principal: Some(Principal { agent: "reader".into(), ..Principal::default() }),
        ..Session::default()
    };
    let done = Outcome {
        tags: vec!["SELECT 3".into()],
        reply_rows: 3,
        reply_bytes: 99,
        ..Outcome::bare(operation, None, OutcomeKind::Done)
    };
    [
        Entry::Open(Box::new(Open { session, policy_revision: "abc".into(), hash_key: Vec::new() })),
        Entry::Intent(Box::new(intent(operation))),
        Entry::Outcome(Box::new(done)),
        Entry::Refusal(Box::new(refusal())),
        Entry::Close(Close { reason: "client".into(), operations: 1, refusals: 1 }),
    ]
}

fn intent(operation: OperationId) -> Intent {
    Intent {
        operation,
        approval: None,
        protocol: "postgres".into(),
        kind: "query".into(),
        preamble: Vec::new(),
        payload: Payload(b"SELECT *\nFROM orders -- \x1b[2J".to_vec()),
        payload_hmac: None,
        payload_masked: false,
        binding: None,
        facts: vec![RecordedFact {
            action: "postgres:select".into(),
            resource: "Table shop.public.orders".into(),
        }],
        policies: vec!["shop/read".into()],
        policy_revision: "abc".into(),
        identity: Some(Identity::Standing),
    }
}

fn refusal() -> Refusal {
    Refusal {
        operation: OperationId::generate(),
        approval: None,
        protocol: "postgres".into(),
        kind: "query".into(),
        payload: Payload(b"DROP \xff TABLE orders".to_vec()),
        payload_hmac: None,
        payload_masked: false,
        binding: None,
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "abc".into(),
        reason: "unparsed".into(),
    }
}

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}
