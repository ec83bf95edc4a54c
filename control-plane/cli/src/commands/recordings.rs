//! `recordings`: what sessions did. Listing asks the control plane; replaying and verifying happen here, over a
//! recording that is downloaded for it or lies in a directory as `export` left it.

mod content_keys;
mod copy;
#[cfg(test)]
mod fixture;
mod replay;
mod verify;

use std::path::PathBuf;

use countersign_wire::v1::{ListRecordingsRequest, RecordingSummary};

use crate::{
    connection::{Connection, ConnectionArgs, all_pages, answer},
    failure::{Exit, Failure},
    output::{Format, Output, instant},
    proto_json::{all_to_json, to_json},
};

use super::sessions::principal;
use copy::{Place, export};

/// What to do with recordings.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RecordingCommand {
    /// All of them, newest first.
    List,
    /// One of them: whose session it is, and how much of it is archived.
    Show {
        /// Its id: re_ and a UUID.
        id: String,
    },
    /// Prints what a session did, operation by operation.
    Replay {
        /// A recording's id, or the directory of an exported one (`./re_…` if it is named like an id).
        #[arg(value_name = "ID|PATH")]
        place: Place,
    },
    /// Copies a recording into a directory, as it is stored, with the keys that open it in a file of their own.
    Export {
        /// Its id: re_ and a UUID.
        id: String,
        /// The directory; made if it is not there.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Leave the keys out: what was asked stays sealed, and can be verified but not be read.
        #[arg(long)]
        sealed: bool,
    },
    /// Says whether a recording is whole and unaltered, and what is wrong with it; exit 5 if something is.
    ///
    /// A recording that is not sealed ("complete": false) may have lost its end. It passes if the control plane says
    /// that its session is still open. Without an address, or about a session that the control plane does not know,
    /// that is exit 5 too, unless --open is given.
    Verify {
        /// A recording's id, or the directory of an exported one (`./re_…` if it is named like an id).
        #[arg(value_name = "ID|PATH")]
        place: Place,
        /// The deployment's public key (32 bytes or their hex), from somewhere that you trust.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Its session may still be open: do not fail for the seal alone where nobody can be asked.
        #[arg(long)]
        open: bool,
    },
}

pub(crate) async fn run(
    command: RecordingCommand,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        RecordingCommand::List => {
            print_list(&all(&at.connect().await?).await?, out)?;
            Ok(Exit::Done)
        }
        RecordingCommand::Show { id } => {
            let recordings = all(&at.connect().await?).await?;
            let recording = recordings.iter().find(|recording| recording.id == id);
            print_one(recording.ok_or_else(|| Failure::failed(format!("there is no recording {id}")))?, out)?;
            Ok(Exit::Done)
        }
        RecordingCommand::Replay { place } => replay::run(&place, at, out).await,
        RecordingCommand::Export { id, to, sealed } => {
            export(&at.connect().await?, id, &to, sealed).await?;
            Ok(Exit::Done)
        }
        RecordingCommand::Verify { place, key, open } => {
            verify::run(&place, key.as_deref(), open, at, out).await
        }
    }
}

async fn all(connection: &Connection) -> Result<Vec<RecordingSummary>, Failure> {
    all_pages(async |page_token| {
        let request = ListRecordingsRequest { page_size: 0, page_token };
        let page = answer(connection.recordings().list_recordings(request)).await?;
        Ok((page.recordings, page.next_page_token))
    })
    .await
}

fn print_list(recordings: &[RecordingSummary], out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(&all_to_json(recordings)?),
        Format::Table => {
            let rows: Vec<_> = recordings.iter().map(row).collect();
            out.table(["ID", "PRINCIPAL", "TARGET", "OPENED", "SEGMENTS", "BYTES", "SEALED"], &rows)
        }
    }
}

fn print_one(recording: &RecordingSummary, out: &mut Output) -> Result<(), Failure> {
    if out.format() == Format::Json {
        return out.json(&to_json(recording)?);
    }
    let session = recording.session.as_ref().map(|session| session.id.clone()).unwrap_or_default();
    let [id, caller, target, opened, segments, bytes, sealed] = row(recording);
    out.properties(&[
        ("id", id),
        ("session", session),
        ("principal", caller),
        ("target", target),
        ("opened", opened),
        ("segments", segments),
        ("bytes", bytes),
        ("sealed", sealed),
    ])
}

