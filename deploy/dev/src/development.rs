//! `DevelopmentService`: test tokens of the emulator, asked through the admin address. Open to anybody who can reach
//! that address, which is this machine.

use std::sync::Arc;

use countersign_entra_emulator::{Running, TokenKind, TokenRequest, development::DevelopmentIds};
use countersign_wire::v1::{
    IssueTokenRequest, IssueTokenResponse, development_service_server::DevelopmentService,
    issue_token_request::Subject,
};
use tonic::{Request, Response, Status};

/// Full name of the service, for reflection.
pub(crate) const NAME: &str = "countersign.v1.DevelopmentService";

/// Issues the emulator's tokens.
pub(crate) struct Development {
    pub(crate) emulator: Arc<Running>,
    pub(crate) ids: Arc<DevelopmentIds>,
}

#[tonic::async_trait]
impl DevelopmentService for Development {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let IssueTokenRequest { subject, zone } = request.into_inner();
        if !zone.is_empty() && zone != crate::resources::ZONE {
            return Err(Status::not_found(format!(
                "there is no zone {zone:?}; the one here is {:?}",
                crate::resources::ZONE
            )));
        }
        let request = match subject {
            Some(Subject::Agent(name)) => {
                TokenRequest::new(TokenKind::Agent, name, self.ids.gateway.to_string())
            }
            Some(Subject::User(name)) => TokenRequest::new(TokenKind::User, name, self.ids.admin.to_string()),
            None => return Err(Status::invalid_argument("name an agent or a user")),
        };
        let token = self.emulator.issue(&request).map_err(|error| Status::not_found(error.to_string()))?;
        Ok(Response::new(IssueTokenResponse { token }))
    }
}
