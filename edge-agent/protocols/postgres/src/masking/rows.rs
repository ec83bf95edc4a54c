//! The reply to one operation, covered batch by batch.

use std::{borrow::Cow, rc::Rc};

use bytes::{BufMut, Bytes, BytesMut};
use countersign_gate::{Batch, Duty, Excerpt, Masker, Views};
use countersign_mask::Detectors;
use countersign_model::{Reason, Refusal};
use countersign_sql::Output;

use super::{
    cover::Holds,
    look::{Look, MASKED},
    messages,
    plan::{Column, columns},
    tags::Tags,
};
use crate::{
    codec::{
        Malformed,
        backend::{self, Field},
        encode,
    },
    sqlstate::is_condition,
};

/// Rows of an operation that the recording shows; of the rest it has size, number and hash.
const SHOWN_ROWS: u64 = 100;

/// Rows that are held back until the target has computed all of them, in bytes.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// What they take together, in bytes.
const SHOWN_BYTES: usize = 32 * 1024;

/// Covers the reply to an operation.
pub(crate) struct ReplyMasker {
    look: Rc<Look>,
    tags: Rc<Tags>,
    /// The result columns as the text has them, where they can be told from it.
    outputs: Vec<Output>,
    /// The result that rows belong to, until it is known what is to be covered in it.
    fields: Option<Vec<Field>>,
    columns: Vec<Column>,
    /// The recording has not been told of the columns.
    is_untold: bool,
    /// A column that is covered is computed, and where that fails would tell of its values: rows wait for their end.
    holds: bool,
    held: BytesMut,
    rows_left: u64,
    bytes_left: usize,
}

/// A batch on its way through: shared with the target's buffer until something in it changes.
struct Patched {
    original: Bytes,
    /// Bytes of the original that are dealt with.
    done: usize,
    changed: Option<BytesMut>,
}

impl Patched {
    /// Lets a message pass.
    fn keep(&mut self, size: usize) {
        let end = self.done.saturating_add(size);
        if let Some(changed) = &mut self.changed {
            changed.extend_from_slice(self.original.get(self.done..end).unwrap_or_default());
        }
        self.done = end;
    }

    /// Where to write what takes the place of a message.
    fn instead(&mut self, size: usize) -> &mut BytesMut {
        let done = self.done;
        self.done = done.saturating_add(size);
        let original = &self.original;
        self.changed.get_or_insert_with(|| {
            let mut changed = BytesMut::with_capacity(original.len());
            changed.extend_from_slice(original.get(..done).unwrap_or_default());
            changed
        })
    }

    /// What goes before the next message.
    fn insert(&mut self, bytes: &[u8]) {
        self.instead(0).extend_from_slice(bytes);
    }

    fn finish(self) -> Bytes {
        match self.changed {
            Some(changed) => changed.freeze(),
            None => self.original,
        }
    }
}

/// Detectors that look, for the client and for the recording.
#[derive(Clone, Copy)]
struct Looking {
    client: Detectors,
    record: Detectors,
}

impl ReplyMasker {
    /// Of an operation whose reply describes its own rows, or has none.
    pub(crate) fn new(look: Rc<Look>, tags: Rc<Tags>, outputs: Vec<Output>) -> Self {
        Self {
            look,
            tags,
            outputs,
            fields: None,
            columns: Vec::new(),
            is_untold: false,
            holds: false,
            held: BytesMut::new(),
            rows_left: SHOWN_ROWS,
            bytes_left: SHOWN_BYTES,
        }
    }

    /// Of an operation whose rows were described when it was prepared.
    pub(crate) fn of_rows(self, fields: Vec<Field>) -> Self {
        Self { fields: Some(fields), ..self }
    }

    /// Covers what detectors find in the names of columns: they are the text's own words.
    pub(crate) fn cover_names(&self, names: &mut [String]) {
        for name in names {
            if let Cow::Owned(covered) = self.look.cover(name.as_bytes(), self.look.all()) {
                *name = String::from_utf8_lossy(&covered).into_owned();
            }
        }
    }

    /// The code of an error as it may be told of: a function can spell something by one of its own.
    pub(crate) fn cover_code(&self, code: &mut Option<String>, duty: &Duty) {
        if let Some(code) = code.as_mut().filter(|code| duty.reduce_text && !is_condition(code)) {
            "P0001".clone_into(code);
        }
    }

    fn described(&mut self, duty: &Duty) {
        if let Some(fields) = self.fields.take() {
            self.columns = columns(fields, &self.tags, &self.outputs, duty);
            self.is_untold = true;
            self.holds = self.columns.iter().any(|column| column.client.is_some() && column.is_computed);
        }
    }

    fn message(
        &mut self,
        kind: u8,
        message: &[u8],
        duty: &Duty,
        looking: Looking,
        (out, excerpt): (&mut Patched, &mut BytesMut),
    ) -> Result<u64, Unable> {
        let body = message.get(5..).unwrap_or_default();
        match kind {
            b'E' => self.held.clear(),
            b'C' | b'I' | b's' | b'Z' if !self.held.is_empty() => out.insert(&self.held.split()),
            _ => {}
        }
        match kind {
            b'T' => {
                self.fields = Some(backend::fields(body)?);
                self.described(duty);
                out.keep(message.len());
            }
            b'D' => return self.row(message, looking, (out, excerpt)),
            b'E' | b'N' if duty.reduce_text => messages::reduce(kind, body, out.instead(message.len()))?,
            b'E' | b'N' if !looking.client.is_empty() => {
                messages::cover(kind, body, &self.look, looking.client, out.instead(message.len()))?;
            }
            b'S' => {
                let (name, value) = backend::parameter_status(body)?;
                if messages::is_telling(name, value, duty, &self.look, looking.client) {
                    out.instead(message.len());
                } else {
                    out.keep(message.len());
                }
            }
            // What another session says to this one may be a row.
            b'A' if duty.reduce_text || !looking.client.is_empty() => _ = out.instead(message.len()),
            _ => out.keep(message.len()),
        }
        Ok(0)
    }

