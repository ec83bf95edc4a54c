//! What the target has, held against what is on record.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{World, wait_until_or, work::Done};
use crate::stack::{text, wait_until};

/// Longest until what was recorded is archived.
const ARCHIVED: Duration = Duration::from_secs(60);

/// What is left of it all.
#[derive(Clone)]
pub(super) struct Evidence {
    /// Rows in the target, for each step.
    rows: Vec<u32>,
    /// Every recording that is sealed, and verifies.
    recordings: Vec<Recording>,
    /// Users of sessions that an edge cut by dying.
    cut: BTreeSet<String>,
}

/// The recording of one session.
#[derive(Clone)]
struct Recording {
    user: String,
    frames: Vec<Value>,
}

impl Evidence {
    /// Asks target and control plane, once every recording is sealed.
    pub(super) fn gather(world: &World, done: &[Done]) -> Self {
        let recordings = archived(world, done);
        no_approval_is_left(world);
        let cut_at_work = done.iter().filter(|done| done.edge_died).map(|done| done.user.clone());
        let cut_while_looking = world.looked.iter().filter(|(_, cut)| *cut).map(|(user, _)| user.clone());
        let cut = cut_at_work.chain(cut_while_looking).collect();
        Self { rows: done.iter().map(|done| rows(world, done)).collect(), recordings, cut }
    }

    /// What contradicts that nothing ran without an intent or twice, that what was told to have run did, and
    /// that `unknown` stands where an edge died and nowhere else.
    pub(super) fn faults(&self, done: &[Done]) -> Vec<String> {
        let mut faults: Vec<String> =
            self.rows.iter().zip(done).filter_map(|(rows, done)| self.fault(*rows, done)).collect();
        for recording in &self.recordings {
            let unknown = recording.frames.iter().any(|frame| frame["outcome"] == "unknown");
            if unknown && !self.cut.contains(&recording.user) {
                faults.push(format!("{} has an unknown outcome, and no edge died", recording.user));
            }
        }
        faults
    }

    fn fault(&self, rows: u32, done: &Done) -> Option<String> {
        let fault = |what: &str| Some(format!("{what}, {rows} rows: {done:?}"));
        if !done.rows.contains(&rows) {
            return fault("another number of rows than there may be");
        }
        let intents: Vec<_> = self
            .recordings
            .iter()
            .flat_map(|recording| recording.intents(&done.marker).map(move |intent| (recording, intent)))
            .collect();
        let (recording, intent) = match intents.as_slice() {
            [] if rows == 0 => return None,
            [] => return fault("it ran without an intent"),
            [one] => one,
            _ => return fault("it was let through more than once"),
        };
        if recording.user != done.user {
            return fault("it is on record in the session of somebody else");
        }
        match (recording.outcomes(intent).as_slice(), rows) {
            (["done"], 1) => None,
            // It was undone with its transaction, or nobody heard that it was done.
            (["done" | "unknown"], _) if done.cut => None,
            (["failed" | "not_sent"], 0) => None,
            (outcomes, _) => fault(&format!("the outcomes are {outcomes:?}")),
        }
    }

    /// Steps whose outcome is unknown though they ran.
    pub(super) fn ran_unheard(&self, done: &[Done]) -> usize {
        let unknown = |marker: &str| {
            self.recordings.iter().any(|recording| {
                recording.intents(marker).any(|intent| recording.outcomes(intent) == ["unknown"])
            })
        };
        self.rows.iter().zip(done).filter(|(rows, done)| **rows == 1 && unknown(&done.marker)).count()
    }

