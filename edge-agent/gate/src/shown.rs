//! What a recording shows of an operation: its words with what is sensitive in them covered.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use countersign_model::Binding;

/// An operation as the recording shows it. The protocol covers it, since it alone can tell values from words; what was
/// really sent is recorded beside it as a keyed hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    pub(crate) payload: Bytes,
    pub(crate) binding: Option<Binding>,
    pub(crate) labels: Vec<Option<Arc<str>>>,
    pub(crate) is_covered: bool,
}

impl Shown {
    /// All of it: nothing in it is sensitive.
    pub fn whole(payload: Bytes, binding: Option<Binding>) -> Self {
        Self { payload, binding, labels: Vec::new(), is_covered: false }
    }

    /// A text in which something was covered, and what it is executed with; a parameter with a label is shown as that,
    /// and its value is dropped here.
    pub fn covered(payload: Bytes, binding: Option<Binding>, labels: Vec<Option<Arc<str>>>) -> Self {
        let mut binding = binding;
        let parameters = binding.iter_mut().flat_map(|binding| &mut binding.parameters);
        for (parameter, _) in parameters.zip(&labels).filter(|(_, label)| label.is_some()) {
            parameter.value = parameter.value.is_some().then(Bytes::new);
        }
        Self { payload, binding, labels, is_covered: true }
    }

    /// The text.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// What it is executed with; a parameter that has a label has no value.
    pub fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }

    /// Of each parameter what stands for it; none, or fewer than there are parameters, where they are shown.
    pub fn labels(&self) -> &[Option<Arc<str>>] {
        &self.labels
    }

    /// Something in it is covered.
    pub fn is_covered(&self) -> bool {
        self.is_covered
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("bytes", &self.payload.len())
            .field("binding", &self.binding)
            .field("is_covered", &self.is_covered)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use countersign_model::Parameter;

    use super::*;

    #[test]
    fn a_parameter_with_a_label_has_no_value_left() {
        let parameter = |value: Option<&'static str>| Parameter {
            declared_type: 0,
            resolved_type: 25,
            format: 0,
            value: value.map(Bytes::from),
        };
        let parameters = vec![parameter(Some("a@b.example")), parameter(None), parameter(Some("c"))];
        let binding = Binding { parameters, result_formats: Vec::new(), row_limit: 0 };
        let label = || Some(Arc::from("[email]"));
        let shown = Shown::covered("select $1".into(), Some(binding), vec![label(), label(), None]);
        let values = shown.binding().unwrap().parameters.iter().map(|parameter| parameter.value.clone());
        assert_eq!(values.collect::<Vec<_>>(), [Some(Bytes::new()), None, Some("c".into())]);
    }
}
