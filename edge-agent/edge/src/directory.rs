//! The zone's targets, as the PostgreSQL protocol wants them: certificates read, search paths parsed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_model::{Identity, Name};
use countersign_postgres::{PostgresTarget, TargetDirectory, verify_with, verify_with_system_roots};
use countersign_uplink::{InForce, Target};
use tracing::warn;

/// Looks targets up in what is in force. What was read of a target is kept until its configuration changes.
pub(crate) struct Directory {
    in_force: Arc<InForce>,
    read: Mutex<HashMap<Name, Read>>,
}

/// What was read, and of what.
struct Read {
    from: Arc<Target>,
    found: Arc<PostgresTarget>,
}

impl Directory {
    pub(crate) fn new(in_force: Arc<InForce>) -> Self {
        Self { in_force, read: Mutex::default() }
    }
}

impl TargetDirectory for Directory {
    fn find(&self, name: &Name) -> Option<Arc<PostgresTarget>> {
        let configuration = self.in_force.configuration()?;
        let target = configuration.targets.get(name)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Read { from, found }) = read.get(name)
            && Arc::ptr_eq(from, target)
        {
            return Some(found.clone());
        }
        let found = match postgres(target) {
            Ok(found) => Arc::new(found),
            Err(error) => {
                warn!(target = %name, %error, "the target cannot be used as it is configured");
                return None;
            }
        };
        read.insert(name.clone(), Read { from: target.clone(), found: found.clone() });
        Some(found)
    }
}

fn postgres(target: &Target) -> anyhow::Result<PostgresTarget> {
    anyhow::ensure!(target.protocol == "postgres", "protocol {:?} is not spoken here", target.protocol);
    let role = |identity: Identity| {
        let role = target.login_roles.get(&identity).cloned();
        role.ok_or_else(|| anyhow::anyhow!("there is no {} identity", identity.as_str()))
    };
    let tls = match target.ca_pem.as_str() {
        "" => verify_with_system_roots()?,
        pem => verify_with(pem.as_bytes())?,
    };
    Ok(PostgresTarget {
        host: target.host.clone(),
        port: target.port,
        database: target.database.as_str().into(),
        tls,
        search_path: target.search_path.parse()?,
        standing_role: role(Identity::Standing)?,
        metadata_role: role(Identity::Metadata)?,
    })
}
