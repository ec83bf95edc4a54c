//! `diff`: what `apply` would change, judged by the control plane and shown field by field.

use countersign_wire::v1::{Change, GetResourceRequest, Resource};
use serde_json::Value;
use tonic::Code;

use crate::{
    connection::{Connection, ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
    resource::Document,
};

use super::{
    apply::{Applied, Validated, validate},
    input::InputArgs,
};

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    input: InputArgs,
}

pub(crate) async fn run(args: DiffArgs, at: &ConnectionArgs, out: &mut Output) -> Result<Exit, Failure> {
    let resources = args.input.resources()?;
    let connection = at.connect().await?;
    let validated = validate(&connection, &resources).await?;
    let changed = |said: &Validated| said.word() != "unchanged";
    match out.format() {
        Format::Json => {
            let rows = resources.iter().zip(&validated).map(|(one, said)| Applied::new(one, said.word()));
            out.json_items(&rows.collect::<Vec<_>>())?;
        }
        Format::Table => {
            for (resource, said) in resources.iter().zip(&validated).filter(|(_, said)| changed(said)) {
                show(&connection, resource, said, out).await?;
            }
        }
    }
    Ok(if validated.iter().any(changed) { Exit::Failed } else { Exit::Done })
}

async fn show(
    connection: &Connection,
    resource: &Resource,
    said: &Validated,
    out: &mut Output,
) -> Result<(), Failure> {
    out.line(&format!("{} {} {}", resource.kind, resource.name, said.word()))?;
    let (before, after) = match said {
        Validated::Known(response) if response.change() == Change::Updated => {
            let before = current(connection, resource).await?;
            (before, response.resource.as_ref().unwrap_or(resource))
        }
        Validated::Known(_) | Validated::Deferred => (None, resource),
    };
    let before = before.as_ref().map(Document::new).transpose()?;
    let lines =
        differences(before.as_ref().map_or(&Value::Null, Document::spec), Document::new(after)?.spec());
    lines.iter().try_for_each(|line| out.line(line))
}

/// The resource as the control plane has it.
async fn current(connection: &Connection, resource: &Resource) -> Result<Option<Resource>, Failure> {
    let request = GetResourceRequest { kind: resource.kind.clone(), name: resource.name.clone() };
    match answer(connection.resources().get_resource(request)).await {
        Ok(resource) => Ok(Some(resource)),
        Err(failure) if failure.code() == Some(Code::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Lines `- field: value` and `+ field: value` for every leaf that differs.
fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("spec", before, after, &mut lines);
    lines
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let side =
                    |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}.{key}"), &side(before), &side(after), lines);
            }
        }
        (Value::Null, Value::Object(_)) => {
            compare(path, &Value::Object(serde_json::Map::new()), after, lines)
        }
        (Value::Object(_), Value::Null) => {
            compare(path, before, &Value::Object(serde_json::Map::new()), lines)
        }
        (Value::String(before), Value::String(after)) if before.contains('\n') || after.contains('\n') => {
            compare_text(path, before, after, lines);
        }
        (before, after) => {
            lines.extend(
                [('-', before), ('+', after)]
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(sign, value)| format!("  {sign} {path}: {value}")),
            );
        }
    }
}

/// Texts of many lines: what lies between their common beginning and their common end.
fn compare_text(path: &str, before: &str, after: &str, lines: &mut Vec<String>) {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = |all: &[&str]| all.iter().skip(head).map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let (mut before, mut after) = (rest(&before), rest(&after));
    while before.last().is_some_and(|line| after.last() == Some(line)) {
        before.pop();
        after.pop();
    }
    lines.push(format!("    {path}, from line {}:", head + 1));
    lines.extend(before.iter().map(|line| format!("  - {line}")));
    lines.extend(after.iter().map(|line| format!("  + {line}")));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_specs_have_no_difference() {
        let spec = json!({"zone": "dev", "postgres": {"port": 1}});
        assert!(differences(&spec, &spec).is_empty());
    }

    #[test]
    fn leaves_are_compared_by_path() {
        let before = json!({"zone": "dev", "postgres": {"port": 1, "host": "a"}});
        let after = json!({"zone": "dev", "postgres": {"port": 2, "host": "a", "database": "d"}});
        assert_eq!(
            differences(&before, &after),
            ["  - spec.postgres.port: 1", "  + spec.postgres.port: 2", "  + spec.postgres.database: \"d\""]
        );
        assert_eq!(differences(&Value::Null, &json!({"audience": "a"})), ["  + spec.audience: \"a\""]);
        assert_eq!(differences(&json!({"a": {"b": 1}}), &json!({})), ["  - spec.a.b: 1"]);
    }

    #[test]
    fn texts_are_compared_by_line() {
        let lines = differences(&json!({"p": "a\nb\nc\n"}), &json!({"p": "a\nx\ny\nc\n"}));
        assert_eq!(lines, ["    spec.p, from line 2:", "  - b", "  + x", "  + y"]);
    }
}
