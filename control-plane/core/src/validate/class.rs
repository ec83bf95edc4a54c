//! Data classes: columns that are there once, and detectors that are known.
//!
//! Whether the target has such a column is not looked at: it may come with the next migration, and should then
//! be masked from its first row on.

use std::collections::BTreeSet;

use countersign_model::Name;
use countersign_wire::{
    MAX_COLUMNS,
    v1::{DataClassSpec, Detector, TaggedColumn},
};

use super::optional_text;
use crate::declared::Declared;

/// Data classes of a deployment.
const MAX_CLASSES: usize = 200;
/// Tagged columns of all data classes together: each edge is told those of its zone in one message.
const MAX_ALL_COLUMNS: usize = 10_000;
/// Targets that a class names beside its columns.
const MAX_TARGETS: usize = 1_000;
/// Longest name of the catalog, in bytes.
const MAX_NAME: usize = 63;

/// Lists are sorted from here on.
pub(super) fn check(name: &Name, spec: DataClassSpec, declared: &Declared) -> Result<DataClassSpec, String> {
    optional_text("description", &spec.description)?;
    if spec.columns.is_empty() && spec.detectors.is_empty() {
        return Err("columns and detectors are missing: a data class needs one of them".into());
    }
    if spec.detectors.is_empty() && !spec.targets.is_empty() {
        return Err("targets says where detectors look, and there are none".into());
    }
    if spec.columns.len() > MAX_COLUMNS {
        return Err(format!("columns has more than {MAX_COLUMNS} entries"));
    }
    if spec.targets.len() > MAX_TARGETS {
        return Err(format!("targets has more than {MAX_TARGETS} entries"));
    }
    spec.columns.iter().try_for_each(check_column)?;
    check_room(name, &spec, declared)?;
    let known = |number: &i32| Detector::try_from(*number).is_ok_and(|known| known != Detector::Unspecified);
    if !spec.detectors.iter().all(known) {
        return Err("detectors holds one that is unknown".into());
    }
    let column = |column: &TaggedColumn| format!("column {}", path(column));
    let detector = |number: &i32| {
        format!("detector {}", Detector::try_from(*number).map_or("unknown", |known| known.as_str_name()))
    };
    Ok(DataClassSpec {
        columns: each_once(spec.columns, by_name, column)?,
        detectors: each_once(spec.detectors, |number| *number, detector)?,
        targets: each_once(spec.targets, Clone::clone, |target| format!("target {target:?}"))?,
        description: spec.description,
    })
}

/// The first target that the class names and that is not there.
pub(super) fn missing(spec: &DataClassSpec, declared: &Declared) -> Option<String> {
    let there = |target: &String| target.parse().is_ok_and(|name| declared.targets.contains_key(&name));
    named_targets(spec).find(|target| !there(target)).map(|target| format!("there is no target {target:?}"))
}

/// Every target that the class names, once or more.
pub(crate) fn named_targets(spec: &DataClassSpec) -> impl Iterator<Item = &String> {
    spec.columns.iter().map(|column| &column.target).chain(&spec.targets)
}

/// What was masked by `before` and is not by `after`, in words for the audit log.
pub(crate) fn uncovered(before: &DataClassSpec, after: Option<&DataClassSpec>) -> Vec<String> {
    let none = DataClassSpec::default();
    let after = after.unwrap_or(&none);
    let columns: BTreeSet<_> = after.columns.iter().map(by_name).collect();
    let untagged = before.columns.iter().filter(|column| !columns.contains(&by_name(column)));
    let mut words: Vec<String> = untagged.map(|column| format!("column {}", path(column))).collect();
    for detector in before.detectors() {
        let word = detector.as_str_name();
        match narrowed(before, after, detector) {
            Narrowed::No => {}
            Narrowed::Gone if before.targets.is_empty() => words.push(format!("{word} everywhere")),
            Narrowed::Gone => words.push(format!("{word} on {}", before.targets.join(", "))),
            Narrowed::To(targets) => words.push(format!("{word} everywhere but on {}", targets.join(", "))),
            Narrowed::By(targets) => words.push(format!("{word} on {}", targets.join(", "))),
        }
    }
    words
}

/// Where a detector does not look any more.
enum Narrowed {
    No,
    Gone,
    /// It looked everywhere and now looks here alone.
    To(Vec<String>),
    /// It looked here too.
    By(Vec<String>),
}