fn row(recording: &RecordingSummary) -> [String; 7] {
    let session = recording.session.clone().unwrap_or_default();
    let sealed = if recording.sealed { "yes" } else { "no" };
    [
        recording.id.clone(),
        principal(session.principal.as_ref()),
        session.target.clone(),
        instant(session.opened_at.as_ref()),
        recording.segments.to_string(),
        recording.bytes.to_string(),
        sealed.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use countersign_wire::v1::{ArchivedSegment, RecordingHead, RecordingPart, recording_part::Part};

    use super::*;
    use crate::{
        output::tests::Captured,
        tests::{control_plane::ControlPlane, countersign},
    };

    /// As the control plane hands a recording out.
    fn parts(copy: &copy::Copy) -> Vec<RecordingPart> {
        let deployment_key = copy.deployment_key.clone().unwrap_or_default();
        let head = Part::Head(RecordingHead { manifest: copy.manifest.clone(), deployment_key });
        let segments = copy.segments.iter().map(|(number, bytes)| {
            let content_key = copy.content_keys.get(*number).unwrap_or_default().to_vec();
            Part::Segment(ArchivedSegment { number: *number, bytes: bytes.clone(), content_key })
        });
        [head].into_iter().chain(segments).map(|part| RecordingPart { part: Some(part) }).collect()
    }

    #[tokio::test]
    async fn an_export_is_read_with_its_keys_and_verified_without() {
        let control_plane = ControlPlane::start().await;
        control_plane.recordings.give(parts(&fixture::held()));
        let id = countersign_model::RecordingId::generate();
        let said = async |line: &str| {
            let (exit, text) = countersign(&control_plane, line).await;
            (exit.unwrap_or_else(|failure| failure.exit()), text)
        };
        let (exit, archived) = said(&format!("recordings replay {id}")).await;
        assert_eq!(exit, Exit::Done);
        assert!(archived.contains("FROM orders") && !archived.contains("(sealed)"), "{archived}");
        let folder = tempfile::tempdir().expect("a directory");
        for (name, option, readable) in [("open", "", true), ("sealed", " --sealed", false)] {
            let to = folder.path().join(name);
            let to = to.to_str().expect("text");
            let (exit, _) = said(&format!("recordings export {id} --to {to}{option}")).await;
            assert_eq!(exit, Exit::Done);
            let key = format!("--key {to}/deployment.key --open");
            assert_eq!(said(&format!("recordings verify {to} {key}")).await.0, Exit::Done, "{name}");
            let (exit, text) = said(&format!("recordings replay {to}")).await;
            assert_eq!((exit, text == archived), (Exit::Done, readable), "{text}");
            assert_eq!(text.contains("FROM orders"), readable);
            let files: Vec<Vec<u8>> = std::fs::read_dir(to)
                .expect("read")
                .map(|file| std::fs::read(file.expect("there").path()).expect("read"))
                .collect();
            assert_eq!(files.len(), if readable { 4 } else { 3 });
            let told = |file: &Vec<u8>| file.windows(11).any(|window| window == b"FROM orders");
            assert!(!files.iter().any(told), "what is stored is sealed");
        }
    }

    #[test]
    fn one_recording_is_its_properties_or_its_message() {
        let recording = RecordingSummary { id: "re_1".into(), segments: 2, ..Default::default() };
        let captured = Captured::default();
        print_one(&recording, &mut captured.output(Format::Table)).expect("printed");
        assert!(captured.text().lines().any(|line| line.contains("segments") && line.contains('2')));
        let captured = Captured::default();
        print_one(&recording, &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(json, serde_json::json!({"id": "re_1", "segments": 2}));
    }

    #[test]
    fn a_recording_is_a_row_or_its_message() {
        let recording =
            RecordingSummary { id: "re_1".into(), bytes: 4096, sealed: true, ..Default::default() };
        let captured = Captured::default();
        print_list(std::slice::from_ref(&recording), &mut captured.output(Format::Table)).expect("printed");
        assert_eq!(
            captured.text().lines().nth(1),
            Some("re_1  -          -       -       0         4096   yes")
        );
        let captured = Captured::default();
        print_list(&[recording], &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(json, serde_json::json!({"items": [{"id": "re_1", "bytes": "4096", "sealed": true}]}));
    }
}
