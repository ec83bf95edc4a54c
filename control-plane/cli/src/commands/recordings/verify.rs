//! `recordings verify`: judged on this machine, with a key that should come from somewhere else than the recording.
//!
//! The deployment's key is the one of `--key`; else the control plane's; else, offline, the one that lies beside the
//! recording, with a warning: whoever could exchange the recording could exchange that too. Whatever the key,
//! the control plane is asked whether the session has ended, wherever there is an address to ask at.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use countersign_recording::{Evidence, Part, Report, SegmentReader, verify};
use countersign_wire::{
    from_timestamp,
    v1::{GetSessionRequest, ListRecordingsRequest, Manifest},
};
use prost::Message as _;
use tonic::Code;

use crate::{
    connection::{Connection, ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
};

use super::copy::{Copy, Place, deployment_key};

/// How long after the end of its session the last segments of a recording may still be on their way.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// What is known of the session of a recording.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    /// Nobody could be asked, or knew. An unsealed recording may then have lost its end.
    #[default]
    Unknown,
    /// It goes on, or ended so lately that segments may still be on their way.
    Open,
    /// It ended long enough ago: an unsealed recording has lost its end.
    Closed,
}

/// What a recording is judged with.
#[derive(Debug, Default)]
struct Trusted {
    deployment_key: Vec<u8>,
    /// The id under which it was asked for.
    recording_id: Option<String>,
    session: SessionState,
}

pub(crate) async fn run(
    place: &Place,
    key: Option<&Path>,
    open: bool,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let key = key.map(read_key).transpose()?;
    let (copy, trusted) = match place {
        Place::Archived(id) => archived(&at.connect().await?, id.to_string(), key).await?,
        Place::Directory(directory) => exported(directory, key, at).await?,
    };
    let report = judge(&copy, &trusted);
    let may_be_open = open || trusted.session != SessionState::Unknown;
    print(&report, may_be_open, out)?;
    Ok(if report.ok && (report.complete || may_be_open) { Exit::Done } else { Exit::NotVerified })
}

/// Whether a recording verifies with the key that came with it; enough to warn a reader, not to trust it.
pub(crate) fn is_whole(copy: &Copy) -> bool {
    let deployment_key = copy.deployment_key.clone().unwrap_or_default();
    judge(copy, &Trusted { deployment_key, ..Trusted::default() }).ok
}

async fn archived(
    connection: &Connection,
    id: String,
    key: Option<Vec<u8>>,
) -> Result<(Copy, Trusted), Failure> {
    let copy = Copy::download(connection, id.clone()).await?;
    let deployment_key = key.or_else(|| copy.deployment_key.clone()).unwrap_or_default();
    let session = session_state(connection, &copy).await?;
    Ok((copy, Trusted { deployment_key, recording_id: Some(id), session }))
}

async fn exported(
    directory: &Path,
    key: Option<Vec<u8>>,
    at: &ConnectionArgs,
) -> Result<(Copy, Trusted), Failure> {
    let copy = Copy::read(directory)?;
    let connection = if at.has_address() { Some(at.connect().await?) } else { None };
    let session = match &connection {
        Some(connection) => session_state(connection, &copy).await?,
        None => SessionState::Unknown,
    };
    let deployment_key = match (key, &connection) {
        (Some(key), _) => key,
        (None, Some(connection)) => key_of_deployment(connection, claimed_id(&copy)).await?,
        (None, None) => {
            let beside = copy.deployment_key.as_deref();
            let beside =
                beside.ok_or_else(|| Failure::usage("which key? Pass --key or set COUNTERSIGN_ADDR"))?;
            eprintln!(
                "warning: verified with the key beside the recording, which proves nothing about who made it"
            );
            parse_key(beside)
        }
    };
    Ok((copy, Trusted { deployment_key, session, ..Trusted::default() }))
}

fn judge(copy: &Copy, trusted: &Trusted) -> Report {
    let segments: Vec<(u32, &[u8])> =
        copy.segments.iter().map(|(number, bytes)| (*number, bytes.as_slice())).collect();
    verify(&Evidence {
        manifest: copy.manifest.as_ref(),
        deployment_key: &trusted.deployment_key,
        segments: &segments,
        recording_id: trusted.recording_id.as_deref(),
        session_closed: trusted.session == SessionState::Closed,
    })
}

