//! The directory that development and the story use: one tenant, the two APIs, three agents, the people around them,
//! and one application per identity of each target. Every identifier follows from its name, so restarts change nothing.

use std::collections::BTreeMap;

use crate::directory::{App, Directory, FederatedCredential, Resource, Tenant, TokenVersion, User};
use crate::guid::Guid;

/// The audience of a federated assertion in the public cloud.
pub const TOKEN_EXCHANGE: &str = "api://AzureADTokenExchange";

/// What the caller decides.
#[derive(Debug, Clone)]
pub struct DevelopmentParams {
    /// Issuer URL of the control plane, `https`, exactly as its assertions say it.
    pub issuer: String,
    /// Deployment name in the assertions' subjects.
    pub deployment: String,
    /// Ids of the targets; each gets the identities `standing`, `metadata` and `approved`.
    pub targets: Vec<String>,
    /// Client id of the zone's gateway API, the audience of agents' tokens; made from its name unless given.
    pub gateway_audience: Option<Guid>,
    /// Client id of the admin API; made from its name unless given.
    pub admin_audience: Option<Guid>,
}

/// An application's two identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// Application (client) id.
    pub client_id: Guid,
    /// Object id of the service principal, the `oid` of its tokens.
    pub object_id: Guid,
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct DevelopmentIds {
    /// The tenant.
    pub tenant: Guid,
    /// Client id (audience) of the gateway API.
    pub gateway: Guid,
    /// Client id (audience) of the admin API; its app roles are `countersign.admin`, `countersign.auditor` and `dba`.
    pub admin: Guid,
    /// `reader`, `writer`, `stranger`.
    pub agents: BTreeMap<String, Principal>,
    /// To their object ids: `dana`, `omar` and `sponsor` (all `dba`; the last is for agents to be owned by), `admin`
    /// (`countersign.admin`), `auditor` (`countersign.auditor`), and `eve`, who has no role.
    pub users: BTreeMap<String, Guid>,
    /// `shop-standing` and its like.
    pub identities: BTreeMap<String, Principal>,
}

/// Builds the directory. No database server is set: the caller knows the role names.
pub fn directory(params: &DevelopmentParams) -> (Directory, DevelopmentIds) {
    let tenant = Guid::named("countersign-dev/tenant");
    let gateway = params.gateway_audience.unwrap_or_else(|| Guid::named("countersign-dev/app/gateway"));
    let admin = params.admin_audience.unwrap_or_else(|| Guid::named("countersign-dev/app/admin-api"));
    let mut apps = vec![api("gateway", gateway), api("admin-api", admin)];

    let agents = ["reader", "writer", "stranger"].map(|name| (name.to_owned(), principal(name)));
    apps.extend(agents.iter().map(|(name, ids)| {
        let subject = format!("agent:{}", ids.client_id);
        App { federated_credentials: vec![trust(params, &subject)], ..app(name, *ids) }
    }));

    let mut identities = BTreeMap::new();
    for target in &params.targets {
        for identity in ["standing", "metadata", "approved"] {
            let name = format!("{target}-{identity}");
            let ids = principal(&name);
            let subject = format!("target:{target}:{identity}");
            apps.push(App { federated_credentials: vec![trust(params, &subject)], ..app(&name, ids) });
            identities.insert(name, ids);
        }
    }

    let users: Vec<User> = [
        ("dana", Some("dba")),
        ("omar", Some("dba")),
        ("sponsor", Some("dba")),
        ("admin", Some("countersign.admin")),
        ("auditor", Some("countersign.auditor")),
        ("eve", None),
    ]
    .map(|(name, role)| user(name, admin, role))
    .into();
    let ids = DevelopmentIds {
        tenant,
        gateway,
        admin,
        agents: agents.into(),
        users: users.iter().map(|user| (user.name.clone(), user.oid)).collect(),
        identities,
    };
    (Directory { tenants: vec![Tenant { id: tenant, apps, users }], postgres: None }, ids)
}

/// In the deployment's own assertions for one subject.
fn trust(params: &DevelopmentParams, subject: &str) -> FederatedCredential {
    FederatedCredential {
        name: "countersign".to_owned(),
        issuer: params.issuer.clone(),
        subject: format!("cs:{}:{subject}", params.deployment),
        audience: TOKEN_EXCHANGE.to_owned(),
    }
}

fn principal(name: &str) -> Principal {
    Principal {
        client_id: Guid::named(&format!("countersign-dev/app/{name}")),
        object_id: Guid::named(&format!("countersign-dev/service-principal/{name}")),
    }
}

fn app(name: &str, ids: Principal) -> App {
    App {
        client_id: ids.client_id,
        object_id: ids.object_id,
        name: name.to_owned(),
        federated_credentials: Vec::new(),
        resource: None,
        app_roles: BTreeMap::new(),
        blueprint: None,
    }
}

fn api(name: &str, client_id: Guid) -> App {
    let resource = Resource {
        access_token_version: TokenVersion::V2,
        identifier_uris: vec![format!("api://{client_id}")],
        app_role_assignment_required: false,
    };
    App { resource: Some(resource), ..app(name, Principal { client_id, ..principal(name) }) }
}

fn user(name: &str, resource: Guid, role: Option<&str>) -> User {
    User {
        oid: Guid::named(&format!("countersign-dev/user/{name}")),
        upn: format!("{name}@contoso.example"),
        name: name.to_owned(),
        app_roles: role.map(|role| (resource, vec![role.to_owned()])).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> (Directory, DevelopmentIds) {
        directory(&DevelopmentParams {
            issuer: "https://localhost:1".to_owned(),
            deployment: "dev".to_owned(),
            targets: vec!["shop".to_owned()],
            gateway_audience: Some(Guid::named("zone")),
            admin_audience: None,
        })
    }

    #[test]
    fn each_identity_of_a_target_trusts_its_own_subject_alone() {
        let (directory, ids) = built();
        assert_eq!(directory.check(), Ok(()));
        assert_eq!(ids.gateway, Guid::named("zone"));
        let tenant = directory.tenant(ids.tenant).unwrap();
        let app = tenant.app("shop-approved").unwrap();
        assert_eq!(app.federated_credentials.len(), 1);
        assert_eq!(app.federated_credentials[0].subject, "cs:dev:target:shop:approved");
        assert_eq!(ids.identities["shop-approved"].object_id, app.object_id);
        assert_eq!(tenant.user("omar").unwrap().app_roles[&ids.admin], ["dba"]);
        assert_eq!(tenant.user("admin").unwrap().app_roles[&ids.admin], ["countersign.admin"]);
        assert!(tenant.user("eve").unwrap().app_roles.is_empty());
        assert_eq!(ids.users["sponsor"], tenant.user("sponsor").unwrap().oid);
    }

    #[test]
    fn each_agents_own_registration_trusts_its_own_subject_alone() {
        let (directory, ids) = built();
        for (name, agent) in &ids.agents {
            let trusted = &directory.tenant(ids.tenant).unwrap().app(name).unwrap().federated_credentials;
            assert_eq!(trusted.len(), 1, "{name}");
            assert_eq!(trusted[0].subject, format!("cs:dev:agent:{}", agent.client_id));
        }
    }
}
