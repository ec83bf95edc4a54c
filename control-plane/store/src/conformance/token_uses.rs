//! The first zone stays the first, until the token has expired.

use futures_util::future::join_all;

use super::{at, name};
use crate::{Store, TokenUse};

pub(super) async fn run(store: &dyn Store) {
    let (eu, us) = (name("prod-eu"), name("prod-us"));
    let elsewhere = TokenUse::OtherZone { first: eu.clone() };
    assert_eq!(store.note_token_use("t1", "a", &eu, at(10)).await, Ok(TokenUse::First));
    assert_eq!(store.note_token_use("t1", "a", &eu, at(10)).await, Ok(TokenUse::SameZone));
    assert_eq!(store.note_token_use("t1", "a", &us, at(10)).await, Ok(elsewhere.clone()));
    assert_eq!(store.note_token_use("t1", "a", &us, at(10)).await, Ok(elsewhere), "it stays the first");
    assert_eq!(store.note_token_use("t2", "a", &us, at(10)).await, Ok(TokenUse::First), "tenants are apart");
    assert_eq!(store.note_token_use("t1", "b", &us, at(10)).await, Ok(TokenUse::First));

    let zones: Vec<_> = (0..16).map(|n| name(&format!("zone-{n}"))).collect();
    let uses = join_all(zones.iter().map(|zone| store.note_token_use("t1", "raced", zone, at(10)))).await;
    let first = uses.iter().position(|noted| *noted == Ok(TokenUse::First)).unwrap();
    let others = Ok(TokenUse::OtherZone { first: zones[first].clone() });
    assert_eq!(uses.iter().filter(|noted| **noted == others).count(), 15);
}

pub(super) async fn forgets_what_expired(store: &dyn Store) {
    let eu = name("prod-eu");
    for (token, expiry) in [("a", 10), ("b", 20), ("c", 5)] {
        store.note_token_use("t", token, &eu, at(expiry)).await.unwrap();
    }
    assert_eq!(store.purge_expired(at(11)).await, Ok(2));
    assert_eq!(store.purge_expired(at(11)).await, Ok(0));
    assert_eq!(store.note_token_use("t", "b", &eu, at(20)).await, Ok(TokenUse::SameZone));
    assert_eq!(store.note_token_use("t", "a", &eu, at(10)).await, Ok(TokenUse::First));
}
