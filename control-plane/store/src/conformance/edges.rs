//! One edge for each join token, one key for each boot, leases that only move on.

use futures_util::future::join_all;

use super::{at, name};
use crate::{EdgeBoot, EdgeCertificate, EdgeRecord, EnrolError, JoinToken, NewEdge, Store, StoreError};

fn token(seed: u8) -> JoinToken {
    JoinToken { sha256: [seed; 32], zone: name("prod-eu"), expires_at: at(100) }
}

fn certificate(seed: u8) -> EdgeCertificate {
    EdgeCertificate { serial: vec![seed; 16], spki_sha256: [seed; 32], not_after: at(86_400) }
}

fn edge(text: &str) -> NewEdge {
    NewEdge { name: name(text), zone: name("prod-eu"), certificate: certificate(1) }
}

async fn enrolled(store: &dyn Store, text: &str, seed: u8) -> EdgeRecord {
    store.add_join_token(token(seed)).await.unwrap();
    store.enrol([seed; 32], edge(text), at(1)).await.unwrap()
}

pub(super) async fn a_join_token_admits_one_edge(store: &dyn Store) {
    assert_eq!(store.join_token([1; 32], at(0)).await, Err(StoreError::NotFound));
    store.add_join_token(token(1)).await.unwrap();
    assert_eq!(store.add_join_token(token(1)).await, Err(StoreError::Conflict));
    assert_eq!(store.join_token([1; 32], at(99)).await, Ok(token(1)));
    assert_eq!(store.join_token([1; 32], at(100)).await, Err(StoreError::NotFound), "expired");

    let elsewhere = NewEdge { zone: name("prod-us"), ..edge("edge-1") };
    assert_eq!(store.enrol([1; 32], elsewhere, at(1)).await, Err(EnrolError::Zone));
    assert_eq!(store.enrol([2; 32], edge("edge-1"), at(1)).await, Err(EnrolError::Token));
    assert_eq!(store.enrol([1; 32], edge("edge-1"), at(100)).await, Err(EnrolError::Token), "expired");
    assert_eq!(store.edges().await, Ok(vec![]), "a refusal leaves nothing");

    let record = store.enrol([1; 32], edge("edge-1"), at(99)).await.unwrap();
    let expected = EdgeRecord {
        name: name("edge-1"),
        zone: name("prod-eu"),
        enrolled_at: at(99),
        certificate: certificate(1),
        boot: None,
        lease_expires_at: None,
    };
    assert_eq!(record, expected);
    assert_eq!(store.edge(&name("edge-1")).await, Ok(expected));
    assert_eq!(store.join_token([1; 32], at(1)).await, Err(StoreError::NotFound), "used");
    assert_eq!(store.enrol([1; 32], edge("edge-2"), at(1)).await, Err(EnrolError::Token), "used");

    store.add_join_token(token(3)).await.unwrap();
    assert_eq!(store.enrol([3; 32], edge("edge-1"), at(1)).await, Err(EnrolError::NameTaken));
    store.enrol([3; 32], edge("edge-0"), at(1)).await.unwrap();
    let names: Vec<_> = store.edges().await.unwrap().into_iter().map(|edge| edge.name).collect();
    assert_eq!(names, [name("edge-0"), name("edge-1")]);
}

pub(super) async fn of_racing_edges_one_joins(store: &dyn Store) {
    store.add_join_token(token(1)).await.unwrap();
    let joins = join_all((0..16).map(|n| store.enrol([1; 32], edge(&format!("edge-{n}")), at(1)))).await;
    assert_eq!(joins.iter().filter(|join| join.is_ok()).count(), 1);
    assert_eq!(joins.iter().filter(|join| **join == Err(EnrolError::Token)).count(), 15);
    assert_eq!(store.edges().await.unwrap().len(), 1);

    join_all((10..26).map(|seed| store.add_join_token(token(seed)))).await;
    let joins = join_all((10..26).map(|seed| store.enrol([seed; 32], edge("wanted"), at(1)))).await;
    assert_eq!(joins.iter().filter(|join| join.is_ok()).count(), 1);
    assert_eq!(joins.iter().filter(|join| **join == Err(EnrolError::NameTaken)).count(), 15);
}

