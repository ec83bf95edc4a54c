//! `Binding` of `recording.proto`: what a statement is executed with.

use countersign_model::{Binding, Parameter};

use crate::v1;

/// Parameters that one statement can have: the protocol counts them in 16 bits.
const MAX_PARAMETERS: usize = u16::MAX as usize;

/// How a binding on the wire can be malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinding {
    /// More parameters or formats than the protocol can count.
    #[error("there are more parameters or formats than a statement can have")]
    Count,
    /// A format is neither text nor binary.
    #[error("a format is neither text nor binary")]
    Format,
    /// NULL has a value.
    #[error("a parameter is NULL and has a value")]
    Null,
    /// A value is masked, which it is in recordings alone.
    #[error("a parameter is masked")]
    Masked,
}

impl From<&Binding> for v1::Binding {
    fn from(binding: &Binding) -> Self {
        Self {
            parameters: binding.parameters.iter().map(Into::into).collect(),
            result_formats: binding.result_formats.iter().map(|format| u32::from(*format)).collect(),
            row_limit: binding.row_limit,
        }
    }
}

impl TryFrom<v1::Binding> for Binding {
    type Error = InvalidBinding;

    fn try_from(wire: v1::Binding) -> Result<Self, InvalidBinding> {
        if wire.parameters.len().max(wire.result_formats.len()) > MAX_PARAMETERS {
            return Err(InvalidBinding::Count);
        }
        Ok(Self {
            parameters: wire.parameters.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            result_formats: wire.result_formats.into_iter().map(format).collect::<Result<_, _>>()?,
            row_limit: wire.row_limit,
        })
    }
}

impl From<&Parameter> for v1::BoundParameter {
    fn from(parameter: &Parameter) -> Self {
        Self {
            declared_type: parameter.declared_type,
            resolved_type: parameter.resolved_type,
            format: u32::from(parameter.format),
            value: parameter.value.as_ref().map(|value| value.to_vec()).unwrap_or_default(),
            is_null: parameter.value.is_none(),
            masked: String::new(),
        }
    }
}

impl TryFrom<v1::BoundParameter> for Parameter {
    type Error = InvalidBinding;

    fn try_from(wire: v1::BoundParameter) -> Result<Self, InvalidBinding> {
        if !wire.masked.is_empty() {
            return Err(InvalidBinding::Masked);
        }
        let value = match (wire.is_null, wire.value) {
            (true, value) if !value.is_empty() => return Err(InvalidBinding::Null),
            (true, _) => None,
            (false, value) => Some(value.into()),
        };
        let v1::BoundParameter { declared_type, resolved_type, .. } = wire;
        Ok(Self { declared_type, resolved_type, format: format(wire.format)?, value })
    }
}

fn format(wire: u32) -> Result<u16, InvalidBinding> {
    match wire {
        0 => Ok(0),
        1 => Ok(1),
        _ => Err(InvalidBinding::Format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Binding {
        let parameter = |value: Option<&'static [u8]>| Parameter {
            declared_type: 0,
            resolved_type: 23,
            format: 1,
            value: value.map(Into::into),
        };
        Binding {
            parameters: vec![parameter(Some(b"\0\0\0\x01")), parameter(Some(b"")), parameter(None)],
            result_formats: vec![0, 1],
            row_limit: 7,
        }
    }

    #[test]
    fn a_binding_comes_back_as_it_was() {
        assert_eq!(Binding::try_from(v1::Binding::from(&whole())), Ok(whole()));
    }

    #[test]
    fn what_the_protocol_cannot_say_is_refused() {
        let change = |change: fn(&mut v1::Binding)| {
            let mut wire = v1::Binding::from(&whole());
            change(&mut wire);
            Binding::try_from(wire)
        };
        assert_eq!(change(|wire| wire.parameters[0].format = 2), Err(InvalidBinding::Format));
        assert_eq!(change(|wire| wire.result_formats[0] = 65_536), Err(InvalidBinding::Format));
        assert_eq!(change(|wire| wire.parameters[0].is_null = true), Err(InvalidBinding::Null));
        let masked = change(|wire| wire.parameters[1].masked = "[email]".into());
        assert_eq!(masked, Err(InvalidBinding::Masked));
        assert_eq!(change(|wire| wire.result_formats = vec![0; 65_536]), Err(InvalidBinding::Count));
    }
}
