use countersign_model::{Durability, Name, OperationId, RecordingId};
use countersign_recording::{
    Beginning, Close, Entry, Evidence, Fault, FaultKind, Intent, InvalidPack, Open, PackName, PackPlan,
    Payload, PlannedSegment, RecordingKey, Replayed, SegmentWriter, StoredSegment, chain_start, manifest,
    replay, verify,
};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{PackTaken, PackUpload};

/// A segment as it lies in an edge's spool.
#[derive(Clone)]
struct Spooled {
    recording: RecordingId,
    number: u32,
    bytes: Vec<u8>,
}

/// A pack of the edge's present process.
fn pack(edge: &Edge, number: u64, segments: &[&Spooled]) -> PackUpload {
    let mut plan = PackPlan::new(PackName { edge: edge.peer.name.clone(), boot_id: edge.boot, number });
    for segment in segments {
        let Spooled { recording, number, bytes } = segment;
        let planned = PlannedSegment {
            recording: *recording,
            number: *number,
            bytes: bytes.len() as u32,
            sha256: Sha256::digest(bytes).into(),
        };
        plan.push(planned).unwrap();
    }
    upload(edge, number, plan.assemble(segments.iter().map(|segment| segment.bytes.as_slice())).unwrap())
}

fn upload(edge: &Edge, number: u64, bytes: Vec<u8>) -> PackUpload {
    let sha256 = Sha256::digest(&bytes).to_vec();
    PackUpload { boot_id: edge.boot.to_vec(), number, sha256, bytes: bytes.into() }
}

/// Sends a segment in a pack of its own.
async fn ingest(bench: &Bench, edge: &Edge, pack_number: u64, segment: &Spooled) -> Result<(), IngestError> {
    let taken = bench.core.ingest(&edge.peer, pack(edge, pack_number, &[segment])).await?;
    taken.segments.into_iter().next().unwrap().result
}

/// The words of what was refused, in the order of the pack.
fn words(taken: &PackTaken) -> Vec<Option<&'static str>> {
    let word = |error: &IngestError| error.refusal().unwrap();
    taken.segments.iter().map(|segment| segment.result.as_ref().err().map(word)).collect()
}

fn pack_file(bench: &Bench, edge: &Edge, number: u64) -> std::path::PathBuf {
    let name = PackName { edge: edge.peer.name.clone(), boot_id: edge.boot, number };
    bench.folder.path().join("archive").join(name.key())
}

/// What `verify` says of a recording as it is handed out.
async fn faults(bench: &Bench, id: &str) -> Vec<Fault> {
    let recording = bench.core.recording_head(id).await.unwrap();
    let mut segments = Vec::new();
    for place in &recording.segments {
        if let Some(bytes) = bench.core.recording_segment(place).await.unwrap() {
            segments.push((place.number, bytes));
        }
    }
    let segments: Vec<(u32, &[u8])> =
        segments.iter().map(|(number, bytes)| (*number, bytes.as_ref())).collect();
    let report = verify(&Evidence {
        manifest: recording.head.manifest.as_ref(),
        deployment_key: &recording.head.deployment_key,
        segments: &segments,
        recording_id: Some(id),
        session_closed: true,
    });
    report.faults
}

