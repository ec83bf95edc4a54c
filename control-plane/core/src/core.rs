//! The parts that every use case works with.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use countersign_archive::Archive;
use countersign_model::{ApprovalId, Name};
use countersign_pki::{ApprovalsKey, Ca, DeploymentKey};
use countersign_recording::OpeningKey;
use countersign_store::{AuditEvent, Store, StoreError};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, broadcast, watch};

use crate::{
    Minting, Tokens, approvals,
    declared::{Declared, InvalidSpec},
    edges::Attachment,
    in_force::InForce,
};

/// Segments that are inflated and judged at a time; each keeps a thread busy.
const JUDGED_AT_A_TIME: usize = 2;

/// What time it is.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What the deployment is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tenant whose tokens are taken, a lower-case GUID.
    pub tenant_id: Arc<str>,
    /// Audience of tokens for the admin side. No zone may have it: tokens for agents' sessions would be admins'.
    pub admin_audience: Arc<str>,
    /// How long an edge may act without hearing from us.
    pub lease: Duration,
    /// Whether a token that was seen in one zone is refused in another; else that is an alarm only.
    pub one_zone_per_token: bool,
    /// Whether a bearer token alone votes. It does not show that a person is there, so nobody can vote without it
    /// but where that is accepted.
    pub allow_token_votes: bool,
}

/// Everything that the core does not make itself.
pub struct Parts {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// Where recordings rest.
    pub archive: Arc<dyn Archive>,
    /// Verifies tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Mints tokens.
    pub minting: Arc<dyn Minting>,
    /// Names edges. Its deployment is ours.
    pub ca: Arc<Ca>,
    /// Signs policy sets, manifests and outcomes of approvals.
    pub deployment_key: Arc<DeploymentKey>,
    /// Seals what is asked of people, and authenticates their votes.
    pub approvals_key: Arc<ApprovalsKey>,
    /// Opens recordings, which edges seal to its public half.
    pub opening_key: Arc<OpeningKey>,
    /// What the deployment is set to.
    pub settings: Settings,
    /// What time it is.
    pub clock: Clock,
}

/// Why there is no core.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// What the store holds does not validate.
    #[error("the store holds {0}")]
    Stored(#[from] InvalidSpec),
}

/// The use cases; cheap to share.
pub struct Core {
    pub(crate) parts: Parts,
    /// What admins declared, compiled and signed; replaced whole with each change.
    pub(crate) in_force: watch::Sender<Arc<InForce>>,
    /// Held from the validation of a change to its being in force, so that two changes never validate against the
    /// same past.
    pub(crate) changing: AsyncMutex<()>,
    /// Edges whose stream is open at this node, and the process at the other end of it.
    pub(crate) attached: Mutex<HashMap<Name, Attachment>>,
    /// Bounds the segments that are judged at a time.
    pub(crate) judging: Arc<Semaphore>,
    /// Ids of approvals as they change, for whoever watches.
    pub(crate) approval_changes: broadcast::Sender<ApprovalId>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("deployment", self.deployment()).finish_non_exhaustive()
    }
}

impl Core {
    /// Reads what is in force from the store.
    ///
    /// # Errors
    /// [`StartError`] if that fails, or if what is there no longer validates: then nothing should be served.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let declared = Declared::read(&parts.store.snapshot().await?)?;
        // The configuration may have changed since the zone was taken.
        declared.check_audiences(&parts.settings.admin_audience)?;
        let first = InForce::build(declared, None, &parts.deployment_key, (parts.clock)())?;
        Ok(Self {
            parts,
            in_force: watch::Sender::new(Arc::new(first)),
            changing: AsyncMutex::default(),
            attached: Mutex::default(),
            judging: Arc::new(Semaphore::new(JUDGED_AT_A_TIME)),
            approval_changes: broadcast::Sender::new(approvals::WATCH_QUEUE),
        })
    }

    /// The deployment's name.
    pub fn deployment(&self) -> &Name {
        self.parts.ca.deployment()
    }

    /// Whether the store and the archive would take a write now.
    pub async fn healthy(&self) -> bool {
        let (store, archive) = tokio::join!(self.parts.store.check(), self.parts.archive.health());
        store.is_ok() && archive.is_ok()
    }

    /// Forgets join tokens and token uses that have expired. To be called now and then.
    ///
    /// # Errors
    /// The store's.
    pub async fn purge_expired(&self) -> Result<u64, StoreError> {
        self.parts.store.purge_expired(self.now()).await
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.parts.clock)()
    }

    /// Appends to the audit log. Words and ids only: never a token, a parameter or a row.
    pub(crate) async fn audit(
        &self,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        let detail = detail.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let event = AuditEvent {
            at: self.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail,
        };
        self.parts.store.append_audit(event).await.map(drop)
    }
}

/// Runs `work` to its end though the caller may go away in its middle: a client that resets its HTTP/2 stream
/// drops the handler, and what the store has taken must still come into force and into the audit log.
pub(crate) async fn to_its_end<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    tokio::spawn(work).await.map_err(StoreError::unavailable)?
}
