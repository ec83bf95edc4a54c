use std::{path::PathBuf, time::UNIX_EPOCH};

use countersign_wire::v1::{Session, SignedManifest};
use tempfile::TempDir;

use super::{super::fixture, *};
use crate::{
    output::tests::Captured,
    tests::{control_plane::ControlPlane, countersign},
};

struct Exported {
    directory: TempDir,
    copy: Copy,
}

impl Exported {
    fn new() -> Self {
        Self::of(fixture::recording())
    }

    fn of(copy: Copy) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        copy.write(directory.path()).expect("exported");
        Self { directory, copy }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn flip(&self, name: &str, at: usize) {
        let mut bytes = fs::read(self.file(name)).expect("read");
        *bytes.get_mut(at).expect("inside") ^= 1;
        fs::write(self.file(name), bytes).expect("written");
    }

    async fn verify(&self, key: Option<&Path>, format: Format) -> (Exit, String) {
        self.verify_as(key, false, format).await
    }

    async fn verify_as(&self, key: Option<&Path>, open: bool, format: Format) -> (Exit, String) {
        let captured = Captured::default();
        let place = Place::Directory(self.directory.path().to_owned());
        let exit = run(&place, key, open, &ConnectionArgs::default(), &mut captured.output(format)).await;
        (exit.expect("judged"), captured.text())
    }

    async fn faults(&self) -> (Exit, serde_json::Value) {
        let (exit, text) = self.verify(None, Format::Json).await;
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["ok"], exit == Exit::Done);
        (exit, report["faults"].clone())
    }
}

#[tokio::test]
async fn an_untouched_export_is_ok() {
    let exported = Exported::new();
    assert_eq!(exported.faults().await, (Exit::Done, serde_json::json!([])));
    let (exit, text) = exported.verify(None, Format::Table).await;
    assert_eq!(exit, Exit::Done);
    assert!(text.contains("  ok: whole and unaltered\n1 segments, 5 frames"), "{text}");
}

#[tokio::test]
async fn a_flipped_bit_is_exit_five_with_its_place() {
    let exported = Exported::new();
    let len = exported.copy.segments[0].1.len();
    exported.flip("00000000.seg", len / 3);
    let (exit, faults) = exported.faults().await;
    assert_eq!(exit, Exit::NotVerified);
    assert_eq!((&faults[0]["kind"], &faults[0]["segment"]), (&"bit_flipped".into(), &0.into()));
    let (_, text) = exported.verify(None, Format::Table).await;
    assert!(text.contains("NOT OK") && text.contains("\nbit_flipped  0 "), "{text}");
}

#[tokio::test]
async fn a_missing_segment_and_an_edited_manifest_are_named() {
    let exported = Exported::new();
    fs::remove_file(exported.file("00000000.seg")).expect("removed");
    assert_eq!(exported.faults().await.1[0]["kind"], "tail_missing");

    let exported = Exported::new();
    exported.flip("manifest", 8);
    assert_eq!(exported.faults().await.1[0]["kind"], "manifest_edited");
    fs::write(exported.file("manifest"), b"no protobuf \xff").expect("written");
    assert_eq!(exported.faults().await.1[0]["kind"], "manifest_edited");
    fs::remove_file(exported.file("manifest")).expect("removed");
    assert_eq!(exported.faults().await.1[0]["kind"], "manifest_edited");
}

#[tokio::test]
async fn a_given_key_goes_before_the_one_beside_the_recording() {
    let exported = Exported::new();
    let key = exported.file("trusted.key");
    let right = exported.copy.deployment_key.clone().expect("a key");
    let hex: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(exported.file("deployment.key"), [9; 32]).expect("written");
    for contents in [right, format!("{hex}\n").into_bytes()] {
        fs::write(&key, contents).expect("written");
        assert_eq!(exported.verify(Some(&key), Format::Json).await.0, Exit::Done);
    }
    fs::write(&key, [9; 32]).expect("written");
    assert_eq!(exported.verify(Some(&key), Format::Json).await.0, Exit::NotVerified);
    assert_eq!(exported.verify(None, Format::Json).await.0, Exit::NotVerified);
    fs::write(&key, b"short").expect("written");
    assert_eq!(read_key(&key).expect_err("no key").exit(), Exit::Usage);
}

#[tokio::test]
async fn offline_an_unsealed_recording_passes_only_where_that_is_expected() {
    let exported = Exported::of(fixture::unsealed());
    for (open, exit) in [(false, Exit::NotVerified), (true, Exit::Done)] {
        let (judged, text) = exported.verify_as(None, open, Format::Json).await;
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((judged, &report["ok"], &report["complete"]), (exit, &true.into(), &false.into()));
    }
    let (_, text) = exported.verify(None, Format::Table).await;
    assert!(text.contains("NOT SEALED"), "{text}");
    exported.flip("00000000.seg", 200);
    assert_eq!(exported.verify_as(None, true, Format::Json).await.0, Exit::NotVerified);
}

#[tokio::test]
async fn where_there_is_an_address_the_session_is_asked_for_whatever_the_key() {
    let exported = Exported::of(fixture::unsealed());
    let control_plane = ControlPlane::start().await;
    let id = claimed_manifest(&exported.copy).expect("a manifest").session_id;
    let (place, key) = (exported.directory.path().display(), exported.file("deployment.key"));
    let line = format!("recordings verify {place} --key {} -o json", key.display());
    let open = Session { id: id.clone(), ..Session::default() };
    let closed = Session { closed_at: Some(countersign_wire::to_timestamp(UNIX_EPOCH)), ..open.clone() };
    let unknown = Session::default();
    for (session, exit, fault) in [
        (unknown, Exit::NotVerified, None),
        (open, Exit::Done, None),
        (closed, Exit::NotVerified, Some("tail_missing")),
    ] {
        control_plane.has_session(session);
        let (ended, printed) = countersign(&control_plane, &line).await;
        assert_eq!(ended.expect("judged"), exit, "{printed}");
        let report: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(report["faults"][0]["kind"].as_str(), fault);
    }
}

#[test]
fn a_recording_asked_for_by_id_must_be_that_one() {
    let copy = fixture::recording();
    let trusted = |recording_id: Option<String>| Trusted {
        deployment_key: copy.deployment_key.clone().unwrap_or_default(),
        recording_id,
        session: SessionState::Closed,
    };
    assert!(judge(&copy, &trusted(claimed_id(&copy))).ok);
    let other = claimed_id(&fixture::recording());
    assert!(!judge(&copy, &trusted(other)).ok);
}

#[test]
fn the_id_is_the_manifests_or_the_segments() {
    let mut copy = fixture::recording();
    let id = claimed_id(&copy);
    assert!(id.as_deref().is_some_and(|id| id.starts_with("re_")));
    copy.manifest = Some(SignedManifest { manifest: b"\xff".to_vec(), signature: Vec::new() });
    assert_eq!(claimed_id(&copy), id);
    copy.segments.clear();
    assert_eq!(claimed_id(&copy), None);
}

#[test]
fn a_tail_may_arrive_for_a_while() {
    let now = SystemTime::now();
    assert!(!long_ago(now, now));
    assert!(!long_ago(now + Duration::from_secs(3600), now));
    assert!(long_ago(now - Duration::from_secs(61), now));
}
