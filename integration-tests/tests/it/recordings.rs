//! What was done is on record, can be replayed, and cannot be changed unnoticed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::stack::{Stack, psql, shared, text, wait_until};

/// Runs a statement and waits until the recording of its session is sealed in the archive.
fn recorded(stack: &Stack, agent: &str, sql: &str) -> Value {
    // The user name is free text, and on record: by it the session is found among those of other tests.
    let user = format!("it-{}", uuid::Uuid::new_v4());
    let dsn = stack.ready.edge_dsns["shop"].replace("://agent@", &format!("://{user}@"));
    psql(&dsn, Some(&stack.token(agent)), sql);
    let sessions = stack.cli_json(&["sessions", "list"]);
    let mut sessions = sessions["items"].as_array().expect("sessions").iter();
    let session = sessions.find(|session| session["clientUser"] == user.as_str()).expect("the session");
    let id = session["recordingId"].as_str().expect("a recording").to_owned();
    let recording = wait_until("a sealed recording", Duration::from_secs(30), || {
        let output = stack.cli(&["-o", "json", "recordings", "show", &id]);
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        (shown["sealed"] == true).then_some(shown)
    });
    assert!(replay(stack, &id).contains(sql));
    recording
}

fn replay(stack: &Stack, id: &str) -> String {
    let output = stack.cli(&["recordings", "replay", id]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn verify(stack: &Stack, what: &str) -> (i32, Value) {
    let output = stack.cli(&["-o", "json", "recordings", "verify", what]);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", text(&output.stdout), text(&output.stderr)));
    (output.status.code().unwrap_or(-1), report)
}

#[test]
fn a_session_can_be_replayed_and_verifies() {
    let stack = shared();
    let recording = recorded(stack, "reader", "SELECT name FROM customers");
    let id = recording["id"].as_str().expect("id");
    let shown = replay(stack, id);
    for part in ["connect", "SELECT name FROM customers", "SELECT 3", "public", "Grace Example", "reader"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let (code, report) = verify(stack, id);
    assert_eq!((code, &report["ok"]), (0, &Value::Bool(true)), "{report}");
    assert_eq!(report["faults"], serde_json::json!([]));
}

#[test]
fn a_refused_operation_is_on_record_with_its_reason() {
    let stack = shared();
    let recording = recorded(stack, "reader", "DELETE FROM orders WHERE id = 1");
    let shown = replay(stack, recording["id"].as_str().expect("id"));
    assert!(shown.contains("not_permitted"), "{shown}");
}

#[test]
fn a_recording_holds_neither_masked_values_nor_tokens() {
    let stack = shared();
    let recording = recorded(stack, "reader", "SELECT email FROM customers");
    let id = recording["id"].as_str().expect("id");
    let output = stack.cli(&["-o", "json", "recordings", "replay", id]);
    let shown = text(&output.stdout);
    assert!(!shown.contains("ada@example.com") && shown.contains("[email]"), "{shown}");
    assert!(!shown.contains("eyJ"), "tokens are not stored");
}

#[test]
fn verify_names_what_was_done_to_an_export() {
    let stack = shared();
    let recording = recorded(stack, "reader", "SELECT 'tamper with me'");
    let id = recording["id"].as_str().expect("id");
    let folder = tempfile::tempdir().expect("folder");
    let export = |name: &str| {
        let to = folder.path().join(name);
        let output = stack.cli(&["recordings", "export", id, "--to", &to.to_string_lossy()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        to
    };
    let kinds = |path: &Path| -> Vec<String> {
        let (code, report) = verify(stack, &path.to_string_lossy());
        assert_eq!((code, &report["ok"]), (5, &Value::Bool(false)), "{report}");
        let faults = report["faults"].as_array().expect("faults").iter();
        faults.map(|fault| fault["kind"].as_str().expect("kind").to_owned()).collect()
    };
    let segment = |folder: &Path| folder.join("00000000.seg");

    let whole = export("whole");
    assert_eq!(verify(stack, &whole.to_string_lossy()).0, 0, "the control: an untouched export verifies");

    let flipped = export("flipped");
    let mut bytes = fs::read(segment(&flipped)).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(segment(&flipped), bytes).expect("written");
    assert!(!kinds(&flipped).is_empty());

    let cut = export("cut");
    let bytes = fs::read(segment(&cut)).expect("readable");
    fs::write(segment(&cut), &bytes[..bytes.len() / 2]).expect("written");
    assert!(kinds(&cut).contains(&"frame_cut".to_owned()), "{:?}", kinds(&cut));

    let missing = export("missing");
    fs::remove_file(segment(&missing)).expect("removed");
    let named = kinds(&missing);
    assert!(named.iter().any(|kind| kind == "segment_missing" || kind == "tail_missing"), "{named:?}");

    let edited = export("edited");
    let manifest = edited.join("manifest");
    let mut bytes = fs::read(&manifest).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&manifest, bytes).expect("written");
    assert!(kinds(&edited).contains(&"manifest_edited".to_owned()), "{:?}", kinds(&edited));

    let other = recorded(stack, "reader", "SELECT 'another session'");
    let foreign = export("foreign");
    let theirs = folder.path().join("theirs");
    let other_id = other["id"].as_str().expect("id");
    let output = stack.cli(&["recordings", "export", other_id, "--to", &theirs.to_string_lossy()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::copy(segment(&theirs), segment(&foreign)).expect("copied");
    assert!(kinds(&foreign).contains(&"segment_foreign".to_owned()), "{:?}", kinds(&foreign));
}

#[test]
fn what_was_changed_in_the_archive_itself_is_found() {
    let stack = Stack::start();
    let recording = recorded(&stack, "reader", "SELECT 'in the archive'");
    let id = recording["id"].as_str().expect("id");
    let [folder] = find(&stack.data_dir, &|path| path.ends_with(format!("recordings/{id}/manifest")))
        .try_into()
        .expect("one manifest");
    let folder = folder.parent().expect("a folder").to_string_lossy().into_owned();
    assert_eq!(verify(&stack, &folder).0, 0, "the control: the archive's own folder verifies");
    let of_recording = |path: &Path| {
        let archived = path.to_string_lossy().contains("/archive/packs/");
        archived && last_in(&fs::read(path).expect("readable"), id).is_some()
    };
    let packs = find(&stack.data_dir, &of_recording);
    let pack = packs.first().expect("a pack");
    let mut bytes = fs::read(pack).expect("readable");
    // In the header of the segment itself: those of the pack come first.
    let at = last_in(&bytes, id).expect("there");
    bytes[at + id.len() - 1] ^= 1;
    fs::remove_file(pack).expect("removed");
    fs::write(pack, bytes).expect("written");
    for what in [id, folder.as_str()] {
        let (code, report) = verify(&stack, what);
        assert_eq!((code, &report["ok"]), (5, &Value::Bool(false)), "{report}");
    }
    packs.iter().for_each(|pack| fs::remove_file(pack).expect("removed"));
    for what in [id, folder.as_str()] {
        let (code, report) = verify(&stack, what);
        let faults = report["faults"].as_array().expect("faults");
        assert_eq!(code, 5, "{report}");
        assert!(!faults.is_empty() && faults.iter().all(|fault| fault["kind"] == "tail_missing"), "{report}");
    }
}

fn last_in(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).rposition(|window| window == text.as_bytes())
}

/// Every file below a folder that is wanted.
fn find(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && wanted(&path) {
                found.push(path);
            }
        }
    }
    found
}