/// Writes one recording, segment after segment.
struct Writer {
    next: Beginning,
    session: v1::Session,
    seal_to: RecordingKey,
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
        Self { next, session: session.clone(), seal_to: opening_key().recording_key() }
    }

    fn segment(&mut self, key: &SigningKey, last: bool) -> Spooled {
        let (mut writer, mut bytes) = SegmentWriter::begin(&self.next, &self.seal_to).unwrap();
        let mut entries = Vec::new();
        if self.next.number == 0 {
            entries.push(Entry::Open(Box::new(Open {
                session: self.session.clone(),
                policy_revision: "r".into(),
                hash_key: Vec::new(),
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
        Spooled { recording: self.next.recording, number, bytes }
    }
}

impl Writer {
    /// Its second frame comes from a segment of the same place with another content key.
    fn segment_with_a_foreign_body(self, key: &SigningKey) -> Spooled {
        let (mut others, _) = SegmentWriter::begin(&self.next, &self.seal_to).unwrap();
        let (mut writer, mut bytes) = SegmentWriter::begin(&self.next, &self.seal_to).unwrap();
        let session = self.session.clone();
        let open = Open { session, policy_revision: "r".into(), hash_key: Vec::new() };
        let open = writer.encode(&Entry::Open(Box::new(open)), UNIX_EPOCH + HOUR, Durability::Fsync).unwrap();
        bytes.extend_from_slice(open.bytes());
        // The chain runs over what is stored, whatever it is sealed under.
        writer.commit(&open).unwrap();
        others.commit(&open).unwrap();
        let foreign = others.encode(&intent(), UNIX_EPOCH + HOUR, Durability::Fsync).unwrap();
        bytes.extend_from_slice(foreign.bytes());
        writer.commit(&foreign).unwrap();
        bytes.extend_from_slice(&writer.finish(key));
        Spooled { recording: self.next.recording, number: 0, bytes }
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
        payload_hmac: None,
        payload_masked: false,
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
    let segments = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    let id = &session.recording_id;

    ingest(&bench, &edge, 0, &segments[0]).await.unwrap();
    let key = bench.core.parts.deployment_key.public();
    let recording = bench.core.recording_head(id).await.unwrap();
    let open = manifest::open(&recording.head.manifest.unwrap(), &key).unwrap();
    assert_eq!((open.sealed, open.segments.len(), recording.segments.len()), (false, 1, 1));

    ingest(&bench, &edge, 1, &segments[1]).await.unwrap();
    let recording = bench.core.recording_head(id).await.unwrap();
    let signed = recording.head.manifest.unwrap();
    let sealed = manifest::open(&signed, &key).unwrap();
    assert_eq!((sealed.sealed, sealed.segments.len(), recording.segments.len()), (true, 2, 2));
    assert_eq!(sealed.session_id, session.id);
    assert_eq!(sealed.signing_keys, [edge.signing.verifying_key().to_bytes().to_vec()]);
    assert_eq!((sealed.edge.as_str(), &sealed.pack_boots), ("edge-1", &vec![edge.boot.to_vec()]));
    for (number, (place, segment)) in (0..).zip(recording.segments.iter().zip(&segments)) {
        let archived = bench.core.recording_segment(place).await.unwrap().unwrap();
        assert_eq!(archived, segment.bytes);
        let listed = &sealed.segments[segment.number as usize];
        assert_eq!((listed.pack, listed.pack_boot), (number, 0));
        let on_disk = std::fs::read(pack_file(&bench, &edge, number)).unwrap();
        assert_eq!(on_disk[listed.offset as usize..], segment.bytes);
    }
    assert_eq!(faults(&bench, id).await, []);
    let listed = bench.core.list_recordings(0, "").await.unwrap().recordings;
    assert!(listed.len() == 1 && listed[0].sealed && listed[0].segments == 2);
    let ended = bench.core.get_session(&session.id).await.unwrap();
    assert_eq!(ended.state(), v1::SessionState::Closed, "the last segment ends the session");
}

#[tokio::test]
async fn many_recordings_are_one_object() {
    let bench = Bench::furnished(false).await;
    let (edge, first, mut one) = begun(&bench).await;
    let second = edge.open(&bench, &token("u-2"), "shop").await.unwrap();
    let mut two = Writer::new(&edge.peer.name, edge.boot, &second);
    let segments = [
        one.segment(&edge.signing, false),
        two.segment(&edge.signing, false),
        one.segment(&edge.signing, true),
        two.segment(&edge.signing, true),
    ];
    let sent = pack(&edge, 0, &segments.each_ref());
    let taken = bench.core.ingest(&edge.peer, sent.clone()).await.unwrap();
    assert_eq!((words(&taken), taken.sha256.to_vec()), (vec![None; 4], sent.sha256));
    for session in [&first, &second] {
        assert_eq!(faults(&bench, &session.recording_id).await, []);
        assert!(
            bench.core.parts.store.recording(session.recording_id.parse().unwrap()).await.unwrap().sealed
        );
    }
    let objects = bench.core.parts.archive.list("").await.unwrap();
    assert_eq!(objects.len(), 3, "a pack and two manifests: {objects:?}");
}

#[tokio::test]
async fn uploading_again_is_acknowledged_and_changes_nothing() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let segments = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    let sent = pack(&edge, 0, &segments.each_ref());
    let first = bench.core.ingest(&edge.peer, sent.clone()).await.unwrap();
    let head = bench.core.recording_head(&session.recording_id).await.unwrap();
    let again = bench.core.ingest(&edge.peer, sent).await.unwrap();
    assert_eq!((words(&again), again.sha256), (vec![None; 2], first.sha256));
    // In another pack they stay where they were first, and that pack is not kept.
    let other = bench.core.ingest(&edge.peer, pack(&edge, 1, &[&segments[0], &segments[1]])).await.unwrap();
    assert_eq!(words(&other), [None; 2]);
    assert!(!pack_file(&bench, &edge, 1).exists());
    assert_eq!(bench.core.recording_head(&session.recording_id).await.unwrap(), head);
    assert_eq!(bench.audited("recording.sealed").await, 1);
}

#[tokio::test]
async fn what_is_listed_already_goes_with_what_is_new() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let segments = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    ingest(&bench, &edge, 0, &segments[0]).await.unwrap();
    let both = bench.core.ingest(&edge.peer, pack(&edge, 1, &segments.each_ref())).await.unwrap();
    assert_eq!(words(&both), [None; 2]);
    let recording = bench.core.recording_head(&session.recording_id).await.unwrap();
    let signed = recording.head.manifest.unwrap();
    let sealed = manifest::open(&signed, &bench.core.parts.deployment_key.public()).unwrap();
    assert!(sealed.segments.iter().map(|segment| segment.pack).eq([0, 1]));
    assert_eq!(faults(&bench, &session.recording_id).await, []);
}

#[tokio::test]
async fn a_pack_from_before_a_crash_is_taken_over() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let segments = [writer.segment(&edge.signing, false), writer.segment(&edge.signing, true)];
    let id: RecordingId = session.recording_id.parse().unwrap();
    let sent = pack(&edge, 0, &segments.each_ref());
    // Died after the object and before the store.
    let name = PackName { edge: edge.peer.name.clone(), boot_id: edge.boot, number: 0 };
    let key = crate::recordings::pack_key(&name).unwrap();
    bench.core.parts.archive.put_new(&key, sent.bytes.clone()).await.unwrap();
    assert_eq!(bench.core.recording_head(&id.to_string()).await.unwrap().segments, []);
    let taken = bench.core.ingest(&edge.peer, sent).await.unwrap();
    assert_eq!(words(&taken), [None; 2]);
    let recording = bench.core.parts.store.recording(id).await.unwrap();
    assert!(recording.sealed);
    assert!(bench.core.parts.store.session(session.id.parse().unwrap()).await.unwrap().closed_at.is_some());
    assert_eq!(faults(&bench, &session.recording_id).await, []);
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
        ingest(&bench, &edge, 0, &first).await.unwrap();
        if ours {
            let recording = bench.core.parts.store.recording(id).await.unwrap();
            left = bench.core.sign_manifest(&recording, true).await.unwrap();
        }
        let key = crate::recordings::manifest_key(id).unwrap();
        bench.core.parts.archive.put_new(&key, prost::Message::encode_to_vec(&left).into()).await.unwrap();
        bench.pass(HOUR);
        let taken = ingest(&bench, &edge, 1, &writer.segment(&edge.signing, true)).await;
        assert_eq!(taken.is_ok(), ours, "{taken:?}");
    }
}

#[tokio::test]
async fn what_is_not_the_next_segment_of_this_edge_is_refused() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let (first, second) = (writer.segment(&edge.signing, false), writer.segment(&edge.signing, true));
    let refused = async |edge: &Edge, segment: &Spooled| ingest(&bench, edge, 0, segment).await.unwrap_err();
    assert!(matches!(refused(&edge, &second).await, IngestError::Gap { expected: 0 }));
    let renamed = Spooled { number: 1, ..first.clone() };
    assert!(matches!(refused(&edge, &renamed).await, IngestError::Foreign(_)));
    for at in [first.bytes.len() / 2, first.bytes.len() - 1] {
        let mut flipped = first.clone();
        flipped.bytes[at] ^= 1;
        assert!(matches!(refused(&edge, &flipped).await, IngestError::Segment(_)));
    }
    let mut cut = first.clone();
    cut.bytes.truncate(cut.bytes.len() / 2);
    assert!(matches!(refused(&edge, &cut).await, IngestError::Segment(_)));

    let stranger = SigningKey::from_bytes(&[66; 32]);
    let forged = Writer::new(&edge.peer.name, edge.boot, &session).segment(&stranger, false);
    assert!(matches!(refused(&edge, &forged).await, IngestError::Foreign(_)));
    let never = Writer::new(&edge.peer.name, [66; 16], &session).segment(&edge.signing, false);
    assert!(matches!(refused(&edge, &never).await, IngestError::Foreign(_)));
    let other = bench.edge("dev", "edge-2").await;
    assert!(matches!(refused(&other, &first).await, IngestError::Edge(EdgeError::UnknownSession)));
    assert!(!pack_file(&bench, &edge, 0).exists(), "a pack of which nothing is taken is not kept");

    ingest(&bench, &edge, 1, &first).await.unwrap();
    let different = Writer::new(&edge.peer.name, edge.boot, &session).segment(&edge.signing, false);
    assert!(matches!(refused(&edge, &different).await, IngestError::Taken(_)));
    ingest(&bench, &edge, 2, &second).await.unwrap();
    let more = writer.segment(&edge.signing, true);
    assert!(matches!(refused(&edge, &more).await, IngestError::Taken(_)));
}

