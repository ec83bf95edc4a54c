//! `recordings replay`: what a session did, for a person to read or, as a JSON line per frame, for a program.
//!
//! Whatever a caller or a target wrote stands behind a bar and is escaped, so that it can neither drive the terminal
//! nor pass for a line of ours. What there is no content key for is shown as far as it stands in the clear.

mod json;
mod rows;

use countersign_model::OperationId;
use countersign_recording::{
    Close, Entry, Frame, Hold, Intent, Open, Outcome, Payload, RecordedBinding, RecordedFact, RecordedRows,
    Refusal, ReplayError, Replayed, SealedFrame, StoredSegment, replay,
};
use countersign_wire::to_timestamp;

use crate::{
    connection::ConnectionArgs,
    escape::{escaped, escaped_lines},
    failure::{Exit, Failure},
    output::{Format, Output},
    parameter::{Bound, declared},
};

use super::{
    super::sessions::principal,
    copy::{Copy, Place},
    verify,
};
use rows::Columns;

pub(crate) async fn run(place: &Place, at: &ConnectionArgs, out: &mut Output) -> Result<Exit, Failure> {
    let copy = match place {
        Place::Archived(id) => Copy::download(&at.connect().await?, id.to_string()).await?,
        Place::Directory(directory) => Copy::read(directory)?,
    };
    // Reading on is still worth something, but nobody should believe what does not verify.
    if !verify::is_whole(&copy) {
        eprintln!("warning: this recording does not verify; `countersign recordings verify` says why");
    }
    print(&copy, out)
}

fn print(copy: &Copy, out: &mut Output) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    let mut shown = Shown::default();
    let segments = copy
        .segments
        .iter()
        .map(|(number, bytes)| StoredSegment { bytes, content_key: copy.content_keys.get(*number) });
    for frame in replay(segments) {
        match (frame, out.format()) {
            (Ok(Replayed::Opened(frame)), format) => {
                shown.columns.note(&frame.entry);
                match format {
                    Format::Json => out.json_line(&json::frame(&frame, &shown.columns)?)?,
                    Format::Table => shown.frame(&frame, out)?,
                }
            }
            (Ok(Replayed::Sealed(frame)), format) => {
                shown.warn_sealed();
                match format {
                    Format::Json => out.json_line(&json::sealed_frame(&frame))?,
                    Format::Table => out.line(&sealed(&frame))?,
                }
            }
            (Err(error), _) => {
                exit = Exit::Failed;
                unreadable(error);
            }
        }
    }
    Ok(exit)
}

/// What was shown so far, as far as it matters for what follows.
#[derive(Default)]
struct Shown {
    /// The operation whose statement was printed last.
    current: Option<OperationId>,
    columns: Columns,
    /// It was said that something is sealed.
    is_sealed: bool,
}

fn unreadable(error: ReplayError) {
    eprintln!("error: a part of the recording cannot be read: {}", escaped(&error.to_string()));
}

impl Shown {
    fn warn_sealed(&mut self) {
        if !self.is_sealed {
            eprintln!("warning: there are no content keys for a part of it, of which only headers are shown");
        }
        self.is_sealed = true;
    }

    fn frame(&mut self, frame: &Frame, out: &mut Output) -> Result<(), Failure> {
        let at = to_timestamp(frame.at);
        match &frame.entry {
            Entry::Open(open) => out.line(&format!("{at}  open  {}", opened(open))),
            Entry::Intent(intent) => {
                self.current = Some(intent.operation);
                out.line(&format!("{at}  {}  {}  {}", intent.operation, intent.kind, permitted(intent)))?;
                before(&intent.preamble, out)?;
                match intent.kind.as_str() {
                    "catalog" => question(&intent.payload, out)?,
                    _ => statement(&intent.payload, intent.payload_masked, out)?,
                }
                bound(&intent.kind, intent.binding.as_ref(), out)?;
                facts(&intent.facts, out)
            }
            Entry::Hold(hold) => {
                self.current = Some(hold.operation);
                out.line(&format!("{at}  {}  {}  {}", hold.operation, hold.kind, held(hold)))?;
                statement(&hold.payload, hold.payload_masked, out)?;
                bound(&hold.kind, hold.binding.as_ref(), out)?;
                facts(&hold.facts, out)
            }
            Entry::Refusal(refusal) => {
                self.current = Some(refusal.operation);
                out.line(&format!("{at}  {}  {}  {}", refusal.operation, refusal.kind, refused(refusal)))?;
                statement(&refusal.payload, refusal.payload_masked, out)?;
                bound(&refusal.kind, refusal.binding.as_ref(), out)?;
                facts(&refusal.facts, out)
            }
            // The outcome sums them up.
            Entry::Reply(reply) => self.rows(&at.to_string(), reply.operation, &reply.recorded, out),
            Entry::Outcome(outcome) => {
                self.rows(&at.to_string(), outcome.operation, &outcome.recorded, out)?;
                let ended = ended(outcome, self.columns.recorded);
                if self.current == Some(outcome.operation) {
                    return out.hanging("    outcome  ", &ended);
                }
                self.current = None;
                out.line(&format!("{at}  {}  outcome  {ended}", outcome.operation))
            }
            Entry::Close(close) => out.line(&format!("{at}  close  {}", closed(close))),
        }
    }

