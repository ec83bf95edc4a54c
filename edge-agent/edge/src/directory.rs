//! The zone's targets, as the PostgreSQL protocol wants them: certificates read, search paths parsed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_model::{Identity, Name};
use countersign_postgres::{
    ApprovedOn, LoginRole, PostgresTarget, Roles, TargetDirectory, verify_with, verify_with_system_roots,
};
use countersign_uplink::{self as uplink, InForce, Target};
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
    let role = |identity: Identity| target.login_roles.get(&identity).map(login_role);
    let needed = |identity: Identity| {
        role(identity).ok_or_else(|| anyhow::anyhow!("there is no {} identity", identity.as_str()))
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
        roles: Roles {
            standing: needed(Identity::Standing)?,
            metadata: needed(Identity::Metadata)?,
            approved: role(Identity::Approved),
        },
        approved_on: match target.approved_on {
            uplink::ApprovedOn::OwnConnection => ApprovedOn::OwnConnection,
            uplink::ApprovedOn::SameConnection => ApprovedOn::SameConnection,
        },
        classes: target.classes.clone(),
    })
}

fn login_role(role: &uplink::LoginRole) -> LoginRole {
    match role {
        uplink::LoginRole::One(role) => LoginRole::One(role.clone()),
        uplink::LoginRole::PerAgent(roles) => LoginRole::PerAgent(roles.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use countersign_model::{DataClass, Detector, Principal, PrincipalKind};
    use countersign_pki::Ca;

    use super::*;

    fn target(login_roles: &[(Identity, uplink::LoginRole)]) -> Target {
        let folder = tempfile::tempdir().expect("folder");
        let ca = Ca::load_or_create(folder.path(), &"test".parse().expect("name"), SystemTime::now());
        Target {
            protocol: "postgres".into(),
            host: "db.example".into(),
            port: 5432,
            database: "shop".into(),
            ca_pem: ca.expect("ca").root_pem().to_owned(),
            search_path: "public".into(),
            login_roles: login_roles.iter().cloned().collect(),
            approved_on: uplink::ApprovedOn::OwnConnection,
            classes: Arc::default(),
        }
    }

    fn one(role: &str) -> uplink::LoginRole {
        uplink::LoginRole::One(role.into())
    }

    fn agent(name: &str) -> Principal {
        Principal {
            tenant_id: "t".into(),
            object_id: "o".into(),
            app_id: None,
            kind: PrincipalKind::Agent,
            agent: Some(name.parse().expect("name")),
            roles: Vec::new(),
        }
    }

    #[test]
    fn each_identity_has_its_role() {
        let writer = HashMap::from([("writer".parse().expect("name"), "shop_writer".to_owned())]);
        let found = postgres(&target(&[
            (Identity::Standing, uplink::LoginRole::PerAgent(writer)),
            (Identity::Metadata, one("shop_metadata")),
            (Identity::Approved, one("shop_approved")),
        ]));
        let found = found.expect("a target");
        let role = |identity, name| found.role(identity, &agent(name)).map(str::to_owned);
        assert_eq!(role(Identity::Standing, "writer").as_deref(), Some("shop_writer"));
        assert_eq!(role(Identity::Standing, "reader"), None);
        assert_eq!(role(Identity::Metadata, "reader").as_deref(), Some("shop_metadata"));
        assert_eq!(role(Identity::Approved, "reader").as_deref(), Some("shop_approved"));
        assert_eq!(found.approved_on, ApprovedOn::OwnConnection);
    }

    #[test]
    fn data_classes_go_to_the_protocol_as_they_are() {
        let identities = [(Identity::Standing, one("a")), (Identity::Metadata, one("b"))];
        let class = DataClass {
            name: "email".parse().expect("name"),
            columns: Vec::new(),
            detectors: vec![Detector::Email],
        };
        let target = Target { classes: vec![class.clone()].into(), ..target(&identities) };
        assert_eq!(*postgres(&target).expect("a target").classes, [class]);
    }

    #[test]
    fn approved_may_be_missing_and_the_others_may_not() {
        let (standing, metadata) = ((Identity::Standing, one("a")), (Identity::Metadata, one("b")));
        let both = Target {
            approved_on: uplink::ApprovedOn::SameConnection,
            ..target(&[standing.clone(), metadata.clone()])
        };
        let found = postgres(&both).expect("a target");
        assert!(found.roles.approved.is_none());
        assert_eq!(found.approved_on, ApprovedOn::SameConnection);
        assert!(postgres(&target(&[standing])).is_err());
        assert!(postgres(&target(&[metadata])).is_err());
    }
}