#[tokio::test]
async fn a_refused_segment_takes_along_its_own_recording_alone() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut good) = begun(&bench).await;
    let other = edge.open(&bench, &token("u-2"), "shop").await.unwrap();
    let mut bad = Writer::new(&edge.peer.name, edge.boot, &other);
    let [first, second] = [bad.segment(&edge.signing, false), bad.segment(&edge.signing, true)];
    let mut damaged = first.clone();
    let middle = damaged.bytes.len() / 2;
    damaged.bytes[middle] ^= 1;
    let good = [good.segment(&edge.signing, false), good.segment(&edge.signing, true)];
    let stranger = Spooled { recording: RecordingId::generate(), ..first.clone() };
    let sent = pack(&edge, 0, &[&good[0], &damaged, &stranger, &good[1], &second]);
    let taken = bench.core.ingest(&edge.peer, sent.clone()).await.unwrap();
    let expected = [None, Some("malformed"), Some("unknown_session"), None, Some("gap")];
    assert_eq!(words(&taken), expected);
    assert_eq!(words(&bench.core.ingest(&edge.peer, sent).await.unwrap()), expected, "again");
    assert_eq!(faults(&bench, &session.recording_id).await, []);

    let later = bench.core.ingest(&edge.peer, pack(&edge, 1, &[&first, &second])).await.unwrap();
    assert_eq!(words(&later), [None; 2]);
    assert_eq!(faults(&bench, &other.recording_id).await, []);
}

