//! The connection of an approved operation: logged in for it, in the standing one's place until its transaction ends.

use countersign_gate::{Permit, Recorded, ports::Ports};
use countersign_model::{Identity, Refusal};
use tracing::warn;

use super::{
    Driver,
    ending::Ending,
    exchange::Read,
    meaning::{Sent, no_role},
    refusal_of,
};
use crate::line::{Login, dial};

impl<P: Ports> Driver<'_, P> {
    /// Sends an operation that people approved, as the identity that its permit names.
    pub(super) async fn run_approved(
        &mut self,
        permit: Recorded<Permit>,
        read: &Read,
        sent: Sent,
    ) -> Result<(), Ending> {
        let permit =
            if permit.identity() == self.line.identity() { permit } else { self.log_in_for(permit).await? };
        self.send(permit, read, sent).await
    }

    /// Logs in with a credential that is minted now, and puts the connection in the standing one's place.
    async fn log_in_for(&mut self, permit: Recorded<Permit>) -> Result<Recorded<Permit>, Ending> {
        let credential = match self.session.redeem(&permit).await {
            Ok(credential) => credential,
            Err(refusal) => return Err(self.give_up(permit, refusal).await),
        };
        let expires_at = credential.expires_at();
        let target = self.target.clone();
        let role = target.role(Identity::Approved, &self.session.facts().principal);
        let Some(role) = role else {
            return Err(self.give_up(permit, no_role(Identity::Approved)).await);
        };
        let search_path = target.search_path.setting();
        let settings = self.tracked.known().unwrap_or_default();
        let login = Login {
            target: &target,
            role,
            search_path: &search_path,
            settings: &settings,
            patience: self.limits.dial,
        };
        match dial(login, &permit, credential).await {
            Ok((line, _)) => {
                let standing = std::mem::replace(&mut self.line, line);
                let outlook = std::mem::take(&mut self.outlook);
                self.resting = Some((standing, outlook));
                self.stop.limit(Some(expires_at));
                Ok(permit)
            }
            Err(error) => {
                warn!(%error, "the target could not be logged in to for an approved operation");
                Err(self.give_up(permit, refusal_of(&error)).await)
            }
        }
    }

    /// The approval is spent, and nothing was sent.
    async fn give_up(&mut self, permit: Recorded<Permit>, refusal: Refusal) -> Ending {
        let (operation, approval) = (permit.operation(), permit.approval());
        self.session.approved_has_ended();
        match self.session.not_sent(permit).await {
            Ok(()) => {
                let session = self.session.facts().session;
                Ending::Refused(Refusal { approval, ..refusal.of(session, operation) })
            }
            Err(refusal) => Ending::Refused(refusal),
        }
    }

    /// The transaction of the approved operation has ended: its connection goes, and the standing one comes back.
    pub(super) async fn return_to_standing(&mut self) {
        let Some((standing, outlook)) = self.resting.take() else { return };
        let approved = std::mem::replace(&mut self.line, standing);
        self.outlook = outlook;
        self.session.approved_has_ended();
        self.stop.limit(None);
        approved.hang_up().await;
    }
}
