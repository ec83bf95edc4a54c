//! What a statement was executed with, as it is recorded: its values, or what stands for those that are masked.

use countersign_model::{Binding, Parameter};
use countersign_wire::v1;

use crate::{bounds::MAX_LABEL, entry::Payload};

/// What a statement is executed with in PostgreSQL's extended query protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedBinding {
    /// Its parameters, in order.
    pub parameters: Vec<RecordedParameter>,
    /// Formats of the result columns, 0 text and 1 binary.
    pub result_formats: Vec<u16>,
    /// Rows that are asked for at a time; 0 for all.
    pub row_limit: u32,
}

/// A parameter of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedParameter {
    /// Type (`pg_type` oid) that the client declared; 0 if it left it open.
    pub declared_type: u32,
    /// Type that the target resolved.
    pub resolved_type: u32,
    /// 0 text, 1 binary.
    pub format: u16,
    /// Its value.
    pub value: RecordedValue,
}

/// The value of a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RecordedValue {
    /// NULL.
    #[default]
    Null,
    /// As it was sent.
    Plain(Payload),
    /// It is not recorded, and this stands for it: `[email]`.
    Masked(String),
}

impl From<&Binding> for RecordedBinding {
    /// With nothing masked.
    fn from(binding: &Binding) -> Self {
        Self {
            parameters: binding.parameters.iter().map(Into::into).collect(),
            result_formats: binding.result_formats.clone(),
            row_limit: binding.row_limit,
        }
    }
}

impl From<&Parameter> for RecordedParameter {
    fn from(parameter: &Parameter) -> Self {
        let value = parameter.value.as_ref();
        Self {
            declared_type: parameter.declared_type,
            resolved_type: parameter.resolved_type,
            format: parameter.format,
            value: value.map_or(RecordedValue::Null, |value| RecordedValue::Plain(Payload(value.to_vec()))),
        }
    }
}

impl From<&RecordedBinding> for v1::Binding {
    fn from(binding: &RecordedBinding) -> Self {
        Self {
            parameters: binding.parameters.iter().map(to_wire).collect(),
            result_formats: binding.result_formats.iter().map(|format| u32::from(*format)).collect(),
            row_limit: binding.row_limit,
        }
    }
}

fn to_wire(parameter: &RecordedParameter) -> v1::BoundParameter {
    let (value, masked) = match &parameter.value {
        RecordedValue::Null => (Vec::new(), String::new()),
        RecordedValue::Plain(value) => (value.0.clone(), String::new()),
        RecordedValue::Masked(label) => (Vec::new(), label.clone()),
    };
    v1::BoundParameter {
        declared_type: parameter.declared_type,
        resolved_type: parameter.resolved_type,
        format: parameter.format.into(),
        value,
        is_null: parameter.value == RecordedValue::Null,
        masked,
    }
}

impl RecordedBinding {
    /// As strict as where nothing can be masked, and what is masked has a label and nothing else; `None` if it is
    /// malformed.
    pub(crate) fn from_wire(mut wire: v1::Binding) -> Option<Self> {
        let take_label = |parameter: &mut v1::BoundParameter| std::mem::take(&mut parameter.masked);
        let labels: Vec<String> = wire.parameters.iter_mut().map(take_label).collect();
        let mut recorded = Self::from(&Binding::try_from(wire).ok()?);
        for (parameter, label) in recorded.parameters.iter_mut().zip(labels) {
            if !label.is_empty() {
                parameter.mask(label)?;
            }
        }
        Some(recorded)
    }
}

impl RecordedParameter {
    fn mask(&mut self, label: String) -> Option<()> {
        let is_empty = matches!(&self.value, RecordedValue::Plain(value) if value.0.is_empty());
        if !is_empty || label.len() > MAX_LABEL {
            return None;
        }
        self.value = RecordedValue::Masked(label);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_has_a_label_and_no_value() {
        let read = |parameter: v1::BoundParameter| {
            let wire = v1::Binding { parameters: vec![parameter], ..v1::Binding::default() };
            RecordedBinding::from_wire(wire).map(|mut read| read.parameters.remove(0).value)
        };
        let masked = |label: &str| v1::BoundParameter { masked: label.into(), ..Default::default() };
        assert_eq!(read(masked("[email]")), Some(RecordedValue::Masked("[email]".into())));
        assert_eq!(read(masked(&"x".repeat(MAX_LABEL + 1))), None);
        assert_eq!(read(v1::BoundParameter { value: vec![1], ..masked("[email]") }), None);
        assert_eq!(read(v1::BoundParameter { is_null: true, ..masked("[email]") }), None);
        assert_eq!(read(v1::BoundParameter { format: 2, ..masked("[email]") }), None);
        assert_eq!(read(masked("")), Some(RecordedValue::Plain(Payload::default())));
    }
}
