//! What the emulated tenants know: applications, users, role assignments and federated credentials, and the
//! database server whose logins the verifier judges. No secret has a place in it: there is no field for one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::guid::Guid;

/// The resource that tokens for Azure's PostgreSQL and MySQL name. Every tenant knows it; its tokens are v1.
pub const OSSRDBMS: &str = "https://ossrdbms-aad.database.windows.net";
/// Client id of that first-party application.
pub const OSSRDBMS_CLIENT: Guid = Guid::from_u128(0x123cd850_d9df_40bd_94d5_c9f07b7fa203);

/// Longest issuer or subject of a federated credential, in characters (Microsoft: workload identity federation,
/// important considerations).
const MAX_FEDERATED_TEXT: usize = 600;
/// Most federated credentials of one application (same source).
const MAX_FEDERATED: usize = 20;

/// All tenants, and the database server if there is one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The first tenant is the one meant where a test API call names none.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
    /// Without it, the LDAP verifier refuses every login.
    #[serde(default)]
    pub postgres: Option<PostgresServer>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its id, the `tid` of its tokens.
    pub id: Guid,
    /// Application registrations together with their service principals.
    #[serde(default)]
    pub apps: Vec<App>,
    /// People, and agents' user accounts.
    #[serde(default)]
    pub users: Vec<User>,
}

/// An application and its service principal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Application (client) id.
    pub client_id: Guid,
    /// Object id of the service principal, the `oid` of its tokens.
    pub object_id: Guid,
    /// Display name.
    pub name: String,
    /// Who may stand for this application; the only kind of credential there is.
    #[serde(default)]
    pub federated_credentials: Vec<FederatedCredential>,
    /// Set if tokens can be asked for this application.
    #[serde(default)]
    pub resource: Option<Resource>,
    /// Client id of a resource → app roles that the service principal holds there.
    #[serde(default)]
    pub app_roles: BTreeMap<Guid, Vec<String>>,
    /// Client id of the blueprint, if this is an agent identity.
    #[serde(default)]
    pub blueprint: Option<Guid>,
}

/// What makes an application a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Version of the tokens for it, whichever endpoint was asked.
    pub access_token_version: TokenVersion,
    /// App ID URIs, besides the client id.
    #[serde(default)]
    pub identifier_uris: Vec<String>,
    /// "Assignment required": a client without an app role here gets no token.
    #[serde(default)]
    pub app_role_assignment_required: bool,
}

/// Which shape of access token a resource takes: `1` or `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum TokenVersion {
    /// `ver` 1.0: audience as asked for, `appid`.
    V1,
    /// `ver` 2.0: audience is the client id, `azp`.
    V2,
}

/// A trust in tokens of another issuer. Compared exactly, case included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederatedCredential {
    /// 3 to 120 characters.
    pub name: String,
    /// `https` URL, at most 600 characters; a trailing slash counts.
    pub issuer: String,
    /// At most 600 characters, no wildcards.
    pub subject: String,
    /// `api://AzureADTokenExchange` in the public cloud.
    pub audience: String,
}

/// A person, or an agent's user account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Object id.
    pub oid: Guid,
    /// User principal name.
    pub upn: String,
    /// Display name.
    pub name: String,
    /// Client id of a resource → app roles held there.
    #[serde(default)]
    pub app_roles: BTreeMap<Guid, Vec<String>>,
}

/// The database server behind the LDAP verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresServer {
    /// The tenant whose tokens it takes.
    pub tenant: Guid,
    /// Database role → object id of the principal that may log in as it.
    pub roles: BTreeMap<String, Guid>,
}

/// A directory that could not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The same identifier twice.
    #[error("identifier {0} is used twice")]
    Duplicate(Guid),
    /// No such tenant.
    #[error("no tenant {0}")]
    NoTenant(Guid),
    /// No such application or user.
    #[error("no such principal in the tenant")]
    NoPrincipal,
    /// A federated credential breaks a limit of the platform.
    #[error("federated credential of {app}: {fault}")]
    Federated {
        /// Display name of the application.
        app: String,
        /// The limit.
        fault: &'static str,
    },
}

/// A resource as one request named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    pub(crate) client_id: Guid,
    pub(crate) name: String,
    pub(crate) version: TokenVersion,
    /// Value of `aud`: the client id (v2), or the resource exactly as asked for (v1).
    pub(crate) aud: String,
    pub(crate) assignment_required: bool,
}

impl Directory {
    /// Checks that identifiers are unique and federated credentials within the platform's limits.
    pub fn check(&self) -> Result<(), DirectoryError> {
        let mut tenants = BTreeSet::new();
        for tenant in &self.tenants {
            if !tenants.insert(tenant.id) {
                return Err(DirectoryError::Duplicate(tenant.id));
            }
            tenant.check()?;
        }
        match &self.postgres {
            Some(server) if !tenants.contains(&server.tenant) => Err(DirectoryError::NoTenant(server.tenant)),
            _ => Ok(()),
        }
    }

