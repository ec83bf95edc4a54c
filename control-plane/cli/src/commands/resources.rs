//! `zones`, `targets`, `classes`, `agents` and `policies`: the resources that admins write. One is shown as the YAML that
//! `apply` takes.

use countersign_wire::v1::{
    AgentSpec, ApprovedOn, DataClassSpec, DeleteResourceRequest, Detector, GetResourceRequest, IdentitySpec,
    ListResourcesRequest, PolicyBundleSpec, Resource, TargetSpec, ZoneSpec, resource::Spec,
};

use crate::{
    connection::{Connection, ConnectionArgs, all_pages, answer},
    failure::{Exit, Failure},
    output::{Format, Output},
    proto_json::to_json,
    resource::{Document, Kind},
};

use super::revocation;

/// What to do with the resources of a kind.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ResourceCommand {
    /// All of them.
    List,
    /// One of them.
    Show {
        /// Its name.
        name: String,
    },
    /// Removes one that nothing depends on. An agent's sessions are ended; exit 4 if nobody confirms that they are
    /// cut.
    Delete {
        /// Its name.
        name: String,
    },
}

pub(crate) async fn run(
    kind: Kind,
    command: ResourceCommand,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let connection = at.connect().await?;
    match command {
        ResourceCommand::List => list(kind, &connection, out).await,
        ResourceCommand::Show { name } => show(kind, name, &connection, out).await,
        ResourceCommand::Delete { name } => delete(kind, name, &connection, out).await,
    }
}

/// Prints all resources of a kind.
pub(crate) async fn list(kind: Kind, connection: &Connection, out: &mut Output) -> Result<Exit, Failure> {
    let resources = all_pages(async |page_token| {
        let request = ListResourcesRequest { kind: kind.to_string(), page_size: 0, page_token };
        let page = answer(connection.resources().list_resources(request)).await?;
        Ok((page.resources, page.next_page_token))
    })
    .await?;
    print_list(kind, &resources, out)?;
    Ok(Exit::Done)
}

/// Prints one resource.
pub(crate) async fn show(
    kind: Kind,
    name: String,
    connection: &Connection,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let request = GetResourceRequest { kind: kind.to_string(), name };
    let resource = answer(connection.resources().get_resource(request)).await?;
    let document = Document::new(&resource)?;
    match out.format() {
        Format::Json => out.json(&document)?,
        Format::Table => out.lines(&document.yaml()?)?,
    }
    Ok(Exit::Done)
}

async fn delete(
    kind: Kind,
    name: String,
    connection: &Connection,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let request = DeleteResourceRequest { kind: kind.to_string(), name: name.clone() };
    let deleted = answer(connection.resources().delete_resource(request)).await?;
    let revocation = match kind {
        // Unconfirmed unless somebody says otherwise.
        Kind::Agent => Some(deleted.revocation.unwrap_or_default()),
        Kind::Zone | Kind::Target | Kind::DataClass | Kind::PolicyBundle => deleted.revocation,
    };
    match out.format() {
        Format::Json => out.json(&to_json(&deleted)?)?,
        Format::Table => {
            revocation::print(&format!("{kind} {name} deleted"), revocation.as_ref(), out)?;
        }
    }
    Ok(revocation.as_ref().map_or(Exit::Done, revocation::exit))
}

fn print_list(kind: Kind, resources: &[Resource], out: &mut Output) -> Result<(), Failure> {
    if out.format() == Format::Json {
        return out.json_items(&resources.iter().map(Document::new).collect::<Result<Vec<_>, _>>()?);
    }
    match kind {
        Kind::Zone => out.table(["NAME", "AUDIENCE"], &rows(resources, zone)),
        Kind::Target => out.table(
            ["NAME", "ZONE", "ADDRESS", "DATABASE", "STANDING ROLE", "APPROVED ROLE"],
            &rows(resources, target),
        ),
        Kind::DataClass => {
            out.table(["NAME", "COLUMNS", "DETECTORS", "ON", "DESCRIPTION"], &rows(resources, data_class))
        }
        Kind::Agent => out.table(["NAME", "OBJECT ID", "APP ID", "DESCRIPTION"], &rows(resources, agent)),
        Kind::PolicyBundle => out.table(["NAME", "VERSION", "LINES"], &rows(resources, policy_bundle)),
    }
}

fn rows<const N: usize>(resources: &[Resource], row: fn(&Resource) -> [String; N]) -> Vec<[String; N]> {
    resources.iter().map(row).collect()
}

fn zone(resource: &Resource) -> [String; 2] {
    let Some(Spec::Zone(ZoneSpec { audience })) = &resource.spec else { return named(resource) };
    [resource.name.clone(), audience.clone()]
}

fn target(resource: &Resource) -> [String; 6] {
    let Some(Spec::Target(target)) = &resource.spec else { return named(resource) };
    let TargetSpec { zone, postgres, standing, approved, .. } = target;
    let postgres = postgres.clone().unwrap_or_default();
    let port = if postgres.port == 0 { 5432 } else { postgres.port };
    let approved = match target.approved_on() {
        ApprovedOn::Unspecified => role(approved.as_ref()),
        ApprovedOn::SameConnection => "the standing one".to_owned(),
    };
    [
        resource.name.clone(),
        zone.clone(),
        format!("{}:{port}", postgres.host),
        postgres.database,
        role(standing.as_ref()),
        approved,
    ]
}

