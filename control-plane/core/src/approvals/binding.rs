//! What a statement is executed with, as an edge says it: bounded, and only what its text can have.

use countersign_model::{Binding, Parameter, Reason};
use countersign_sql::Analysis;
use countersign_wire::v1;

use super::ApprovalRefusal;
use crate::EdgeError;

/// Parameters of a statement: the protocol counts them in 16 bits.
const MAX_PARAMETERS: usize = u16::MAX as usize;
/// All values together, in bytes: as much as a statement may have.
const MAX_VALUES: usize = 1 << 20;
/// Formats of result columns: PostgreSQL's rows have no more columns (`MaxTupleAttributeNumber`).
const MAX_RESULT_FORMATS: usize = 1_664;

/// Takes a binding apart. Everything is counted before anything is made of it.
///
/// # Errors
/// [`Reason::OverLimit`], [`EdgeError::Malformed`], and [`Reason::Unparsable`] for a value that is no text although
/// it says so: people could not be shown what the target would read.
pub(super) fn bound(wire: v1::Binding) -> Result<Binding, ApprovalRefusal> {
    let v1::Binding { parameters, result_formats, .. } = &wire;
    let values = parameters.iter().map(|parameter| parameter.value.len()).sum::<usize>();
    if parameters.len() > MAX_PARAMETERS || result_formats.len() > MAX_RESULT_FORMATS || values > MAX_VALUES {
        return Err(ApprovalRefusal::Refused(Reason::OverLimit));
    }
    let binding = Binding::try_from(wire).map_err(|_| EdgeError::Malformed("the binding is malformed"))?;
    if !binding.parameters.iter().all(is_text_if_it_says_so) {
        return Err(ApprovalRefusal::Refused(Reason::Unparsable));
    }
    Ok(binding)
}

/// Whether the text can be executed with it.
///
/// # Errors
/// The reason why not: several statements cannot have one ([`Reason::Unparsable`]), and a parameter that is missing,
/// left over or without a type means nothing ([`Reason::Unresolved`]).
pub(super) fn fits(binding: Option<&Binding>, analysis: &Analysis) -> Result<(), Reason> {
    let statements = &analysis.statements;
    let highest = statements.iter().map(|statement| statement.highest_parameter).max().unwrap_or(0);
    let needed = usize::try_from(highest).map_err(|_| Reason::OverLimit)?;
    let Some(Binding { parameters, .. }) = binding else {
        return if needed == 0 { Ok(()) } else { Err(Reason::Unresolved) };
    };
    if statements.len() > 1 {
        return Err(Reason::Unparsable);
    }
    // Of a statement that is not understood nobody counted them.
    let is_counted = statements.iter().all(|statement| statement.unparsed.is_none());
    let mut left_over = parameters.iter().skip(needed);
    // What the text does not name has a type only if the client declared one.
    let is_left_over = is_counted && left_over.any(|parameter| parameter.declared_type == 0);
    let is_resolved = parameters.iter().all(|parameter| parameter.resolved_type != 0);
    if parameters.len() < needed || is_left_over || !is_resolved {
        return Err(Reason::Unresolved);
    }
    Ok(())
}

fn is_text_if_it_says_so(parameter: &Parameter) -> bool {
    match &parameter.value {
        Some(value) if parameter.format == 0 => !value.contains(&0) && str::from_utf8(value).is_ok(),
        _ => true,
    }
}
