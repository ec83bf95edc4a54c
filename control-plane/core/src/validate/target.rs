//! Targets: where they are, and as whom they are logged in to.

mod clients;
mod identity;

use countersign_model::Name;
use countersign_sql::SearchPath;
use countersign_wire::v1::{ApprovedOn, IdentitySpec, PostgresSpec, TargetSpec};
use prost_types::Duration;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{address, optional_text, text};
use crate::declared::Declared;

pub(super) use clients::of_client;

/// Longest bundle of roots, in bytes.
const MAX_CA_PEM: usize = 256 * 1024;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Longest role, database or search path: PostgreSQL's names end at 63 bytes.
const MAX_NAME: usize = 63;
const MAX_SEARCH_PATH: usize = 1_024;

pub(super) fn check(name: &Name, spec: TargetSpec, declared: &Declared) -> Result<TargetSpec, String> {
    let postgres = spec.postgres.ok_or("postgres is missing: there is no other kind of target")?;
    check_postgres(&postgres)?;
    let identities =
        |which, spec: Option<IdentitySpec>| spec.map(|spec| identity::check(which, spec)).transpose();
    let spec = TargetSpec {
        zone: spec.zone,
        postgres: Some(postgres),
        standing: Some(identities("standing", spec.standing)?.ok_or("standing is missing")?),
        metadata: identities("metadata", spec.metadata)?,
        max_session: time("maxSession", spec.max_session, DAY)?,
        approved: identities("approved", spec.approved)?,
        approved_on: ApprovedOn::try_from(spec.approved_on).map_err(|_| "approvedOn is unknown")?.into(),
        pending_ttl: time("pendingTtl", spec.pending_ttl, DAY)?,
        use_ttl: time("useTtl", spec.use_ttl, HOUR)?,
    };
    check_identities(&spec)?;
    clients::check(name, &spec, declared)?;
    Ok(spec)
}

/// Entra cannot narrow a token: two identities of one registration would be one identity.
fn check_identities(spec: &TargetSpec) -> Result<(), String> {
    let per_agent = |identity: &Option<IdentitySpec>| {
        identity.as_ref().is_some_and(|identity| !identity.agent_roles.is_empty())
    };
    if per_agent(&spec.metadata) {
        return Err("metadata is the edge's own reader and cannot have agentRoles".into());
    }
    match (spec.approved_on(), &spec.approved) {
        (ApprovedOn::SameConnection, Some(_)) => {
            Err("approved has no use where approvedOn is the session's own connection".into())
        }
        (ApprovedOn::Unspecified, Some(_)) if per_agent(&spec.standing) && per_agent(&spec.approved) => Err(
            "standing and approved with agentRoles would be one registration: an agent has only one of its own"
                .into(),
        ),
        _ => Ok(()),
    }
}

/// Between one second and `most`, in seconds.
fn time(field: &str, time: Option<Duration>, most: i64) -> Result<Option<Duration>, String> {
    match time {
        Some(time) if time.nanos != 0 || !(1..=most).contains(&time.seconds) => {
            let hours = most / HOUR;
            let most = if hours == 1 { "one hour".to_owned() } else { format!("{hours} hours") };
            Err(format!("{field} must be whole seconds, between one second and {most}"))
        }
        time => Ok(time),
    }
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
    if !spec.search_path.is_empty() {
        spec.search_path.parse::<SearchPath>().map_err(|error| format!("searchPath: {error}"))?;
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