pub(super) async fn boots_and_leases(store: &dyn Store) {
    let boot = |seed| EdgeBoot { boot_id: [seed; 16], recording_key: [seed; 32], version: "0.1".into() };
    let edge = enrolled(store, "edge-1", 1).await.name;
    enrolled(store, "edge-2", 2).await;
    let nobody = name("nobody");
    assert_eq!(store.edge(&nobody).await, Err(StoreError::NotFound));
    assert_eq!(store.record_boot(&nobody, boot(1), at(10)).await, Err(StoreError::NotFound));
    assert_eq!(store.renew_lease(&nobody, [1; 16], at(10)).await, Err(StoreError::NotFound));
    assert_eq!(store.renew_lease(&edge, [1; 16], at(10)).await, Err(StoreError::Conflict), "never attached");

    store.record_boot(&edge, boot(1), at(10)).await.unwrap();
    store.record_boot(&edge, boot(1), at(11)).await.unwrap();
    let record = store.edge(&edge).await.unwrap();
    assert_eq!((record.boot, record.lease_expires_at), (Some(boot(1)), Some(at(11))));
    let stolen = EdgeBoot { recording_key: [9; 32], ..boot(1) };
    assert_eq!(store.record_boot(&edge, stolen, at(12)).await, Err(StoreError::Conflict));

    store.renew_lease(&edge, [1; 16], at(20)).await.unwrap();
    store.renew_lease(&edge, [1; 16], at(15)).await.unwrap();
    assert_eq!(store.edge(&edge).await.unwrap().lease_expires_at, Some(at(20)), "never back");

    store.record_boot(&edge, boot(2), at(30)).await.unwrap();
    assert_eq!(store.renew_lease(&edge, [1; 16], at(40)).await, Err(StoreError::Conflict), "replaced");
    assert_eq!(store.edge(&edge).await.unwrap().boot, Some(boot(2)));
    for seed in [1, 2] {
        assert_eq!(store.boot(&edge, [seed; 16]).await, Ok(boot(seed)), "earlier boots are remembered");
    }
    assert_eq!(store.boot(&name("edge-2"), [1; 16]).await, Err(StoreError::NotFound), "edges are apart");
    for (seed, known) in [(1, true), (2, true), (9, false)] {
        assert_eq!(store.knows_recording_key(&edge, [seed; 32]).await, Ok(known), "the key of boot {seed}");
    }
    assert_eq!(store.knows_recording_key(&name("edge-2"), [1; 32]).await, Ok(false), "edges are apart");
    replaces_certificates(store).await;
}

pub(super) async fn a_deleted_edge_is_gone_and_its_name_free(store: &dyn Store) {
    let boot = EdgeBoot { boot_id: [1; 16], recording_key: [1; 32], version: "0.1".into() };
    let edge = name("edge-1");
    assert_eq!(store.delete_edge(&edge).await, Err(StoreError::NotFound));
    enrolled(store, "edge-1", 1).await;
    enrolled(store, "edge-2", 2).await;
    store.record_boot(&edge, boot.clone(), at(10)).await.unwrap();
    store.delete_edge(&edge).await.unwrap();
    assert_eq!(store.delete_edge(&edge).await, Err(StoreError::NotFound));
    assert_eq!(store.edge(&edge).await, Err(StoreError::NotFound));
    assert_eq!(store.renew_lease(&edge, [1; 16], at(20)).await, Err(StoreError::NotFound));
    assert_eq!(store.record_boot(&edge, boot.clone(), at(20)).await, Err(StoreError::NotFound));
    let renewed = store.replace_certificate(&edge, [1; 32], certificate(2)).await;
    assert_eq!(renewed, Err(StoreError::NotFound));
    let left: Vec<_> = store.edges().await.unwrap().into_iter().map(|edge| edge.name).collect();
    assert_eq!(left, [name("edge-2")]);

    let anew = enrolled(store, "edge-1", 3).await;
    assert_eq!((anew.boot, anew.lease_expires_at), (None, None));
    assert_eq!(store.boot(&edge, [1; 16]).await, Ok(boot), "what it left can still be uploaded");
}

async fn replaces_certificates(store: &dyn Store) {
    let edge = name("edge-1");
    assert_eq!(store.replace_certificate(&edge, [9; 32], certificate(2)).await, Err(StoreError::Conflict));
    store.replace_certificate(&edge, [1; 32], certificate(2)).await.unwrap();
    assert_eq!(store.replace_certificate(&edge, [1; 32], certificate(3)).await, Err(StoreError::Conflict));
    assert_eq!(store.edge(&edge).await.unwrap().certificate, certificate(2));
    let nobody = store.replace_certificate(&name("nobody"), [1; 32], certificate(2)).await;
    assert_eq!(nobody, Err(StoreError::NotFound));

    store.add_join_token(token(7)).await.unwrap();
    assert_eq!(store.purge_expired(at(100)).await, Ok(0), "expired at the instant, forgotten after it");
    assert_eq!(store.purge_expired(at(101)).await, Ok(1));
    assert_eq!(store.purge_expired(at(101)).await, Ok(0));
}
