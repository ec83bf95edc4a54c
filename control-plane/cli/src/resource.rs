//! Resources as people write them: YAML documents `{kind, name, spec}`, where `spec` is the proto-JSON of the kind's
//! message. Reading is strict: what is unknown, missing, mistyped or there twice is an error that names the document
//! and the field, because a misspelt field of an access rule must not be a field left out.

use std::{collections::BTreeSet, fmt, str::FromStr};

use countersign_model::Name;
use countersign_wire::v1::{Resource, resource::Spec};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    proto_json::{from_json, to_json},
};

/// What an admin can apply, in the order in which they depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A network zone.
    Zone,
    /// A protected resource.
    Target,
    /// What is sensitive.
    DataClass,
    /// A registered caller.
    Agent,
    /// A set of policies.
    PolicyBundle,
}

/// A resource as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    kind: String,
    name: String,
    spec: Value,
}

/// The resources of a multi-document YAML text, sorted so that each comes after what it depends on.
///
/// # Errors
/// A usage [`Failure`] that says which document is wrong and where.
pub fn parse_documents(yaml: &str) -> Result<Vec<Resource>, Failure> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| Failure::usage(error.to_string()))?;
    let mut resources = Vec::with_capacity(documents.len());
    let mut seen = BTreeSet::new();
    for (at, document) in documents.into_iter().enumerate() {
        let place = format!("document {}{}", at + 1, title(&document));
        let (kind, resource) =
            resource(document).map_err(|fault| Failure::usage(format!("{place}: {fault}")))?;
        if !seen.insert((kind, resource.name.clone())) {
            return Err(Failure::usage(format!("{place}: the same resource is in the file twice")));
        }
        resources.push((kind, resource));
    }
    if resources.is_empty() {
        return Err(Failure::usage("there is no document in the file"));
    }
    resources.sort_by_key(|(kind, _)| *kind);
    Ok(resources.into_iter().map(|(_, resource)| resource).collect())
}

impl Document {
    /// A resource as it was applied.
    pub(crate) fn new(resource: &Resource) -> Result<Self, Failure> {
        let spec = match &resource.spec {
            Some(Spec::Zone(spec)) => to_json(spec)?,
            Some(Spec::Target(spec)) => to_json(spec)?,
            Some(Spec::DataClass(spec)) => to_json(spec)?,
            Some(Spec::Agent(spec)) => to_json(spec)?,
            Some(Spec::PolicyBundle(spec)) => to_json(spec)?,
            None => Value::Null,
        };
        Ok(Self { kind: resource.kind.clone(), name: resource.name.clone(), spec })
    }

    /// The kind's own part.
    pub(crate) fn spec(&self) -> &Value {
        &self.spec
    }

    /// YAML that [`parse_documents`] reads back.
    pub(crate) fn yaml(&self) -> Result<String, Failure> {
        serde_saphyr::to_string(self).map_err(|error| Failure::failed(error.to_string()))
    }
}

impl Kind {
    const ALL: [Self; 5] = [Self::Zone, Self::Target, Self::DataClass, Self::Agent, Self::PolicyBundle];

    /// The kind as documents and the admin API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "Zone",
            Self::Target => "Target",
            Self::DataClass => "DataClass",
            Self::Agent => "Agent",
            Self::PolicyBundle => "PolicyBundle",
        }
    }

    fn spec(self, json: &Value) -> Result<Spec, String> {
        Ok(match self {
            Self::Zone => Spec::Zone(from_json(json)?),
            Self::Target => Spec::Target(from_json(json)?),
            Self::DataClass => Spec::DataClass(from_json(json)?),
            Self::Agent => Spec::Agent(from_json(json)?),
            Self::PolicyBundle => Spec::PolicyBundle(from_json(json)?),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As people type it on a command line: in any case, singular or plural, `class` for `DataClass` and `policy` for
/// `PolicyBundle`.
impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "zone" | "zones" => Ok(Self::Zone),
            "target" | "targets" => Ok(Self::Target),
            "dataclass" | "dataclasses" | "class" | "classes" => Ok(Self::DataClass),
            "agent" | "agents" => Ok(Self::Agent),
            "policybundle" | "policybundles" | "policy" | "policies" => Ok(Self::PolicyBundle),
            _ => Err(format!("expected one of {}", Self::ALL.map(Self::as_str).join(", "))),
        }
    }
}

fn resource(document: Value) -> Result<(Kind, Resource), String> {
    let Value::Object(mut fields) = document else {
        return Err("expected a mapping with kind, name and spec".to_owned());
    };
    let kind = text(&mut fields, "kind")?;
    let kind = Kind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| format!("kind: expected one of {}", Kind::ALL.map(Kind::as_str).join(", ")))?;
    let name = text(&mut fields, "name")?;
    name.parse::<Name>().map_err(|error| format!("name: {error}"))?;
    let spec = fields.remove("spec").ok_or("spec: missing")?;
    if let Some(unknown) = fields.keys().next() {
        return Err(format!("{unknown}: unknown field; there are kind, name and spec"));
    }
    let spec = kind.spec(&spec).map_err(|fault| format!("spec.{fault}"))?;
    Ok((kind, Resource { kind: kind.to_string(), name, spec: Some(spec), version: 0 }))
}

fn text(fields: &mut Map<String, Value>, field: &str) -> Result<String, String> {
    match fields.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{field}: expected a text")),
        None => Err(format!("{field}: missing")),
    }
}

/// What a document says that it is, for messages about it.
fn title(document: &Value) -> String {
    let field = |name: &str| document.get(name).and_then(Value::as_str);
    match (field("kind"), field("name")) {
        (Some(kind), Some(name)) => format!(" ({kind} {name})"),
        (Some(kind), None) => format!(" ({kind})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
