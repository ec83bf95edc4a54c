//! `recordings replay`: what a session did, for a person to read or, as a JSON line per frame, for a program.
//!
//! Whatever a caller or a target wrote stands behind a bar and is escaped, so that it can neither drive the terminal
//! nor pass for a line of ours.

use countersign_model::{Durability, Identity, OperationId};
use countersign_recording::{
    Close, Entry, Frame, Intent, Open, Outcome, Payload, RecordedFact, Refusal, ReplayError, replay,
};
use countersign_wire::to_timestamp;
use serde_json::{Map, Value, json};

use crate::{
    connection::ConnectionArgs,
    escape::{escaped, escaped_lines},
    failure::{Exit, Failure},
    output::{Format, Output},
    proto_json::to_json,
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
            (Ok(frame), Format::Json) => out.json_line(&as_json(&frame)?)?,
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
            match intent.kind.as_str() {
                "catalog" => question(&intent.payload, out)?,
                _ => statement(&intent.payload, out)?,
            }
            facts(&intent.facts, out)
        }
        Entry::Refusal(refusal) => {
            *current = Some(refusal.operation);
            out.line(&format!("{at}  {}  {}  {}", refusal.operation, refusal.kind, refused(refusal)))?;
            statement(&refusal.payload, out)?;
            facts(&refusal.facts, out)
        }
        // The outcome sums them up.
        Entry::Reply(_) => Ok(()),
        Entry::Outcome(outcome) if *current == Some(outcome.operation) => {
            out.line(&format!("    outcome  {}", ended(outcome)))
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
    escaped_lines(&payload.0).iter().try_for_each(|line| out.line(&format!("    | {line}")))
}

/// The edge's own fixed question, asked again and again: its first line, and how much more there is.
fn question(payload: &Payload, out: &mut Output) -> Result<(), Failure> {
    let lines = escaped_lines(&payload.0);
    let Some(first) = lines.first() else { return Ok(()) };
    out.line(&format!("    | {first}"))?;
    match lines.len() {
        1 => Ok(()),
        more => out.line(&format!("    ({} more lines of the edge's own; -o json shows them)", more - 1)),
    }
}

fn facts(facts: &[RecordedFact], out: &mut Output) -> Result<(), Failure> {
    facts.iter().try_for_each(|fact| out.line(&format!("    touches  {}  {}", fact.action, fact.resource)))
}

/// A frame as an object: its header, then what its entry says, under the names of `recording.proto`. `payload` is
/// text; bytes that are no UTF-8 become U+FFFD, and `payloadHex` then has them all.
fn as_json(frame: &Frame) -> Result<Value, Failure> {
    let mut object = Map::new();
    object.insert("sequence".into(), frame.sequence.into());
    object.insert("kind".into(), frame.entry.kind().as_str().into());
    object.insert("at".into(), to_timestamp(frame.at).to_string().into());
    object.insert("durability".into(), durability_word(frame.durability).into());
    insert_some(&mut object, "operationId", frame.entry.operation());
    insert_some(&mut object, "approvalId", frame.entry.approval());
    insert_some(&mut object, "outcome", frame.entry.outcome().map(|outcome| outcome.as_str()));
    let Value::Object(said) = entry_json(&frame.entry)? else { return Ok(Value::Object(object)) };
    object.extend(said);
    Ok(Value::Object(object))
}

fn entry_json(entry: &Entry) -> Result<Value, Failure> {
    Ok(match entry {
        Entry::Open(open) => {
            json!({"session": to_json(&open.session)?, "policyRevision": open.policy_revision})
        }
        Entry::Intent(intent) => with_payload(
            &intent.payload,
            json!({
                "protocol": intent.protocol,
                "operationKind": intent.kind,
                "facts": facts_json(&intent.facts),
                "policies": intent.policies,
                "policyRevision": intent.policy_revision,
                "identity": intent.identity.map(Identity::as_str),
            }),
        ),
        Entry::Refusal(refusal) => with_payload(
            &refusal.payload,
            json!({
                "protocol": refusal.protocol,
                "operationKind": refusal.kind,
                "facts": facts_json(&refusal.facts),
                "policies": refusal.policies,
                "policyRevision": refusal.policy_revision,
                "reason": refusal.reason,
            }),
        ),
        Entry::Reply(reply) => {
            json!({"rows": reply.rows, "bytes": reply.bytes, "sha256": hex(&reply.sha256)})
        }
        Entry::Outcome(outcome) => json!({
            "tags": outcome.tags,
            "errorCode": outcome.error_code,
            "replyRows": outcome.reply_rows,
            "replyBytes": outcome.reply_bytes,
            "replySha256": outcome.reply_sha256.map(|hash| hex(&hash)),
            "columns": outcome.columns,
        }),
        Entry::Close(close) => {
            json!({"reason": close.reason, "operations": close.operations, "refusals": close.refusals})
        }
    })
}

