//! Who asks on the admin side, and what for.

use std::time::SystemTime;

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

/// A caller of the admin side whose token carries one of our app roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// `<tid>/<oid>`: what the audit log calls them.
    pub actor: String,
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
    /// The caller that a bearer token proves. A role comes from the token's `roles`, so from an assignment in Entra,
    /// for people and apps alike, but not for an agent on behalf of a person; without one there is no access at all.
    ///
    /// # Errors
    /// [`NoAdmin`]; its details are for the log.
    pub async fn admin(&self, token: &str) -> Result<Admin, NoAdmin> {
        let now: SystemTime = self.now();
        let audience = &self.parts.settings.admin_audience;
        let token = self.parts.tokens.validate(token, audience, now).await.map_err(NoAdmin::Token)?;
        match token.kind {
            PrincipalKind::User | PrincipalKind::Agent => {}
            PrincipalKind::AgentForUser => return Err(NoAdmin::ActsForAnother),
        }
        let has = |role: &str| token.roles.iter().any(|held| held == role);
        let role = match (has("countersign.admin"), has("countersign.auditor")) {
            (true, _) => AdminRole::Admin,
            (false, true) => AdminRole::Auditor,
            (false, false) => return Err(NoAdmin::NoRole),
        };
        Ok(Admin { actor: format!("{}/{}", token.tenant_id, token.object_id), role })
    }
}