#[tokio::test]
async fn a_pack_that_is_not_what_it_says_is_refused_whole() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    let segment = writer.segment(&edge.signing, true);
    let good = pack(&edge, 0, &[&segment]);
    let refused = async |peer: &Edge, upload: PackUpload| {
        bench.core.ingest(&peer.peer, upload).await.expect_err("refused")
    };
    for at in [0, 20, good.bytes.len() - 1] {
        let mut bytes = good.bytes.to_vec();
        bytes[at] ^= 1;
        let error = refused(&edge, upload(&edge, 0, bytes)).await;
        assert!(matches!(error, IngestError::Pack(_) | IngestError::Foreign(_)), "byte {at}: {error:?}");
    }
    let cut = good.bytes[..good.bytes.len() - 1].to_vec();
    assert!(matches!(refused(&edge, upload(&edge, 0, cut)).await, IngestError::Pack(InvalidPack::Length)));
    for misnamed in [
        PackUpload { number: 1, ..good.clone() },
        PackUpload { boot_id: vec![9; 16], ..good.clone() },
        PackUpload { sha256: vec![9; 32], ..good.clone() },
        PackUpload { bytes: vec![0; (8 << 20) + 1].into(), ..good.clone() },
    ] {
        assert!(matches!(refused(&edge, misnamed).await, IngestError::Foreign(_)));
    }
    let other = bench.edge("dev", "edge-2").await;
    assert!(matches!(refused(&other, good.clone()).await, IngestError::Foreign(_)), "another edge's");
    let mut never = bench.edge("dev", "edge-3").await;
    never.boot = [66; 16];
    let unknown = refused(&never, pack(&never, 0, &[&segment])).await;
    assert!(matches!(unknown, IngestError::Foreign(_)), "of a process that never attached");
    assert_eq!(bench.core.recording_head(&session.recording_id).await.unwrap().segments, []);
    assert_eq!(bench.core.parts.archive.list("").await.unwrap(), []);

    // Other bytes under the same name, of which something is new.
    let second = edge.open(&bench, &token("u-2"), "shop").await.unwrap();
    let other = Writer::new(&edge.peer.name, edge.boot, &second).segment(&edge.signing, true);
    bench.core.ingest(&edge.peer, good).await.unwrap();
    assert!(matches!(refused(&edge, pack(&edge, 0, &[&other])).await, IngestError::Taken(_)));
    assert_eq!(bench.core.recording_head(&second.recording_id).await.unwrap().segments, []);
}

