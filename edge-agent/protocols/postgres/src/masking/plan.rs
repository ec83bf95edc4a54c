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
    /// They are computed by the target, which may fail over one of them.
    pub(super) is_computed: bool,
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
        let origin = tags.origin((field.table, field.attribute));
        let is_computed = origin == Origin::Unresolved;
        let (client, record) = match origin {
            Origin::Untagged => (None, None),
            Origin::Unresolved => {
                let shows = Shows::of(output_at(outputs, place, count), tags);
                let label = match tags.classes() {
                    [] => None,
                    [class] => Some(label(class)),
                    _ => Some(MASKED.to_owned()),
                };
                let label: Option<Arc<str>> = label.map(Arc::from);
                let owed = label.clone().filter(|_| !duty.mask.is_empty() && shows == Shows::Nothing);
                (owed, label.filter(|_| shows != Shows::ToAll))
            }
            Origin::Tagged(classes) => {
                let owed = classes.iter().find(|class| duty.mask.contains(class));
                let of = |class: &Arc<str>| Arc::from(label(class));
                (owed.map(of), owed.or_else(|| classes.first()).map(of))
            }
        };
        Column { field, holds, client, record, is_computed }
    };
    fields.into_iter().enumerate().map(column).collect()
}

/// To whom a column of no origin is shown beside what is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// A plain count, which says nothing of any one value.
    ToAll,
    /// A constant, which is the caller's own: the recording covers what the text has of it, too.
    ToClient,
    Nothing,
}

impl Shows {
    /// What runs code of somebody's may do so by the name of a count, or by a cast of a constant.
    fn of(output: Option<&Output>, tags: &Tags) -> Self {
        match output {
            Some(Output::Count) if !tags.is_opaque() => Self::ToAll,
            Some(Output::Constant) if !tags.is_opaque() => Self::ToClient,
            Some(Output::Count | Output::Constant | Output::Star | Output::Other) | None => Self::Nothing,
        }
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