/// Asks by the id that the recording gives itself, and by another one if there is no such recording: the key is the
/// same for all.
async fn key_of_deployment(connection: &Connection, claimed: Option<String>) -> Result<Vec<u8>, Failure> {
    let unknown = || Failure::failed("the control plane has no recording to tell its key by; pass --key");
    if let Some(id) = claimed {
        match deployment_key(connection, id).await {
            Err(failure) if is_unknown(&failure) => {}
            answer => return answer?.ok_or_else(unknown),
        }
    }
    let request = ListRecordingsRequest { page_size: 1, page_token: String::new() };
    let newest = answer(connection.recordings().list_recordings(request)).await?.recordings.pop();
    deployment_key(connection, newest.ok_or_else(unknown)?.id).await?.ok_or_else(unknown)
}

/// What the control plane knows of the session that the recording says it is of.
async fn session_state(connection: &Connection, copy: &Copy) -> Result<SessionState, Failure> {
    let Some(manifest) = claimed_manifest(copy) else { return Ok(SessionState::Unknown) };
    let request = GetSessionRequest { id: manifest.session_id };
    match answer(connection.sessions().get_session(request)).await {
        Ok(session) => {
            let closed_at = from_timestamp(session.closed_at.as_ref()).ok();
            let closed = closed_at.is_some_and(|at| long_ago(at, SystemTime::now()));
            Ok(if closed { SessionState::Closed } else { SessionState::Open })
        }
        Err(failure) if is_unknown(&failure) => Ok(SessionState::Unknown),
        Err(failure) => Err(failure),
    }
}

fn long_ago(closed_at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(closed_at).is_ok_and(|since| since > ARRIVES_WITHIN)
}

/// What the control plane answers about an id that it does not know, or that is none.
fn is_unknown(failure: &Failure) -> bool {
    matches!(failure.code(), Some(Code::NotFound | Code::InvalidArgument))
}

/// The manifest's own words, not yet verified: good for asking, not for believing.
fn claimed_manifest(copy: &Copy) -> Option<Manifest> {
    Manifest::decode(copy.manifest.as_ref()?.manifest.as_slice()).ok()
}

fn claimed_id(copy: &Copy) -> Option<String> {
    let in_header = || match SegmentReader::new(&copy.segments.first()?.1).next_part() {
        Ok(Some(Part::Header(header))) => Some(header.recording_id),
        _ => None,
    };
    claimed_manifest(copy).map(|manifest| manifest.recording_id).or_else(in_header)
}

fn read_key(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::from_file("read", path, &error))?;
    let key = parse_key(&bytes);
    if key.len() == 32 {
        Ok(key)
    } else {
        Err(Failure::usage("the deployment's key is 32 bytes, or 64 hexadecimal digits"))
    }
}

/// 32 bytes as they are or in hex; anything else stays as it is, and no signature verifies with it.
fn parse_key(bytes: &[u8]) -> Vec<u8> {
    let digits = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let decoded: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    decoded.filter(|key| key.len() == 32 && rest.is_empty()).unwrap_or_else(|| bytes.to_vec())
}

fn print(report: &Report, may_be_open: bool, out: &mut Output) -> Result<(), Failure> {
    if out.format() == Format::Json {
        return out.json(report);
    }
    let verdict = match (report.ok, report.complete) {
        (true, true) => "ok: whole and unaltered",
        (true, false) if may_be_open => "ok so far: unaltered, and not sealed yet",
        (true, false) => {
            "NOT SEALED: unaltered, but the end may be missing (--open if the session may be open)"
        }
        (false, _) => "NOT OK",
    };
    let frames = &report.frames;
    out.line(&format!("{}  {verdict}", report.recording_id))?;
    out.line(&format!(
        "{} segments, {} frames ({} recorded at fsync, {} at page-cache), {} operations without an outcome",
        report.segments, frames.total, frames.fsync, frames.page_cache, report.unfinished
    ))?;
    if report.ok {
        return Ok(());
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let rows: Vec<_> = report
        .faults
        .iter()
        .map(|fault| [kind(fault.kind), number(fault.segment.map(u64::from)), number(fault.frame)])
        .collect();
    out.table(["FAULT", "SEGMENT", "FRAME"], &rows)
}

/// The word of the contract, as its JSON has it.
fn kind(kind: countersign_recording::FaultKind) -> String {
    serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