#[tokio::test]
async fn whose_a_segment_is_comes_before_what_is_in_it() {
    let bench = Bench::furnished(false).await;
    let (_, _, mut writer) = begun(&bench).await;
    let other = bench.edge("dev", "edge-2").await;
    let mut segment = writer.segment(&other.signing, true);
    let middle = segment.bytes.len() / 2;
    segment.bytes[middle] ^= 1;
    let foreign = ingest(&bench, &other, 0, &segment).await;
    assert!(matches!(foreign, Err(IngestError::Edge(EdgeError::UnknownSession))), "{foreign:?}");
}

#[tokio::test]
async fn a_later_process_uploads_and_closes_what_an_earlier_left() {
    let bench = Bench::furnished(false).await;
    let (mut edge, session, mut writer) = begun(&bench).await;
    let left_whole = writer.segment(&edge.signing, false);
    let next = SigningKey::from_bytes(&[10; 32]);
    let closed_by_next = writer.segment(&next, true);
    let planned_before = pack(&edge, 0, &[&left_whole]);
    edge.boot = [8; 16];
    edge.signing = next;
    edge.attach(&bench).await;
    bench.core.ingest(&edge.peer, planned_before).await.unwrap();
    ingest(&bench, &edge, 0, &closed_by_next).await.unwrap();
    let recording = bench.core.recording_head(&session.recording_id).await.unwrap();
    let signed = recording.head.manifest.unwrap();
    let sealed = manifest::open(&signed, &bench.core.parts.deployment_key.public()).unwrap();
    assert_eq!((sealed.signing_keys.len(), sealed.pack_boots.len()), (2, 2));
    assert_eq!(faults(&bench, &session.recording_id).await, []);
}

