//! `edges`: who has enrolled, the one-time token with which the next one can, and how one is shut out.

use countersign_wire::v1::{CreateJoinTokenRequest, DeleteEdgeRequest, Edge, ListEdgesRequest};

use crate::{
    connection::{Connection, ConnectionArgs, answer},
    failure::{Exit, Failure},
    output::{Format, Output, instant},
    proto_json::{all_to_json, to_json},
};

use super::revocation;

/// What to do with edges.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum EdgeCommand {
    /// All that have enrolled.
    List,
    /// One of them.
    Show {
        /// Name of the edge.
        name: String,
    },
    /// Makes a token with which one edge can enrol once; it is shown here and never again.
    JoinToken {
        /// Zone that the edge will serve.
        #[arg(long, value_name = "ZONE")]
        zone: String,
    },
    /// Shuts an edge out: it is cut off at once, and its certificate is worth nothing from then on. Exit 4 if it
    /// does not confirm that its sessions are cut.
    Delete {
        /// Name of the edge.
        name: String,
    },
}

pub(crate) async fn run(
    command: EdgeCommand,
    at: &ConnectionArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let connection = at.connect().await?;
    match command {
        EdgeCommand::List => {
            let listed = answer(connection.edges().list_edges(ListEdgesRequest {})).await?;
            print_list(&listed.edges, out)?;
        }
        EdgeCommand::Show { name } => {
            let listed = answer(connection.edges().list_edges(ListEdgesRequest {})).await?;
            let edge = listed.edges.iter().find(|edge| edge.name == name);
            print_one(edge.ok_or_else(|| Failure::failed(format!("there is no edge {name}")))?, out)?;
        }
        EdgeCommand::JoinToken { zone } => join_token(zone, &connection, out).await?,
        EdgeCommand::Delete { name } => {
            let request = DeleteEdgeRequest { name: name.clone() };
            let deleted = answer(connection.edges().delete_edge(request)).await?;
            // Unconfirmed unless somebody says otherwise.
            let revocation = deleted.revocation.unwrap_or_default();
            match out.format() {
                Format::Json => out.json(&to_json(&deleted)?)?,
                Format::Table => revocation::print(&format!("edge {name} deleted"), Some(&revocation), out)?,
            }
            return Ok(revocation::exit(&revocation));
        }
    }
    Ok(Exit::Done)
}

async fn join_token(zone: String, connection: &Connection, out: &mut Output) -> Result<(), Failure> {
    let made =
        answer(connection.edges().create_join_token(CreateJoinTokenRequest { zone, ttl: None })).await?;
    if out.format() == Format::Json {
        return out.json(&to_json(&made)?);
    }
    if let Some(expires_at) = &made.expires_at {
        eprintln!("valid once, until {expires_at}");
    }
    out.line(&made.join_token)
}

fn print_list(edges: &[Edge], out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Json => out.json_items(&all_to_json(edges)?),
        Format::Table => {
            let rows: Vec<_> = edges.iter().map(row).collect();
            out.table(["NAME", "ZONE", "ATTACHED", "LEASE UNTIL", "VERSION", "ENROLLED"], &rows)
        }
    }
}

fn print_one(edge: &Edge, out: &mut Output) -> Result<(), Failure> {
    if out.format() == Format::Json {
        return out.json(&to_json(edge)?);
    }
    let [name, zone, attached, lease, version, enrolled] = row(edge);
    out.properties(&[
        ("name", name),
        ("zone", zone),
        ("attached", attached),
        ("lease until", lease),
        ("version", version),
        ("enrolled", enrolled),
    ])
}

fn row(edge: &Edge) -> [String; 6] {
    let attached = if edge.attached { "yes" } else { "no" };
    [
        edge.name.clone(),
        edge.zone.clone(),
        attached.to_owned(),
        instant(edge.lease_expires_at.as_ref()),
        edge.version.clone(),
        instant(edge.enrolled_at.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::Captured;

    #[test]
    fn to_delete_an_edge_is_to_name_it() {
        use clap::Subcommand as _;
        let read = |line: &str| {
            EdgeCommand::augment_subcommands(clap::Command::new("edges"))
                .try_get_matches_from(line.split(' '))
        };
        assert!(read("edges delete edge-1").is_ok());
        assert!(read("edges delete").is_err());
    }

    #[test]
    fn one_edge_is_its_properties_or_its_message() {
        let edge = Edge { name: "e1".into(), zone: "dev".into(), ..Edge::default() };
        let captured = Captured::default();
        print_one(&edge, &mut captured.output(Format::Table)).expect("printed");
        assert!(captured.text().lines().any(|line| line.contains("zone") && line.contains("dev")));
        let captured = Captured::default();
        print_one(&edge, &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(json, serde_json::json!({"name": "e1", "zone": "dev"}));
    }

    #[test]
    fn an_edge_is_a_row_or_its_message() {
        let edge = Edge { name: "e1".into(), zone: "dev".into(), attached: true, ..Edge::default() };
        let captured = Captured::default();
        print_list(std::slice::from_ref(&edge), &mut captured.output(Format::Table)).expect("printed");
        assert_eq!(captured.text().lines().nth(1), Some("e1    dev   yes       -            -        -"));
        let captured = Captured::default();
        print_list(&[edge], &mut captured.output(Format::Json)).expect("printed");
        let json: serde_json::Value = serde_json::from_str(&captured.text()).expect("JSON");
        assert_eq!(json, serde_json::json!({"items": [{"name": "e1", "zone": "dev", "attached": true}]}));
    }
}
