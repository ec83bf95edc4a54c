//! `recordings replay`: what a session did, for a person to read or, as a JSON line per frame, for a program.
//!
//! Whatever a caller or a target wrote stands behind a bar and is escaped, so that it can neither drive the terminal
//! nor pass for a line of ours.

mod json;

use countersign_model::{Binding, OperationId};
use countersign_recording::{
    Close, Entry, Frame, Hold, Intent, Open, Outcome, Payload, RecordedFact, Refusal, ReplayError, replay,
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
    let mut current = None;
    for frame in replay(copy.segments.iter().map(|(_, bytes)| bytes.as_slice())) {
        match (frame, out.format()) {
            (Ok(frame), Format::Json) => out.json_line(&json::frame(&frame)?)?,
            (Ok(frame), Format::Table) => show(&frame, &mut current, out)?,
            (Err(error), _) => {
                exit = Exit::Failed;
                unreadable(error);
            }
        }
    }
    Ok(exit)
}

fn unreadable(error: ReplayError) {
    eprintln!("error: a part of the recording cannot be read: {}", escaped(&error.to_string()));
}

/// Prints a frame. `current` is the operation whose statement was printed last.
fn show(frame: &Frame, current: &mut Option<OperationId>, out: &mut Output) -> Result<(), Failure> {
    let at = to_timestamp(frame.at);
    match &frame.entry {
        Entry::Open(open) => out.line(&format!("{at}  open  {}", opened(open))),
        Entry::Intent(intent) => {
            *current = Some(intent.operation);
            out.line(&format!("{at}  {}  {}  {}", intent.operation, intent.kind, permitted(intent)))?;
            before(&intent.preamble, out)?;
            match intent.kind.as_str() {
                "catalog" => question(&intent.payload, out)?,
                _ => statement(&intent.payload, out)?,
            }
            bound(&intent.kind, intent.binding.as_ref(), out)?;
            facts(&intent.facts, out)
        }
        Entry::Hold(hold) => {
            *current = Some(hold.operation);
            out.line(&format!("{at}  {}  {}  {}", hold.operation, hold.kind, held(hold)))?;
            statement(&hold.payload, out)?;
            bound(&hold.kind, hold.binding.as_ref(), out)?;
            facts(&hold.facts, out)
        }
        Entry::Refusal(refusal) => {
            *current = Some(refusal.operation);
            out.line(&format!("{at}  {}  {}  {}", refusal.operation, refusal.kind, refused(refusal)))?;
            statement(&refusal.payload, out)?;
            bound(&refusal.kind, refusal.binding.as_ref(), out)?;
            facts(&refusal.facts, out)
        }
        // The outcome sums them up.
        Entry::Reply(_) => Ok(()),
        Entry::Outcome(outcome) if *current == Some(outcome.operation) => {
            out.hanging("    outcome  ", &ended(outcome))
        }
        Entry::Outcome(outcome) => {
            *current = None;
            out.line(&format!("{at}  {}  outcome  {}", outcome.operation, ended(outcome)))
        }
        Entry::Close(close) => out.line(&format!("{at}  close  {}", closed(close))),
    }
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

fn ended(outcome: &Outcome) -> String {
    let error = if outcome.error_code.is_empty() { "" } else { " " };
    let tags = if outcome.tags.is_empty() { String::new() } else { format!(", {}", outcome.tags.join("; ")) };
    format!(
        "{}{error}{}{tags}, {} rows, {} bytes",
        outcome.outcome.as_str(),
        outcome.error_code,
        outcome.reply_rows,
        outcome.reply_bytes
    )
}

fn closed(close: &Close) -> String {
    format!("{}, {} operations, {} refusals", close.reason, close.operations, close.refusals)
}

fn statement(payload: &Payload, out: &mut Output) -> Result<(), Failure> {
    if payload.0.is_empty() {
        return Ok(());
    }
    out.block(&payload.0)
}

/// What a statement is executed with. One that is only prepared has types and no values.
fn bound(kind: &str, binding: Option<&Binding>, out: &mut Output) -> Result<(), Failure> {
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
