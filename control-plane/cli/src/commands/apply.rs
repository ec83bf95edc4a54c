//! `apply`: all documents are validated, here and by the control plane, before the first one is applied.

use countersign_wire::v1::{ApplyRequest, ApplyResponse, Change, Resource};
use serde::Serialize;
use tonic::Code;

use crate::{
    connection::{Connection, ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
};

use super::input::InputArgs;

/// What to apply, and whether to.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Validate only.
    #[arg(long)]
    dry_run: bool,
}

/// What became, or would become, of one document.
#[derive(Debug, Serialize)]
pub(crate) struct Applied {
    kind: String,
    name: String,
    change: &'static str,
}

/// What the control plane says about a document before anything is applied.
pub(crate) enum Validated {
    /// It is good, and this is what applying it would do.
    Known(Box<ApplyResponse>),
    /// It needs a resource that an earlier document of the file creates, so it can only be judged after that.
    Deferred,
}

pub(crate) async fn run(args: ApplyArgs, at: &ConnectionArgs, out: &mut Output) -> Result<Exit, Failure> {
    let resources = args.input.resources()?;
    let connection = at.connect().await?;
    let validated = validate(&connection, &resources).await?;
    let mut applied = Vec::with_capacity(resources.len());
    if args.dry_run {
        applied.extend(
            resources.iter().zip(&validated).map(|(resource, said)| Applied::new(resource, said.word())),
        );
        print(&applied, " (dry run)", out)?;
        return Ok(Exit::Done);
    }
    for resource in resources {
        match send(&connection, &resource, false).await {
            Ok(response) => applied.push(Applied::new(&resource, word(response.change()))),
            Err(failure) => {
                // What was done is a result even if the rest was not.
                print(&applied, "", out)?;
                return Err(failure.about(&subject(&resource)));
            }
        }
    }
    print(&applied, "", out)?;
    Ok(Exit::Done)
}

/// Asks about every document what applying it would do.
pub(crate) async fn validate(
    connection: &Connection,
    resources: &[Resource],
) -> Result<Vec<Validated>, Failure> {
    let mut validated = Vec::with_capacity(resources.len());
    let mut creates = false;
    for resource in resources {
        match send(connection, resource, true).await {
            Ok(response) => {
                creates |= response.change() == Change::Created;
                validated.push(Validated::Known(Box::new(response)));
            }
            Err(failure) if creates && is_missing_dependency(&failure) => validated.push(Validated::Deferred),
            Err(failure) => return Err(failure.about(&subject(resource))),
        }
    }
    Ok(validated)
}

impl Validated {
    /// The change as a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Known(response) => word(response.change()),
            Self::Deferred => "deferred",
        }
    }
}

impl Applied {
    /// What `change` did to a resource.
    pub(crate) fn new(resource: &Resource, change: &'static str) -> Self {
        Self { kind: resource.kind.clone(), name: resource.name.clone(), change }
    }
}

/// The change as a word.
fn word(change: Change) -> &'static str {
    match change {
        Change::Unspecified => "unknown",
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
    }
}

async fn send(connection: &Connection, resource: &Resource, dry_run: bool) -> Result<ApplyResponse, Failure> {
    let request = ApplyRequest { resource: Some(resource.clone()), dry_run };
    answer(connection.resources().apply(request)).await
}

/// What a control plane says of a reference to something that is not there (yet).
fn is_missing_dependency(failure: &Failure) -> bool {
    matches!(failure.code(), Some(Code::FailedPrecondition | Code::NotFound))
}

fn subject(resource: &Resource) -> String {
    format!("{} {}", resource.kind, resource.name)
}

fn print(applied: &[Applied], suffix: &str, out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(applied),
        Format::Table => applied
            .iter()
            .try_for_each(|one| out.line(&format!("{} {} {}{suffix}", one.kind, one.name, one.change))),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::output::tests::Captured;

    #[test]
    fn changes_are_printed_in_words() {
        let resource = Resource { kind: "Zone".into(), name: "dev".into(), ..Resource::default() };
        let applied = [Applied::new(&resource, word(Change::Created))];
        let captured = Captured::default();
        print(&applied, "", &mut captured.output(Format::Table)).expect("printed");
        assert_eq!(captured.text(), "Zone dev created\n");
        let captured = Captured::default();
        print(&applied, "", &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"items": [{"kind": "Zone", "name": "dev", "change": "created"}]})
        );
    }

    #[test]
    fn only_a_missing_dependency_is_deferred() {
        let missing = |code| is_missing_dependency(&Failure::from(Status::new(code, "x")));
        assert!(missing(Code::FailedPrecondition) && missing(Code::NotFound));
        assert!(!missing(Code::InvalidArgument) && !missing(Code::PermissionDenied));
        assert!(!is_missing_dependency(&Failure::failed("x")));
    }
}
