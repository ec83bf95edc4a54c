//! Versions, generations, compare-and-set, order.

use futures_util::future::join_all;

use super::name;
use crate::{Change, Expected, ResourceKind, Store, StoreError};

use ResourceKind::{Agent, DataClass, PolicyBundle, Target, Zone};

pub(super) async fn run(store: &dyn Store) {
    let shop = name("shop");
    assert_eq!(store.generation().await, Ok(0));
    assert_eq!(store.resource(Target, &shop).await, Err(StoreError::NotFound));

    let put = store.put_resource(Target, &shop, b"one".into(), Expected::Absent).await.unwrap();
    assert_eq!((put.change, put.version, put.generation), (Change::Created, 1, 1));
    let put = store.put_resource(Target, &shop, b"one".into(), Expected::Any).await.unwrap();
    assert_eq!((put.change, put.version, put.generation), (Change::Unchanged, 1, 1));
    let put = store.put_resource(Target, &shop, b"two".into(), Expected::Version(1)).await.unwrap();
    assert_eq!((put.change, put.version, put.generation), (Change::Updated, 2, 2));

    for expected in [Expected::Absent, Expected::Version(1), Expected::Version(3)] {
        for spec in [b"two", b"six"] {
            let put = store.put_resource(Target, &shop, spec.into(), expected).await;
            assert_eq!(put, Err(StoreError::Conflict), "{expected:?}");
        }
    }
    let missing = store.put_resource(Zone, &shop, b"z".into(), Expected::Version(1)).await;
    assert_eq!(missing, Err(StoreError::Conflict), "kinds are apart");
    let found = store.resource(Target, &shop).await.unwrap();
    assert_eq!((found.spec.as_slice(), found.version, &found.name), (b"two".as_slice(), 2, &shop));

    deletes(store).await;
}

async fn deletes(store: &dyn Store) {
    let shop = name("shop");
    assert_eq!(store.delete_resource(Target, &shop, Expected::Version(1)).await, Err(StoreError::Conflict));
    assert_eq!(store.delete_resource(Zone, &shop, Expected::Any).await, Err(StoreError::NotFound));
    assert_eq!(store.delete_resource(Zone, &shop, Expected::Version(1)).await, Err(StoreError::Conflict));
    assert_eq!(store.delete_resource(Target, &shop, Expected::Version(2)).await, Ok(3));
    assert_eq!(store.delete_resource(Target, &shop, Expected::Any).await, Err(StoreError::NotFound));
    assert_eq!(store.resource(Target, &shop).await, Err(StoreError::NotFound));
    assert_eq!(store.resources(Target, None, 10).await.unwrap().items, []);
    assert_eq!(store.snapshot().await.unwrap().resources, []);

    let put = store.put_resource(Target, &shop, b"two".into(), Expected::Absent).await.unwrap();
    assert_eq!(put.change, Change::Created);
    assert_eq!(put.generation, 4);
    assert!(put.version > 2, "a version never means two things");
}

pub(super) async fn of_racing_writers_one_wins(store: &dyn Store) {
    let zone = name("prod-eu");
    for round in 0..4_u64 {
        let expected = if round == 0 { Expected::Absent } else { Expected::Version(round) };
        let puts =
            join_all((0..16_u8).map(|n| store.put_resource(Zone, &zone, vec![round as u8, n], expected)))
                .await;
        let winner = puts.iter().position(|put| put.is_ok()).unwrap();
        assert_eq!(puts.iter().filter(|put| **put == Err(StoreError::Conflict)).count(), 15);
        let found = store.resource(Zone, &zone).await.unwrap();
        assert_eq!((found.spec, found.version), (vec![round as u8, winner as u8], round + 1));
    }
    let each = join_all((0..16_u8).map(|n| {
        let zone = name(&format!("zone-{n}"));
        async move { store.put_resource(Zone, &zone, vec![n], Expected::Any).await.unwrap().generation }
    }));
    let mut generations = each.await;
    generations.sort_unstable();
    assert_eq!(generations, (5..=20).collect::<Vec<_>>(), "one generation for each change");
}

pub(super) async fn pages_are_stable(store: &dyn Store) {
    for text in ["m", "b", "z", "b-1", "b.1", "a", "10", "9"] {
        store.put_resource(Agent, &name(text), text.into(), Expected::Any).await.unwrap();
    }
    store.put_resource(PolicyBundle, &name("base"), b"permit".into(), Expected::Any).await.unwrap();
    store.put_resource(Zone, &name("z"), b"zone".into(), Expected::Any).await.unwrap();
    store.put_resource(DataClass, &name("z"), b"class".into(), Expected::Any).await.unwrap();

    let names = |page: &crate::Page<crate::Resource, _>| -> Vec<String> {
        page.items.iter().map(|resource| resource.name.to_string()).collect()
    };
    let first = store.resources(Agent, None, 3).await.unwrap();
    assert_eq!(names(&first), ["10", "9", "a"]);
    // Neither a deletion of what was shown nor an insertion before it moves the next page.
    store.delete_resource(Agent, &name("a"), Expected::Any).await.unwrap();
    store.put_resource(Agent, &name("0"), b"0".into(), Expected::Any).await.unwrap();
    let second = store.resources(Agent, first.next.as_ref(), 3).await.unwrap();
    assert_eq!(names(&second), ["b", "b-1", "b.1"]);
    let third = store.resources(Agent, second.next.as_ref(), 3).await.unwrap();
    assert_eq!((names(&third), third.next), (vec!["m".to_owned(), "z".to_owned()], None));
    let whole = store.resources(Agent, None, usize::MAX).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (8, None));

    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.generation, store.generation().await.unwrap());
    assert_eq!(snapshot.resources.len(), 11);
    assert!(snapshot.resources.is_sorted_by_key(|resource| (resource.kind, resource.name.clone())));
    for kind in ResourceKind::ALL {
        let listed = store.resources(kind, None, usize::MAX).await.unwrap().items;
        let of_kind = snapshot.resources.iter().filter(|resource| resource.kind == kind);
        assert_eq!(of_kind.cloned().collect::<Vec<_>>(), listed, "{}", kind.as_str());
        assert_eq!(ResourceKind::from_word(kind.as_str()), Some(kind));
    }
}