/// The role that an identity logs in as.
fn role(identity: Option<&IdentitySpec>) -> String {
    match identity {
        Some(IdentitySpec { agent_roles, .. }) if !agent_roles.is_empty() => "one per agent".to_owned(),
        Some(IdentitySpec { login_role, .. }) => login_role.clone(),
        None => String::new(),
    }
}

/// Its columns are counted: `show` has them.
fn data_class(resource: &Resource) -> [String; 5] {
    let Some(Spec::DataClass(class)) = &resource.spec else { return named(resource) };
    let DataClassSpec { columns, detectors, targets, description } = class;
    let detectors: Vec<&str> = detectors.iter().map(|number| detector(*number)).collect();
    let on = match (detectors.is_empty(), targets.is_empty()) {
        (true, _) => String::new(),
        (false, true) => "every target".to_owned(),
        (false, false) => targets.join(", "),
    };
    [resource.name.clone(), columns.len().to_string(), detectors.join(", "), on, description.clone()]
}

fn detector(number: i32) -> &'static str {
    let known =
        Detector::try_from(number).ok().and_then(|known| countersign_model::Detector::try_from(known).ok());
    known.map_or("unknown", countersign_model::Detector::as_str)
}

fn agent(resource: &Resource) -> [String; 4] {
    let Some(Spec::Agent(AgentSpec { object_id, app_id, description, .. })) = &resource.spec else {
        return named(resource);
    };
    [resource.name.clone(), object_id.clone(), app_id.clone(), description.clone()]
}

fn policy_bundle(resource: &Resource) -> [String; 3] {
    let Some(Spec::PolicyBundle(PolicyBundleSpec { policies })) = &resource.spec else {
        return named(resource);
    };
    [resource.name.clone(), resource.version.to_string(), policies.lines().count().to_string()]
}

/// The row of a resource whose spec is not of its kind: its name, and nothing that we would have to guess.
fn named<const N: usize>(resource: &Resource) -> [String; N] {
    let mut name = Some(resource.name.clone());
    std::array::from_fn(|_| name.take().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::tests::Captured, resource::parse_documents};

    fn printed(kind: Kind, format: Format) -> String {
        let yaml = include_str!("../../../../deploy/examples/shop.yaml");
        let resources: Vec<_> = parse_documents(yaml)
            .expect("the example")
            .into_iter()
            .filter(|resource| resource.kind == kind.as_str())
            .collect();
        let captured = Captured::default();
        print_list(kind, &resources, &mut captured.output(format)).expect("printed");
        captured.text()
    }

    #[test]
    fn every_kind_has_its_table() {
        assert!(printed(Kind::Zone, Format::Table).starts_with("NAME  AUDIENCE\ndev   "));
        let targets = printed(Kind::Target, Format::Table);
        assert!(targets.contains("shop  dev   ") && targets.contains(":5432"), "{targets}");
        let classes = printed(Kind::DataClass, Format::Table);
        assert!(classes.contains("\nemail  1        email      every target"), "{classes}");
        let agents = printed(Kind::Agent, Format::Table);
        assert!(agents.contains("\nreader ") && agents.contains("\nwriter "), "{agents}");
        assert!(printed(Kind::PolicyBundle, Format::Table).contains("\nshop  0        "));
    }

    #[test]
    fn lists_as_json_are_documents() {
        let json: serde_json::Value = serde_json::from_str(&printed(Kind::Zone, Format::Json)).expect("JSON");
        assert_eq!(json.pointer("/items/0/kind"), Some(&"Zone".into()));
        assert!(json.pointer("/items/0/spec/audience").is_some());
    }

    #[test]
    fn the_roles_of_a_target_are_told() {
        let identity =
            |login_role: &str| IdentitySpec { login_role: login_role.into(), ..Default::default() };
        let row = |spec: TargetSpec| {
            let [_, _, _, _, standing, approved] =
                target(&Resource { spec: Some(Spec::Target(spec)), ..Resource::default() });
            (standing, approved)
        };
        let own =
            TargetSpec { standing: Some(identity("r")), approved: Some(identity("w")), ..Default::default() };
        assert_eq!(row(own.clone()), ("r".into(), "w".into()));
        let same =
            TargetSpec { approved: None, approved_on: ApprovedOn::SameConnection.into(), ..own.clone() };
        assert_eq!(row(same), ("r".into(), "the standing one".into()));
        let agent_roles = [("writer".to_owned(), "w1".to_owned())].into();
        let per_agent = IdentitySpec { agent_roles, ..IdentitySpec::default() };
        assert_eq!(
            row(TargetSpec { approved: Some(per_agent), ..own }),
            ("r".into(), "one per agent".into())
        );
        assert_eq!(row(TargetSpec::default()), (String::new(), String::new()));
    }

    #[test]
    fn a_resource_without_its_spec_still_has_its_row() {
        let resource = Resource { name: "odd".into(), ..Resource::default() };
        assert_eq!(target(&resource), ["odd", "", "", "", "", ""].map(str::to_owned));
        assert_eq!(data_class(&resource), ["odd", "", "", "", ""].map(str::to_owned));
        let class = DataClassSpec {
            detectors: vec![Detector::Ssn.into(), 99],
            targets: vec!["crm".into(), "shop".into()],
            ..DataClassSpec::default()
        };
        let resource = Resource { spec: Some(Spec::DataClass(class)), ..resource };
        assert_eq!(data_class(&resource), ["odd", "0", "ssn, unknown", "crm, shop", ""].map(str::to_owned));
    }
}
