//! What lies on disk, opened: `ca/`, `keys/`, `store.redb`, `archive/`.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use countersign_archive::{ArchiveError, FileArchive};
use countersign_core::{Core, Issuer, Parts, Settings};
use countersign_entra::{AssertionKey, HttpError, KeyError, Minter, SigningKeys, Validator};
use countersign_pki::{
    ApprovalsKey, Ca, CaError, DeploymentKey, IssuerKey, KeyFileError, load_or_create_secret,
};
use countersign_recording::OpeningKey;
use countersign_store_embedded::{EmbeddedStore, OpenError};

use crate::{Config, config::Checked};

/// Why a part could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The folder of them all.
    #[error("data_dir: {0}")]
    Folder(io::Error),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A key's file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The issuer's key is no RSA key.
    #[error("keys/issuer.pem: {0}")]
    Issuer(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The client towards Entra.
    #[error("entra: {0}")]
    Entra(#[from] HttpError),
    /// What the store holds.
    #[error(transparent)]
    Core(#[from] countersign_core::StartError),
}

/// What was on disk before the listeners were bound.
pub(crate) struct Disk {
    pub(crate) ca: Arc<Ca>,
    deployment_key: DeploymentKey,
    approvals_key: ApprovalsKey,
    opening_key: OpeningKey,
    issuer_key: IssuerKey,
    store: EmbeddedStore,
    archive: FileArchive,
}

impl Disk {
    /// Opens or makes everything. Blocks.
    pub(crate) fn open(folder: &Path, checked: &Checked) -> Result<Self, PartsError> {
        make_private(folder).map_err(PartsError::Folder)?;
        let keys = folder.join("keys");
        Ok(Self {
            ca: Arc::new(Ca::load_or_create(&folder.join("ca"), &checked.deployment, SystemTime::now())?),
            deployment_key: DeploymentKey::load_or_create(&keys.join("deployment.pem"))?,
            approvals_key: ApprovalsKey::load_or_create(&keys.join("approvals.key"))?,
            opening_key: OpeningKey::from_secret(&*load_or_create_secret(&keys.join("recording.key"))?)
                .map_err(|_| KeyFileError::Generate)?,
            issuer_key: IssuerKey::load_or_create(&keys.join("issuer.pem"))?,
            store: EmbeddedStore::open(&folder.join("store.redb"))?,
            archive: FileArchive::open(folder.join("archive"))?,
        })
    }
}

/// Makes the folder if it is not there, and closes it to everybody else if it is.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// The core with everything around it.
pub(crate) struct Assembled {
    pub(crate) core: Arc<Core>,
    pub(crate) issuer: Issuer,
    pub(crate) signing_keys: Arc<SigningKeys>,
}

/// Puts the parts together, now that the issuer's URL is known.
pub(crate) async fn assemble(
    config: &Config,
    checked: &Checked,
    disk: Disk,
    issuer_url: String,
) -> Result<Assembled, PartsError> {
    let http = countersign_entra::client(&checked.authority, &checked.roots)?;
    let signing_keys = Arc::new(SigningKeys::new(checked.authority.clone(), http.clone(), checked.timing));
    let jwk = disk.issuer_key.jwk().clone();
    let assertion_key = AssertionKey::from_pkcs8_pem(disk.issuer_key.pkcs8_pem(), &jwk.kid)?;
    let minter = Minter::new(&checked.authority, http, issuer_url.clone(), Arc::new(assertion_key));
    let core = Core::start(Parts {
        store: Arc::new(disk.store),
        archive: Arc::new(disk.archive),
        tokens: Arc::new(Validator::new(signing_keys.clone())),
        minting: Arc::new(minter),
        ca: disk.ca,
        deployment_key: Arc::new(disk.deployment_key),
        approvals_key: Arc::new(disk.approvals_key),
        opening_key: Arc::new(disk.opening_key),
        settings: Settings {
            tenant_id: checked.authority.tenant().clone(),
            admin_audience: config.admin.audience.as_str().into(),
            lease: checked.lease,
            one_zone_per_token: config.one_zone_per_token,
            allow_token_votes: config.allow_token_votes,
        },
        clock: Arc::new(SystemTime::now),
    });
    Ok(Assembled { core: Arc::new(core.await?), issuer: Issuer::new(issuer_url, jwk), signing_keys })
}
