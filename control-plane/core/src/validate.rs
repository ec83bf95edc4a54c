//! What must hold of a resource before it is taken. Faults are sentences for the admin who wrote it.

mod address;
mod agent;
mod class;
mod target;

pub(crate) use class::{named_targets, uncovered};

use countersign_model::Name;
use countersign_wire::v1::resource::Spec;
use uuid::Uuid;

use crate::{declared::Declared, in_force};

/// Longest free text in a resource, in bytes.
const MAX_TEXT: usize = 1_024;

/// Checks a spec against itself and against all that is declared, and gives it its one spelling (GUIDs in lower case).
pub(crate) fn check(
    name: &Name,
    spec: Spec,
    declared: &Declared,
    admin_audience: &str,
) -> Result<Spec, String> {
    match spec {
        Spec::Zone(zone) => {
            text("audience", &zone.audience)?;
            if zone.audience.eq_ignore_ascii_case(admin_audience) {
                return Err("audience must not be the admin side's: its tokens would serve for both".into());
            }
            Ok(Spec::Zone(zone))
        }
        Spec::Target(spec) => target::check(name, spec, declared).map(Spec::Target),
        Spec::DataClass(spec) => class::check(name, spec, declared).map(Spec::DataClass),
        Spec::Agent(spec) => agent::check(name, spec, declared).map(Spec::Agent),
        Spec::PolicyBundle(spec) => {
            let mut proposed = declared.clone();
            proposed.put(name.clone(), Spec::PolicyBundle(spec.clone()));
            in_force::compile(&proposed).map_err(|error| error.to_string())?;
            Ok(Spec::PolicyBundle(spec))
        }
    }
}

/// What the spec refers to and is not there: it may come yet, unlike what is wrong with the spec itself.
pub(crate) fn missing(spec: &Spec, declared: &Declared) -> Option<String> {
    match spec {
        Spec::Target(spec) => {
            let there = spec.zone.parse().is_ok_and(|zone| declared.zones.contains_key(&zone));
            (!there).then(|| format!("there is no zone {:?}", spec.zone))
        }
        Spec::DataClass(spec) => class::missing(spec, declared),
        Spec::Zone(_) | Spec::Agent(_) | Spec::PolicyBundle(_) => None,
    }
}

/// There, not too long, and of printable characters only.
fn text(field: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{field} is missing"));
    }
    optional_text(field, value)
}

fn optional_text(field: &str, value: &str) -> Result<(), String> {
    if value.len() > MAX_TEXT {
        return Err(format!("{field} has more than {MAX_TEXT} bytes"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!("{field} holds a control character"));
    }
    Ok(())
}

/// A hyphenated GUID, in lower case from here on.
fn guid(field: &str, value: &str) -> Result<String, String> {
    let hyphenated = Some(value).filter(|value| value.len() == 36);
    let id = hyphenated.and_then(|value| Uuid::try_parse(value).ok());
    id.map(|id| id.hyphenated().to_string()).ok_or_else(|| format!("{field} must be a GUID"))
}
