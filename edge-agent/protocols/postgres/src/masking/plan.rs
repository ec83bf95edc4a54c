//! Which columns of a result are covered, for the client and in the recording.

use std::sync::Arc;

use countersign_gate::{Duty, ShownColumn};
use countersign_sql::Output;

use super::{
    cover::Holds,
    look::{MASKED, label},
    tags::{Origin, Tags},
};
use crate::codec::backend::Field;

/// A column of a result.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) field: Field,
    pub(super) holds: Holds,
    /// What stands for its values where the client sees them.
    pub(super) client: Option<Arc<str>>,
    /// What stands for them in the recording.
    pub(super) record: Option<Arc<str>>,
}

impl Column {
    /// As the recording shows it.
    pub(super) fn shown(&self) -> ShownColumn {
        let Field { name, type_id, format, .. } = self.field.clone();
        ShownColumn { name, type_id, format, label: self.record.clone() }
    }
}

/// The columns of a result by what was decided.
pub(super) fn columns(fields: Vec<Field>, tags: &Tags, outputs: &[Output], duty: &Duty) -> Vec<Column> {
    let count = fields.len();
    let column = |(place, field): (usize, Field)| {
        let holds = Holds::of(field.type_id, field.format);
        let (client, record) = match tags.origin((field.table, field.attribute)) {
            Origin::Untagged => (None, None),
            Origin::Unresolved if is_shown(output_at(outputs, place, count), tags) => (None, None),
            Origin::Unresolved => {
                let label = match tags.classes() {
                    [] => None,
                    [class] => Some(label(class)),
                    _ => Some(MASKED.to_owned()),
                };
                let label: Option<Arc<str>> = label.map(Arc::from);
                (label.clone().filter(|_| !duty.mask.is_empty()), label)
            }
            Origin::Tagged(classes) => {
                let owed = classes.iter().find(|class| duty.mask.contains(class));
                let of = |class: &Arc<str>| Arc::from(label(class));
                (owed.map(of), owed.or_else(|| classes.first()).map(of))
            }
        };
        Column { field, holds, client, record }
    };
    fields.into_iter().enumerate().map(column).collect()
}

/// Whether what a column is says nothing of any one value. What runs code of somebody's may do so by the name of a count, or
/// by a cast of a constant.
fn is_shown(output: Option<&Output>, tags: &Tags) -> bool {
    match output {
        Some(Output::Count | Output::Constant) => !tags.is_opaque(),
        Some(Output::Star | Output::Other) | None => false,
    }
}

/// What the column at a place is by the text. A star stands for any number of columns, so behind one it is counted from
/// the end.
fn output_at(outputs: &[Output], place: usize, count: usize) -> Option<&Output> {
    let is_star = |output: &Output| *output == Output::Star;
    match (outputs.iter().position(is_star), outputs.iter().rposition(is_star)) {
        (Some(first), _) if place < first => outputs.get(place),
        (Some(_), Some(last)) => {
            let from_end = count.saturating_sub(place);
            outputs.len().checked_sub(from_end).filter(|at| *at > last).and_then(|at| outputs.get(at))
        }
        _ if outputs.len() == count => outputs.get(place),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_found_around_stars() {
        use Output::{Count, Other, Star};
        let at = |outputs: &[Output], count: usize| -> Vec<usize> {
            (0..count).filter(|place| output_at(outputs, *place, count) == Some(&Count)).collect()
        };
        assert_eq!(at(&[Count, Other, Count], 3), [0, 2]);
        assert_eq!(at(&[Count, Other], 3), [] as [usize; 0]);
        assert_eq!(at(&[Count, Star, Count], 5), [0, 4]);
        assert_eq!(at(&[Star, Count, Star, Other], 6), [] as [usize; 0]);
        assert_eq!(at(&[Count, Star], 1), [0]);
        assert_eq!(at(&[], 2), [] as [usize; 0]);
    }
}