    /// Rows stand under the operation that they answer.
    fn rows(
        &mut self,
        at: &str,
        operation: OperationId,
        recorded: &RecordedRows,
        out: &mut Output,
    ) -> Result<(), Failure> {
        if recorded.count == 0 {
            return Ok(());
        }
        if self.current != Some(operation) {
            self.current = Some(operation);
            out.line(&format!("{at}  {operation}  rows"))?;
        }
        self.columns.print(recorded, out)
    }
}

fn sealed(frame: &SealedFrame) -> String {
    let of = frame.operation.map_or_else(String::new, |operation| format!("{operation}  "));
    let with = frame.approval.map_or_else(String::new, |approval| format!(" with {approval}"));
    let outcome = frame.outcome.map_or_else(String::new, |outcome| format!(" {}", outcome.as_str()));
    format!("{}  {of}{}{outcome}{with}  (sealed)", to_timestamp(frame.at), frame.kind.as_str())
}

fn opened(open: &Open) -> String {
    let session = &open.session;
    let client =
        if session.client_address.is_empty() { "an unknown address" } else { &session.client_address };
    format!(
        "{} by {} to {} from {client}, policies {}",
        session.id,
        principal(session.principal.as_ref()),
        session.target,
        open.policy_revision
    )
}

fn permitted(intent: &Intent) -> String {
    let identity = intent.identity.map_or_else(String::new, |identity| format!(" as {}", identity.as_str()));
    let approval = intent.approval.map_or_else(String::new, |approval| format!(" with {approval}"));
    format!("allowed{}{identity}{approval}", because_of(&intent.policies))
}

fn held(hold: &Hold) -> String {
    format!(
        "held{}: {} needs {} until {}",
        because_of(&hold.policies),
        hold.approval,
        hold.requirements.join(", "),
        to_timestamp(hold.expires_at)
    )
}

fn refused(refusal: &Refusal) -> String {
    let approval = refusal.approval.map_or_else(String::new, |approval| format!(" with {approval}"));
    format!("refused: {}{}{approval}", refusal.reason, because_of(&refusal.policies))
}

fn because_of(policies: &[String]) -> String {
    if policies.is_empty() { String::new() } else { format!(" by {}", policies.join(", ")) }
}

/// `recorded`: how many of its rows are on record.
fn ended(outcome: &Outcome, recorded: u64) -> String {
    let error = if outcome.error_code.is_empty() { "" } else { " " };
    let tags = if outcome.tags.is_empty() { String::new() } else { format!(", {}", outcome.tags.join("; ")) };
    let some = if (1..outcome.reply_rows).contains(&recorded) {
        format!(" ({recorded} recorded)")
    } else {
        String::new()
    };
    format!(
        "{}{error}{}{tags}, {} rows{some}, {} bytes",
        outcome.outcome.as_str(),
        outcome.error_code,
        outcome.reply_rows,
        outcome.reply_bytes
    )
}

fn closed(close: &Close) -> String {
    format!("{}, {} operations, {} refusals", close.reason, close.operations, close.refusals)
}

fn statement(payload: &Payload, masked: bool, out: &mut Output) -> Result<(), Failure> {
    if payload.0.is_empty() {
        return Ok(());
    }
    out.block(&payload.0)?;
    if masked { out.line("    (values in it are masked)") } else { Ok(()) }
}

/// What a statement is executed with. One that is only prepared has types and no values.
fn bound(kind: &str, binding: Option<&RecordedBinding>, out: &mut Output) -> Result<(), Failure> {
    match binding {
        None => Ok(()),
        Some(binding) if kind == "prepare" => match declared(binding) {
            types if types.is_empty() => Ok(()),
            types => out.hanging("    declares  ", &types),
        },
        Some(binding) => Bound::from(binding).print(|word| format!("    {word}  "), out),
    }
}

/// What is sent before a statement on the same connection.
fn before(preamble: &[Payload], out: &mut Output) -> Result<(), Failure> {
    preamble
        .iter()
        .try_for_each(|payload| out.hanging("    before it  ", &escaped_lines(&payload.0).join("\n")))
}

/// The edge's own fixed question, asked again and again: its first line, and how much more there is.
fn question(payload: &Payload, out: &mut Output) -> Result<(), Failure> {
    let mut lines = payload.0.split(|byte| *byte == b'\n');
    out.block(lines.next().unwrap_or_default())?;
    match lines.count() {
        0 => Ok(()),
        more => out.line(&format!("    ({more} more lines of the edge's own; -o json shows them)")),
    }
}

fn facts(facts: &[RecordedFact], out: &mut Output) -> Result<(), Failure> {
    facts
        .iter()
        .try_for_each(|fact| out.hanging("    touches  ", &format!("{}  {}", fact.action, fact.resource)))
}

#[cfg(test)]
mod tests;