#[tokio::test]
async fn damage_to_a_pack_is_named_for_each_recording_in_it() {
    let bench = Bench::furnished(false).await;
    let (edge, first, mut one) = begun(&bench).await;
    let second = edge.open(&bench, &token("u-2"), "shop").await.unwrap();
    let mut two = Writer::new(&edge.peer.name, edge.boot, &second);
    let shared = [one.segment(&edge.signing, false), two.segment(&edge.signing, true)];
    bench.core.ingest(&edge.peer, pack(&edge, 0, &shared.each_ref())).await.unwrap();
    ingest(&bench, &edge, 1, &one.segment(&edge.signing, true)).await.unwrap();
    let path = pack_file(&bench, &edge, 0);
    let whole = std::fs::read(&path).unwrap();
    let kinds = async |session: &v1::Session| -> Vec<(FaultKind, Option<u32>)> {
        let faults = faults(&bench, &session.recording_id).await;
        faults.iter().map(|fault| (fault.kind, fault.segment)).collect()
    };
    assert_eq!((kinds(&first).await, kinds(&second).await), (vec![], vec![]), "the control");
    let (in_first, in_second) = {
        let head = whole.len() - shared[0].bytes.len() - shared[1].bytes.len();
        (head + shared[0].bytes.len() / 2, head + shared[0].bytes.len() + shared[1].bytes.len() / 2)
    };

    let mut flipped = whole.clone();
    flipped[in_first] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    assert_eq!(kinds(&first).await, [(FaultKind::BitFlipped, Some(0))]);
    assert_eq!(kinds(&second).await, []);

    std::fs::write(&path, &whole[..in_second]).unwrap();
    assert_eq!(kinds(&first).await, []);
    assert_eq!(kinds(&second).await, [(FaultKind::FrameCut, Some(0))]);

    std::fs::write(&path, &whole[..in_first]).unwrap();
    assert_eq!(kinds(&first).await, [(FaultKind::FrameCut, Some(0))]);
    assert_eq!(kinds(&second).await, [(FaultKind::TailMissing, Some(0))]);

    std::fs::remove_file(&path).unwrap();
    assert_eq!(kinds(&first).await, [(FaultKind::SegmentMissing, Some(0))]);
    assert_eq!(kinds(&second).await, [(FaultKind::TailMissing, Some(0))]);
}

#[tokio::test]
async fn what_is_not_sealed_to_this_deployment_is_refused() {
    let bench = Bench::furnished(false).await;
    let (edge, session, _) = begun(&bench).await;
    let writer = || Writer::new(&edge.peer.name, edge.boot, &session);
    let foreign = OpeningKey::from_secret(&[66; 32]).unwrap().recording_key();
    let sealed_elsewhere = Writer { seal_to: foreign, ..writer() }.segment(&edge.signing, false);
    let refused = ingest(&bench, &edge, 0, &sealed_elsewhere).await.unwrap_err();
    assert_eq!(refused.refusal(), Some("malformed"));
    assert!(refused.to_string().contains("sealed to another recording key"), "{refused}");
    // A body that was sealed under another content key, in a segment that is right in all that stands in the clear.
    let unopened = writer().segment_with_a_foreign_body(&edge.signing);
    let refused = ingest(&bench, &edge, 1, &unopened).await.unwrap_err();
    assert!(refused.to_string().contains("frame 1: the body does not open"), "{refused}");
    let right = writer().segment(&edge.signing, false);
    ingest(&bench, &edge, 2, &right).await.unwrap();
}

#[tokio::test]
async fn a_reader_gets_what_opens_a_segment_and_nothing_that_opens_another() {
    let bench = Bench::furnished(false).await;
    let (edge, session, mut writer) = begun(&bench).await;
    for number in 0..2 {
        let segment = writer.segment(&edge.signing, number == 1);
        ingest(&bench, &edge, number, &segment).await.unwrap();
    }
    let recording = bench.core.recording_head(&session.recording_id).await.unwrap();
    let mut keys = Vec::new();
    for place in &recording.segments {
        let bytes = bench.core.recording_segment(place).await.unwrap().unwrap();
        let key = bench.core.content_key(&bytes).unwrap();
        let content_key = Some(key.as_bytes().as_slice());
        let frames = replay([StoredSegment { bytes: &bytes, content_key }]);
        assert!(frames.into_iter().all(|frame| matches!(frame, Ok(Replayed::Opened(_)))));
        let mut moved = bytes.to_vec();
        moved[..4].copy_from_slice(b"CSR2");
        assert!(bench.core.content_key(&moved).is_none() && bench.core.content_key(b"").is_none());
        keys.push(*key.as_bytes());
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn an_edge_is_told_what_to_seal_to() {
    let bench = Bench::furnished(false).await;
    let configuration = bench.core.configurations("dev".parse().unwrap()).current();
    assert_eq!(configuration.recording_key, opening_key().recording_key().as_bytes());
}
