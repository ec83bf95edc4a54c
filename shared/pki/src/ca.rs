//! The deployment's certificate authority: one root, which signs leaves itself.
//!
//! There is no intermediate: the root's key is in use anyway, so one would only add a file that its thief would take
//! as well. Leaves are short-lived instead of being revoked.

use std::{
    fmt, fs,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use countersign_model::Name;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData,
    SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::{
    certification_request::X509CertificationRequest,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    EdgeIdentity, KeyFileError,
    identity::spiffe_id,
    key_file::{create_public, load_or_create, malformed},
};

/// How long an edge's certificate is good for, unless it is renewed.
pub const EDGE_VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// Certificates begin this long before they are issued, for clocks that are behind.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// Ten years: replacing the root means enrolling every edge anew.
const ROOT_VALIDITY: Duration = Duration::from_secs(3653 * 24 * 3600);

/// Longest request that is parsed, in bytes; one with a P-384 key and no names has about 300.
const MAX_CSR: usize = 8 * 1024;

/// Why the authority did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its own files.
    #[error(transparent)]
    Files(#[from] KeyFileError),
    /// The folder holds the authority of another deployment.
    #[error("the root certificate is not the one of deployment {deployment}")]
    Deployment {
        /// The deployment that was asked for.
        deployment: Name,
    },
    /// A server's name that is neither DNS name nor address, or no name at all.
    #[error("not a DNS name or IP address: {0:?}")]
    ServerName(String),
    /// The edge's request cannot be taken. The text tells the edge nothing that it does not know.
    #[error("certificate request refused: {0}")]
    Csr(&'static str),
    /// The certificate could not be made: the cryptographic library failed, or a time is out of range.
    #[error("no certificate could be made: {0}")]
    Issue(String),
}

/// The authority of one deployment.
pub struct Ca {
    deployment: Name,
    root: CertificateDer<'static>,
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with its key.
pub struct ServerCertificate {
    /// Leaf first; the root is not in it.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    pub key: PrivateKeyDer<'static>,
    /// Its end.
    pub not_after: SystemTime,
}

/// An edge's certificate.
#[derive(Debug)]
pub struct IssuedEdge {
    /// Leaf first; the root is not in it.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the leaf says.
    pub identity: EdgeIdentity,
    /// Its serial number, big-endian.
    pub serial: [u8; 16],
}

impl Ca {
    /// The authority in a folder (`ca-key.pem`, `ca.pem`), which is made if it is not there. Certificate without key
    /// is an error; for a key without certificate (a first start that did not get further) the certificate is made.
    pub fn load_or_create(folder: &Path, deployment: &Name, now: SystemTime) -> Result<Self, CaError> {
        let (key_path, root_path) = (folder.join("ca-key.pem"), folder.join("ca.pem"));
        let root_exists = root_path.try_exists().map_err(|source| io_error(&root_path, source))?;
        if root_exists && !key_path.exists() {
            return Err(malformed(&key_path, "the key of the certificate beside it").into());
        }
        let key_pem = load_or_create(&key_path, || Ok(crate::EdgeKey::generate()?.to_pem()))?;
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| malformed(&key_path, "an ECDSA P-256 key in PKCS#8 PEM"))?;
        if !root_exists {
            let root = root_params(deployment, now)?.self_signed(&key).map_err(issue)?;
            create_public(&root_path, &root.pem())?;
        }
        let root_pem = fs::read_to_string(&root_path).map_err(|source| io_error(&root_path, source))?;
        let root = CertificateDer::from_pem_slice(root_pem.as_bytes())
            .map_err(|_| malformed(&root_path, "a certificate in PEM"))?;
        check_root(&root_path, &root, &key, deployment)?;
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(issue)?;
        Ok(Self { deployment: deployment.clone(), root, root_pem, issuer })
    }

    /// The deployment, which is the trust domain of its SPIFFE ids.
    pub fn deployment(&self) -> &Name {
        &self.deployment
    }

    /// The root certificate in DER.
    pub fn root_der(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root certificate in PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A new key and a certificate for a server under the given DNS names and IP addresses.
    pub fn issue_server(
        &self,
        names: &[String],
        now: SystemTime,
        validity: Duration,
    ) -> Result<ServerCertificate, CaError> {
        let mut params = leaf_params(now, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        if params.subject_alt_names.is_empty() {
            return Err(CaError::ServerName(String::new()));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(issue)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(issue)?;
        Ok(ServerCertificate {
            chain: vec![leaf.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            not_after: now + validity,
        })
    }

    /// A client certificate for the edge `name` of `zone`, for the key in a PKCS#10 request (DER). The request must be
    /// signed by that key, which must be P-256, P-384 or Ed25519; all that it says of names is ignored.
    pub fn issue_edge(
        &self,
        csr_der: &[u8],
        zone: &Name,
        name: &Name,
        now: SystemTime,
        validity: Duration,
    ) -> Result<IssuedEdge, CaError> {
        let key = requested_key(csr_der)?;
        let mut params = leaf_params(now, validity)?;
        let serial = random_serial()?;
        params.serial_number = Some(serial.to_vec().into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = spiffe_id(&self.deployment, zone, name);
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(issue)?)];
        let leaf = params.signed_by(&key, &self.issuer).map_err(issue)?;
        let identity = EdgeIdentity::from_certificate_der(leaf.der()).map_err(issue)?;
        Ok(IssuedEdge { chain: vec![leaf.der().clone()], identity, serial })
    }
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

fn root_params(deployment: &Name, now: SystemTime) -> Result<CertificateParams, CaError> {
    let mut params = leaf_params(now, ROOT_VALIDITY)?;
    params.distinguished_name = root_name(deployment);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

fn root_name(deployment: &Name) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Countersign");
    // At most 63 characters; X.520 allows a common name 64.
    name.push(DnType::CommonName, deployment.as_str());
    name
}

/// What all certificates share. Leaves have no subject: the alternative name says it all (RFC 5280 section 4.1.2.6).
fn leaf_params(now: SystemTime, validity: Duration) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(random_serial()?.to_vec().into());
    params.not_before = instant(now.checked_sub(BACKDATE))?;
    params.not_after = instant(now.checked_add(validity))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn instant(at: Option<SystemTime>) -> Result<OffsetDateTime, CaError> {
    let at = at.map(OffsetDateTime::from).filter(|at| (1950..=9999).contains(&at.year()));
    at.ok_or_else(|| CaError::Issue("time out of range".into()))
}

/// 126 random bits in 16 bytes: positive, and of the same length whatever the chance (RFC 5280 section 4.1.2.2).
fn random_serial() -> Result<[u8; 16], CaError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(issue)?;
    let [first, ..] = &mut serial;
    *first = (*first & 0x7f) | 0x40;
    Ok(serial)
}

fn server_name(name: &str) -> Result<SanType, CaError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || CaError::ServerName(name.to_owned());
    let dns = rustls_pki_types::DnsName::try_from(name).map_err(|_| refused())?;
    Ok(SanType::DnsName(dns.as_ref().try_into().map_err(|_| refused())?))
}

fn requested_key(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, CaError> {
    if csr_der.len() > MAX_CSR {
        return Err(CaError::Csr("too long"));
    }
    let (rest, csr) =
        X509CertificationRequest::from_der(csr_der).map_err(|_| CaError::Csr("not a PKCS#10 request"))?;
    if !rest.is_empty() {
        return Err(CaError::Csr("bytes after the request"));
    }
    let key = SubjectPublicKeyInfo::from_der(csr.certification_request_info.subject_pki.raw)
        .map_err(|_| CaError::Csr("kind of key not supported"))?;
    let taken = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    if !taken.contains(&key.algorithm()) {
        return Err(CaError::Csr("the key must be P-256, P-384 or Ed25519"));
    }
    csr.verify_signature().map_err(|_| CaError::Csr("not signed by its own key"))?;
    Ok(key)
}

/// The root on disk must belong to key and deployment, or what is issued would verify nowhere.
fn check_root(path: &Path, root: &[u8], key: &KeyPair, deployment: &Name) -> Result<(), CaError> {
    let (_, parsed) = X509Certificate::from_der(root).map_err(|_| malformed(path, "a certificate in PEM"))?;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(malformed(path, "the certificate of the key beside it").into());
    }
    let mut common_names = parsed.subject().iter_common_name();
    let same = common_names.next().and_then(|name| name.as_str().ok()) == Some(deployment.as_str());
    if same { Ok(()) } else { Err(CaError::Deployment { deployment: deployment.clone() }) }
}

fn io_error(path: &Path, source: std::io::Error) -> CaError {
    KeyFileError::Io { path: path.to_owned(), source }.into()
}

fn issue(cause: impl fmt::Display) -> CaError {
    CaError::Issue(cause.to_string())
}

#[cfg(test)]
mod tests;