    /// Covers a row, and says whether the recording shows it.
    fn row(
        &mut self,
        message: &[u8],
        looking: Looking,
        (out, excerpt): (&mut Patched, &mut BytesMut),
    ) -> Result<u64, Unable> {
        let covers = self.columns.iter().any(|column| column.client.is_some());
        let shows = self.rows_left > 0;
        if !covers && !shows && looking.client.is_empty() {
            out.keep(message.len());
            return Ok(0);
        }
        let values = backend::values(message.get(5..).unwrap_or_default())?;
        if values.len() != self.columns.len() {
            return Err(Malformed::Body.into());
        }
        let client = self.covered(&values, looking.client, |column| column.client.as_deref());
        match &client {
            Some(row) if self.holds => {
                put_row(&mut self.held, row);
                out.instead(message.len());
                if self.held.len() > HELD_BYTES {
                    return Err(Unable::Hold);
                }
            }
            Some(row) => put_row(out.instead(message.len()), row),
            None => out.keep(message.len()),
        }
        if !shows {
            return Ok(0);
        }
        let before = excerpt.len();
        match self.covered(&values, looking.record, |column| column.record.as_deref()) {
            Some(row) => put_row(excerpt, &row),
            None => excerpt.extend_from_slice(message),
        }
        let size = excerpt.len().saturating_sub(before);
        if size > self.bytes_left {
            // Rows are shown from the first one on, without a gap.
            excerpt.truncate(before);
            self.rows_left = 0;
            return Ok(0);
        }
        self.bytes_left -= size;
        self.rows_left -= 1;
        Ok(1)
    }

    /// The values of a row with what is to be covered in them; `None` if that is nothing.
    fn covered<'v>(
        &self,
        values: &[Option<&'v [u8]>],
        detectors: Detectors,
        label: impl Fn(&Column) -> Option<&str>,
    ) -> Option<Vec<Option<Cow<'v, [u8]>>>> {
        let mut is_changed = false;
        let cover = |(column, value): (&Column, &Option<&'v [u8]>)| {
            if let Some(label) = label(column) {
                is_changed = true;
                return column.holds.label(label).map(Cow::Owned);
            }
            let value = (*value)?;
            if detectors.is_empty() {
                return Some(Cow::Borrowed(value));
            }
            let look = |text: &'v [u8]| match column.holds {
                Holds::Json { .. } => self.look.cover_json(text, detectors),
                _ => self.look.cover(text, detectors),
            };
            let hidden = column.holds.hidden(value).is_some_and(|text| self.look.finds(&text, detectors));
            let patched = if hidden {
                column.holds.label(MASKED).map(Cow::Owned)
            } else {
                column.holds.patch(value, column.field.format, look)
            };
            is_changed |= !matches!(patched, Some(Cow::Borrowed(_)));
            patched
        };
        let row: Vec<_> = self.columns.iter().zip(values).map(cover).collect();
        is_changed.then_some(row)
    }
}

impl Masker for ReplyMasker {
    fn mask(&mut self, batch: Batch, duty: &Duty) -> Result<Views, Refusal> {
        self.described(duty);
        let looking = Looking { client: self.look.owed(duty), record: self.look.all() };
        let whole = batch.bytes().clone();
        let mut out = Patched { original: whole.clone(), done: 0, changed: None };
        let (mut data, mut rows, mut rest) = (BytesMut::new(), 0, &whole[..]);
        while !rest.is_empty() {
            let header = backend::header(rest).ok().flatten().ok_or_else(unreadable)?;
            let (message, behind) = rest.split_at_checked(header.total).ok_or_else(unreadable)?;
            let shown = self.message(header.kind, message, duty, looking, (&mut out, &mut data));
            rows += shown.map_err(Unable::refusal)?;
            rest = behind;
        }
        let tells = std::mem::take(&mut self.is_untold) && !self.columns.is_empty();
        let mut columns = Vec::new();
        for column in self.columns.iter().filter(|_| tells) {
            let mut shown = column.shown();
            self.cover_names(std::slice::from_mut(&mut shown.name));
            columns.push(shown);
        }
        Ok(Views { client: out.finish(), excerpt: Excerpt { columns, data: data.freeze(), rows } })
    }
}

fn put_row(out: &mut BytesMut, values: &[Option<Cow<'_, [u8]>>]) {
    encode::framed(out, b'D', |out| {
        out.put_u16(values.len() as u16);
        for value in values {
            match value {
                Some(value) => encode::counted_without_itself(out, |out| out.put_slice(value)),
                None => out.put_i32(-1),
            }
        }
    });
}

/// Why a message cannot be covered.
enum Unable {
    Read,
    Hold,
}

impl From<Malformed> for Unable {
    fn from(_: Malformed) -> Self {
        Self::Read
    }
}

impl Unable {
    fn refusal(self) -> Refusal {
        let message = "the rows are too many to be held back, and they have to be, since they are computed beside what \
                       is masked: ask for fewer at a time";
        match self {
            Self::Read => unreadable(),
            Self::Hold => Refusal::denied(Reason::OverLimit, message),
        }
    }
}

/// What cannot be read cannot be covered.
fn unreadable() -> Refusal {
    Refusal::denied(Reason::Unmaskable, "the target's answer cannot be read, and so not be masked")
}

#[cfg(test)]
mod tests;
