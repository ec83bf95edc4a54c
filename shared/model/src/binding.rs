//! What a statement is executed with in PostgreSQL's extended query protocol, beside its text.

use std::fmt;

use bytes::Bytes;

/// What Bind and Execute bring to a statement. Of one that is only prepared, its parameters have no values yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// Formats of the result columns, 0 text and 1 binary: none for all text, one for all, or one for each.
    pub result_formats: Vec<u16>,
    /// Rows that are asked for at a time; 0 for all.
    pub row_limit: u32,
}

/// A parameter of a statement.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Type (`pg_type` oid) that the client declared; 0 if it left it open.
    pub declared_type: u32,
    /// Type that the target resolved.
    pub resolved_type: u32,
    /// 0 text, 1 binary.
    pub format: u16,
    /// The value; `None` is NULL.
    pub value: Option<Bytes>,
}

/// That of the simple query protocol, which has none.
static NONE: Binding = Binding { parameters: Vec::new(), result_formats: Vec::new(), row_limit: 0 };

impl Binding {
    /// The binding, or that of the simple query protocol: no parameter, no format, no limit.
    pub fn or_none(binding: Option<&Self>) -> &Self {
        binding.unwrap_or(&NONE)
    }

    /// A statement that is to be prepared, with the types that the client declared for its parameters.
    pub fn declared(types: &[u32]) -> Self {
        let parameter =
            |declared_type: &u32| Parameter { declared_type: *declared_type, ..Parameter::default() };
        Self { parameters: types.iter().map(parameter).collect(), ..Self::default() }
    }

    /// The types that the client declared, up to the last that it did not leave open: what `Parse` has to say.
    pub fn declared_types(&self) -> Vec<u32> {
        let mut types: Vec<u32> = self.parameters.iter().map(|parameter| parameter.declared_type).collect();
        let declared = types.iter().rposition(|declared| *declared != 0).map_or(0, |last| last + 1);
        types.truncate(declared);
        types
    }
}

impl fmt::Debug for Parameter {
    /// Its form and its size: what an agent sends is never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter")
            .field("declared_type", &self.declared_type)
            .field("resolved_type", &self.resolved_type)
            .field("format", &self.format)
            .field("bytes", &self.value.as_ref().map(Bytes::len))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_were_left_open_at_the_end_are_not_declared() {
        assert_eq!(Binding::declared(&[0, 23, 0, 0]).declared_types(), [0, 23]);
        assert!(Binding::declared(&[0, 0]).declared_types().is_empty());
    }

    #[test]
    fn debug_shows_no_value() {
        let parameter = Parameter { value: Some(Bytes::from_static(b"hunter2")), ..Parameter::default() };
        assert!(
            !format!("{:?}", Binding { parameters: vec![parameter], ..Binding::default() })
                .contains("hunter2")
        );
    }
}
