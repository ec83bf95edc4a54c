//! What a statement is executed with, for people to read. Cards and replays show it alike, value by value and whole:
//! what was written as text as it stands, and of what was sent in binary both what it says, where the type is known,
//! and its bytes, so that nobody has to believe us. Values stand behind bars, as statements do.

mod builtin;
mod moment;
mod numeric;

use countersign_recording::{RecordedBinding, RecordedParameter, RecordedValue};
use countersign_wire::v1::{Card, CardParameter};

use crate::{
    escape::{cautions, hex},
    failure::Failure,
    output::Output,
};
use builtin::Read;

/// What is bound to a statement.
pub(crate) struct Bound<'a> {
    parameters: Vec<Value<'a>>,
    result_formats: Vec<u32>,
    row_limit: u32,
}

/// One parameter.
struct Value<'a> {
    /// Types by their oid; 0 where one is left open or not resolved.
    declared: u32,
    resolved: u32,
    /// 0 text, 1 binary.
    format: u32,
    /// `None` is NULL.
    bytes: Option<&'a [u8]>,
    /// What stands for it in a recording, where it is masked.
    masked: Option<&'a str>,
}

impl<'a> From<&'a Card> for Bound<'a> {
    fn from(card: &'a Card) -> Self {
        Self {
            parameters: card.parameters.iter().map(Into::into).collect(),
            result_formats: card.result_formats.clone(),
            row_limit: card.row_limit,
        }
    }
}

impl<'a> From<&'a RecordedBinding> for Bound<'a> {
    fn from(binding: &'a RecordedBinding) -> Self {
        Self {
            parameters: binding.parameters.iter().map(Into::into).collect(),
            result_formats: binding.result_formats.iter().map(|format| u32::from(*format)).collect(),
            row_limit: binding.row_limit,
        }
    }
}

impl<'a> From<&'a CardParameter> for Value<'a> {
    fn from(parameter: &'a CardParameter) -> Self {
        Self {
            declared: parameter.declared_type,
            resolved: parameter.r#type,
            format: parameter.format,
            bytes: (!parameter.is_null).then_some(&parameter.value),
            masked: None,
        }
    }
}

impl<'a> From<&'a RecordedParameter> for Value<'a> {
    fn from(parameter: &'a RecordedParameter) -> Self {
        let (bytes, masked) = match &parameter.value {
            RecordedValue::Null => (None, None),
            RecordedValue::Plain(value) => (Some(value.0.as_slice()), None),
            RecordedValue::Masked(label) => (None, Some(label.as_str())),
        };
        Self {
            declared: parameter.declared_type,
            resolved: parameter.resolved_type,
            format: parameter.format.into(),
            bytes,
            masked,
        }
    }
}

impl Bound<'_> {
    /// Prints every parameter, and the row limit and the formats of the result where they are not those of everybody.
    /// `label` makes the beginning of a line of a word.
    pub(crate) fn print(&self, label: impl Fn(&str) -> String, out: &mut Output) -> Result<(), Failure> {
        for (number, value) in (1..).zip(&self.parameters) {
            value.print(number, &label("parameter"), out)?;
        }
        if self.row_limit != 0 {
            out.hanging(&label("row limit"), &format!("{} at a time", self.row_limit))?;
        }
        if self.result_formats.iter().any(|format| *format != 0) {
            let words: Vec<String> = self.result_formats.iter().map(|format| format_word(*format)).collect();
            out.hanging(&label("results"), &format!("in {}", words.join(", ")))?;
        }
        Ok(())
    }
}

impl Value<'_> {
    fn print(&self, number: usize, label: &str, out: &mut Output) -> Result<(), Failure> {
        let what = format!("${number}, {}", self.type_words());
        if let Some(masked) = self.masked {
            return out.hanging(label, &format!("{what}, MASKED as {masked}"));
        }
        let Some(bytes) = self.bytes else { return out.hanging(label, &format!("{what}, NULL")) };
        let what = format!("{what}, in {}, {}", format_word(self.format), size(bytes));
        let in_hex = hex(bytes);
        let oid = if self.resolved == 0 { self.declared } else { self.resolved };
        match (self.format, builtin::read(oid, bytes)) {
            (0, _) => {
                out.hanging(label, &format!("{what}{}", cautions(bytes)))?;
                out.block(bytes)
            }
            (1, Some(Read::Text(text))) => {
                out.hanging(label, &format!("{what}{}", cautions(text.as_bytes())))?;
                out.block(text.as_bytes())
            }
            (1, Some(Read::Value(value))) => {
                out.hanging(label, &what)?;
                out.block(value.as_bytes())?;
                out.hanging(label, &format!("${number}, its bytes in hex"))?;
                out.block(in_hex.as_bytes())
            }
            _ => {
                out.hanging(label, &format!("{what}, shown in hex"))?;
                out.block(in_hex.as_bytes())
            }
        }
    }

    fn type_words(&self) -> String {
        match (self.resolved, self.declared) {
            (0, 0) => "type left open".to_owned(),
            (0, declared) => format!("declared as {}", type_name(declared)),
            (resolved, declared) if declared == 0 || declared == resolved => type_word(resolved),
            (resolved, declared) => {
                format!("{}, declared as {}", type_word(resolved), type_name(declared))
            }
        }
    }
}

/// What a value of this type and format says, as text; `None` for bytes and for what is not known here.
pub(crate) fn reading(oid: u32, format: u16, bytes: &[u8]) -> Option<String> {
    match format {
        0 => std::str::from_utf8(bytes).ok().map(ToOwned::to_owned),
        _ => builtin::read(oid, bytes).map(|read| match read {
            Read::Text(text) | Read::Value(text) => text,
        }),
    }
}

/// The types that a statement declares for its parameters, in order, up to the last that it does not leave open.
pub(crate) fn declared(binding: &RecordedBinding) -> String {
    let types: Vec<u32> = binding.parameters.iter().map(|parameter| parameter.declared_type).collect();
    let declared = types.iter().rposition(|oid| *oid != 0).map_or(0, |last| last.saturating_add(1));
    let word = |oid: &u32| if *oid == 0 { "left open".to_owned() } else { type_name(*oid) };
    types.iter().take(declared).map(word).collect::<Vec<_>>().join(", ")
}

fn type_word(oid: u32) -> String {
    format!("type {}", type_name(oid))
}

/// Its name, if it is one of PostgreSQL's own that are known here, or its oid.
fn type_name(oid: u32) -> String {
    builtin::name(oid).map_or_else(|| oid.to_string(), ToOwned::to_owned)
}

fn format_word(format: u32) -> String {
    match format {
        0 => "text".to_owned(),
        1 => "binary".to_owned(),
        other => format!("format {other}"),
    }
}

fn size(bytes: &[u8]) -> String {
    match bytes.len() {
        1 => "1 byte".to_owned(),
        more => format!("{more} bytes"),
    }
}

#[cfg(test)]
mod tests;
