//! A sequence without gaps, and a chain that shows what was done to it.

use futures_util::future::join_all;

use super::at;
use crate::{AUDIT_GENESIS, AuditEvent, ChainFault, Store, verify_chain};

fn event(n: u64) -> AuditEvent {
    AuditEvent {
        at: at(n),
        actor: "user:dana".into(),
        action: "resource.apply".into(),
        subject: format!("Target/shop-{n}"),
        detail: vec![("version".into(), n.to_string()), ("empty".into(), String::new())],
    }
}

pub(super) async fn run(store: &dyn Store) {
    assert_eq!(store.audit(1, 10).await, Ok(vec![]));
    assert_eq!(store.append_audit(event(1)).await, Ok(1));
    let mut sequences = join_all((2..=40).map(|n| store.append_audit(event(n)))).await;
    sequences.sort_by_key(|sequence| sequence.clone().unwrap());
    assert_eq!(sequences, (2..=40).map(Ok).collect::<Vec<_>>());

    let all = store.audit(0, 1_000).await.unwrap();
    assert_eq!(all.len(), 40);
    assert_eq!(all[0].event, event(1));
    let head = verify_chain((0, AUDIT_GENESIS), &all).unwrap();
    assert_eq!(head, (40, all[39].hash));

    let part = store.audit(11, 5).await.unwrap();
    assert_eq!(part, all[10..15]);
    assert_eq!(verify_chain((10, all[9].hash), &part), Ok((15, all[14].hash)));
    assert_eq!(store.audit(41, 5).await, Ok(vec![]));

    let without = [&all[..5], &all[6..]].concat();
    assert_eq!(verify_chain((0, AUDIT_GENESIS), &without), Err(ChainFault::Missing { expected: 6 }));
    assert_eq!(verify_chain((10, all[8].hash), &part), Err(ChainFault::Broken { sequence: 11 }));
}
