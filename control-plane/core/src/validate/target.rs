//! Targets: where they are, and as whom they are logged in to.

use countersign_model::Name;
use countersign_wire::v1::{IdentitySpec, PostgresSpec, TargetSpec};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{address, guid, optional_text, text};
use crate::declared::Declared;

/// Longest bundle of roots, in bytes.
const MAX_CA_PEM: usize = 256 * 1024;
/// Longest session that a target may allow, in seconds.
const MAX_SESSION: i64 = 24 * 3600;
/// Longest role, database or search path: PostgreSQL's names end at 63 bytes.
const MAX_NAME: usize = 63;
const MAX_SEARCH_PATH: usize = 1_024;

pub(super) fn check(name: &Name, spec: TargetSpec, declared: &Declared) -> Result<TargetSpec, String> {
    let zone = spec.zone.parse().ok().filter(|zone| declared.zones.contains_key(zone));
    if zone.is_none() {
        return Err(format!("there is no zone {:?}", spec.zone));
    }
    let postgres = spec.postgres.ok_or("postgres is missing: there is no other kind of target")?;
    check_postgres(&postgres)?;
    let standing = identity("standing", spec.standing.ok_or("standing is missing")?)?;
    let metadata = spec.metadata.map(|spec| identity("metadata", spec)).transpose()?;
    // Entra cannot narrow a token: two identities of one registration would be one identity.
    if metadata.as_ref().is_some_and(|metadata| metadata.client_id == standing.client_id) {
        return Err("standing and metadata must have client ids of their own".into());
    }
    if let Some(longest) = &spec.max_session
        && (longest.nanos < 0 || !(1..=MAX_SESSION).contains(&longest.seconds))
    {
        return Err("maxSession must be between one second and 24 hours".into());
    }
    let spec = TargetSpec {
        zone: spec.zone,
        postgres: Some(postgres),
        standing: Some(standing),
        metadata,
        max_session: spec.max_session,
    };
    check_clients(name, &spec, declared)?;
    Ok(spec)
}

/// A registration that serves two targets would let a token for one of them in at the other.
fn check_clients(name: &Name, spec: &TargetSpec, declared: &Declared) -> Result<(), String> {
    for (other, known) in declared.targets.iter().filter(|(other, _)| *other != name) {
        if let Some(client) = clients(known).find(|known| clients(spec).any(|client| client == *known)) {
            return Err(format!("client id {client} is that of an identity of target {other}"));
        }
    }
    Ok(())
}

fn clients(spec: &TargetSpec) -> impl Iterator<Item = &str> {
    spec.standing.iter().chain(&spec.metadata).map(|identity| identity.client_id.as_str())
}

fn check_postgres(spec: &PostgresSpec) -> Result<(), String> {
    address::check(&spec.host)?;
    if spec.port > u32::from(u16::MAX) {
        return Err("port must be at most 65535".into());
    }
    text("database", &spec.database)?;
    optional_text("searchPath", &spec.search_path)?;
    if spec.database.len() > MAX_NAME || spec.search_path.len() > MAX_SEARCH_PATH {
        return Err("database or searchPath is too long".into());
    }
    if spec.ca_pem.is_empty() { Ok(()) } else { check_roots(&spec.ca_pem) }
}

fn check_roots(pem: &str) -> Result<(), String> {
    if pem.len() > MAX_CA_PEM {
        return Err("caPem is too long".into());
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or("caPem holds something that is no certificate")?;
    }
    if roots.is_empty() { Err("caPem holds no certificate".into()) } else { Ok(()) }
}

fn identity(which: &str, spec: IdentitySpec) -> Result<IdentitySpec, String> {
    text(&format!("{which}.loginRole"), &spec.login_role)?;
    if spec.login_role.len() > MAX_NAME {
        return Err(format!("{which}.loginRole is too long"));
    }
    optional_text(&format!("{which}.resource"), &spec.resource)?;
    Ok(IdentitySpec { client_id: guid(&format!("{which}.clientId"), &spec.client_id)?, ..spec })
}
