use countersign_model::{Durability, Name, OperationId, RecordingId};
use countersign_recording::{
    Beginning, Close, Entry, Intent, Open, Payload, SegmentWriter, chain_start, manifest,
};

use super::*;

/// Writes one recording, segment after segment.
struct Writer {
    next: Beginning,
    session: v1::Session,
}

impl Writer {
    fn new(edge: &Name, boot_id: [u8; 16], session: &v1::Session) -> Self {
        let recording: RecordingId = session.recording_id.parse().unwrap();
        let next = Beginning {
            recording,
            number: 0,
            edge: edge.clone(),
            boot_id,
            first_sequence: 0,
            previous_link: chain_start(&session.recording_id),
            unfinished: Vec::new(),
            operations: 0,
            refusals: 0,
        };
        Self { next, session: session.clone() }
    }

    fn segment(&mut self, key: &SigningKey, last: bool) -> v1::UploadSegmentsRequest {
        let (mut writer, mut bytes) = SegmentWriter::begin(&self.next).unwrap();
        let mut entries = Vec::new();
        if self.next.number == 0 {
            entries.push(Entry::Open(Box::new(Open {
                session: self.session.clone(),
                policy_revision: "r".into(),
            })));
        }
        entries.push(intent());
        if last {
            entries.push(Entry::Close(Close { reason: "client".into(), operations: 1, refusals: 0 }));
        }
        for entry in entries {
            let frame = writer.encode(&entry, UNIX_EPOCH + HOUR, Durability::Fsync).unwrap();
            bytes.extend_from_slice(frame.bytes());
            writer.commit(&frame).unwrap();
        }
        let number = self.next.number;
        self.next.number += 1;
        self.next.first_sequence = writer.next_sequence();
        self.next.previous_link = writer.link();
        bytes.extend_from_slice(&writer.finish(key));
        v1::UploadSegmentsRequest { recording_id: self.session.recording_id.clone(), number, segment: bytes }
    }
}

fn intent() -> Entry {
    Entry::Intent(Box::new(Intent {
        operation: OperationId::generate(),
        approval: None,
        protocol: "postgres".into(),
        preamble: Vec::new(),
        kind: "query".into(),
        payload: Payload(b"select 1".to_vec()),
        binding: None,
        facts: Vec::new(),
        policies: Vec::new(),
        policy_revision: "r".into(),
        identity: None,
    }))
}

async fn begun(bench: &Bench) -> (Edge, v1::Session, Writer) {
    let edge = bench.edge("dev", "edge-1").await;
    let session = edge.open_shop(bench).await;
    let writer = Writer::new(&edge.peer.name, edge.boot, &session);
    (edge, session, writer)
}

#[tokio::test]
async fn a_recording_is_archived_sealed_and_handed_out_as_it_came() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let uploads = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    let id = &session.recording_id;

    bench.core.ingest(&edge.peer, uploads[0].clone()).await.unwrap();
    let key = bench.core.parts.deployment_key.public();
    let (_, head, segments) = bench.core.recording_head(id).await.unwrap();
    let open = manifest::open(&head.manifest.unwrap(), &key).unwrap();
    assert_eq!((open.sealed, open.segments.len(), segments), (false, 1, 1));

    bench.core.ingest(&edge.peer, uploads[1].clone()).await.unwrap();
    let (recording, head, segments) = bench.core.recording_head(id).await.unwrap();
    let signed = head.manifest.unwrap();
    let sealed = manifest::open(&signed, &key).unwrap();
    assert_eq!((sealed.sealed, sealed.segments.len(), segments), (true, 2, 2));
    assert_eq!(sealed.session_id, session.id);
    assert_eq!(sealed.signing_keys, [edge.signing.verifying_key().to_bytes().to_vec()]);
    for upload in &uploads {
        let archived = bench.core.recording_segment(recording, upload.number).await.unwrap().unwrap();
        assert_eq!(archived, upload.segment);
    }
    let on_disk = bench.folder.path().join("archive/recordings").join(id).join("00000001.seg");
    assert_eq!(std::fs::read(on_disk).unwrap(), uploads[1].segment);
    let listed = bench.core.list_recordings(0, "").await.unwrap().recordings;
    assert!(listed.len() == 1 && listed[0].sealed && listed[0].segments == 2);
    let ended = bench.core.get_session(&session.id).await.unwrap();
    assert_eq!(ended.state(), v1::SessionState::Closed, "the last segment ends the session");
}

#[tokio::test]
async fn uploading_again_is_acknowledged_and_changes_nothing() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let uploads = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    let mut first = Vec::new();
    for upload in &uploads {
        first.push(bench.core.ingest(&edge.peer, upload.clone()).await.unwrap());
    }
    let head = bench.core.recording_head(&session.recording_id).await.unwrap();
    for (upload, sha256) in uploads.iter().zip(&first) {
        assert_eq!(bench.core.ingest(&edge.peer, upload.clone()).await.unwrap(), *sha256);
    }
    assert_eq!(bench.core.recording_head(&session.recording_id).await.unwrap(), head);
    assert_eq!(bench.audited("recording.sealed").await, 1);
}

#[tokio::test]
async fn an_object_from_before_a_crash_is_taken_over() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let upload = writer.segment(&edge.signing, true);
    let id: RecordingId = session.recording_id.parse().unwrap();
    // Died after the object and before the store.
    let key = crate::recordings::segment_key(id, 0).unwrap();
    bench.core.parts.archive.put_new(&key, upload.segment.clone().into()).await.unwrap();
    bench.core.ingest(&edge.peer, upload.clone()).await.unwrap();
    let recording = bench.core.parts.store.recording(id).await.unwrap();
    assert!(recording.sealed);
    assert!(bench.core.parts.store.session(session.id.parse().unwrap()).await.unwrap().closed_at.is_some());
}

