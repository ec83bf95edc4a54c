//! What makes this process an edge of a deployment: its key and certificate, the deployment's root and public key.
//!
//! One file of mode 0600, replaced as a whole, so that key and certificate always belong together.

use std::{
    fmt,
    fs::{self, File},
    io, mem,
    path::{Path, PathBuf},
    time::SystemTime,
};

use countersign_model::{Name, Secret};
use countersign_pki::{EdgeIdentity, EdgeKey, IdentityError, KeyFileError, create_private, read_private};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Why there is no membership to be had from a file or an answer.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// The file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file could not be put in place.
    #[error("{}: {source}", path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The content is not a membership.
    #[error("the membership is malformed: {0}")]
    Malformed(&'static str),
    /// The certificate does not name an edge.
    #[error("the certificate is not one of an edge: {0}")]
    Identity(#[from] IdentityError),
}

/// An edge's place in a deployment.
pub struct Membership {
    /// The edge's name.
    pub edge: Name,
    /// Its zone.
    pub zone: Name,
    /// End of the certificate.
    pub not_after: SystemTime,
    /// PKCS#8 PEM; stays the same for as long as the edge is enrolled.
    pub(crate) key_pem: Secret,
    /// PEM, leaf first.
    pub(crate) chain_pem: String,
    /// PEM of the deployment's root.
    pub(crate) root_pem: String,
    /// Ed25519: verifies policy sets.
    pub deployment_key: [u8; 32],
}

#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Stored {
    key: String,
    chain: String,
    root: String,
    deployment_key: [u8; 32],
}

impl Membership {
    /// The membership in a file; `None` if there is no such file, so that the edge has yet to enrol.
    pub fn load(path: &Path) -> Result<Option<Self>, MembershipError> {
        let text = match read_private(path) {
            Ok(text) => text,
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut stored: Stored = serde_json::from_str(&text)
            .map_err(|_| MembershipError::Malformed("not the JSON of a membership"))?;
        let key = Secret::new(mem::take(&mut stored.key));
        Self::new(key, mem::take(&mut stored.chain), mem::take(&mut stored.root), stored.deployment_key)
            .map(Some)
    }

    /// A membership of parts that came from the control plane; the certificate says the names.
    pub(crate) fn new(
        key_pem: Secret,
        chain_pem: String,
        root_pem: String,
        deployment_key: [u8; 32],
    ) -> Result<Self, MembershipError> {
        let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes())
            .map_err(|_| MembershipError::Malformed("no certificate"))?;
        let EdgeIdentity { zone, name, not_after, spki_sha256, .. } =
            EdgeIdentity::from_certificate_der(&leaf)?;
        let key = EdgeKey::from_pem(key_pem.expose()).ok_or(MembershipError::Malformed("no private key"))?;
        if key.spki_sha256() != spki_sha256 {
            return Err(MembershipError::Malformed("the certificate is for another key"));
        }
        Ok(Self { edge: name, zone, not_after, key_pem, chain_pem, root_pem, deployment_key })
    }

    /// Puts it in the file, in the place of what was there.
    pub(crate) fn save(&self, path: &Path) -> Result<(), MembershipError> {
        let replace = |source| MembershipError::Replace { path: path.to_owned(), source };
        let stored = Stored {
            key: self.key_pem.expose().to_owned(),
            chain: self.chain_pem.clone(),
            root: self.root_pem.clone(),
            deployment_key: self.deployment_key,
        };
        let text = serde_json::to_string(&stored).map(Zeroizing::new);
        let text = text.map_err(|_| MembershipError::Malformed("it cannot be encoded"))?;
        let unfinished = path.with_extension("new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(replace(error)),
            _ => {}
        }
        create_private(&unfinished, &text)?;
        fs::rename(&unfinished, path).map_err(replace)?;
        // The join token is spent: a name that a power cut takes back would leave the edge outside.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(replace)
    }

    /// The edge's key.
    pub(crate) fn key(&self) -> Result<EdgeKey, MembershipError> {
        EdgeKey::from_pem(self.key_pem.expose()).ok_or(MembershipError::Malformed("no private key"))
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("edge", &self.edge)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use countersign_pki::Ca;

    use super::*;

    pub(crate) fn membership() -> Membership {
        let folder = tempfile::tempdir().expect("folder");
        let now = SystemTime::now();
        let name = |text: &str| text.parse::<Name>().expect("name");
        let ca = Ca::load_or_create(folder.path(), &name("test"), now).expect("ca");
        let key = EdgeKey::generate().expect("key");
        let csr = key.csr_der().expect("csr");
        let day = Duration::from_secs(24 * 3600);
        let issued = ca.issue_edge(&csr, &name("dev"), &name("edge-1"), now, day).expect("certificate");
        let chain = crate::enrol::to_pem(&issued.chain.iter().map(|der| der.to_vec()).collect::<Vec<_>>());
        Membership::new(Secret::new(key.to_pem().to_string()), chain, ca.root_pem().to_owned(), [7; 32])
            .expect("membership")
    }

    #[test]
    fn comes_back_from_its_file_and_replaces_what_was_there() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("membership.json");
        assert!(Membership::load(&path).expect("no file").is_none());
        membership().save(&path).expect("saved");
        membership().save(&path).expect("saved again");
        let loaded = Membership::load(&path).expect("readable").expect("there");
        assert_eq!((loaded.edge.as_str(), loaded.zone.as_str()), ("edge-1", "dev"));
        assert_eq!(loaded.deployment_key, [7; 32]);
        assert!(loaded.not_after > SystemTime::now() + Duration::from_secs(3600));
    }

    #[test]
    fn a_certificate_for_another_key_is_no_membership() {
        let (one, other) = (membership(), membership());
        let mixed = Membership::new(other.key_pem, one.chain_pem, one.root_pem, one.deployment_key);
        assert!(matches!(mixed, Err(MembershipError::Malformed(_))));
    }
}
