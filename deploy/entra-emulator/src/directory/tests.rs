use super::*;
use crate::development::{DevelopmentParams, directory};

fn sample() -> (Directory, Guid) {
    let (directory, ids) = directory(&DevelopmentParams {
        issuer: "https://localhost:1".to_owned(),
        deployment: "dev".to_owned(),
        targets: vec!["shop".to_owned()],
        gateway_audience: None,
        admin_audience: None,
    });
    (directory, ids.gateway)
}

#[test]
fn the_database_resource_is_known_by_default_and_keeps_the_audience_asked_for() {
    let (directory, _) = sample();
    let tenant = directory.tenants.first().unwrap();
    assert_eq!(tenant.audience(OSSRDBMS).unwrap().aud, OSSRDBMS);
    let slashed = format!("{OSSRDBMS}/");
    assert_eq!(tenant.audience(&slashed).unwrap().aud, slashed);
    assert_eq!(tenant.audience(OSSRDBMS).unwrap().version, TokenVersion::V1);
    assert_eq!(tenant.audience(&format!("{OSSRDBMS}//")), None);
}

#[test]
fn a_version_two_audience_is_always_the_client_id() {
    let (directory, gateway) = sample();
    let tenant = directory.tenants.first().unwrap();
    assert_eq!(tenant.audience(&format!("api://{gateway}")).unwrap().aud, gateway.to_string());
    assert_eq!(tenant.audience("api://unknown"), None);
}

#[test]
fn impossible_directories_are_refused() {
    let (good, _) = sample();
    assert_eq!(good.check(), Ok(()));

    let mut twice = good.clone();
    let app = twice.tenants[0].apps[0].clone();
    twice.tenants[0].apps.push(app.clone());
    assert_eq!(twice.check(), Err(DirectoryError::Duplicate(app.client_id)));

    for (issuer, subject, name) in [
        ("http://localhost", "s", "name"),
        ("https://localhost", "", "name"),
        ("https://localhost", &"s".repeat(601), "name"),
        ("https://localhost", "s", "ab"),
    ] {
        let mut bad = good.clone();
        bad.tenants[0].apps[0].federated_credentials = vec![FederatedCredential {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: "a".to_owned(),
        }];
        assert!(matches!(bad.check(), Err(DirectoryError::Federated { .. })), "{issuer} {name}");
    }

    let mut stray = good;
    stray.postgres = Some(PostgresServer { tenant: Guid::named("elsewhere"), roles: BTreeMap::new() });
    assert!(matches!(stray.check(), Err(DirectoryError::NoTenant(_))));
}