    /// The tenant by id.
    pub fn tenant(&self, id: Guid) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The tenant by id, the first one if none is named; to be changed.
    pub fn tenant_mut(&mut self, id: Option<Guid>) -> Result<&mut Tenant, DirectoryError> {
        let first = self.tenants.first().map(|tenant| tenant.id);
        let id = id.or(first).ok_or(DirectoryError::NoPrincipal)?;
        self.tenants.iter_mut().find(|tenant| tenant.id == id).ok_or(DirectoryError::NoTenant(id))
    }
}

impl Tenant {
    /// The application by client id, object id or display name.
    pub fn app(&self, key: &str) -> Option<&App> {
        let id = key.parse::<Guid>().ok();
        self.apps.iter().find(|app| app.name == key || id == Some(app.client_id) || id == Some(app.object_id))
    }

    /// The user by object id, user principal name or display name.
    pub fn user(&self, key: &str) -> Option<&User> {
        let id = key.parse::<Guid>().ok();
        self.users.iter().find(|user| user.name == key || user.upn == key || id == Some(user.oid))
    }

    /// Adds an application, or replaces the one with the same client id.
    pub fn put_app(&mut self, app: App) {
        self.apps.retain(|known| known.client_id != app.client_id);
        self.apps.push(app);
    }

    /// Adds a user, or replaces the one with the same object id.
    pub fn put_user(&mut self, user: User) {
        self.users.retain(|known| known.oid != user.oid);
        self.users.push(user);
    }

    /// Replaces the whole list of an application's federated credentials.
    pub fn set_federated_credentials(
        &mut self,
        client_id: Guid,
        credentials: Vec<FederatedCredential>,
    ) -> Result<(), DirectoryError> {
        let app = self.apps.iter_mut().find(|app| app.client_id == client_id);
        app.ok_or(DirectoryError::NoPrincipal)?.federated_credentials = credentials;
        Ok(())
    }

    /// The resource that `asked` names: its client id, or an App ID URI with or without the trailing slash.
    pub(crate) fn audience(&self, asked: &str) -> Option<Audience> {
        if same_uri(asked, OSSRDBMS) || asked.parse() == Ok(OSSRDBMS_CLIENT) {
            return Some(Audience {
                client_id: OSSRDBMS_CLIENT,
                name: "OSSRDBMS Entra server application".to_owned(),
                version: TokenVersion::V1,
                aud: asked.to_owned(),
                assignment_required: false,
            });
        }
        let id = asked.parse::<Guid>().ok();
        let (app, resource) = self.apps.iter().find_map(|app| {
            let resource = app.resource.as_ref()?;
            let named = id == Some(app.client_id);
            (named || resource.identifier_uris.iter().any(|uri| same_uri(asked, uri)))
                .then_some((app, resource))
        })?;
        Some(Audience {
            client_id: app.client_id,
            name: app.name.clone(),
            version: resource.access_token_version,
            aud: match resource.access_token_version {
                TokenVersion::V1 => asked.to_owned(),
                TokenVersion::V2 => app.client_id.to_string(),
            },
            assignment_required: resource.app_role_assignment_required,
        })
    }

    fn check(&self) -> Result<(), DirectoryError> {
        let mut clients = BTreeSet::from([OSSRDBMS_CLIENT]);
        let mut objects = BTreeSet::new();
        for app in &self.apps {
            if !clients.insert(app.client_id) {
                return Err(DirectoryError::Duplicate(app.client_id));
            }
            if !objects.insert(app.object_id) {
                return Err(DirectoryError::Duplicate(app.object_id));
            }
            check_federated(app)?;
        }
        match self.users.iter().find(|user| !objects.insert(user.oid)) {
            Some(user) => Err(DirectoryError::Duplicate(user.oid)),
            None => Ok(()),
        }
    }
}

fn check_federated(app: &App) -> Result<(), DirectoryError> {
    let fail = |fault| Err(DirectoryError::Federated { app: app.name.clone(), fault });
    if app.federated_credentials.len() > MAX_FEDERATED {
        return fail("more than 20");
    }
    let mut pairs = BTreeSet::new();
    for credential in &app.federated_credentials {
        if !(3..=120).contains(&credential.name.chars().count()) {
            return fail("name is not 3 to 120 characters");
        }
        if !credential.issuer.starts_with("https://")
            || credential.issuer.chars().count() > MAX_FEDERATED_TEXT
        {
            return fail("issuer is not an https URL of at most 600 characters");
        }
        if credential.subject.is_empty() || credential.subject.chars().count() > MAX_FEDERATED_TEXT {
            return fail("subject is not 1 to 600 characters");
        }
        if !pairs.insert((&credential.issuer, &credential.subject)) {
            return fail("issuer and subject are used twice");
        }
    }
    Ok(())
}

fn same_uri(left: &str, right: &str) -> bool {
    left.strip_suffix('/').unwrap_or(left) == right.strip_suffix('/').unwrap_or(right)
}

impl TryFrom<u8> for TokenVersion {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, &'static str> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            _ => Err("access token version is 1 or 2"),
        }
    }
}

impl From<TokenVersion> for u8 {
    fn from(version: TokenVersion) -> Self {
        match version {
            TokenVersion::V1 => 1,
            TokenVersion::V2 => 2,
        }
    }
}

#[cfg(test)]
mod tests;