fn narrowed(before: &DataClassSpec, after: &DataClassSpec, detector: Detector) -> Narrowed {
    if !after.detectors().any(|left| left == detector) {
        return Narrowed::Gone;
    }
    if after.targets.is_empty() {
        return Narrowed::No;
    }
    if before.targets.is_empty() {
        return Narrowed::To(after.targets.clone());
    }
    let lost: Vec<String> =
        before.targets.iter().filter(|target| !after.targets.contains(target)).cloned().collect();
    if lost.is_empty() { Narrowed::No } else { Narrowed::By(lost) }
}

fn check_column(column: &TaggedColumn) -> Result<(), String> {
    let TaggedColumn { target: _, schema, relation, column } = column;
    for (field, name) in [("schema", schema), ("relation", relation), ("column", column)] {
        if name.is_empty() {
            return Err(format!("columns.{field} is missing"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("columns.{field} has more than {MAX_NAME} bytes: {name:?}"));
        }
        if name.chars().any(char::is_control) {
            return Err(format!("columns.{field} holds a control character: {name:?}"));
        }
    }
    Ok(())
}

/// Bounds on all classes together, with this one.
fn check_room(name: &Name, spec: &DataClassSpec, declared: &Declared) -> Result<(), String> {
    let others = || declared.classes.iter().filter(|(other, _)| *other != name).map(|(_, spec)| spec);
    if others().count() >= MAX_CLASSES {
        return Err(format!("there are {MAX_CLASSES} data classes already"));
    }
    let columns: usize = others().map(|other| other.columns.len()).sum();
    if columns + spec.columns.len() > MAX_ALL_COLUMNS {
        return Err(format!("all data classes together have more than {MAX_ALL_COLUMNS} columns"));
    }
    Ok(())
}

fn each_once<T, K: Ord>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> K,
    word: impl Fn(&T) -> String,
) -> Result<Vec<T>, String> {
    items.sort_by_key(&key);
    let twice = items.iter().zip(items.iter().skip(1)).find(|(one, next)| key(one) == key(next));
    match twice {
        Some((item, _)) => Err(format!("{} is there twice", word(item))),
        None => Ok(items),
    }
}

fn by_name(column: &TaggedColumn) -> [String; 4] {
    let TaggedColumn { target, schema, relation, column } = column;
    [target, schema, relation, column].map(Clone::clone)
}

fn path(column: &TaggedColumn) -> String {
    by_name(column).join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(columns: &[&str], detectors: &[Detector], targets: &[&str]) -> DataClassSpec {
        let column = |column: &&str| TaggedColumn {
            target: "shop".into(),
            schema: "public".into(),
            relation: "customers".into(),
            column: (*column).to_owned(),
        };
        DataClassSpec {
            columns: columns.iter().map(column).collect(),
            detectors: detectors.iter().map(|detector| i32::from(*detector)).collect(),
            targets: targets.iter().map(ToString::to_string).collect(),
            description: String::new(),
        }
    }

    #[test]
    fn what_is_not_masked_any_more_is_told() {
        use Detector::{Card, Email};
        let everywhere = spec(&["email", "phone"], &[Email, Card], &[]);
        let some = spec(&["email", "phone"], &[Email, Card], &["crm", "shop"]);
        for (before, after, told) in [
            (&everywhere, Some(spec(&["phone", "email", "fax"], &[Card, Email], &[])), &[][..]),
            (&some, Some(everywhere.clone()), &[]),
            (
                &everywhere,
                Some(spec(&["phone"], &[Email, Card], &[])),
                &["column shop/public/customers/email"],
            ),
            (
                &everywhere,
                Some(spec(&["email", "phone"], &[Card], &["shop"])),
                &["DETECTOR_EMAIL everywhere", "DETECTOR_CARD everywhere but on shop"],
            ),
            (
                &some,
                Some(spec(&["email", "phone"], &[Email, Card], &["shop", "hr"])),
                &["DETECTOR_EMAIL on crm", "DETECTOR_CARD on crm"],
            ),
            (
                &some,
                None,
                &[
                    "column shop/public/customers/email",
                    "column shop/public/customers/phone",
                    "DETECTOR_EMAIL on crm, shop",
                    "DETECTOR_CARD on crm, shop",
                ],
            ),
        ] {
            assert_eq!(uncovered(before, after.as_ref()), told);
        }
    }
}