fn with_payload(payload: &Payload, mut said: Value) -> Value {
    if let Value::Object(object) = &mut said {
        let text = String::from_utf8_lossy(&payload.0);
        if text.as_bytes() != payload.0.as_slice() {
            object.insert("payloadHex".into(), hex(&payload.0).into());
        }
        object.insert("payload".into(), text.into());
    }
    said
}

fn facts_json(facts: &[RecordedFact]) -> Value {
    facts.iter().map(|fact| json!({"action": fact.action, "resource": fact.resource})).collect()
}

fn insert_some(object: &mut Map<String, Value>, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.to_string().into());
    }
}

fn durability_word(durability: Durability) -> &'static str {
    match durability {
        Durability::PageCache => "page-cache",
        Durability::Fsync => "fsync",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::fixture, *};
    use crate::output::tests::Captured;

    fn replayed(copy: &Copy, format: Format) -> (Exit, String) {
        let captured = Captured::default();
        let exit = print(copy, &mut captured.output(format)).expect("printed");
        (exit, captured.text())
    }

    #[test]
    fn people_read_operation_by_operation() {
        let (exit, text) = replayed(&fixture::recording(), Format::Table);
        assert_eq!(exit, Exit::Done);
        // Ids are random: 39 characters.
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.find("op_") {
                Some(at) => format!("{}op_…{}", &line[..at], &line[at + 39..]),
                None => line.to_owned(),
            })
            .collect();
        assert_eq!(
            lines,
            [
                "2023-11-14T22:13:20Z  open  se_1 by reader to shop from an unknown address, policies abc",
                "2023-11-14T22:13:20Z  op_…  query  allowed by shop/read as standing",
                "    | SELECT *",
                "    | FROM orders -- \\u{1b}[2J",
                "    touches  postgres:select  Table shop.public.orders",
                "    outcome  done, SELECT 3, 3 rows, 99 bytes",
                "2023-11-14T22:13:20Z  op_…  query  refused: unparsed",
                "    | DROP \\xff TABLE orders",
                "2023-11-14T22:13:20Z  close  client, 1 operations, 1 refusals",
            ]
        );
    }

    #[test]
    fn programs_read_a_line_per_frame() {
        let (exit, text) = replayed(&fixture::recording(), Format::Json);
        assert_eq!(exit, Exit::Done);
        let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let kinds: Vec<_> = frames.iter().filter_map(|frame| frame["kind"].as_str()).collect();
        assert_eq!(kinds, ["open", "intent", "outcome", "refusal", "close"]);
        assert_eq!(frames[0]["session"]["principal"]["agent"], "reader");
        assert_eq!(frames[1]["payload"], "SELECT *\nFROM orders -- \u{1b}[2J");
        assert_eq!(frames[1]["facts"][0]["resource"], "Table shop.public.orders");
        assert_eq!(frames[1]["operationKind"], "query");
        assert_eq!(frames[1]["operationId"], frames[2]["operationId"]);
        assert_eq!((&frames[2]["outcome"], &frames[2]["replyRows"]), (&"done".into(), &3.into()));
        assert_eq!(frames[3]["payload"], "DROP \u{fffd} TABLE orders");
        assert_eq!(frames[3]["payloadHex"], hex(b"DROP \xff TABLE orders"));
        assert_eq!(frames[3]["reason"], "unparsed");
    }

    #[test]
    fn what_cannot_be_read_is_a_failure_and_the_rest_is_printed() {
        let mut copy = fixture::recording();
        copy.segments.insert(0, (0, b"nonsense".to_vec()));
        let (exit, text) = replayed(&copy, Format::Json);
        assert_eq!(exit, Exit::Failed);
        assert_eq!(text.lines().count(), 5);
        assert!(!verify::is_whole(&copy));
        assert!(verify::is_whole(&fixture::recording()));
    }
}