    /// The same with something added or missing that has to be noticed.
    pub(super) fn tampered(&self, done: &[Done]) -> [(&'static str, Self); 4] {
        let at = done.iter().position(|done| !done.cut && done.rows == [1]).expect("a step that was served");
        let (mut twice, mut unrecorded, mut lost, mut unknown) =
            (self.clone(), self.clone(), self.clone(), self.clone());
        twice.rows[at] = 2;
        lost.rows[at] = 0;
        let ours = |recording: &&mut Recording| recording.user == done[at].user;
        let recording = unrecorded.recordings.iter_mut().find(ours).expect("its recording");
        recording.frames.retain(|frame| frame["kind"] != "intent");
        let recording = unknown.recordings.iter_mut().find(ours).expect("its recording");
        let outcome = recording.frames.iter_mut().find(|frame| frame["kind"] == "outcome");
        outcome.expect("an outcome")["outcome"] = "unknown".into();
        [
            ("a row that was written twice", twice),
            ("a row without an intent", unrecorded),
            ("a row that is not there", lost),
            ("an unknown outcome where nothing died", unknown),
        ]
    }
}

impl Recording {
    /// Intents to execute what has the marker in its text.
    fn intents<'a>(&'a self, marker: &'a str) -> impl Iterator<Item = &'a Value> {
        self.frames.iter().filter(move |frame| {
            let executes = frame["kind"] == "intent" && frame["operationKind"] == "query";
            let inserts = |text: &str| text.starts_with("INSERT") && text.contains(marker);
            executes && frame["payload"].as_str().is_some_and(inserts)
        })
    }

    /// How an intent ended; once, if all is well.
    fn outcomes(&self, intent: &Value) -> Vec<&str> {
        let of_it =
            |frame: &&Value| frame["kind"] == "outcome" && frame["operationId"] == intent["operationId"];
        self.frames.iter().filter(of_it).filter_map(|frame| frame["outcome"].as_str()).collect()
    }
}

fn rows(world: &World, Done { marker, .. }: &Done) -> u32 {
    let rows = world.stack.owner(&format!(
        "SELECT (SELECT count(*) FROM failing WHERE status = '{marker}')
              + (SELECT count(*) FROM failing_free WHERE note = '{marker}')"
    ));
    rows.parse().expect("a number")
}

/// What nobody waits for any more does not stay open until its time is over.
fn no_approval_is_left(world: &World) {
    let open = || -> Vec<Value> {
        let all = world.people.cli_json(&["approvals", "list"])["items"].as_array().cloned();
        let states = ["APPROVAL_STATE_PENDING", "APPROVAL_STATE_APPROVED"];
        let is_open = |one: &Value| states.iter().any(|state| one["state"] == *state);
        all.unwrap_or_default().into_iter().filter(is_open).collect()
    };
    wait_until_or(ARCHIVED, || open().is_empty(), || format!("{:#?}\n{}", open(), world.log()));
}

/// Every recording, sealed and verified. One of a session that no client was let into has nothing to be
/// archived.
fn archived(world: &World, done: &[Done]) -> Vec<Recording> {
    let served = done.iter().filter(|done| !done.cut).map(|done| done.user.as_str());
    let looked = world.looked.iter().filter(|(_, cut)| !cut).map(|(user, _)| user.as_str());
    let served: BTreeSet<&str> = served.chain(looked).collect();
    let is_nothing = |one: &Value| {
        let user = one["session"]["clientUser"].as_str().unwrap_or_default();
        one["segments"].as_u64().unwrap_or(0) == 0 && !served.contains(user)
    };
    let sealed = wait_until("every recording to be sealed", ARCHIVED, || {
        let all = world.people.cli_json(&["recordings", "list"])["items"].as_array()?.clone();
        let (sealed, open): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one["sealed"] == true);
        open.iter().all(is_nothing).then_some(sealed)
    });
    assert!(sealed.len() >= served.len(), "{} recordings of {} sessions", sealed.len(), served.len());
    sealed.iter().map(|one| verified(world, one)).collect()
}

fn verified(world: &World, recording: &Value) -> Recording {
    let id = recording["id"].as_str().expect("an id");
    let verified = world.people.cli(&["-o", "json", "recordings", "verify", id]);
    let said = text(&verified.stdout) + &text(&verified.stderr);
    assert!(verified.status.success(), "{id}: {said}\n{}", world.log());
    let report: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    let replayed = world.people.cli(&["-o", "json", "recordings", "replay", id]);
    assert!(replayed.status.success(), "{id}: {}", text(&replayed.stderr));
    let lines = text(&replayed.stdout);
    let frames = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let user = recording["session"]["clientUser"].as_str().unwrap_or_default().to_owned();
    Recording { user, frames }
}
