//! Rows of replies: a line each for people, a list of values each for programs.

use countersign_model::OperationId;
use countersign_recording::{Entry, RecordedColumn, RecordedRows, rows};
use serde_json::{Value, json};

use crate::{escape::hex, failure::Failure, output::Output, parameter::reading};

/// The columns of the rows that come, for as long as an operation's go on: its first frame names them.
#[derive(Debug, Default)]
pub(super) struct Columns {
    of: Option<OperationId>,
    columns: Vec<RecordedColumn>,
    /// Rows of the operation that were recorded so far.
    pub(super) recorded: u64,
}

impl Columns {
    /// Takes note of an entry before it is shown.
    pub(super) fn note(&mut self, entry: &Entry) {
        let recorded = match entry {
            Entry::Reply(reply) => &reply.recorded,
            Entry::Outcome(outcome) => &outcome.recorded,
            _ => return,
        };
        if self.of != entry.operation() {
            *self = Self { of: entry.operation(), ..Self::default() };
        }
        if !recorded.columns.is_empty() {
            self.columns.clone_from(&recorded.columns);
        }
        self.recorded = self.recorded.saturating_add(recorded.count);
    }

    pub(super) fn print(&self, recorded: &RecordedRows, out: &mut Output) -> Result<(), Failure> {
        for row in rows(&recorded.data.0).unwrap_or_default() {
            let cells: Vec<String> = (0..).zip(row).map(|(at, value)| self.cell(at, value)).collect();
            out.hanging("    row  ", &cells.join("  "))?;
        }
        Ok(())
    }

    /// Each row as a list in the order of the columns: null, a text, or `{"hex": …}` of what is none.
    pub(super) fn to_json(&self, recorded: &RecordedRows) -> Value {
        let row = |row: Vec<Option<&[u8]>>| -> Value {
            (0..).zip(row).map(|(at, value)| self.cell_to_json(at, value)).collect()
        };
        rows(&recorded.data.0).unwrap_or_default().into_iter().map(row).collect()
    }

    fn cell(&self, at: usize, value: Option<&[u8]>) -> String {
        let column = self.columns.get(at);
        let name = column.map_or_else(|| format!("${}", at.saturating_add(1)), |column| name(&column.name));
        format!("{name}={}", written(column, value))
    }

    fn cell_to_json(&self, at: usize, value: Option<&[u8]>) -> Value {
        match value {
            None => Value::Null,
            Some(value) => match read(self.columns.get(at), value) {
                Read::Label(label) => label.into(),
                Read::Text(text) => text.into(),
                Read::Bytes => json!({"hex": hex(value)}),
            },
        }
    }
}

pub(super) fn columns_to_json(columns: &[RecordedColumn]) -> Value {
    let column = |column: &RecordedColumn| {
        let masked = (!column.masked.is_empty()).then_some(&column.masked);
        json!({"name": column.name, "typeOid": column.type_oid, "format": column.format, "masked": masked})
    };
    columns.iter().map(column).collect()
}

enum Read {
    /// What stands for the values of a masked column.
    Label(String),
    Text(String),
    Bytes,
}

fn read(column: Option<&RecordedColumn>, value: &[u8]) -> Read {
    let is_label = |column: &&RecordedColumn| !column.masked.is_empty() && column.masked.as_bytes() == value;
    if let Some(masked) = column.filter(is_label) {
        return Read::Label(masked.masked.clone());
    }
    let (oid, format) = column.map_or((0, 0), |column| (column.type_oid, column.format));
    reading(oid, format, value).map_or(Read::Bytes, Read::Text)
}

/// So that no value can pass for another one, for NULL, or for what stands for one that is masked.
fn written(column: Option<&RecordedColumn>, value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    match read(column, value) {
        Read::Label(label) => label,
        Read::Text(text) if is_plain(&text) && text != "NULL" => text,
        Read::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Read::Bytes => format!("hex:'{}'", hex(value)),
    }
}

fn name(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    !text.is_empty() && text.chars().all(plain)
}
