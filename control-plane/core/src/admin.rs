//! Who asks on the admin side, and what for.

use std::{sync::Arc, time::SystemTime};

use countersign_entra::TokenError;
use countersign_model::PrincipalKind;

use crate::Core;

/// What an admin call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminRole {
    /// App role `countersign.admin`: everything.
    Admin,
    /// App role `countersign.auditor`, or admin: reading.
    Auditor,
}

/// A caller of the admin side whose token verifies. That alone gives them nothing: what they may do follows from
/// their roles, by [`Caller::admin`] or by what an approval asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `<tid>/<oid>`: what the audit log and votes call them.
    pub actor: String,
    /// When the token ends, and with it what was begun by it.
    pub expires_at: SystemTime,
    pub(crate) tenant_id: Arc<str>,
    pub(crate) object_id: Arc<str>,
    /// A person's through the application of a registered agent is that of an agent that acts for the person.
    pub(crate) kind: PrincipalKind,
    pub(crate) app_id: Option<Arc<str>>,
    pub(crate) roles: Vec<String>,
}

impl Caller {
    /// The caller as an admin or auditor. A role comes from the token's `roles`, so from an assignment in Entra,
    /// for people and apps alike, but not for an agent on behalf of a person; without one there is no access at
    /// all.
    ///
    /// # Errors
    /// [`NoAdmin::ActsForAnother`], [`NoAdmin::NoRole`].
    pub fn admin(&self) -> Result<Admin, NoAdmin> {
        match self.kind {
            PrincipalKind::User | PrincipalKind::Agent => {}
            PrincipalKind::AgentForUser => return Err(NoAdmin::ActsForAnother),
        }
        let person_by = self.app_id.clone().filter(|_| self.kind == PrincipalKind::User);
        let role = match (self.has("countersign.admin"), self.has("countersign.auditor")) {
            (true, _) => AdminRole::Admin,
            (false, true) => AdminRole::Auditor,
            (false, false) => return Err(NoAdmin::NoRole),
        };
        Ok(Admin { actor: self.actor.clone(), person_by, role })
    }

    /// Whether the token carries an app role.
    pub(crate) fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Their name for show. The tokens that are taken carry none that would be more than what somebody chose.
    pub(crate) fn name(&self) -> &str {
        &self.object_id
    }
}

/// A caller of the admin side whose token carries one of our app roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// `<tid>/<oid>`: what the audit log calls them.
    pub actor: String,
    /// The application through which a person calls; `None` for an app by itself.
    pub(crate) person_by: Option<Arc<str>>,
    role: AdminRole,
}

impl Admin {
    /// Whether the caller may do what asks for `needed`.
    pub fn may(&self, needed: AdminRole) -> bool {
        self.role == AdminRole::Admin || needed == AdminRole::Auditor
    }
}

/// Why a caller of the admin side is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAdmin {
    /// The token does not verify; the kind is for the log.
    #[error("the token was refused: {0}")]
    Token(TokenError),
    /// An agent bears it for a person, whose roles it carries: what admins do, they do themselves.
    #[error("the token is one of an agent that acts for a person")]
    ActsForAnother,
    /// It verifies and carries none of our roles.
    #[error("the token carries no app role of ours")]
    NoRole,
}

impl Core {
    /// The caller that a bearer token for the admin side proves.
    ///
    /// # Errors
    /// [`NoAdmin::Token`]; its details are for the log.
    pub async fn caller(&self, token: &str) -> Result<Caller, NoAdmin> {
        let now: SystemTime = self.now();
        let audience = &self.parts.settings.admin_audience;
        let token = self.parts.tokens.validate(token, audience, now).await.map_err(NoAdmin::Token)?;
        let kind = self.in_force.borrow().known(token.principal()).kind;
        Ok(Caller {
            actor: format!("{}/{}", token.tenant_id, token.object_id),
            expires_at: token.expires_at,
            tenant_id: token.tenant_id,
            object_id: token.object_id,
            kind,
            app_id: token.app_id,
            roles: token.roles,
        })
    }
}