#[tokio::test]
async fn a_manifest_from_before_a_crash_is_taken_if_it_is_ours() {
    for ours in [true, false] {
        let bench = Bench::furnished(false).await;
        let (edge, session, mut writer) = begun(&bench).await;
        let id: RecordingId = session.recording_id.parse().unwrap();
        let manifest = v1::Manifest { recording_id: id.to_string(), ..Default::default() };
        let mut left =
            v1::SignedManifest { manifest: prost::Message::encode_to_vec(&manifest), signature: vec![0; 64] };
        let first = writer.segment(&edge.signing, false);
        bench.core.ingest(&edge.peer, first).await.unwrap();
        if ours {
            let recording = bench.core.parts.store.recording(id).await.unwrap();
            left = bench.core.sign_manifest(&recording, true).await.unwrap();
        }
        let key = crate::recordings::manifest_key(id).unwrap();
        bench.core.parts.archive.put_new(&key, prost::Message::encode_to_vec(&left).into()).await.unwrap();
        bench.pass(HOUR);
        let taken = bench.core.ingest(&edge.peer, writer.segment(&edge.signing, true)).await;
        assert_eq!(taken.is_ok(), ours, "{taken:?}");
    }
}

#[tokio::test]
async fn what_is_not_the_next_segment_of_this_edge_is_refused() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let (first, second) = (writer.segment(&edge.signing, false), writer.segment(&edge.signing, true));
    let refused = async |edge: &Edge, upload: &v1::UploadSegmentsRequest| {
        bench.core.ingest(&edge.peer, upload.clone()).await.unwrap_err()
    };
    assert!(matches!(refused(&edge, &second).await, IngestError::Gap { expected: 0 }));
    let renamed = v1::UploadSegmentsRequest { number: 1, ..first.clone() };
    assert!(matches!(refused(&edge, &renamed).await, IngestError::Foreign(_)));
    for at in [first.segment.len() / 2, first.segment.len() - 1] {
        let mut flipped = first.clone();
        flipped.segment[at] ^= 1;
        assert!(matches!(refused(&edge, &flipped).await, IngestError::Segment(_)));
    }
    let mut cut = first.clone();
    cut.segment.truncate(cut.segment.len() / 2);
    assert!(matches!(refused(&edge, &cut).await, IngestError::Segment(_)));

    let stranger = SigningKey::from_bytes(&[66; 32]);
    let forged = Writer::new(&edge.peer.name, edge.boot, &session).segment(&stranger, false);
    assert!(matches!(refused(&edge, &forged).await, IngestError::Foreign(_)));
    let never = Writer::new(&edge.peer.name, [66; 16], &session).segment(&edge.signing, false);
    assert!(matches!(refused(&edge, &never).await, IngestError::Foreign(_)));
    let other = bench.edge("dev", "edge-2").await;
    assert!(matches!(refused(&other, &first).await, IngestError::Edge(EdgeError::UnknownSession)));

    bench.core.ingest(&edge.peer, first.clone()).await.unwrap();
    let different = Writer::new(&edge.peer.name, edge.boot, &session).segment(&edge.signing, false);
    assert!(matches!(refused(&edge, &different).await, IngestError::Taken(_)));
    bench.core.ingest(&edge.peer, second).await.unwrap();
    let more = writer.segment(&edge.signing, true);
    assert!(matches!(refused(&edge, &more).await, IngestError::Taken(_)));
}

#[tokio::test]
async fn whose_a_segment_is_comes_before_what_is_in_it() {
    let bench = Bench::furnished(false).await;
    let (_, _, mut writer) = begun(&bench).await;
    let other = bench.edge("dev", "edge-2").await;
    let mut upload = writer.segment(&other.signing, true);
    let middle = upload.segment.len() / 2;
    upload.segment[middle] ^= 1;
    let foreign = bench.core.ingest(&other.peer, upload.clone()).await;
    assert!(matches!(foreign, Err(IngestError::Edge(EdgeError::UnknownSession))), "{foreign:?}");
    upload.recording_id = "re_x".into();
    let malformed = bench.core.ingest(&other.peer, upload).await;
    assert!(matches!(malformed, Err(IngestError::Edge(EdgeError::Malformed(_)))), "{malformed:?}");
}

#[tokio::test]
async fn a_later_process_uploads_and_closes_what_an_earlier_left() {
    let bench = Bench::furnished(false).await;
    let (mut edge, _, mut writer) = begun(&bench).await;
    let left_whole = writer.segment(&edge.signing, false);
    let next = SigningKey::from_bytes(&[10; 32]);
    let closed_by_next = writer.segment(&next, true);
    edge.boot = [8; 16];
    edge.signing = next;
    edge.attach(&bench).await;
    bench.core.ingest(&edge.peer, left_whole).await.unwrap();
    bench.core.ingest(&edge.peer, closed_by_next.clone()).await.unwrap();
    let (_, head, _) = bench.core.recording_head(&closed_by_next.recording_id).await.unwrap();
    let sealed = manifest::open(&head.manifest.unwrap(), &bench.core.parts.deployment_key.public()).unwrap();
    assert_eq!(sealed.signing_keys.len(), 2);
}
